//! CSV files without a column `id` that are known nevertheless: by the names of their columns.

/// A known export.
#[derive(Debug, Clone, Copy)]
pub(in crate::catalog) struct Export {
    /// What it is, in words.
    pub(in crate::catalog) format: &'static str,
    /// Its column and the catalog's; others keep their name.
    columns: &'static [(&'static str, &'static str)],
    /// The catalog's column by whose larger number one of several rows of a model is chosen.
    pub(in crate::catalog) better_by: Option<&'static str>,
    /// Columns that leave a row out where they say yes.
    pub(in crate::catalog) left_out_by: &'static [&'static str],
    /// Whether models are called by names without their organisation.
    pub(in crate::catalog) by_name: bool,
}

const EXPORTS: &[(&[&str], Export)] = &[
    (
        &["fullname", "IFEval"],
        Export {
            format: "Open LLM Leaderboard export",
            columns: &[
                ("fullname", "id"),
                ("IFEval", "ifeval"),
                ("BBH", "bbh"),
                ("MATH Lvl 5", "math_lvl5"),
                ("GPQA", "gpqa"),
                ("MUSR", "musr"),
                ("MMLU-PRO", "mmlu_pro"),
                ("Average ⬆️", "oll_average"),
                ("#Params (B)", "params_b"),
                ("Hub License", "license"),
                ("Precision", "precision"),
                ("Architecture", "architecture"),
                ("Base Model", "base_model"),
                ("Submission Date", "source_date"),
                // Words with a picture before them, which are no types of the catalog's.
                ("Type", "oll_type"),
            ],
            better_by: Some("oll_average"),
            left_out_by: &["Flagged"],
            by_name: false,
        },
    ),
    (
        &["model_name", "evaluations_ifeval_normalized_score"],
        Export {
            format: "Open LLM Leaderboard export",
            columns: &[
                ("model_name", "id"),
                ("evaluations_ifeval_normalized_score", "ifeval"),
                ("evaluations_bbh_normalized_score", "bbh"),
                ("evaluations_math_normalized_score", "math_lvl5"),
                ("evaluations_gpqa_normalized_score", "gpqa"),
                ("evaluations_musr_normalized_score", "musr"),
                ("evaluations_mmlu_pro_normalized_score", "mmlu_pro"),
                ("model_average_score", "oll_average"),
                ("metadata_params_billions", "params_b"),
                ("metadata_hub_license", "license"),
                ("model_precision", "precision"),
                ("model_architecture", "architecture"),
                ("metadata_base_model", "base_model"),
                ("metadata_submission_date", "source_date"),
                // The export's own row number, and an id of the evaluation.
                ("id", "oll_id"),
            ],
            better_by: Some("oll_average"),
            left_out_by: &["features_is_flagged"],
            by_name: false,
        },
    ),
    (
        &["model", "price_1m_input_tokens"],
        Export {
            format: "prices and speeds",
            columns: &[
                ("model", "id"),
                ("price_1m_input_tokens", "price_in"),
                ("price_1m_output_tokens", "price_out"),
                ("median_output_tokens_per_second", "tokens_per_s"),
                ("artificial_analysis_intelligence_index", "aa_intelligence_index"),
            ],
            better_by: None,
            left_out_by: &[],
            by_name: true,
        },
    ),
    (
        &["Model", "Input Price"],
        Export {
            format: "prices and speeds",
            columns: &[
                ("Model", "id"),
                ("Input Price", "price_in"),
                ("Output Price", "price_out"),
                ("Median Tokens/s", "tokens_per_s"),
                ("Context Window", "context"),
                ("Artificial Analysis Intelligence Index", "aa_intelligence_index"),
            ],
            better_by: None,
            left_out_by: &[],
            by_name: true,
        },
    ),
];

impl Export {
    /// The export that has these columns.
    pub(in crate::catalog) fn of(header: &[&str]) -> Option<Self> {
        let found = EXPORTS.iter().find(|(marks, _)| marks.iter().all(|mark| header.contains(mark)));
        found.map(|(_, export)| *export)
    }

    /// What the catalog calls a column.
    pub(in crate::catalog) fn column<'n>(&self, name: &'n str) -> &'n str {
        self.columns.iter().find(|(own, _)| *own == name).map_or(name, |(_, ours)| ours)
    }
}
