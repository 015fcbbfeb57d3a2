//! The columns evalflow knows: what their cells may hold, which way is better, and how large a difference must be to mean
//! something. Any other column is text until a profile prefers it.

use crate::spec::is_date;

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
    /// A year, a month or a day.
    Date,
}

/// A column that evalflow knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its name in the header.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// What its scores rest on, for benchmarks where that is known.
    pub(super) benchmark: Option<Benchmark>,
}

/// How sure the scores of a benchmark are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Benchmark {
    /// How many questions it asks.
    pub(super) questions: u32,
    /// Smallest difference of two models' scores that is more than sampling noise: 95 %, unpaired, in points of the
    /// column, at the accuracies usual there. From the number of questions; where the leaderboard's column is
    /// normalised against chance `c`, divided by `1 - c`, as a root mean square over the tasks where they differ in `c`.
    pub(super) noise: f64,
    /// What guessing comes to in the column, in points; 0 where it is taken off already.
    pub(super) chance: f64,
}

const fn known(name: &'static str, kind: Kind) -> Known {
    Known { name, kind, benchmark: None }
}

const fn benchmark(name: &'static str, questions: u32, noise: f64, chance: f64) -> Known {
    Known { name, kind: Kind::Score, benchmark: Some(Benchmark { questions, noise, chance }) }
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
    known("tied_embeddings", Kind::Flag),
    known("training_tokens_b", Kind::Amount),
    known("release_date", Kind::Date),
    known("knowledge_cutoff", Kind::Date),
    known("tool_call", Kind::Answer),
    known("open_weights", Kind::Answer),
    known("price_in", Kind::Amount),
    known("price_out", Kind::Amount),
    known("weights_sha256", Kind::Sha256),
    known("weights_bytes", Kind::Count),
    known("oll_average", Kind::Score),
    benchmark("ifeval", 541, 4.8, 0.0),
    benchmark("bbh", 6511, 2.5, 0.0),
    benchmark("math_lvl5", 1324, 3.7, 0.0),
    benchmark("gpqa", 448, 8.3, 0.0),
    benchmark("musr", 756, 8.1, 0.0),
    benchmark("mmlu_pro", 12_032, 1.4, 0.0),
    benchmark("arc", 1172, 4.0, 25.0),
    benchmark("hellaswag", 10_042, 1.1, 25.0),
    benchmark("mmlu", 14_042, 1.1, 25.0),
    benchmark("truthfulqa", 817, 4.8, 0.0),
    benchmark("winogrande", 1267, 3.4, 50.0),
    benchmark("gsm8k", 1319, 3.1, 0.0),
    benchmark("humaneval_plus", 164, 9.9, 0.0),
    benchmark("mbpp_plus", 378, 6.8, 0.0),
    benchmark("aider_polyglot", 225, 9.2, 0.0),
    benchmark("aider_edit", 133, 11.8, 0.0),
    benchmark("alpaca_eval2_lc", 805, 4.9, 0.0),
    benchmark("swe_bench_verified", 500, 6.2, 0.0),
    benchmark("sr_gpqa", 198, 9.7, 25.0),
    benchmark("sr_mmlu", 14_042, 1.1, 25.0),
    benchmark("sr_mmlu_pro", 12_032, 1.3, 10.0),
    known("sr_math", Kind::Score),
    benchmark("sr_humaneval", 164, 9.9, 0.0),
    known("sr_livecodebench", Kind::Score),
    benchmark("sr_ifeval", 541, 4.8, 0.0),
    benchmark("sr_aime_2025", 30, 25.3, 0.0),
    benchmark("sr_swe_bench_verified", 500, 6.2, 0.0),
    benchmark("sr_mmmu", 900, 4.5, 0.0),
];

/// Finds the column called `name`.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    COLUMNS.iter().find(|column| column.name == name)
}

/// The name that the catalogs' `source` column has for where the column's scores come from.
pub(super) fn source(column: &str) -> Option<&'static str> {
    Some(match column {
        "ifeval" | "bbh" | "math_lvl5" | "gpqa" | "musr" | "mmlu_pro" | "oll_average" => "oll-v2",
        "arc" | "hellaswag" | "mmlu" | "truthfulqa" | "winogrande" | "gsm8k" => "oll-v1",
        "humaneval_plus" | "mbpp_plus" => "evalplus",
        "aider_edit" => "aider",
        "aider_polyglot" | "swe_bench_verified" => "models.dev",
        "alpaca_eval2_lc" => "alpaca-eval",
        "price_in" | "price_out" => "litellm",
        name if name.starts_with("sr_") => "llm-stats",
        _ => return None,
    })
}

/// Whether the column is a benchmark of programming.
pub(super) fn is_coding(name: &str) -> bool {
    const CODING: &[&str] = &[
        "humaneval_plus",
        "mbpp_plus",
        "aider_polyglot",
        "aider_edit",
        "swe_bench_verified",
        "arena_coding",
        "lb_coding",
        "sr_humaneval",
        "sr_livecodebench",
        "sr_swe_bench_verified",
    ];
    CODING.contains(&name)
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
            Self::Date => "a date such as `2024-06-01`, `2024-06` or `2024`",
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
            Self::Date => is_date(text),
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
            (Kind::Date, &["2024", "2024-06", "2024-06-30"], &["24", "2024-6", "June 2024", "2024-06-30T00:00"]),
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
