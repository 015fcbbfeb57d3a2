//! The sentences that explain a comparison: with numbers, and where something is open, with what would settle it.

use super::contrast::Contrasted;
use super::corrected::{self, AsJudged};
use super::differences::Level;
use crate::data::{
    ComparisonVerdict, Contrast, CorrectedArm, CorrectedTarget, CriterionDifference, GateOutcome, LabelledArms,
    LabelsToShow, LostTopic, NoRegression, Noise, Quotes, RateDifference,
};
use crate::ids::GuardName;
use crate::spec::{Compare, Goal};
use crate::stage::correct::labelled_replies;
use crate::stats::FEWEST_CLUSTERS;
use crate::stats::text::{count, list, percents, points, round_percent, round_points, thousands};

/// Criteria that a sentence names at most.
const MOST_NAMED: usize = 4;

/// Why too few have a grade, and what to do; none where enough have one.
pub(super) fn ungraded(noun: &str, ungraded: u64, left_out: u64, all: u64, most: f64) -> Option<String> {
    let is_above = |part: u64| part as f64 / all.max(1) as f64 > most;
    let of = |part: u64| format!("{} of {}", thousands(part), count(all, noun));
    if is_above(ungraded) {
        return Some(format!(
            "{} lack a verdict, more than the {} allowed: mend the judge or the model that answers, then run again; calls \
             that were answered are not paid twice",
            of(ungraded),
            round_percent(most),
        ));
    }
    (is_above(left_out) || left_out >= all).then(|| {
        format!(
            "{} have no grade, more than the {} allowed: widen the criteria's `when` or lower the pass rule's \
             `min_applicable`",
            of(left_out),
            round_percent(most),
        )
    })
}

pub(super) fn untrusted(quotes: &Quotes) -> String {
    format!(
        "the judge cannot be trusted: {} of {} that it quotes from replies are not in them; let a stronger model judge",
        thousands(quotes.missing),
        count(quotes.found + quotes.missing, "passage"),
    )
}

/// `95 % interval +2.3 to +11.9 points`
fn interval(difference: &RateDifference, edges: &[f64]) -> String {
    let [lo, hi] = points([difference.lo, difference.hi], edges);
    format!("{} interval {lo} to {hi} points", round_percent(difference.confidence))
}

/// The target's sentences; the first is the verdict.
pub(super) fn target(compare: &Compare, found: &Contrasted, judged: AsJudged<'_>) -> Vec<String> {
    let mut sentences: Vec<String> = obstacle(found).into_iter().collect();
    let told = difference_sentence(compare, &found.contrast);
    match told {
        Some(told) if sentences.is_empty() => sentences.push(format!("{told}: {}", word(judged.verdict))),
        Some(told) => sentences.push(format!("{told}; {DECIDES_NOTHING}")),
        None => {}
    }
    if found.blocked.is_none() {
        sentences.extend(judged.held.map(|held| held_sentence("the target", found, held)));
    }
    sentences.extend(details(compare, found, judged.verdict));
    if sentences.is_empty() {
        sentences.push("there is nothing to compare".to_owned());
    }
    sentences
}

const DECIDES_NOTHING: &str = "that decides nothing";

/// What stands in the way of any verdict.
fn obstacle(found: &Contrasted) -> Option<String> {
    match &found.blocked {
        Some((_, why)) => Some(why.clone()),
        None => found.contrast.too_few_clusters.then(|| too_few(found)),
    }
}

/// What there is to say beside the verdict.
fn details(compare: &Compare, found: &Contrasted, verdict: ComparisonVerdict) -> Vec<String> {
    let contrast = &found.contrast;
    let mut sentences = Vec::new();
    if found.blocked.is_none() {
        sentences.extend(open(compare, contrast, verdict));
        sentences.extend(noise(contrast));
        sentences.extend(criteria(&contrast.criteria));
    }
    sentences.extend(pairing(contrast));
    sentences
}

