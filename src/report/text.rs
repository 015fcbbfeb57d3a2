//! Texts that nobody here wrote, made safe to show; and how numbers stand in a report.

use crate::data::{CorrectedRate, FailedIn, Measured, Rate, Thresholds};
use crate::ids::ScenarioId;
use crate::stats::text::{list, percents, round_percent, thousands};

/// Characters that order text anew and could make it read as what it is not.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The lines that are not blank, trimmed; what could move a cursor or turn the direction of reading shows as `�`.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.split(ends_line)
        .map(|line| {
            let shown = line.trim().chars().map(|c| match c {
                '\t' => ' ',
                c if c.is_control() || reorders(c) => char::REPLACEMENT_CHARACTER,
                c => c,
            });
            shown.collect::<String>()
        })
        .filter(|line| !line.is_empty())
        .collect()
}

/// The text in one line.
pub(super) fn one_line(text: &str) -> String {
    lines(text).join(" ")
}

/// The beginning of the text, at most `most` characters and a mark, ended at a word if one ends near.
pub(super) fn excerpt(text: &str, most: usize) -> String {
    let text = text.trim();
    let Some((end, _)) = text.char_indices().nth(most) else {
        return text.to_owned();
    };
    let start = &text[..end];
    let word = start.rfind(char::is_whitespace).filter(|place| place * 5 >= end * 4).unwrap_or(end);
    format!("{} …", start[..word].trim_end())
}

/// `61.1 % (47.8–73.0 %)`; a dash where nothing was graded. `n` stands beside it.
pub(super) fn rate(rate: &Rate) -> String {
    within(rate.point, rate.lo, rate.hi)
}

/// The same of a rate without the judge's errors; a dash where it is not known.
pub(super) fn corrected_rate(rate: &CorrectedRate) -> String {
    within(rate.point, rate.lo, rate.hi)
}

fn within(point: Option<f64>, lo: f64, hi: f64) -> String {
    let Some(point) = point else { return dash() };
    let [point, lo, hi] = percents([point, lo, hi], &[]);
    format!("{point} % ({lo}–{hi} %)")
}

/// `61.1 % (47.8–73.0 %)` of a share that is no pass rate; a dash for none.
pub(super) fn share(measured: Option<Measured>) -> String {
    measured.map_or_else(dash, |Measured { point, lo, hi }| within(Some(point), lo, hi))
}

/// `0.70 (0.61–0.80)`, `0.02 (−0.03 to 0.06)`; a dash for none.
pub(super) fn coefficient(measured: Option<Measured>) -> String {
    let number = |value: f64| {
        let text = format!("{value:.2}").replace('-', "−");
        if text == "−0.00" { "0.00".to_owned() } else { text }
    };
    measured.map_or_else(dash, |Measured { point, lo, hi }| {
        let lo = number(lo);
        let to = if lo.starts_with('−') { " to " } else { "–" };
        format!("{} ({lo}{to}{})", number(point), number(hi))
    })
}

/// What stands for a number that is not there.
pub(super) fn dash() -> String {
    "–".to_owned()
}

/// `0.102`, `< 0.001`.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// `1 reply`, `54 replies`.
pub(super) fn replies(number: u64) -> String {
    if number == 1 { "1 reply".to_owned() } else { format!("{} replies", thousands(number)) }
}

/// `` `sleep/waking/terse` ``, and which of several answers to it where it is not the first.
pub(super) fn reply_name(scenario: &ScenarioId, repetition: u32) -> String {
    match repetition {
        0 => format!("`{scenario}`"),
        repetition => format!("`{scenario}`, answer {}", repetition + 1),
    }
}

/// `anxiety 5 of 9, grief 2 of 7`: at most `most` groups, and how many there are beside these.
pub(super) fn failed_in(groups: &[FailedIn], most: usize) -> String {
    let mut texts: Vec<String> = groups
        .iter()
        .take(most)
        .map(|group| format!("{} {} of {}", group.name, thousands(group.failed), thousands(group.graded)))
        .collect();
    let rest = &groups[texts.len()..];
    if !rest.is_empty() {
        let failed: u64 = rest.iter().map(|group| group.failed).sum();
        texts.push(format!("{} in {} more", thousands(failed), rest.len()));
    }
    list(&texts, "and")
}

