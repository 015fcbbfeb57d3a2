//! The stages that work on whole tables, as a run and a verification compute them alike.

use std::collections::BTreeMap;
use std::io;

use serde::de::DeserializeOwned;

use super::StageFailure;
use super::panel::{Weighed, weighed};
use super::preferences::zipped;
use crate::data::{Answer, Calibration, Comparison, Decision, Judged};
use crate::ids::{CriterionId, StageId};
use crate::key::BlobId;
use crate::spec::{Arms, Calibrate, Calibrations, Compare, Decide, Pipeline, Rubric};
use crate::stage::compare::{KnownJudge, Pairing, Side};
use crate::stage::{self, calibrate, compare, decide};
use crate::store::Store;

/// What is known of a judge, with the stage that says so.
pub(super) struct Calibrated {
    stage: StageId,
    record: Calibration,
}

impl Calibrated {
    /// What it says of the judge of these verdicts.
    fn of(&self, pipeline: &Pipeline, verdicts: &StageId) -> KnownJudge<'_> {
        let Self { stage, record } = self;
        KnownJudge { calibration: record, transported: stage::is_transported(pipeline, stage, verdicts) }
    }
}

/// Reads what a calibration came to.
pub(super) fn calibrated(store: &Store, stage: &StageId, output: &BlobId) -> Result<Calibrated, StageFailure> {
    let record = serde_json::from_slice(&store.read(output)?)
        .map_err(|error| StageFailure::new(format!("the calibration cannot be read: {error}"), None))?;
    Ok(Calibrated { stage: stage.clone(), record })
}

/// Compares the rows of a table of verdicts with the labels of people, and where the stage names another with that too, row by row.
pub(super) fn calibration<L: Iterator<Item = io::Result<String>>>(
    calibrate: &Calibrate,
    rubric: &Rubric,
    lines: impl Fn(&StageId) -> Result<L, StageFailure>,
) -> Result<Calibration, StageFailure> {
    let mut tally = calibrate::Tally::new(calibrate, rubric);
    let verdicts = lines(&calibrate.verdicts)?;
    let Some(second) = &calibrate.beside else {
        for line in verdicts {
            tally.add(&row("verdicts", line)?);
        }
        return Ok(tally.finish());
    };
    let mut beside = calibrate::Beside::new(rubric);
    for line in zipped(verdicts, lines(second)?) {
        let (one, other): (Judged, Judged) = row("verdicts", line)?;
        let labelled = tally.add(&one);
        beside.add(&one, &other, &labelled).map_err(|unlike| {
            let message = format!("`{}` and `{second}` do not judge the same replies: {unlike}", calibrate.verdicts);
            StageFailure::new(message, None)
        })?;
    }
    Ok(Calibration { beside: Some(beside.finish(calibrate.confidence)), ..tally.finish() })
}

/// The lines of a table.
pub(super) type TableLines<'a> = Box<dyn Iterator<Item = io::Result<String>> + 'a>;

/// A decision, and what is to be said of how it was made.
pub(super) struct Decided {
    pub(super) decision: Decision,
    /// Criteria with too few verdicts to weigh a panel's judges.
    pub(super) unweighed: Vec<CriterionId>,
}

/// Decides on the rows of tables, which `lines` opens by the stage that wrote them: on those of the backup too, where it is due and the
/// first model fails.
pub(super) fn decision<'a>(
    pipeline: &Pipeline,
    decide: &Decide,
    calibrated: Option<&Calibrated>,
    lines: impl Fn(&StageId) -> Result<TableLines<'a>, StageFailure>,
) -> Result<Decided, StageFailure> {
    let primary = of_one_model(pipeline, decide, calibrated, &lines)?;
    let Some(of_backup) = decide::of_backup(decide).filter(|_| primary.decision.fails()) else { return Ok(primary) };
    let backup = of_one_model(pipeline, &of_backup, calibrated, &lines)?;
    let mut unweighed = primary.unweighed;
    let new = backup.unweighed.into_iter().filter(|criterion| !unweighed.contains(criterion)).collect::<Vec<_>>();
    unweighed.extend(new);
    Ok(Decided { decision: decide::combine(decide, primary.decision, backup.decision), unweighed })
}

