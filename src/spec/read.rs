//! Readers: from a tree's nodes to typed values, noting every problem and going on.
//!
//! Owns the wording of what can be wrong with any value: unknown and missing keys, types, ranges. Knows nothing of
//! pipelines. A reader gives `None` only after a problem was noted, or where a key is simply absent. Start at
//! [`Fields`].

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::{Bound, Range, RangeBounds, RangeInclusive};

use super::problem::{Code, Problem, Severity, SourceText};
use super::secrets;
use super::tree::{Key, Node, Value};

/// Where problems are collected.
pub(super) type Sink = RefCell<Vec<Problem>>;

/// The file that is being read and where its problems go.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) file: &'a SourceText,
    pub(super) sink: &'a Sink,
}

impl<'a> Reader<'a> {
    pub(super) fn problem(self, code: Code, span: &Range<usize>, label: &str, message: String) -> Problem {
        Problem::new(code, self.file, span, label, message)
    }

    pub(super) fn push(self, problem: Problem) {
        self.sink.borrow_mut().push(problem);
    }

    /// Whether anything so far stops the program.
    pub(super) fn has_errors(self) -> bool {
        self.sink.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Begins to read a whole document, which must be a mapping.
    pub(super) fn document(self, root: &'a Node, what: &'a str) -> Option<Fields<'a>> {
        let Some(entries) = root.value.as_map() else {
            let (span, message) = if matches!(root.value, Value::Null) {
                (0..0, format!("the {what} file is empty"))
            } else {
                let is = describe(root, self.file);
                (root.span.clone(), format!("the {what} file must hold a mapping, but {is}"))
            };
            let first = if what == "pipeline" { "evalflow: 1" } else { "name: …" };
            let problem = self.problem(Code::WrongType, &span, "not a mapping", message);
            self.push(problem.help(format!("write keys and values, beginning with `{first}`")));
            return None;
        };
        let start = entries.first().map_or(0..0, |(key, _)| key.span.clone());
        Some(Fields::new(self, entries, what, start))
    }
}

/// One value under a key.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) name: &'a str,
    pub(super) node: &'a Node,
}

