//! Names and the wires between them: what a field's reference leads to, and whether it may.
//!
//! Owns the types of wires and the search for circles.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use indexmap::IndexMap;

use crate::ids::{ModelName, StageId};
use crate::spec::pipeline::{Embedded, ModelRef, Pick};
use crate::spec::problem::{Code, Problem};
use crate::spec::read::{Field, Reader, closest, did_you_mean, only_entry, shorten};
use crate::spec::tree::{Key, Node, Value};

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Research,
    Pull,
    Generate,
    Infer,
    Judge,
    Prefer,
    Calibrate,
    Decide,
    Compare,
}

const KINDS: &[(&str, Kind)] = &[
    ("research", Kind::Research),
    ("pull", Kind::Pull),
    ("generate", Kind::Generate),
    ("infer", Kind::Infer),
    ("judge", Kind::Judge),
    ("prefer", Kind::Prefer),
    ("calibrate", Kind::Calibrate),
    ("decide", Kind::Decide),
    ("compare", Kind::Compare),
];

/// Reads which kind a stage is of; gives the kind's key and its settings.
pub(super) fn kind<'a>(field: Field<'a>, at: &Range<usize>) -> Option<(Kind, &'a Key, Field<'a>)> {
    only_entry(field, at, "stage", &format!("stage `{}`", shorten(field.name)), KINDS)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Pull => "pull",
            Self::Generate => "generate",
            Self::Infer => "infer",
            Self::Judge => "judge",
            Self::Prefer => "prefer",
            Self::Calibrate => "calibrate",
            Self::Decide => "decide",
            Self::Compare => "compare",
        }
    }

    /// The keys whose values name stages or models; below others where there is a dot, below each where there is a `*`, and in each
    /// item of a list.
    pub(super) fn references(self) -> &'static [&'static str] {
        match self {
            Self::Research => &[],
            Self::Pull => &["model"],
            Self::Generate => &["writer", "writer.model", "near_duplicates.embed"],
            Self::Infer => &["model", "scenarios"],
            Self::Judge => &["answers", "model"],
            Self::Prefer => &["base", "new", "model"],
            Self::Calibrate => &["verdicts", "beside"],
            Self::Decide => &["verdicts", "backup", "calibration", "gates.against"],
            Self::Compare => &["base", "new", "calibrations.base", "calibrations.new", "guards.*.base", "guards.*.new"],
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Model,
    Stage(Kind),
    /// A stage whose kind is a problem of its own.
    Unclear,
}

impl What {
    pub(super) fn of(kind: Option<Kind>) -> Self {
        kind.map_or(Self::Unclear, Self::Stage)
    }

    fn describe(self) -> String {
        match self {
            Self::Model => "an entry of `models`".to_owned(),
            Self::Stage(kind @ Kind::Infer) => format!("an `{}` stage", kind.name()),
            Self::Stage(kind) => format!("a `{}` stage", kind.name()),
            Self::Unclear => "a stage".to_owned(),
        }
    }
}

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Candidates,
    Scenarios,
    Answers,
    Verdicts,
    Calibration,
    Model,
    Weights,
}

impl Need {
    fn takes(self, what: What) -> bool {
        match self {
            Self::Candidates => what == What::Stage(Kind::Research),
            Self::Scenarios => what == What::Stage(Kind::Generate),
            Self::Answers => what == What::Stage(Kind::Infer),
            Self::Verdicts => what == What::Stage(Kind::Judge),
            Self::Calibration => what == What::Stage(Kind::Calibrate),
            Self::Model => matches!(what, What::Model | What::Stage(Kind::Pull)),
            Self::Weights => what == What::Stage(Kind::Pull),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Candidates => "a `research` stage",
            Self::Scenarios => "a `generate` stage",
            Self::Answers => "an `infer` stage",
            Self::Verdicts => "a `judge` stage",
            Self::Calibration => "a `calibrate` stage",
            Self::Model => "a `pull` stage or an entry of `models`",
            Self::Weights => "a `pull` stage",
        }
    }
}

struct Definition<'a> {
    span: &'a Range<usize>,
    what: What,
}

