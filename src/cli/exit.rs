//! Exit codes: an interface that scripts rely on.

use std::process::ExitCode;

/// What the program ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Ok,
    Failed,
    BadInput,
    Changes,
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
    2  bad pipeline or arguments; for `plan --detailed-exitcode`: there is something to run
    3  the gate failed
    4  inconclusive: more scenarios or a judge to be trusted are needed
    6  finished with more ungraded scenarios than allowed
  130  interrupted; what is finished is kept";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::BadInput | Exit::Changes => 2,
            Exit::GateFailed => 3,
            Exit::Inconclusive => 4,
            Exit::Ungraded => 6,
            Exit::Interrupted => 130,
        })
    }
}
