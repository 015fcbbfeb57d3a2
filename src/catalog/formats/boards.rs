//! Boards that call models by names of their own: LMArena's ratings, Artificial Analysis' indices, prices and speeds.

use serde_json::Value;

use super::{Entries, Entry, cell, points};

/// LMArena's boards and the columns that they become.
const ARENA: &[(&str, &str)] = &[
    ("full", "arena_elo"),
    ("overall", "arena_elo"),
    ("text", "arena_elo"),
    ("coding", "arena_coding"),
    ("math", "arena_math"),
    ("if", "arena_if"),
    ("instruction_following", "arena_if"),
    ("hard_6", "arena_hard"),
    ("hard_prompts", "arena_hard"),
    ("creative_writing", "arena_creative"),
];

/// Reads `{ BOARD: { MODEL: { rating: … } } }`; boards that have no column are left out.
pub(super) fn lmarena(value: &Value) -> Option<Entries> {
    let boards = value.as_object()?;
    let is_board = |board: &Value| {
        let models = board.as_object();
        models.is_some_and(|models| !models.is_empty() && models.values().all(|model| model.get("rating").is_some()))
    };
    if boards.is_empty() || !boards.values().all(is_board) {
        return None;
    }
    let mut found: indexmap::IndexMap<String, Entry> = indexmap::IndexMap::new();
    for (board, column) in ARENA {
        let models = boards.get(*board).and_then(Value::as_object);
        for (model, rating) in models.into_iter().flatten() {
            let Some(rating) = rating.get("rating").and_then(Value::as_f64) else { continue };
            let entry = found.entry(model.clone()).or_insert_with(|| of_source(model, "arena"));
            entry.entry((*column).to_owned()).or_insert_with(|| format!("{rating:.1}"));
        }
    }
    Some(Entries { format: "LMArena leaderboard", entries: found.into_values().collect(), by_name: true })
}

/// Reads `{ data: [{ name, evaluations, pricing, … }] }` or the list alone.
pub(super) fn artificial_analysis(value: &Value) -> Option<Entries> {
    let rows = value.get("data").unwrap_or(value).as_array()?;
    let is_row = |row: &Value| row.get("pricing").is_some() && (row.get("slug").is_some() || row.get("name").is_some());
    if rows.is_empty() || !rows.iter().all(is_row) {
        return None;
    }
    let entries = rows.iter().map(|row| {
        let name = row.get("slug").or_else(|| row.get("name")).map(cell).unwrap_or_default();
        let mut entry = of_source(&name, "artificial-analysis");
        let mut put = |column: String, value: Option<&Value>| {
            if let Some(value) = value.filter(|value| value.is_number()) {
                entry.insert(column, cell(value));
            }
        };
        let price = |name: &str| row["pricing"].get(name);
        put("price_in".to_owned(), price("price_1m_input_tokens"));
        put("price_out".to_owned(), price("price_1m_output_tokens"));
        put("tokens_per_s".to_owned(), row.get("median_output_tokens_per_second"));
        for (name, score) in row.get("evaluations").and_then(Value::as_object).into_iter().flatten() {
            let Some(number) = score.as_f64() else { continue };
            let column = format!("aa_{}", name.trim_start_matches("artificial_analysis_"));
            // Indices are in points, single evaluations are shares of 1.
            let text = if name.ends_with("_index") { cell(score) } else { points(number) };
            entry.insert(column, text);
        }
        entry
    });
    Some(Entries { format: "Artificial Analysis", entries: entries.collect(), by_name: true })
}

fn of_source(id: &str, source: &str) -> Entry {
    Entry::from([("id".to_owned(), id.to_owned()), ("source".to_owned(), source.to_owned())])
}
