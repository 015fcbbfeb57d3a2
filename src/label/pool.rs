//! The replies that may be labelled, and which of them is next.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{Grade, Judged, LabelsNeeded};
use crate::ids::{CriterionId, ScenarioId};
use crate::spec::{Calibrate, ClusterBy, Criterion, Label, LabelOf, LabelVerdict, Rubric};
use crate::stage::calibrate::{self, among, is_asked, reply_digest};
use crate::stage::decide::cluster_of;
use crate::stats::{self, Clusters, SampledClusters, Share, Target, VerdictLabels};

/// Most replies of either grade that are kept to choose from, beside those with labels: nobody labels more in a session.
const MOST: usize = 2_000;

/// Labelled replies of either grade that are wanted before anything is known of how to spread them.
const PILOT: u64 = 15;

/// Of so many labelled replies, one is labelled by a second person.
const ONE_DOUBLE_IN: usize = 5;

/// A reply that may be labelled.
#[derive(Debug, Clone)]
pub struct Item {
    pub(super) row: Judged,
    pub(super) digest: String,
    /// The criteria that a judge is asked about it, in the rubric's order.
    pub(super) asked: Vec<CriterionId>,
    /// What the judge said, which nobody is shown.
    passed: bool,
}

impl Item {
    /// What a label by somebody on one of its criteria is about.
    pub(super) fn of(&self, criterion: &CriterionId, labeller: &str) -> LabelOf {
        LabelOf {
            scenario: self.row.scenario.id.clone(),
            repetition: self.row.repetition,
            criterion: criterion.clone(),
            labeller: labeller.to_owned(),
            reply: self.digest.clone(),
        }
    }
}

/// Where a reply stands in the random order of its grade.
type Place = (u64, ScenarioId, u32);

/// The replies of a run, in a random order that depends on a seed alone.
#[derive(Debug)]
pub struct Pool {
    pub(super) calibrate: Calibrate,
    pub(super) rubric: Rubric,
    seed: u64,
    labels: BTreeMap<LabelOf, LabelVerdict>,
    with_labels: BTreeSet<(ScenarioId, u32)>,
    labelled: BTreeMap<Place, Item>,
    /// Those without a label: of the judge's failures, and of its passes.
    open: [BTreeMap<Place, Item>; 2],
    judged: Share,
    cluster: ClusterBy,
    /// What passed, and all, of each cluster of scenarios.
    clusters: BTreeMap<String, (u64, u64)>,
    /// All that were kept, by their places in the order, once every row was seen.
    items: Vec<Item>,
}

/// How far labelling has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Replies of which every criterion has a label.
    pub replies: u64,
    /// Those of them that two people labelled whole.
    pub doubled: u64,
    /// Half the width of the corrected pass rate's interval at the calibration's level; none where nothing is labelled.
    pub half_width: Option<f64>,
    /// Labelled replies that would bring it to so much.
    pub needed: Vec<LabelsNeeded>,
    /// How people agree with each other.
    pub between: Option<crate::data::BetweenLabellers>,
}

impl Pool {
    /// An empty pool; rows are shuffled by `seed`. `cluster` is what the decision on them holds to belong together.
    #[must_use]
    pub fn new(calibrate: &Calibrate, rubric: &Rubric, cluster: &ClusterBy, seed: u64) -> Self {
        let labels: BTreeMap<LabelOf, LabelVerdict> =
            calibrate.labels.iter().map(|label| (label.of.clone(), label.verdict)).collect();
        let with_labels = labels.keys().map(|of| (of.scenario.clone(), of.repetition)).collect();
        Self {
            calibrate: calibrate.clone(),
            rubric: rubric.clone(),
            seed,
            labels,
            with_labels,
            labelled: BTreeMap::new(),
            open: [BTreeMap::new(), BTreeMap::new()],
            judged: Share::default(),
            cluster: cluster.clone(),
            clusters: BTreeMap::new(),
            items: Vec::new(),
        }
    }

