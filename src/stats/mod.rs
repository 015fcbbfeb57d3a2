//! What the counts mean: intervals for a pass rate, the outcome an interval allows, and how many scenarios would settle
//! it.
//!
//! Owns the numbers and the way they are written for people ([`text`]). The same bits on every machine: nothing but
//! `+ - * / sqrt` comes from the standard library, all else from [`float`]. Never random, never I/O. Start at [`wilson`].

mod cluster;
mod decide;
pub mod float;
mod interval;
mod jagged;
mod mean;
mod normal;
mod student;
pub mod text;
#[cfg(test)]
mod vectors;

pub use cluster::{ClusteredInterval, Clusters};
pub use decide::{
    least_to_decide_between, n_to_decide_clustered, n_to_decide_wilson, outcome_at, outcome_by_interval,
    possible_outcomes,
};
pub use interval::{Interval, wilson};
pub use jagged::{Deviation, against_panel, chance_corrected_logit, holm, modified_z};
pub use mean::UnitMean;
pub use normal::{quantile, two_sided_z};
pub use student::{two_sided_p, two_sided_t};
