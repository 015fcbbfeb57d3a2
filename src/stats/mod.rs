//! What the counts mean: intervals, what they settle, how two models compare, how far a judge is to be trusted, and how many
//! scenarios or labels would settle what is open.
//!
//! Owns the numbers and the way they are written for people ([`text`]). The same bits on every machine: nothing but
//! `+ - * / sqrt` comes from the standard library, all else from [`float`], and what is random depends on a seed and a
//! purpose alone ([`Random`]). Never I/O, never NaN: what cannot be said is none. Start at [`wilson`] for a pass rate, [`Pairs`]
//! for two models on the same scenarios, [`poststratified`] for a judge that errs, [`sequential_decide`] for stopping early and
//! [`bootstrap()`] for any other statistic.

mod agreement;
mod bca;
mod beta;
mod betting;
mod bias;
mod bootstrap;
mod cluster;
mod decide;
mod difference;
mod effective;
pub mod float;
mod interval;
mod jagged;
mod judge_error;
mod light;
mod logistic;
mod looks;
mod mean;
mod multiple;
mod normal;
mod paired;
mod paired_clusters;
mod panel;
mod permutation;
mod power;
mod ppi;
mod random;
mod regression;
mod scores;
mod sequential;
mod soft;
mod student;
pub mod text;

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod vectors;

pub use agreement::{Agreement, Weights, fleiss_kappa, gwet_ac1, kappa, krippendorff_nominal};
pub use bca::Bootstrap;
pub use beta::{beta_probability, beta_probability_above, beta_quantile, binomial_at_most, binomial_probability};
pub use betting::Betting;
pub use bias::{
    JudgedReply, LengthBias, PositionBias, SelfConsistency, length_bias, length_gap, position_bias, self_consistency,
};
pub use bootstrap::{ClusterSums, Resampling, Values, bootstrap, efron};
pub use cluster::{ClusteredInterval, Clusters, FEWEST_CLUSTERS};
pub use decide::{
    least_to_decide_between, n_to_decide_clustered, n_to_decide_wilson, outcome_at, outcome_by_interval,
    possible_outcomes,
};
pub use difference::{Estimate, mover_difference, unpaired_difference};
pub use effective::{mean_difference_interval, n_eff_at_normal_quantile};
pub use interval::{BandPosterior, Interval, band_posterior, clopper_pearson, jeffreys, wilson};
pub use jagged::{Deviation, against_panel, chance_corrected_logit, modified_z};
pub use judge_error::{
    JudgeErrors, SampledClusters, Share, Target, VerdictLabels, WeightedShare, errors_by_verdict, label_spread,
    labels_needed, lang_reiczigel, lang_reiczigel_weighted, left_by_sampling, neyman_share, poststratified,
    poststratified_clustered, rogan_gladen,
};
pub use light::{Light, Measure};
pub use looks::{Boundary, group_sequential_constant, lan_demets_spend, look_boundary};
pub use mean::UnitMean;
pub use multiple::{benjamini_hochberg, holm};
pub use normal::{normal_probability, quantile, two_sided_z};
pub use paired::{
    Difference, Pairs, bonett_price, mcnemar_exact, mcnemar_midp, mcnemar_midp_of_losses, newcombe_paired,
    noninferiority_p, tango_interval, tango_statistic,
};
pub use paired_clusters::{ClusteredDifference, PairClusters};
pub use panel::{DawidSkene, dawid_skene, effective_votes, error_correlation, majority};
pub use permutation::{sign_flip_p, sign_flip_p_of_kinds};
pub use power::{
    McNemar, PairedVariance, Sides, margin_supported, mcnemar_power, mde_paired, mde_unpaired, n_halfwidth_wilson,
    n_mcnemar, n_miller_paired, n_noninferiority, n_one_sample,
};
pub use ppi::{Labelled, PoweredMean, Trust, ppi_mean};
pub use random::Random;
pub use regression::{GateVerdict, LEAST_SLICE, RegressionGate, no_worse, regression_gate, worst_slices};
pub use scores::{Epochs, MeanEstimate, clustered_mean, design_effect, icc_anova, mean_ci_t, pass_at_k, pass_pow_k};
pub use sequential::{
    BetaPrior, SequentialDecision, SequentialPlan, SuitePasses, confidence_sequence, log_evidence, sequential_decide,
    suite_confidence_sequence, suite_log_evidence,
};
pub use soft::{
    Forecast, Platt, SoftVerdict, brier, cross_calibrated, expected_calibration_error, expected_score, soft_verdict,
};
pub use student::{two_sided_p, two_sided_t};