/// The target's sentences where the judge's errors are taken out: the corrected difference first, then what the judge sees, then what
/// counts of both.
pub(super) fn corrected_target(
    compare: &Compare,
    found: &Contrasted,
    judged: AsJudged<'_>,
    corrected: &CorrectedTarget,
) -> Vec<String> {
    let verdict = corrected::verdict(compare, corrected);
    let mut sentences: Vec<String> = obstacle(found).or_else(|| distrust(corrected)).into_iter().collect();
    let decides = sentences.is_empty();
    let told = corrected_sentence(compare, corrected);
    sentences.push(if decides { format!("{told}: {}", word(verdict)) } else { format!("{told}; {DECIDES_NOTHING}") });
    let raw = difference_sentence(compare, &found.contrast);
    sentences.extend(raw.map(|raw| format!("{AS_JUDGED}: {raw}: {}", word(judged.verdict))));
    if decides {
        match judged.held {
            None => {
                let difference = &corrected.difference;
                let is_contrary = match judged.verdict {
                    ComparisonVerdict::Improved => difference.hi < 0.0,
                    ComparisonVerdict::Regressed => difference.lo > 0.0,
                    ComparisonVerdict::NoDifference | ComparisonVerdict::Inconclusive => false,
                };
                sentences.push(what_counts(claim(judged.verdict), Second::of(verdict == judged.verdict, is_contrary)));
            }
            Some(held) => {
                let left = corrected::holds(compare, corrected, held);
                sentences.push(corrected_held(&corrected.one_sided, held.margin, left));
                sentences.push(format!("{AS_JUDGED}: {}", held_sentence("the target", found, held)));
                sentences.push(if left == GateOutcome::Failed && !held.lost_topics.is_empty() {
                    "topics count as the judge sees them: one that was lost fails the target".to_owned()
                } else {
                    let by_interval = corrected::no_worse(&corrected.one_sided, held.margin);
                    let is_contrary = by_interval != GateOutcome::Inconclusive && by_interval != held.verdict;
                    what_counts(held_claim(held.verdict), Second::of(left == held.verdict, is_contrary))
                });
            }
        }
        sentences.extend(wanting(compare, judged, corrected));
    }
    sentences.extend(details(compare, found, judged.verdict));
    sentences
}

const AS_JUDGED: &str = "as the judge sees it, uncorrected";

/// Why the judge is not trusted, arm by arm unless it is the same of both.
fn distrust(corrected: &CorrectedTarget) -> Option<String> {
    let [base, new] = corrected.arms().map(|(_, arm)| arm.distrust.join("; "));
    match (base.as_str(), new.as_str()) {
        ("", "") => None,
        (one, other) if one == other => Some(format!("judge not trusted: {one}")),
        (one, "") => Some(format!("judge not trusted on the base: {one}")),
        ("", other) => Some(format!("judge not trusted on the new arm: {other}")),
        (one, other) => Some(format!("judge not trusted on the base: {one}; nor on the new arm: {other}")),
    }
}

fn corrected_sentence(compare: &Compare, corrected: &CorrectedTarget) -> String {
    let CorrectedTarget { base, new, difference, .. } = corrected;
    let (Some(point), Some(base_point), Some(new_point)) = (difference.point, base.rate.point, new.rate.point) else {
        let why = |(name, arm): &(&str, &CorrectedArm)| Some(format!("of {name}, {}", arm.unknown.as_ref()?));
        let unknown: Vec<String> = corrected.arms().iter().filter_map(why).collect();
        return format!("the judge's errors cannot be taken out: {}", list(&unknown, "and"));
    };
    let whose = |arm: &CorrectedArm| if arm.transported { ", made on another model's," } else { "" };
    let labels = format!(
        "{}{} for the base and {}{} for the new arm",
        labelled_replies(base.rate.labelled()),
        whose(base),
        thousands(new.rate.labelled()),
        whose(new),
    );
    let what = passes(point, [base_point, new_point], "");
    format!(
        "corrected for the judge's errors, as {labels} show them: {what} ({})",
        interval(difference, &[0.0, compare.min_improvement]),
    )
}

