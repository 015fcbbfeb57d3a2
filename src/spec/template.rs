//! Prompt templates and conditions: minijinja, strict. What a template may name is known, so an unknown variable is
//! found when the pipeline is checked and not at the thousandth row.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A prompt template over `scenario`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    prepared: Prepared,
}

/// An expression over `scenario` that is true or false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    source: String,
    prepared: Prepared,
}

/// What rendering needs, made for the first row and kept for all others: it takes longer than the rendering. Follows from
/// the source, so any two are equal.
#[derive(Clone, Default)]
struct Prepared(Arc<OnceLock<Environment<'static>>>);

impl PartialEq for Prepared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Prepared {}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// The name of the only template in an environment.
const ONLY: &str = "template";

/// What is wrong with a template or a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong, in a lower-case fragment.
    pub message: String,
    /// The line it is on, from 1, where that is known.
    pub line: Option<usize>,
    /// The names that are not known, where that is the fault.
    pub unknown: Vec<String>,
}

/// The members of `scenario` that templates and conditions may name.
pub const SCENARIO_FIELDS: &[&str] =
    &["topic", "subtopic", "style", "tags", "opening", "reference", "edge_case", "axes"];

/// What names of axes stand behind: which axes there are is the taxonomy's business.
const AXES: &str = "scenario.axes.";

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A prompt is made of a few thousand steps; loops within loops end in an error.
    environment.set_fuel(Some(1_000_000));
    environment
}

impl TemplateError {
    fn from_minijinja(error: &minijinja::Error) -> Self {
        let message = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
        Self { message, line: error.line(), unknown: Vec::new() }
    }
}

fn check_names(names: &[String], allowed: &[&str]) -> Result<(), TemplateError> {
    let axes = allowed.contains(&AXES.trim_end_matches('.'));
    let is_known = |name: &str| allowed.contains(&name) || axes && name.starts_with(AXES);
    let mut unknown: Vec<String> = names.iter().filter(|name| !is_known(name)).cloned().collect();
    unknown.sort_unstable();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(TemplateError { message: format!("unknown variable `{}`", unknown.join("`, `")), line: None, unknown })
}

/// Tries something out on scenarios as a suite may hold them.
///
/// What fails for some of them only may be meant for the others, such as the first tag where some have none; what
/// fails for all edge cases or for all other scenarios is a mistake.
fn try_samples<T>(
    names: &[String],
    attempt: impl Fn(&serde_json::Value) -> Result<T, TemplateError>,
) -> Result<(), TemplateError> {
    let axes = axes_of(names);
    let axes: serde_json::Map<String, serde_json::Value> =
        axes.into_iter().map(|axis| (axis.to_owned(), "x".into())).collect();
    for edge_case in [false, true] {
        let mut samples = Vec::new();
        for tags in [&[][..], &["x", "y", "z"]] {
            for subtopic in [None, Some("x")] {
                samples.push(serde_json::json!({"scenario": {
                    "topic": "x", "subtopic": subtopic, "style": "x", "tags": tags, "opening": "x", "edge_case": edge_case,
                    "reference": "x",
                    "axes": axes,
                }}));
            }
        }
        attempt_any(&samples, &attempt)?;
    }
    Ok(())
}

/// The axes among names, each once.
fn axes_of(names: &[String]) -> BTreeSet<&str> {
    let axes = names.iter().filter_map(|name| name.strip_prefix(AXES));
    axes.map(|name| name.split_once('.').map_or(name, |(axis, _)| axis)).collect()
}

/// The axes that something names and a suite with axes `known` does not have.
///
/// One that is asked about, as in `is defined`, or has a default is taken for meant, where it works without.
fn unknown_axes<T>(
    source: &str,
    names: &[String],
    known: &[&str],
    attempt: impl Fn(&serde_json::Value) -> Result<T, TemplateError>,
) -> Vec<String> {
    let unknown: Vec<String> =
        axes_of(names).into_iter().filter(|axis| !known.contains(axis)).map(str::to_owned).collect();
    let is_asked_about = ["defined", "default", "|d(", "| d("].iter().any(|guard| source.contains(guard));
    let known: Vec<String> = known.iter().map(|axis| format!("{AXES}{axis}")).collect();
    if is_asked_about && try_samples(&known, attempt).is_ok() { Vec::new() } else { unknown }
}

