//! Exit codes: an interface that scripts rely on.

use std::process::ExitCode;

/// What the program ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Ok,
    Failed,
    BadInput,
    Changes,
    Broken,
    GateFailed,
    Inconclusive,
    Ungraded,
    Interrupted,
}

/// The end of `--help`.
pub(super) const HELP: &str = "\
Exit codes:
    0  ok
    1  a stage or the program failed
    2  bad pipeline or arguments; for `plan --detailed-exitcode`: there is something to run;
       for `doctor`: something would stop a run
    3  the gate failed, or what was compared did not improve, or lost a guard
    4  inconclusive: more scenarios or a judge to be trusted are needed
    6  finished with more ungraded scenarios than allowed
  130  interrupted; what is finished is kept";

impl Exit {
    /// The number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::BadInput | Self::Changes | Self::Broken => 2,
            Self::GateFailed => 3,
            Self::Inconclusive => 4,
            Self::Ungraded => 6,
            Self::Interrupted => 130,
        }
    }

    /// The one that tells of the worse end: what failed before what has holes, that before what was decided against, and that
    /// before what is open.
    pub(super) fn worst(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Ok => 0,
            Self::Inconclusive => 1,
            Self::GateFailed => 2,
            Self::Ungraded => 3,
            Self::Changes => 4,
            Self::BadInput | Self::Broken => 5,
            Self::Failed => 6,
            Self::Interrupted => 7,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
