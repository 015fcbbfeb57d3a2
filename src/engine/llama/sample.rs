//! Choosing the next token from the model's logits.

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use llguidance::toktrie::SimpleVob;

use crate::engine::Sampling;

/// Logits that are passed over together where none of them is the highest so far.
const STRETCH: usize = 1024;

/// Chooses tokens for one reply.
pub(super) enum Sampler {
    Greedy,
    Seeded(LlamaSampler),
}

impl Sampler {
    /// Starts anew: two samplers with the same arguments draw the same.
    pub(super) fn new(sampling: Sampling, repetition: u32) -> Self {
        match sampling {
            Sampling::Greedy => Self::Greedy,
            Sampling::Seeded { temperature, top_p, seed } => Self::Seeded(LlamaSampler::chain(
                [
                    LlamaSampler::top_p(narrow(top_p), 1),
                    LlamaSampler::temp(narrow(temperature)),
                    LlamaSampler::dist(mix(seed, repetition)),
                ],
                true,
            )),
        }
    }

    /// The next token, among the allowed ones; none if no logit is a number.
    pub(super) fn choose(&mut self, logits: &[f32], allowed: Option<&SimpleVob>) -> Option<LlamaToken> {
        match self {
            Self::Greedy => match allowed {
                None => best(logits),
                Some(allowed) => best_allowed(logits, allowed),
            },
            Self::Seeded(chain) => {
                let data = candidates(logits)
                    .filter(|(id, _)| allowed.is_none_or(|allowed| allowed.is_allowed(id.cast_unsigned())))
                    .map(|(id, logit)| LlamaTokenData::new(LlamaToken::new(id), logit, 0.0));
                let mut candidates = LlamaTokenDataArray::from_iter(data, false);
                candidates.apply_sampler(chain);
                candidates.selected_token()
            }
        }
    }
}

/// Tokens with their logits, those left out whose logit is no number.
fn candidates(logits: &[f32]) -> impl Iterator<Item = (i32, f32)> {
    (0_i32..).zip(logits.iter().copied()).filter(|(_, logit)| logit.is_finite())
}

/// The token with the highest logit: the first of equals, whatever their number.
fn best(logits: &[f32]) -> Option<LlamaToken> {
    let mut highest = f32::NEG_INFINITY;
    let mut place = 0;
    // A vocabulary has a hundred thousand tokens, and all lanes wait while one is chosen: most stretches are passed over
    // for their highest logit, which the processor finds many at a time.
    for (stretch, logits) in logits.chunks(STRETCH).enumerate() {
        let mut lanes = [f32::NEG_INFINITY; 16];
        for logits in logits.chunks(lanes.len()) {
            for (lane, logit) in lanes.iter_mut().zip(logits) {
                // What is not a number is higher than nothing.
                *lane = if *logit > *lane { *logit } else { *lane };
            }
        }
        let most = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
        if most > highest {
            (highest, place) = (most, stretch * STRETCH);
        }
    }
    if highest == f32::INFINITY {
        return first_highest(candidates(logits));
    }
    let within = logits.get(place..)?.iter().position(|logit| *logit >= highest && logit.is_finite())?;
    i32::try_from(place + within).ok().map(LlamaToken::new)
}

/// The same among the allowed ones, which are often few.
fn best_allowed(logits: &[f32], allowed: &SimpleVob) -> Option<LlamaToken> {
    let allowed = allowed.as_slice().iter().zip(logits.chunks(32)).zip((0_i32..).step_by(32));
    first_highest(allowed.filter(|((word, _), _)| **word != 0).flat_map(|((word, logits), first)| {
        candidates(logits).filter(move |(bit, _)| word >> bit & 1 == 1).map(move |(bit, logit)| (first + bit, logit))
    }))
}

fn first_highest(candidates: impl Iterator<Item = (i32, f32)>) -> Option<LlamaToken> {
    candidates.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(id, _)| LlamaToken::new(id))
}

#[expect(clippy::cast_possible_truncation, reason = "llama.cpp computes in single precision")]
fn narrow(number: f64) -> f32 {
    number as f32
}

