//! Criteria that a program of the project decides.

use serde::Serialize;

use super::Finding;
use crate::data::VerdictKind;
use crate::engine::{Reply, RunRequest};
use crate::ids::CriterionId;
use crate::judge::{Outcome, command_input, read_outcome};
use crate::spec::{Command, Criterion};

/// A program ready to be asked about all rows.
#[derive(Debug)]
pub(super) struct Program {
    criterion: CriterionId,
    command: Command,
    negated: bool,
}

impl Program {
    pub(super) fn new(criterion: &Criterion, command: &Command, negated: bool) -> Self {
        Self { criterion: criterion.id.clone(), command: command.clone(), negated }
    }

    /// What is asked about one reply; `context` holds what templates may name.
    pub(super) fn request(&self, context: &impl Serialize, reply: &str) -> RunRequest {
        let context = serde_json::to_value(context).expect("a scenario is plain data");
        let Command { run, files: _, timeout_s } = &self.command;
        let input = command_input(&context["scenario"], reply, &self.criterion);
        RunRequest { command: run.clone(), input, timeout_s: *timeout_s }
    }

    /// Reads what the program said. What is not as agreed is ungraded, whether it is negated or not; words that it quotes
    /// and that are not there are taken away.
    pub(super) fn read(&self, answer: &Reply, reply: &str) -> Finding {
        match read_outcome(&answer.text) {
            Ok(Outcome { pass, evidence, reason }) => {
                let verdict = if pass == self.negated { VerdictKind::Fail } else { VerdictKind::Pass };
                let evidence = if reply.contains(&evidence) { evidence } else { String::new() };
                Finding { evidence, ..Finding::new(verdict, reason) }
            }
            Err(why) => Finding::new(VerdictKind::Ungraded, format!("the program came to no verdict: {why}")),
        }
    }
}
