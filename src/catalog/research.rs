//! From a catalog to the table of candidates.

use indexmap::IndexMap;

use super::concerns::{Board, Watch};
use super::error::{CatalogError, NearestMiss, closest};
use super::explain::how;
use super::facts::Facts;
use super::known;
use super::memory::{Memory, estimate};
use super::number::bytes_both;
use super::quantization::SHOWN;
use super::rank::{Aim, Preference, Ranked, check_tags, preferences, rank, rank_some};
use super::reason::Words;
use super::require::{Finding, Requirement, needed, requirements};
use super::table::{Catalog, Cell, Column};
use super::ties::shared_ranks;
use crate::data::{
    Candidate, Candidates, Concern, ConcernKind, Evidence, Pinned, Place, QuantizedMemory, TrainingMemory,
};
use crate::spec::{Fits, Pin, Purpose, Require, Research};

/// How many near misses are told of.
const NEAR_MISSES: usize = 5;

/// Stars of the best fit.
const MOST_STARS: u8 = 5;

/// Finds the models that satisfy `require`, ranks them by `profile`, and gives the best `shortlist` of them, each with
/// the reason why it is there and what to watch about it.
///
/// # Errors
/// No model satisfies `require`, the profile names a column or a tag that there is not, or the pinned model is in no
/// catalog.
pub fn research(catalog: &Catalog, research: &Research) -> Result<Candidates, CatalogError> {
    // Files are read by whoever calls this.
    let Research { catalog: _, require, profile, shortlist, pin, hosting, as_of } = research;
    let (boards, facts) = std::thread::scope(|scope| {
        // Most of the time goes into reading cells as what they say, and these two know nothing of each other.
        let boards = scope.spawn(|| Board::all(catalog));
        let facts = catalog.facts();
        (boards.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), facts)
    });
    let aim = Aim::new(catalog, profile)?;
    check_tags(&aim.avoid, &facts)?;
    let pinned = pin.as_ref().map(|pin| find_pinned(pin, &facts)).transpose()?;
    let preferences = preferences(catalog, &aim)?;
    let search = Search {
        requirements: requirements(require),
        require,
        columns: preferences.iter().map(|preference| catalog.column(&preference.name)).collect(),
        preferences,
        watch: Watch::new(catalog, boards, &facts, *hosting, as_of.as_deref()),
        pin: pin.as_ref().zip(pinned),
        aim,
        catalog,
        facts,
    };
    search.candidates(*shortlist)
}

