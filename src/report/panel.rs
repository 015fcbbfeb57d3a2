//! How far judges agree: those of a panel with each other, and one that was asked several times with itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::preferences::light_name;
use crate::data::{Disputed, Opinions};
use crate::ids::CriterionId;
use crate::stats::{Measure, Weights, dawid_skene, gwet_ac1, kappa, krippendorff_nominal, self_consistency};

/// Fewer judges or verdicts than these tell too little for the errors of each to be estimated from the others.
const FEWEST_JUDGES: usize = 3;
const FEWEST_VERDICTS: usize = 100;

/// How far the opinions of judges divide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Opinion {
    /// Verdicts with several opinions.
    pub verdicts: u64,
    /// Of these, those on which opinions differ.
    pub disputed: u64,
    /// Of these, those on which no verdict has a majority.
    pub undecided: u64,
    /// Each criterion by itself, in the order of ids.
    pub criteria: Vec<CriterionOpinions>,
    /// The judges of a panel; empty where one judge gave all opinions.
    pub judges: Vec<PanelJudge>,
    /// Each two of them.
    pub pairs: Vec<JudgePair>,
    /// Krippendorff's alpha over all of them, `not_applicable` being a class and what is ungraded missing; null where it is
    /// not defined.
    pub alpha: Option<f64>,
    /// The first verdicts on which a panel is not of one mind.
    pub first: Vec<Disputed>,
    /// How steady one judge is that was asked several times; null for a panel.
    pub steadiness: Option<Steadiness>,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CriterionOpinions {
    /// Which.
    pub criterion: CriterionId,
    /// Verdicts with several opinions.
    pub verdicts: u64,
    /// Of these, those on which opinions differ.
    pub disputed: u64,
    /// Of these, those without a majority.
    pub undecided: u64,
}

/// One judge of a panel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PanelJudge {
    /// What it is called.
    pub judge: String,
    /// Its verdicts `pass`.
    pub pass: u64,
    /// `fail`.
    pub fail: u64,
    /// `not_applicable`.
    pub not_applicable: u64,
    /// Those that could not be had or read.
    pub ungraded: u64,
    /// How often it passes what the panel together takes for a pass, by Dawid and Skene's model; null for too few judges or
    /// verdicts.
    pub sensitivity: Option<f64>,
    /// How often it fails what the panel together takes for a failure.
    pub specificity: Option<f64>,
}

/// Two judges of a panel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgePair {
    /// The one.
    pub one: String,
    /// The other.
    pub other: String,
    /// Verdicts `pass` or `fail` of both.
    pub verdicts: u64,
    /// The share of them that are the same.
    pub same: f64,
    /// Cohen's κ; null where all are of one kind.
    pub kappa: Option<f64>,
    /// Gwet's AC1.
    pub ac1: Option<f64>,
}

/// How steady a judge is that was asked several times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Steadiness {
    /// Verdicts all of whose opinions are `pass` or `fail`.
    pub verdicts: u64,
    /// How often two opinions on one question differ, on average.
    pub disagreement: f64,
    /// The share of verdicts on which not all opinions agree.
    pub not_unanimous: f64,
    /// Its Wilson interval at 95 %.
    pub lo: f64,
    /// Its upper end.
    pub hi: f64,
    /// `green`, `amber` or `red`.
    pub light: &'static str,
}

/// What was said of one criterion, and how often.
type Said<'a> = (&'a str, u64);

pub(super) fn opinions(found: Opinions) -> Option<Opinion> {
    if found.is_empty() {
        return None;
    }
    let criteria: Vec<CriterionOpinions> =
        found.criteria.iter().map(|(criterion, patterns)| of_criterion(criterion, patterns)).collect();
    let sum = |of: fn(&CriterionOpinions) -> u64| criteria.iter().map(of).sum();
    let said: Vec<Said<'_>> =
        found.criteria.values().flatten().map(|(said, number)| (said.as_str(), *number)).collect();
    let (verdicts, disputed, undecided) = (sum(|one| one.verdicts), sum(|one| one.disputed), sum(|one| one.undecided));
    let is_panel = !found.judges.is_empty();
    Some(Opinion {
        verdicts,
        disputed,
        undecided,
        judges: judges(&found.judges, &said),
        pairs: pairs(&found.judges, &said),
        alpha: if is_panel { alpha(found.judges.len(), &said) } else { None },
        steadiness: if is_panel { None } else { steadiness(&said) },
        first: found.disputed,
        criteria,
    })
}

