//! Asking again: how often, after which wait, and what is reported when it did not help.
//!
//! Owns the waits and nothing else: what a failure means is told by the engine. Time goes through [`Clock`], so that
//! tests count waits instead of sitting through them. Start at [`with_retries`].

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::EngineError;

/// The wait before the second try; each later one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that is chosen here.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait that a server may ask for.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(120);

/// What time it is, and waiting.
pub(crate) trait Clock: Send + Sync {
    /// Time since a moment that stays the same for this clock.
    fn now(&self) -> Duration;

    /// Comes back after `length`.
    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()>;
}

/// The clock of the tokio runtime.
#[derive(Debug)]
pub(crate) struct TokioClock {
    start: Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(length))
    }
}

/// Whether asking again may mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would be the same.
    Never,
    /// One more try, and no more: it was most likely no accident.
    Once,
    /// After a while, at least as long as the server asks for.
    Later(Option<Duration>),
}

/// One try that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: EngineError,
    pub(crate) again: Again,
}

impl Failure {
    pub(crate) fn new(error: EngineError, again: Again) -> Self {
        Self { error, again }
    }
}

/// Tries until an answer comes, a failure is final, or `retries` tries were made after the first.
///
/// When tries run out, the first failure is reported: later ones are often its echo. A final failure is reported as
/// itself, since it is the answer that all the trying was for.
pub(crate) async fn with_retries<T, F>(
    retries: u32,
    clock: &dyn Clock,
    mut attempt: impl FnMut() -> F,
) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut first = None;
    let mut spent_the_one = false;
    let mut tries = 1;
    loop {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let asked = match failure.again {
            Again::Never => return Err(counted(failure.error, tries)),
            Again::Once if spent_the_one => return Err(counted(failure.error, tries)),
            Again::Once => {
                spent_the_one = true;
                None
            }
            Again::Later(asked) => asked,
        };
        let reported = first.get_or_insert(failure.error);
        if tries > retries {
            return Err(counted(reported.clone(), tries));
        }
        clock.sleep(asked.unwrap_or_default().max(wait_after(tries, random_fraction()))).await;
        tries += 1;
    }
}

fn counted(mut error: EngineError, tries: u32) -> EngineError {
    if tries > 1 {
        error.message = format!("{} (tried {tries} times)", error.message);
    }
    error
}

/// The wait after the given try, counted from 1. Between half of it and all of it is up to `fraction`, so that requests
/// that failed together do not come back together.
fn wait_after(tries: u32, fraction: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(tries - 1)).min(LONGEST_WAIT);
    doubled.mul_f64(0.5 + 0.5 * fraction)
}

/// A number in [0, 1) that differs from process to process. No result depends on it, so it needs no seed.
fn random_fraction() -> f64 {
    let [high, ..] = RandomState::new().hash_one(()).to_be_bytes();
    f64::from(high) / 256.0
}

/// The wait that a server asks for, in `retry-after-ms` or `Retry-After`, cut to what is bearable.
pub(crate) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str, unit: f64| Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok();

    let milliseconds = text("retry-after-ms").and_then(|text| number(text, 0.001));
    let asked = milliseconds.or_else(|| {
        let after = text(RETRY_AFTER.as_str())?;
        number(after, 1.0).or_else(|| {
            // Against the server's own clock: the two are written by one hand, while this machine's clock may be off. A
            // server that can write a date must send the header.
            let until = rfc2822::DateTimeParser::new().parse_timestamp(after).ok()?;
            let sent = rfc2822::DateTimeParser::new().parse_timestamp(text(DATE.as_str())?).ok()?;
            Some(Duration::try_from(until.duration_since(sent)).unwrap_or_default())
        })
    });
    asked.map(|asked| asked.min(LONGEST_ASKED_WAIT))
}

/// Holds back all requests of an engine after its server asked to be left alone.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Closed up to this moment of the clock.
    opens: Mutex<Duration>,
}

impl Gate {
    pub(crate) fn close_for(&self, clock: &dyn Clock, length: Duration) {
        let moment = clock.now() + length;
        let mut opens = self.opens.lock().expect("nothing panics while it is held");
        *opens = moment.max(*opens);
    }

    /// How long it stays closed; `None` if it is open.
    pub(crate) fn closed_for(&self, clock: &dyn Clock) -> Option<Duration> {
        let opens = *self.opens.lock().expect("nothing panics while it is held");
        Some(opens.saturating_sub(clock.now())).filter(|left| !left.is_zero())
    }

