//! What a `generate` stage does when it runs: rows as any other, and a last word on each in the order of the table.
//!
//! What is not taken is drawn again in its place: what a row nearly repeats depends on those before it alone, so the rows
//! behind it wait, while their calls go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::feed::Cut;
use super::rows::{Source, Word, Work, drive};
use super::stages::check_unchanged;
use super::{Event, Output, Run, StageFailure};
use crate::data::{Coverage, FrozenSuite, LeakReport, NearDuplicates, Rejected, Rejection, Scenario};
use crate::ids::{ScenarioId, StageId};
use crate::key::{BlobId, Recipe};
use crate::spec::{Expand, Freeze, Generate, GenerateFrom, Grid};
use crate::stage::generate::{self, Cell, LanguageSample, Leaks, Marker, ScenarioFileError, Verdict};
use crate::stage::{Drawn, Row};
use crate::stats::text::count;

/// So many scenarios that could not be compared are told one by one; the report counts them all.
const FAILURES_TOLD: u64 = 3;

/// Where the rows of a scenario stage come from, and how many there are.
pub(super) fn scenario_source(
    run: &Run<'_>,
    generate: &Generate,
    recipe: &Recipe,
) -> Result<(Source, u64), StageFailure> {
    let rows = tokio::task::block_in_place(|| generate::rows(generate, &run.pipeline.root));
    let generate::Rows { cells, total, file } = rows.map_err(|error| failed_file(&error))?;
    if let (Some(read), GenerateFrom::File(import)) = (file, &generate.from) {
        check_unchanged(recipe, &read, &import.path)?;
    }
    let lines = cells.map(|cell| cell.map(|cell| cell.to_line()).map_err(|error| failed_file(&error)));
    Ok((Source::Made(Box::new(lines)), total))
}

/// Makes the scenarios of a stage.
pub(super) async fn scenarios(
    run: &Run<'_>,
    id: &StageId,
    generate: &Generate,
    work: Work,
    recipe: &Recipe,
) -> Result<Output, Cut> {
    let mut last_word = LastWord {
        run,
        id,
        coverage: Coverage { rejected: generate.is_choosy().then(Rejected::default), ..Coverage::default() },
        languages: LanguageSample::default(),
        marker: Marker::of(generate),
        leaks: (!generate.not_in.is_empty()).then(Leaks::default),
        frozen: frozen_of(generate).map(|_| BTreeMap::new()),
        untold: 0,
    };
    let mut output = drive(run, id, work, |row| last_word.on(row)).await?;
    let LastWord { run: _, id: _, mut coverage, languages, marker, leaks, frozen, untold: _ } = last_word;
    (coverage.languages, coverage.languages_of) = languages.finish();
    coverage.leaks =
        leaks.map(|leaks| tokio::task::block_in_place(|| search(run, generate, recipe, leaks))).transpose()?;
    coverage.frozen = frozen_of(generate).zip(frozen).map(|(frozen, rows)| compare_frozen(frozen, rows));
    if let GenerateFrom::File(import) = &generate.from {
        // Read twice, so looked at once more: what is in the table must be what was keyed.
        let read = run.store.file_id(&run.pipeline.root.join(&import.path)).map_err(StageFailure::from)?;
        check_unchanged(recipe, &read, &import.path)?;
    }
    coverage.failed = output.tally.rows_failed;
    if let (Some(expand), None) = (generate.expand(), generate.limit) {
        let mut asked = Coverage::default();
        generate::cells(expand).for_each(|cell| asked.add(&cell.scenario));
        coverage.compare(&asked, kinds(expand));
    }
    coverage.near_duplicates = marker.map(Marker::finish);
    let notes = [
        coverage.near_duplicates.as_ref().filter(|near| near.found > 0).map(near_in_words),
        coverage.rejected.as_ref().and_then(rejected_in_words),
        coverage.leaks.as_ref().and_then(leaks_in_words),
        coverage.frozen.as_ref().and_then(frozen_in_words),
    ];
    for text in notes.iter().flatten() {
        (run.events)(Event::Note { stage: id, text });
    }
    // A suite with holes is not the one that was asked for: it is not kept, and what is missing is asked again.
    output.complete &= output.tally.rows_failed == 0;
    output.summary = Some(serde_json::to_value(&coverage).expect("a summary is always valid JSON"));
    Ok(output)
}

/// Each topic and style of a taxonomy that constraints leave, once.
fn kinds(expand: &Expand) -> BTreeSet<(String, String)> {
    let grid = Grid::new(&expand.taxonomy, &expand.styles);
    grid.allowed().map(|number| grid.cell(number)).map(|cell| (cell.topic.id.clone(), cell.style.to_owned())).collect()
}

/// Who decides on each row, in the order of the table.
struct LastWord<'a> {
    run: &'a Run<'a>,
    id: &'a StageId,
    coverage: Coverage,
    languages: LanguageSample,
    marker: Option<Marker>,
    leaks: Option<Leaks>,
    /// Of a frozen suite, what each scenario says.
    frozen: Option<BTreeMap<ScenarioId, BlobId>>,
    /// Scenarios that could not be compared.
    untold: u64,
}