fn find_pinned(pin: &Pin, facts: &[Facts<'_>]) -> Result<usize, CatalogError> {
    facts.iter().position(|facts| facts.id == pin.id).ok_or_else(|| CatalogError::UnknownPrimary {
        id: pin.id.clone(),
        suggestion: closest(&pin.id, facts.iter().map(|facts| facts.id)),
    })
}

struct Search<'a> {
    requirements: Vec<Requirement<'a>>,
    require: &'a Require,
    preferences: Vec<Preference>,
    /// The columns of the preferences.
    columns: Vec<Column>,
    watch: Watch<'a>,
    /// What a reviewer took, and which model that is.
    pin: Option<(&'a Pin, usize)>,
    aim: Aim,
    catalog: &'a Catalog,
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
        if passing.is_empty() && self.pin.is_none() {
            let nearest = near_misses.first().map(|ranked| Box::new(self.nearest_miss(ranked.model)));
            return Err(CatalogError::NothingFits { considered: self.facts.len(), dropped, nearest });
        }
        let ranked = rank(&self.preferences, &self.aim.avoid, &self.facts, &passing);
        let is_pinned = |ranked: &&Ranked<'_>| self.pin.is_some_and(|(_, pinned)| pinned == ranked.model);
        Ok(Candidates {
            considered: self.facts.len(),
            dropped,
            shortlist: self.shortlist(&ranked, shortlist),
            near_misses: near_misses
                .iter()
                .filter(|ranked| !is_pinned(ranked))
                .take(NEAR_MISSES)
                .map(|ranked| self.near_miss(ranked))
                .collect(),
            sources: self.catalog.sources(),
            notes: self.notes(&ranked),
            memory_for: self.require.fits.map(|fits| format!("{} {}", bytes_both(fits.memory_bytes), how(&fits))),
            memory_available: self.require.fits.map(|fits| fits.memory_bytes),
            pinned: self.pinned(&ranked),
        })
    }

    fn notes(&self, ranked: &[Ranked<'_>]) -> Vec<String> {
        let mut notes: Vec<String> = self.aim.note.iter().cloned().collect();
        let ranks = shared_ranks(&self.preferences, ranked);
        let benchmarks = self.preferences.iter().filter_map(|preference| {
            let (questions, noise) = preference.questions?;
            Some(format!("{} {noise:.1} ({questions} questions)", preference.name))
        });
        let benchmarks: Vec<String> = benchmarks.collect();
        if !benchmarks.is_empty() && ranks.windows(2).any(|pair| pair[0] == pair[1]) {
            notes.push(format!(
                "models whose weighted scores differ by less than sampling noise share a rank: 0.5 % apart is noise. One \
                 score differs from another, with 95 %, from so many points on: {}",
                benchmarks.join(", ")
            ));
        }
        notes
    }

    /// The rows of the shortlist: first the one that is selected, then the ranking's order.
    fn shortlist(&self, ranked: &[Ranked<'_>], shortlist: usize) -> Vec<Candidate> {
        let words = self.words(ranked);
        let ranks = shared_ranks(&self.preferences, ranked);
        let taken = self.pin.map(|(_, model)| ranked.iter().position(|ranked| ranked.model == model));
        let selected = taken.map_or(Some(0), |position| position);
        let backup = if selected == Some(0) { 1 } else { 0 };
        let row = |position: usize| {
            let own = &ranked[position];
            let considered = explanations(&self.requirements, &self.facts[own.model], ", ");
            let considered = if considered.is_empty() { "nothing is required".to_owned() } else { considered };
            let place = match position {
                _ if selected == Some(position) => Place::Primary,
                _ if position == backup => Place::Backup,
                _ => Place::Shortlisted,
            };
            let reason = match self.pin {
                None => words.reason(position),
                Some((pin, _)) => words.reason_beside_pin(position, taken.flatten(), &pin.because),
            };
            let rank = ranks[position];
            // Those that cannot be told from each other are as good as each other.
            let stars = stars(&ranked[rank - 1], own);
            Candidate { rank: Some(rank), stars, ..self.row(own, place, considered, reason) }
        };
        let mut rows = Vec::new();
        match (self.pin, selected) {
            (Some((pin, model)), None) => rows.push(self.pinned_in_spite(pin, model)),
            (_, Some(position)) if position < ranked.len() => rows.push(row(position)),
            _ => {}
        }
        let rest = (0..ranked.len()).filter(|position| selected != Some(*position));
        let most = shortlist.max(1).saturating_sub(rows.len());
        rows.extend(rest.take(most).map(row));
        rows
    }

    fn words<'w>(&'w self, ranked: &'w [Ranked<'w>]) -> Words<'w> {
        Words { preferences: &self.preferences, by_default: self.aim.by_default, facts: &self.facts, ranked }
    }

    /// The row of a model that a reviewer took although it fails a requirement.
    fn pinned_in_spite(&self, pin: &Pin, model: usize) -> Candidate {
        let all: Vec<usize> = (0..self.facts.len()).collect();
        let ranked = rank(&self.preferences, &self.aim.avoid, &self.facts, &all);
        let own = ranked.iter().find(|ranked| ranked.model == model).expect("all models are ranked");
        let failed = explanations(&self.failed(model), &self.facts[model], "; ");
        let mut row = self.row(
            own,
            Place::Primary,
            "taken by a reviewer".to_owned(),
            format!("selected: taken by a reviewer: {}; it fails what is required: {failed}", pin.because),
        );
        row.fit = None;
        row.concerns.insert(
            0,
            Concern { kind: ConcernKind::Requirement, text: format!("it fails what is required: {failed}") },
        );
        row
    }

    fn pinned(&self, ranked: &[Ranked<'_>]) -> Option<Pinned> {
        let (pin, model) = self.pin?;
        let position = ranked.iter().position(|ranked| ranked.model == model);
        let ranks = shared_ranks(&self.preferences, ranked);
        let first = ranked.first().map(|first| self.facts[first.model].id);
        let stands = match position {
            Some(0) => "it is the computed one as well".to_owned(),
            Some(position) => {
                let (rank, of) = (ranks[position], ranked.len());
                format!("place {} of {of}, rank {rank}: {}", position + 1, self.words(ranked).why(position))
            }
            None => format!("not among them: {}", explanations(&self.failed(model), &self.facts[model], "; ")),
        };
        Some(Pinned {
            id: pin.id.clone(),
            because: pin.because.clone(),
            computed: first.unwrap_or("none").to_owned(),
            stands,
        })
    }

    /// The dropped models that come closest to the requirements, of equally close ones the best by the profile among all
    /// models: a model ten times too large is no near miss, however good.
    fn near_misses(&self) -> Vec<Ranked<'_>> {
        let distances: Vec<u32> = self
            .facts
            .iter()
            .map(|facts| self.requirements.iter().map(|requirement| requirement.distance(facts)).sum())
            .collect();
        let mut nearest: Vec<u32> = distances.iter().copied().filter(|distance| *distance > 0).collect();
        nearest.sort_unstable();
        // Those further off than these are shown in no case, and most models are.
        let Some(furthest) = nearest.get(NEAR_MISSES).or(nearest.last()) else { return Vec::new() };
        let all: Vec<usize> = (0..self.facts.len()).collect();
        let wanted: Vec<usize> = all.iter().copied().filter(|at| (1..=*furthest).contains(&distances[*at])).collect();
        let mut missed = rank_some(&self.preferences, &self.aim.avoid, &self.facts, &all, &wanted);
        // The sort is stable, so that the profile's order remains among equals.
        missed.sort_by_key(|ranked| distances[ranked.model]);
        missed.truncate(NEAR_MISSES + 1);
        missed
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
        let memory = self.require.fits.and_then(|fits| needed(facts, &fits));
        let evidence = self.evidence(ranked);
        let is_rule_of_thumb = memory.is_some_and(|memory| memory.kv_cache_estimated || memory.weights_estimated);
        let concerns = match place {
            Place::Dropped => Vec::new(),
            Place::Primary | Place::Backup | Place::Shortlisted => {
                self.watch.concerns(ranked.model, &self.facts, &evidence, is_rule_of_thumb)
            }
        };
        Candidate {
            id: facts.id.to_owned(),
            place,
            params_b: facts.params_b,
            license: facts.license.map(ToOwned::to_owned),
            license_note: facts.license_note.map(ToOwned::to_owned),
            context: facts.context,
            kind: facts.kind.map(ToOwned::to_owned),
            memory_bytes: memory.map(|memory| memory.total),
            // Among all models the same percentile means something else than among those that pass.
            fit: if place == Place::Dropped { None } else { ranked.fit },
            scores,
            considered_because,
            reason,
            weights: facts.weights.map(ToOwned::to_owned),
            weights_sha256: facts.weights_sha256.map(ToOwned::to_owned),
            weights_bytes: facts.weights_bytes,
            rank: None,
            stars: None,
            evidence,
            memory: self.require.fits.map(|fits| by_quantization(facts, &fits)).unwrap_or_default(),
            training: self.require.fits.and_then(|fits| training(facts, &fits)),
            price_in: facts.price_in,
            price_out: facts.price_out,
            concerns,
        }
    }

    fn evidence(&self, ranked: &Ranked<'_>) -> Vec<Evidence> {
        let model = self.catalog.models().nth(ranked.model).expect("it was ranked");
        let columns = self.preferences.iter().zip(&self.columns).zip(&ranked.marks);
        columns
            .filter_map(|((preference, column), mark)| {
                let mark = mark.as_ref()?;
                let cell = self.catalog.cell(model, column)?;
                Some(Evidence {
                    column: preference.name.clone(),
                    score: mark.score,
                    rank: mark.rank,
                    of: mark.of,
                    questions: preference.questions.map(|(questions, _)| questions),
                    catalog: cell.file().to_owned(),
                    date: dated(&preference.name, &cell).map(ToOwned::to_owned),
                })
            })
            .collect()
    }
}

