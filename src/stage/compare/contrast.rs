//! Two arms on one suite: what is counted of their pairs, and the numbers that this comes to.

use std::collections::BTreeMap;

use super::differences::{Arm, Differences, Estimated, Level, unpaired};
use super::flips::FlipTally;
use super::pairing::{Group, Names, Numbers, Rules, Seen, Side};
use super::scores::Scores;
use crate::data::{
    Contrast, CriterionDifference, DifferenceGroup, DifferenceTests, Family, Grade, LeftOut, LengthDifference,
    LostTopic, Noise, PairCounts, Quotes, Rate, RateDifference, WhyBlocked,
};
use crate::stage::decide::is_untrusted;
use crate::stats::{self, FEWEST_CLUSTERS, Pairs};

/// Power at which a difference counts as visible.
const POWER: f64 = 0.8;

/// Largest adjusted p-value of a decisive finding.
const DECISIVE: f64 = 0.05;

/// The same for one that is only a hint.
const EXPLORATORY: f64 = 0.10;

/// Most characters of a text that is kept.
const LONGEST_TEXT: usize = 600;

pub(super) fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A contrast and what a gate takes of it.
#[derive(Debug)]
pub struct Contrasted {
    pub(super) contrast: Contrast,
    pub(super) blocked: Option<(WhyBlocked, String)>,
    /// The difference with the interval for tests of one side.
    pub(super) one_sided: RateDifference,
    /// Gains and losses of the pairs; none where rows are not paired.
    pub(super) pairs: Option<Pairs>,
    pub(super) design_effect: f64,
    pub(super) margin_supported: Option<f64>,
    pub(super) lost_topics: Vec<LostTopic>,
    /// What there are too few of, in words.
    pub(super) level: Level,
    pub(super) clusters: u64,
}

/// What is counted while tables are read.
#[derive(Debug)]
pub(super) struct Tally {
    rules: Rules,
    arms: [Arm; 2],
    quotes: Quotes,
    counts: PairCounts,
    /// Pairs with the same scenario on both sides, graded or not.
    matched: u64,
    all: Differences,
    scores: Scores,
    criteria: Vec<Differences>,
    topics: BTreeMap<u32, Differences>,
    styles: BTreeMap<u32, Differences>,
    gains: FlipTally,
    losses: FlipTally,
    words: [u64; 2],
    longer: u64,
    shorter: u64,
}

fn is_graded(grade: Grade) -> bool {
    matches!(grade, Grade::Pass | Grade::Fail)
}

