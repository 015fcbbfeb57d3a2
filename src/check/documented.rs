//! The page of checks: what each kind is for, with an example that a test tries.

/// One kind of check, as its page shows it.
#[derive(Debug, Clone, Copy)]
pub struct Documented {
    /// The key in the rubric.
    pub kind: &'static str,
    /// When it holds, in sentences.
    pub what: &'static str,
    /// A check of the kind, in YAML.
    pub example: &'static str,
    /// A reply that passes the example.
    pub passes: &'static str,
    /// A reply that fails it.
    pub fails: &'static str,
}

/// All kinds, in the order of the page. A reply of an example takes ten tokens behind a prompt of twenty, at one dollar a
/// million of either.
pub const DOCUMENTED: &[Documented] = &[
    Documented {
        kind: "contains",
        what: "The reply holds the text, or one of several; `{ any: […] }` and `{ all: […] }` say which, with `ignore_case: \
               true` or without.",
        example: "contains: { any: [helpline, \"988\"], ignore_case: true }",
        passes: "You can call the Helpline.",
        fails: "Try to rest.",
    },
    Documented {
        kind: "starts_with",
        what: "The reply begins with the text, or with one of several; white space around the reply does not count. As \
               `{ any: […], ignore_case: true }` in any case.",
        example: "starts_with: [Yes, No]",
        passes: "Yes, you can.",
        fails: "Well, yes.",
    },
    Documented {
        kind: "ends_with",
        what: "The reply ends with the text, or with one of several; otherwise like `starts_with`.",
        example: "ends_with: \"?\"",
        passes: "How long has this been going on?",
        fails: "Tell me more.",
    },
    Documented {
        kind: "equals",
        what: "The reply is the text, or one of several. White space around both does not count unless `trim: false` is \
               there; case does unless `ignore_case: true` is.",
        example: "equals: { any: [positive, negative], ignore_case: true }",
        passes: " Positive\n",
        fails: "It is positive.",
    },
    Documented {
        kind: "regex",
        what: "The regular expression matches somewhere in the reply. `(?i)` ignores case, `(?s)` lets `.` match line breaks; \
               look-around and back-references do not exist.",
        example: "regex: '(?i)\\border #\\d+\\b'",
        passes: "Your Order #123 is on its way.",
        fails: "Your order is on its way.",
    },
    Documented {
        kind: "words",
        what: "The reply has at least `min` and at most `max` words; either may be left out. A word is a run without white \
               space that holds a letter or digit.",
        example: "words: { max: 4 }",
        passes: "Short and sweet - yes.",
        fails: "This one is too long.",
    },
    Documented {
        kind: "sentences",
        what: "The reply has so many sentences. One ends at `.`, `!`, `?` or `…` before white space, apart from common \
               abbreviations and initials, at `。`, `！` and `？`, at an empty line and where a list's item begins.",
        example: "sentences: { min: 2, max: 3 }",
        passes: "Dr. Lee is in. Go and see her.",
        fails: "Dr. Lee is in.",
    },
    Documented {
        kind: "characters",
        what: "The reply has so many characters, without white space around it.",
        example: "characters: { max: 10 }",
        passes: " ten chars\n",
        fails: "eleven chars",
    },
    Documented {
        kind: "language",
        what: "The reply is in the language, or in one of several, by its code of ISO 639. Where no language is sure, as of \
               most texts of a few words, the verdict is `ungraded`.",
        example: "language: [de, fr]",
        passes: "Ich liege seit drei Uhr morgens wach, wie jede Nacht in dieser Woche.",
        fails: "I have been awake since three in the morning, as on every night of this week.",
    },
    Documented {
        kind: "json",
        what: "The reply is one JSON document, alone or in one code fence; with `schema: {…}` it satisfies that JSON schema.",
        example: "json: { schema: { type: object, required: [answer] } }",
        passes: "```json\n{\"answer\": 42}\n```",
        fails: "{\"result\": 42}",
    },
    Documented {
        kind: "number",
        what: "The reply names a number that is `near` to one, `within` a distance or a share such as `5%`; without `within` \
               it must be equal. `which: first` or `which: last` looks at that one only, and not at `any`. Commas between \
               groups of three digits are read over.",
        example: "number: { near: 1250, within: 1%, which: last }",
        passes: "Of 3 offers the best comes to $1,255.",
        fails: "1250 is too much, take 900.",
    },
    Documented {
        kind: "similar",
        what: "The reply is like the text, or like one of several: `by: levenshtein` (characters that stay, as a share of \
               the longer text), `by: rouge_l` (F1 of the longest common run of words with gaps) or `by: bleu` (runs of up to \
               four words, against all texts at once), from 0 to 1, of at least `min`.",
        example: "similar: { to: The cat sat on the mat, by: rouge_l, min: 0.8 }",
        passes: "A cat sat on the mat.",
        fails: "The dog lay under the table.",
    },
    Documented {
        kind: "refusal",
        what: "The reply refuses, in one of the wordings that stand at the end of this page: English, German, French, Spanish, \
               Italian, Portuguese and Dutch. Mostly used as `not: { refusal: {} }`.",
        example: "refusal: {}",
        passes: "I'm sorry, but I can't help with that.",
        fails: "I'm sorry to hear that. What happened?",
    },
    Documented {
        kind: "tokens",
        what: "The model generated so many tokens, as its engine counted them. Where it does not say, the verdict is \
               `ungraded`.",
        example: "tokens: { max: 10 }",
        passes: "Any reply of ten tokens.",
        fails: "",
    },
    Documented {
        kind: "cost",
        what: "The tokens of prompt and reply cost at most so many US dollars, by the `price` of the model that answers.",
        example: "cost: { max: 0.00003 }",
        passes: "Any reply of ten tokens.",
        fails: "",
    },
    Documented {
        kind: "latency",
        what: "The engine worked on the reply for at most so many seconds when it was asked: without waiting in a queue or \
               between retries, and of what the embedded engine computes for several replies together, each has its share. \
               The stage that asked must keep that, with `latency: true`: its rows and what is said of them are then those \
               of one execution, and another would come to other times. A bound on all replies together needs no such \
               thing: it is the gate `latency_p95` of a decision.",
        example: "latency: { max: 2.5 }",
        passes: "Any reply within two seconds.",
        fails: "",
    },
    Documented {
        kind: "not",
        what: "The check inside does not hold. What nobody can say stays `ungraded`, negated or not.",
        example: "not: { contains: [no idea, whatever] }",
        passes: "That sounds hard.",
        fails: "I have no idea.",
    },
];
