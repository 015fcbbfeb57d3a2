//! Several judges on one reply: one verdict, how good each of them is, and how many votes they are worth.

use super::float;

/// The verdict of more than half of the votes; none for a tie or without votes, which never counts as a pass.
#[must_use]
pub fn majority(votes: &[bool]) -> Option<bool> {
    let passes = votes.iter().filter(|vote| **vote).count();
    match (2 * passes).cmp(&votes.len()) {
        std::cmp::Ordering::Greater => Some(true),
        std::cmp::Ordering::Less => Some(false),
        std::cmp::Ordering::Equal => None,
    }
}

/// So many independent votes would say as much as `judges` whose errors correlate by `correlation` in pairs: `K / (1 + (K−1)ρ)`.
/// Between 1 and their number, and 0 without judges.
#[must_use]
pub fn effective_votes(judges: u64, correlation: f64) -> f64 {
    if judges == 0 {
        return 0.0;
    }
    let count = judges as f64;
    count / (1.0 + (count - 1.0) * correlation.clamp(0.0, 1.0))
}

/// The mean correlation of errors between pairs of judges, over scenarios whose truth is known: one row a judge, with whether it
/// erred. Judges that err always or never are left out. None where fewer than two are left, or rows differ in length.
#[must_use]
pub fn error_correlation<R: AsRef<[bool]>>(errors: &[R]) -> Option<f64> {
    let scenarios = errors.first()?.as_ref().len();
    if errors.iter().any(|judge| judge.as_ref().len() != scenarios) {
        return None;
    }
    let n = scenarios as f64;
    let count = |judge: &[bool]| judge.iter().filter(|erred| **erred).count() as f64;
    let varied: Vec<(&[bool], f64)> = errors
        .iter()
        .map(|judge| (judge.as_ref(), count(judge.as_ref()) / n))
        .filter(|(_, rate)| rate * (1.0 - rate) > 0.0)
        .collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (place, (one, one_rate)) in varied.iter().enumerate() {
        for (other, other_rate) in &varied[place + 1..] {
            let both = one.iter().zip(*other).filter(|(one, other)| **one && **other).count() as f64 / n;
            let spread = (one_rate * (1.0 - one_rate) * other_rate * (1.0 - other_rate)).sqrt();
            sum += (both - one_rate * other_rate) / spread;
            pairs += 1.0;
        }
    }
    (pairs > 0.0).then(|| sum / pairs)
}

/// What Dawid and Skene's model makes of verdicts without any truth.
#[derive(Debug, Clone, PartialEq)]
pub struct DawidSkene {
    /// The share that passes.
    pub prevalence: f64,
    /// How often each judge passes what passes.
    pub sensitivity: Vec<f64>,
    /// How often each judge fails what fails.
    pub specificity: Vec<f64>,
    /// How likely each reply passes. A score for its verdict, and no licence to go without labels: all judges may share a bias.
    pub posterior: Vec<f64>,
}

/// Rates stay this far from 0 and 1.
const CLAMP: f64 = 1e-10;
/// Posteriors that move less have settled.
const SETTLED: f64 = 1e-12;
/// Rounds at most.
const ROUNDS: u32 = 2_000;

/// The likeliest errors of judges from their verdicts alone (Dawid and Skene 1979): one row a reply, one column a judge. Use it
/// with three judges and a hundred replies or more.
///
/// Expectation and maximisation from the mean vote on; where judges come out worse than coins on the whole, pass and fail are
/// exchanged. None without replies, without judges, or with rows of different lengths.
#[must_use]
pub fn dawid_skene<R: AsRef<[bool]>>(verdicts: &[R]) -> Option<DawidSkene> {
    let judges = verdicts.first()?.as_ref().len();
    if judges == 0 || verdicts.iter().any(|row| row.as_ref().len() != judges) {
        return None;
    }
    let rows: Vec<&[bool]> = verdicts.iter().map(AsRef::as_ref).collect();
    let mean = |row: &[bool]| row.iter().filter(|vote| **vote).count() as f64 / judges as f64;
    let mut found = DawidSkene {
        prevalence: 0.5,
        sensitivity: vec![0.5; judges],
        specificity: vec![0.5; judges],
        posterior: rows.iter().map(|row| mean(row)).collect(),
    };
    for _ in 0..ROUNDS {
        found.maximise(&rows);
        if found.expect(&rows) < SETTLED {
            break;
        }
    }
    let skill: f64 = found.sensitivity.iter().chain(&found.specificity).sum();
    if skill < judges as f64 {
        found.exchange();
    }
    Some(found)
}

