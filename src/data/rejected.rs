//! Openings that were not taken, as summaries count them.

use serde::{Deserialize, Serialize};

use crate::ids::ScenarioId;

/// So many scenarios that are missing are named.
const NAMED: usize = 20;

/// Why an opening was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It nearly repeats an earlier one.
    NearDuplicate,
    /// It repeats what the writer was told.
    Echo,
    /// It is in another language than it should be.
    Language,
    /// It is too short or too long.
    Length,
    /// It holds something like an address or a number of a person.
    PersonalData,
}

/// How many openings were not taken, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Nearly repeated an earlier one.
    pub near_duplicate: u64,
    /// Repeated what the writer was told.
    pub echo: u64,
    /// Were in another language.
    pub language: u64,
    /// Were too short or too long.
    pub length: u64,
    /// Held personal data.
    pub personal_data: u64,
    /// Scenarios for which no opening was taken in the end, so that the suite lacks them.
    pub missing: u64,
    /// The first of these.
    pub first_missing: Vec<ScenarioId>,
}

impl Rejected {
    /// Counts one more opening.
    pub fn add(&mut self, rejection: Rejection) {
        *match rejection {
            Rejection::NearDuplicate => &mut self.near_duplicate,
            Rejection::Echo => &mut self.echo,
            Rejection::Language => &mut self.language,
            Rejection::Length => &mut self.length,
            Rejection::PersonalData => &mut self.personal_data,
        } += 1;
    }

    /// Notes a scenario that the suite lacks.
    pub fn lack(&mut self, id: &ScenarioId) {
        self.missing += 1;
        if self.first_missing.len() < NAMED {
            self.first_missing.push(id.clone());
        }
    }

    /// All openings that were not taken.
    #[must_use]
    pub fn all(&self) -> u64 {
        let Self { near_duplicate, echo, language, length, personal_data, missing: _, first_missing: _ } = self;
        near_duplicate + echo + language + length + personal_data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_under_its_name() {
        let mut rejected = Rejected::default();
        for (one, times) in [
            (Rejection::NearDuplicate, 1),
            (Rejection::Echo, 2),
            (Rejection::Language, 3),
            (Rejection::Length, 4),
            (Rejection::PersonalData, 5),
        ] {
            (0..times).for_each(|_| rejected.add(one));
        }
        (0..25).for_each(|at| rejected.lack(&ScenarioId::new(&format!("s{at}")).unwrap()));
        let Rejected { near_duplicate, echo, language, length, personal_data, missing, first_missing } = &rejected;
        assert_eq!([*near_duplicate, *echo, *language, *length, *personal_data, *missing], [1, 2, 3, 4, 5, 25]);
        assert_eq!((rejected.all(), first_missing.len(), first_missing[19].as_str()), (15, NAMED, "s19"));
    }
}