fn of_criterion(criterion: &CriterionId, patterns: &BTreeMap<String, u64>) -> CriterionOpinions {
    let count = |is: fn(&str) -> bool| patterns.iter().filter(|(said, _)| is(said)).map(|(_, number)| *number).sum();
    CriterionOpinions {
        criterion: criterion.clone(),
        verdicts: count(|_| true),
        disputed: count(is_disputed),
        undecided: count(|said| !has_majority(said)),
    }
}

fn is_disputed(said: &str) -> bool {
    let mut letters = said.chars();
    let first = letters.next();
    letters.any(|letter| Some(letter) != first)
}

fn has_majority(said: &str) -> bool {
    let of = |letter| said.chars().filter(|one| *one == letter).count();
    ['p', 'f', 'n'].into_iter().any(|letter| 2 * of(letter) > said.len())
}

fn judges(names: &[String], said: &[Said<'_>]) -> Vec<PanelJudge> {
    let modelled = dawid_skene_of(names.len(), said);
    let judge = |(seat, name): (usize, &String)| {
        let count = |letter: u8| {
            let of_letter = said.iter().filter(|(said, _)| said.as_bytes().get(seat) == Some(&letter));
            of_letter.map(|(_, number)| number).sum()
        };
        PanelJudge {
            judge: name.clone(),
            pass: count(b'p'),
            fail: count(b'f'),
            not_applicable: count(b'n'),
            ungraded: count(b'u'),
            sensitivity: modelled.as_ref().map(|(sensitivity, _)| sensitivity[seat]),
            specificity: modelled.as_ref().map(|(_, specificity)| specificity[seat]),
        }
    };
    names.iter().enumerate().map(judge).collect()
}

/// The likeliest errors of judges over all criteria, from verdicts on which all of them said `pass` or `fail`.
fn dawid_skene_of(judges: usize, said: &[Said<'_>]) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut rows: Vec<Vec<bool>> = Vec::new();
    for (said, number) in said.iter().filter(|(said, _)| said.bytes().all(|letter| b"pf".contains(&letter))) {
        let row: Vec<bool> = said.bytes().map(|letter| letter == b'p').collect();
        rows.extend((0..*number).map(|_| row.clone()));
    }
    if judges < FEWEST_JUDGES || rows.len() < FEWEST_VERDICTS {
        return None;
    }
    dawid_skene(&rows).map(|found| (found.sensitivity, found.specificity))
}

fn pairs(names: &[String], said: &[Said<'_>]) -> Vec<JudgePair> {
    let mut pairs = Vec::new();
    for one in 0..names.len() {
        for other in one + 1..names.len() {
            let mut table = [[0_u64; 2]; 2];
            for (said, number) in said {
                let place = |seat: usize| match said.as_bytes().get(seat) {
                    Some(b'p') => Some(0),
                    Some(b'f') => Some(1),
                    _ => None,
                };
                if let (Some(row), Some(column)) = (place(one), place(other)) {
                    table[row][column] += number;
                }
            }
            let verdicts: u64 = table.iter().flatten().sum();
            if verdicts > 0 {
                pairs.push(JudgePair {
                    one: names[one].clone(),
                    other: names[other].clone(),
                    verdicts,
                    same: (table[0][0] + table[1][1]) as f64 / verdicts as f64,
                    kappa: kappa(&table, Weights::Nominal).and_then(|found| found.coefficient),
                    ac1: gwet_ac1(&table).and_then(|found| found.coefficient),
                });
            }
        }
    }
    pairs
}

fn alpha(judges: usize, said: &[Said<'_>]) -> Option<f64> {
    let class = |letter: u8| match letter {
        b'p' => Some(0),
        b'f' => Some(1),
        b'n' => Some(2),
        _ => None,
    };
    let ratings = |seat: usize| {
        let each = said.iter().flat_map(|(said, number)| {
            let rating = said.as_bytes().get(seat).copied().and_then(class);
            (0..*number).map(move |_| rating)
        });
        each.collect::<Vec<Option<u32>>>()
    };
    krippendorff_nominal(&(0..judges).map(ratings).collect::<Vec<_>>())
}

fn steadiness(said: &[Said<'_>]) -> Option<Steadiness> {
    let graded = said.iter().filter(|(said, _)| said.bytes().all(|letter| b"pf".contains(&letter)));
    let mut passes = Vec::new();
    let mut samples = 0;
    for (said, number) in graded {
        samples = said.len() as u64;
        let passed = said.bytes().filter(|letter| *letter == b'p').count() as u64;
        passes.extend((0..*number).map(|_| passed));
    }
    let found = self_consistency(&passes, samples, 0.95)?;
    Some(Steadiness {
        verdicts: passes.len() as u64,
        disagreement: found.disagreement,
        not_unanimous: 1.0 - found.unanimous,
        lo: found.not_unanimous.lo,
        hi: found.not_unanimous.hi,
        light: light_name(Measure::Disagreement(found.disagreement).light()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(judges: &[&str], said: &[(&str, u64)]) -> Opinion {
        let patterns = said.iter().map(|(said, number)| ((*said).to_owned(), *number)).collect();
        let criteria = BTreeMap::from([(CriterionId::new("kind").unwrap(), patterns)]);
        let judges = judges.iter().map(|&judge| judge.to_owned()).collect();
        opinions(Opinions { judges, criteria, disputed: Vec::new() }).unwrap()
    }

    #[test]
    fn a_panel_is_told_by_pairs() {
        let panel = found(&["a", "b", "c"], &[("ppp", 40), ("ppf", 5), ("pff", 3), ("fff", 2), ("pfu", 1), ("nnp", 1)]);
        assert_eq!((panel.verdicts, panel.disputed, panel.undecided), (52, 10, 1));
        assert_eq!((panel.judges[0].pass, panel.judges[2].ungraded, panel.judges[1].not_applicable), (49, 1, 1));
        let pair = |at: usize| (panel.pairs[at].verdicts, (panel.pairs[at].same * 1000.0).round());
        assert_eq!([pair(0), pair(1), pair(2)], [(51, 922.0), (50, 840.0), (50, 900.0)]);
        // Of `a` and `c`: a table of 40, 8, 0 and 2.
        let (kappa, ac1) = (panel.pairs[1].kappa.unwrap(), panel.pairs[1].ac1.unwrap());
        assert!((kappa - 0.2857).abs() < 1e-3 && (ac1 - 0.7972).abs() < 1e-3, "{kappa} {ac1}");
        assert!(panel.alpha.unwrap() > 0.3 && panel.alpha.unwrap() < 0.8, "{:?}", panel.alpha);
        assert_eq!((panel.judges[0].sensitivity, panel.steadiness), (None, None), "50 verdicts are too few");
    }

    #[test]
    fn a_judge_that_errs_is_found_out_by_the_others() {
        let panel = found(&["a", "b", "c"], &[("ppp", 90), ("ppf", 30), ("fff", 60), ("ffp", 20)]);
        let rates: Vec<_> =
            panel.judges.iter().map(|one| (one.sensitivity.unwrap() > 0.95, one.specificity.unwrap() > 0.95)).collect();
        assert_eq!(rates, [(true, true), (true, true), (false, false)]);
    }

    #[test]
    fn one_judge_is_told_by_how_steady_it_is() {
        let steady = found(&[], &[("ppp", 46), ("fpp", 2), ("ffp", 1), ("fff", 1), ("fpu", 1)]);
        assert_eq!((steady.disputed, steady.undecided, steady.pairs.len(), steady.alpha), (4, 1, 0, None));
        let found = steady.steadiness.unwrap();
        assert!((found.not_unanimous - 0.06).abs() < 1e-12 && (found.disagreement - 0.04).abs() < 1e-12, "{found:?}");
        assert_eq!((found.verdicts, found.light), (50, "green"));
        assert!(found.lo > 0.01 && found.hi < 0.2);
    }
}
