//! Who leads under a profile, and what is only noise.

use super::*;

#[test]
fn the_best_is_selected_and_the_next_kept() {
    let csv = "id,ifeval,bbh,hf_downloads\na,10,5,1\nb,40,6,\nc,30,,9\n";
    assert_eq!(
        rows(csv, &Require::default(), &profile(&[("ifeval", 3.0), ("bbh", 1.0)], &[])),
        [
            "b Primary selected: best fit 0.81: ifeval 40 (1st of 3), bbh 6 (1st of 2)",
            "c Backup in reserve: 2nd, 0.31 behind, mostly for ifeval 30 (2nd of 3); no score in bbh, ranked on the rest",
            "a Shortlisted not selected: 3rd, 0.62 behind, mostly for ifeval 10 (3rd of 3)",
        ]
    );
}

#[test]
fn noise_is_called_noise() {
    let csv = "id,ifeval,bbh,other\na,40,20,5\nb,37,19,4\nc,30,19.5,3\n";
    let reason = |prefer| rows(csv, &Require::default(), &profile(prefer, &[]))[1].clone();
    assert_eq!(
        reason(&[("ifeval", 2.0), ("bbh", 1.0)]),
        "b Backup in reserve: 2nd, 0.44 behind, mostly for ifeval 37 (2nd of 3); too close to the first to tell: \
         weighted scores 2.33 points apart where up to 3.31 is noise"
    );
    // Nothing is claimed where one column has no known noise.
    assert_eq!(
        reason(&[("ifeval", 2.0), ("other", 1.0)]),
        "b Backup in reserve: 2nd, 0.33 behind, mostly for ifeval 37 (2nd of 3)"
    );
    // A column of one's own says how many questions it rests on: 100 tell 13.9 points apart, with 95 %.
    let csv = "id,mine,mine_questions\na,70,400\nb,60,100\nc,50,400\n";
    let found = research(&read(csv).unwrap(), &Require::default(), &profile(&[("mine", 1.0)], &[]), 9).unwrap();
    let ranks: Vec<_> = found.shortlist.iter().map(|row| row.rank.unwrap()).collect();
    assert_eq!(ranks, [1, 1, 3]);
    assert_eq!(found.shortlist[0].evidence[0].questions, Some(100));
    assert!(found.shortlist[1].reason.ends_with("10.00 points apart where up to 13.86 is noise"));
}

#[test]
fn avoided_models_come_last() {
    let csv = "id,type,reasoning,official,x\na,chat,yes,yes,9\nb,merge,,yes,8\nc,chat,no,,7\nd,chat,,yes,1\n";
    let prefer = [("x", 1.0)];
    assert_eq!(
        rows(csv, &Require::default(), &profile(&prefer, &["reasoning", "merge", "unofficial"])),
        [
            "d Primary selected: first with fit 0.12: x 1 (4th of 4)",
            "a Backup in reserve: 2nd, reasoning, which the profile avoids",
            "b Shortlisted not selected: 3rd, merge, which the profile avoids",
            "c Shortlisted not selected: 4th, unofficial, which the profile avoids",
        ]
    );
    assert_eq!(
        rows(csv, &Require::default(), &profile(&prefer, &["chat", "merge"]))[0],
        "a Primary selected: best fit 0.88: x 9 (1st of 4); chat, which the profile avoids, but so is every candidate"
    );
}

#[test]
fn missing_scores_never_count_as_zero() {
    let csv = "id,x,y,hf_downloads\na,,1,1\nb,1,,5\nc,,,7\nd,,,8\n";
    assert_eq!(
        rows(csv, &Require::default(), &profile(&[("x", 3.0), ("y", 1.0)], &[])),
        [
            "b Primary selected: best fit 0.50: x 1 (1st of 1); no score in y, ranked on the rest",
            "a Backup in reserve: 2nd, its scores cover 25 % of the preferred weight; no score in x, ranked on the rest",
            "d Shortlisted not selected: 3rd, no score in x, y",
            "c Shortlisted not selected: 4th, no score in x, y",
        ]
    );
    assert_eq!(
        rows("id,x,hf_downloads\na,,1234\nb,,\n", &Require::default(), &profile(&[("x", 1.0)], &[])),
        ["a Primary selected: no score in x; most downloads (1,234)", "b Backup in reserve: 2nd, no score in x"]
    );
}

#[test]
fn an_empty_profile_ranks_by_the_leaderboard_then_by_downloads() {
    let csv = "id,oll_average,hf_downloads\na,1,9\nb,2,1\nc,2,1\nd,,99\n";
    assert_eq!(
        rows(csv, &Require::default(), &Profile::default()),
        [
            "b Primary selected: nothing is preferred; best fit 0.67: oll_average 2 (1st of 3)",
            "c Backup in reserve: 2nd, same fit, later by name",
            "a Shortlisted not selected: 3rd, 0.50 behind, for oll_average 1 (3rd of 3)",
            "d Shortlisted not selected: 4th, no score in oll_average",
        ]
    );
    assert_eq!(
        rows("id,hf_downloads\na,\nb,5\nc,5\n", &Require::default(), &Profile::default()),
        [
            "b Primary selected: nothing is preferred; most downloads (5)",
            "c Backup in reserve: 2nd, later by name",
            "a Shortlisted not selected: 3rd, fewer downloads",
        ]
    );
}

#[test]
fn of_prices_the_lowest_is_best() {
    assert_eq!(
        rows("id,price_in\na,3\nb,0.5\n", &Require::default(), &profile(&[("price_in", 1.0)], &[]))[0],
        "b Primary selected: best fit 0.75: price_in 0.5 (1st of 2, lowest first)"
    );
}

#[test]
fn wrong_profiles_are_explained() {
    let csv = "id,ifeval,license,mine,mixed,type\na,1,mit,3,4,odd\nb,,mit,,x,\n";
    let check = |profile: &Profile, message: &str, help: &str| {
        let error = research(&read(csv).unwrap(), &Require::default(), profile, 1).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.help().as_deref()), (message, Some(help)));
    };
    let numeric = "columns with numbers: `ifeval`, `mine`";
    check(
        &profile(&[("if_eval", 1.0)], &[]),
        "`prefer` names the column `if_eval`, which no catalog has",
        &format!("did you mean `ifeval`? {numeric}"),
    );
    check(&profile(&[("zzz", 1.0)], &[]), "`prefer` names the column `zzz`, which no catalog has", numeric);
    check(
        &profile(&[("license", 1.0)], &[]),
        "`prefer` names the column `license`, which does not hold numbers",
        numeric,
    );
    check(
        &profile(&[("mixed", 1.0)], &[]),
        "`a.csv` line 3: column `mixed` holds `x`, not a number",
        "correct the cell, or leave it empty where the value is unknown",
    );
    let tags = "`base`, `chat`, `chat-only`, `continued-pretrain`, `fine-tuned`, `merge`, `multimodal`, `odd`, `reasoning`, `unofficial`";
    check(
        &profile(&[], &["merge", "reasonning"]),
        "`avoid` names the unknown tag `reasonning`",
        &format!("did you mean `reasoning`? tags: {tags}"),
    );
    // A column that evalflow does not know, and a type that only this catalog has, are as good as any.
    assert!(research(&read(csv).unwrap(), &Require::default(), &profile(&[("mine", 1.0)], &["odd"]), 1).is_ok());
}
