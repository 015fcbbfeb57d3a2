//! `prefer`: asks a judge which of two replies to a scenario is better, in both orders.
//!
//! A reply that is preferred in both orders wins; where the order decides it is a tie, which counts towards the judge's bias.
//! A judge that cannot be read is asked once more, and then there is no preference. Start at [`PreferStage`]; [`Tally`] is what
//! all rows come to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::row::{Asked, Flaw, Resume, Row, RowError, RowStage, Step, read, write};
use crate::data::{Answer, Choice, Preference, Preferences, Preferred, WinRate};
use crate::engine::{ReplyForm, Request, Sampling, Schema};
use crate::judge::{Pair, ParseError, Place, ask_again, preference_schema, read_preference};
use crate::spec::Prefer;
use crate::stats;

/// Raised when the same fields and inputs would give other rows.
pub const VERSION: u32 = 2;

/// So many pairs in which the order decided are named.
const FLIPPED_NAMED: usize = 10;

/// The stage's own fields, as they go into its recipe; what it reads and who judges are added by the caller.
#[must_use]
pub fn fields(spec: &Prefer) -> Value {
    // The level of the interval is no part of any row, but of what goes with the table.
    let Prefer { base: _, new: _, model: _, questions, max_tokens, temperature, top_p, seed, context, confidence } =
        spec;
    let sampling = Sampling::of(*temperature, *top_p, *seed).recipe();
    json!({
        "questions": questions, "max_tokens": max_tokens, "sampling": sampling, "context": context, "confidence": confidence,
    })
}

/// Two answers → a preference.
#[derive(Debug)]
pub struct PreferStage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    questions: Vec<String>,
    max_tokens: u32,
    sampling: Sampling,
    schema: Schema,
}

impl PreferStage {
    /// Takes what the stage needs of its checked form.
    #[must_use]
    pub fn new(spec: &Prefer) -> Self {
        let inner = Inner {
            questions: spec.questions.clone(),
            max_tokens: spec.max_tokens,
            sampling: Sampling::of(spec.temperature, spec.top_p, spec.seed),
            schema: preference_schema(),
        };
        Self { inner: Arc::new(inner) }
    }
}

/// Makes the line that the stage takes of one line of each table.
#[must_use]
pub fn paired(base: &str, new: &str) -> String {
    format!("[{base},{new}]")
}

impl RowStage for PreferStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let (base, new): (Answer, Answer) = read(line, "two answers")?;
        if (&base.scenario.id, base.repetition) != (&new.scenario.id, new.repetition) {
            let message = format!("one answers `{}`, the other `{}`", base.scenario.id, new.scenario.id);
            return Err(RowError { expected: "two answers to one scenario", message });
        }
        let missing = |answer: &Answer, whose: &str| {
            let failure = answer.failure.as_ref().map(|failure| format!(": {} ({})", failure.message, failure.kind));
            answer.reply.is_none().then(|| format!("the {whose} reply is missing{}", failure.unwrap_or_default()))
        };
        let missing: Vec<String> = [missing(&base, "base"), missing(&new, "new")].into_iter().flatten().collect();
        let orders = [Order::Open, Order::Open];
        let round = Round { inner: Arc::clone(&self.inner), base, new, orders };
        if !missing.is_empty() {
            return Ok(Step::Done(round.row(Preferred::Ungraded, missing)));
        }
        if round.base.reply == round.new.reply {
            return Ok(Step::Done(round.row(Preferred::Tie, vec!["both replies are the same".to_owned()])));
        }
        Ok(round.step())
    }
}

/// How far the choice in one order has come.
enum Order {
    Open,
    /// What was said could not be read: it is asked for once more.
    Unread {
        said: String,
        why: ParseError,
    },
    Chosen(Choice, String),
    /// There will never be a choice, for this reason.
    None(String),
}

impl Order {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Unread { .. })
    }

    fn choice(&self) -> Option<Choice> {
        if let Self::Chosen(choice, _) = self { Some(*choice) } else { None }
    }
}

/// A row that waits for its judge.
struct Round {
    inner: Arc<Inner>,
    base: Answer,
    new: Answer,
    /// With the base's reply in the first place, and in the second.
    orders: [Order; 2],
}

