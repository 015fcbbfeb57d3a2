//! The committed record of a frozen run, `pipelines/<name>.lock`: what each stage was made of, what came out of it and
//! what was decided, as a file made for diffs in a pull request.
//!
//! Owns the format and the comparison with it. Never does I/O: it takes and gives text. Start at [`Lock::read`] and
//! [`Lock::check_stage`].

mod difference;
mod moves;
mod read;
mod write;

pub use difference::{Change, Difference};
pub use moves::Move;
pub use read::LockError;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::{Comparison, ComparisonVerdict, Decision, GateOutcome, Outcome, Rate, RateDifference, WeightsRecord};
use crate::ids::{CriterionId, StageId};
use crate::key::{BlobId, Key, Recipe, to_canonical};

/// The version of the format that this program writes and reads.
pub const VERSION: u32 = 1;

/// Most critical criteria whose rates are written down: a lock is read by people.
const MOST_CRITERIA: usize = 12;

/// What a frozen run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The pipeline's name.
    pub pipeline: String,
    /// What blessed it.
    pub engine: EngineBuild,
    /// What was decided, if the pipeline decides something.
    pub decision: Option<LockedDecision>,
    /// What each `compare` stage came to.
    pub comparisons: BTreeMap<StageId, LockedComparison>,
    /// What each `pull` stage brought.
    pub weights: BTreeMap<StageId, LockedWeights>,
    /// What servers answered that are catalogs, by what was asked.
    pub catalogs: BTreeMap<String, LockedCatalog>,
    /// All stages.
    pub stages: BTreeMap<StageId, LockedStage>,
}

/// The program that made the results. Only told to people: what decides a result is in the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineBuild {
    /// Version of evalflow.
    pub evalflow: String,
    /// Version of llama.cpp inside of it.
    pub llama_cpp: String,
    /// Where that computes: `cpu`, `cuda`…
    pub backend: String,
}

/// The weights that a `pull` stage brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedWeights {
    /// blake3 of the file.
    pub blake3: BlobId,
    /// sha256 of the file.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// A catalog that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedCatalog {
    /// Its rows.
    pub rows: BlobId,
    /// The day on which they were fetched, `2026-11-22`.
    pub fetched: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedStage {
    /// Its kind.
    pub kind: String,
    /// Its key.
    pub key: Key,
    /// What came out of it.
    pub output: BlobId,
    /// Rows, of a table.
    pub rows: Option<u64>,
    /// A digest for each field of its recipe: a reviewer sees which moved, without the values.
    pub fields: BTreeMap<String, String>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedDecision {
    /// The outcome.
    pub outcome: Outcome,
    /// The pass rate.
    pub rate: LockedRate,
    /// Scenarios that count.
    pub n: u64,
    /// Of these, those that passed.
    pub passed: u64,
    /// Scenarios without a grade.
    pub ungraded: u64,
    /// Scenarios to which too little applied.
    pub invalid: u64,
    /// Pass rate from which the outcome is `deploy`.
    pub deploy: f64,
    /// Pass rate from which it is `fine_tune`.
    pub fine_tune: f64,
    /// The critical criteria, if they are few.
    pub critical: BTreeMap<CriterionId, LockedCriterion>,
}

/// A pass rate and its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedRate {
    /// Share that passed; none without a valid scenario.
    pub point: Option<Share>,
    /// Lower end.
    pub lo: Share,
    /// Upper end.
    pub hi: Share,
    /// Level of the interval.
    pub confidence: f64,
    /// `wilson`.
    pub method: String,
}

/// How often a critical criterion held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedCriterion {
    /// Share of verdicts that passed; none without a verdict.
    pub rate: Option<Share>,
    /// Verdicts `pass` and `fail`.
    pub n: u64,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedComparison {
    /// The verdict on the target.
    pub verdict: ComparisonVerdict,
    /// Whether the target shows what it must, and no guard was lost.
    pub gate: GateOutcome,
    /// The new rate less that of the base; none without any row. Without the judge's errors where labels tell of them.
    pub point: Option<Gap>,
    /// Lower end of its interval.
    pub lo: Gap,
    /// Upper end.
    pub hi: Gap,
    /// Level of the interval.
    pub confidence: f64,
    /// `newcombe_paired`.
    pub method: String,
    /// Rows that count: pairs, or those of both arms where these are not paired.
    pub n: u64,
}

