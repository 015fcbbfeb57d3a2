//! Canned replies, for trying a pipeline without a model and for tests that count calls.
//!
//! Owns matching and expanding. Never reads the clock or the network; start at [`ScriptedEngine`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use regex::Regex;
use serde_json::json;

use super::weigh::weigh;
use super::{Engine, EngineError, EngineErrorKind, Finish, Identity, Reply, Request, Usage, Words, reasoning};
use crate::spec;

/// Most characters of a message that an error shows.
const SHOWN: usize = 80;

/// An engine that answers from a list of regular expressions and replies.
#[derive(Debug)]
pub struct ScriptedEngine {
    identity: Identity,
    replies: Vec<(Regex, String)>,
    otherwise: Option<String>,
    delay: Duration,
    width: usize,
    asked: AtomicU64,
}

/// What decides the replies of such an engine: the replies themselves, in order.
#[must_use]
pub fn identity(spec: &spec::Scripted) -> Identity {
    let spec::Scripted { replies, otherwise, delay_ms: _, concurrency: _, price: _ } = spec;
    Identity(json!({ "engine": "scripted", "replies": replies, "otherwise": otherwise }))
}

impl ScriptedEngine {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// One of them is not a regular expression.
    pub fn new(spec: &spec::Scripted) -> Result<Self, EngineError> {
        let compile = |reply: &spec::ScriptedReply| match Regex::new(&reply.pattern) {
            Ok(pattern) => Ok((pattern, reply.reply.clone())),
            Err(error) => Err(EngineError::new(
                EngineErrorKind::Unavailable,
                format!("`{}` is not a regular expression: {error}", reply.pattern),
            )),
        };
        Ok(Self {
            identity: identity(spec),
            replies: spec.replies.iter().map(compile).collect::<Result<_, _>>()?,
            otherwise: spec.otherwise.clone(),
            delay: Duration::from_millis(spec.delay_ms),
            width: spec.concurrency.max(1),
            asked: AtomicU64::new(0),
        })
    }

    /// How many requests were put to this engine so far, answered or not.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn text(&self, request: &Request, prompt: &str) -> Result<String, EngineError> {
        for (pattern, reply) in &self.replies {
            if let Some(captures) = pattern.captures(prompt) {
                let mut text = String::new();
                captures.expand(reply, &mut text);
                return Ok(text);
            }
        }
        self.otherwise.clone().ok_or_else(|| {
            let last = request.messages.last().map_or("", |message| message.content.as_str());
            let message = format!("no scripted reply matches the message `{}`", start_of(last));
            EngineError::new(EngineErrorKind::Rejected, message)
        })
    }

    fn answer(&self, request: &Request) -> Result<Reply, EngineError> {
        let turns: Vec<String> =
            request.messages.iter().map(|turn| format!("{}: {}", turn.role.as_str(), turn.content)).collect();
        let prompt = turns.join("\n");
        let mut text = self.text(request, &prompt)?;
        let prompt_tokens = count_words(&prompt);
        let elapsed_ms = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
        if let Some(words) = request.form.words() {
            let usage = Usage { prompt_tokens, cached_tokens: 0, completion_tokens: 1 };
            let mut reply = Reply::new(text, Finish::Stop, usage, elapsed_ms);
            reply.weighed = Some(weigh(words, weights(words, &reply.text).iter().map(|(text, p)| (text.as_str(), *p))));
            return Ok(reply);
        }

        let finish = match end_of_words(&text, request.max_tokens) {
            Some(end) => {
                text.truncate(end);
                Finish::Length
            }
            None => Finish::Stop,
        };
        let usage = Usage { prompt_tokens, cached_tokens: 0, completion_tokens: count_words(&text) };
        let (reasoning, text) = reasoning::split(&text);
        Ok(Reply { reasoning, ..Reply::new(text, finish, usage, elapsed_ms) })
    }
}

