//! Looks through a suite for openings that share most of their shingles, runs of four characters, with an earlier one: copies
//! in which a word or two differ, found without a model.
//!
//! The share is exact: shingles in common, of all that either has. Which earlier texts it is computed for is decided by
//! MinHash: 128 least hashes of a text's shingles, taken together in bands; texts that agree in a band are compared. How many
//! make a band follows from the limit, so that of pairs at the limit fewer than 1 in 500 are missed, of closer ones next to
//! none, and nothing is found that is not there. A text takes about 1 KB: its bands, and four bytes a shingle. The same on
//! every machine. Start at [`Shingled`].

use crate::data::Closeness;

/// Characters of a shingle: fewer, and short texts share most of them by chance; more, and one changed letter counts as much
/// as a changed word.
const LENGTH: usize = 4;

/// Least hashes of a text.
const HASHES: usize = 128;

/// Largest share of pairs at the limit that may be missed.
const MISSED: f64 = 0.002;

/// So many earlier texts that agree in a band are compared with one text, the earliest first: where a suite is one form
/// filled in, they are all that come before.
const MOST_COMPARED: usize = 512;

/// No text.
const NONE: u32 = u32::MAX;

/// The texts so far.
#[derive(Debug)]
pub(super) struct Shingled {
    above: f64,
    hashes: Hashes,
    /// How many hashes make a band.
    rows: usize,
    /// Of each band, the texts by what they have in it.
    bands: Vec<Band>,
    /// Where the shingles of each text end in `shingles`.
    ends: Vec<usize>,
    shingles: Vec<u32>,
}

impl Shingled {
    /// Looks for texts of whose shingles a share of `above` or more, to four places, is common.
    pub(super) fn new(above: f64) -> Self {
        let rows = rows_for(above);
        let bands = (0..HASHES / rows).map(|_| Band::default()).collect();
        Self { above, hashes: Hashes::new(), rows, bands, ends: Vec::new(), shingles: Vec::new() }
    }

    /// Takes in the next text; gives the number, from 0, of the earliest one before it that is close enough.
    pub(super) fn add(&mut self, text: Shingles) -> Option<(usize, Closeness)> {
        let found = self.find(&text);
        for (band, key) in self.bands.iter_mut().zip(text.keys) {
            band.insert(key);
        }
        self.shingles.extend(text.own);
        self.ends.push(self.shingles.len());
        found
    }

    /// Makes a text ready to be looked for, in this search or in another with the same limit.
    pub(super) fn prepare(&self, text: &str) -> Shingles {
        let own = shingles(text);
        let key = |band: &[u32]| high(band.iter().fold(0, |key, hash| mix(key ^ u64::from(*hash))));
        let keys = self.hashes.least(&own).chunks_exact(self.rows).map(key).collect();
        Shingles { own, keys }
    }

    /// Finds the earliest text that is close enough to this one, and takes nothing in.
    pub(super) fn find(&self, Shingles { own, keys }: &Shingles) -> Option<(usize, Closeness)> {
        self.nearest(own, keys)
    }