/// When a score was taken, by its own row: the date of the source that the column is known to come from, or of the only one.
fn dated<'c>(column: &str, score: &Cell<'c>) -> Option<&'c str> {
    let dates: Vec<&str> = score.beside("source_date")?.split(';').map(str::trim).collect();
    let sources = score.beside("source").unwrap_or_default().split(';').map(str::trim);
    let home = known::source(column);
    let own = sources.zip(&dates).find(|(source, _)| Some(*source) == home).map(|(_, date)| *date);
    own.or(if let [only] = dates.as_slice() { Some(*only) } else { None })
}

/// A star for each fifth of the fit of the first that shares the rank; none where too little is known.
fn stars(first: &Ranked<'_>, own: &Ranked<'_>) -> Option<u8> {
    let is_compared = own.marks.iter().flatten().any(|mark| mark.of > 1);
    let fit = first.fit.filter(|_| own.is_covered() && is_compared)?;
    let better = (1..MOST_STARS).filter(|stars| fit >= f64::from(*stars) / f64::from(MOST_STARS)).count();
    Some(1 + u8::try_from(better).unwrap_or(MOST_STARS - 1))
}

fn by_quantization(facts: &Facts<'_>, fits: &Fits) -> Vec<QuantizedMemory> {
    if fits.purpose != Purpose::Inference {
        return Vec::new();
    }
    let shown = SHOWN.iter().filter_map(|quantization| {
        let Memory { total, kv_cache_estimated, weights_estimated, .. } =
            estimate(facts, &Fits { quantization: Some(*quantization), ..*fits })?;
        Some(QuantizedMemory {
            quantization: quantization.as_str().to_owned(),
            bytes: total,
            fits: total <= fits.memory_bytes,
            estimated: kv_cache_estimated || weights_estimated,
        })
    });
    shown.collect()
}

fn training(facts: &Facts<'_>, fits: &Fits) -> Option<TrainingMemory> {
    let of = |purpose| estimate(facts, &Fits { purpose, ..*fits });
    let (qlora, lora, full) = (of(Purpose::Qlora)?, of(Purpose::Lora)?, of(Purpose::Full)?);
    Some(TrainingMemory { qlora: qlora.total, lora: lora.total, full: full.total, estimated: qlora.kv_cache_estimated })
}

fn explanations(requirements: &[Requirement<'_>], facts: &Facts<'_>, separator: &str) -> String {
    requirements.iter().map(|requirement| requirement.explain(facts)).collect::<Vec<_>>().join(separator)
}