/// What a verdict says is shown; none where nothing is.
fn claim(verdict: ComparisonVerdict) -> Option<&'static str> {
    match verdict {
        ComparisonVerdict::Improved => Some("an improvement"),
        ComparisonVerdict::Regressed => Some("a loss"),
        ComparisonVerdict::NoDifference => Some("no difference that counts"),
        ComparisonVerdict::Inconclusive => None,
    }
}

fn held_claim(verdict: GateOutcome) -> Option<&'static str> {
    match verdict {
        GateOutcome::Passed => Some("no loss that counts"),
        GateOutcome::Failed => Some("a loss that counts"),
        GateOutcome::Inconclusive => None,
    }
}

/// Which of both intervals counts.
fn what_counts(claim: Option<&str>, corrected: Second) -> String {
    let rule = "what counts is what both intervals show";
    let Some(claim) = claim else { return format!("{rule}, and the judge's own shows nothing yet") };
    let second = match corrected {
        Second::TheSame => "and so does the corrected one",
        Second::TheContrary => "and the corrected one the contrary",
        Second::Neither => "and the corrected one does not",
    };
    format!("{rule}: the judge's shows {claim}, {second}")
}

/// What the corrected interval shows of what the judge's does.
#[derive(Debug, Clone, Copy)]
enum Second {
    TheSame,
    TheContrary,
    Neither,
}

impl Second {
    fn of(is_borne_out: bool, is_contrary: bool) -> Self {
        match (is_borne_out, is_contrary) {
            (true, _) => Self::TheSame,
            (false, true) => Self::TheContrary,
            (false, false) => Self::Neither,
        }
    }
}

/// What the corrected interval says of a target that is to be held.
fn corrected_held(difference: &RateDifference, margin: f64, left: GateOutcome) -> String {
    let word = match left {
        GateOutcome::Passed => "held",
        GateOutcome::Failed => "failed",
        GateOutcome::Inconclusive => "is open",
    };
    match moved(difference, margin) {
        None => format!("the target {word}: nothing is known of it without the judge's errors"),
        Some(moved) => {
            let margin = round_points(margin);
            format!("the target {word}: corrected, it {moved}, and a loss of up to {margin} points counts as none")
        }
    }
}

/// What would let the corrected interval show what the judge's does.
fn wanting(compare: &Compare, judged: AsJudged<'_>, corrected: &CorrectedTarget) -> Option<String> {
    let is_borne_out = match judged.held {
        Some(held) => corrected::holds(compare, corrected, held) == held.verdict,
        None => corrected::verdict(compare, corrected) == judged.verdict,
    };
    if is_borne_out {
        return None;
    }
    let transported: Vec<String> =
        corrected.arms().iter().filter(|(_, arm)| arm.transported).map(|(name, _)| (*name).to_owned()).collect();
    Some(match corrected.labels_needed {
        Some(LabelsToShow { edge: _, replies: Some(LabelledArms { base, new }) }) => format!(
            "if both rates stay where they are, about {} of the base and {} of the new arm would make the corrected interval \
             show it too",
            labelled_replies(base),
            thousands(new),
        ),
        Some(LabelsToShow { edge: _, replies: None }) => {
            "labels alone would not make the corrected interval show it: more scenarios are needed too".to_owned()
        }
        None if !transported.is_empty() => format!(
            "labels on the replies of {} themselves would narrow the interval, and tell whether the judge favours an arm",
            list(&transported, "and"),
        ),
        None => "more labels would not change that unless the corrected rates move".to_owned(),
    })
}

fn word(verdict: ComparisonVerdict) -> &'static str {
    match verdict {
        ComparisonVerdict::Improved => "improved",
        ComparisonVerdict::Regressed => "regressed",
        ComparisonVerdict::NoDifference => "no difference that counts",
        ComparisonVerdict::Inconclusive => "inconclusive",
    }
}

fn difference_sentence(compare: &Compare, contrast: &Contrast) -> Option<String> {
    let point = contrast.difference.point?;
    let rows = if contrast.counts.pairs > contrast.counts.scenarios { "answer" } else { "scenario" };
    let of = if contrast.paired { count(contrast.counts.pairs, rows) } else { "its own scenarios".to_owned() };
    let what = passes(point, [contrast.base.point?, contrast.new.point?], &format!(" of {of}"));
    Some(format!("{what} ({})", interval(&contrast.difference, &[0.0, compare.min_improvement])))
}