impl<'a> Field<'a> {
    pub(super) fn span(self) -> &'a Range<usize> {
        &self.node.span
    }

    /// Reports something about the value.
    pub(super) fn push(self, problem: Problem) {
        self.reader.push(problem);
    }

    /// Starts a problem about the value.
    pub(super) fn problem(self, code: Code, label: &str, message: String) -> Problem {
        self.reader.problem(code, self.span(), label, message)
    }

    /// The value as a message may show it: as written, short, without credentials.
    pub(super) fn shown(self) -> String {
        shown(self.node, self.reader.file)
    }

    fn wrong_type(self, needed: &str, label: &str) -> Problem {
        let message = format!("`{}` must be {needed}, but {}", self.name, describe(self.node, self.reader.file));
        self.problem(Code::WrongType, label, message).help(format!("write {needed}"))
    }

    /// Any text.
    pub(super) fn any_text(self) -> Option<&'a str> {
        let help = match &self.node.value {
            Value::Text(text) => return Some(text),
            Value::Broken => return None,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                Some(format!("put it in quotes: `\"{}\"`", self.shown()))
            }
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        self.push(self.wrong_type("text", "not text").maybe_help(help));
        None
    }

    /// A text that holds more than white space.
    pub(super) fn text(self) -> Option<&'a str> {
        let text = self.any_text()?;
        if text.trim().is_empty() {
            self.push(self.problem(Code::Blank, "blank", format!("`{}` is blank", self.name)));
            return None;
        }
        Some(text)
    }

    /// The text of a value that came out of a variable; to YAML such a value is text, whatever it says.
    fn filled_in(self) -> Option<&'a str> {
        self.node.value.as_text().filter(|_| self.node.template.is_some()).map(str::trim)
    }

    /// Reports a value that is no number; nothing where that was done already.
    fn not_a_number(self, needed: &str, label: &str, would_do: impl Fn(&str) -> bool) {
        if !matches!(self.node.value, Value::Broken) {
            let quoted = self.node.value.as_text().is_some_and(|text| would_do(text.trim()));
            self.push(self.wrong_type(needed, label).maybe_help(quoted.then(|| "remove the quotes".to_owned())));
        }
    }

    /// A whole number in the range.
    pub(super) fn integer(self, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match (&self.node.value, &self.filled_in().map(str::parse)) {
            (Value::Int(number), _) | (_, Some(Ok(number))) => *number,
            _ => {
                self.not_a_number("a whole number", "not a whole number", |text| text.parse::<i128>().is_ok());
                return None;
            }
        };
        let fitting = u64::try_from(number).ok().filter(|number| range.contains(number));
        if fitting.is_none() {
            let (from, to) = (range.start(), range.end());
            let bounds = if *to == u64::MAX { format!("{from} or more") } else { format!("from {from} to {to}") };
            self.out_of_range(&bounds);
        }
        fitting
    }

    /// A whole number in the range, where the range fits the type.
    pub(super) fn small(self, range: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.integer(wide).and_then(|number| u32::try_from(number).ok())
    }

    /// A count of things, in the range.
    pub(super) fn count(self, range: RangeInclusive<u32>) -> Option<usize> {
        self.small(range).and_then(|number| usize::try_from(number).ok())
    }

    /// A finite number in the range.
    pub(super) fn number(self, range: impl RangeBounds<f64>) -> Option<f64> {
        let number = match (&self.node.value, &self.filled_in().map(str::parse)) {
            #[expect(clippy::cast_precision_loss, reason = "a number with a fraction is what is asked for")]
            (Value::Int(number), _) => *number as f64,
            (Value::Float(number), _) | (_, Some(Ok(number))) => *number,
            _ => {
                self.not_a_number("a number", "not a number", |text| text.parse::<f64>().is_ok());
                return None;
            }
        };
        if !number.is_finite() {
            self.out_of_range("a finite number");
            return None;
        }
        if !range.contains(&number) {
            self.out_of_range(&describe_range(&range));
            return None;
        }
        Some(number)
    }

    /// Reports that the value is a number outside of `bounds`.
    pub(super) fn out_of_range(self, bounds: &str) {
        let message = format!("`{}` must be {bounds}, but it is `{}`", self.name, self.shown());
        self.push(self.problem(Code::OutOfRange, "out of range", message));
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Option<bool> {
        match (&self.node.value, &self.filled_in().map(str::parse)) {
            (Value::Bool(flag), _) | (_, Some(Ok(flag))) => return Some(*flag),
            (Value::Broken, _) => return None,
            _ => {}
        }
        let help = match self.node.value.as_text().map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "on" | "true") => Some("write `true`".to_owned()),
            Some("no" | "off" | "false") => Some("write `false`".to_owned()),
            _ => None,
        };
        self.push(self.wrong_type("`true` or `false`", "not true or false").maybe_help(help));
        None
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let message = format!("`{}` cannot be `{}`", self.name, self.shown());
            let problem = self.problem(Code::InvalidValue, "unknown value", message);
            self.push(problem.help(did_you_mean(text, &names)));
        }
        found
    }

    /// Reports that the value is not what is needed, if nothing was reported about it yet.
    fn unless_broken<T>(self, value: Option<T>, needed: &str, label: &str) -> Option<T> {
        if value.is_none() && !matches!(self.node.value, Value::Broken) {
            self.push(self.wrong_type(needed, label));
        }
        value
    }

    /// The items of a list, never none.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        let items = self.any_list()?;
        if items.is_empty() {
            self.push(self.problem(Code::Empty, "empty", format!("`{}` must not be empty", self.name)));
            return None;
        }
        Some(items)
    }

    /// The items of a list that may be empty.
    pub(super) fn any_list(self) -> Option<Vec<Self>> {
        let items = self.unless_broken(self.node.value.as_list(), "a list", "not a list")?;
        Some(items.iter().map(|node| Self { node, ..self }).collect())
    }

    /// A list of texts, or one text.
    pub(super) fn texts(self) -> Option<Vec<(Self, &'a str)>> {
        let items = if self.node.value.as_text().is_some() { vec![self] } else { self.list()? };
        let count = items.len();
        let texts: Vec<_> = items.into_iter().filter_map(|item| Some((item, item.text()?))).collect();
        (texts.len() == count).then_some(texts)
    }

    /// A list of texts that may be empty.
    pub(super) fn any_texts(self) -> Option<Vec<String>> {
        let items = self.any_list()?;
        let count = items.len();
        let texts: Vec<_> = items.into_iter().filter_map(|item| item.text().map(str::to_owned)).collect();
        (texts.len() == count).then_some(texts)
    }

    /// A mapping; `what` is how problems with its keys call it.
    pub(super) fn fields_of(self, what: &'a str) -> Option<Fields<'a>> {
        let entries = self.unless_broken(self.node.value.as_map(), "a mapping", "not a mapping")?;
        Some(Fields::new(self.reader, entries, what, self.span().clone()))
    }

    /// A mapping that problems call by its key.
    pub(super) fn fields(self) -> Option<Fields<'a>> {
        self.fields_of(self.name)
    }

    /// The entries of a mapping whose keys are the user's.
    pub(super) fn entries(self) -> Option<Vec<(&'a Key, Self)>> {
        let entries = self.unless_broken(self.node.value.as_map(), "a mapping", "not a mapping")?;
        Some(entries.iter().map(|(key, node)| (key, Self { name: &key.name, node, ..self })).collect())
    }
}

