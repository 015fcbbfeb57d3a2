//! Whether a judge can be relied on: each measure as a light. The limits are judgement, not statistics.

use super::bias::PositionBias;

/// How far something is to be relied on, best first. Any red one blocks a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Light {
    /// Good.
    Green,
    /// To be looked at.
    Amber,
    /// Not good enough to decide anything.
    Red,
}

/// One measure of a judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// The lower end of J's interval at 90 %: green from 0.60, red below 0.30.
    Informedness(f64),
    /// Gwet's AC1 with people: green from 0.70, red below 0.50.
    Agreement(f64),
    /// How often two of its verdicts on one reply differ: green to 0.05, red above 0.15.
    Disagreement(f64),
    /// How the order of two replies moves it: green from a consistency of 0.80; red below 0.60, or for a bias beyond ±0.2 with
    /// p < 0.001.
    Position(PositionBias),
    /// The share of verdicts that cannot be read: green to 1 %, red above 5 %.
    Unreadable(f64),
    /// The share of quotes that are not in the reply: green to 5 %, red above 15 %.
    Misquoted(f64),
    /// How many standard errors length moves it at the same truth: green to 2.6 either way, never red.
    Length(f64),
    /// How many labels people made: green from 50, red below 20.
    Labels(u64),
}

impl Measure {
    /// The light that goes with it; red for what is no number.
    #[must_use]
    pub fn light(&self) -> Light {
        match self {
            Self::Informedness(lower) => at_least(*lower, 0.6, 0.3),
            Self::Agreement(coefficient) => at_least(*coefficient, 0.7, 0.5),
            Self::Disagreement(share) => at_most(*share, 0.05, 0.15),
            Self::Position(position) if position.p < 0.001 && position.bias.abs() > 0.2 => Light::Red,
            Self::Position(position) => at_least(position.consistency, 0.8, 0.6),
            Self::Unreadable(share) => at_most(*share, 0.01, 0.05),
            Self::Misquoted(share) => at_most(*share, 0.05, 0.15),
            Self::Length(z) if z.abs() <= 2.6 => Light::Green,
            Self::Length(_) => Light::Amber,
            Self::Labels(labels) => at_least(*labels as f64, 50.0, 20.0),
        }
    }
}

fn at_least(value: f64, green: f64, amber: f64) -> Light {
    if value >= green {
        Light::Green
    } else if value >= amber {
        Light::Amber
    } else {
        Light::Red
    }
}

fn at_most(value: f64, green: f64, amber: f64) -> Light {
    at_least(-value, -green, -amber)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::position_bias;

    #[test]
    fn limits_belong_to_the_better_light() {
        use Light::{Amber, Green, Red};
        use Measure::{Agreement, Disagreement, Informedness, Labels, Length, Misquoted, Position, Unreadable};
        let position = |consistent, first, second| Position(position_bias(consistent, first, second).unwrap());
        for (measure, expected) in [
            (Informedness(0.6), Green),
            (Informedness(0.3), Amber),
            (Informedness(0.29), Red),
            (Informedness(f64::NAN), Red),
            (Agreement(0.7), Green),
            (Agreement(0.5), Amber),
            (Agreement(-0.1), Red),
            (Disagreement(0.05), Green),
            (Disagreement(0.15), Amber),
            (Disagreement(0.16), Red),
            (position(80, 10, 10), Green),
            (position(60, 20, 20), Amber),
            (position(59, 21, 20), Red),
            (position(70, 28, 2), Red),
            (Unreadable(0.01), Green),
            (Unreadable(0.05), Amber),
            (Unreadable(0.06), Red),
            (Misquoted(0.05), Green),
            (Misquoted(0.15), Amber),
            (Misquoted(0.16), Red),
            (Length(-2.6), Green),
            (Length(2.7), Amber),
            (Length(-9.0), Amber),
            (Labels(50), Green),
            (Labels(20), Amber),
            (Labels(19), Red),
        ] {
            assert_eq!(measure.light(), expected, "{measure:?}");
        }
    }
}
