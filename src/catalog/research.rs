//! From a catalog to the table of candidates.

use indexmap::IndexMap;

use super::error::{CatalogError, NearestMiss};
use super::facts::Facts;
use super::rank::{Preference, Ranked, check_tags, preferences, rank};
use super::reason::Words;
use super::require::{Finding, Requirement, needed, requirements};
use super::table::Catalog;
use crate::data::{Candidate, Candidates, Place};
use crate::spec::{Fits, Profile, Require};

/// How many near misses are told of.
const NEAR_MISSES: usize = 5;

/// Finds the models that satisfy `require`, ranks them by `profile`, and gives the best `shortlist` of them, each with
/// the reason why it is there.
///
/// # Errors
/// No model satisfies `require`, or the profile names a column or a tag that there is not.
pub fn research(
    catalog: &Catalog,
    require: &Require,
    profile: &Profile,
    shortlist: usize,
) -> Result<Candidates, CatalogError> {
    let facts = catalog.facts();
    check_tags(profile, &facts)?;
    let search = Search {
        requirements: requirements(require),
        fits: require.fits,
        preferences: preferences(catalog, profile)?,
        profile,
        facts,
    };
    search.candidates(shortlist)
}

struct Search<'a> {
    requirements: Vec<Requirement<'a>>,
    fits: Option<Fits>,
    preferences: Vec<Preference>,
    profile: &'a Profile,
    facts: Vec<Facts<'a>>,
}

impl Search<'_> {
    fn candidates(&self, shortlist: usize) -> Result<Candidates, CatalogError> {
        let mut dropped: IndexMap<String, usize> =
            self.requirements.iter().map(|requirement| (requirement.name().to_owned(), 0)).collect();
        let mut passing = Vec::new();
        for (model, facts) in self.facts.iter().enumerate() {
            match self.requirements.iter().position(|requirement| requirement.test(facts) != Finding::Met) {
                Some(first) => dropped[first] += 1,
                None => passing.push(model),
            }
        }
        // Ranking all models is the most costly part, and of no use where every model passes.
        let near_misses = if passing.len() < self.facts.len() { self.near_misses() } else { Vec::new() };
        if passing.is_empty() {
            let nearest = near_misses.first().map(|ranked| Box::new(self.nearest_miss(ranked.model)));
            return Err(CatalogError::NothingFits { considered: self.facts.len(), dropped, nearest });
        }
        Ok(Candidates {
            considered: self.facts.len(),
            dropped,
            shortlist: self.shortlist(&passing, shortlist),
            near_misses: near_misses.iter().map(|ranked| self.near_miss(ranked)).collect(),
        })
    }

    fn shortlist(&self, passing: &[usize], shortlist: usize) -> Vec<Candidate> {
        let ranked = rank(&self.preferences, self.profile, &self.facts, passing);
        let words = Words {
            preferences: &self.preferences,
            by_default: self.profile.prefer.is_empty(),
            facts: &self.facts,
            ranked: &ranked,
        };
        let place = |position| match position {
            0 => Place::Primary,
            1 => Place::Backup,
            _ => Place::Shortlisted,
        };
        let rows = ranked.iter().enumerate().take(shortlist.max(1));
        rows.map(|(position, ranked)| {
            let considered = explanations(&self.requirements, &self.facts[ranked.model], ", ");
            let considered = if considered.is_empty() { "nothing is required".to_owned() } else { considered };
            self.row(ranked, place(position), considered, words.reason(position))
        })
        .collect()
    }

    /// The dropped models that come closest to the requirements, of equally close ones the best by the profile among all
    /// models: a model ten times too large is no near miss, however good.
    fn near_misses(&self) -> Vec<Ranked<'_>> {
        let all: Vec<usize> = (0..self.facts.len()).collect();
        let distance = |model: usize| -> u32 {
            self.requirements.iter().map(|requirement| requirement.distance(&self.facts[model])).sum()
        };
        let mut missed: Vec<(u32, Ranked<'_>)> = rank(&self.preferences, self.profile, &self.facts, &all)
            .into_iter()
            .map(|ranked| (distance(ranked.model), ranked))
            .filter(|(distance, _)| *distance > 0)
            .collect();
        // The sort is stable, so that the profile's order remains among equals.
        missed.sort_by_key(|(distance, _)| *distance);
        missed.into_iter().take(NEAR_MISSES).map(|(_, ranked)| ranked).collect()
    }

    fn near_miss(&self, ranked: &Ranked<'_>) -> Candidate {
        let facts = &self.facts[ranked.model];
        let met: Vec<_> =
            self.requirements.iter().filter(|requirement| requirement.test(facts) == Finding::Met).copied().collect();
        let met =
            if met.is_empty() { "fails all that is required".to_owned() } else { explanations(&met, facts, ", ") };
        let reason = format!("dropped: {}", explanations(&self.failed(ranked.model), facts, "; "));
        self.row(ranked, Place::Dropped, met, reason)
    }

    fn nearest_miss(&self, model: usize) -> NearestMiss {
        let (facts, failed) = (&self.facts[model], self.failed(model));
        NearestMiss {
            id: facts.id.to_owned(),
            why: explanations(&failed, facts, "; "),
            relax: failed.iter().map(|requirement| requirement.name().to_owned()).collect(),
            unknown: failed.iter().any(|requirement| requirement.test(facts) == Finding::Unknown),
        }
    }

    fn failed(&self, model: usize) -> Vec<Requirement<'_>> {
        let facts = &self.facts[model];
        self.requirements.iter().filter(|requirement| requirement.test(facts) != Finding::Met).copied().collect()
    }

    fn row(&self, ranked: &Ranked<'_>, place: Place, considered_because: String, reason: String) -> Candidate {
        let facts = &self.facts[ranked.model];
        let scores = self.preferences.iter().map(|column| (column.name.clone(), column.scores[ranked.model])).collect();
        Candidate {
            id: facts.id.to_owned(),
            place,
            params_b: facts.params_b,
            license: facts.license.map(ToOwned::to_owned),
            license_note: facts.license_note.map(ToOwned::to_owned),
            context: facts.context,
            kind: facts.kind.map(ToOwned::to_owned),
            memory_bytes: self.fits.and_then(|fits| needed(facts, &fits)).map(|memory| memory.total),
            // Among all models the same percentile means something else than among those that pass.
            fit: if place == Place::Dropped { None } else { ranked.fit },
            scores,
            considered_because,
            reason,
            weights: facts.weights.map(ToOwned::to_owned),
            weights_sha256: facts.weights_sha256.map(ToOwned::to_owned),
            weights_bytes: facts.weights_bytes,
        }
    }
}

fn explanations(requirements: &[Requirement<'_>], facts: &Facts<'_>, separator: &str) -> String {
    requirements.iter().map(|requirement| requirement.explain(facts)).collect::<Vec<_>>().join(separator)
}
