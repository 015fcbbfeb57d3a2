//! Verdicts of a panel weighed by how its judges err, as Dawid and Skene's model has it, in place of its majority.
//!
//! The model needs all verdicts at once, so this is no part of the stage that judges: who decides on whole tables weighs first.
//! Start at [`Pool`].

use std::collections::BTreeMap;

use crate::data::{Judged, Verdict, VerdictKind};
use crate::ids::CriterionId;
use crate::judge::{Standing, grade};
use crate::spec::Rubric;
use crate::stats::dawid_skene;

/// With fewer judges, or fewer replies on which all of them gave a verdict, the majority stands.
const FEWEST_JUDGES: usize = 3;
const FEWEST_VERDICTS: u64 = 100;

/// What the judges of a panel said on all replies, by criterion.
#[derive(Debug, Default)]
pub struct Pool {
    said: BTreeMap<CriterionId, BTreeMap<Vec<bool>, u64>>,
}

/// How likely each criterion holds, by what each judge said of it.
#[derive(Debug)]
pub struct Pooled {
    posteriors: BTreeMap<CriterionId, BTreeMap<Vec<bool>, f64>>,
    /// Criteria on which the majority stands, since there are too few verdicts.
    pub left: Vec<CriterionId>,
}

impl Pool {
    /// Takes in what was said of one reply.
    pub fn add(&mut self, row: &Judged) {
        for verdict in &row.verdicts {
            if let Some(said) = said(verdict) {
                *self.said.entry(verdict.criterion.clone()).or_default().entry(said).or_default() += 1;
            }
        }
    }

    /// Estimates how each judge errs on each criterion, and what follows for each verdict.
    #[must_use]
    pub fn finish(self) -> Pooled {
        let mut pooled = Pooled { posteriors: BTreeMap::new(), left: Vec::new() };
        for (criterion, patterns) in self.said {
            let judges = patterns.keys().map(Vec::len).max().unwrap_or(0);
            if judges < FEWEST_JUDGES || patterns.values().sum::<u64>() < FEWEST_VERDICTS {
                pooled.left.push(criterion);
                continue;
            }
            let rows: Vec<&[bool]> =
                patterns.iter().flat_map(|(said, number)| (0..*number).map(move |_| said.as_slice())).collect();
            let Some(found) = dawid_skene(&rows) else {
                pooled.left.push(criterion);
                continue;
            };
            let posteriors = rows.iter().zip(found.posterior).map(|(said, posterior)| (said.to_vec(), posterior));
            pooled.posteriors.insert(criterion, posteriors.collect());
        }
        pooled
    }
}

impl Pooled {
    /// The judged reply with the likelier verdict in place of the majority's, and the grade that follows.
    #[must_use]
    pub fn weigh(&self, rubric: &Rubric, mut row: Judged) -> Judged {
        for verdict in &mut row.verdicts {
            let posteriors = self.posteriors.get(&verdict.criterion);
            let Some(likely) = posteriors.zip(said(verdict)).and_then(|(known, said)| known.get(&said).copied()) else {
                continue;
            };
            let kind = if likely > 0.5 {
                VerdictKind::Pass
            } else if likely < 0.5 {
                VerdictKind::Fail
            } else {
                VerdictKind::Ungraded
            };
            if verdict.verdict != kind {
                // What the majority quoted and reasoned does not explain another verdict.
                verdict.evidence.clear();
                verdict.quote = None;
                verdict.level = None;
                verdict.reason = format!("by the judges' errors on all replies a pass is likely by {likely:.3}");
                verdict.verdict = kind;
            }
        }
        let standings: Vec<Standing> = row.verdicts.iter().map(Standing::from).collect();
        // Of another rubric than the table's there is nothing to say.
        if standings.len() == rubric.criteria.len() {
            let graded = grade(rubric, &standings);
            (row.score, row.grade) = (graded.score, graded.grade);
        }
        row
    }
}