/// A difference of two shares, in [−1, 1], as it is written down: with four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap(i16);

impl Gap {
    /// Rounds a difference; what lies outside of [−1, 1] becomes the nearer end.
    #[must_use]
    pub fn new(difference: f64) -> Self {
        let parts = (difference.clamp(-1.0, 1.0) * Share::PARTS).round();
        #[expect(clippy::cast_possible_truncation, reason = "it is in -10,000..=10,000")]
        Self(parts as i16)
    }

    /// The difference, in [−1, 1].
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / Share::PARTS
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", Share(self.0.unsigned_abs()))
    }
}

/// A share in [0, 1] as it is written down: with four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    const PARTS: f64 = 10_000.0;

    /// Rounds a share; what lies outside of [0, 1] becomes the nearer end.
    #[must_use]
    pub fn new(share: f64) -> Self {
        let parts = (share.clamp(0.0, 1.0) * Self::PARTS).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in 0..=10,000")]
        Self(parts as u16)
    }

    /// The share, in [0, 1].
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / Self::PARTS
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

/// Where the lock of a pipeline file lies: beside it, `name.yaml` → `name.lock`.
#[must_use]
pub fn path(pipeline: &Path) -> PathBuf {
    pipeline.with_extension("lock")
}

impl LockedStage {
    /// What is written down of a stage with this recipe.
    #[must_use]
    pub fn new(recipe: &Recipe, output: BlobId, rows: Option<u64>) -> Self {
        let parts = Parts::of(recipe);
        let fields = parts.fields.iter().map(|(name, value)| (name.clone(), digest(value))).collect();
        Self { kind: parts.kind, key: recipe.key(), output, rows, fields }
    }

    /// Whether a field of its recipe was this value.
    #[must_use]
    pub fn has(&self, field: &str, value: &Value) -> bool {
        self.fields.get(field) == Some(&digest(value))
    }

    /// The fields of a recipe that are not what they were here, by name: of those, only digests are known.
    #[must_use]
    pub fn differing(&self, recipe: &Recipe) -> Vec<String> {
        let parts = Parts::of(recipe);
        self.differing_fields(&parts).into_iter().map(|(name, _)| name).collect()
    }

    /// The fields that differ, each with the digest that it has now; none where it is gone.
    fn differing_fields(&self, now: &Parts) -> Vec<(String, Option<String>)> {
        let found: BTreeMap<&String, String> = now.fields.iter().map(|(name, value)| (name, digest(value))).collect();
        let names: BTreeSet<&String> = self.fields.keys().chain(found.keys().copied()).collect();
        let differing = names.into_iter().filter(|name| self.fields.get(*name) != found.get(*name));
        differing.map(|name| (name.clone(), found.get(name).cloned())).collect()
    }
}

impl From<&WeightsRecord> for LockedWeights {
    fn from(record: &WeightsRecord) -> Self {
        Self { blake3: record.weights, sha256: record.sha256.clone(), bytes: record.bytes }
    }
}

impl From<&Decision> for LockedDecision {
    fn from(decision: &Decision) -> Self {
        let Rate { point, lo, hi, confidence, method, passed, n, clustered: _ } = &decision.deciding();
        let criteria = decision.criteria.iter().filter(|criterion| criterion.critical);
        let critical: BTreeMap<_, _> = criteria
            .map(|criterion| {
                let rate = criterion.rate.point.map(Share::new);
                (criterion.criterion.clone(), LockedCriterion { rate, n: criterion.rate.n })
            })
            .collect();
        Self {
            outcome: decision.outcome,
            rate: LockedRate {
                point: point.map(Share::new),
                lo: Share::new(*lo),
                hi: Share::new(*hi),
                confidence: *confidence,
                method: method.clone(),
            },
            n: *n,
            passed: *passed,
            ungraded: decision.counts.ungraded,
            invalid: decision.counts.invalid,
            deploy: decision.thresholds.deploy,
            fine_tune: decision.thresholds.fine_tune,
            critical: if critical.len() <= MOST_CRITERIA { critical } else { BTreeMap::new() },
        }
    }
}