impl Tally {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            arms: Default::default(),
            quotes: Quotes::default(),
            counts: PairCounts::default(),
            matched: 0,
            all: Differences::default(),
            scores: Scores::default(),
            criteria: Vec::new(),
            topics: BTreeMap::new(),
            styles: BTreeMap::new(),
            gains: FlipTally::default(),
            losses: FlipTally::default(),
            words: [0; 2],
            longer: 0,
            shorter: 0,
        }
    }

    pub(super) fn quote(&mut self, quotes: Quotes) {
        self.quotes.found += quotes.found;
        self.quotes.missing += quotes.missing;
    }

    /// Counts a scenario of one side, whatever is on the other.
    pub(super) fn alone(&mut self, side: Side, group: &Group) {
        let arm = &mut self.arms[side.index()];
        let of = |grade: Grade| group.rows.iter().filter(|row| row.grade == grade).count() as u64;
        let (passed, failed) = (of(Grade::Pass), of(Grade::Fail));
        arm.rows += group.rows.len() as u64;
        arm.ungraded += of(Grade::Ungraded);
        arm.invalid += of(Grade::Invalid);
        arm.add(group.topic, passed, passed + failed);
    }

    /// Counts rows without a counterpart.
    pub(super) fn only(&mut self, side: Side, rows: usize) {
        *(match side {
            Side::Base => &mut self.counts.only_base,
            Side::New => &mut self.counts.only_new,
        }) += rows as u64;
    }

    /// Counts rows whose scenario is another on the other side.
    pub(super) fn changed(&mut self, rows: usize) {
        self.counts.changed += rows as u64;
    }

    /// Counts the pairs of one scenario.
    pub(super) fn pair(&mut self, base: &Group, new: &Group) {
        let counterpart = |row: &Seen| new.rows.iter().find(|other| other.repetition == row.repetition);
        let pairs: Vec<(&Seen, &Seen)> = base.rows.iter().filter_map(|row| Some((row, counterpart(row)?))).collect();
        self.counts.only_base += (base.rows.len() - pairs.len()) as u64;
        self.counts.only_new += new.rows.len().saturating_sub(pairs.len()) as u64;
        self.matched += pairs.len() as u64;
        let mut graded = Vec::with_capacity(pairs.len());
        for pair in pairs {
            if is_graded(pair.0.grade) && is_graded(pair.1.grade) {
                graded.push(pair);
            } else {
                self.left_out(pair.0.grade, pair.1.grade);
            }
        }
        if graded.is_empty() {
            return;
        }
        let topic = base.topic;
        let grades = || graded.iter().map(|(base, new)| (base.grade == Grade::Pass, new.grade == Grade::Pass));
        self.all.add(topic, grades());
        self.topics.entry(topic).or_default().add(topic, grades());
        self.styles.entry(base.style).or_default().add(topic, grades());
        self.scores.add(topic, graded.iter().filter_map(|(base, new)| Some((base.score?, new.score?))));
        let criteria = base.rows.iter().map(|row| row.verdicts.len()).max().unwrap_or(0);
        if self.criteria.len() < criteria {
            self.criteria.resize_with(criteria, Differences::default);
        }
        for (number, differences) in self.criteria.iter_mut().enumerate() {
            let verdict = |row: &Seen| row.verdicts.get(number).copied().flatten();
            differences.add(topic, graded.iter().filter_map(|(base, new)| Some((verdict(base)?, verdict(new)?))));
        }
        for (old, now) in graded {
            self.words[0] += u64::from(old.words);
            self.words[1] += u64::from(now.words);
            self.longer += u64::from(now.words > old.words);
            self.shorter += u64::from(now.words < old.words);
            match (old.grade, now.grade) {
                (Grade::Fail, Grade::Pass) => self.gains.add(base, old, now, true),
                (Grade::Pass, Grade::Fail) => self.losses.add(base, old, now, false),
                _ => {}
            }
        }
    }

    fn left_out(&mut self, base: Grade, new: Grade) {
        let is_ungraded = |grade| grade == Grade::Ungraded;
        let is_invalid = |grade| grade == Grade::Invalid;
        let (out, sides): (&mut LeftOut, _) = if is_ungraded(base) || is_ungraded(new) {
            (&mut self.counts.ungraded, [is_ungraded(base), is_ungraded(new)])
        } else {
            (&mut self.counts.invalid, [is_invalid(base), is_invalid(new)])
        };
        *(match sides {
            [true, true] => &mut out.both,
            [true, false] => &mut out.base,
            [false, _] => &mut out.new,
        }) += 1;
    }

    /// Whether so many rows have a counterpart that those without may be left out.
    fn is_paired(&self) -> bool {
        let most = self.arms[0].rows.max(self.arms[1].rows);
        self.matched > 0 && self.matched as f64 >= (1.0 - self.rules.max_ungraded) * most as f64
    }

    pub(super) fn finish(mut self, names: &Names) -> Contrasted {
        self.quotes.untrusted = is_untrusted(&self.quotes);
        let blocked = self.blocked();
        let mut found = if self.is_paired() { self.paired(names) } else { self.unpaired(names) };
        found.blocked = blocked;
        found
    }

    /// Why nothing may be concluded.
    fn blocked(&self) -> Option<(WhyBlocked, String)> {
        let rules = &self.rules;
        let words = super::reasons::ungraded;
        let [base, new] = &self.arms;
        let ungraded = if base.rows == 0 || new.rows == 0 {
            Some("there are no rows to compare: add scenarios, then run again".to_owned())
        } else if self.is_paired() {
            let left_out = self.counts.ungraded.all() + self.counts.invalid.all();
            words("pair", self.counts.ungraded.all(), left_out, self.matched, rules.max_ungraded)
        } else {
            let of = |arm: &Arm| words("row", arm.ungraded, arm.ungraded + arm.invalid, arm.rows, rules.max_ungraded);
            of(base).or_else(|| of(new))
        };
        if let Some(words) = ungraded {
            return Some((WhyBlocked::Ungraded, words));
        }
        self.quotes.untrusted.then(|| (WhyBlocked::Untrusted, super::reasons::untrusted(&self.quotes)))
    }

    fn paired(self, names: &Names) -> Contrasted {
        let Self {
            rules,
            arms: _,
            quotes,
            counts,
            matched: _,
            all,
            scores,
            criteria,
            topics,
            styles,
            gains,
            losses,
            words,
            longer,
            shorter,
        } = self;
        let (level, confidence) = (all.level(rules.by_topic && names.have_topics()), rules.confidence);
        let clusters = all.clusters(level);
        let Estimated { difference, other, p, design_effect } = all.estimate(level, confidence);
        let Pairs { both, gains: gained, losses: lost, neither } = all.pairs;
        let (n, scenarios) = (all.pairs.scenarios(), all.clusters(Level::Scenario));
        let counts = PairCounts { pairs: n, both, gains: gained, losses: lost, neither, scenarios, ..counts };
        // Clusters that happen to be alike are no more to scores and rates than to the difference.
        let deciding = if difference.clusters.is_some() { level } else { Level::Scenario };
        let [base, new] = all.rates(deciding, confidence);
        let Visible { detectable, scenarios_needed, margin_supported } = Visible::of(&all, design_effect, confidence);
        let mean = |words: u64| words as f64 / n.max(1) as f64;
        let one_sided = all.estimate(level, super::one_sided(rules.confidence)).difference;
        let contrast = Contrast {
            paired: true,
            quotes,
            base,
            new,
            noise: noise(&difference, detectable),
            other_interval: other,
            too_few_clusters: level != Level::Row && clusters < FEWEST_CLUSTERS,
            tests: Some(tests(&all.signs, p)),
            scores: scores.difference(deciding, confidence, rules.seed),
            detectable,
            scenarios_needed,
            criteria: criteria_differences(&criteria, names, level, confidence),
            topics: groups(&topics, &names.topics, level, confidence),
            styles: groups(&styles, &names.styles, level, confidence),
            gains: gains.finish(&names.criteria.names),
            losses: losses.finish(&names.criteria.names),
            length: (n > 0).then(|| LengthDifference { base: mean(words[0]), new: mean(words[1]), longer, shorter }),
            difference,
            counts,
        };
        Contrasted {
            contrast,
            blocked: None,
            one_sided,
            pairs: Some(all.pairs),
            design_effect,
            margin_supported,
            lost_topics: lost_topics(&topics, &names.topics),
            level,
            clusters,
        }
    }

    fn unpaired(self, names: &Names) -> Contrasted {
        let Self { rules, arms: [base, new], quotes, counts, .. } = self;
        let by_topic = rules.by_topic && names.have_topics();
        let level = match [base.level(by_topic), new.level(by_topic)] {
            [Level::Topic, _] | [_, Level::Topic] => Level::Topic,
            [Level::Scenario, _] | [_, Level::Scenario] => Level::Scenario,
            [Level::Row, Level::Row] => Level::Row,
        };
        let clusters = base.clusters(level).min(new.clusters(level));
        let rates = |confidence: f64| [&base, &new].map(|arm| arm.rate(level, confidence));
        let [base_rate, new_rate] = rates(rules.confidence);
        let difference = unpaired(&base_rate, &new_rate);
        let one_sided = {
            let [base, new] = rates(super::one_sided(rules.confidence));
            unpaired(&base, &new)
        };
        let worth = |rate: &Rate| whole(rate.clustered.map_or(rate.n as f64, |clustered| clustered.n_eff));
        let (n1, n2) = (worth(&base_rate), worth(&new_rate));
        let p = (base.passed + new.passed) as f64 / (base.graded + new.graded).max(1) as f64;
        let alpha = 1.0 - rules.confidence;
        let detectable = stats::mde_unpaired(n1, n2, p, alpha, POWER);
        let contrast = Contrast {
            paired: false,
            counts,
            quotes,
            noise: noise(&difference, detectable),
            base: base_rate,
            new: new_rate,
            other_interval: None,
            too_few_clusters: level != Level::Row && clusters < FEWEST_CLUSTERS,
            tests: None,
            scores: None,
            detectable,
            scenarios_needed: None,
            criteria: Vec::new(),
            topics: Vec::new(),
            styles: Vec::new(),
            gains: crate::data::Flips::default(),
            losses: crate::data::Flips::default(),
            length: None,
            difference,
        };
        Contrasted {
            contrast,
            blocked: None,
            one_sided,
            pairs: None,
            design_effect: 1.0,
            // One-sided at alpha is two-sided at twice that.
            margin_supported: stats::mde_unpaired(n1, n2, p, 2.0 * alpha, POWER),
            lost_topics: Vec::new(),
            level,
            clusters,
        }
    }
}