impl DawidSkene {
    /// The rates that fit the posteriors best.
    fn maximise(&mut self, rows: &[&[bool]]) {
        let passing: f64 = self.posterior.iter().sum();
        let failing = rows.len() as f64 - passing;
        let clamp = |share: f64| if share.is_nan() { 0.5 } else { share.clamp(CLAMP, 1.0 - CLAMP) };
        self.prevalence = clamp(passing / rows.len() as f64);
        for judge in 0..self.sensitivity.len() {
            let (mut hits, mut rejections) = (0.0, 0.0);
            for (row, posterior) in rows.iter().zip(&self.posterior) {
                if row[judge] { hits += posterior } else { rejections += 1.0 - posterior }
            }
            self.sensitivity[judge] = clamp(hits / passing);
            self.specificity[judge] = clamp(rejections / failing);
        }
    }

    /// The posteriors that the rates give, and how far the one that moved most did.
    fn expect(&mut self, rows: &[&[bool]]) -> f64 {
        let odds = |share: f64| float::ln(share / (1.0 - share));
        // What a verdict of each judge adds to the logarithm of the odds.
        let weights: Vec<(f64, f64)> = self
            .sensitivity
            .iter()
            .zip(&self.specificity)
            .map(|(se, sp)| (float::ln(se / (1.0 - sp)), float::ln((1.0 - se) / sp)))
            .collect();
        let mut moved = 0.0_f64;
        for (row, posterior) in rows.iter().zip(&mut self.posterior) {
            let said =
                row.iter().zip(&weights).map(|(vote, (pass, fail))| if *vote { pass } else { fail }).sum::<f64>();
            let next = 1.0 / (1.0 + float::exp(-(odds(self.prevalence) + said)));
            moved = moved.max((next - *posterior).abs());
            *posterior = next;
        }
        moved
    }

    /// The same model with pass for fail.
    fn exchange(&mut self) {
        self.prevalence = 1.0 - self.prevalence;
        for (se, sp) in self.sensitivity.iter_mut().zip(&mut self.specificity) {
            (*se, *sp) = (1.0 - *sp, 1.0 - *se);
        }
        self.posterior.iter_mut().for_each(|posterior| *posterior = 1.0 - *posterior);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Random;

    #[test]
    fn votes() {
        for (votes, expected) in
            [(&[][..], None), (&[true], Some(true)), (&[true, false], None), (&[true, false, false], Some(false))]
        {
            assert_eq!(majority(votes), expected, "{votes:?}");
        }
        for (judges, correlation, expected) in
            [(0, 0.0, 0.0), (1, 0.5, 1.0), (5, 0.0, 5.0), (5, 1.0, 1.0), (3, 0.5, 1.5), (3, -1.0, 3.0)]
        {
            assert!((effective_votes(judges, correlation) - expected).abs() < 1e-12, "{judges} {correlation}");
        }
    }

    #[test]
    fn errors_that_go_together() {
        let one = [true, false, true, false];
        for (errors, expected) in [
            (vec![one, one], Some(1.0)),
            (vec![one, [false, true, false, true]], Some(-1.0)),
            (vec![one, [true, true, false, false]], Some(0.0)),
            (vec![one, [false; 4]], None),
            (vec![], None),
        ] {
            assert_eq!(error_correlation(&errors), expected, "{errors:?}");
        }
        assert!(error_correlation(&[&[true, false][..], &[true]]).is_none());
    }

    #[test]
    fn tables_that_say_nothing() {
        let none: &[&[bool]] = &[];
        assert!(dawid_skene(none).is_none() && dawid_skene(&[[]; 3]).is_none());
        assert!(dawid_skene(&[&[true, false][..], &[true]]).is_none());
        for rows in [vec![[true; 3]; 5], vec![[false; 3]; 5], vec![[true, false, true]]] {
            let found = dawid_skene(&rows).unwrap();
            let all =
                found.sensitivity.iter().chain(&found.specificity).chain(&found.posterior).chain([&found.prevalence]);
            assert!(all.into_iter().all(|x| (0.0..=1.0).contains(x)), "{found:?}");
        }
    }

    #[test]
    fn errors_are_recovered() {
        let (sensitivity, specificity) = ([0.9, 0.8, 0.95, 0.6], [0.85, 0.9, 0.7, 0.9]);
        let mut random = Random::new(7, "panel", 0);
        let mut rows = Vec::new();
        for _ in 0..4_000 {
            let passes = random.share() < 0.6;
            rows.push(
                [0, 1, 2, 3]
                    .map(|judge| random.share() < if passes { sensitivity[judge] } else { 1.0 - specificity[judge] }),
            );
        }
        let found = dawid_skene(&rows).unwrap();
        assert!((found.prevalence - 0.6).abs() < 0.04, "{found:?}");
        for judge in 0..4 {
            assert!((found.sensitivity[judge] - sensitivity[judge]).abs() < 0.05, "{judge}: {:?}", found.sensitivity);
            assert!((found.specificity[judge] - specificity[judge]).abs() < 0.05, "{judge}: {:?}", found.specificity);
        }
    }
}
