//! The sentences that explain a comparison: with numbers, and where something is open, with what would settle it.

use super::contrast::Contrasted;
use super::differences::{FEWEST_CLUSTERS, Level};
use crate::data::{
    ComparisonVerdict, Contrast, CriterionDifference, GateOutcome, LostTopic, NoRegression, Noise, Quotes,
    RateDifference,
};
use crate::ids::GuardName;
use crate::spec::{Compare, Goal};
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
pub(super) fn target(
    compare: &Compare,
    found: &Contrasted,
    verdict: ComparisonVerdict,
    held: Option<&NoRegression>,
) -> Vec<String> {
    let contrast = &found.contrast;
    let mut sentences = Vec::new();
    match (&found.blocked, contrast.difference.point) {
        (Some((_, why)), _) => sentences.push(why.clone()),
        (None, _) if contrast.too_few_clusters => sentences.push(too_few(found)),
        (None, _) => {}
    }
    let told = difference_sentence(compare, contrast);
    match told {
        Some(told) if sentences.is_empty() => sentences.push(format!("{told}: {}", word(verdict))),
        Some(told) => sentences.push(format!("{told}; that decides nothing")),
        None => {}
    }
    if found.blocked.is_none() {
        sentences.extend(held.map(|held| held_sentence("the target", found, held)));
        sentences.extend(open(compare, contrast, verdict));
        sentences.extend(noise(contrast));
        sentences.extend(criteria(&contrast.criteria));
    }
    sentences.extend(pairing(contrast));
    if sentences.is_empty() {
        sentences.push("there is nothing to compare".to_owned());
    }
    sentences
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
    let edges = [0.0, compare.min_improvement];
    let [shown] = points([point.abs()], &[]);
    let (shown, more) = (shown.trim_start_matches('+'), if point < 0.0 { "fewer" } else { "more" });
    let [base, new] = percents([contrast.base.point?, contrast.new.point?], &[]);
    let rows = if contrast.counts.pairs > contrast.counts.scenarios { "answer" } else { "scenario" };
    let of = if contrast.paired { count(contrast.counts.pairs, rows) } else { "its own scenarios".to_owned() };
    let what = if point.abs() < 1e-12 {
        format!("the new arm passes as many of {of} as the base, {new} %")
    } else {
        format!("the new arm passes {shown} points {more} of {of} than the base, {new} % after {base} %")
    };
    Some(format!("{what} ({})", interval(&contrast.difference, &edges)))
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

fn held_sentence(what: &str, found: &Contrasted, gate: &NoRegression) -> String {
    let difference = &gate.difference;
    let margin = round_points(gate.margin);
    if let Some((_, why)) = &found.blocked {
        return format!("{what} is open: {why}");
    }
    let Some(point) = difference.point else { return format!("{what} is open: there is nothing to compare") };
    let [shown] = points([point.abs()], &[]);
    let moved = match () {
        () if point.abs() < 1e-12 => "neither gained nor lost".to_owned(),
        () if point < 0.0 => format!("lost {} points", shown.trim_start_matches('+')),
        () => format!("gained {} points", shown.trim_start_matches('+')),
    };
    let numbers = format!("{moved} ({})", interval(difference, &[0.0, -gate.margin]));
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