/// What a reply says of words: an object of words says how likely each is, any other text is itself certain.
fn weights(words: &Words, reply: &str) -> BTreeMap<String, f64> {
    let told: Option<BTreeMap<String, f64>> = serde_json::from_str(reply).ok();
    told.filter(|told| told.keys().all(|word| words.all().contains(word)))
        .unwrap_or_else(|| BTreeMap::from([(reply.to_owned(), 1.0)]))
}

impl Engine for ScriptedEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        self.width
    }

    fn complete<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, EngineError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            self.answer(request)
        })
    }
}

fn count_words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
}

/// Where the first `limit` words end, if there are more.
fn end_of_words(text: &str, limit: u32) -> Option<usize> {
    let (mut words, mut end, mut inside) = (0, 0, false);
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() {
            inside = false;
            continue;
        }
        if !inside && words == limit {
            return Some(end);
        }
        words += u32::from(!inside);
        inside = true;
        end = at + letter.len_utf8();
    }
    None
}

fn start_of(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::contract::{check_contract, check_words};
    use crate::engine::{Message, ReplyForm, Role, Sampling};
    use crate::spec::{Scripted, ScriptedReply};

    fn spec(replies: &[(&str, &str)], otherwise: Option<&str>) -> Scripted {
        let reply = |(pattern, reply): &(&str, &str)| ScriptedReply {
            pattern: (*pattern).to_owned(),
            reply: (*reply).to_owned(),
        };
        Scripted {
            replies: replies.iter().map(reply).collect(),
            otherwise: otherwise.map(ToOwned::to_owned),
            delay_ms: 0,
            concurrency: 4,
            price: None,
        }
    }

    fn request(messages: &[(Role, &str)], max_tokens: u32) -> Request {
        Request {
            messages: messages.iter().map(|(role, content)| Message::new(*role, *content)).collect(),
            sampling: Sampling::Greedy,
            max_tokens,
            form: ReplyForm::Free,
            repetition: 0,
        }
    }

    async fn ask(engine: &ScriptedEngine, content: &str, max_tokens: u32) -> Result<Reply, EngineError> {
        engine.complete(&request(&[(Role::System, "be kind"), (Role::User, content)], max_tokens)).await
    }

    #[tokio::test]
    async fn the_first_match_answers_and_groups_are_filled_in() {
        let replies = [
            ("(?m)^user: I am (?<who>\\w+)$", "hello ${who}, $who. $$1"),
            ("(?s)system: be (\\w+)\nuser: how", "$1"),
            ("how", "never reached"),
        ];
        let engine = ScriptedEngine::new(&spec(&replies, Some("otherwise $1"))).unwrap();
        for (content, expected) in
            [("I am Ann", "hello Ann, Ann. $1"), ("how so", "kind"), ("something else", "otherwise $1")]
        {
            assert_eq!(ask(&engine, content, 50).await.unwrap().text, expected);
        }
        assert_eq!(engine.asked(), 3);
    }

    #[tokio::test]
    async fn no_match_is_rejected_with_the_start_of_the_message() {
        let engine = ScriptedEngine::new(&spec(&[("x{9}", "")], None)).unwrap();
        let error = ask(&engine, "a\nb", 9).await.unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Rejected);
        assert_eq!(error.message, "no scripted reply matches the message `a b`");
        let error = ask(&engine, &"é".repeat(300), 9).await.unwrap_err();
        assert_eq!(error.message, format!("no scripted reply matches the message `{}…`", "é".repeat(SHOWN)));
        assert_eq!(engine.asked(), 2);
        let nothing_said = engine.complete(&request(&[], 9)).await.unwrap_err();
        assert_eq!(nothing_said.message, "no scripted reply matches the message ``");
    }

    #[tokio::test]
    async fn words_are_tokens() {
        let engine = ScriptedEngine::new(&spec(&[], Some(" one  two\nthree "))).unwrap();
        for (max_tokens, text, finish, completion_tokens) in [
            (9, " one  two\nthree ", Finish::Stop, 3),
            (3, " one  two\nthree ", Finish::Stop, 3),
            (2, " one  two", Finish::Length, 2),
            (1, " one", Finish::Length, 1),
            (0, "", Finish::Length, 0),
        ] {
            let reply = ask(&engine, "hi there", max_tokens).await.unwrap();
            let usage = Usage { prompt_tokens: 6, cached_tokens: 0, completion_tokens };
            assert_eq!(reply, Reply::new(text, finish, usage, 0));
        }
    }

    #[tokio::test]
    async fn words_are_weighed_as_the_reply_says() {
        async fn check(reply: &str, expected: [f64; 2], tokens: [&[&str]; 2]) {
            let engine = ScriptedEngine::new(&spec(&[], Some(reply))).unwrap();
            let form = ReplyForm::Words(Words::new(["pass", "fail"]));
            let reply = engine.complete(&Request { form, ..request(&[(Role::User, "hi")], 1) }).await.unwrap();
            let weighed = reply.weighed.unwrap();
            assert_eq!(weighed.probabilities, expected);
            assert_eq!(weighed.tokens, tokens);
            assert_eq!((reply.usage.completion_tokens, reply.finish), (1, Finish::Stop));
        }
        check(" Fail\n", [0.0, 1.0], [&[], &[" Fail\n"]]).await;
        check(r#"{"pass": 0.75, "fail": 0.125}"#, [0.75, 0.125], [&["pass"], &["fail"]]).await;
        check(r#"{"fail": 0.5}"#, [0.0, 0.5], [&[], &["fail"]]).await;
        check(r#"{"fail": 0.5, "maybe": 0.5}"#, [0.0, 0.0], [&[], &[]]).await;
        check("It passes.", [0.0, 0.0], [&[], &[]]).await;
    }

    #[tokio::test]
    async fn thoughts_are_no_part_of_the_text() {
        let engine = ScriptedEngine::new(&spec(&[], Some("<think>a b</think> c d"))).unwrap();
        let reply = ask(&engine, "", 9).await.unwrap();
        assert_eq!((reply.reasoning.as_deref(), &*reply.text), (Some("a b"), "c d"));
        let cut = ask(&engine, "", 1).await.unwrap();
        assert_eq!((cut.reasoning.as_deref(), &*cut.text, cut.finish), (Some("a"), "", Finish::Length));
    }

    #[test]
    fn a_bad_expression_is_told() {
        let error = ScriptedEngine::new(&spec(&[("fine", ""), ("(", "")], None)).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Unavailable);
        assert!(error.message.starts_with("`(` is not a regular expression: "), "{error}");
    }

    #[test]
    fn the_identity_is_the_script_and_nothing_else() {
        let one = spec(&[("a", "b")], None);
        let other = Scripted {
            delay_ms: 9,
            concurrency: 9,
            price: Some(spec::Price { prompt: 1.0, completion: 2.0 }),
            ..one.clone()
        };
        assert_eq!(identity(&one), identity(&other));
        assert_eq!(
            identity(&one).0,
            json!({"engine": "scripted", "replies": [{"match": "a", "reply": "b"}], "otherwise": null})
        );
        assert_ne!(identity(&one), identity(&spec(&[("a", "b")], Some(""))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_waited_for() {
        let engine = ScriptedEngine::new(&Scripted { delay_ms: 1500, ..spec(&[], Some("late")) }).unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(ask(&engine, "", 9).await.unwrap().elapsed_ms, 1500);
        assert!(start.elapsed() >= Duration::from_millis(1500));
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        check_contract(&ScriptedEngine::new(&spec(&[], Some("one two three four"))).unwrap()).await;
        check_words(&ScriptedEngine::new(&spec(&[], Some("pass"))).unwrap()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract_when_slow() {
        let slow = Scripted { delay_ms: 10, ..spec(&[], Some("one two three four")) };
        check_contract(&ScriptedEngine::new(&slow).unwrap()).await;
    }
}
