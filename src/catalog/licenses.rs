//! Which licences are known to allow commercial use, by the names that the hub has for them. The answers are those of the
//! catalog that is shipped; a licence that is not listed is unknown, and nobody guesses.

/// Licences that allow it, some of them with conditions.
const ALLOW: &[&str] = &[
    "0bsd",
    "afl-3.0",
    "apache-2.0",
    "artistic-2.0",
    "bigcode-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsl-1.0",
    "cc-by-2.0",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "cdla-permissive-2.0",
    "creativeml-openrail-m",
    "ecl-2.0",
    "gemma",
    "gpl-2.0",
    "gpl-3.0",
    "isc",
    "lgpl-3.0",
    "llama2",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "llama4",
    "mit",
    "modified-mit",
    "mpl-2.0",
    "nvidia-open-model-license",
    "openrail",
    "openrail++",
    "postgresql",
    "unlicense",
    "wtfpl",
    "zlib",
];

/// Whether a licence allows commercial use; none where that is not known.
pub(super) fn allows_commercial_use(license: &str) -> Option<bool> {
    let name = license.trim().to_ascii_lowercase();
    // Every licence of Creative Commons with this part forbids it.
    if name.starts_with("cc-by-nc") {
        return Some(false);
    }
    ALLOW.contains(&name.as_str()).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_of_the_shipped_catalog() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/models.csv");
        let mut reader = csv::Reader::from_reader(fs_err::File::open(path).unwrap());
        let header = reader.headers().unwrap().clone();
        let column = |name: &str| header.iter().position(|column| column == name).unwrap();
        let (license, commercial) = (column("license"), column("license_commercial"));
        for row in reader.records() {
            let row = row.unwrap();
            let expected = match &row[commercial] {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            };
            assert_eq!(allows_commercial_use(&row[license]), expected, "{}", &row[license]);
        }
        assert_eq!(allows_commercial_use("Apache-2.0"), Some(true));
        assert_eq!(allows_commercial_use("other"), None);
    }
}
