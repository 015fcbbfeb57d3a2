//! What to do now: the steps that follow from a decision.

use super::calibrated::{self, StageCalibration};
use super::failure_modes::{pair, returns, to_collect};
use super::model::{CriterionText, NextStep};
use super::models;
use super::text::{failed_in, one_line, reply_name};
use crate::data::{CriterionSummary, Decision, FailureMode, GroupSummary, Outcome, Remedy, ReviewReason};
use crate::ids::{CriterionId, StageId};
use crate::spec;
use crate::stats::FEWEST_CLUSTERS;
use crate::stats::text::{count, list, round_percent, thousands};

/// Criteria that a step names at most.
const CRITERIA: usize = 5;

/// Topics that a point names at most.
const TOPICS: usize = 4;

/// Where the scenarios come from.
#[derive(Debug)]
pub(super) struct Suite {
    stage: StageId,
    taxonomy: String,
    /// Scenarios that the taxonomy has when each cell is taken once.
    cells: usize,
}

impl Suite {
    /// What a stage expands; none where it reads a file, which has no cells to fill.
    pub(super) fn of(stage: &StageId, generate: &spec::Generate) -> Option<Self> {
        let generate = generate.expand()?;
        let taxonomy = &generate.taxonomy;
        let cells = taxonomy.edge_cases.len() + spec::Grid::new(taxonomy, &generate.styles).allowed().count();
        Some(Self { stage: stage.clone(), taxonomy: taxonomy.name.clone(), cells })
    }
}

/// What the steps may name besides the decision.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) criteria: &'a [CriterionText],
    pub(super) suite: Option<Suite>,
    /// The model next in line, and what a `pull` writes to get it.
    pub(super) backup: Option<(String, String)>,
    pub(super) file: &'a str,
    pub(super) calibrations: &'a [StageCalibration],
}

/// The steps that follow from the decision, the most urgent first; never empty.
pub(super) fn next_steps(decision: Option<&Decision>, context: &Context<'_>) -> Vec<NextStep> {
    let Some(decision) = decision else {
        return vec![step("Add a `decide` stage that reads the verdicts, and run the pipeline.", Vec::new())];
    };
    let mut steps = match decision.outcome {
        Outcome::Deploy => deploy(decision, context),
        Outcome::FineTune => fine_tune(decision, context),
        Outcome::FullPipeline => full_pipeline(decision, context),
        Outcome::Inconclusive => calibrated::next_steps(decision, context.calibrations, context.file)
            .unwrap_or_else(|| inconclusive(decision, context)),
        Outcome::Blocked => blocked(decision),
    };
    let first_step = |other: &Decision| next_steps(Some(other), context).into_iter().next();
    steps.splice(0..0, models::settle_backup(decision, first_step));
    steps
}

fn step(text: impl Into<String>, points: Vec<String>) -> NextStep {
    NextStep { text: text.into(), points, checklist: false, yaml: None }
}

fn failing(decision: &Decision) -> impl Iterator<Item = &CriterionSummary> {
    decision.criteria.iter().filter(|criterion| criterion.failed > 0)
}

/// `no-lists` fails in 12 of 54 replies: anxiety 7 of 18 and grief 5 of 18
fn failures(criterion: &CriterionSummary) -> String {
    let critical = if criterion.critical { " (critical)" } else { "" };
    let [failed, graded] = [criterion.failed, criterion.rate.n].map(thousands);
    let topics = failed_in(&criterion.failed_topics, TOPICS);
    format!("`{}`{critical} fails in {failed} of {graded} replies: {topics}", criterion.criterion)
}

fn deploy(decision: &Decision, context: &Context<'_>) -> Vec<NextStep> {
    let mut watch: Vec<String> = failing(decision).take(CRITERIA).map(failures).collect();
    watch.extend(weakest(&decision.topics).map(|topic| {
        let [passed, n] = [topic.rate.passed, topic.rate.n].map(thousands);
        format!("the topic with the lowest rate is {}: {passed} of {n} pass", topic.name)
    }));
    let mut steps = vec![NextStep {
        checklist: true,
        ..step(
            format!(
                "Have a person read the review sheet and sign off each reply, with `evalflow label --review {}` or on paper: a \
                 pass rate does not say what an accepted failure costs.",
                context.file
            ),
            review_sheet(decision),
        )
    }];
    if !watch.is_empty() {
        steps.push(step("Watch in production what still fails here.", watch));
    }
    steps.push(freeze(context));
    steps
}

