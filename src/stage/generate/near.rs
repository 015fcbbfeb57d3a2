//! Looks through a suite for openings that lie close together: for each, the earliest before it that is close enough.
//!
//! Pure, and in whole numbers from end to end: the same on every machine, whatever is computed beside it. A vector is kept
//! as sixteen bits a number, 115 MB for 100,000 vectors of 576 numbers. Up to [`COMPARED`] vectors, each is compared with
//! every one before it. From there on, only with those that lie on the same side of nearly as many of 512 random planes (of
//! fixed seed) as two vectors just at the limit do: of such pairs fewer than 1 in 10,000 are missed, of closer ones next to
//! none, and nothing is found that is not there. That takes eight words for each pair instead of hundreds of products, also
//! where a model puts all texts into one narrow cone, which leaves buckets of planes nothing to tell apart. Start at
//! [`Search`].

use crate::data::Closeness;
use crate::engine::Embedding;

/// So many vectors are compared with every one before them.
const COMPARED: usize = 8192;

/// A vector's numbers are kept in parts of this: the square of its length, and so any dot product, fits 32 bits.
const UNIT: f32 = 16384.0;

/// Words of a vector's sides.
const WORDS: usize = 8;

/// Random planes: one a bit.
const PLANES: u32 = 512;

/// How many standard deviations further apart than is likely two vectors may seem and still be compared.
const DEVIATIONS: f64 = 5.0;

/// Two vectors of one model that do not have as many numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model gave one embedding of {first} numbers and one of {other}")]
pub struct UnlikeLengths {
    /// Numbers of the first vector.
    pub first: usize,
    /// Numbers of another.
    pub other: usize,
}

/// The vectors so far.
#[derive(Debug)]
pub(super) struct Search {
    above: f64,
    compared: usize,
    /// Numbers of each vector.
    length: usize,
    /// All vectors, one after the other.
    numbers: Vec<i16>,
    /// The square of each one's length.
    squares: Vec<i32>,
    sides: Option<Sides>,
}

impl Search {
    /// Looks for vectors whose cosine, to four places, is `above` or more.
    #[must_use]
    pub(super) fn new(above: f64) -> Self {
        Self::with_compared(above, COMPARED)
    }

    fn with_compared(above: f64, compared: usize) -> Self {
        Self { above, compared, length: 0, numbers: Vec::new(), squares: Vec::new(), sides: None }
    }

    /// Takes in the next vector; gives the number, from 0, of the earliest one before it that is close enough.
    ///
    /// # Errors
    /// It has not as many numbers as those before it.
    pub(super) fn add(&mut self, embedding: &Embedding) -> Result<Option<(usize, Closeness)>, UnlikeLengths> {
        if self.squares.is_empty() {
            self.length = embedding.values().len();
        }
        let vector = self.kept(embedding)?;
        if self.squares.len() == self.compared {
            let mut sides = Sides::new(self.length, self.above);
            self.numbers.chunks_exact(self.length).for_each(|vector| sides.all.push(sides.of(vector)));
            self.sides = Some(sides);
        }
        let own = self.sides.as_ref().map(|sides| sides.of(&vector));
        let found = self.nearest(&vector, own);
        if let (Some(sides), Some(own)) = (&mut self.sides, own) {
            sides.all.push(own);
        }
        self.squares.push(square(&vector));
        self.numbers.extend_from_slice(&vector);
        Ok(found)
    }

    /// Finds the earliest vector that is close enough to this one, and takes nothing in.
    ///
    /// # Errors
    /// It has not as many numbers as those before it.
    pub(super) fn find(&self, embedding: &Embedding) -> Result<Option<(usize, Closeness)>, UnlikeLengths> {
        if self.squares.is_empty() {
            return Ok(None);
        }
        let vector = self.kept(embedding)?;
        Ok(self.nearest(&vector, self.sides.as_ref().map(|sides| sides.of(&vector))))
    }

    /// A vector as it is kept.
    fn kept(&self, embedding: &Embedding) -> Result<Vec<i16>, UnlikeLengths> {
        let values = embedding.values();
        if values.len() != self.length {
            return Err(UnlikeLengths { first: self.length, other: values.len() });
        }
        #[expect(clippy::cast_possible_truncation, reason = "the numbers of a vector of length 1 are at most 1")]
        let vector = values.iter().map(|value| (value * UNIT).round() as i16).collect();
        Ok(vector)
    }

