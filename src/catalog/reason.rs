//! The sentence that says why a candidate stands where it stands.

use super::facts::Facts;
use super::known;
use super::number::ordinal;
use super::rank::{Mark, Preference, Ranked};
use super::ties::{Apart, tie};
use crate::stats::text::thousands;

/// A ranking to be put into words.
pub(super) struct Words<'a> {
    /// What the profile prefers.
    pub(super) preferences: &'a [Preference],
    /// Whether the profile prefers nothing, and a column was chosen for it.
    pub(super) by_default: bool,
    /// All models.
    pub(super) facts: &'a [Facts<'a>],
    /// The ranking, best first, never empty.
    pub(super) ranked: &'a [Ranked<'a>],
}

impl Words<'_> {
    /// Says why the candidate at `position` of the ranking is there.
    pub(super) fn reason(&self, position: usize) -> String {
        match position {
            0 => format!("selected: {}", self.why(0)),
            1 => format!("in reserve: 2nd, {}", self.why(1)),
            _ => format!("not selected: {}, {}", ordinal(position + 1), self.why(position)),
        }
    }

    /// Says the same where a reviewer took the one at `pinned`, or one that is not in the ranking.
    pub(super) fn reason_beside_pin(&self, position: usize, pinned: Option<usize>, because: &str) -> String {
        let computed = match position {
            0 => format!("computed first, {}", self.why(0)),
            _ => format!("computed {}, {}", ordinal(position + 1), self.why(position)),
        };
        match position {
            _ if pinned == Some(position) => format!("selected: taken by a reviewer: {because}; {computed}"),
            0 => format!("in reserve: {computed}"),
            // The first is in the reviewer's hands, so the second is next.
            1 if pinned == Some(0) => format!("in reserve: {computed}"),
            _ => format!("not selected: {computed}"),
        }
    }

    /// Why the candidate is where it is: what speaks for the first, and what the others lack against it.
    pub(super) fn why(&self, position: usize) -> String {
        if position == 0 { self.why_first() } else { self.why_behind(position) }
    }

    fn why_first(&self) -> String {
        let first = &self.ranked[0];
        let by_default = if self.by_default { "nothing is preferred; " } else { "" };
        let avoided = match first.avoided.join(", ") {
            none if none.is_empty() => none,
            tags => format!("; {tags}, which the profile avoids, but so is every candidate"),
        };
        format!("{by_default}{}{avoided}", self.what_is_best())
    }

    fn what_is_best(&self) -> String {
        let first = &self.ranked[0];
        if let Some(fit) = first.fit {
            let beaten = self.ranked.iter().filter_map(|other| other.fit).any(|other| other > fit);
            let rank = if beaten { "first with fit" } else { "best fit" };
            return format!("{rank} {fit:.2}: {}{}", self.all_marks(first), self.missing(first));
        }
        let most = match self.facts[first.model].downloads {
            Some(downloads) => format!("most downloads ({})", thousands(downloads)),
            None => "first by name".to_owned(),
        };
        if self.preferences.is_empty() { most } else { format!("no score in {}; {most}", self.names(|_| true)) }
    }

    fn why_behind(&self, position: usize) -> String {
        let (first, own) = (&self.ranked[0], &self.ranked[position]);
        if first.avoided.is_empty() && !own.avoided.is_empty() {
            return format!("{}, which the profile avoids", own.avoided.join(", "));
        }
        match (first.fit, own.fit) {
            (Some(_), Some(_)) if first.is_covered() && !own.is_covered() => {
                let covered = own.covered * 100.0;
                format!("its scores cover {covered:.0} % of the preferred weight{}", self.missing(own))
            }
            (Some(best), Some(fit)) => {
                let behind = self.distance(best, fit, own);
                format!("{behind}{}{}", self.missing(own), self.too_close(own))
            }
            (None, None) if self.preferences.is_empty() => self.tie(own),
            (_, None) => format!("no score in {}", self.names(|_| true)),
            (None, Some(_)) => self.all_marks(own),
        }
    }

    fn distance(&self, best: f64, fit: f64, own: &Ranked<'_>) -> String {
        let behind = best - fit;
        if behind <= 0.0 {
            return format!("same fit, {}", self.tie(own));
        }
        let distance = if behind < 0.005 { "less than 0.01 behind".to_owned() } else { format!("{behind:.2} behind") };
        let share = if self.preferences.len() > 1 { "mostly for" } else { "for" };
        match self.costliest(own) {
            Some((preference, mark)) => format!("{distance}, {share} {}", words(preference, &mark)),
            None => format!("{distance}: {}", self.all_marks(own)),
        }
    }

    fn tie(&self, own: &Ranked<'_>) -> String {
        let downloads = |ranked: &Ranked<'_>| self.facts[ranked.model].downloads;
        let less = downloads(own) < downloads(&self.ranked[0]);
        if less { "fewer downloads" } else { "later by name" }.to_owned()
    }

    /// The column in which the candidate loses most against the first.
    fn costliest(&self, own: &Ranked<'_>) -> Option<(&Preference, Mark)> {
        let columns = self.preferences.iter().zip(&self.ranked[0].marks).zip(&own.marks);
        let losses = columns.filter_map(|((preference, best), own)| {
            let (best, own) = (best.as_ref()?, own.as_ref()?);
            let loss = preference.weight * (best.percentile - own.percentile);
            (loss > 0.0).then_some((loss, preference, *own))
        });
        // Of equal losses the first column is named.
        losses
            .reduce(|most, next| if next.0 > most.0 { next } else { most })
            .map(|(_, preference, mark)| (preference, mark))
    }

    fn all_marks(&self, own: &Ranked<'_>) -> String {
        let marks = self.preferences.iter().zip(&own.marks);
        marks.filter_map(|(preference, mark)| Some(words(preference, mark.as_ref()?))).collect::<Vec<_>>().join(", ")
    }

    fn missing(&self, own: &Ranked<'_>) -> String {
        if own.marks.iter().all(Option::is_some) {
            return String::new();
        }
        format!("; no score in {}, ranked on the rest", self.names(|index| own.marks[index].is_none()))
    }

    fn names(&self, chosen: impl Fn(usize) -> bool) -> String {
        let names = self.preferences.iter().enumerate().filter(|(index, _)| chosen(*index));
        names.map(|(_, preference)| preference.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Says so if the scores cannot tell the candidate from the first.
    fn too_close(&self, own: &Ranked<'_>) -> String {
        match tie(self.preferences, &self.ranked[0], own) {
            Some(Apart { points, noise }) if noise > 0.0 => format!(
                "; too close to the first to tell: weighted scores {points:.2} points apart where up to {noise:.2} is noise"
            ),
            Some(_) | None => String::new(),
        }
    }
}

fn words(preference: &Preference, mark: &Mark) -> String {
    let Preference { name, weight: _, scores: _, questions: _ } = preference;
    let direction = if known::lower_is_better(name) { ", lowest first" } else { "" };
    format!("{name} {} ({} of {}{direction})", mark.score, ordinal(mark.rank), mark.of)
}