/// The replies that are on the sheet for what is wrong with them.
fn review_sheet(decision: &Decision) -> Vec<String> {
    let names =
        |criteria: &[CriterionId]| list(&criteria.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>(), "and");
    let Some(sheet) = &decision.review_sheet else { return Vec::new() };
    let named = sheet.items.iter().filter(|item| item.why == ReviewReason::Worst);
    let mut points: Vec<String> = named
        .map(|item| {
            let failed = if item.failed.is_empty() { "no criterion".to_owned() } else { names(&item.failed) };
            format!("{}: score {:.2}, fails {failed}", reply_name(&item.scenario, item.repetition), item.score)
        })
        .collect();
    let others = (sheet.items.len() - points.len()) as u64;
    if others > 0 {
        points.push(format!("{} more: on the edge of the pass rule, or drawn at random", thousands(others)));
    }
    points
}

/// The group with the lowest pass rate, the first by name among equals; none if all pass.
fn weakest(groups: &[GroupSummary]) -> Option<&GroupSummary> {
    let rated = groups.iter().filter_map(|group| Some((group, group.rate.point?)));
    let (group, point) = rated.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (point < 1.0).then_some(group)
}

fn freeze(context: &Context<'_>) -> NextStep {
    step(
        format!(
            "Freeze this run with `evalflow bless {}` and commit the lock: later changes are held against it.",
            context.file
        ),
        Vec::new(),
    )
}

fn fine_tune(decision: &Decision, context: &Context<'_>) -> Vec<NextStep> {
    let mut steps = mending(decision, context);
    steps.extend([
        step(
            "Keep these scenarios, and close variants of them, out of the training data: otherwise the next run measures \
             memory.",
            Vec::new(),
        ),
        freeze(context),
        step("Fine-tune, point `pull` at the new weights and run the same pipeline again.", Vec::new()),
    ]);
    steps
}

/// What to collect, and what to mend without data; what returns most comes first.
fn mending(decision: &Decision, context: &Context<'_>) -> Vec<NextStep> {
    let Some(found) = &decision.failure_modes else { return Vec::new() };
    let modes = found.modes.iter().take(CRITERIA);
    let (system, data): (Vec<&FailureMode>, Vec<&FailureMode>) =
        modes.partition(|mode| mode.remedy == Remedy::Architecture);
    let mut steps = Vec::new();
    if !data.is_empty() {
        let point = |mode: &&FailureMode| {
            let what = to_collect(mode, context.criteria).join("; and ");
            format!("{}; collect {what}", returns(mode, found.failed))
        };
        let points = data.iter().map(point).collect();
        steps.push(step("Collect training data for what returns most: replies that meet each criterion.", points));
    }
    if !system.is_empty() {
        let point = |mode: &&FailureMode| {
            let clue = mode.clues.iter().find(|clue| clue.speaks_for == Remedy::Architecture);
            let clue = clue.map(|clue| format!("; {}", clue.text)).unwrap_or_default();
            format!("{}{clue}", returns(mode, found.failed))
        };
        let text = "Mend these without training data first, by the prompt, the template, constrained output or decoding: what is \
                    known speaks for the system around the model.";
        steps.push(step(text, system.iter().map(point).collect()));
    }
    if !found.pairs.is_empty() {
        let text = "No criterion alone reaches the deploy threshold: plan for two at a time.";
        steps.push(step(text, found.pairs.iter().map(pair).collect()));
    }
    steps
}

fn full_pipeline(decision: &Decision, context: &Context<'_>) -> Vec<NextStep> {
    let mut cheap = vec![
        "read the worst replies: a wrong chat template, a truncated reply or a system prompt that is not followed \
         fails many criteria at once"
            .to_owned(),
        "change the system prompt and run again: only the answers and verdicts are new".to_owned(),
    ];
    let backup = context.backup.as_ref().filter(|_| decision.other.is_none());
    cheap.extend(backup.map(|(model, pull)| format!("try the backup, {}: `{pull}`", one_line(model))));
    let mut steps = vec![step("Rule out the cheap causes before any training.", cheap)];
    steps.push(step(
        "Then plan the full pipeline: collect and check data, train, evaluate with this same pipeline. Start from what \
         returns most.",
        Vec::new(),
    ));
    steps.extend(mending(decision, context));
    steps.push(step("Keep these scenarios out of all training data.", Vec::new()));
    steps
}

fn inconclusive(decision: &Decision, context: &Context<'_>) -> Vec<NextStep> {
    let mut steps: Vec<NextStep> = more_clusters(decision).into_iter().collect();
    steps.extend(more_scenarios(decision, context.suite.as_ref()));
    let hopeless: Vec<String> = decision
        .more
        .iter()
        .filter(|more| more.scenarios.is_none())
        .map(|more| round_percent(more.threshold))
        .collect();
    if !hopeless.is_empty() {
        steps.push(step(
            format!(
                "The rate lies on the threshold of {}: more scenarios alone will not settle that. Take the cautious side, \
                 or improve the prompt and measure again.",
                list(&hopeless, "and")
            ),
            Vec::new(),
        ));
    }
    steps.push(step(
        "Choose the number once and look once: adding a few scenarios and looking again until the outcome pleases is wrong \
         more often than the interval says.",
        Vec::new(),
    ));
    steps
}