impl From<&Comparison> for LockedComparison {
    fn from(comparison: &Comparison) -> Self {
        let corrected = comparison.corrected.as_ref().map(|corrected| &corrected.difference);
        let difference = corrected.unwrap_or(&comparison.target.difference);
        let RateDifference { point, lo, hi, confidence, method, n, clusters: _ } = difference;
        Self {
            verdict: comparison.verdict,
            gate: comparison.gate,
            point: point.map(Gap::new),
            lo: Gap::new(*lo),
            hi: Gap::new(*hi),
            confidence: *confidence,
            method: method.clone(),
            n: *n,
        }
    }
}

impl Lock {
    /// Whether both were made of the same and came to the same, by whatever build.
    #[must_use]
    pub fn same_results(&self, other: &Self) -> bool {
        let Self { pipeline, engine: _, decision, comparisons, weights, catalogs, stages } = self;
        *pipeline == other.pipeline
            && *decision == other.decision
            && *comparisons == other.comparisons
            && *weights == other.weights
            && *catalogs == other.catalogs
            && *stages == other.stages
    }

    /// The results that a store has to keep for this lock: each stage's key, its output and, of a `pull`, the weights.
    pub fn results(&self) -> impl Iterator<Item = (&StageId, Key, BlobId, Option<BlobId>)> {
        self.stages.iter().map(|(id, stage)| {
            let weights = self.weights.get(id).map(|weights| weights.blake3);
            (id, stage.key, stage.output, weights)
        })
    }

    /// Compares a stage's recipe with the lock. `old_recipe` is the one behind the lock's key, where the store knows it:
    /// then the difference has values.
    ///
    /// # Errors
    /// The stage is not in the lock, or is not what it was: the first field that differs, in the recipe's order.
    pub fn check_stage(
        &self,
        id: &StageId,
        recipe: &Recipe,
        old_recipe: Option<&Value>,
    ) -> Result<&LockedStage, Difference> {
        let locked = self.stages.get(id).ok_or_else(|| Difference::NotLocked { stage: id.clone() })?;
        if locked.key == recipe.key() { Ok(locked) } else { Err(self.difference(id, locked, recipe, old_recipe)) }
    }

    /// Finds a stage of the lock that is not among a pipeline's.
    ///
    /// # Errors
    /// There is one.
    pub fn check_gone<'a>(&self, stages: impl IntoIterator<Item = &'a StageId>) -> Result<(), Difference> {
        let there: Vec<&StageId> = stages.into_iter().collect();
        match self.stages.keys().find(|id| !there.contains(id)) {
            Some(gone) => Err(Difference::Gone { stage: gone.clone() }),
            None => Ok(()),
        }
    }
}

/// The day of a time in seconds since 1970, as a lock has it.
#[must_use]
pub fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// A recipe taken apart.
struct Parts {
    kind: String,
    fields: serde_json::Map<String, Value>,
}

impl Parts {
    fn of(recipe: &Recipe) -> Self {
        let mut whole: Value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
        let kind = whole["kind"].as_str().expect("a recipe has a kind").to_owned();
        let Value::Object(fields) = whole["fields"].take() else { unreachable!("a stage's fields are an object") };
        Self { kind, fields }
    }
}

/// The digest of one field's value.
fn digest(value: &Value) -> String {
    BlobId::of(to_canonical(value).as_bytes()).short()
}

#[cfg(test)]
mod tests;
