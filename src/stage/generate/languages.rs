//! In which languages the openings of a suite are, told of a sample: looking at a text takes longer than all else that is
//! done with it.

use std::collections::BTreeMap;

use super::cells::draw;
use crate::ids::ScenarioId;
use crate::spec::Language;

/// So many openings are looked at, at most: their shares are within two points of all openings' with 95 %.
const MOST: usize = 4096;

/// What stands for a language that is not sure.
const UNKNOWN: &str = "unknown";

/// The openings that are looked at so far: all, or those whose ids draw less than a limit that falls as more come. Which
/// they are depends on the ids alone.
#[derive(Debug)]
pub struct LanguageSample {
    most: usize,
    limit: u64,
    seen: u64,
    taken: Vec<(u64, Option<Language>)>,
}

impl Default for LanguageSample {
    fn default() -> Self {
        Self { most: MOST, limit: u64::MAX, seen: 0, taken: Vec::new() }
    }
}

impl LanguageSample {
    /// Takes the next scenario's opening in, or passes it over.
    pub fn add(&mut self, id: &ScenarioId, opening: &str) {
        self.seen += 1;
        let [a, b, c, d, e, f, g, h, ..] = draw("language", 0, id.as_str());
        let drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if drawn > self.limit {
            return;
        }
        self.taken.push((drawn, Language::detect(opening)));
        if self.taken.len() > self.most {
            self.limit /= 2;
            self.taken.retain(|(drawn, _)| *drawn <= self.limit);
        }
    }

    /// How many openings are in each language, those in which none is sure under `unknown`; and of how many openings, where
    /// not of all.
    #[must_use]
    pub fn finish(self) -> (BTreeMap<String, u64>, Option<u64>) {
        let mut counts = BTreeMap::new();
        for (_, language) in &self.taken {
            *counts.entry(language.map_or(UNKNOWN, Language::code).to_owned()).or_insert(0) += 1;
        }
        let looked_at = self.taken.len() as u64;
        (counts, (looked_at < self.seen).then_some(looked_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: &str = "Ich liege seit drei Uhr morgens wach, wie jede Nacht in dieser Woche.";
    const ENGLISH: &str = "I have been awake since three in the morning, as on every night of this week.";

    /// One in four is German.
    fn count(most: usize, number: usize, order: impl Fn(usize) -> usize) -> (BTreeMap<String, u64>, Option<u64>) {
        let mut sample = LanguageSample { most, ..LanguageSample::default() };
        for at in (0..number).map(order) {
            let id = ScenarioId::new(&format!("s/{at}")).unwrap();
            sample.add(&id, if at % 4 == 0 { GERMAN } else { ENGLISH });
        }
        sample.finish()
    }

    #[test]
    fn few_openings_are_all_looked_at() {
        let all = BTreeMap::from([("de".to_owned(), 10), ("en".to_owned(), 30)]);
        assert_eq!(count(40, 40, |at| at), (all, None));
    }

    #[test]
    fn of_many_a_sample_is_looked_at_whatever_their_order() {
        let (counts, of) = count(400, 3000, |at| at);
        let of = of.unwrap();
        assert!((200..=400).contains(&of) && counts.values().sum::<u64>() == of, "{counts:?} {of}");
        let german = counts["de"] * 100 / of;
        assert!((18..=32).contains(&german), "{german} %");
        assert_eq!(count(400, 3000, |at| 2999 - at), (counts, Some(of)));
    }

    #[test]
    fn what_is_not_sure_is_unknown() {
        let mut sample = LanguageSample::default();
        sample.add(&ScenarioId::new("s").unwrap(), "ok");
        assert_eq!(sample.finish(), (BTreeMap::from([("unknown".to_owned(), 1)]), None));
    }
}