    /// Waits until it is open, also where it is closed anew meanwhile.
    pub(crate) async fn pass(&self, clock: &dyn Clock) {
        while let Some(left) = self.closed_for(clock) {
            clock.sleep(left).await;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::engine::EngineErrorKind;
    use proptest::prelude::*;

    /// A clock that jumps ahead instead of waiting, and remembers how far.
    #[derive(Debug, Default)]
    pub(crate) struct JumpingClock {
        now: Mutex<Duration>,
        waits: Mutex<Vec<Duration>>,
    }

    impl JumpingClock {
        pub(crate) fn waits(&self) -> Vec<Duration> {
            self.waits.lock().unwrap().clone()
        }
    }

    impl Clock for JumpingClock {
        fn now(&self) -> Duration {
            *self.now.lock().unwrap()
        }

        fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
            *self.now.lock().unwrap() += length;
            self.waits.lock().unwrap().push(length);
            Box::pin(tokio::task::yield_now())
        }
    }

    /// Runs tries that fail as listed and then succeed; gives the outcome and the number of waits.
    async fn check(retries: u32, failures: &[Again], expected: Result<u32, &str>, waits: usize) {
        let clock = JumpingClock::default();
        let mut made = 0;
        let outcome = with_retries(retries, &clock, || {
            let failure = failures.get(made as usize);
            made += 1;
            let result = failure.map_or(Ok(made), |again| {
                Err(Failure::new(EngineError::new(EngineErrorKind::Transient, format!("failure {made}")), *again))
            });
            async move { result }
        })
        .await;
        assert_eq!(outcome.map_err(|error| error.message), expected.map_err(ToOwned::to_owned));
        assert_eq!(clock.waits().len(), waits, "{failures:?}");
    }

    #[tokio::test]
    async fn tries_are_bounded_and_the_first_failure_is_told() {
        let later = Again::Later(None);
        check(3, &[], Ok(1), 0).await;
        check(3, &[later, later], Ok(3), 2).await;
        check(2, &[later; 9], Err("failure 1 (tried 3 times)"), 2).await;
        check(0, &[later; 9], Err("failure 1"), 0).await;
        check(3, &[Again::Never], Err("failure 1"), 0).await;
        check(3, &[later, Again::Never], Err("failure 2 (tried 2 times)"), 1).await;
        check(9, &[Again::Once; 9], Err("failure 2 (tried 2 times)"), 1).await;
        check(9, &[Again::Once, later, Again::Once], Err("failure 3 (tried 3 times)"), 2).await;
        check(0, &[Again::Once], Err("failure 1"), 0).await;
    }

    #[tokio::test]
    async fn a_server_may_ask_for_a_longer_wait_and_not_for_a_shorter_one() {
        let clock = JumpingClock::default();
        let mut asked = [Some(Duration::from_secs(7)), Some(Duration::ZERO)].into_iter();
        let outcome = with_retries(9, &clock, || {
            let failure = asked
                .next()
                .map(|asked| Failure::new(EngineError::new(EngineErrorKind::Transient, "busy"), Again::Later(asked)));
            async move { failure.map_or(Ok(()), Err) }
        })
        .await;
        assert!(outcome.is_ok());
        let [first, second] = clock.waits()[..] else { panic!("{:?}", clock.waits()) };
        assert_eq!(first, Duration::from_secs(7));
        assert!(second >= FIRST_WAIT, "{second:?}");
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        let seconds: Vec<f64> = (1..=9).map(|tries| wait_after(tries, 1.0).as_secs_f64()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(wait_after(1, 0.0), FIRST_WAIT / 2);
        assert_eq!(wait_after(u32::MAX, 0.0), LONGEST_WAIT / 2);
        assert!((0.0..1.0).contains(&random_fraction()));
    }

    #[test]
    fn the_asked_wait_is_read_in_every_form() {
        let check = |headers: &[(&'static str, &str)], expected: Option<f64>| {
            let map = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(asked_wait(&map).map(|wait| wait.as_secs_f64()), expected, "{headers:?}");
        };
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(&[], None);
        check(&[("retry-after", "7")], Some(7.0));
        check(&[("retry-after", " 0.5 ")], Some(0.5));
        check(&[("retry-after", "0")], Some(0.0));
        check(&[("retry-after", "86400")], Some(120.0));
        for nonsense in ["-1", "soon", "", "NaN", "inf", "1e300"] {
            check(&[("retry-after", nonsense)], None);
        }
        check(&[("retry-after-ms", "250"), ("retry-after", "7")], Some(0.25));
        check(&[("retry-after-ms", "soon"), ("retry-after", "7")], Some(7.0));
        check(&[date, ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], Some(30.0));
        check(&[date, ("retry-after", "Mon, 07 Nov 1994 08:49:37 GMT")], Some(120.0));
        check(&[date, ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")], Some(0.0));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], None);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_out_of_bounds(tries in 1_u32.., fraction in 0.0..1.0) {
            let wait = wait_after(tries, fraction);
            prop_assert!(wait >= FIRST_WAIT / 2 && wait <= LONGEST_WAIT);
        }
    }

    #[tokio::test]
    async fn the_gate_stays_closed_for_the_longest_time_asked() {
        let clock = JumpingClock::default();
        let gate = Gate::default();
        gate.pass(&clock).await;
        assert_eq!(clock.waits(), []);
        gate.close_for(&clock, Duration::from_secs(5));
        gate.close_for(&clock, Duration::from_secs(2));
        gate.pass(&clock).await;
        assert_eq!(clock.waits(), [Duration::from_secs(5)]);
        assert_eq!(gate.closed_for(&clock), None);
    }
}
