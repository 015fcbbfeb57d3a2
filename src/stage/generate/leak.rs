//! Whether openings stand in other texts, above all in what a model was trained on: then it may know them by heart.
//!
//! An opening is found where a run of 13 of its words stands in one of the texts, or 7 in 10 of its runs of 8 do; one of fewer
//! than 8 words, where it stands there as a whole. Words count without case and punctuation. Runs that five openings or more
//! have are how suites begin and end, and do not count. Sixteen bytes a word are kept of openings, nothing of the texts.
//! Start at [`Leaks`].

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::file::ScenarioFileError;
use super::import;
use super::reject::words;
use crate::data::{Leak, LeakReport, NearPair, Scenario};
use crate::ids::ScenarioId;

/// Words of a run of which one is enough.
const LONG: usize = 13;

/// Words of a run of which most must be there.
const SHORT: usize = 8;

/// The share of them.
const MOST: f64 = 0.7;

/// Fewest words of an opening that is looked for: fewer stand anywhere.
const FEWEST: usize = 4;

/// A run that so many openings have says nothing.
const BOILERPLATE: usize = 5;

/// The openings that are looked for.
#[derive(Debug, Default)]
pub struct Leaks {
    openings: Vec<Opening>,
    /// Openings of too few words.
    too_short: u64,
}

#[derive(Debug)]
struct Opening {
    id: ScenarioId,
    shown: String,
    /// How long its runs are that are not of [`LONG`] words.
    length: usize,
    /// Its runs of that length, and those of [`LONG`] words, each once.
    short: Vec<u64>,
    long: Vec<u64>,
}

impl Leaks {
    /// Takes in a scenario.
    pub fn add(&mut self, scenario: &Scenario) {
        let words = words(&scenario.opening);
        if words.len() < FEWEST {
            self.too_short += 1;
            return;
        }
        let length = words.len().min(SHORT);
        self.openings.push(Opening {
            id: scenario.id.clone(),
            shown: NearPair::shown(&scenario.opening),
            length,
            short: runs(&words, length),
            long: runs(&words, LONG),
        });
    }

    /// Looks for them in texts, which [`texts`] reads.
    ///
    /// # Errors
    /// A text cannot be read.
    pub fn search<E>(self, texts: impl Iterator<Item = Result<String, E>>) -> Result<LeakReport, E> {
        let mut all: Vec<u64> =
            self.openings.iter().flat_map(|one| one.short.iter().chain(&one.long)).copied().collect();
        all.sort_unstable();
        let boilerplate: Vec<u64> = all
            .chunk_by(|one, other| one == other)
            .filter(|same| same.len() >= BOILERPLATE)
            .map(|same| same[0])
            .collect();
        all.dedup();
        let mut found = vec![false; all.len()];
        let mut lengths: Vec<usize> = self.openings.iter().map(|one| one.length).chain([LONG]).collect();
        lengths.sort_unstable();
        lengths.dedup();
        for text in texts {
            let words = words(&text?);
            for run in lengths.iter().flat_map(|length| words.windows(*length)).map(hash) {
                if let Ok(place) = all.binary_search(&run) {
                    found[place] = true;
                }
            }
        }
        let counts = |run: &&u64| boilerplate.binary_search(run).is_err();
        let is_found = |run: &&u64| all.binary_search(run).is_ok_and(|place| found[place]);
        let mut report =
            LeakReport { checked: self.openings.len() as u64, too_short: self.too_short, ..Default::default() };
        for Opening { id, shown, length: _, short, long } in self.openings {
            let of: Vec<&u64> = short.iter().filter(counts).collect();
            let there = of.iter().filter(|run| is_found(run)).count();
            let has_long = long.iter().filter(counts).any(|run| is_found(&run));
            let share = there as f64 / of.len().max(1) as f64;
            if has_long || share >= MOST {
                report.add(Leak { scenario: id, opening: shown, share });
            }
        }
        Ok(report)
    }
}

/// The hashes of all runs of so many words, in order, each once.
fn runs(words: &[String], length: usize) -> Vec<u64> {
    let mut runs: Vec<u64> = words.windows(length).map(hash).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

fn hash(run: &[String]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for word in run {
        hasher.update(word.as_bytes()).update(&[0]);
    }
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The texts of a file: of Parquet and JSON Lines every text in every record, of all else each paragraph.
///
/// # Errors
/// It cannot be read.
pub fn texts(path: &Path, shown: &str) -> Result<Texts, ScenarioFileError> {
    let is = |endings: &[&str]| path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one));
    if is(&["parquet"]) {
        let records = import::columnar_texts(path, shown)?;
        return Ok(Box::new(records.flat_map(|record| {
            let mut texts = Vec::new();
            let failed = record.map(|record| collect(record, &mut texts)).err();
            texts.into_iter().map(Ok).chain(failed.map(Err))
        })));
    }
    let shown = shown.to_owned();
    let failed = move |source| ScenarioFileError::Read { file: shown.clone(), source };
    let file = fs_err::File::open(path).map_err(&failed)?;
    let texts = written(BufReader::new(file), is(&["jsonl", "ndjson", "json"]));
    Ok(Box::new(texts.map(move |text| text.map_err(&failed))))
}