    /// Takes in one judged response. One that has no grade is not labelled: nothing could be compared.
    pub fn add(&mut self, row: Judged) {
        let passed = match row.grade {
            Grade::Pass => true,
            Grade::Fail => false,
            Grade::Ungraded | Grade::Invalid => return,
        };
        let Some(reply) = &row.reply else { return };
        self.judged.of += 1;
        self.judged.count += u64::from(passed);
        if let Some(cluster) = cluster_of(&row, &self.cluster) {
            if !self.clusters.contains_key(cluster) {
                self.clusters.insert(cluster.to_owned(), (0, 0));
            }
            let (passes, rows) = self.clusters.get_mut(cluster).expect("it is there");
            (*passes, *rows) = (*passes + u64::from(passed), *rows + 1);
        }
        let asked: Vec<CriterionId> = self
            .rubric
            .criteria
            .iter()
            .filter(|criterion| is_asked(criterion, &row.scenario))
            .map(|criterion| criterion.id.clone())
            .collect();
        if asked.is_empty() {
            return;
        }
        let purpose = format!("labels of {}", row.scenario.id);
        let bits = stats::Random::new(self.seed, &purpose, u64::from(row.repetition)).bits();
        let place = (bits, row.scenario.id.clone(), row.repetition);
        let has_labels = self.with_labels.contains(&(row.scenario.id.clone(), row.repetition));
        let open = &mut self.open[usize::from(passed)];
        if !has_labels && open.len() >= MOST && open.last_key_value().is_some_and(|(last, _)| *last < place) {
            return;
        }
        let item = Item { digest: reply_digest(reply), row, asked, passed };
        if has_labels {
            self.labelled.insert(place, item);
            return;
        }
        open.insert(place, item);
        if open.len() > MOST {
            open.pop_last();
        }
    }

    /// All rows were seen.
    #[must_use]
    pub fn complete(mut self) -> Self {
        let mut all = std::mem::take(&mut self.labelled);
        for open in &mut self.open {
            all.append(open);
        }
        self.items = all.into_values().collect();
        self
    }

    /// The rubric's criterion of this id.
    pub(super) fn criterion(&self, id: &CriterionId) -> Option<&Criterion> {
        self.rubric.criteria.iter().find(|criterion| criterion.id == *id)
    }

    pub(super) fn item(&self, at: usize) -> &Item {
        &self.items[at]
    }

    /// Takes in a label, or that it was withdrawn.
    pub(super) fn mark(&mut self, of: LabelOf, verdict: Option<LabelVerdict>) {
        self.with_labels.insert((of.scenario.clone(), of.repetition));
        match verdict {
            Some(verdict) => self.labels.insert(of, verdict),
            None => self.labels.remove(&of),
        };
    }

    /// What somebody said of what.
    pub(super) fn said(&self, of: &LabelOf) -> Option<LabelVerdict> {
        self.labels.get(of).copied()
    }

    /// The first criterion of a reply that somebody has not labelled.
    pub(super) fn open_criterion(&self, at: usize, labeller: &str) -> Option<&CriterionId> {
        let item = &self.items[at];
        item.asked.iter().find(|criterion| !self.labels.contains_key(&item.of(criterion, labeller)))
    }

    /// The reply to label next, best last resort included: what was begun; then every fifth one that somebody else labelled; then
    /// one of the grade of which a label teaches most. `planned` are as good as labelled by `labeller`; `passed_over` are not offered.
    pub(super) fn next(
        &self,
        labeller: &str,
        planned: &BTreeSet<usize>,
        passed_over: &BTreeSet<usize>,
    ) -> Option<usize> {
        let labellers: BTreeSet<&str> = self.labels.keys().map(|of| of.labeller.as_str()).collect();
        let standings: Vec<Standing> = (0..self.items.len())
            .map(|at| match (self.standing(at, labeller, &labellers), planned.contains(&at)) {
                (standing, false) => standing,
                (Standing { others, .. }, true) => Standing { begun: false, mine: true, others },
            })
            .collect();
        let free = |at: &usize| !planned.contains(at) && !passed_over.contains(at);
        let find = |fits: &dyn Fn(&Standing) -> bool| (0..standings.len()).find(|at| free(at) && fits(&standings[*at]));
        if let Some(begun) = find(&|standing| standing.begun) {
            return Some(begun);
        }
        let labelled = standings.iter().filter(|standing| standing.mine || standing.others > 0).count();
        let doubled = standings.iter().filter(|standing| usize::from(standing.mine) + standing.others > 1).count();
        let second = || find(&|standing| !standing.mine && standing.others == 1);
        if doubled * ONE_DOUBLE_IN < labelled
            && let Some(second) = second()
        {
            return Some(second);
        }
        let fresh = |passed: bool| {
            (0..standings.len()).find(|at| {
                let Standing { begun: _, mine, others } = standings[*at];
                free(at) && !mine && others == 0 && self.items[*at].passed == passed
            })
        };
        let first = self.wants_a_pass(&standings);
        fresh(first).or_else(|| fresh(!first)).or_else(second)
    }

