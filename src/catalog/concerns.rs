//! What to watch about a candidate: each concern is a fact with its number, and none of them changes its place.

use super::cost::{BreakEven, break_even};
use super::facts::Facts;
use super::known::{self, Benchmark};
use super::scaling::tokens_per_parameter;
use super::table::{Catalog, Column};
use crate::data::{Concern, ConcernKind, Evidence};
use crate::spec::Hosting;
use crate::stats::text::thousands;
use crate::stats::{Deviation, against_panel, chance_corrected_logit, holm, modified_z};

/// Benchmarks that were measured together, in the same way, for many models: profiles are compared within one of these.
const BOARDS: &[&[&str]] = &[
    &["ifeval", "bbh", "math_lvl5", "gpqa", "musr", "mmlu_pro"],
    &["arc", "hellaswag", "mmlu", "truthfulqa", "winogrande", "gsm8k"],
];

/// A panel of fewer profiles predicts nothing.
const LEAST_PANEL: usize = 10;

/// A deviation is told of from here on: after Holm's correction, one in a hundred sound models has one.
const ALPHA: f64 = 0.01;

/// Without a panel: from so many deviations off the median on, and with so many scores.
const FAR: f64 = 3.5;
const LEAST_SCORES: usize = 6;

/// Of 100 points; above, what is left is mostly mistaken questions.
const SATURATED: f64 = 95.0;

/// What concerns are found from.
pub(super) struct Watch<'a> {
    hosting: Option<Hosting>,
    as_of: Option<String>,
    boards: Vec<Board>,
    others: Vec<(&'static str, Benchmark, Column)>,
    catalog: &'a Catalog,
}

/// One board's benchmarks, and the profiles of the models that have a score in each.
pub(super) struct Board {
    names: &'static [&'static str],
    /// By model, in the catalog's order.
    profiles: Vec<Option<Vec<f64>>>,
}

