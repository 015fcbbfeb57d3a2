//! The columns evalflow knows: what their cells may hold, which way is better, and how large a difference must be to mean
//! something. Any other column is text until a profile prefers it.

/// What the cells of a column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A finite number.
    Score,
    /// A finite number, not below 0.
    Amount,
    /// A whole number, not below 0.
    Count,
    /// `yes` or `no`.
    Flag,
    /// `yes`, `no` or `unknown`.
    Answer,
    /// 64 hexadecimal digits.
    Sha256,
}

/// A column that evalflow knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its name in the header.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// Smallest difference of two models' scores that is more than sampling noise: 95 %, unpaired, in points of the
    /// column, at the accuracies usual there. From the number of items of the benchmark; where the leaderboard's column is
    /// normalised against chance `c`, divided by `1 - c`, as a root mean square over the tasks where they differ in `c`.
    pub(super) noise: Option<f64>,
}

const fn known(name: &'static str, kind: Kind) -> Known {
    Known { name, kind, noise: None }
}

const fn benchmark(name: &'static str, noise: f64) -> Known {
    Known { name, kind: Kind::Score, noise: Some(noise) }
}

const COLUMNS: &[Known] = &[
    known("params_b", Kind::Amount),
    known("active_params_b", Kind::Amount),
    known("license_commercial", Kind::Answer),
    known("context", Kind::Count),
    known("official", Kind::Flag),
    known("reasoning", Kind::Flag),
    known("primary", Kind::Flag),
    known("hf_downloads", Kind::Count),
    known("layers", Kind::Count),
    known("kv_heads", Kind::Count),
    known("head_dim", Kind::Count),
    known("hidden_size", Kind::Count),
    known("vocab_size", Kind::Count),
    known("price_in", Kind::Amount),
    known("price_out", Kind::Amount),
    known("weights_sha256", Kind::Sha256),
    known("weights_bytes", Kind::Count),
    known("oll_average", Kind::Score),
    benchmark("ifeval", 4.8),
    benchmark("bbh", 2.5),
    benchmark("math_lvl5", 3.7),
    benchmark("gpqa", 8.3),
    benchmark("musr", 8.1),
    benchmark("mmlu_pro", 1.4),
    benchmark("arc", 4.0),
    benchmark("hellaswag", 1.1),
    benchmark("mmlu", 1.1),
    benchmark("truthfulqa", 4.8),
    benchmark("winogrande", 3.4),
    benchmark("gsm8k", 3.1),
    benchmark("humaneval_plus", 9.9),
    known("mbpp_plus", Kind::Score),
    known("aider_polyglot", Kind::Score),
    known("aider_edit", Kind::Score),
    known("alpaca_eval2_lc", Kind::Score),
    known("swe_bench_verified", Kind::Score),
    known("sr_gpqa", Kind::Score),
    known("sr_mmlu", Kind::Score),
    known("sr_mmlu_pro", Kind::Score),
    known("sr_math", Kind::Score),
    known("sr_humaneval", Kind::Score),
    known("sr_livecodebench", Kind::Score),
    known("sr_ifeval", Kind::Score),
    known("sr_aime_2025", Kind::Score),
    known("sr_swe_bench_verified", Kind::Score),
    known("sr_mmmu", Kind::Score),
];

/// Finds the column called `name`.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    COLUMNS.iter().find(|column| column.name == name)
}

/// Whether less is better in the column: of two prices, everyone prefers the lower.
pub(super) fn lower_is_better(name: &str) -> bool {
    matches!(name, "price_in" | "price_out")
}

impl Kind {
    /// What a cell should hold, as the end of a sentence.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Score => "a number",
            Self::Amount => "a number from 0",
            Self::Count => "a whole number from 0",
            Self::Flag => "`yes` or `no`",
            Self::Answer => "`yes`, `no` or `unknown`",
            Self::Sha256 => "64 hexadecimal digits",
        }
    }

    /// Whether a profile may prefer such a column.
    pub(super) fn is_numeric(self) -> bool {
        matches!(self, Self::Score | Self::Amount | Self::Count)
    }

    /// Whether a cell that is not empty may hold `text`.
    pub(super) fn allows(self, text: &str) -> bool {
        match self {
            Self::Score => number(text).is_some(),
            Self::Amount => number(text).is_some_and(|value| value >= 0.0),
            Self::Count => count(text).is_some(),
            Self::Flag => flag(text).is_some(),
            Self::Answer => text.eq_ignore_ascii_case("unknown") || flag(text).is_some(),
            Self::Sha256 => text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        }
    }
}

/// Reads a finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Reads a whole number; `8192.0` is one, because tables pass through programs that know only floats.
pub(super) fn count(text: &str) -> Option<u64> {
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    // Parsing would let a plus sign pass.
    if whole.bytes().all(|byte| byte.is_ascii_digit()) { whole.parse().ok() } else { None }
}

/// Reads `yes` or `no`, and what spreadsheets make of them.
pub(super) fn flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("yes") || text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("no") || text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_checked_by_kind() {
        for (kind, good, bad) in [
            (Kind::Score, ["0", "-1.5", "1e3"].as_slice(), ["nan", "inf", "1,5", "", "12 %"].as_slice()),
            (Kind::Amount, &["0.135", "7"], &["-0.1", "7B"]),
            (Kind::Count, &["0", "8192", "8192.0"], &["8192.5", "-1", "+1", "8k", "1e3", ".", "99999999999999999999"]),
            (Kind::Flag, &["yes", "NO", "true"], &["y", "unknown", "1"]),
            (Kind::Answer, &["yes", "Unknown"], &["maybe"]),
            (Kind::Sha256, &[&"aB".repeat(32)], &["ab", &"xy".repeat(32)]),
        ] {
            for text in good {
                assert!(kind.allows(text), "{kind:?} {text:?}");
            }
            for text in bad {
                assert!(!kind.allows(text), "{kind:?} {text:?}");
            }
        }
    }

    #[test]
    fn columns_are_listed_once() {
        let mut names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
