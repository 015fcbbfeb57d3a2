//! One criterion over all rows: its verdicts, by topic and style, and its first failures.

use std::collections::BTreeMap;

use super::examples::bounded;
use super::levels::LevelTally;
use super::rated::{Manner, PassFail, Place, Rated};
use super::{EXAMPLES, entry};
use crate::data::{CriterionSummary, FailedIn, Failure, Judged, Verdict, VerdictKind};
use crate::ids::CriterionId;
use crate::stats;

#[derive(Debug, Default)]
pub(super) struct CriterionTally {
    critical: bool,
    pub(super) verdicts: Rated,
    not_applicable: u64,
    ungraded: u64,
    pass_probabilities: stats::UnitMean,
    levels: LevelTally,
    /// By topic, and in it by style.
    pub(super) cells: BTreeMap<String, BTreeMap<String, PassFail>>,
    examples: Vec<Failure>,
}

impl CriterionTally {
    pub(super) fn add(&mut self, verdict: &Verdict, row: &Judged, place: Place) {
        self.critical |= verdict.critical;
        let passed = match verdict.verdict {
            VerdictKind::Pass => true,
            VerdictKind::Fail => false,
            VerdictKind::NotApplicable => {
                self.not_applicable += 1;
                return;
            }
            VerdictKind::Ungraded => {
                self.ungraded += 1;
                return;
            }
        };
        self.verdicts.add(passed, place);
        if let Some(probability) = verdict.pass_probability {
            self.pass_probabilities.add(probability);
        }
        if let Some(level) = verdict.level {
            self.levels.add(level);
        }
        entry(entry(&mut self.cells, &row.scenario.topic), &row.scenario.style).add(passed);
        if !passed && self.examples.len() < EXAMPLES {
            self.examples.push(Failure {
                scenario: row.scenario.id.clone(),
                repetition: row.repetition,
                opening: bounded(&row.scenario.opening),
                reply: bounded(row.reply.as_deref().unwrap_or_default()),
                evidence: bounded(&verdict.evidence),
                reason: bounded(&verdict.reason),
                pass_probability: verdict.pass_probability,
            });
        }
    }

    /// What was counted in each topic.
    pub(super) fn topics(&self) -> BTreeMap<&str, PassFail> {
        self.sums(|topic, _| topic)
    }

    /// What was counted in each style.
    pub(super) fn styles(&self) -> BTreeMap<&str, PassFail> {
        self.sums(|_, style| style)
    }

    fn sums<'a>(&'a self, name: impl Fn(&'a str, &'a str) -> &'a str) -> BTreeMap<&'a str, PassFail> {
        let mut sums = BTreeMap::<&str, PassFail>::new();
        for (topic, styles) in &self.cells {
            for (style, PassFail { passed, failed }) in styles {
                let sum = sums.entry(name(topic, style)).or_default();
                sum.passed += passed;
                sum.failed += failed;
            }
        }
        sums
    }

    pub(super) fn finish(self, criterion: CriterionId, manner: Manner) -> CriterionSummary {
        let failed_in = |groups: BTreeMap<&str, PassFail>| {
            let mut failed: Vec<FailedIn> = groups
                .into_iter()
                .filter(|(_, grades)| grades.failed > 0)
                .map(|(name, grades)| FailedIn { name: name.to_owned(), failed: grades.failed, graded: grades.all() })
                .collect();
            failed.sort_by_key(|group| std::cmp::Reverse(group.failed));
            failed
        };
        CriterionSummary {
            criterion,
            critical: self.critical,
            failed: self.verdicts.counts().failed,
            failed_topics: failed_in(self.topics()),
            failed_styles: failed_in(self.styles()),
            rate: self.verdicts.rate(manner, self.ungraded),
            not_applicable: self.not_applicable,
            ungraded: self.ungraded,
            mean_pass_probability: self.pass_probabilities.mean(),
            levels: self.levels.finish(),
            examples: self.examples,
        }
    }
}