/// A mapping whose keys are known: keys are taken out by name, and what is left at the end is a problem.
pub(super) struct Fields<'a> {
    pub(super) reader: Reader<'a>,
    /// What the mapping is called in messages.
    what: &'a str,
    /// Where a missing key is missing.
    pub(super) span: Range<usize>,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    /// Problems with keys that are not there, with the keys that would do.
    absent: Vec<(Vec<&'static str>, Problem)>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(reader: Reader<'a>, entries: &'a [(Key, Node)], what: &'a str, span: Range<usize>) -> Self {
        Self { reader, what, span, entries, known: Vec::new(), absent: Vec::new() }
    }

    /// Where a missing key is shown to be missing, if it is not where the mapping is.
    pub(super) fn at(mut self, span: &Range<usize>) -> Self {
        self.span = span.clone();
        self
    }

    /// The field, if the key is there.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        self.entry(name).map(|(_, node)| Field { reader: self.reader, name, node })
    }

    /// The field, which must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Option<Field<'a>> {
        let field = self.optional(name);
        if field.is_none() {
            self.missing(&[name]);
        }
        field
    }

    /// Notes that a key is missing, or one of several.
    pub(super) fn missing(&mut self, names: &[&'static str]) {
        let name = names.join("` or `");
        let message = format!("{} needs `{name}`", self.title());
        let problem = self.reader.problem(Code::MissingField, &self.span, &format!("no `{name}`"), message);
        let problem = match names {
            [one] => problem.help(format!("add `{one}:`")),
            _ => problem.help("add one of them"),
        };
        self.absent.push((names.to_vec(), problem));
    }

    /// Whether the key is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Where a key is written.
    pub(super) fn key_span(&self, name: &str) -> Option<&'a Range<usize>> {
        self.entry(name).map(|(key, _)| &key.span)
    }

    fn entry(&self, name: &str) -> Option<&'a (Key, Node)> {
        self.entries.iter().find(|(key, _)| key.name == name)
    }

    fn title(&self) -> String {
        match self.what {
            // Whole files are called by a word, everything else by its key.
            "pipeline" | "taxonomy" | "rubric" => format!("a {}", self.what),
            what if what.contains(' ') => what.to_owned(),
            what => format!("`{what}`"),
        }
    }

    /// Checks that of two keys exactly one is there; gives its name.
    pub(super) fn exactly_one(&mut self, names: [&'static str; 2]) -> Option<&'static str> {
        let [one, other] = names;
        let problem = match (self.key_span(one), self.key_span(other)) {
            (Some(_), None) => return Some(one),
            (None, Some(_)) => return Some(other),
            (None, None) => {
                let message = format!("{} needs either `{one}` or `{other}`", self.title());
                let problem = self.reader.problem(Code::ExactlyOne, &self.span, "neither is here", message);
                self.absent.push((names.to_vec(), problem.help("add one of them")));
                return None;
            }
            (Some(first), Some(second)) => {
                let (first, second) = if first.start <= second.start { (first, second) } else { (second, first) };
                let message = format!("{} takes either `{one}` or `{other}`, not both", self.title());
                self.reader
                    .problem(Code::ExactlyOne, second, "not both", message)
                    .other(self.reader.file, first, "the other is here")
                    .help("remove one of them")
            }
        };
        self.reader.push(problem);
        None
    }

    /// Reports the keys that nobody took, and those that are missing, unless one of the former was meant for it.
    pub(super) fn finish(self) {
        let mut meant = Vec::new();
        for (key, _) in self.entries {
            if self.known.contains(&key.name.as_str()) {
                continue;
            }
            // A key that is there already is not what was meant.
            let free: Vec<&str> = self.known.iter().copied().filter(|name| !self.has(name)).collect();
            let closest = closest(&key.name, &free);
            meant.extend(closest);
            let help = match closest {
                Some(name) => format!("did you mean `{name}`?"),
                None if self.known.len() == 1 => format!("its only key is {}", join(&self.known)),
                None => format!("its keys are {}", join(&self.known)),
            };
            let message = format!("unknown key `{}` in {}", shorten(&key.name), self.title());
            let problem = self.reader.problem(Code::UnknownField, &key.span, "unknown key", message);
            self.reader.push(problem.help(help));
        }
        for (names, problem) in self.absent {
            if !names.iter().any(|name| meant.contains(name)) {
                self.reader.push(problem);
            }
        }
    }
}

/// The one entry of a mapping, whose key says what the mapping is: `infer: {...}`.
pub(super) fn only_entry<'a, T: Copy>(
    field: Field<'a>,
    at: &Range<usize>,
    what: &str,
    title: &str,
    kinds: &[(&'static str, T)],
) -> Option<(T, &'a Key, Field<'a>)> {
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    let entries = field.entries()?;
    let (key, value) = match entries.as_slice() {
        [one] => *one,
        [] => {
            let message = format!("{title} has no kind");
            let problem = field.reader.problem(Code::ExactlyOne, at, "no kind", message);
            field.push(problem.help(format!("give it one of {}", join(&names))));
            return None;
        }
        [(first, _), (second, _), ..] => {
            let message = format!("{title} has {} keys, but its kind must be its only key", entries.len());
            field.push(
                field
                    .reader
                    .problem(Code::ExactlyOne, &second.span, "one too many", message)
                    .other(field.reader.file, &first.span, "the first is here")
                    .help(format!("indent the settings below the kind, which is one of {}", join(&names))),
            );
            return None;
        }
    };
    let Some((_, kind)) = kinds.iter().find(|(name, _)| *name == key.name) else {
        let message = format!("unknown kind `{}` of {what}", shorten(&key.name));
        let problem = field.reader.problem(Code::UnknownKind, &key.span, "unknown kind", message);
        field.push(problem.help(did_you_mean(&key.name, &names)));
        return None;
    };
    Some((*kind, key, value))
}

/// The names in a sentence; of very many, the first.
fn join(names: &[&str]) -> String {
    const MOST: usize = 12;
    let mut out = String::new();
    for (index, name) in names.iter().take(MOST).enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == names.len() => " and ",
            _ => ", ",
        };
        write!(out, "{before}`{name}`").expect("a String takes any text");
    }
    if names.len() > MOST {
        write!(out, " and {} more", names.len() - MOST).expect("a String takes any text");
    }
    out
}