    fn standing(&self, at: usize, labeller: &str, labellers: &BTreeSet<&str>) -> Standing {
        let item = &self.items[at];
        if !self.with_labels.contains(&(item.row.scenario.id.clone(), item.row.repetition)) {
            return Standing { begun: false, mine: false, others: 0 };
        }
        let done = |who: &str| {
            item.asked.iter().filter(|criterion| self.labels.contains_key(&item.of(criterion, who))).count()
        };
        let mine = done(labeller);
        let all = item.asked.len();
        let others = labellers.iter().filter(|who| **who != labeller && done(who) == all).count();
        Standing { begun: mine > 0 && mine < all, mine: mine == all, others }
    }

    /// Whether a label teaches more of what the judge passed than of what it failed.
    fn wants_a_pass(&self, standings: &[Standing]) -> bool {
        let mut labelled = [0_u64; 2];
        for (item, standing) in self.items.iter().zip(standings) {
            labelled[usize::from(item.passed)] += u64::from(standing.mine || standing.others > 0);
        }
        let [failed, passed] = labelled;
        let [lacks_failed, lacks_passed] = [failed, passed].map(|labelled| PILOT.saturating_sub(labelled) as f64);
        if lacks_failed + lacks_passed > 0.0 {
            // Drawn, for whoever saw them take turns would know what the judge said.
            let drawn = stats::Random::new(self.seed, "grade of a label", passed + failed).share();
            return drawn * (lacks_failed + lacks_passed) < lacks_passed;
        }
        let (right, wrong) = among(&self.record().replies.table);
        let share = stats::neyman_share(self.judged, right, wrong).unwrap_or(0.5);
        (passed as f64) < share * (passed + failed + 1) as f64
    }

    /// What the labels say so far, on the replies that have any.
    fn record(&self) -> crate::data::Calibration {
        let labels = self.labels.iter().map(|(of, verdict)| Label { of: of.clone(), verdict: *verdict }).collect();
        let about: BTreeSet<(&ScenarioId, u32)> = self.labels.keys().map(|of| (&of.scenario, of.repetition)).collect();
        let mut tally = calibrate::Tally::new(&Calibrate { labels, ..self.calibrate.clone() }, &self.rubric);
        let has_labels = |item: &&Item| about.contains(&(&item.row.scenario.id, item.row.repetition));
        for item in self.items.iter().filter(has_labels) {
            tally.add(&item.row);
        }
        tally.finish()
    }

    /// What the verdicts are worth where scenarios belong together.
    fn sampled(&self) -> Option<SampledClusters> {
        let mut clusters = Clusters::default();
        self.clusters.values().for_each(|(passed, rows)| clusters.add(*passed, *rows));
        let found = clusters.interval(self.calibrate.confidence);
        (clusters.clusters() > 1 && clusters.are_clustered()).then(|| SampledClusters {
            n_eff: found.n_eff,
            clusters: clusters.clusters(),
            degrees: found.degrees,
        })
    }

    /// How far labelling has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let labellers: BTreeSet<&str> = self.labels.keys().map(|of| of.labeller.as_str()).collect();
        let whole: Vec<usize> =
            (0..self.items.len()).map(|at| self.standing(at, "", &labellers).others).filter(|by| *by > 0).collect();
        let record = self.record();
        let table = record.replies.table;
        let labels = VerdictLabels {
            judged: self.judged,
            among_passed: Share { count: table.both_pass, of: table.both_pass + table.wrongly_passed },
            among_failed: Share { count: table.wrongly_failed, of: table.wrongly_failed + table.both_fail },
        };
        let confidence = self.calibrate.confidence;
        let estimate = match self.sampled() {
            Some(sampled) => stats::poststratified_clustered(&labels, sampled, confidence),
            None => stats::poststratified(&labels, confidence, Target::Population),
        };
        let (right, wrong) = among(&table);
        let needed = [0.1, 0.05].into_iter().filter_map(|half_width| {
            let replies = stats::labels_needed(self.judged, right, wrong, half_width, self.calibrate.confidence)?;
            Some(LabelsNeeded { half_width, replies })
        });
        Progress {
            replies: whole.len() as u64,
            doubled: whole.iter().filter(|by| **by > 1).count() as u64,
            half_width: estimate.filter(|_| table.n() > 0).map(|found| (found.interval.hi - found.interval.lo) / 2.0),
            needed: needed.collect(),
            between: record.between_labellers,
        }
    }

    /// The replies that were kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no reply to label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Who labelled a reply.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Some of it, by who is asked.
    begun: bool,
    /// All of it, by who is asked.
    mine: bool,
    /// By how many others all of it.
    others: usize,
}