/// What to do about too few clusters.
fn more_clusters(decision: &Decision) -> Option<NextStep> {
    let clusters = decision.rate.clustered?.clusters.filter(|clusters| *clusters < FEWEST_CLUSTERS)?;
    let name = decision.cluster.as_deref().unwrap_or("topic");
    let text = if name == "topic" {
        format!("Add topics: there are {clusters}, and {FEWEST_CLUSTERS} is the least that can decide.")
    } else {
        format!("Add values of `{name}`: there are {clusters}, and {FEWEST_CLUSTERS} is the least that can decide.")
    };
    let points = vec![
        "if the topics are all that there is, and their scenarios are independent, say so: `decide: { cluster: none }`"
            .to_owned(),
        "if only this very suite matters, say so: `decide: { target: suite }`".to_owned(),
    ];
    Some(step(text, points))
}

/// How many scenarios would settle all that can be settled, and how to ask for them.
fn more_scenarios(decision: &Decision, suite: Option<&Suite>) -> Option<NextStep> {
    let graded = decision.more.iter().filter_map(|more| more.scenarios).max()?;
    let counts = decision.counts;
    let total = counts.scenarios.unwrap_or(counts.total);
    let n = decision.rate.clustered.map_or(decision.rate.n, |clustered| clustered.scenarios);
    // Some scenarios of the next run will go without a grade too, as they did in this one.
    let needed = graded.saturating_mul(total).div_ceil(n.max(1));
    let more = needed.saturating_sub(total);
    let text = format!(
        "Add {}, {} in all: that many settle it if the rate stays where it is.",
        count(more, "scenario"),
        thousands(needed)
    );
    let Some(suite) = suite else {
        return Some(step(text, Vec::new()));
    };
    let mut points = Vec::new();
    if needed > suite.cells as u64 {
        points.push(format!(
            "the taxonomy {} has {} ({} short): add subtopics, styles or edge cases, or let a `writer` fill each cell more \
             than once",
            one_line(&suite.taxonomy),
            count(suite.cells as u64, "cell"),
            thousands(needed - suite.cells as u64),
        ));
    }
    if let (Some(name), Some(clusters)) =
        (&decision.cluster, decision.more.iter().filter_map(|more| more.clusters).max())
    {
        points.push(format!(
            "spread them over {}, {clusters} in all: more of the same say less each",
            if name == "topic" { "more topics".to_owned() } else { format!("more values of `{}`", one_line(name)) },
        ));
    }
    points.push("scenarios that were answered and judged already are not paid again".to_owned());
    let yaml = format!("stages:\n  {}:\n    generate:\n      count: {needed}  # now {total}", suite.stage);
    Some(NextStep { yaml: Some(yaml), ..step(text, points) })
}

fn blocked(decision: &Decision) -> Vec<NextStep> {
    if decision.counts.total == 0 {
        return vec![step("Add topics or edge cases to the taxonomy: there are no scenarios to answer.", Vec::new())];
    }
    if decision.quotes.untrusted {
        return vec![step(
            "Declare a stronger judge under `models:`, name it in the `judge` stage and run again: replies are kept, only \
             the verdicts are asked anew.",
            Vec::new(),
        )];
    }
    let mut ungraded: Vec<&CriterionSummary> = decision.criteria.iter().filter(|c| c.ungraded > 0).collect();
    ungraded.sort_by_key(|criterion| std::cmp::Reverse(criterion.ungraded));
    let points: Vec<String> = ungraded
        .iter()
        .take(CRITERIA)
        .map(|criterion| {
            let verdicts = criterion.ungraded + criterion.rate.n;
            format!(
                "`{}`: {} of {} missing",
                criterion.criterion,
                thousands(criterion.ungraded),
                count(verdicts, "verdict")
            )
        })
        .collect();
    let text = if decision.counts.ungraded == 0 {
        "Mend the rubric: too few of its criteria apply to any scenario. Widen their `when`, or lower `min_applicable`."
    } else {
        "Mend the judge, or the model where replies are missing, and run again: the run is not fit to decide on, whatever \
         its rate."
    };
    let mut steps = vec![step(text, points)];
    if decision.counts.ungraded > 0 {
        steps.push(step(
            "Do not raise `max_ungraded` to get a decision: replies that a judge cannot grade are seldom like the others.",
            Vec::new(),
        ));
    }
    steps
}