/// The name that was probably meant.
pub(super) fn closest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let text = plain(text);
    let farthest = (text.chars().count() / 3).max(1);
    names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&text, &plain(name)), *name))
        .filter(|(distance, name)| *distance <= farthest && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Help for a text that is none of the names: the one that was probably meant, or all there are.
#[must_use]
pub fn did_you_mean(text: &str, names: &[&str]) -> String {
    match closest(text, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.len() == 1 => format!("there is only {}", join(names)),
        None => format!("there are {}", join(names)),
    }
}

/// Cuts a text that would fill a message.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn shown(node: &Node, file: &SourceText) -> String {
    match (&node.template, &node.value) {
        (Some(text), _) | (None, Value::Text(text)) => shorten(&secrets::cover_text(text)),
        _ => shorten(file.text.get(node.defined.clone()).unwrap_or_default()),
    }
}

/// What a value is, as the second half of a sentence.
fn describe(node: &Node, file: &SourceText) -> String {
    let shown = shown(node, file);
    match &node.value {
        Value::Null | Value::Broken => "it has no value".to_owned(),
        Value::Bool(_) => format!("`{shown}` is a truth value"),
        Value::Int(_) | Value::Float(_) => format!("`{shown}` is a number"),
        Value::Text(_) => format!("`{shown}` is text"),
        Value::List(_) => "it is a list".to_owned(),
        Value::Map(_) => "it is a mapping".to_owned(),
    }
}

fn describe_range(range: &impl RangeBounds<f64>) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => Some(format!("at least {low}")),
        Bound::Excluded(low) => Some(format!("above {low}")),
        Bound::Unbounded => None,
    };
    let high = match range.end_bound() {
        Bound::Included(high) => Some(format!("at most {high}")),
        Bound::Excluded(high) => Some(format!("below {high}")),
        Bound::Unbounded => None,
    };
    low.into_iter().chain(high).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_found() {
        let names = ["answers", "scenarios", "max_tokens", "top_p"];
        for (text, expected) in [
            ("anwsers", Some("answers")),
            ("Scenario", Some("scenarios")),
            ("max-tokens", Some("max_tokens")),
            ("topp", Some("top_p")),
            ("x", None),
            ("", None),
            ("verdicts", None),
        ] {
            assert_eq!(closest(text, &names), expected, "{text}");
        }
    }

    #[test]
    fn ranges_read_as_words() {
        assert_eq!(describe_range(&(Bound::Excluded(0.0), Bound::Included(1.0))), "above 0 and at most 1");
        assert_eq!(describe_range(&(0.0..=2.0)), "at least 0 and at most 2");
        assert_eq!(describe_range(&(Bound::Excluded(0.0), Bound::Unbounded)), "above 0");
    }

    #[test]
    fn long_texts_are_cut_to_one_line() {
        assert_eq!(shorten("a\n  b"), "a b");
        assert_eq!(shorten(&"é".repeat(61)).chars().count(), 60);
    }
}
