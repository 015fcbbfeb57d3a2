//! Reads a gold file: the labels of people, line by line.

use std::ops::Range;

use indexmap::IndexMap;

use crate::ids::CriterionId;
use crate::spec::gold::{Label, LabelLine, LabelOf, LabelVerdict, REPLY_DIGITS, is_reply_digest};
use crate::spec::problem::{Code, Problem, SourceText};
use crate::spec::read::{Sink, did_you_mean, shorten};

/// The labels that hold, and where their criteria are named.
pub(super) struct ReadGold {
    pub(super) file: SourceText,
    pub(super) labels: Vec<Label>,
    /// Each criterion that is named, where it is first.
    pub(super) criteria: IndexMap<CriterionId, Range<usize>>,
}

/// Reads labels; nothing if a line has a problem.
pub(super) fn read(file: SourceText, text: &str, sink: &Sink) -> Option<ReadGold> {
    let before = sink.borrow().len();
    let mut labels: IndexMap<LabelOf, (LabelVerdict, Range<usize>)> = IndexMap::new();
    let mut criteria = IndexMap::new();
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let at = start;
        start += whole.len();
        let line = Line { text: whole.trim_end(), at, file: &file, sink };
        if line.text.trim().is_empty() {
            continue;
        }
        let Some(label) = line.label() else { continue };
        let of = label.of();
        criteria.entry(label.criterion).or_insert_with(|| line.value(of.criterion.as_str()));
        match label.verdict {
            None => {
                labels.shift_remove(&of);
            }
            Some(verdict) => match labels.get(&of) {
                Some((other, first)) if *other != verdict => line.push(
                    line.problem(
                        Code::ContradictingLabels,
                        &line.span(),
                        "another verdict",
                        format!("`{}` says both `{other}` and `{verdict}` of one reply", shorten(&of.labeller)),
                    )
                    .other(&file, first, "said before"),
                ),
                Some(_) => {}
                None => {
                    labels.insert(of, (verdict, line.span()));
                }
            },
        }
    }
    let is_sound = sink.borrow().len() == before;
    let labels = labels.into_iter().map(|(of, (verdict, _))| Label { of, verdict }).collect();
    is_sound.then_some(ReadGold { file, labels, criteria })
}

/// One line of the file, and where it is.
struct Line<'a> {
    text: &'a str,
    at: usize,
    file: &'a SourceText,
    sink: &'a Sink,
}

impl Line<'_> {
    fn span(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    /// Where a value stands in quotes; the line where it does not.
    fn value(&self, value: &str) -> Range<usize> {
        let quoted = format!("\"{value}\"");
        self.text.find(&quoted).map_or(self.span(), |found| self.at + found..self.at + found + quoted.len())
    }

    fn problem(&self, code: Code, span: &Range<usize>, label: &str, message: String) -> Problem {
        Problem::new(code, self.file, span, label, message)
    }

    fn push(&self, problem: Problem) {
        self.sink.borrow_mut().push(problem);
    }

    fn label(&self) -> Option<LabelLine> {
        let invalid =
            |span: &Range<usize>, label: &str, message: String| self.problem(Code::InvalidLabel, span, label, message);
        let value: serde_json::Value = match serde_json::from_str(self.text) {
            Ok(value) => value,
            Err(error) => {
                let place = self.at + error.column().saturating_sub(1).min(self.text.len());
                let message = "the line is not a JSON document".to_owned();
                self.push(invalid(&(place..place), "not JSON", message));
                return None;
            }
        };
        // Said before anything else of the line is looked at, for it is what people mistype.
        let word = value.get("verdict").and_then(serde_json::Value::as_str);
        let known: Vec<&str> = LabelVerdict::ALL.iter().map(|(name, _)| *name).collect();
        if let Some(word) = word.filter(|word| !known.contains(word)) {
            let message = format!("`{}` is not a verdict", shorten(word));
            self.push(invalid(&self.value(word), "no verdict", message).help(did_you_mean(word, &known)));
            return None;
        }
        let label: LabelLine = match serde_json::from_value(value) {
            Ok(label) => label,
            Err(error) => {
                self.push(invalid(&self.span(), "no label", format!("the line is not a label: {error}")));
                return None;
            }
        };
        if label.withdrawn == label.verdict.is_some() {
            let message = "a label has a `verdict`, and a line that is `withdrawn` has none".to_owned();
            self.push(invalid(&self.span(), "no label", message));
            return None;
        }
        if label.labeller.trim().is_empty() {
            self.push(invalid(&self.span(), "nobody", "the label does not say who made it".to_owned()));
            return None;
        }
        if !is_reply_digest(&label.reply) {
            let message = format!("`{}` is not the digest of a reply", shorten(&label.reply));
            let help = format!("write the first {REPLY_DIGITS} hexadecimal digits of blake3 of the reply's text");
            self.push(invalid(&self.value(&label.reply), "no digest", message).help(help));
            return None;
        }
        Some(label)
    }
}