impl LastWord<'_> {
    fn on(&mut self, row: &mut Row) -> Result<Word, StageFailure> {
        let Drawn { rejected, missing, covered, again } = std::mem::take(&mut row.drawn);
        self.coverage.covered += covered;
        if let Some(counts) = &mut self.coverage.rejected {
            rejected.into_iter().for_each(|rejection| counts.add(rejection));
            missing.iter().for_each(|id| counts.lack(id));
        }
        let Some(line) = row.lines.first_mut() else { return Ok(Word::Write) };
        let mut scenario: Scenario =
            serde_json::from_str(line).map_err(|error| StageFailure::new(error.to_string(), None))?;
        if let Some(marker) = &mut self.marker {
            let embedding = row.embedded.as_ref();
            if let Some(Err(why)) = embedding {
                self.untold += 1;
                if self.untold <= FAILURES_TOLD {
                    let text = format!("{}: not compared with others: {why}", scenario.id);
                    (self.run.events)(Event::Note { stage: self.id, text: &text });
                }
            }
            let embedding = embedding.and_then(|embedded| embedded.as_ref().ok());
            if marker.mark(&mut scenario, embedding).map_err(unlike)? == Verdict::Reject {
                let counts = self.coverage.rejected.get_or_insert_default();
                counts.add(Rejection::NearDuplicate);
                if let Some(line) = again {
                    return Ok(Word::Again(line));
                }
                counts.lack(&scenario.id);
                row.lines.clear();
                return Ok(Word::Write);
            }
            if scenario.near_duplicate.is_some() {
                *line = serde_json::to_string(&scenario).expect("a scenario is always valid JSON");
            }
        }
        if let Some(leaks) = &mut self.leaks {
            leaks.add(&scenario);
        }
        if let Some(rows) = &mut self.frozen {
            rows.insert(scenario.id.clone(), BlobId::of(scenario.opening.as_bytes()));
        }
        self.coverage.add(&scenario);
        self.coverage.measure(&scenario.opening);
        self.languages.add(&scenario.id, &scenario.opening);
        Ok(Word::Write)
    }
}

/// The suite that was frozen and its taxonomy, where the rows are those of the file.
fn frozen_of(generate: &Generate) -> Option<(&Path, &Expand)> {
    let Freeze { path, expand } = generate.freeze.as_ref()?;
    Some((path, expand.as_deref()?))
}

/// So many scenarios that differ from the taxonomy are named.
const DIFFERENT: usize = 10;

fn compare_frozen((path, expand): (&Path, &Expand), mut rows: BTreeMap<ScenarioId, BlobId>) -> FrozenSuite {
    let mut suite = FrozenSuite { file: path.display().to_string(), ..FrozenSuite::default() };
    let mut different = Vec::new();
    for Cell { scenario, brief, .. } in generate::cells(expand) {
        match rows.remove(&scenario.id) {
            None => suite.missing += 1,
            Some(opening) if brief.is_none() && opening != BlobId::of(scenario.opening.as_bytes()) => {
                suite.changed += 1;
            }
            Some(_) => continue,
        }
        different.push(scenario.id);
    }
    suite.extra = rows.len() as u64;
    different.extend(rows.into_keys());
    different.truncate(DIFFERENT);
    suite.first = different;
    suite
}

fn frozen_in_words(suite: &FrozenSuite) -> Option<String> {
    let FrozenSuite { file, missing, extra, changed, first } = suite;
    let first = first.first()?;
    Some(format!(
        "`{file}` is taken as it is, and the taxonomy is another by now: {missing} scenarios missing, {extra} no longer in it, \
         {changed} with another opening, the first is {first}; move the file away to make the suite anew"
    ))
}

/// Looks for the openings in the files that they should not stand in.
fn search(run: &Run<'_>, generate: &Generate, recipe: &Recipe, leaks: Leaks) -> Result<LeakReport, StageFailure> {
    let failed = |error: ScenarioFileError| failed_file(&error);
    let mut texts: Vec<generate::Texts> = Vec::new();
    for path in &generate.not_in {
        let shown = path.display().to_string();
        texts.push(generate::texts(&run.pipeline.root.join(path), &shown).map_err(failed)?);
    }
    let mut report = leaks.search(texts.into_iter().flatten()).map_err(failed)?;
    for path in &generate.not_in {
        let read = run.store.file_id(&run.pipeline.root.join(path)).map_err(StageFailure::from)?;
        check_unchanged(recipe, &read, path)?;
        report.files.push(path.display().to_string());
    }
    Ok(report)
}

fn leaks_in_words(report: &LeakReport) -> Option<String> {
    let stand = if report.leaked == 1 { "stands" } else { "stand" };
    (report.leaked > 0)
        .then(|| format!("{} {stand} in a file of `not_in`: see the report", count(report.leaked, "opening")))
}

pub(super) fn unlike(error: generate::UnlikeLengths) -> StageFailure {
    StageFailure::new(error.to_string(), Some("see that the server answers with one model at a time".to_owned()))
}

fn near_in_words(near: &NearDuplicates) -> String {
    let NearDuplicates { above, shingles, found, .. } = near;
    let [are, repeat] = if *found == 1 { ["scenario", "repeats"] } else { ["scenarios", "repeat"] };
    let by = [
        above.map(|above| format!("cosine {above} or more")),
        shingles.map(|share| format!("{share} of the shingles or more")),
    ];
    let by = by.into_iter().flatten().collect::<Vec<_>>().join(", or ");
    format!("{found} {are} nearly {repeat} an earlier one ({by}): see the report")
}

fn rejected_in_words(rejected: &Rejected) -> Option<String> {
    let missing = match rejected.missing {
        0 => String::new(),
        missing => format!(", {} left out for want of one", count(missing, "scenario")),
    };
    (rejected.all() > 0).then(|| format!("{} not taken{missing}: see the report", count(rejected.all(), "opening")))
}

pub(super) fn failed_file(error: &ScenarioFileError) -> StageFailure {
    StageFailure::new(error.to_string(), Some(error.help().to_owned()))
}