/// Succeeds if the attempt does for any of the samples.
fn attempt_any<S, T>(samples: &[S], attempt: impl Fn(&S) -> Result<T, TemplateError>) -> Result<(), TemplateError> {
    let mut last = Ok(());
    for sample in samples {
        last = attempt(sample).map(drop);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// The dotted names a template may use.
#[must_use]
pub fn known_names() -> Vec<String> {
    SCENARIO_FIELDS.iter().map(|field| format!("scenario.{field}")).collect()
}

impl Template {
    /// Checks that `source` parses, names nothing but [`known_names`] and can be filled in.
    ///
    /// # Errors
    /// It does not parse, names something else, or does what no scenario allows.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let (template, names) = Self::named(source, &known_names().iter().map(String::as_str).collect::<Vec<_>>())?;
        try_samples(&names, |sample| template.render(sample))?;
        Ok(template)
    }

    /// Checks that `source` parses and names nothing but `allowed`.
    ///
    /// # Errors
    /// It does not parse, or names something else.
    pub fn with_names(source: &str, allowed: &[&str]) -> Result<Self, TemplateError> {
        Self::named(source, allowed).map(|(template, _)| template)
    }

    /// The template, and the names that it uses.
    fn named(source: &str, allowed: &[&str]) -> Result<(Self, Vec<String>), TemplateError> {
        let environment = environment();
        let template = environment.template_from_str(source).map_err(|e| TemplateError::from_minijinja(&e))?;
        let names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        check_names(&names, allowed)?;
        Ok((Self { source: source.to_owned(), prepared: Prepared::default() }, names))
    }

    /// The axes that it names and a suite with axes `known` does not have.
    #[must_use]
    pub fn unknown_axes(&self, known: &[&str]) -> Vec<String> {
        let environment = environment();
        let template = environment.template_from_str(&self.source).expect("it was parsed before");
        let names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        unknown_axes(&self.source, &names, known, |sample| self.render(sample))
    }

    /// The template's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Fills in `context`, an object such as `{"scenario": {...}}`.
    ///
    /// # Errors
    /// Something the template does with a value is not possible.
    pub fn render(&self, context: &impl Serialize) -> Result<String, TemplateError> {
        let environment = self.prepared.0.get_or_init(|| {
            let mut environment = environment();
            environment.add_template_owned(ONLY, self.source.clone()).expect("it was parsed before");
            environment
        });
        let template = environment.get_template(ONLY).expect("it is in its own environment");
        let text = template.render(Serde(context)).map_err(|e| TemplateError::from_minijinja(&e))?;
        // A newline at the end of a prompt file is the editor's, not the author's.
        Ok(text.trim_end().to_owned())
    }
}

impl Condition {
    /// Checks that `source` parses, names nothing but [`known_names`] and can be told from a scenario.
    ///
    /// # Errors
    /// It does not parse, names something else, or does what no scenario allows.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let environment = environment();
        let expression = environment.compile_expression(source).map_err(|e| TemplateError::from_minijinja(&e))?;
        let names: Vec<String> = expression.undeclared_variables(true).into_iter().collect();
        check_names(&names, &known_names().iter().map(String::as_str).collect::<Vec<_>>())?;
        let condition = Self { source: source.to_owned(), prepared: Prepared::default() };
        try_samples(&names, |sample| condition.holds(sample))?;
        Ok(condition)
    }

    /// The axes that it names and a suite with axes `known` does not have.
    #[must_use]
    pub fn unknown_axes(&self, known: &[&str]) -> Vec<String> {
        let environment = environment();
        let expression = environment.compile_expression(&self.source).expect("it was parsed before");
        let names: Vec<String> = expression.undeclared_variables(true).into_iter().collect();
        unknown_axes(&self.source, &names, known, |sample| self.holds(sample))
    }

    /// The condition's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it depends on a dotted name.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        let environment = self.prepared.0.get_or_init(environment);
        let expression = environment.compile_expression(&self.source);
        expression.is_ok_and(|expression| expression.undeclared_variables(true).contains(name))
    }

    /// Whether it holds for `context`.
    ///
    /// # Errors
    /// Something the expression does with a value is not possible.
    pub fn holds(&self, context: &impl Serialize) -> Result<bool, TemplateError> {
        let environment = self.prepared.0.get_or_init(environment);
        let expression = environment.compile_expression(&self.source).map_err(|e| TemplateError::from_minijinja(&e))?;
        Ok(expression.eval(Serde(context)).map_err(|e| TemplateError::from_minijinja(&e))?.is_true())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scenario() -> serde_json::Value {
        json!({"scenario": {"topic": "sleep", "subtopic": null, "style": "terse", "tags": ["crisis"], "opening": "hi", "edge_case": true}})
    }

    #[test]
    fn renders() {
        let template = Template::new("Style: {{ scenario.style }}\n{{ scenario.opening }}\n").unwrap();
        assert_eq!(template.render(&scenario()).unwrap(), "Style: terse\nhi");
    }

    #[test]
    fn unknown_names_are_found_before_any_row() {
        for (source, unknown) in
            [("{{ scenario.titel }}", "scenario.titel"), ("{{ topic }}", "topic"), ("{{ scenario.id }}", "scenario.id")]
        {
            assert_eq!(Template::new(source).unwrap_err().unknown, [unknown]);
            assert_eq!(Condition::new(source.trim_matches(['{', '}', ' '])).unwrap_err().unknown, [unknown]);
        }
        assert_eq!(Template::new("a\n{{ scenario.topic").unwrap_err().line, Some(2));
    }

    #[test]
    fn all_unknown_names_are_found_at_once() {
        assert_eq!(Template::new("{{ b }}{{ scenario.topic }}{{ a }}{{ b }}").unwrap_err().unknown, ["a", "b"]);
    }

    #[test]
    fn axes_that_a_suite_lacks_are_found() {
        for (source, expected) in [
            ("scenario.axes.severity == 'high'", &[][..]),
            ("scenario.axes.severty == 'high'", &["severty"]),
            ("scenario.topic == 'a' and scenario.axes.b == 'x' or scenario.axes.a == 'x'", &["a", "b"]),
            ("scenario.axes.other is defined and scenario.axes.other == 'x'", &[]),
            ("scenario.axes.other | default('x') == 'x'", &[]),
            ("scenario.axes.other == 'x' or scenario.axes.more is defined", &["more", "other"]),
            ("scenario.axes | length > 1", &[]),
        ] {
            assert_eq!(Condition::new(source).unwrap().unknown_axes(&["severity"]), expected, "{source}");
            let template = Template::new(&format!("{{{{ {source} }}}}")).unwrap();
            assert_eq!(template.unknown_axes(&["severity"]), expected, "{source}");
        }
    }

    #[test]
    fn what_fails_for_every_row_is_found_before_any() {
        for source in [
            "scenario.topic | nosuchfilter",
            "scenario.topic is nosuchtest",
            "nosuchfunction(scenario.topic)",
            "scenario.style in 3",
            "scenario.tags + 1",
            "scenario.edge_case and scenario.style in 3",
        ] {
            assert!(Condition::new(source).is_err(), "{source}");
            assert!(Template::new(&format!("{{{{ {source} }}}}")).is_err(), "{source}");
        }
        assert_eq!(Template::new("a\n{{ scenario.topic | nosuch }}").unwrap_err().line, Some(2));
    }

    #[test]
    fn what_works_for_some_rows_is_left_alone() {
        for source in [
            "{{ scenario.tags | first }}",
            "{{ scenario.tags[1] }}",
            "{% if scenario.edge_case %}{{ scenario.tags[0] }}{% endif %}",
            "{{ scenario.subtopic | upper }}",
            "{% if scenario.opening == 'hi' %}{{ scenario.tags + 1 }}{% endif %}",
            "{{ scenario.topic }}{% for tag in scenario.tags %}{{ tag }}{% endfor %}",
            "{{ scenario.opening | length }} {{ scenario.opening[0] }}",
            "{% if scenario.subtopic %}{{ scenario.subtopic ~ scenario.topic }}{% else %}none{% endif %}",
        ] {
            assert!(Template::new(source).is_ok(), "{source}");
        }
        for source in [
            "scenario.opening == 'hi' and scenario.tags + 1 == 2",
            "scenario.tags[0] == 'x'",
            "scenario.subtopic == 'x'",
            "'a' in scenario.subtopic",
        ] {
            assert!(Condition::new(source).is_ok(), "{source}");
        }
    }

    #[test]
    fn conditions_hold_or_not() {
        for (source, expected) in [
            ("'crisis' in scenario.tags", true),
            ("scenario.topic != 'sleep'", false),
            ("not scenario.edge_case", false),
        ] {
            assert_eq!(Condition::new(source).unwrap().holds(&scenario()), Ok(expected), "{source}");
        }
    }
}
