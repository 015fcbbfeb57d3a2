//! Embeddings: a text in, a direction out, so that texts that mean much the same lie close together.
//!
//! Owns what is asked and answered, the recipe of such a call, and the form in which a vector is kept. Every vector has
//! length 1: it is made so here and not by whoever computed it, so that a cosine is a dot product. Start at
//! [`EmbedRequest`] and [`Embedding`].

mod base64;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use super::{EngineError, EngineErrorKind, Identity, Usage};
use crate::key::Recipe;

/// Raised when the same text would be embedded in another way, or its vector be treated in another.
pub(super) const EMBED_VERSION: u32 = 1;

/// What is done with what a model computes, as canonical JSON: hidden states become one vector as the model's file says,
/// by their mean where it says nothing; servers do that themselves. Then the vector is made one of length 1.
pub(super) const OPTIONS: &str = r#"{"norm":"l2","pooling":"model_else_mean"}"#;

/// One text to embed: with the engine's [`Identity`], all that decides the vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The text itself: no chat template is put around it.
    pub text: String,
}

impl EmbedRequest {
    /// The recipe of the call: this text put to that engine. Where only the key is wanted,
    /// [`CallKeys`](super::CallKeys) is quicker.
    #[must_use]
    pub fn recipe(&self, identity: &Identity) -> Recipe {
        // Without `..`: a new field does not compile until it is in the key.
        let Self { text } = self;
        let options: serde_json::Value = serde_json::from_str(OPTIONS).expect("it is valid JSON");
        Recipe::new("embed", EMBED_VERSION, json!({ "engine": identity.0, "options": options, "text": text }))
    }
}

/// Where a text lies: a vector of length 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    values: Vec<f32>,
    usage: Usage,
    elapsed_ms: u64,
}

impl Embedding {
    /// Takes a vector as it was computed, of any length but 0, and makes it one of length 1.
    ///
    /// # Errors
    /// It has no direction: it has no numbers, all are 0, or one of them is no number.
    pub fn new(computed: &[f32], usage: Usage, elapsed_ms: u64) -> Result<Self, EngineError> {
        let bad = |what: &str| Err(EngineError::new(EngineErrorKind::BadReply, format!("the embedding {what}")));
        if computed.is_empty() {
            return bad("has no numbers");
        }
        // In double precision and in order: the squares of single ones may be too large or too small for that.
        let length = computed.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
        if !length.is_finite() {
            return bad("holds what is no number");
        }
        if length <= 0.0 {
            return bad("has length 0, so it has no direction");
        }
        #[expect(clippy::cast_possible_truncation, reason = "numbers of at most 1 are rounded")]
        let values = computed.iter().map(|value| (f64::from(*value) / length) as f32).collect();
        Ok(Self { values, usage, elapsed_ms })
    }

    /// The vector; its length is 1.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vector alone.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Tokens it took: of the text, and none generated.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Time the engine worked on it, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms
    }

    /// The cosine with another vector of as many numbers, to four places: what is behind them differs with the order in
    /// which a machine sums.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f64 {
        let sum: f64 = self.values.iter().zip(&other.values).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        (sum * 10_000.0).round() / 10_000.0
    }
}

/// As it is kept: the numbers as base64 of little-endian single precision, a fifth of their size in decimals.
#[derive(Serialize, Deserialize)]
struct Written {
    embedding: String,
    usage: Usage,
    elapsed_ms: u64,
}

impl Serialize for Embedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let Self { values: _, usage, elapsed_ms } = *self;
        Written { embedding: base64::encode(&bytes), usage, elapsed_ms }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { embedding, usage, elapsed_ms } = Written::deserialize(deserializer)?;
        let broken =
            || serde::de::Error::custom("an embedding is base64 of the four-byte numbers of a vector of length 1");
        let bytes = base64::decode(&embedding).ok_or_else(broken)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        let values: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let square: f64 = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
        if !rest.is_empty() || !(0.999..1.001).contains(&square) {
            return Err(broken());
        }
        Ok(Self { values, usage, elapsed_ms })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::CallKeys;

    fn embedding(values: &[f32]) -> Embedding {
        Embedding::new(values, Usage { prompt_tokens: 3, ..Usage::default() }, 7).unwrap()
    }

    #[test]
    fn vectors_get_length_one() {
        assert_eq!(embedding(&[3.0, 4.0]).values(), [0.6, 0.8]);
        assert_eq!(embedding(&[0.0, -2.5]).values(), [0.0, -1.0]);
        let large = embedding(&[f32::MAX, f32::MAX]);
        assert!((large.cosine(&large) - 1.0).abs() < 1e-9, "{large:?}");
        let small = embedding(&[1e-30, 0.0]);
        assert_eq!(small.values(), [1.0, 0.0]);
        assert!((embedding(&[1.0, 0.0]).cosine(&embedding(&[3.0, 4.0])) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_direction_is_no_embedding() {
        let check = |values: &[f32], expected: &str| {
            let error = Embedding::new(values, Usage::default(), 0).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (EngineErrorKind::BadReply, expected));
        };
        check(&[], "the embedding has no numbers");
        check(&[0.0, 0.0], "the embedding has length 0, so it has no direction");
        check(&[1.0, f32::NAN], "the embedding holds what is no number");
        check(&[1.0, f32::INFINITY], "the embedding holds what is no number");
    }

    /// Golden: stores hold this form.
    #[test]
    fn the_written_form() {
        let text = serde_json::to_string(&embedding(&[3.0, -4.0])).unwrap();
        let expected = "{\"embedding\":\"mpkZP83MTL8=\",\"usage\":{\"prompt_tokens\":3,\"cached_tokens\":0,\
                        \"completion_tokens\":0},\"elapsed_ms\":7}";
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Embedding>(&text).unwrap(), embedding(&[3.0, -4.0]));
        for broken in ["", "mpkZP83MTL8", "mpkZP83M", "!!!!", "AACAfw=="] {
            let text = text.replace("mpkZP83MTL8=", broken);
            assert!(serde_json::from_str::<Embedding>(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(values in prop::collection::vec(-1e6_f32..1e6, 1..40)) {
            prop_assume!(values.iter().any(|value| *value != 0.0));
            let written = embedding(&values);
            let length: f64 = written.values().iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
            prop_assert!((length - 1.0).abs() < 1e-5, "{length}");
            let text = serde_json::to_string(&written).unwrap();
            let bits = |one: &Embedding| one.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&serde_json::from_str::<Embedding>(&text).unwrap()), bits(&written));
        }

        /// The quick way to a key and the plain one: nothing else may ever tell them apart.
        #[test]
        fn keys_are_those_of_recipes(text in "(\\PC|[\\x00-\\x7f]){0,40}", model in "\\PC{0,8}") {
            let identity = Identity(json!({ "engine": "openai", "model": model }));
            let request = EmbedRequest { text };
            prop_assert_eq!(CallKeys::new(&identity).embed_key(&request), request.recipe(&identity).key());
        }
    }
}
