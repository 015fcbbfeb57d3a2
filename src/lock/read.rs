//! From a file's text to a lock.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};

use super::{
    EngineBuild, Gap, Lock, LockedCatalog, LockedComparison, LockedCriterion, LockedDecision, LockedRate, LockedStage,
    LockedWeights, Share, VERSION,
};
use crate::data::{ComparisonVerdict, GateOutcome, Outcome};
use crate::ids::{CriterionId, StageId};
use crate::key::{BlobId, Key};

/// Why a text is not a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another version of the program wrote it.
    #[error("the lock has format {found}, this version knows format {known}")]
    Version {
        /// Its format.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// A merge left both sides in it.
    #[error("line {line}: a merge left both sides here")]
    Conflict {
        /// Where, from 1.
        line: usize,
    },
    /// It is damaged, such as by an edit by hand.
    #[error("line {line}: {message}")]
    Damaged {
        /// Where, from 1; 0 where that is not known.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

impl LockError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Version { found, known } if found > known => {
                "use a version of evalflow at least as new as the one that wrote it".to_owned()
            }
            Self::Version { .. } => "run the pipeline and write the lock again with `evalflow bless`".to_owned(),
            Self::Conflict { .. } => {
                "take either side, then run the pipeline and write the lock again with `evalflow bless`".to_owned()
            }
            Self::Damaged { .. } => {
                "take it from the last commit, or run the pipeline and write it again with `evalflow bless`".to_owned()
            }
        }
    }
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Any {
    evalflow_lock: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "evalflow_lock")]
    _version: u32,
    pipeline: String,
    engine: Build,
    decision: Option<Decided>,
    #[serde(default)]
    comparisons: BTreeMap<StageId, Compared>,
    #[serde(default)]
    weights: BTreeMap<StageId, Weights>,
    #[serde(default)]
    catalogs: BTreeMap<String, Catalog>,
    #[serde(default)]
    stages: BTreeMap<StageId, Stage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    evalflow: String,
    llama_cpp: String,
    backend: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    blake3: BlobId,
    sha256: String,
    bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalog {
    rows: BlobId,
    fetched: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    kind: String,
    key: Key,
    output: BlobId,
    rows: Option<u64>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    outcome: Outcome,
    pass_rate: Rate,
    counted: u64,
    passed: u64,
    ungraded: u64,
    invalid: u64,
    thresholds: Thresholds,
    #[serde(default)]
    critical: BTreeMap<CriterionId, Criterion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compared {
    verdict: ComparisonVerdict,
    gate: GateOutcome,
    difference: Rate,
    counted: u64,
}

/// A rate, or a difference of two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    point: Option<f64>,
    lo: f64,
    hi: f64,
    confidence: f64,
    method: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    deploy: f64,
    fine_tune: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Criterion {
    rate: Option<f64>,
    counted: u64,
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, LockError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| LockError::Damaged {
        line: error.location().map_or(0, |location| location.line()),
        message: UserMessageFormatter.format_message(error.without_snippet()).into_owned(),
    })
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// It is damaged, or another version of the program wrote it.
    pub fn read(text: &str) -> Result<Self, LockError> {
        if let Some(at) = text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
            return Err(LockError::Conflict { line: at + 1 });
        }
        let Any { evalflow_lock: found } = parse(text)?;
        if found != VERSION {
            return Err(LockError::Version { found, known: VERSION });
        }
        let File { _version: _, pipeline, engine, decision, comparisons, weights, catalogs, stages } = parse(text)?;
        let Build { evalflow, llama_cpp, backend } = engine;
        Ok(Self {
            pipeline,
            engine: EngineBuild { evalflow, llama_cpp, backend },
            decision: decision.map(Into::into),
            comparisons: comparisons.into_iter().map(|(id, found)| (id, found.into())).collect(),
            weights: weights.into_iter().map(|(id, weights)| (id, weights.into())).collect(),
            catalogs: catalogs.into_iter().map(|(name, catalog)| (name, catalog.into())).collect(),
            stages: stages.into_iter().map(|(id, stage)| (id, stage.into())).collect(),
        })
    }
}

impl From<Compared> for LockedComparison {
    fn from(Compared { verdict, gate, difference, counted }: Compared) -> Self {
        let Rate { point, lo, hi, confidence, method } = difference;
        let (lo, hi) = (Gap::new(lo), Gap::new(hi));
        Self { verdict, gate, point: point.map(Gap::new), lo, hi, confidence, method, n: counted }
    }
}

impl From<Weights> for LockedWeights {
    fn from(Weights { blake3, sha256, bytes }: Weights) -> Self {
        Self { blake3, sha256, bytes }
    }
}

impl From<Catalog> for LockedCatalog {
    fn from(Catalog { rows, fetched }: Catalog) -> Self {
        Self { rows, fetched }
    }
}

impl From<Stage> for LockedStage {
    fn from(Stage { kind, key, output, rows, fields }: Stage) -> Self {
        Self { kind, key, output, rows, fields }
    }
}

impl From<Decided> for LockedDecision {
    fn from(decided: Decided) -> Self {
        let Decided { outcome, pass_rate, counted, passed, ungraded, invalid, thresholds, critical } = decided;
        let Rate { point, lo, hi, confidence, method } = pass_rate;
        let Thresholds { deploy, fine_tune } = thresholds;
        let criterion =
            |(id, Criterion { rate, counted })| (id, LockedCriterion { rate: rate.map(Share::new), n: counted });
        Self {
            outcome,
            rate: LockedRate {
                point: point.map(Share::new),
                lo: Share::new(lo),
                hi: Share::new(hi),
                confidence,
                method,
            },
            n: counted,
            passed,
            ungraded,
            invalid,
            deploy,
            fine_tune,
            critical: critical.into_iter().map(criterion).collect(),
        }
    }
}