    fn nearest(&self, own: &[u32], keys: &[u32]) -> Option<(usize, Closeness)> {
        let mut candidates: Vec<u32> = self.bands.iter().zip(keys).flat_map(|(band, key)| band.with(*key)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().take(MOST_COMPARED).find_map(|at| {
            let at = at as usize;
            let start = if at == 0 { 0 } else { self.ends[at - 1] };
            let closeness = overlap(own, &self.shingles[start..self.ends[at]]);
            (closeness.value() >= self.above).then_some((at, closeness))
        })
    }
}

/// What a text is compared by.
#[derive(Debug)]
pub(super) struct Shingles {
    own: Vec<u32>,
    /// What it has in each band.
    keys: Vec<u32>,
}

/// How many hashes make a band where pairs from `above` on are looked for: as many as miss few enough of them.
fn rows_for(above: f64) -> usize {
    let misses = |rows: usize| {
        let agree = (0..rows).fold(1.0, |product, _| product * above);
        (0..HASHES / rows).fold(1.0, |product, _| product * (1.0 - agree))
    };
    [8, 5, 4, 3, 2, 1].into_iter().find(|rows| misses(*rows) <= MISSED).unwrap_or(1)
}

/// The hashes of a text's shingles, in order, each once. Of a text only letters and digits count, in lower case, and where
/// words begin and end; a text without any counts by its characters.
fn shingles(text: &str) -> Vec<u32> {
    let mut plain = vec![' '];
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() {
            plain.push(letter);
        } else if plain.last() != Some(&' ') {
            plain.push(' ');
        }
    }
    if plain.last() != Some(&' ') {
        plain.push(' ');
    }
    if plain.len() == 1 {
        plain.extend(text.chars());
    }
    let hash = |run: &[char]| high(run.iter().fold(0, |hash, letter| mix(hash ^ u64::from(u32::from(*letter)))));
    let mut all: Vec<u32> =
        if plain.len() < LENGTH { vec![hash(&plain)] } else { plain.windows(LENGTH).map(hash).collect() };
    all.sort_unstable();
    all.dedup();
    all
}

/// Of the numbers in either of two ordered lists, the share that is in both.
fn overlap(one: &[u32], other: &[u32]) -> Closeness {
    let (mut at, mut to, mut common) = (0, 0, 0_usize);
    while at < one.len() && to < other.len() {
        common += usize::from(one[at] == other[to]);
        let (left, right) = (one[at], other[to]);
        at += usize::from(left <= right);
        to += usize::from(right <= left);
    }
    let all = one.len() + other.len() - common;
    let share = (common * 10_000 + all / 2) / all.max(1);
    Closeness::new(i16::try_from(share).expect("a share is at most 10,000"))
}