/// Decides on one model alone.
fn of_one_model<'a>(
    pipeline: &Pipeline,
    decide: &Decide,
    calibrated: Option<&Calibrated>,
    lines: impl Fn(&StageId) -> Result<TableLines<'a>, StageFailure>,
) -> Result<Decided, StageFailure> {
    let Weighed { rows, left: unweighed } = weighed(decide, || lines(&decide.verdicts))?;
    let tally = tallied(pipeline, decide, &decide.verdicts, rows)?;
    let decision = match calibrated {
        None => tally.finish(),
        // Labels on the replies of one model tell of those of another as long as the judge is the same.
        Some(calibrated) => {
            let KnownJudge { calibration, transported } = calibrated.of(pipeline, &decide.verdicts);
            tally.finish_corrected(calibration, transported)
        }
    };
    if decide.gates.is_empty() {
        return Ok(Decided { decision, unweighed });
    }
    let side = |decision, answers: Option<&StageId>| {
        let mut taken = decide::Taken::default();
        if let Some(answers) = answers {
            for line in lines(answers)? {
                taken.add(&row::<Answer>("answers", line)?);
            }
        }
        let price = answers.and_then(|answers| decide::price_of(pipeline, decide, answers));
        Ok::<_, StageFailure>(decide::Side { decision, taken, price })
    };
    let mut bases = BTreeMap::new();
    let of_base = decide::of_base(decide);
    for base in decide::measured_bases(decide) {
        let decision = tallied(pipeline, &of_base, base, lines(base)?)?.finish();
        bases.insert(base.clone(), side(decision, decide.answers_of_bases.get(base))?);
    }
    let mut measured = side(decision, decide.answers.as_ref())?;
    measured.decision.gates = decide::check(&decide.gates, &measured, &bases);
    let decide::Side { mut decision, .. } = measured;
    decide::conclude(&mut decision);
    Ok(Decided { decision, unweighed })
}

/// Counts the verdicts of one stage.
fn tallied<'p>(
    pipeline: &'p Pipeline,
    decide: &Decide,
    verdicts: &StageId,
    lines: TableLines<'_>,
) -> Result<decide::Tally<'p>, StageFailure> {
    let mut tally = decide::Tally::new(decide, decide::rubric(pipeline, verdicts));
    for line in lines {
        tally.add(&row::<Judged>("verdicts", line)?);
    }
    Ok(tally)
}

/// What is known of the judge of both arms of a comparison.
pub(super) struct CalibratedArms {
    base: Calibrated,
    new: Calibrated,
}

/// Reads what the calibrations of a comparison came to, whose outputs `output` gives; none where it names none.
pub(super) fn calibrated_arms(
    store: &Store,
    compare: &Compare,
    output: impl Fn(&StageId) -> BlobId,
) -> Result<Option<CalibratedArms>, StageFailure> {
    let read = |stage: &StageId| calibrated(store, stage, &output(stage));
    let arms = |Calibrations { base, new }: &Calibrations| Ok(CalibratedArms { base: read(base)?, new: read(new)? });
    compare.calibrations.as_ref().map(arms).transpose()
}

/// Compares tables of verdicts; `table` gives the rows of one of those that the stage reads.
pub(super) fn comparison<L: Iterator<Item = io::Result<String>>>(
    pipeline: &Pipeline,
    compare: &Compare,
    calibrated: Option<&CalibratedArms>,
    table: impl Fn(&StageId) -> Result<L, StageFailure>,
) -> Result<Comparison, StageFailure> {
    let paired = |Arms { base, new }: &Arms| {
        let mut pairing = Pairing::new(compare);
        let (mut base, mut new) = (table(base)?, table(new)?);
        loop {
            // In turn, so that of tables in the same order no more than a row waits for its counterpart.
            let rows = [(Side::Base, base.next()), (Side::New, new.next())];
            let is_end = rows.iter().all(|(_, row)| row.is_none());
            for (side, line) in rows {
                if let Some(line) = line {
                    pairing.add(side, row("verdicts", line)?);
                }
            }
            if is_end {
                return Ok(pairing.finish());
            }
        }
    };
    let target = paired(&compare.arms)?;
    let guards = compare.guards.values().map(|guard| paired(&guard.arms)).collect::<Result<Vec<_>, StageFailure>>()?;
    let Arms { base, new } = &compare.arms;
    let known = calibrated.map(|arms| [arms.base.of(pipeline, base), arms.new.of(pipeline, new)]);
    Ok(compare::conclude(compare, target, guards, known))
}

fn row<T: DeserializeOwned>(of: &str, line: io::Result<String>) -> Result<T, StageFailure> {
    let line = line.map_err(|error| StageFailure::new(error.to_string(), None))?;
    serde_json::from_str(&line)
        .map_err(|error| StageFailure::new(format!("a row of {of} cannot be read: {error}"), None))
}