    fn nearest(&self, vector: &[i16], own: Option<Side>) -> Option<(usize, Closeness)> {
        let (mut places, square) = (0..self.squares.len(), square(vector));
        match (&self.sides, own) {
            (None, _) | (_, None) => places.find_map(|other| self.compare(other, vector, square)),
            (Some(sides), Some(own)) => {
                let is_near = |other: &usize| apart(&sides.all[*other], &own) <= sides.most;
                places.filter(is_near).find_map(|other| self.compare(other, vector, square))
            }
        }
    }

    fn compare(&self, other: usize, vector: &[i16], square: i32) -> Option<(usize, Closeness)> {
        let there = &self.numbers[other * self.length..][..self.length];
        // By the lengths of what is kept: a vector is at no distance from itself.
        let lengths = (f64::from(self.squares[other]) * f64::from(square)).sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "a cosine is at most 1")]
        let cosine = Closeness::new((f64::from(dot(there, vector)) / lengths * 10_000.0).round() as i16);
        (cosine.value() >= self.above).then_some((other, cosine))
    }
}

/// The square of a vector's length.
fn square(vector: &[i16]) -> i32 {
    dot(vector, vector).max(1)
}

fn dot(one: &[i16], other: &[i16]) -> i32 {
    one.iter().zip(other).map(|(one, other)| i32::from(*one) * i32::from(*other)).sum()
}

/// On which side of each plane a vector lies.
type Side = [u64; WORDS];

/// How many planes lie between two vectors.
fn apart(one: &Side, other: &Side) -> u32 {
    one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
}

/// On which sides all vectors lie.
#[derive(Debug)]
struct Sides {
    /// The planes, as vectors that stand on them.
    normals: Vec<Vec<i16>>,
    /// Most planes that may lie between two vectors which are compared.
    most: u32,
    all: Vec<Side>,
}

impl Sides {
    fn new(length: usize, above: f64) -> Self {
        let normals = (0..PLANES).map(|number| normal(number, length)).collect();
        Self { normals, most: most_apart(above), all: Vec::new() }
    }

    fn of(&self, vector: &[i16]) -> Side {
        let mut side = [0; WORDS];
        for (at, normal) in self.normals.iter().enumerate() {
            side[at / 64] |= u64::from(dot(normal, vector) > 0) << (at % 64);
        }
        side
    }
}

/// How many planes may lie between two vectors whose cosine is `above`, by all that is likely: a random plane lies between
/// them with the probability angle / π.
fn most_apart(above: f64) -> u32 {
    // What is rounded up to the limit counts as well.
    let between = libm::acos((above - 0.000_05).clamp(-1.0, 1.0)) / std::f64::consts::PI;
    let planes = f64::from(PLANES);
    let most = planes * between + DEVIATIONS * (planes * between * (1.0 - between)).sqrt();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and a thousand")]
    let most = most.ceil() as u32;
    most.min(PLANES)
}