/// What each judge said, where all of them gave a verdict.
fn said(verdict: &Verdict) -> Option<Vec<bool>> {
    let one = |verdict: &VerdictKind| match verdict {
        VerdictKind::Pass => Some(true),
        VerdictKind::Fail => Some(false),
        VerdictKind::NotApplicable | VerdictKind::Ungraded => None,
    };
    let said: Vec<bool> = verdict.panel.values().map(one).collect::<Option<_>>()?;
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Grade;
    use crate::spec::{Ask, Criterion, PassRule, Question};
    use crate::stage::row::tests::scenario;

    fn rubric() -> Rubric {
        let question = Question {
            text: "Is it kind?".to_owned(),
            allow_not_applicable: false,
            pass_examples: Vec::new(),
            fail_examples: Vec::new(),
        };
        let id = CriterionId::new("kind").unwrap();
        let criterion = Criterion { id, weight: 1.0, critical: false, when: None, ask: Ask::Question(question) };
        let pass = PassRule { score: 1.0, min_applicable: 0.0, at_least: Vec::new() };
        Rubric { name: "r".to_owned(), pass, criteria: vec![criterion] }
    }

    /// A row on which the judges said `p`, `f` or `u`, with their majority's verdict.
    fn row(said: &str) -> Judged {
        let kind = |letter| match letter {
            'p' => VerdictKind::Pass,
            'f' => VerdictKind::Fail,
            _ => VerdictKind::Ungraded,
        };
        let panel: BTreeMap<String, VerdictKind> = ["a", "b", "c"]
            .iter()
            .zip(said.chars())
            .map(|(judge, letter)| ((*judge).to_owned(), kind(letter)))
            .collect();
        let passes = panel.values().filter(|verdict| **verdict == VerdictKind::Pass).count();
        let verdict = if passes >= 2 { VerdictKind::Pass } else { VerdictKind::Fail };
        let verdict = Verdict {
            criterion: CriterionId::new("kind").unwrap(),
            verdict,
            critical: false,
            evidence: "words".to_owned(),
            reason: "because".to_owned(),
            quote: None,
            votes: None,
            pass_probability: None,
            level: None,
            panel,
        };
        Judged {
            scenario: scenario("hi", &[]),
            repetition: 0,
            reply: None,
            failure: None,
            grade: if passes >= 2 { Grade::Pass } else { Grade::Fail },
            score: None,
            verdicts: vec![verdict],
        }
    }

    fn pooled(said: &[(&str, usize)]) -> Pooled {
        let mut pool = Pool::default();
        said.iter().for_each(|(said, number)| (0..*number).for_each(|_| pool.add(&row(said))));
        pool.finish()
    }

    #[test]
    fn two_judges_that_guess_do_not_outvote_one_that_knows() {
        // `a` goes with `b` and `c` where these agree by chance, and those two go with nobody.
        let said =
            [("ppp", 40), ("ppf", 20), ("pfp", 20), ("pff", 10), ("fff", 40), ("ffp", 20), ("fpf", 20), ("fpp", 10)];
        let pooled = pooled(&said);
        assert!(pooled.left.is_empty());
        let found = pooled.weigh(&rubric(), row("pff"));
        let verdict = &found.verdicts[0];
        assert_eq!((verdict.verdict, found.grade), (VerdictKind::Pass, Grade::Pass));
        assert!(
            verdict.reason.starts_with("by the judges' errors on all replies a pass is likely by 0."),
            "{verdict:?}"
        );
        assert!(verdict.evidence.is_empty());
        let same = pooled.weigh(&rubric(), row("ppp"));
        assert_eq!((same.verdicts[0].reason.as_str(), same.score), ("because", Some(1.0)));
    }

    #[test]
    fn too_few_verdicts_leave_the_majority() {
        let few = pooled(&[("ppp", 60), ("pff", 39), ("ppu", 50)]);
        assert_eq!(few.left.len(), 1);
        assert_eq!(few.weigh(&rubric(), row("pff")).verdicts[0].verdict, VerdictKind::Fail);
        // Where a judge gave none, the majority stands as well.
        let enough = pooled(&[("ppp", 60), ("fff", 60)]);
        assert_eq!(enough.weigh(&rubric(), row("ppu")).verdicts[0].reason, "because");
    }
}