/// `the new arm passes 15.0 points more of 200 scenarios than the base, 75.0 % after 60.0 %`
fn passes(point: f64, rates: [f64; 2], of: &str) -> String {
    let [base, new] = percents(rates, &[]);
    let [shown] = points([point.abs()], &[]);
    let (shown, more) = (shown.trim_start_matches('+'), if point < 0.0 { "fewer" } else { "more" });
    if point.abs() < 1e-12 {
        format!("the new arm passes as many{of} as the base, {new} %")
    } else {
        format!("the new arm passes {shown} points {more}{of} than the base, {new} % after {base} %")
    }
}

/// What clusters there are too few of.
fn too_few(found: &Contrasted) -> String {
    let (noun, way) = match found.level {
        Level::Topic => ("topic", "; where scenarios of one topic are as unlike as any others, say `cluster: none`"),
        Level::Row | Level::Scenario => ("scenario", ""),
    };
    format!("{} are too few to decide on: have {FEWEST_CLUSTERS} or more{way}", count(found.clusters, noun))
}

/// What is missing to a verdict.
fn open(compare: &Compare, contrast: &Contrast, verdict: ComparisonVerdict) -> Vec<String> {
    let mut sentences = Vec::new();
    let difference = &contrast.difference;
    if compare.goal == Goal::Improve && compare.min_improvement > 0.0 && verdict != ComparisonVerdict::Improved {
        let least = round_points(compare.min_improvement);
        sentences.push(format!(
            "an improvement is one whose whole interval lies above {least} points, and this one's does not"
        ));
    }
    let is_open = verdict == ComparisonVerdict::Inconclusive && !contrast.too_few_clusters;
    if let (true, Some(needed), Some(_)) = (is_open, contrast.scenarios_needed, difference.point) {
        sentences.push(format!("if there is a difference of this size, {} would show it", count(needed, "scenario")));
    }
    sentences
}

fn noise(contrast: &Contrast) -> Option<String> {
    let point = contrast.difference.point?;
    let [shown] = points([point], &[]);
    let rows = if contrast.paired { contrast.counts.pairs } else { contrast.difference.n };
    let visible = contrast.detectable.map(|least| {
        let [least] = points([least], &[]);
        format!(
            "{} show reliably only differences of {} points or more",
            count(rows, "row"),
            least.trim_start_matches('+')
        )
    });
    match (contrast.noise?, visible) {
        (Noise::IncludesZero, Some(visible)) => {
            Some(format!("a difference of {shown} points is noise here: its interval includes 0, and {visible}"))
        }
        (Noise::IncludesZero, None) => {
            Some(format!("a difference of {shown} points is noise here: its interval includes 0"))
        }
        (Noise::BelowDetectable, visible) => {
            let visible = visible.unwrap_or_else(|| "so few rows that differ show no difference reliably".to_owned());
            Some(format!(
                "the size of the difference is noise: {visible}, so expect a smaller one with other scenarios"
            ))
        }
    }
}

/// Criteria that moved, surely.
fn criteria(criteria: &[CriterionDifference]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (is_gain, word) in [(false, "lost"), (true, "gained")] {
        let moved: Vec<String> = criteria
            .iter()
            .filter(|one| one.significant && one.difference.point.is_some_and(|point| (point > 0.0) == is_gain))
            .take(MOST_NAMED)
            .map(|one| {
                let [shown] = points([one.difference.point.unwrap_or(0.0).abs()], &[]);
                format!("`{}` {word} {} points", one.criterion, shown.trim_start_matches('+'))
            })
            .collect();
        if !moved.is_empty() {
            sentences.push(format!("by criterion: {}", list(&moved, "and")));
        }
    }
    sentences
}