/// A random direction, the same each time: each number is drawn nearly as from a normal distribution, as the number of
/// ones among 64 bits less its mean.
fn normal(number: u32, length: usize) -> Vec<i16> {
    let mut hasher = blake3::Hasher::new_derive_key("evalflow near-duplicate planes v1");
    hasher.update(&number.to_le_bytes());
    let mut bytes = vec![0; length * 8];
    hasher.finalize_xof().fill(&mut bytes);
    let (words, _) = bytes.as_chunks::<8>();
    let ones = |word: &[u8; 8]| u64::from_le_bytes(*word).count_ones();
    words.iter().map(|word| i16::try_from(ones(word)).expect("it is at most 64") - 32).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Usage;

    fn embedding(values: &[f32]) -> Embedding {
        Embedding::new(values, Usage::default(), 0).unwrap()
    }

    fn search(above: f64, compared: usize, vectors: &[Embedding]) -> Vec<Option<(usize, Closeness)>> {
        let mut search = Search::with_compared(above, compared);
        vectors.iter().map(|vector| search.add(vector).unwrap()).collect()
    }

    /// The plain definition, in other arithmetic.
    fn all_pairs(above: f64, vectors: &[Embedding]) -> Vec<Option<(usize, f64)>> {
        let earliest = |at: usize| {
            let cosines = vectors[..at].iter().map(|other| other.cosine(&vectors[at]));
            cosines.enumerate().find(|(_, cosine)| *cosine >= above)
        };
        (0..vectors.len()).map(earliest).collect()
    }

    /// Vectors of which some are close to some others: a few centres, each with company at a drawn distance.
    fn clustered(count: usize, length: usize, seed: u32) -> Vec<Embedding> {
        (0..count)
            .map(|at| {
                let number = u32::try_from(at).unwrap() + seed * 100_000;
                let (centre, noise) = (normal(number % 97, length), normal(number + 1000, length));
                let share = f32::from(u8::try_from(at * 7 % 60).unwrap()) / 100.0;
                let mixed = centre.iter().zip(noise).map(|(c, n)| f32::from(*c) + share * f32::from(n));
                let mut mixed: Vec<f32> = mixed.collect();
                if mixed.iter().all(|number| *number == 0.0) {
                    // What has no direction is near to nothing, itself included, and no model gives it.
                    mixed[0] = 1.0;
                }
                embedding(&mixed)
            })
            .collect()
    }

    #[test]
    fn the_earliest_that_is_close_enough_is_found() {
        let vectors =
            [[1.0, 0.0], [0.0, 1.0], [1.0, 0.005], [0.3, 1.0], [1.0, 0.0], [-1.0, 0.0]].map(|v| embedding(&v));
        let found = |above| search(above, 99, &vectors).into_iter().map(|f| f.map(|(at, _)| at)).collect::<Vec<_>>();
        assert_eq!(found(0.95), [None, None, Some(0), Some(1), Some(0), None]);
        assert_eq!(found(0.96), [None, None, Some(0), None, Some(0), None]);
        assert_eq!(found(1.0), [None, None, Some(0), None, Some(0), None], "to four places");
        let exact = search(0.99, 99, &vectors)[4].unwrap().1;
        assert_eq!(exact, Closeness::new(10_000), "a vector is at no distance from itself");
    }

    #[test]
    fn vectors_of_unlike_lengths_are_refused() {
        let mut search = Search::new(0.9);
        assert_eq!(search.add(&embedding(&[1.0, 0.0])), Ok(None));
        let error = search.add(&embedding(&[1.0])).unwrap_err();
        assert_eq!(error.to_string(), "the model gave one embedding of 2 numbers and one of 1");
    }

    #[test]
    fn more_planes_may_lie_between_where_the_limit_is_lower() {
        let check = |above, expected: u32| assert_eq!(most_apart(above), expected, "{above}");
        check(1.0, 9);
        check(0.99, 47);
        check(0.95, 86);
        check(0.9, 114);
        check(0.5, 225);
    }

    #[test]
    fn candidates_miss_next_to_nothing_and_make_nothing_up() {
        let vectors = clustered(900, 48, 1);
        for above in [0.8, 0.9, 0.97] {
            let (all, candidates) = (search(above, usize::MAX, &vectors), search(above, 300, &vectors));
            assert_eq!(all[..300], candidates[..300]);
            let missed = all.iter().zip(&candidates).filter(|(all, candidate)| all != candidate).count();
            assert!(all.iter().flatten().count() > 30 && missed == 0, "{above}: {missed}");
        }
    }

    /// Golden: what is found must not change between versions, or tables would.
    #[test]
    fn planes_are_the_same_each_time() {
        assert_eq!(normal(0, 6), normal(0, 600)[..6]);
        assert_eq!(normal(7, 8), [13, 2, 1, 4, -7, 4, -1, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_search_is_that_of_all_pairs(
            count in 1_usize..60, length in 2_usize..40, seed in 0_u32..1000, above in 0.5_f64..0.999,
        ) {
            let vectors = clustered(count, length, seed);
            let found = search(above, 8192, &vectors);
            for (at, (found, expected)) in found.iter().zip(all_pairs(above, &vectors)).enumerate() {
                // Both round; where they do at the limit itself, either is right.
                let near_limit = |at: usize, to: usize| (vectors[at].cosine(&vectors[to]) - above).abs() < 3e-4;
                match (found, expected) {
                    (Some((one, cosine)), Some((other, expected))) if *one == other => {
                        prop_assert!((cosine.value() - expected).abs() < 3e-4, "{cosine:?} {expected}");
                    }
                    (None, None) => {}
                    (one, other) => {
                        let places = one.map(|(place, _)| place).into_iter().chain(other.map(|(place, _)| place));
                        let first = places.min().expect("one of them found something");
                        prop_assert!(near_limit(at, first), "{at}: {one:?} {other:?}");
                    }
                }
            }
        }
    }
}