/// Makes llama.cpp's 32 bits of seed from all 64 of ours, so that seeds that differ in their upper half differ.
pub(super) fn mix(seed: u64, repetition: u32) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&repetition.to_le_bytes());
    let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
    // The largest number means "draw a seed from the system" to llama.cpp.
    u32::from_le_bytes([a, b, c, d]).min(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEEDED: Sampling = Sampling::Seeded { temperature: 1.0, top_p: 1.0, seed: 7 };

    fn draws(sampling: Sampling, logits: &[f32]) -> Vec<i32> {
        let mut sampler = Sampler::new(sampling, 0);
        (0..20).map(|_| sampler.choose(logits, None).unwrap().0).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_best() {
        let mut greedy = Sampler::new(Sampling::Greedy, 0);
        let mut check = |logits: &[f32], expected: Option<i32>| {
            assert_eq!(greedy.choose(logits, None).map(|token| token.0), expected, "{logits:?}");
        };
        check(&[0.0, 2.0, 2.0, -1.0], Some(1));
        check(&[f32::NAN, -3.0, f32::NEG_INFINITY], Some(1));
        check(&[f32::NAN, f32::NEG_INFINITY], None);
        check(&[], None);
        check(&[1.0, f32::INFINITY, 3.0, f32::NAN, 3.0], Some(2));
    }

    proptest! {
        #[test]
        fn the_quick_ways_find_what_the_plain_one_finds(
            logits in proptest::collection::vec(
                prop_oneof![
                    20 => (-9_i8..9).prop_map(f32::from),
                    1 => Just(f32::NAN), 1 => Just(f32::INFINITY), 1 => Just(f32::NEG_INFINITY),
                ],
                0..3 * STRETCH,
            ),
            raised in 0_usize..3 * STRETCH,
            some in proptest::collection::vec(any::<bool>(), 3 * STRETCH),
        ) {
            let mut logits = logits;
            if let Some(logit) = logits.get_mut(raised) {
                *logit = 9.5;
            }
            let plain = |allowed: &dyn Fn(usize) -> bool| {
                let mut best: Option<(usize, f32)> = None;
                for (at, logit) in logits.iter().enumerate().filter(|(at, logit)| logit.is_finite() && allowed(*at)) {
                    if best.is_none_or(|(_, highest)| *logit > highest) {
                        best = Some((at, *logit));
                    }
                }
                best.map(|(at, _)| LlamaToken::new(i32::try_from(at).unwrap()))
            };
            let mut greedy = Sampler::new(Sampling::Greedy, 0);
            prop_assert_eq!(greedy.choose(&logits, None), plain(&|_| true));
            let allowed = SimpleVob::from_slice(&some[..logits.len()]);
            prop_assert_eq!(greedy.choose(&logits, Some(&allowed)), plain(&|at| some[at]));
        }
    }

    #[test]
    fn draws_follow_seed_temperature_and_top_p() {
        let logits = [1.0, 2.0, 1.5, 0.5];
        assert_eq!(draws(SEEDED, &logits), draws(SEEDED, &logits));
        let other = Sampling::Seeded { temperature: 1.0, top_p: 1.0, seed: 8 };
        assert_ne!(draws(SEEDED, &logits), draws(other, &logits));
        let narrow = Sampling::Seeded { temperature: 1.0, top_p: 0.1, seed: 7 };
        assert_eq!(draws(narrow, &logits), [1; 20]);
        let cold = Sampling::Seeded { temperature: 0.001, top_p: 1.0, seed: 7 };
        assert_eq!(draws(cold, &logits), [1; 20]);
        assert_eq!(Sampler::new(SEEDED, 0).choose(&[f32::NAN], None), None);
    }

    #[test]
    fn only_allowed_tokens_are_chosen() {
        let mut allowed = SimpleVob::alloc(4);
        allowed.allow_token(0);
        allowed.allow_token(3);
        let logits = [1.0, 9.0, 9.0, 2.0];
        assert_eq!(Sampler::new(Sampling::Greedy, 0).choose(&logits, Some(&allowed)), Some(LlamaToken::new(3)));
        let mut seeded = Sampler::new(SEEDED, 0);
        for _ in 0..20 {
            assert!([0, 3].contains(&seeded.choose(&logits, Some(&allowed)).unwrap().0));
        }
        assert_eq!(seeded.choose(&logits, Some(&SimpleVob::alloc(4))), None);
    }

    #[test]
    fn all_of_the_seed_counts() {
        let seeds = [mix(0, 0), mix(1, 0), mix(1 << 32, 0), mix(0, 1)];
        let distinct: std::collections::BTreeSet<u32> = seeds.into_iter().collect();
        assert_eq!(distinct.len(), seeds.len());
        assert_eq!(mix(1, 2), mix(1, 2));
    }
}
