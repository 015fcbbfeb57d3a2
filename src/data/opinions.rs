//! How several opinions on the same questions divide: those of a panel's judges, or of one judge that was asked again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rows::{Judged, Verdict, VerdictKind, Votes, is_first};
use crate::ids::{CriterionId, ScenarioId};

/// So many verdicts on which opinions differ are named.
const DISPUTED_NAMED: usize = 10;

/// What was said of each criterion, without what was said of whom: memory does not grow with rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opinions {
    /// The judges of a panel, by name; none where one judge gave all opinions.
    pub judges: Vec<String>,
    /// Criterion → what was said → how often. A letter an opinion (`p`, `f`, `n`, or `u` for none): in the order of `judges`, or
    /// sorted where they are one judge's.
    pub criteria: BTreeMap<CriterionId, BTreeMap<String, u64>>,
    /// The first verdicts on which a panel is not of one mind.
    pub disputed: Vec<Disputed>,
}

/// A verdict on which the judges of a panel are not of one mind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disputed {
    /// Where.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// Which criterion.
    pub criterion: CriterionId,
    /// What the panel came to.
    pub verdict: VerdictKind,
    /// What each judge said.
    pub panel: BTreeMap<String, VerdictKind>,
}

impl Opinions {
    /// Whether no question was asked more than once.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.criteria.is_empty()
    }

    /// Takes in a judged reply.
    pub fn add(&mut self, row: &Judged) {
        for verdict in &row.verdicts {
            let Some(said) = said(verdict) else { continue };
            if self.judges.is_empty() {
                self.judges = verdict.panel.keys().cloned().collect();
            }
            let mut opinions = verdict.panel.values();
            let first = opinions.next();
            if opinions.any(|opinion| Some(opinion) != first) && self.disputed.len() < DISPUTED_NAMED {
                self.disputed.push(Disputed {
                    scenario: row.scenario.id.clone(),
                    repetition: row.repetition,
                    criterion: verdict.criterion.clone(),
                    verdict: verdict.verdict,
                    panel: verdict.panel.clone(),
                });
            }
            *self.criteria.entry(verdict.criterion.clone()).or_default().entry(said).or_default() += 1;
        }
    }

    /// Takes in what comes behind it in the table.
    pub fn merge(&mut self, other: &Self) {
        let Self { judges, criteria, disputed } = other;
        if self.judges.is_empty() {
            self.judges.clone_from(judges);
        }
        for (criterion, patterns) in criteria {
            let known = self.criteria.entry(criterion.clone()).or_default();
            for (said, number) in patterns {
                *known.entry(said.clone()).or_default() += number;
            }
        }
        let room = DISPUTED_NAMED - self.disputed.len();
        self.disputed.extend(disputed.iter().take(room).cloned());
    }
}

/// What was said, a letter an opinion; none where there is only one.
fn said(verdict: &Verdict) -> Option<String> {
    if !verdict.panel.is_empty() {
        return Some(verdict.panel.values().map(|verdict| letter(*verdict)).collect());
    }
    let Votes { pass, fail, not_applicable, ungraded } = verdict.votes?;
    let letters = [('f', fail), ('n', not_applicable), ('p', pass), ('u', ungraded)];
    Some(letters.into_iter().flat_map(|(letter, number)| (0..number).map(move |_| letter)).collect())
}

fn letter(verdict: VerdictKind) -> char {
    match verdict {
        VerdictKind::Pass => 'p',
        VerdictKind::Fail => 'f',
        VerdictKind::NotApplicable => 'n',
        VerdictKind::Ungraded => 'u',
    }
}