/// What is not in the comparison.
fn pairing(contrast: &Contrast) -> Vec<String> {
    let counts = &contrast.counts;
    let mut sentences = Vec::new();
    let alone = counts.only_base + counts.only_new + counts.changed;
    if !contrast.paired && (alone > 0 || counts.pairs == 0) {
        sentences.push(format!(
            "the arms are about other scenarios ({} with other content, {} of the base alone, {} of the new arm alone), so they \
             are compared as two samples, which sees less: let both read one `generate` stage",
            thousands(counts.changed),
            thousands(counts.only_base),
            thousands(counts.only_new),
        ));
    } else if alone > 0 {
        sentences.push(format!("{} without a counterpart left out", count(alone, "row")));
    }
    let left_out = counts.ungraded.all() + counts.invalid.all();
    if contrast.paired && left_out > 0 {
        let by = |base: u64, new: u64, both: u64| {
            format!(
                "{} with the base alone, {} with the new arm alone, {} with both",
                thousands(base),
                thousands(new),
                thousands(both)
            )
        };
        let [ungraded, invalid] = [counts.ungraded, counts.invalid];
        sentences.push(format!(
            "{} without a grade left out: {}",
            count(left_out, "pair"),
            by(ungraded.base + invalid.base, ungraded.new + invalid.new, ungraded.both + invalid.both),
        ));
    }
    sentences
}

/// A guard's sentence.
pub(super) fn guard(name: &GuardName, found: &Contrasted, gate: &NoRegression) -> String {
    held_sentence(&format!("guard `{name}`"), found, gate)
}

/// `lost 1.3 points (90 % interval −4.0 to +1.4 points)`; none where nothing is known.
fn moved(difference: &RateDifference, margin: f64) -> Option<String> {
    let point = difference.point?;
    let [shown] = points([point.abs()], &[]);
    let moved = match () {
        () if point.abs() < 1e-12 => "neither gained nor lost".to_owned(),
        () if point < 0.0 => format!("lost {} points", shown.trim_start_matches('+')),
        () => format!("gained {} points", shown.trim_start_matches('+')),
    };
    Some(format!("{moved} ({})", interval(difference, &[0.0, -margin])))
}

fn held_sentence(what: &str, found: &Contrasted, gate: &NoRegression) -> String {
    let margin = round_points(gate.margin);
    if let Some((_, why)) = &found.blocked {
        return format!("{what} is open: {why}");
    }
    let Some(numbers) = moved(&gate.difference, gate.margin) else {
        return format!("{what} is open: there is nothing to compare");
    };
    match gate.verdict {
        GateOutcome::Passed if gate.small_loss => {
            format!("{what} held: it {numbers}, a small but real loss within the {margin} points that count as none")
        }
        GateOutcome::Passed => format!("{what} held: it {numbers}, and a loss of up to {margin} points counts as none"),
        GateOutcome::Failed => match gate.lost_topics.as_slice() {
            [] => format!(
                "{what} failed: it {numbers}, and only a loss of up to {margin} points counts as none: forgetting"
            ),
            lost => format!("{what} failed: it {numbers}, and {}: forgetting", lost_topics(lost)),
        },
        GateOutcome::Inconclusive => format!("{what} is open: it {numbers}{}", why_open(found, gate, &margin)),
    }
}

fn lost_topics(lost: &[LostTopic]) -> String {
    let topics: Vec<String> = lost
        .iter()
        .take(MOST_NAMED)
        .map(|topic| {
            format!("`{}` lost {} and gained {}", topic.topic, thousands(topic.losses), thousands(topic.gains))
        })
        .collect();
    format!("more than chance explains, {}", list(&topics, "and"))
}

fn why_open(found: &Contrasted, gate: &NoRegression, margin: &str) -> String {
    if found.contrast.too_few_clusters {
        return format!("; {}", too_few(found));
    }
    let needed = gate.scenarios_needed.map(|needed| format!("; {} would", count(needed, "scenario")));
    let needed = needed.unwrap_or_default();
    match gate.margin_supported {
        Some(supported) if supported > gate.margin => {
            let [supported] = points([supported], &[gate.margin]);
            format!(
                ", but so few rows can prove no loss of less than {} points, and {margin} were asked for{needed}",
                supported.trim_start_matches('+'),
            )
        }
        _ => format!(", which neither rules out a loss of {margin} points nor shows one{needed}"),
    }
}
