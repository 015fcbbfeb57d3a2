//! The vectors of the group `rubric`, which `judge` computes.

use serde_json::{Value, json};

use super::{Input, is_true};
use crate::data::{Grade, VerdictKind};
use crate::ids::CriterionId;
use crate::judge::{PointsItem, Standing, grade, points_score};
use crate::spec::{Ask, Criterion, PassRule, Question, Rubric};

fn criterion(criterion: &Value) -> Criterion {
    Criterion {
        id: CriterionId::new(criterion["id"].as_str().unwrap()).unwrap(),
        weight: criterion["weight"].as_f64().unwrap(),
        critical: criterion["critical"].as_bool().unwrap_or(false),
        when: None,
        ask: Ask::Question(Question {
            text: "Is it?".to_owned(),
            allow_not_applicable: criterion["na_allowed"].as_bool().unwrap_or(true),
            pass_examples: Vec::new(),
            fail_examples: Vec::new(),
        }),
    }
}

/// A verdict, which may not be `na` where that is not allowed.
fn verdict(criterion: &Value, verdicts: &Value) -> VerdictKind {
    let may_not_apply = criterion["na_allowed"].as_bool().unwrap_or(true);
    match verdicts[criterion["id"].as_str().unwrap()].as_str() {
        Some("pass") => VerdictKind::Pass,
        Some("fail") => VerdictKind::Fail,
        Some("na") if may_not_apply => VerdictKind::NotApplicable,
        _ => VerdictKind::Ungraded,
    }
}

fn rubric_score(input: &Input<'_>) -> Value {
    let criteria = input.list("criteria");
    let (score, min_applicable) = (input.float("pass_threshold"), input.float("min_weight"));
    let pass = PassRule { score, min_applicable, at_least: Vec::new() };
    let rubric = Rubric { name: "vector".to_owned(), pass, criteria: criteria.iter().map(criterion).collect() };
    let verdicts: Vec<VerdictKind> = criteria.iter().map(|one| verdict(one, &input.0["verdicts"])).collect();
    let graded = grade(&rubric, &verdicts.iter().copied().map(Standing::from).collect::<Vec<_>>());
    let status = match graded.grade {
        Grade::Invalid => "INVALID",
        Grade::Pass | Grade::Fail | Grade::Ungraded if verdicts.contains(&VerdictKind::Ungraded) => "ERROR",
        Grade::Pass | Grade::Fail | Grade::Ungraded => "OK",
    };
    let pass = (graded.grade != Grade::Invalid).then_some(graded.grade == Grade::Pass);
    // Where nothing was graded the vectors count a score of 0 and this program none.
    let score = graded.score.or(pass.map(|_| 0.0));
    json!({ "status": status, "score": score, "pass": pass, "coverage": graded.coverage })
}

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    Some(match function {
        "rubric_score" => rubric_score(input),
        "points_score" => {
            let item = |item: &Value| PointsItem { points: item[0].as_f64().unwrap(), is_met: is_true(&item[1]) };
            json!(points_score(&input.list("items").iter().map(item).collect::<Vec<_>>()))
        }
        _ => return None,
    })
}
