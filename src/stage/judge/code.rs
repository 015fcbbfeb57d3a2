//! Criteria that code decides, with the scenario's texts filled in.

use serde::Serialize;

use super::Finding;
use crate::check::{Check, CheckError, Compiled, Subject};
use crate::data::{Answer, Tokens, VerdictKind};
use crate::spec::Template;

/// A check ready to be decided on all rows.
#[derive(Debug)]
pub(super) enum CodeCheck {
    /// The same for each.
    Compiled(Compiled),
    /// Compared with texts that are made anew for each.
    Filled { check: Check, templates: Vec<Template> },
}

impl CodeCheck {
    /// Compiles what is the same for all rows.
    ///
    /// # Errors
    /// The check does not compile, or a template of it is none.
    pub(super) fn new(check: &Check) -> Result<Self, CheckError> {
        let template = |source: &str| {
            Template::new(source)
                .map_err(|error| CheckError::Template { template: format!("`{source}`"), message: error.message })
        };
        let templates: Vec<Template> = check.templates().map(template).collect::<Result<_, _>>()?;
        if templates.is_empty() {
            check.compile().map(Self::Compiled)
        } else {
            Ok(Self::Filled { check: check.clone(), templates })
        }
    }

    /// Decides the check on the reply of an answer. What cannot be decided is ungraded, whether it is negated or not.
    pub(super) fn decide(&self, reply: &str, answer: &Answer, context: &impl Serialize) -> Finding {
        let tokens = answer.tokens.map(|Tokens { prompt, completion }| (prompt, completion));
        let subject = Subject { reply, tokens, latency_ms: answer.latency_ms };
        let ungraded = |why: String| Finding::new(VerdictKind::Ungraded, format!("cannot be checked: {why}"));
        let found = match self {
            Self::Compiled(check) => check.evaluate(subject),
            Self::Filled { check, templates } => {
                let fill = |source: &str| {
                    let template = templates.iter().find(|template| template.source() == source);
                    let template = template.expect("each template of the check was taken");
                    template.render(context).map_err(|error| error.message)
                };
                match check.compile_with(&fill) {
                    Ok(check) => check.evaluate(subject),
                    Err(error) => return ungraded(error.to_string()),
                }
            }
        };
        match found {
            Ok(found) => {
                let verdict = if found.holds { VerdictKind::Pass } else { VerdictKind::Fail };
                Finding { evidence: found.evidence, ..Finding::new(verdict, found.reason) }
            }
            Err(why) => ungraded(why.to_string()),
        }
    }
}
