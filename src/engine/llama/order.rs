//! Which waiting request comes next, and in which lane: plain arithmetic on what is shared.
//!
//! Requests that begin alike should run next to each other, so that the beginning is computed once; what somebody
//! waiting can still use should be overwritten last; long replies should not be left to the end, where they would run
//! alone; and nobody should wait for ever.

/// How often a request may be passed over before it is served whatever it shares.
pub(super) const PATIENCE: u32 = 256;

/// A waiting request, as far as its turn depends on it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// How many tokens each lane has of its prompt.
    pub(super) shared: Vec<usize>,
    /// Most tokens it generates.
    pub(super) max_tokens: u32,
    /// How often another one was served that came later.
    pub(super) passed_over: u32,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// The place among the candidates.
    pub(super) candidate: usize,
    /// The free lane it gets.
    pub(super) lane: usize,
    /// The lane that has most of its prompt; may be the same.
    pub(super) source: usize,
}

/// Picks among candidates in the order in which they came; `free` are the lanes to be had. None if there is no
/// candidate or no lane.
pub(super) fn next(candidates: &[Candidate], free: &[usize]) -> Option<Turn> {
    let best = |candidate: &Candidate| candidate.shared.iter().copied().max().unwrap_or(0);
    let oldest = candidates.first()?;
    let place = if oldest.passed_over >= PATIENCE {
        0
    } else {
        let value = |candidate: &Candidate| (best(candidate), candidate.max_tokens);
        // The first of equals.
        (0..candidates.len()).rev().max_by_key(|place| value(&candidates[*place]))?
    };
    let chosen = &candidates[place];
    let others = || (0..).zip(candidates).filter(|(other, _)| *other != place).map(|(_, candidate)| candidate);
    // What is lost with a lane: what somebody else has there and nowhere else.
    let loss = |lane: usize| {
        let lost = |other: &Candidate| {
            let elsewhere =
                other.shared.iter().enumerate().filter(|(place, _)| *place != lane).map(|(_, shared)| *shared);
            other.shared[lane].saturating_sub(elsewhere.max().unwrap_or(0))
        };
        others().map(lost).max().unwrap_or(0)
    };
    let most = best(chosen);
    let is_source = |lane: usize| most > 0 && chosen.shared[lane] == most;
    // Without a copy where nothing is lost by it; else the lowest lane, so that those in use stay close together.
    let lane = free.iter().copied().min_by_key(|lane| (loss(*lane), !is_source(*lane), *lane))?;
    let source = if is_source(lane) { lane } else { chosen.shared.iter().position(|shared| *shared == most)? };
    Some(Turn { candidate: place, lane, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(shared: &[usize], max_tokens: u32) -> Candidate {
        Candidate { shared: shared.to_vec(), max_tokens, passed_over: 0 }
    }

    fn check(candidates: &[Candidate], free: &[usize], expected: Option<(usize, usize, usize)>) {
        let turn = next(candidates, free).map(|Turn { candidate, lane, source }| (candidate, lane, source));
        assert_eq!(turn, expected);
    }

    #[test]
    fn the_first_comes_first_among_equals() {
        check(&[], &[0, 1], None);
        check(&[candidate(&[0, 0], 5)], &[], None);
        check(&[candidate(&[0, 0], 5), candidate(&[0, 0], 5)], &[0, 1], Some((0, 0, 0)));
        check(&[candidate(&[0, 0], 5), candidate(&[0, 0], 9)], &[1], Some((1, 1, 0)));
    }

    #[test]
    fn what_shares_most_comes_first_unless_somebody_waited_too_long() {
        let waiting = [candidate(&[0, 3, 0], 9), candidate(&[0, 8, 0], 5)];
        check(&waiting, &[0, 2], Some((1, 0, 1)));
        let patient = Candidate { passed_over: PATIENCE, ..waiting[0].clone() };
        check(&[patient, waiting[1].clone()], &[0, 2], Some((0, 0, 1)));
    }

    #[test]
    fn a_free_lane_is_used_in_place_unless_others_need_all_of_it() {
        // Nobody else wants what is there.
        check(&[candidate(&[0, 8, 0], 5)], &[0, 1, 2], Some((0, 1, 1)));
        // Two want the same: the second still finds it in the first's lane.
        check(&[candidate(&[0, 8], 5), candidate(&[0, 8], 5)], &[0, 1], Some((0, 0, 1)));
        // The last free lane holds what another one needs more of: it is taken all the same, for want of another.
        check(&[candidate(&[0, 8], 5), candidate(&[0, 6], 5)], &[1], Some((0, 1, 1)));
    }

    #[test]
    fn what_others_wait_for_is_overwritten_last() {
        let waiting = [candidate(&[9, 0, 0, 0], 5), candidate(&[0, 7, 0, 0], 5), candidate(&[0, 0, 2, 0], 5)];
        check(&waiting, &[1, 2], Some((0, 2, 0)));
        check(&waiting, &[1, 2, 3], Some((0, 3, 0)));
        // What is in two lanes is lost in neither.
        check(&[candidate(&[9, 0, 0], 5), candidate(&[0, 7, 7], 5)], &[1, 2], Some((0, 1, 0)));
    }
}
