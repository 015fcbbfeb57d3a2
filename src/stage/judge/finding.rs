//! What is known about one criterion of a reply: from one opinion, from several of one judge, and from a panel.

use std::collections::BTreeMap;

use crate::data::{Quote, VerdictKind, Votes};
use crate::engine::Reply;
use crate::judge::{Leaning, ParseError, Rating, RatingError, Scaled, is_quoted, read_opinion};

/// A verdict and what it rests on.
pub(super) struct Finding {
    pub(super) verdict: VerdictKind,
    pub(super) evidence: String,
    pub(super) reason: String,
    pub(super) quote: Option<Quote>,
    pub(super) pass_probability: Option<f64>,
    pub(super) level: Option<f64>,
}

/// How far a judge's opinion on one question has come.
pub(super) enum Opinion {
    /// It is to be asked for.
    Open,
    /// What was said could not be read: it is asked for once more.
    Unread { said: String, why: ParseError },
    /// It is there, or will never be.
    Found(Finding),
}

impl Opinion {
    pub(super) fn is_found(&self) -> bool {
        matches!(self, Self::Found(_))
    }

    pub(super) fn ungraded(reason: String) -> Self {
        Self::Found(Finding::new(VerdictKind::Ungraded, reason))
    }

    /// What becomes of the opinion when its judge has answered: what is unread a second time is not asked for again.
    pub(super) fn settle(&self, read: Result<Finding, ParseError>, said: &str) -> Self {
        match read {
            Ok(finding) => Self::Found(finding),
            Err(why) if matches!(self, Self::Unread { .. }) => {
                Self::ungraded(format!("the judge's answer could not be read, twice: {why}"))
            }
            Err(why) => Self::Unread { said: said.to_owned(), why },
        }
    }
}

impl Finding {
    pub(super) fn new(verdict: VerdictKind, reason: String) -> Self {
        Self { verdict, evidence: String::new(), reason, quote: None, pass_probability: None, level: None }
    }

    /// Takes a judge's opinion on a reply. Words it quotes that are not there are taken away, but its verdict is kept: judges
    /// now and then see right and copy wrong. One that does so often is not trusted with a decision: see `decide`.
    pub(super) fn of_rating(rating: Rating, response: &str) -> Self {
        let Rating { verdict, level, pass_probability, mut evidence, mut reason } = rating;
        let quote =
            (!evidence.is_empty()).then(|| if is_quoted(&evidence, response) { Quote::Found } else { Quote::Missing });
        if quote == Some(Quote::Missing) {
            evidence.clear();
            let note = "(quoted words are not in the reply)";
            reason = if reason.is_empty() { note.to_owned() } else { format!("{reason} {note}") };
        }
        Self { evidence, quote, level, pass_probability, ..Self::new(verdict, reason) }
    }

    /// Reads the answer of a judge that was asked one question.
    pub(super) fn read(reply: &Reply, allow_not_applicable: bool, response: &str) -> Result<Self, ParseError> {
        let opinion = read_opinion(&reply.text, reply.finish, allow_not_applicable)?;
        Ok(Self::of_rating(opinion.into(), response))
    }

    /// Reads the answer of a judge that was asked for one level. Probabilities that give none are an answer all the same.
    pub(super) fn read_level(scaled: &Scaled, reply: &Reply, response: &str) -> Result<Self, ParseError> {
        match scaled.read(reply) {
            Ok(rating) => Ok(Self::of_rating(rating, response)),
            Err(RatingError::Parse(why)) => Err(why),
            Err(RatingError::Weigh(why)) => Ok(Self::new(VerdictKind::Ungraded, why.to_string())),
        }
    }

    /// What the likeliest of the verdict words comes to.
    pub(super) fn of_leaning(leaning: Leaning) -> Self {
        let Leaning { verdict, pass_probability, reason } = leaning;
        Self { pass_probability: Some(pass_probability), ..Self::new(verdict, reason) }
    }
}

/// What the opinions of a panel on one question come to, each judge's in its seat: the finding, how one judge's several
/// opinions divide, and what each judge of several said.
pub(super) struct Heard {
    pub(super) finding: Finding,
    pub(super) votes: Option<Votes>,
    pub(super) panel: BTreeMap<String, VerdictKind>,
}

impl Heard {
    /// Where nobody had to be asked.
    pub(super) fn nobody(finding: Finding) -> Self {
        Self { finding, votes: None, panel: BTreeMap::new() }
    }

    /// What more than half of the judges say counts; what one says is what more than half of its opinions do.
    pub(super) fn all(judges: &[String], opinions: Vec<Vec<Opinion>>) -> Self {
        let mut each: Vec<(Finding, Option<Votes>)> = opinions.into_iter().map(of_one_judge).collect();
        if each.len() == 1 {
            let (finding, votes) = each.remove(0);
            return Self { finding, votes, panel: BTreeMap::new() };
        }
        let findings: Vec<Finding> = each.into_iter().map(|(finding, _)| finding).collect();
        let panel = judges.iter().zip(&findings).map(|(judge, finding)| (judge.clone(), finding.verdict)).collect();
        let (finding, _) = agreed(findings, "judges");
        Self { finding, votes: None, panel }
    }
}

/// What all opinions of one judge on one question come to.
fn of_one_judge(opinions: Vec<Opinion>) -> (Finding, Option<Votes>) {
    let mut found: Vec<Finding> = opinions
        .into_iter()
        .map(|opinion| match opinion {
            Opinion::Found(finding) => finding,
            Opinion::Open | Opinion::Unread { .. } => unreachable!("a row with an open question is not finished"),
        })
        .collect();
    if found.len() == 1 {
        return (found.remove(0), None);
    }
    let (finding, votes) = agreed(found, "opinions");
    (finding, Some(votes))
}

/// The verdict of more than half of all, with what the first of these rests on. Nothing less counts, so that one that is
/// missing can never make a pass.
fn agreed(mut found: Vec<Finding>, of_what: &str) -> (Finding, Votes) {
    let all = found.len();
    let mut votes = Votes::default();
    for finding in &found {
        *(match finding.verdict {
            VerdictKind::Pass => &mut votes.pass,
            VerdictKind::Fail => &mut votes.fail,
            VerdictKind::NotApplicable => &mut votes.not_applicable,
            VerdictKind::Ungraded => &mut votes.ungraded,
        }) += 1;
    }
    let of = |verdict: VerdictKind| found.iter().filter(|finding| finding.verdict == verdict).count();
    let winner = [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::NotApplicable]
        .into_iter()
        .find(|verdict| 2 * of(*verdict) > all)
        .and_then(|verdict| found.iter().position(|finding| finding.verdict == verdict));
    if let Some(winner) = winner {
        // The level of all who gave one; the verdict is that of the majority all the same.
        let levels: Vec<f64> = found.iter().filter_map(|finding| finding.level).collect();
        let winner = found.swap_remove(winner);
        let mean = levels.iter().sum::<f64>() / f64::from(u32::try_from(levels.len()).unwrap_or(u32::MAX));
        let level = winner.level.map(|_| (mean * 1e4).round() / 1e4);
        return (Finding { level, ..winner }, votes);
    }
    let Votes { pass, fail, not_applicable, ungraded } = votes;
    let mut reason = format!(
        "no verdict has a majority of {all} {of_what}: {pass} pass, {fail} fail, {not_applicable} not applicable, \
         {ungraded} ungraded"
    );
    if let Some(why) = found.iter().find(|finding| finding.verdict == VerdictKind::Ungraded) {
        reason = format!("{reason} ({})", why.reason);
    }
    (Finding::new(VerdictKind::Ungraded, reason), votes)
}
