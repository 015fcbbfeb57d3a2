//! Which openings are not taken: by themselves, for what the writer was told, and for what a suite may hold.
//!
//! What an opening is beside others, a near-duplicate, is not its own fault: that is [`super::Marker`]'s.

use crate::data::{Rejection, Scenario};
use crate::engine::Message;
use crate::spec::{self, Language, Languages};

use super::personal;

/// So many words in a row that stand in the instructions as well are an echo of them.
const ECHO: usize = 6;

/// The name of the axis that says which language a scenario is in.
const LANGUAGE: &str = "language";

/// Says why an opening is not taken, if it is not. `told` is what its writer was told; nothing where nobody was.
pub(super) fn rejection(rules: &spec::Reject, scenario: &Scenario, told: &[Message]) -> Option<Rejection> {
    let spec::Reject { length, language, echo, personal_data } = rules;
    let opening = scenario.opening.as_str();
    let characters = opening.chars().count();
    if length.is_some_and(|(least, most)| !(least as usize..=most as usize).contains(&characters)) {
        return Some(Rejection::Length);
    }
    if *echo && told.iter().any(|message| echoes(opening, &message.content)) {
        return Some(Rejection::Echo);
    }
    if let Some(wanted) = language
        && let Some(found) = Language::detect(opening)
        && !is_wanted(wanted, found, scenario)
    {
        return Some(Rejection::Language);
    }
    (*personal_data && personal::is_in(opening)).then_some(Rejection::PersonalData)
}

fn is_wanted(wanted: &Languages, found: Language, scenario: &Scenario) -> bool {
    match wanted {
        Languages::These(languages) => languages.contains(&found),
        Languages::Axis => scenario.axes.get(LANGUAGE).is_none_or(|code| Language::of(code) == Some(found)),
    }
}

/// Whether a run of words of one text stands in the other.
fn echoes(opening: &str, told: &str) -> bool {
    let (opening, told) = (words(opening), words(told));
    opening.windows(ECHO).any(|run| told.windows(ECHO).any(|other| run == other))
}

/// The words of a text, without their case and what is between them.
pub(super) fn words(text: &str) -> Vec<String> {
    let apostrophes = ['\'', '’'];
    text.split(|letter: char| !letter.is_alphanumeric() && !apostrophes.contains(&letter))
        .map(|word| word.trim_matches(apostrophes).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Role;
    use crate::stage::row::tests::scenario;

    fn rules() -> spec::Reject {
        spec::Reject { length: Some((5, 80)), language: None, echo: true, personal_data: true }
    }

    #[test]
    fn each_fault_has_its_name() {
        let told = [
            Message::new(Role::System, "You write test messages as real people would send them."),
            Message::new(Role::User, "Style: terse. A handful of words, often without capitals or a question."),
        ];
        let check = |rules: &spec::Reject, opening: &str, expected: Option<Rejection>| {
            assert_eq!(rejection(rules, &scenario(opening, &[]), &told), expected, "{opening}");
        };
        check(&rules(), "cant sleep again", None);
        check(&rules(), "hey", Some(Rejection::Length));
        check(&rules(), &"no ".repeat(30), Some(Rejection::Length));
        check(&rules(), "Here: “a handful of WORDS, often without…”", Some(Rejection::Echo));
        check(&rules(), "a handful of words, often with capitals", None);
        check(&rules(), "call me on +49 30 901820", Some(Rejection::PersonalData));
        let lax = spec::Reject { length: None, echo: false, personal_data: false, ..rules() };
        check(&lax, "a handful of words, often without +49 30 901820", None);

        let german = "Ich liege seit drei Uhr wach, wie jede Nacht in dieser Woche.";
        let only = |code| Some(Languages::These(vec![Language::of(code).unwrap()]));
        check(&spec::Reject { language: only("en"), ..rules() }, german, Some(Rejection::Language));
        check(&spec::Reject { language: only("de"), ..rules() }, german, None);
        let by_axis = spec::Reject { language: Some(Languages::Axis), ..rules() };
        let of = |code: &str| {
            let mut scenario = scenario(german, &[]);
            scenario.axes.insert(LANGUAGE.to_owned(), code.to_owned());
            rejection(&by_axis, &scenario, &told)
        };
        assert_eq!((of("de"), of("en")), (None, Some(Rejection::Language)));
    }
}
