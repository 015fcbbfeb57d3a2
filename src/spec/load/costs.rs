//! Puts what tokens cost into the checks that bound a reply's cost: it is the price of the model that answers. And sees
//! that the times that others bound are kept.

use indexmap::IndexMap;

use super::conditions::Conditions;
use crate::check::Check;
use crate::ids::{ModelName, StageId};
use crate::spec::pipeline::{Model, Price, Stage, price_of};
use crate::spec::problem::{Code, Problem};
use crate::spec::read::Sink;
use crate::spec::rubric::Ask;

/// Fills prices in, and reports each bound for which none is known, and each bound on times that nobody keeps.
pub(super) fn settle(
    stages: &mut IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
    all: &[Conditions],
    sink: &Sink,
) {
    let price = |stages: &IndexMap<StageId, Stage>, answers: &StageId| match stages.get(answers) {
        Some(Stage::Infer(infer)) => price_of(&infer.model, models),
        _ => None,
    };
    for Conditions { answers, file, conditions: _, templates: _, costs, times } in all {
        if matches!(stages.get(answers), Some(Stage::Infer(infer)) if !infer.latency) {
            for span in times {
                let message = format!("how long the replies of `{answers}` took is not in its rows");
                let problem = Problem::new(Code::NoLatency, file, span, "no times", message);
                sink.borrow_mut().push(problem.help(format!("add `latency: true` to `{answers}`")));
            }
        }
        if !stages.contains_key(answers) || price(stages, answers).is_some() {
            continue;
        }
        for span in costs {
            let message = format!("what the tokens of `{answers}` cost is not known");
            sink.borrow_mut().push(Problem::new(Code::NoPrice, file, span, "no price", message));
        }
    }
    let ids: Vec<StageId> = stages.keys().cloned().collect();
    for id in ids {
        let Some(Stage::Judge(judge)) = stages.get(&id) else { continue };
        let Some(price) = price(stages, &judge.answers) else { continue };
        let Some(Stage::Judge(judge)) = stages.get_mut(&id) else { continue };
        for criterion in &mut judge.rubric.criteria {
            if let Ask::Check(check) = &mut criterion.ask {
                fill(check, price);
            }
        }
    }
}

fn fill(check: &mut Check, price: Price) {
    let mut check = check;
    while let Check::Not(inner) = check {
        check = inner;
    }
    if let Check::Cost { max: _, prompt, completion } = check {
        (*prompt, *completion) = (price.prompt, price.completion);
    }
}
