//! How many bytes weights take when they are quantised.
//!
//! A label such as `Q4_K_M` is a mixture: the table that tokens are read from and written by is kept finer than the rest,
//! and rows that do not divide into blocks of 256 fall back to a coarser kind of block. Small models with a large
//! vocabulary are therefore larger than the label suggests, which is reckoned with where the catalog tells their shape.

use super::facts::Facts;
use crate::spec::Quantization;

/// The quantisations that the table of candidates shows, the largest first.
pub(super) const SHOWN: &[Quantization] = &[
    Quantization::F16,
    Quantization::Q8_0,
    Quantization::Q6K,
    Quantization::Q5KM,
    Quantization::Q4KM,
    Quantization::Q3KL,
    Quantization::Q2K,
];

/// Weights in values of 256 to a block.
const LARGE_BLOCK: u64 = 256;

/// Below so many parameters one table usually serves to read tokens and to write them.
const USUALLY_TIED: f64 = 3e9;

/// What is added to a label's average below [`USUALLY_TIED`] where the shape is unknown: 3 to 8 % are usual.
const SMALL_MODEL: f64 = 1.055;

/// Bytes of weights.
pub(super) struct Weights {
    /// The bytes.
    pub(super) bytes: f64,
    /// Whether that is a rule of thumb.
    pub(super) is_estimate: bool,
}

/// What a label means, in bits a weight.
struct Mixture {
    /// On average over a large model: Llama 3.1 8B, by llama.cpp's own table.
    average: f64,
    /// Of the vocabulary's table where it is tied.
    table: f64,
    /// Of rows that do not divide into large blocks; none for kinds that have none.
    fallback: Option<f64>,
}

fn mixture(quantization: Quantization) -> Mixture {
    const Q6_K: f64 = 6.5625;
    const Q8_0: f64 = 8.5;
    let blocks = |average, fallback| Mixture { average, table: Q6_K, fallback: Some(fallback) };
    let plain = |bits| Mixture { average: bits, table: bits, fallback: None };
    match quantization {
        Quantization::F32 => plain(32.0),
        Quantization::Bf16 | Quantization::F16 => plain(16.0),
        Quantization::Q8_0 => plain(Q8_0),
        Quantization::Q6K => blocks(6.56, Q8_0),
        Quantization::Q5KM => blocks(5.70, 6.0),
        Quantization::Q5KS => blocks(5.57, 6.0),
        Quantization::Q4_1 => blocks(5.10, 5.0),
        Quantization::Q4KM => blocks(4.89, 5.5),
        Quantization::Q4KS => blocks(4.67, 5.5),
        Quantization::Iq4Xs => blocks(4.46, 4.5),
        Quantization::Q3KL => blocks(4.30, 4.5),
        Quantization::Q3KS => blocks(3.64, 4.5),
        Quantization::Q2K => blocks(3.16, 4.5),
    }
}

/// Bytes of so many parameters, quantised as the label says, or else at `bits` a weight.
pub(super) fn weights(facts: &Facts<'_>, parameters: f64, label: Option<Quantization>, bits: f64) -> Weights {
    let exactly = |bits| Weights { bytes: weight_bytes(parameters, bits), is_estimate: false };
    let Some(label) = label else { return exactly(bits) };
    let Mixture { average, table, fallback } = mixture(label);
    let Some(fallback) = fallback else { return exactly(average) };
    let is_tied = facts.tied_embeddings.unwrap_or(parameters < USUALLY_TIED);
    let shape = facts.hidden_size.zip(facts.vocab_size);
    let vocabulary = shape.map(|(hidden, vocabulary)| hidden as f64 * vocabulary as f64);
    match (shape, vocabulary) {
        (Some((hidden, _)), Some(in_table)) if hidden > 0 && in_table < parameters => {
            let (body, table) =
                if hidden % LARGE_BLOCK == 0 { (average, table.max(average)) } else { (fallback, table.max(8.5)) };
            // The averages are of a model that is not tied, whose tables they have in them.
            let in_table = if is_tied { in_table } else { 0.0 };
            let bytes = weight_bytes(parameters - in_table, body) + weight_bytes(in_table, table);
            Weights { bytes, is_estimate: false }
        }
        _ => {
            let more = if parameters < USUALLY_TIED { SMALL_MODEL } else { 1.0 };
            Weights { bytes: weight_bytes(parameters, average * more), is_estimate: true }
        }
    }
}

/// Bytes of so many parameters at so many bits each.
pub(crate) fn weight_bytes(parameters: f64, bits_per_weight: f64) -> f64 {
    parameters * bits_per_weight / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the size of a file that was published, to so many percent.
    fn check(facts: &Facts<'_>, label: Quantization, file: f64, percent: f64) {
        let Weights { bytes, is_estimate } = weights(facts, facts.params_b.unwrap() * 1e9, Some(label), 16.0);
        assert!(!is_estimate, "{label:?}");
        let apart = (bytes / file - 1.0).abs() * 100.0;
        assert!(apart <= percent, "{label:?}: {bytes} is {apart:.1} % from {file}");
    }

    #[test]
    fn files_are_as_large_as_reckoned() {
        // The file that `catalog/weights.csv` names.
        let smollm2 = Facts {
            params_b: Some(0.134_515_008),
            hidden_size: Some(576),
            vocab_size: Some(49_152),
            ..Facts::default()
        };
        check(&smollm2, Quantization::Q4_1, 98_362_432.0, 2.0);
        let llama_3_1 = Facts {
            params_b: Some(8.030_261_248),
            hidden_size: Some(4096),
            vocab_size: Some(128_256),
            ..Facts::default()
        };
        // From llama.cpp's table of sizes, in GiB.
        for (label, gibibytes) in [
            (Quantization::Q2K, 2.95),
            (Quantization::Q3KS, 3.41),
            (Quantization::Q4KM, 4.58),
            (Quantization::Q5KM, 5.33),
            (Quantization::Q6K, 6.14),
            (Quantization::Q8_0, 7.95),
            (Quantization::F16, 14.96),
        ] {
            check(&llama_3_1, label, gibibytes * 1_073_741_824.0, 1.0);
        }
    }

    #[test]
    fn without_a_shape_it_is_a_rule_of_thumb() {
        let small = Facts { params_b: Some(1.0), ..Facts::default() };
        let found = weights(&small, 1e9, Some(Quantization::Q4KM), 16.0);
        assert!(found.is_estimate);
        assert!((found.bytes - 4.89 * 1.055 / 8.0 * 1e9).abs() < 1.0);
        let large = weights(&small, 7e9, Some(Quantization::Q4KM), 16.0);
        assert!((large.bytes - 4.89 / 8.0 * 7e9).abs() < 1.0);
        // A table larger than the model is a slip in the catalog.
        let absurd = Facts { hidden_size: Some(1 << 20), vocab_size: Some(1 << 20), ..small };
        assert!(weights(&absurd, 1e9, Some(Quantization::Q4KM), 16.0).is_estimate);
        assert!(!weights(&absurd, 1e9, None, 4.5).is_estimate);
    }
}