impl Round {
    fn step(self) -> Step {
        let requests: Vec<Request> =
            (0..2).filter(|at| self.orders[*at].is_open()).map(|at| self.request(at)).collect();
        if requests.is_empty() { Step::Done(self.finish()) } else { Step::ask(requests, Box::new(self)) }
    }

    fn request(&self, order: usize) -> Request {
        let [base, new] = [&self.base, &self.new].map(|answer| answer.reply.as_deref().unwrap_or_default());
        let (first, second) = if order == 0 { (base, new) } else { (new, base) };
        let messages = Pair { opening: &self.base.scenario.opening, first, second }.ask(&self.inner.questions);
        let messages = match &self.orders[order] {
            Order::Unread { said, why } => ask_again(messages, said, why),
            Order::Open | Order::Chosen(..) | Order::None(_) => messages,
        };
        Request {
            messages,
            sampling: self.inner.sampling,
            max_tokens: self.inner.max_tokens,
            form: ReplyForm::Schema(self.inner.schema.clone()),
            repetition: 0,
        }
    }

    fn settle(before: &Order, order: usize, answer: Asked) -> Order {
        let reply = match answer.replied() {
            Ok(reply) => reply,
            Err(failure) => {
                return Order::None(format!("the judge did not answer: {} ({})", failure.message, failure.kind));
            }
        };
        match (read_preference(&reply.text, reply.finish), before) {
            (Ok((place, reason)), _) => {
                let is_base = (place == Place::First) == (order == 0);
                Order::Chosen(if is_base { Choice::Base } else { Choice::New }, reason)
            }
            (Err(why), Order::Unread { .. }) => {
                Order::None(format!("the judge's answer could not be read, twice: {why}"))
            }
            (Err(why), Order::Open | Order::Chosen(..) | Order::None(_)) => Order::Unread { said: reply.text, why },
        }
    }

    fn finish(self) -> Row {
        let preferred = match [&self.orders[0], &self.orders[1]].map(Order::choice) {
            [Some(Choice::Base), Some(Choice::Base)] => Preferred::Base,
            [Some(Choice::New), Some(Choice::New)] => Preferred::New,
            [Some(_), Some(_)] => Preferred::Tie,
            [None, _] | [_, None] => Preferred::Ungraded,
        };
        let reasons = self.orders.iter().map(|order| match order {
            Order::Chosen(_, reason) | Order::None(reason) => reason.clone(),
            Order::Open | Order::Unread { .. } => unreachable!("a row with an open question is not finished"),
        });
        let reasons = reasons.collect();
        self.row(preferred, reasons)
    }

    fn row(self, preferred: Preferred, reasons: Vec<String>) -> Row {
        let Self { inner: _, base, new, orders } = self;
        let [first_order, second_order] = [orders[0].choice(), orders[1].choice()];
        let row = Preference {
            scenario: base.scenario,
            repetition: base.repetition,
            base: base.reply,
            new: new.reply,
            first_order,
            second_order,
            preferred,
            reasons,
        };
        Row::new(vec![write(&row)], (preferred == Preferred::Ungraded).then_some(Flaw::Ungraded))
    }
}

impl Resume for Round {
    fn resume(mut self: Box<Self>, answers: Vec<Asked>) -> Step {
        let mut answers = answers.into_iter();
        for (at, order) in self.orders.iter_mut().enumerate().filter(|(_, order)| order.is_open()) {
            *order = Self::settle(order, at, answers.next().expect("each request has one answer"));
        }
        assert!(answers.next().is_none(), "each answer has one request");
        self.step()
    }
}

/// Counts preferences as they come; [`Self::finish`] says what they come to.
#[derive(Debug)]
pub struct Tally {
    confidence: f64,
    found: Preferences,
    /// Wins in halves.
    clusters: stats::Clusters,
    scenario: Option<crate::ids::ScenarioId>,
    /// Halves won and pairs of the scenario that was counted last.
    here: (u64, u64),
    /// The same of all.
    all: (u64, u64),
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(spec: &Prefer) -> Self {
        let found = Preferences {
            pairs: 0,
            new: 0,
            base: 0,
            same: 0,
            first: 0,
            second: 0,
            ungraded: 0,
            win_rate: None,
            p: 1.0,
            flipped: Vec::new(),
        };
        let clusters = stats::Clusters::in_parts_of(2);
        Self { confidence: spec.confidence, found, clusters, scenario: None, here: (0, 0), all: (0, 0) }
    }

