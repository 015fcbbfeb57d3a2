//! What a `prefer` stage does when it runs: two tables side by side, a row of each at a time.

use std::io;

use super::feed::Cut;
use super::rows::{Source, Word, Work, drive};
use super::{Output, Run, StageFailure};
use crate::data::Preference;
use crate::ids::StageId;
use crate::key::BlobId;
use crate::spec::Prefer;
use crate::stage::prefer::{self, paired};
use crate::store::Store;

/// The rows of two tables that answer the same scenarios in the same order.
pub(super) fn pairs(store: &Store, [base, new]: [&BlobId; 2]) -> Result<Source, StageFailure> {
    let (base, new) = (store.lines(base)?, store.lines(new)?);
    let unreadable = |error: io::Error| StageFailure::new(format!("a table cannot be read: {error}"), None);
    Ok(Source::Made(Box::new(zipped(base, new).map(move |line| line.map_err(unreadable)))))
}

/// Lines of two tables, one of each at a time. Where one ends before the other they are no pairs.
pub(super) fn zipped<T>(
    mut base: impl Iterator<Item = io::Result<T>>,
    mut new: impl Iterator<Item = io::Result<T>>,
) -> impl Iterator<Item = io::Result<String>>
where
    T: AsRef<str>,
{
    std::iter::from_fn(move || match (base.next(), new.next()) {
        (None, None) => None,
        (Some(Ok(base)), Some(Ok(new))) => Some(Ok(paired(base.as_ref(), new.as_ref()))),
        (Some(Err(error)), _) | (_, Some(Err(error))) => Some(Err(error)),
        (Some(_), None) | (None, Some(_)) => {
            Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "one of the two tables ends before the other")))
        }
    })
}

/// Has all pairs judged.
pub(super) async fn preferences(run: &Run<'_>, id: &StageId, spec: &Prefer, work: Work) -> Result<Output, Cut> {
    let mut tally = prefer::Tally::new(spec);
    let each = |row: &mut crate::stage::Row| {
        for line in &row.lines {
            let row: Preference =
                serde_json::from_str(line).map_err(|error| StageFailure::new(error.to_string(), None))?;
            tally.add(&row);
        }
        Ok(Word::Write)
    };
    let mut output = drive(run, id, work, each).await?;
    output.summary = Some(serde_json::to_value(tally.finish()).expect("a summary is always valid JSON"));
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_unlike_lengths_are_no_pairs() {
        let lines = |texts: &[&str]| texts.iter().map(|text| Ok((*text).to_owned())).collect::<Vec<_>>().into_iter();
        let found: Vec<_> = zipped(lines(&["1", "2"]), lines(&["3", "4"])).map(Result::unwrap).collect();
        assert_eq!(found, ["[1,3]", "[2,4]"]);
        let mut short = zipped(lines(&["1", "2"]), lines(&["3"]));
        assert_eq!(short.next().unwrap().unwrap(), "[1,3]");
        assert!(short.next().unwrap().is_err());
    }
}
