//! Taking rows over from an earlier result of the same stage.
//!
//! A row's lines are a pure function of the row, of what the stage's recipe says besides the table it takes, and of the
//! replies to its calls. So where an earlier result differs in that table alone, a row that comes again byte for byte
//! needs no prompt, no key, no look-up and no reading of replies: its lines and calls are copied. Whatever is not found,
//! was flawed, or cannot be read goes the ordinary way, which comes to the same bytes. Start at [`find`] and
//! [`Earlier::sort`].

mod share;

pub(super) use share::{Cost, Share, State};

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Run;
use super::StageFailure;
use crate::ids::StageId;
use crate::key::BlobId;
use crate::plan::{Settled, pipeline_name};
use crate::stage;
use crate::store::{self, BlobReader, Lines, Store, StoreError, Tally};

/// Rows of the earlier table that are looked at ahead, and as many behind, where the two tables part: runs of rows that
/// were put in, taken out or moved are found again within them. Of each a digest is held, so this bounds memory.
const AHEAD: u64 = 16_384;

/// A row as it comes, or rows that need no more work.
pub(super) enum Given {
    /// It goes the ordinary way.
    Row(String),
    /// One or more rows, one after the other.
    Taken(Taken),
}

/// Rows as the earlier result has them.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What each came to.
    pub(super) shares: Vec<Share>,
    /// Their lines, each with its newline.
    pub(super) text: Vec<u8>,
    /// The keys of the calls they rest on.
    pub(super) calls: Vec<u8>,
    /// What their calls count for.
    pub(super) tally: Tally,
}

/// An earlier result, read along with the table that is taken now.
pub(super) struct Earlier {
    rows: Lines,
    shares: BlobReader,
    output: BlobReader,
    calls: Option<BlobReader>,
    /// How many rows the earlier table has, and the one that is taken now.
    totals: (u64, Option<u64>),
    /// The first earlier row that was not read yet.
    unread: Place,
    /// The earlier row that should come next.
    expected: u64,
    /// Rows that came so far.
    came: u64,
    /// Rows that were not found, since one was.
    missed: u64,
    /// Earlier rows that were read and have not come yet.
    waiting: BTreeMap<u64, Waiting>,
    by_digest: BTreeSet<(BlobId, u64)>,
    /// Whether it turned out that it cannot be read.
    given_up: bool,
    /// Normally [`AHEAD`].
    ahead: u64,
}

/// Where an earlier row is, and where what it came to begins.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    row: u64,
    output: u64,
    calls: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    digest: BlobId,
    place: Place,
    share: Share,
}