    /// Counts one pair. Those of one scenario come one after the other.
    pub fn add(&mut self, row: &Preference) {
        if self.scenario.as_ref() != Some(&row.scenario.id) {
            self.close();
            self.scenario = Some(row.scenario.id.clone());
        }
        self.found.pairs += 1;
        let halves = match (row.preferred, row.first_order) {
            (Preferred::Ungraded, _) => {
                self.found.ungraded += 1;
                return;
            }
            (Preferred::New, _) => {
                self.found.new += 1;
                2
            }
            (Preferred::Base, _) => {
                self.found.base += 1;
                0
            }
            (Preferred::Tie, None) => {
                self.found.same += 1;
                1
            }
            (Preferred::Tie, Some(choice)) => {
                // With the base in the first place it was the base: whoever comes first is preferred.
                *(if choice == Choice::Base { &mut self.found.first } else { &mut self.found.second }) += 1;
                if self.found.flipped.len() < FLIPPED_NAMED {
                    self.found.flipped.push(row.scenario.id.to_string());
                }
                1
            }
        };
        self.here = (self.here.0 + halves, self.here.1 + 1);
    }

    fn close(&mut self) {
        let (halves, pairs) = std::mem::take(&mut self.here);
        self.clusters.add(halves, pairs);
        self.all = (self.all.0 + halves, self.all.1 + pairs);
    }

