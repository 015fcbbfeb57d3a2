//! The candidates as CSV, for spreadsheets and scripts.

use std::io::{self, Write};

use crate::data::{Candidate, Candidates, Place};

/// Writes one line a candidate, the shortlist before the near misses, behind a line of column names.
///
/// # Errors
/// `out` does not take it.
pub fn candidates_csv(found: &Candidates, out: &mut dyn Write) -> io::Result<()> {
    let rows = || found.shortlist.iter().chain(&found.near_misses);
    let benchmarks: Vec<&String> = rows().next().map(|row| row.scores.keys().collect()).unwrap_or_default();
    let mut writer = csv::Writer::from_writer(out);
    let fixed = [
        "id",
        "place",
        "rank",
        "stars",
        "fit",
        "params_b",
        "type",
        "license",
        "license_note",
        "context",
        "memory_bytes",
        "price_in",
        "price_out",
    ];
    let last = ["concerns", "considered_because", "reason"];
    let head = fixed.into_iter().chain(benchmarks.iter().map(|name| name.as_str())).chain(last);
    writer.write_record(head)?;
    for row in rows() {
        writer.write_record(cells(row, &benchmarks))?;
    }
    writer.flush()
}

fn cells(row: &Candidate, benchmarks: &[&String]) -> Vec<String> {
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let count = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let place = match row.place {
        Place::Primary => "primary",
        Place::Backup => "backup",
        Place::Shortlisted => "shortlisted",
        Place::Dropped => "dropped",
    };
    let mut cells = vec![
        row.id.clone(),
        place.to_owned(),
        row.rank.map(|rank| rank.to_string()).unwrap_or_default(),
        row.stars.map(|stars| stars.to_string()).unwrap_or_default(),
        number(row.fit),
        number(row.params_b),
        row.kind.clone().unwrap_or_default(),
        row.license.clone().unwrap_or_default(),
        row.license_note.clone().unwrap_or_default(),
        count(row.context),
        count(row.memory_bytes),
        number(row.price_in),
        number(row.price_out),
    ];
    cells.extend(benchmarks.iter().map(|name| number(row.scores.get(*name).copied().flatten())));
    cells.push(row.concerns.iter().map(|concern| concern.text.as_str()).collect::<Vec<_>>().join("; "));
    cells.extend([row.considered_because.clone(), row.reason.clone()]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::candidates;

    #[test]
    fn a_table_can_be_read_again() {
        let mut text = Vec::new();
        candidates_csv(&candidates(), &mut text).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let head: Vec<String> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
        assert_eq!(head[13..15], ["ifeval", "bbh"]);
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0][..6], ["qwen/qwen2.5-7b", "primary", "1", "4", "0.871", "7.616"]);
        assert_eq!(rows[1][0], "evil|org/<img src=x>\n# model");
        assert_eq!((rows[2][1].as_str(), rows[2][4].as_str(), rows[2][14].as_str()), ("dropped", "", ""));
    }
}