/// Texts of a file, one after the other.
pub type Texts = Box<dyn Iterator<Item = Result<String, ScenarioFileError>>>;

fn written(reader: impl BufRead, is_json: bool) -> impl Iterator<Item = io::Result<String>> {
    let mut lines = reader.lines();
    let mut waiting: Vec<String> = Vec::new();
    std::iter::from_fn(move || {
        let mut paragraph = String::new();
        loop {
            if let Some(text) = waiting.pop() {
                return Some(Ok(text));
            }
            let line = match lines.next() {
                None => return (!paragraph.is_empty()).then_some(Ok(paragraph)),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(line)) => line,
            };
            match is_json.then(|| serde_json::from_str::<Value>(&line)) {
                Some(Ok(record)) => collect(record, &mut waiting),
                // A line of another form is a text as well.
                Some(Err(_)) => return Some(Ok(line)),
                None if line.trim().is_empty() => {
                    if !paragraph.is_empty() {
                        return Some(Ok(paragraph));
                    }
                }
                None => {
                    paragraph.push_str(&line);
                    paragraph.push('\n');
                }
            }
        }
    })
}

fn collect(value: Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.into_iter().for_each(|item| collect(item, texts)),
        Value::Object(members) => members.into_iter().for_each(|(_, member)| collect(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::row::tests::scenario;

    fn search(openings: &[&str], texts: &[&str]) -> (Vec<(String, f64)>, u64) {
        let mut leaks = Leaks::default();
        openings.iter().for_each(|opening| leaks.add(&scenario(opening, &[])));
        let report = leaks.search(texts.iter().map(|text| io::Result::Ok((*text).to_owned()))).unwrap();
        assert_eq!(report.leaked, report.first.len() as u64);
        (report.first.into_iter().map(|leak| (leak.opening, leak.share)).collect(), report.too_short)
    }

    #[test]
    fn texts_of_a_dataset_are_those_of_all_its_columns() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/parquet/chat.parquet"));
        let mut all: Vec<String> = texts(file, "chat.parquet").unwrap().collect::<Result<_, _>>().unwrap();
        all.sort_unstable();
        assert!(all.contains(&"boss yelled — ぬ".to_owned()) && all.contains(&"cant sleep".to_owned()), "{all:?}");
        let directory = tempfile::tempdir().unwrap();
        let broken = directory.path().join("t.parquet");
        fs_err::write(&broken, b"PAR1 no dataset PAR1").unwrap();
        let error = texts(&broken, "t.parquet").unwrap().find_map(Result::err).unwrap();
        assert!(error.to_string().starts_with("`t.parquet` is not a Parquet file"), "{error}");
        assert!(texts(&directory.path().join("none.txt"), "none.txt").is_err());
    }

    const LONG_TEXT: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

    #[test]
    fn openings_are_found_by_the_runs_of_their_words() {
        let check = |opening: &str, text: &str, expected: Option<f64>| {
            let found = search(&[opening], &[text]).0;
            assert_eq!(found.first().map(|(_, share)| (share * 100.0).round() / 100.0), expected, "{opening} / {text}");
        };
        check("I cannot sleep at night", "He said: “I CANNOT sleep, at night!” and left", Some(1.0));
        check("I cannot sleep at night", "I cannot sleep at all, night or day", None);
        // Thirteen words in a row, of a text in which most others differ.
        let rest = " and a b c d e f g h i j k l m n o p q r s t u v w";
        check(&format!("{LONG_TEXT}{rest}"), &format!("zero {LONG_TEXT} zero"), Some(0.23));
        let twelve = "one two three four five six seven eight nine ten eleven twelve";
        check(&format!("{twelve}{rest}"), &format!("zero {twelve} zero"), None);
        check(twelve, "one two three four five six seven eight nine ten eleven twelve zero", Some(1.0));
        check("one two three four five six seven eight nine ten", "one two three four five six seven eight nine", None);
    }

    #[test]
    fn what_many_openings_say_does_not_count() {
        let openings: Vec<String> =
            (0..5).map(|at| format!("I would like to talk to somebody about {at} now")).collect();
        let openings: Vec<&str> = openings.iter().map(String::as_str).collect();
        assert_eq!(search(&openings, &["I would like to talk to somebody about it"]).0, []);
        assert_eq!(search(&openings[..1], &[openings[0]]).0.len(), 1);
        assert_eq!(search(&["hi there you"], &["hi there you"]), (vec![], 1), "too short to tell");
    }

    #[test]
    fn texts_are_read_out_of_records_and_paragraphs() {
        let read = |text: &str, is_json| {
            let mut all: Vec<String> = written(text.as_bytes(), is_json).collect::<Result<_, _>>().unwrap();
            all.sort_unstable();
            all
        };
        assert_eq!(read("{\"a\": [\"x\", {\"b\": \"y\"}], \"n\": 1}\nplain\n", true), ["plain", "x", "y"]);
        assert_eq!(read("one\ntwo\n\n\nthree\n", false), ["one\ntwo\n", "three\n"]);
    }
}