    /// What all of them come to.
    #[must_use]
    pub fn finish(mut self) -> Preferences {
        self.close();
        let (halves, pairs) = self.all;
        let win_rate = (pairs > 0).then(|| {
            let stats::Interval { lo, hi } = self.clusters.interval(self.confidence).interval;
            let point = halves as f64 / (2.0 * pairs as f64);
            WinRate { point, lo, hi, confidence: self.confidence, n: pairs }
        });
        let p = stats::mcnemar_exact(self.found.base, self.found.new);
        Preferences { win_rate, p, ..self.found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RowFailure;
    use crate::ids::{ModelName, ScenarioId, StageId};
    use crate::spec::ModelRef;
    use crate::stage::row::tests::{asks, done, failed, replied, scenario};

    fn spec() -> Prefer {
        Prefer {
            base: StageId::new("base").unwrap(),
            new: StageId::new("new").unwrap(),
            questions: vec!["Which is kinder?".to_owned()],
            model: ModelRef::Declared(ModelName::new("j").unwrap()),
            max_tokens: 100,
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
            context: None,
            confidence: 0.95,
        }
    }

    fn answer(id: &str, reply: Option<&str>) -> String {
        let failure = RowFailure { kind: "rejected".to_owned(), message: "too rude".to_owned() };
        write(&Answer {
            scenario: crate::data::Scenario { id: ScenarioId::new(id).unwrap(), ..scenario("hi", &[]) },
            repetition: 0,
            reply: reply.map(ToOwned::to_owned),
            reasoning: None,
            finish: None,
            tokens: None,
            latency_ms: None,
            failure: reply.is_none().then_some(failure),
        })
    }

    fn start(base: Option<&str>, new: Option<&str>) -> Step {
        PreferStage::new(&spec()).start(&paired(&answer("a/b/c", base), &answer("a/b/c", new))).unwrap()
    }

    fn says(place: &str) -> Asked {
        replied(&format!(r#"{{"reason": "because", "preferred": "{place}"}}"#))
    }

    fn preference(row: &Row) -> Preference {
        read(&row.lines[0], "a preference").unwrap()
    }

    #[test]
    fn both_orders_must_agree() {
        let check = |said: [&str; 2], orders: [Choice; 2], expected: Preferred| {
            let (requests, rest) = asks(start(Some("Base."), Some("New.")));
            let first = ["<<<FIRST\nBase.\nFIRST>>>", "<<<FIRST\nNew.\nFIRST>>>"];
            assert!(requests.iter().zip(first).all(|(request, first)| request.messages[1].content.contains(first)));
            let found = preference(&done(rest.resume(said.map(says).to_vec())));
            assert_eq!((found.first_order, found.second_order), (Some(orders[0]), Some(orders[1])), "{said:?}");
            assert_eq!((found.preferred, found.reasons), (expected, vec!["because".to_owned(); 2]), "{said:?}");
        };
        check(["first", "second"], [Choice::Base, Choice::Base], Preferred::Base);
        check(["second", "first"], [Choice::New, Choice::New], Preferred::New);
        check(["first", "first"], [Choice::Base, Choice::New], Preferred::Tie);
        check(["second", "second"], [Choice::New, Choice::Base], Preferred::Tie);
    }

    #[test]
    fn what_is_missing_is_no_preference() {
        let row = done(start(None, Some("New.")));
        let found = preference(&row);
        assert_eq!((found.preferred, row.flaw), (Preferred::Ungraded, Some(Flaw::Ungraded)));
        assert_eq!(found.reasons, ["the base reply is missing: too rude (rejected)"]);
        let same = preference(&done(start(Some("Same."), Some("Same."))));
        assert_eq!((same.preferred, same.first_order), (Preferred::Tie, None));
        // Only the order that could not be read is asked once more.
        let (first, rest) = asks(start(Some("Base."), Some("New.")));
        let (again, rest) = asks(rest.resume(vec![says("first"), says("neither")]));
        assert_eq!((again.len(), &again[0].messages[..2]), (1, &first[1].messages[..]));
        let found = preference(&done(rest.resume(vec![replied("?")])));
        assert_eq!(
            (found.preferred, found.first_order, found.second_order),
            (Preferred::Ungraded, Some(Choice::Base), None)
        );
        assert!(found.reasons[1].contains("could not be read, twice"), "{:?}", found.reasons);
        let (_, rest) = asks(start(Some("Base."), Some("New.")));
        let found = preference(&done(rest.resume(vec![failed("rejected"), says("first")])));
        assert_eq!(found.preferred, Preferred::Ungraded);
    }

    #[test]
    fn answers_to_different_scenarios_are_refused() {
        let line = paired(&answer("a/b/c", Some("x")), &answer("a/b/d", Some("y")));
        let error = PreferStage::new(&spec()).start(&line).err().unwrap();
        assert_eq!(error.to_string(), "not two answers to one scenario: one answers `a/b/c`, the other `a/b/d`");
    }

    #[test]
    fn ties_are_half_a_win_and_flips_show_the_bias() {
        let row = |id: usize, preferred, first_order| Preference {
            scenario: crate::data::Scenario {
                id: ScenarioId::new(&format!("a/b/{id}")).unwrap(),
                ..scenario("hi", &[])
            },
            repetition: 0,
            base: Some("Base.".to_owned()),
            new: Some("New.".to_owned()),
            first_order,
            second_order: first_order,
            preferred,
            reasons: Vec::new(),
        };
        let mut tally = Tally::new(&spec());
        let kinds = [
            (6, Preferred::New, Some(Choice::New)),
            (2, Preferred::Base, Some(Choice::Base)),
            (3, Preferred::Tie, Some(Choice::Base)),
            (1, Preferred::Tie, Some(Choice::New)),
            (2, Preferred::Tie, None),
            (1, Preferred::Ungraded, None),
        ];
        let mut id = 0;
        for (count, preferred, choice) in kinds {
            for _ in 0..count {
                tally.add(&row(id, preferred, choice));
                id += 1;
            }
        }
        let found = tally.finish();
        assert_eq!((found.pairs, found.new, found.base, found.same), (15, 6, 2, 2));
        assert_eq!((found.first, found.second, found.ungraded, found.flipped.len()), (3, 1, 1, 4));
        let rate = found.win_rate.unwrap();
        assert!((rate.point - 9.0 / 14.0).abs() < 1e-12 && rate.n == 14, "{rate:?}");
        assert!(rate.lo < rate.point && rate.point < rate.hi && rate.lo > 0.3 && rate.hi < 0.9, "{rate:?}");
        assert!((found.p - stats::mcnemar_exact(2, 6)).abs() < 1e-15);
        assert_eq!(Tally::new(&spec()).finish().win_rate, None);
    }

    #[test]
    fn each_own_field_is_in_the_recipe() {
        let first = fields(&spec());
        for changed in [
            Prefer { questions: vec!["Which is shorter?".to_owned()], ..spec() },
            Prefer { max_tokens: 101, ..spec() },
            Prefer { temperature: 0.5, ..spec() },
            Prefer { context: Some(512), ..spec() },
            Prefer { confidence: 0.9, ..spec() },
        ] {
            assert_ne!(fields(&changed), first);
        }
        assert_eq!(fields(&Prefer { seed: 5, ..spec() }), first, "greedy draws nothing");
    }
}