/// What so many pairs can show.
struct Visible {
    detectable: Option<f64>,
    scenarios_needed: Option<u64>,
    margin_supported: Option<f64>,
}

impl Visible {
    fn of(all: &Differences, design_effect: f64, confidence: f64) -> Self {
        let Pairs { both: _, gains, losses, neither: _ } = all.pairs;
        let (n, alpha) = (all.pairs.scenarios(), 1.0 - confidence);
        let (psi, worth) = (all.pairs.discordance(), whole(n as f64 / design_effect));
        let share = |count: u64| count as f64 / n.max(1) as f64;
        let needed = stats::n_mcnemar(share(gains), share(losses), alpha, POWER);
        Self {
            detectable: stats::mde_paired(worth, psi, alpha, POWER),
            scenarios_needed: needed.map(|rows| in_scenarios(rows, design_effect, n, all.clusters(Level::Scenario))),
            margin_supported: stats::margin_supported(worth, psi, alpha, POWER),
        }
    }
}

fn tests(signs: &Pairs, p: f64) -> DifferenceTests {
    let Pairs { both: _, gains, losses, neither: _ } = *signs;
    DifferenceTests {
        gains,
        losses,
        mcnemar_exact: stats::mcnemar_exact(gains, losses),
        mcnemar_midp: stats::mcnemar_midp(gains, losses),
        p,
    }
}

