//! What the presets of a profile prefer and avoid, and why: the benchmarks that say something about a job.
//!
//! A change here changes tables: raise the version of the stage with it.

use crate::spec::Preset;

/// What a preset means.
pub(super) struct Definition {
    /// Column and weight. Columns that no catalog has are left out.
    pub(super) prefer: &'static [(&'static str, f64)],
    /// Tags to avoid.
    pub(super) avoid: &'static [&'static str],
    /// Why, as the end of a sentence.
    pub(super) why: &'static str,
}

/// What a preset means.
pub(super) fn definition(preset: Preset) -> Definition {
    match preset {
        Preset::Therapy => Definition {
            prefer: &[("ifeval", 3.0), ("musr", 2.0), ("truthfulqa", 1.0), ("bbh", 1.0)],
            avoid: &["reasoning", "merge"],
            why: "a supportive reply must keep to its instructions (ifeval), follow people and events through a long account \
                  (musr), repeat no common falsehood (truthfulqa) and read what is meant (bbh); models that think aloud \
                  first answer late and tend to solve rather than listen, and nobody vouches for a merge",
        },
        Preset::Coding => Definition {
            prefer: &[
                ("humaneval_plus", 2.0),
                ("mbpp_plus", 2.0),
                ("aider_edit", 2.0),
                ("aider_polyglot", 2.0),
                ("swe_bench_verified", 2.0),
                ("ifeval", 1.0),
                ("bbh", 1.0),
                ("math_lvl5", 1.0),
            ],
            avoid: &["chat-only"],
            why: "programs that pass hidden tests (humaneval_plus, mbpp_plus) and edits of existing code (aider_edit, \
                  aider_polyglot, swe_bench_verified) are the work itself; instructions and reasoning (ifeval, bbh, \
                  math_lvl5) support it; a chat model that nobody tested on code is avoided",
        },
        Preset::Math => Definition {
            prefer: &[("math_lvl5", 3.0), ("gsm8k", 1.0), ("gpqa", 1.0), ("bbh", 1.0)],
            avoid: &[],
            why: "hard competition problems (math_lvl5) tell models apart where word problems (gsm8k) no longer do; science \
                  and logic (gpqa, bbh) show that it is more than drill",
        },
        Preset::Creative => Definition {
            prefer: &[("arena_elo", 3.0), ("alpaca_eval2_lc", 3.0), ("ifeval", 1.0), ("musr", 1.0)],
            avoid: &["reasoning"],
            why: "whether people like a text is measured by their choice alone (arena_elo, alpaca_eval2_lc with length taken \
                  out); a brief must be kept (ifeval) and a plot held together (musr)",
        },
        Preset::FactualQa => Definition {
            prefer: &[("mmlu_pro", 3.0), ("truthfulqa", 2.0), ("mmlu", 1.0), ("gpqa", 1.0)],
            avoid: &[],
            why: "knowledge (mmlu_pro, mmlu, gpqa) is what is asked for, and common falsehoods (truthfulqa) are what must not \
                  come instead",
        },
        Preset::StructuredOutput => Definition {
            prefer: &[("ifeval", 4.0), ("bbh", 1.0), ("humaneval_plus", 1.0)],
            avoid: &["reasoning"],
            why: "ifeval checks forms and limits by code; programs (humaneval_plus) are the strictest form there is, and bbh shows \
                  that what stands in the form is thought through; thoughts \
                  before a reply are a common reason why it does not parse",
        },
        Preset::Agents => Definition {
            prefer: &[
                ("swe_bench_verified", 2.0),
                ("aider_polyglot", 2.0),
                ("lb_agentic", 2.0),
                ("ifeval", 2.0),
                ("bbh", 1.0),
                ("math_lvl5", 1.0),
            ],
            avoid: &["base"],
            why: "tasks of many steps with tools (swe_bench_verified, aider_polyglot, lb_agentic) are the work itself; calls \
                  of the prescribed form (ifeval) and plans (bbh, math_lvl5) carry it; add `require: { tool_calls: true }`",
        },
        Preset::Rag => Definition {
            prefer: &[("ifeval", 3.0), ("musr", 2.0), ("bbh", 1.0), ("truthfulqa", 1.0)],
            avoid: &["reasoning"],
            why: "the answer must come from long documents (musr) and be thought through (bbh), in the form that is asked for (ifeval), and not from what \
                  the model believes (truthfulqa), so that knowledge counts for little; add `require: { context: … }`",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::known;

    #[test]
    fn presets_name_columns_there_are_and_explain_each() {
        for (name, preset) in Preset::ALL {
            let Definition { prefer, avoid: _, why } = definition(*preset);
            for (column, weight) in prefer {
                let has_home =
                    known::find(column).is_some() || column.starts_with("arena") || column.starts_with("lb_");
                assert!(has_home && *weight > 0.0, "{name} {column}");
                assert!(why.contains(column), "{name} says why it prefers {column}");
            }
            assert!(
                prefer.iter().any(|(column, _)| known::find(column).is_some_and(|known| known.benchmark.is_some()))
            );
        }
    }
}
