//! What stages hand to each other: one type a table or record, as it is written to a blob.
//!
//! Owns these written formats. Plain data: no I/O, no decisions. A table is JSON Lines, one row a line; a record is one
//! JSON document. Whatever is volatile (times, prices, attempts) is in receipts, never here: equal work must give equal bytes.

mod beside;
mod calibration;
mod candidates;
mod comparison;
mod corrected;
mod coverage;
mod decision;
mod failure_modes;
mod gates;
mod judging;
mod leak;
mod looked;
mod near;
mod opinions;
mod other_model;
mod preferences;
mod rejected;
mod review;
mod review_sheet;
mod rows;
mod weights;

pub use beside::{Agreed, Beside, BothJudges, EachOther, LeftOpen, Rights, WithPeople};
pub use calibration::{
    BetweenLabellers, Calibration, Compared, Confusion, CriterionCompared, FloorBound, LabelCounts, LabellerPair,
    LabelsNeeded, LengthEffect, Measured, Reliability, RepliesLeftOut, Signal, Steadiness,
};
pub use candidates::{
    Candidate, Candidates, CatalogSource, Concern, ConcernKind, Evidence, Pinned, Place, QuantizedMemory,
    TrainingMemory,
};
pub use comparison::{
    Comparison, ComparisonVerdict, Contrast, CriterionDifference, DifferenceClusters, DifferenceGroup, DifferenceTests,
    Family, Flip, Flips, GateOutcome, GuardResult, LeftOut, LengthDifference, LostTopic, NoRegression, Noise,
    PairCounts, RateDifference, ScoreDifference, WhyBlocked,
};
pub use corrected::{
    Corrected, CorrectedArm, CorrectedCriterion, CorrectedRate, CorrectedTarget, LabelledArms, LabelledShare,
    LabelsToSettle, LabelsToShow,
};
pub use coverage::{Coverage, FrozenSuite, Gap};
pub use decision::{
    ClusteredRate, Counts, CriterionSummary, Decision, Example, FailedIn, Failure, GateResult, GroupSummary, Levels,
    More, Outcome, Quotes, Rate, Thresholds,
};
pub use failure_modes::{Clue, FailureMode, FailureModes, FailurePair, FailurePlace, Remedy};
pub use gates::{GateBound, GateCheck, GateStatus, ScoreInterval};
pub use judging::Judging;
pub use leak::{Leak, LeakReport};
pub use looked::{ClusterMeans, LogEvidence, Look, Looked, Sequence};
pub use near::{Closeness, Cluster, NearDuplicate, NearDuplicates, NearPair};
pub use opinions::{Disputed, Opinions};
pub use other_model::{ModelRole, OtherModel};
pub use preferences::{Choice, Preference, Preferences, Preferred, WinRate};
pub use rejected::{Rejected, Rejection};
pub use review::{NotOk, Review, ReviewVerdict, ReviewedBy};
pub use review_sheet::{ReviewItem, ReviewReason, ReviewSheet};
pub use rows::{
    Answer, Grade, Judged, Origin, Quote, RowFailure, Scenario, Tokens, Verdict, VerdictKind, Votes, Written,
};
pub use weights::WeightsRecord;