#[derive(Clone, Copy)]
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    span: &'a Range<usize>,
}

/// All names of the pipeline, and which stage mentions which.
#[derive(Default)]
pub(super) struct Outline<'a> {
    definitions: IndexMap<&'a str, Definition<'a>>,
    edges: Vec<Edge<'a>>,
    /// Pairs of stages that lie on a circle; what is wrong with their wires was said there.
    circular: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Outline<'a> {
    /// Takes in a name; one that a model has already is a problem.
    pub(super) fn define(&mut self, field: Field<'a>, span: &'a Range<usize>, what: What) {
        if let Some(first) = self.definitions.get(field.name) {
            let message = format!("`{}` names both a model and a stage", field.name);
            let problem = field.reader.problem(Code::DuplicateName, span, "a stage", message);
            field.push(problem.other(field.reader.file, first.span, "a model").help("rename one of them"));
            return;
        }
        self.definitions.insert(field.name, Definition { span, what });
    }

    /// Takes in what a stage or a model mentions in the fields of these names.
    pub(super) fn connect(&mut self, from: &'a str, references: &[&str], body: Field<'a>) {
        for path in references {
            let items = |node: &'a Node| {
                if let Value::List(items) = &node.value { items.iter().collect() } else { vec![node] }
            };
            let found = path.split('.').fold(vec![body.node], |nodes, name| {
                let entries = nodes.into_iter().flat_map(items).filter_map(|node| node.value.as_map()).flatten();
                entries.filter(|(key, _)| name == "*" || key.name == name).map(|(_, node)| node).collect()
            });
            for node in found.into_iter().flat_map(items) {
                if let Value::Text(text) = &node.value {
                    let to = text.split('.').next().unwrap_or(text);
                    self.edges.push(Edge { from, to, span: &node.span });
                }
            }
        }
    }

    /// The stages and models that mention a name, and where.
    pub(super) fn mentions(&self, name: &str) -> impl Iterator<Item = (&'a str, &'a Range<usize>)> {
        self.edges.iter().filter(move |edge| edge.to == name).map(|edge| (edge.from, edge.span))
    }

    /// Reports every circle.
    pub(super) fn find_cycles(&mut self, reader: Reader<'_>) {
        let mut out = BTreeMap::<&str, Vec<Edge<'a>>>::new();
        for edge in &self.edges {
            out.entry(edge.from).or_default().push(*edge);
        }
        let mut done = BTreeSet::new();
        let mut found = BTreeSet::new();
        for start in self.definitions.keys().copied() {
            // The stages on the way from `start`, each with the number of edges that were followed from it; kept by
            // hand, so that a long chain of stages cannot exhaust the stack.
            let mut way = if done.contains(start) { Vec::new() } else { vec![(start, 0_usize)] };
            let mut on_way: BTreeSet<&str> = way.iter().map(|(stage, _)| *stage).collect();
            while let Some((stage, followed)) = way.last_mut() {
                let Some(edge) = out.get(stage).and_then(|edges| edges.get(*followed)).copied() else {
                    done.insert(*stage);
                    on_way.remove(stage);
                    way.pop();
                    continue;
                };
                *followed += 1;
                if on_way.contains(edge.to) {
                    let at = way.iter().position(|(stage, _)| *stage == edge.to).unwrap_or_default();
                    let circle: Vec<Edge<'a>> = way[at..]
                        .iter()
                        .filter_map(|(stage, followed)| out.get(stage)?.get(followed - 1))
                        .copied()
                        .collect();
                    let circle = self.starting_first(circle);
                    if found.insert(circle.iter().map(|edge| edge.from).collect::<Vec<_>>()) {
                        reader.push(circle_problem(reader, &circle));
                    }
                    self.circular.extend(circle.iter().map(|edge| (edge.from, edge.to)));
                } else if !done.contains(edge.to) && out.contains_key(edge.to) {
                    on_way.insert(edge.to);
                    way.push((edge.to, 0));
                }
            }
        }
    }

    fn starting_first(&self, mut circle: Vec<Edge<'a>>) -> Vec<Edge<'a>> {
        let first = (0..circle.len()).min_by_key(|at| self.definitions.get_index_of(circle[*at].from)).unwrap_or(0);
        circle.rotate_left(first);
        circle
    }

    /// Warns of models that nothing asks and of results that nothing reads. A pipeline that decides and compares nothing is made for its
    /// tables, so all is well with those; with an error in the file, a reader may be there that is not understood.
    pub(super) fn warn_of_unused(&self, reader: Reader<'_>) {
        if reader.has_errors() {
            return;
        }
        let is_end = |what: What| matches!(what, What::Stage(Kind::Prefer | Kind::Decide | Kind::Compare));
        let is_aim = |what: What| matches!(what, What::Stage(Kind::Decide | Kind::Compare));
        let decides = self.definitions.values().any(|definition| is_aim(definition.what));
        let used: BTreeSet<&str> = self.edges.iter().map(|edge| edge.to).collect();
        for (name, definition) in self.definitions.iter().filter(|(name, _)| !used.contains(*name)) {
            let (code, label, message) = match definition.what {
                What::Model => (Code::UnusedModel, "never asked", format!("nothing asks `{name}`")),
                What::Stage(_) if decides && !is_end(definition.what) => {
                    (Code::UnusedStage, "never read", format!("nothing reads `{name}`"))
                }
                What::Stage(_) | What::Unclear => continue,
            };
            reader.push(reader.problem(code, definition.span, label, message));
        }
    }

    /// Follows a reference to a stage.
    pub(super) fn stage(&self, field: Field<'_>, need: Need) -> Option<StageId> {
        let (name, output) = self.lookup(field, need)?;
        match output {
            None => StageId::new(name).ok(),
            Some(output) => {
                self.no_such_output(field, name, output);
                None
            }
        }
    }

    /// Follows a reference to a model. `embedded` are those of `models:` that are sound and run on the embedded engine.
    pub(super) fn model(&self, field: Field<'_>, embedded: &BTreeMap<ModelName, Embedded>) -> Option<ModelRef> {
        let (name, output) = self.lookup(field, Need::Model)?;
        if let Some(output) = output {
            self.no_such_output(field, name, output);
            return None;
        }
        if self.definitions.get(name)?.what == What::Model {
            let name = ModelName::new(name).ok()?;
            let model = embedded.get(&name).map(|model| ModelRef::Embedded(Box::new(model.clone())));
            Some(model.unwrap_or(ModelRef::Declared(name)))
        } else {
            StageId::new(name).ok().map(ModelRef::weights)
        }
    }

    /// Follows a reference to one candidate of a research stage.
    pub(super) fn candidate(&self, field: Field<'_>) -> Option<(StageId, Pick)> {
        const PICKS: &[(&str, Pick)] = &[("primary", Pick::Primary), ("backup", Pick::Backup)];
        let (name, output) = self.lookup(field, Need::Candidates)?;
        let Some(output) = output else {
            let message = format!("`{}` does not say which candidate", field.shown());
            let problem = field.problem(Code::UnknownOutput, "which candidate?", message);
            field.push(problem.help(format!("write `{name}.primary` or `{name}.backup`")));
            return None;
        };
        let Some((_, pick)) = PICKS.iter().find(|(name, _)| *name == output) else {
            let message = format!("a `research` stage has no output `{}`", shown_output(field, output));
            let problem = field.problem(Code::UnknownOutput, "no such output", message);
            let help = match closest(output, &["primary", "backup"]) {
                Some(meant) => format!("did you mean `{name}.{meant}`?"),
                None => format!("write `{name}.primary` or `{name}.backup`"),
            };
            field.push(problem.help(help));
            return None;
        };
        Some((StageId::new(name).ok()?, *pick))
    }

    fn no_such_output(&self, field: Field<'_>, name: &str, output: &str) {
        let what = self.definitions.get(name).map_or(What::Unclear, |definition| definition.what);
        let message = format!("{} has no output `{}`", what.describe(), shown_output(field, output));
        let problem = field.problem(Code::UnknownOutput, "no such output", message);
        field.push(problem.help(format!("write `{name}`")));
    }

    /// Finds what a field names, if it is of a kind that the field takes; and the output after the dot.
    fn lookup<'t>(&self, field: Field<'t>, need: Need) -> Option<(&'t str, Option<&'t str>)> {
        let text = field.text()?;
        let (name, output) = text.split_once('.').map_or((text, None), |(name, output)| (name, Some(output)));
        let Some(definition) = self.definitions.get(name) else {
            field.push(self.unknown(field, text, need));
            return None;
        };
        if definition.what == What::Unclear {
            return None;
        }
        if !need.takes(definition.what) {
            let is_circular = self
                .edges
                .iter()
                .any(|edge| edge.span == field.span() && self.circular.contains(&(edge.from, edge.to)));
            if !is_circular {
                field.push(self.wrong_wire(field, name, definition, need));
            }
            return None;
        }
        Some((name, output))
    }

    fn fitting(&self, need: Need) -> Vec<&'a str> {
        let fits = |definition: &Definition<'_>| need.takes(definition.what);
        self.definitions.iter().filter(|(_, definition)| fits(definition)).map(|(name, _)| *name).collect()
    }

    fn unknown(&self, field: Field<'_>, text: &str, need: Need) -> Problem {
        let (code, what) = match need {
            Need::Model => (Code::UnknownModel, "model"),
            Need::Candidates | Need::Scenarios | Need::Answers | Need::Verdicts | Need::Calibration | Need::Weights => {
                (Code::UnknownStage, "stage")
            }
        };
        let fitting = self.fitting(need);
        let help = match fitting.as_slice() {
            // Whoever writes a file or an address here means what a stage would bring.
            _ if need == Need::Weights && is_source(text) => {
                "add a stage `pull: { from: … }` with it, and name that stage here".to_owned()
            }
            [] => format!("`{}` takes {}, and the pipeline has none", field.name, need.describe()),
            names => did_you_mean(text.split('.').next().unwrap_or(text), names),
        };
        field.problem(code, &format!("no such {what}"), format!("unknown {what} `{}`", field.shown())).help(help)
    }

    fn wrong_wire(&self, field: Field<'_>, name: &str, definition: &Definition<'_>, need: Need) -> Problem {
        let is = definition.what.describe();
        let message = format!("`{name}` is {is}, but `{}` takes {}", field.name, need.describe());
        let fitting = self.fitting(need);
        let help = match fitting.as_slice() {
            _ if matches!(need, Need::Model | Need::Weights) && definition.what == What::Stage(Kind::Research) => {
                format!("add a stage `pull: {{ model: {name}.primary }}` and name that")
            }
            [] => format!("add {}", need.describe()),
            [one] => format!("write `{one}`"),
            [first, ..] => format!("name one that fits, such as `{first}`"),
        };
        field
            .problem(Code::WrongWire, &is, message)
            .other(field.reader.file, definition.span, "defined here")
            .help(help)
    }
}

/// Whether a text says where a file is, and names no stage.
fn is_source(text: &str) -> bool {
    text.contains([':', '/', '\\']) || text.to_ascii_lowercase().ends_with(".gguf")
}

/// A value of the environment is shown as it is written.
fn shown_output(field: Field<'_>, output: &str) -> String {
    if field.node.template.is_some() { field.shown() } else { shorten(output) }
}

fn circle_problem(reader: Reader<'_>, circle: &[Edge<'_>]) -> Problem {
    let names: Vec<&str> = circle.iter().map(|edge| edge.from).chain(circle.first().map(|edge| edge.from)).collect();
    let message = format!("stages wait for each other in a circle: {}", names.join(" → "));
    match circle {
        [first, .., last] => reader
            .problem(Code::Cycle, first.span, &format!("waits for `{}`", first.to), message)
            .other(reader.file, last.span, &format!("waits for `{}`", last.to)),
        [one] => reader.problem(Code::Cycle, one.span, "waits for itself", message),
        [] => reader.problem(Code::Cycle, &(0..0), "", message),
    }
    .help("name stages that do not depend on this one")
}