impl<'a> Watch<'a> {
    /// Prepares to watch. Ages are counted from `as_of`, or else from the catalogs' newest source.
    pub(super) fn new(
        catalog: &'a Catalog,
        boards: Vec<Board>,
        facts: &[Facts<'_>],
        hosting: Option<Hosting>,
        as_of: Option<&str>,
    ) -> Self {
        let newest = || facts.iter().filter_map(|facts| facts.source_date).flat_map(|dates| dates.split(';')).max();
        let others = catalog
            .columns()
            .filter_map(known::find)
            .filter_map(|column| Some((column.name, column.benchmark?, catalog.column(column.name))))
            .collect();
        let as_of = as_of.or_else(newest).map(ToOwned::to_owned);
        Self { hosting, as_of, boards, others, catalog }
    }

    /// All that is to be watched about a model. `evidence` is what its place rests on, `is_rule_of_thumb` whether its
    /// memory does.
    pub(super) fn concerns(
        &self,
        model: usize,
        facts: &[Facts<'_>],
        evidence: &[Evidence],
        is_rule_of_thumb: bool,
    ) -> Vec<Concern> {
        let own = &facts[model];
        let mut found = Vec::new();
        let mut say = |kind, text: Option<String>| found.extend(text.map(|text| Concern { kind, text }));
        say(ConcernKind::License, license(own));
        for text in self.jagged(model, facts) {
            say(ConcernKind::Jagged, Some(text));
        }
        say(ConcernKind::Publisher, publisher(own));
        say(ConcernKind::Stale, self.stale(evidence));
        say(ConcernKind::Saturated, saturated(evidence));
        say(ConcernKind::TokensPerParameter, trained(own));
        say(ConcernKind::BreakEven, self.hosting.as_ref().and_then(|hosting| worth(own, hosting)));
        let shape = "its memory is a rule of thumb, since the catalogs do not tell its shape";
        say(ConcernKind::Memory, is_rule_of_thumb.then(|| shape.to_owned()));
        found
    }

    fn jagged(&self, model: usize, facts: &[Facts<'_>]) -> Vec<String> {
        let mut told = Vec::new();
        let mut had_panel = false;
        for board in &self.boards {
            let Some(target) = &board.profiles[model] else { continue };
            let of_type = board.panel(model, |other| facts[other].kind == facts[model].kind);
            let panel = if of_type.len() >= LEAST_PANEL { of_type } else { board.panel(model, |_| true) };
            if panel.len() < LEAST_PANEL {
                continue;
            }
            had_panel = true;
            told.extend(uneven(board.names, &panel, target));
        }
        if had_panel { told } else { self.far_from_own(model) }
    }

    /// The scores that are far from the model's own others, where there is no panel to compare with.
    fn far_from_own(&self, model: usize) -> Vec<String> {
        let Some(row) = self.catalog.models().nth(model) else { return Vec::new() };
        let scores: Vec<(&str, f64)> = self
            .others
            .iter()
            .filter_map(|(name, benchmark, column)| {
                let score = known::number(self.catalog.cell(row, column)?.text)?;
                Some((*name, logit(score, benchmark)))
            })
            .collect();
        if scores.len() < LEAST_SCORES {
            return Vec::new();
        }
        let values: Vec<f64> = scores.iter().map(|(_, value)| *value).collect();
        let far = modified_z(&values).unwrap_or_default();
        let named = scores.iter().zip(far).filter(|(_, z)| z.abs() > FAR);
        named
            .map(|((name, _), z)| {
                let side = if z > 0.0 { "above" } else { "below" };
                format!("{name} is far {side} its other scores (z {z:.1}; a weak sign, without other models to compare with)")
            })
            .collect()
    }

    /// The scores that are older than a year.
    fn stale(&self, evidence: &[Evidence]) -> Option<String> {
        let as_of = self.as_of.as_deref()?;
        let (year, rest) = (as_of.get(..4)?.parse::<u32>().ok()?, as_of.get(4..)?);
        let limit = format!("{:04}{rest}", year.saturating_sub(1));
        let is_old = |evidence: &&Evidence| evidence.date.as_deref().is_some_and(|date| date < limit.as_str());
        let old: Vec<&Evidence> = evidence.iter().filter(is_old).collect();
        let oldest = old.iter().filter_map(|evidence| evidence.date.as_deref()).min()?;
        let names: Vec<&str> = old.iter().map(|evidence| evidence.column.as_str()).collect();
        Some(format!("scores older than a year on {as_of}: {} (the oldest of {oldest})", names.join(", ")))
    }
}

impl Board {
    /// Reads the boards that the catalogs have.
    pub(super) fn all(catalog: &Catalog) -> Vec<Self> {
        BOARDS.iter().map(|names| Self::read(catalog, names)).collect()
    }

    fn read(catalog: &Catalog, names: &'static [&'static str]) -> Self {
        let columns: Vec<(Column, Benchmark)> =
            names.iter().filter_map(|name| Some((catalog.column(name), known::find(name)?.benchmark?))).collect();
        let profile = |model| {
            columns
                .iter()
                .map(|(column, benchmark)| Some(logit(known::number(catalog.cell(model, column)?.text)?, benchmark)))
                .collect::<Option<Vec<f64>>>()
        };
        Self { names, profiles: catalog.models().map(profile).collect() }
    }

    /// The profiles of all models but one that are of the kind asked for.
    fn panel(&self, but: usize, is_asked: impl Fn(usize) -> bool) -> Vec<&[f64]> {
        let others = self.profiles.iter().enumerate().filter(|(model, _)| *model != but && is_asked(*model));
        others.filter_map(|(_, profile)| profile.as_deref()).collect()
    }
}

fn logit(score: f64, benchmark: &Benchmark) -> f64 {
    chance_corrected_logit(score / 100.0, benchmark.chance / 100.0, f64::from(benchmark.questions))
}

/// The score of a profile that the others account for least, if they do not. Others that stand out beside it mostly do so
/// because of it, since each is predicted from the mean of the rest.
fn uneven(names: &[&str], panel: &[&[f64]], target: &[f64]) -> Option<String> {
    let found: Vec<Deviation> = (0..target.len()).map(|at| against_panel(panel, target, at)).collect::<Option<_>>()?;
    let corrected = holm(&found.iter().map(|deviation| deviation.p).collect::<Vec<_>>());
    let all = names.iter().zip(&found).zip(corrected);
    let ((name, Deviation { t, p: _ }), p) =
        all.max_by(|((_, one), _), ((_, other), _)| one.t.abs().total_cmp(&other.t.abs()))?;
    if p >= ALPHA {
        return None;
    }
    let (side, means) = if *t > 0.0 {
        ("above", "its test may have been trained on, or it is a specialist")
    } else {
        ("below", "a hole that an average hides")
    };
    let p = if p < 0.001 { "below 0.001".to_owned() } else { format!("{p:.3}") };
    let models = thousands(panel.len() as u64);
    Some(format!("{name} is far {side} what its other scores suggest (t {t:.1}, p {p}, {models} models): {means}"))
}

fn license(facts: &Facts<'_>) -> Option<String> {
    let Facts { license, license_note, commercial, .. } = facts;
    match (commercial, license, license_note) {
        (None, None, _) => Some("its licence is unknown".to_owned()),
        (None, Some(license), _) => Some(format!("unknown whether the licence `{license}` allows commercial use")),
        (Some(false), license, _) => {
            Some(format!("{} does not allow commercial use", license.unwrap_or("its licence")))
        }
        (Some(true), license, Some(note)) => {
            Some(format!("{} has conditions: {note}", license.unwrap_or("its licence")))
        }
        (Some(true), _, None) => None,
    }
}

fn publisher(facts: &Facts<'_>) -> Option<String> {
    let kind = facts.kind.filter(|kind| ["merge", "fine-tuned", "continued-pretrain"].contains(kind))?;
    (facts.official != Some(true))
        .then(|| format!("its type is {kind}, and nobody says that its publisher is the base model's"))
}

fn saturated(evidence: &[Evidence]) -> Option<String> {
    let near_top = evidence.iter().filter(|evidence| evidence.questions.is_some() && evidence.score >= SATURATED);
    let named: Vec<String> = near_top.map(|evidence| format!("{} {}", evidence.column, evidence.score)).collect();
    (!named.is_empty()).then(|| format!("{}: so near the top that it tells models no longer apart", named.join(", ")))
}

fn trained(facts: &Facts<'_>) -> Option<String> {
    let parameters = facts.params_b.filter(|billions| *billions > 0.0)?;
    let tokens = facts.training_tokens_b.filter(|billions| *billions > 0.0)?;
    let (own, best) = tokens_per_parameter(parameters * 1e9, tokens * 1e9);
    let verdict = if own < best {
        "it was trained too little for its size, so a smaller model may do as well"
    } else {
        "it was trained beyond that, which costs its maker and not its user"
    };
    Some(format!("{own:.0} training tokens a parameter, where {best:.0} are optimal for the computation: {verdict}"))
}

fn worth(facts: &Facts<'_>, hosting: &Hosting) -> Option<String> {
    let (price_in, price_out) = facts.price_in.zip(facts.price_out)?;
    if facts.open_weights == Some(false) {
        return None;
    }
    let BreakEven { api, own, tokens, capacity } = break_even(price_in, price_out, hosting);
    let costs = format!("a million tokens cost ${api:.3} elsewhere and ${own:.3} on the hardware given");
    let millions = |tokens: f64| format!("{:.0} million", tokens / 1e6);
    Some(match tokens {
        Some(tokens) => format!("{costs}: that pays from {} tokens a month on", millions(tokens)),
        None => format!("{costs}: that never pays within the {} tokens a month that it computes", millions(capacity)),
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn evidence(column: &str, score: f64, date: Option<&str>) -> Evidence {
        Evidence {
            column: column.to_owned(),
            score,
            rank: 1,
            of: 2,
            questions: Some(541),
            catalog: "a.csv".to_owned(),
            date: date.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn licences_publishers_and_training_are_told_of() {
        let check = |facts: Facts<'_>, expected: [Option<&str>; 3]| {
            let found = [license(&facts), publisher(&facts), trained(&facts)];
            assert_eq!(found.each_ref().map(Option::as_deref), expected, "{facts:?}");
        };
        let plain = Facts { license: Some("mit"), commercial: Some(true), ..Facts::default() };
        check(plain.clone(), [None; 3]);
        check(Facts::default(), [Some("its licence is unknown"), None, None]);
        check(
            Facts { commercial: Some(false), license: Some("cc-by-nc-4.0"), ..Facts::default() },
            [Some("cc-by-nc-4.0 does not allow commercial use"), None, None],
        );
        check(
            Facts { license_note: Some("700M users"), ..plain.clone() },
            [Some("mit has conditions: 700M users"), None, None],
        );
        check(
            Facts { kind: Some("merge"), ..plain.clone() },
            [None, Some("its type is merge, and nobody says that its publisher is the base model's"), None],
        );
        check(Facts { kind: Some("fine-tuned"), official: Some(true), ..plain.clone() }, [None; 3]);
        check(
            Facts { params_b: Some(100.0), training_tokens_b: Some(300.0), ..plain.clone() },
            [
                None,
                None,
                Some(
                    "3 training tokens a parameter, where 19 are optimal for the computation: it was trained too little for \
                     its size, so a smaller model may do as well",
                ),
            ],
        );
        check(
            Facts { params_b: Some(8.0), training_tokens_b: Some(15_000.0), ..plain },
            [
                None,
                None,
                Some(
                    "1875 training tokens a parameter, where 18 are optimal for the computation: it was trained beyond that, \
                     which costs its maker and not its user",
                ),
            ],
        );
    }

    #[test]
    fn hosting_is_weighed_against_prices() {
        let hosting = Hosting { gpu_hour: 2.0, gpus: 1, tokens_per_s: 1500.0, utilisation: 0.5, prompt_share: 0.75 };
        let facts = |open_weights, price_in, price_out| Facts { open_weights, price_in, price_out, ..Facts::default() };
        assert_eq!(
            worth(&facts(Some(true), Some(3.0), Some(15.0)), &hosting).unwrap(),
            "a million tokens cost $6.000 elsewhere and $0.741 on the hardware given: that pays from 243 million tokens a \
             month on"
        );
        assert_eq!(
            worth(&facts(None, Some(0.1), Some(0.1)), &hosting).unwrap(),
            "a million tokens cost $0.100 elsewhere and $0.741 on the hardware given: that never pays within the 1971 \
             million tokens a month that it computes"
        );
        assert_eq!(worth(&facts(Some(false), Some(3.0), Some(15.0)), &hosting), None);
        assert_eq!(worth(&facts(Some(true), None, Some(15.0)), &hosting), None);
    }

    #[test]
    fn old_and_saturated_scores_are_told_of() {
        let catalog = Catalog::read([("a.csv", &b"id\na\n"[..])]).unwrap();
        let watch = |as_of| Watch::new(&catalog, Board::all(&catalog), &[Facts::default()], None, Some(as_of));
        let scores = [evidence("ifeval", 96.1, Some("2025-03-21")), evidence("bbh", 50.0, Some("2024-07-07"))];
        assert_eq!(
            watch("2026-03-22").stale(&scores).unwrap(),
            "scores older than a year on 2026-03-22: ifeval, bbh (the oldest of 2024-07-07)"
        );
        assert_eq!(
            watch("2026-03-20").stale(&scores).unwrap(),
            "scores older than a year on 2026-03-20: bbh (the oldest of 2024-07-07)"
        );
        assert_eq!(watch("2025-03-22").stale(&scores), None);
        assert_eq!(watch("2025-03-22").stale(&[evidence("bbh", 1.0, None)]), None);
        assert_eq!(saturated(&scores).unwrap(), "ifeval 96.1: so near the top that it tells models no longer apart");
        assert_eq!(saturated(&scores[1..]), None);
    }

    #[test]
    fn a_jagged_profile_stands_out_from_a_panel() {
        let mut csv = "id,type,ifeval,bbh,math_lvl5,gpqa,musr,mmlu_pro\n".to_owned();
        for row in 0..14_u32 {
            let score = |shift: u32| 20 + 3 * row + (row * 7 + shift * 5) % 4;
            let cells: Vec<String> = (0..6).map(|column| score(column).to_string()).collect();
            writeln!(csv, "even{row},chat,{}", cells.join(",")).unwrap();
        }
        csv.push_str("odd,chat,40,41,97,40,42,41\nhole,chat,40,41,42,2,42,41\nfew,chat,40,41,,,,\n");
        let catalog = Catalog::read([("a.csv", csv.as_bytes())]).unwrap();
        let facts = catalog.facts();
        let watch = Watch::new(&catalog, Board::all(&catalog), &facts, None, None);
        let of = |id: &str| watch.jagged(facts.iter().position(|facts| facts.id == id).unwrap(), &facts);
        assert_eq!(of("even3"), Vec::<String>::new());
        assert!(
            of("odd")[0].starts_with("math_lvl5 is far above what its other scores suggest (t "),
            "{:?}",
            of("odd")
        );
        assert!(of("odd")[0].ends_with("15 models): its test may have been trained on, or it is a specialist"));
        assert!(of("hole")[0].starts_with("gpqa is far below") && of("hole").len() == 1, "{:?}", of("hole"));
        assert_eq!(of("few"), Vec::<String>::new());
    }

    #[test]
    fn without_a_panel_a_far_score_is_a_weak_sign() {
        let csv = "id,ifeval,bbh,math_lvl5,gpqa,musr,mmlu_pro\na,50,51,52,53,49,99\nb,50,51,52,53,49,48\n";
        let catalog = Catalog::read([("a.csv", csv.as_bytes())]).unwrap();
        let facts = catalog.facts();
        let watch = Watch::new(&catalog, Board::all(&catalog), &facts, None, None);
        let odd = watch.jagged(0, &facts);
        assert!(odd.len() == 1 && odd[0].starts_with("mmlu_pro is far above its other scores (z "), "{odd:?}");
        assert_eq!(watch.jagged(1, &facts), Vec::<String>::new());
    }
}