/// The earlier result that most rows can be taken from, if there is one whose bytes are all there. `rows` is how many the
/// table has that is taken now, where that is known.
pub(super) fn find(
    run: &Run<'_>,
    id: &StageId,
    settled: &Settled<'_>,
    rows: Option<u64>,
) -> Result<Option<Earlier>, StageFailure> {
    let stage = &run.pipeline.stages[id];
    let wanted = stage::rest_of_recipe(run.pipeline, stage, settled).map_err(|e| StageFailure::from_input(id, e))?;
    let Some(wanted) = wanted else { return Ok(None) };
    let alike = |earlier: store::Earlier| {
        let (rest, table) = stage::apart_from_table(stage, earlier.recipe.clone())?;
        (rest == wanted).then_some((earlier, table))
    };
    let found: Vec<_> = run.store.earlier(&pipeline_name(run.pipeline), id)?.into_iter().filter_map(alike).collect();
    for (earlier, table) in in_order(found, rows, |(earlier, _)| earlier.taken) {
        match Earlier::open(run.store, &earlier, &table, rows) {
            Ok(opened) => return Ok(Some(opened)),
            Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The newest first of those that have about as many of the rows as any, so that a run of a few rows does not stand
/// before one of all; then the others.
fn in_order<T>(found: Vec<T>, rows: Option<u64>, taken: impl Fn(&T) -> u64) -> Vec<T> {
    let useful = |result: &T| taken(result).min(rows.unwrap_or(u64::MAX));
    let most = found.iter().map(useful).max().unwrap_or_default();
    let (mut first, others): (Vec<T>, Vec<T>) = found.into_iter().partition(|result| useful(result) >= most / 4 * 3);
    first.extend(others);
    first
}

impl Earlier {
    /// Opens what is needed of an earlier result, all of it verified.
    fn open(store: &Store, earlier: &store::Earlier, table: &BlobId, rows: Option<u64>) -> Result<Self, StoreError> {
        Ok(Self {
            rows: store.lines(table)?,
            shares: store.bytes(&earlier.shares)?,
            output: store.bytes(&earlier.receipt.output)?,
            calls: earlier.receipt.calls.as_ref().map(|calls| store.bytes(calls)).transpose()?,
            totals: (earlier.taken, rows),
            unread: Place::default(),
            expected: 0,
            came: 0,
            missed: 0,
            waiting: BTreeMap::new(),
            by_digest: BTreeSet::new(),
            ahead: AHEAD,
            given_up: false,
        })
    }

    /// Finds each of these rows in the earlier result, and takes over what it came to.
    pub(super) fn sort(&mut self, lines: Vec<String>) -> Vec<Given> {
        let mut given = Vec::new();
        for line in lines {
            let taken = if let Some(Given::Taken(last)) = given.last_mut() {
                self.take(&line, last)
            } else {
                let mut taken = Taken::default();
                let is_taken = self.take(&line, &mut taken);
                if is_taken.as_ref().is_ok_and(|taken| *taken) {
                    given.push(Given::Taken(taken));
                }
                is_taken
            };
            let taken = taken.unwrap_or_else(|error| {
                // What is copied so far is right: it was verified. The rest is made again.
                tracing::warn!(%error, "an earlier result cannot be read to its end; nothing more is taken from it");
                self.given_up = true;
                false
            });
            if !taken {
                given.push(Given::Row(line));
            }
        }
        given
    }

    /// Takes a row over into `to` if the earlier result has it. Where it fails, `to` is as it was.
    fn take(&mut self, line: &str, to: &mut Taken) -> io::Result<bool> {
        if self.given_up {
            return Ok(false);
        }
        let found = self.look_for(line)?;
        self.came += 1;
        let Some((place, share)) = found.filter(|(_, share)| share.state != State::Failed) else { return Ok(false) };
        let (text, calls) = (to.text.len(), to.calls.len());
        let read = self.output.read_at(place.output, share.bytes, &mut to.text).and_then(|()| match &mut self.calls {
            Some(list) => list.read_at(place.calls * 32, share.calls * 32, &mut to.calls),
            None if share.calls == 0 => Ok(()),
            None => Err(io::ErrorKind::InvalidData.into()),
        });
        if let Err(error) = read {
            to.text.truncate(text);
            to.calls.truncate(calls);
            return Err(error);
        }
        share.count(&mut to.tally);
        to.shares.push(share);
        Ok(true)
    }

    fn look_for(&mut self, line: &str) -> io::Result<Option<(Place, Share)>> {
        // While both tables go along with each other nothing needs a digest.
        if self.waiting.is_empty() && self.expected == self.unread.row {
            match self.read()? {
                Some((old, place, share)) if old == line => {
                    self.found(place.row);
                    return Ok(Some((place, share)));
                }
                Some((old, place, share)) => self.wait(&old, place, share),
                None => {}
            }
        }
        let digest = BlobId::of(line.as_bytes());
        if let Some(next) = self.waiting.get(&self.expected)
            && next.digest == digest
        {
            return Ok(self.take_waiting(self.expected));
        }
        self.look_ahead()?;
        let ahead = self.by_digest.range((digest, self.expected)..=(digest, u64::MAX)).next();
        let row = ahead.or_else(|| self.by_digest.range((digest, 0)..=(digest, u64::MAX)).next_back());
        match row.copied() {
            Some((_, row)) => Ok(self.take_waiting(row)),
            None => {
                self.missed();
                Ok(None)
            }
        }
    }

    fn take_waiting(&mut self, row: u64) -> Option<(Place, Share)> {
        let Waiting { digest, place, share } = self.waiting.remove(&row)?;
        self.by_digest.remove(&(digest, row));
        self.found(row);
        Some((place, share))
    }

    fn found(&mut self, row: u64) {
        self.missed = 0;
        self.expected = row + 1;
        self.forget();
    }

    /// After many rows that were not found, goes on to where the row should be if what is left of both tables is the same.
    fn missed(&mut self) {
        self.missed += 1;
        let (earlier, Some(now)) = self.totals else { return };
        if self.missed > self.ahead {
            let left = now.saturating_sub(self.came);
            self.expected = self.expected.max(earlier.saturating_sub(left).saturating_sub(self.ahead / 2));
            self.forget();
        }
    }

    /// Forgets rows that lie far behind.
    fn forget(&mut self) {
        while let Some((&row, waiting)) = self.waiting.first_key_value()
            && row + self.ahead < self.expected
        {
            self.by_digest.remove(&(waiting.digest, row));
            self.waiting.remove(&row);
        }
    }

    fn look_ahead(&mut self) -> io::Result<()> {
        while self.unread.row < self.expected + self.ahead
            && let Some((old, place, share)) = self.read()?
        {
            if place.row + self.ahead >= self.expected {
                self.wait(&old, place, share);
            }
        }
        Ok(())
    }

    fn wait(&mut self, old: &str, place: Place, share: Share) {
        let digest = BlobId::of(old.as_bytes());
        self.waiting.insert(place.row, Waiting { digest, place, share });
        self.by_digest.insert((digest, place.row));
    }

    /// The next earlier row and what it came to.
    fn read(&mut self) -> io::Result<Option<(String, Place, Share)>> {
        let Some(line) = self.rows.next().transpose()? else { return Ok(None) };
        let share = Share::read(&mut self.shares)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let place = self.unread;
        self.unread =
            Place { row: place.row + 1, output: place.output + share.bytes, calls: place.calls + share.calls };
        Ok(Some((line, place, share)))
    }
}

#[cfg(test)]
mod tests;