/// A number of rows, or what they are worth, without its fraction.
fn whole(rows: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and below the rows there are"
    )]
    let whole = rows.max(0.0) as u64;
    whole
}

/// So many independent pairs as scenarios of this suite.
pub(super) fn in_scenarios(rows: u64, design_effect: f64, pairs: u64, scenarios: u64) -> u64 {
    whole((rows as f64 * design_effect * scenarios as f64 / pairs.max(1) as f64).ceil())
}

fn noise(difference: &RateDifference, detectable: Option<f64>) -> Option<Noise> {
    let point = difference.point?;
    if difference.lo <= 0.0 && 0.0 <= difference.hi {
        Some(Noise::IncludesZero)
    } else if detectable.is_none_or(|least| point.abs() < least) {
        Some(Noise::BelowDetectable)
    } else {
        None
    }
}

fn criteria_differences(
    criteria: &[Differences],
    names: &Names,
    level: Level,
    confidence: f64,
) -> Vec<CriterionDifference> {
    let mut found: Vec<CriterionDifference> = Vec::new();
    for (number, differences) in criteria.iter().enumerate() {
        let Estimated { difference, other: _, p, design_effect: _ } = differences.estimate(level, confidence);
        let critical = names.critical.get(number).copied().unwrap_or(false);
        found.push(CriterionDifference {
            criterion: names.criteria.names[number].clone(),
            family: if critical { Family::Critical } else { Family::Exploratory },
            difference,
            gains: differences.pairs.gains,
            losses: differences.pairs.losses,
            p,
            p_adjusted: p,
            significant: false,
        });
    }
    for (family, adjust, limit) in [
        (Family::Critical, stats::holm as fn(&[f64]) -> Vec<f64>, DECISIVE),
        (Family::Exploratory, stats::benjamini_hochberg, EXPLORATORY),
    ] {
        // A criterion that never applies is no test.
        let of_family = |one: &&mut CriterionDifference| one.family == family && one.difference.n > 0;
        let p: Vec<f64> = found.iter_mut().filter(of_family).map(|one| one.p).collect();
        for (one, adjusted) in found.iter_mut().filter(of_family).zip(adjust(&p)) {
            one.p_adjusted = adjusted;
            one.significant = adjusted < limit;
        }
    }
    let size = |one: &CriterionDifference| one.difference.point.unwrap_or(0.0).abs();
    found.sort_by(|one, other| {
        one.family
            .cmp(&other.family)
            .then(size(other).total_cmp(&size(one)))
            .then_with(|| one.criterion.cmp(&other.criterion))
    });
    found
}

fn groups(
    groups: &BTreeMap<u32, Differences>,
    names: &Numbers<String>,
    level: Level,
    confidence: f64,
) -> Vec<DifferenceGroup> {
    let mut p = Vec::new();
    let mut found: Vec<DifferenceGroup> = Vec::new();
    for (number, differences) in groups {
        // Inside of one topic there is nothing to cluster but scenarios.
        let level = if differences.topics.len() > 1 { level } else { differences.level(false) };
        let Estimated { difference, other: _, p: own, design_effect: _ } = differences.estimate(level, confidence);
        let [base, new] = differences.rates(level, confidence);
        p.push(own);
        found.push(DifferenceGroup {
            name: names.names[*number as usize].clone(),
            base: base.point,
            new: new.point,
            difference,
            gains: differences.pairs.gains,
            losses: differences.pairs.losses,
            p_adjusted: own,
        });
    }
    for (group, adjusted) in found.iter_mut().zip(stats::benjamini_hochberg(&p)) {
        group.p_adjusted = adjusted;
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The topics that lost more than chance explains, among those that are large enough.
fn lost_topics(topics: &BTreeMap<u32, Differences>, names: &Numbers<String>) -> Vec<LostTopic> {
    let signs: Vec<Pairs> = topics.values().map(|differences| differences.signs).collect();
    let mut lost: Vec<LostTopic> = topics
        .keys()
        .zip(&signs)
        .zip(stats::worst_slices(&signs))
        .filter_map(|((number, signs), p)| {
            let p = p.filter(|p| *p < DECISIVE)?;
            let topic = names.names[*number as usize].clone();
            Some(LostTopic { topic, gains: signs.gains, losses: signs.losses, p })
        })
        .collect();
    lost.sort_by(|one, other| one.p.total_cmp(&other.p).then_with(|| one.topic.cmp(&other.topic)));
    lost
}