/// Spreads every bit over all others.
fn mix(number: u64) -> u64 {
    let mut number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn high(number: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Hash functions, the same each time.
#[derive(Debug)]
struct Hashes(Vec<(u64, u64)>);

impl Hashes {
    fn new() -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("evalflow shingle hashes v1").finalize_xof();
        let mut next = || {
            let mut bytes = [0; 8];
            hasher.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        };
        Self((0..HASHES).map(|_| (next() | 1, next())).collect())
    }

    /// Of each function, the least value of all shingles.
    fn least(&self, shingles: &[u32]) -> [u32; HASHES] {
        let mut least = [u32::MAX; HASHES];
        for shingle in shingles {
            for (least, (factor, summand)) in least.iter_mut().zip(&self.0) {
                *least = (*least).min(high(factor.wrapping_mul(u64::from(*shingle)).wrapping_add(*summand)));
            }
        }
        least
    }
}

/// The texts by what they have in one band: a table of chains, since a map of lists takes ten times the room.
#[derive(Debug, Default)]
struct Band {
    /// The latest text of each chain.
    heads: Vec<u32>,
    /// Of each text, its key and the one before it in its chain.
    texts: Vec<(u32, u32)>,
}

impl Band {
    fn slot(&self, key: u32) -> usize {
        // The number of chains is a power of two.
        key as usize & (self.heads.len() - 1)
    }

    fn insert(&mut self, key: u32) {
        if self.texts.len() >= self.heads.len() {
            let keys: Vec<u32> = self.texts.iter().map(|(key, _)| *key).collect();
            self.heads = vec![NONE; (self.heads.len() * 2).max(64)];
            self.texts.clear();
            keys.into_iter().for_each(|key| self.push(key));
        }
        self.push(key);
    }

    fn push(&mut self, key: u32) {
        let slot = self.slot(key);
        let text = u32::try_from(self.texts.len()).expect("a suite has at most a few million scenarios");
        self.texts.push((key, std::mem::replace(&mut self.heads[slot], text)));
    }

    /// The texts that have a key, the latest first.
    fn with(&self, key: u32) -> impl Iterator<Item = u32> + '_ {
        let first = if self.heads.is_empty() { NONE } else { self.heads[self.slot(key)] };
        let chain = std::iter::successors((first != NONE).then_some(first), |text| {
            Some(self.texts[*text as usize].1).filter(|before| *before != NONE)
        });
        chain.filter(move |text| self.texts[*text as usize].0 == key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closeness(one: &str, other: &str) -> f64 {
        overlap(&shingles(one), &shingles(other)).value()
    }

    #[test]
    fn copies_lie_close_and_others_do_not() {
        let check = |one: &str, other: &str, from: f64, to: f64| {
            let found = closeness(one, other);
            assert!((from..=to).contains(&found), "{found}: {one} / {other}");
        };
        check("I can't sleep, not tonight!", "i can t SLEEP not tonight", 1.0, 1.0);
        check("My boss yelled at me in front of everybody.", "My boss yelled at me in front of everyone.", 0.7, 0.9);
        check(
            "I have been awake since three, as every night of this week.",
            "I've been awake since three, as every night this week, again.",
            0.6,
            0.9,
        );
        check("My boss yelled at me in front of everybody.", "My boss praised me in front of everybody.", 0.5, 0.7);
        check("I cannot sleep", "What does rain mean?", 0.0, 0.05);
        check("眠れない夜が続いています", "眠れない夜が続いていて", 0.5, 0.9);
        check("?!", "?!", 1.0, 1.0);
        check("?!", "!?", 0.0, 0.3);
    }

    #[test]
    fn the_earliest_that_is_close_enough_is_found() {
        let mut texts = Shingled::new(0.7);
        let found: Vec<_> = ["one two three four", "five six seven", "One two three, four!", "one two three four five"]
            .map(|text| {
                {
                    let text = texts.prepare(text);
                    texts.add(text)
                }
                .map(|(at, _)| at)
            })
            .to_vec();
        assert_eq!(found, [None, None, Some(0), Some(0)]);
        assert_eq!(texts.find(&texts.prepare("FIVE SIX SEVEN")), Some((1, Closeness::new(10_000))));
        assert_eq!(texts.ends.len(), 4, "what is looked for is not taken in");
    }

    #[test]
    fn bands_are_as_long_as_the_limit_allows() {
        for (above, expected) in [(0.95, 8), (0.9, 8), (0.8, 5), (0.7, 4), (0.5, 2), (0.3, 1), (0.05, 1)] {
            assert_eq!(rows_for(above), expected, "{above}");
        }
    }

    /// Golden: what is found must not change between versions, or tables would.
    #[test]
    fn hashes_are_the_same_each_time() {
        assert_eq!(shingles("ab"), shingles("AB."));
        let least = Hashes::new().least(&shingles("awake again"));
        assert_eq!(least[..3], [80_798_740, 176_327_076, 447_932_493]);
    }

    /// A text of words, of which a drawn share is replaced.
    fn text(seed: u64, changed: u64) -> String {
        let word = |at: u64| {
            let own = mix(at.wrapping_mul(77) ^ changed);
            let from = if own % 10 < changed % 7 { own } else { mix(seed ^ (at << 32)) };
            format!("{:x}", from % 4_000_000)
        };
        (0..14).map(word).collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn the_search_is_that_of_all_pairs_but_for_few(seed in 0..1000_u64, above in 0.3_f64..0.95) {
            let texts: Vec<String> = (0..60).map(|at| text(seed * 1000 + at % 6, at)).collect();
            let mut index = Shingled::new(above);
            let mut missed = 0;
            for (at, one) in texts.iter().enumerate() {
                let expected = (0..at).find(|other| closeness(one, &texts[*other]) >= above);
                let found = {
                    let text = index.prepare(one);
                    index.add(text)
                }.map(|(at, _)| at);
                if let Some(found) = found {
                    prop_assert!(closeness(one, &texts[found]) >= above, "nothing is made up");
                }
                missed += usize::from(found != expected);
            }
            prop_assert!(missed <= 3, "{missed} of {}", texts.len());
        }
    }
}