/// The interval on a line from 0 to 1 of so many cells, and under it what stands where.
///
/// `━` is inside the interval, `●` the rate; a threshold is `╋` where the interval spans it and `┼` where it does not.
pub(super) fn bar(rate: &Rate, thresholds: &Thresholds, cells: usize) -> [String; 2] {
    let cell = |share: f64| (1..cells).filter(|index| *index as f64 / cells as f64 <= share).count();
    let mut line: Vec<char> =
        (0..cells).map(|index| if (cell(rate.lo)..=cell(rate.hi)).contains(&index) { '━' } else { '─' }).collect();
    let mut labels = vec![' '; cells];
    let mut label = |text: &str, start: usize| {
        let end = start + text.chars().count();
        // A label gives way to one that is already there.
        if end <= cells && labels[start.saturating_sub(1)..(end + 1).min(cells)].iter().all(|c| *c == ' ') {
            labels.splice(start..end, text.chars());
        }
    };
    for threshold in [thresholds.deploy, thresholds.fine_tune] {
        let spanned = rate.lo < threshold && threshold <= rate.hi;
        line[cell(threshold)] = if spanned { '╋' } else { '┼' };
        let text = round_percent(threshold);
        label(&text, cell(threshold).saturating_sub(text.chars().count() / 2));
    }
    if let Some(point) = rate.point {
        line[cell(point)] = '●';
    }
    label("0 %", 0);
    label("100 %", cells.saturating_sub(5));
    [line, labels].map(|chars| chars.into_iter().collect::<String>().trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_lose_what_could_deceive() {
        for (text, expected) in [
            ("a\r\nb\n\n  c\rd", "a b c d"),
            ("\u{1b}[31mred\u{7}", "�[31mred�"),
            ("a\tb\u{202e}c\u{2028}d", "a b�c d"),
            ("👩‍🚀 שלום", "👩‍🚀 שלום"),
            (" \n ", ""),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }

    #[test]
    fn excerpts_end_at_a_word_if_one_is_near() {
        for (text, most, expected) in [
            ("short", 5, "short"),
            ("one two three", 8, "one two …"),
            ("one twothreefour", 12, "one twothree …"),
            ("éééé", 2, "éé …"),
        ] {
            assert_eq!(excerpt(text, most), expected);
        }
    }

    #[test]
    fn the_bar_says_what_the_decision_says() {
        let thresholds = Thresholds { deploy: 0.7, fine_tune: 0.5 };
        for (point, lo, hi, line) in [
            (Some(0.61), 0.48, 0.73, "───────────────────━╋━━━●━━━╋━──────────"),
            // So near to the threshold that both are in one cell: still not spanned.
            (Some(0.84), 0.701, 0.917, "────────────────────┼───────┼━━━━●━━━───"),
            (None, 0.0, 1.0, "━━━━━━━━━━━━━━━━━━━━╋━━━━━━━╋━━━━━━━━━━━"),
        ] {
            let rate =
                Rate { point, lo, hi, confidence: 0.95, method: "wilson".to_owned(), passed: 0, n: 0, clustered: None };
            assert_eq!(bar(&rate, &thresholds, 40), [line, "0 %               50 %    70 %     100 %"]);
        }
    }

    #[test]
    fn groups_in_words() {
        let group = |name: &str, failed| FailedIn { name: name.to_owned(), failed, graded: 9 };
        let groups = [group("a", 5), group("b", 2), group("c", 1), group("d", 1)];
        assert_eq!(failed_in(&groups[..1], 3), "a 5 of 9");
        assert_eq!(failed_in(&groups, 2), "a 5 of 9, b 2 of 9 and 2 in 2 more");
        assert_eq!(failed_in(&[], 2), "");
    }

    #[test]
    fn coefficients_below_zero_keep_their_sign_apart() {
        let shown = |point, lo, hi| coefficient(Some(Measured { point, lo, hi }));
        assert_eq!(shown(0.7, 0.614, 0.8), "0.70 (0.61–0.80)");
        assert_eq!(shown(-0.02, -0.18, 0.15), "−0.02 (−0.18 to 0.15)");
        assert_eq!(shown(-1.0, -1.0, -0.5), "−1.00 (−1.00 to −0.50)");
        assert_eq!(shown(0.0, -0.001, 0.001), "0.00 (0.00–0.00)");
        assert_eq!(coefficient(None), "–");
    }
}
