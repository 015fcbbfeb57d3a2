//! Presets, a reviewer's choice, and ranks that are shared.

use super::*;

#[test]
fn half_a_point_shares_a_rank_and_stars() {
    let csv = "id,ifeval,source,source_date\na,70.0,x;oll-v2,2026-01;2025-03-21\nb,69.5,,\nc,66.0,,\nd,40,,\ne,,,\n";
    let found = research(&read(csv).unwrap(), &Require::default(), &profile(&[("ifeval", 1.0)], &[]), 9).unwrap();
    let rows: Vec<_> = found.shortlist.iter().map(|row| (row.id.as_str(), row.rank.unwrap(), row.stars)).collect();
    assert_eq!(rows, [("a", 1, Some(5)), ("b", 1, Some(5)), ("c", 1, Some(5)), ("d", 4, Some(1)), ("e", 5, None)]);
    assert_eq!(
        found.shortlist[1].reason,
        "in reserve: 2nd, 0.25 behind, for ifeval 69.5 (2nd of 4); too close to the first to tell: weighted scores 0.50 \
         points apart where up to 4.80 is noise"
    );
    assert!(found.notes[0].contains("0.5 % apart is noise"), "{:?}", found.notes);
    let evidence = &found.shortlist[0].evidence[0];
    assert_eq!((evidence.rank, evidence.of, evidence.questions), (1, 4, Some(541)));
    assert_eq!((evidence.catalog.as_str(), evidence.date.as_deref()), ("a.csv", Some("2025-03-21")));
    assert_eq!(found.sources[0].newest.as_deref(), Some("2026-01"));
}

#[test]
fn a_preset_says_what_it_prefers_and_what_is_missing() {
    let csv = "id,ifeval,musr,reasoning,type\na,70,10,yes,chat\nb,60,9,,chat\nc,61,8,,merge\n";
    let therapy = Profile { preset: Some(Preset::Therapy), ..Profile::default() };
    let found = research(&read(csv).unwrap(), &Require::default(), &therapy, 9).unwrap();
    let ids: Vec<_> = found.shortlist.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["b", "a", "c"]);
    assert!(found.notes[0].starts_with("preset therapy: ifeval × 3, musr × 2: a supportive reply must"));
    assert!(found.notes[0].ends_with("; no catalog has truthfulqa, bbh"), "{}", found.notes[0]);
    // The profile's own weight replaces the preset's.
    let own = Profile { prefer: [("musr".to_owned(), 9.0)].into_iter().collect(), ..therapy.clone() };
    let found = research(&read(csv).unwrap(), &Require::default(), &own, 9).unwrap();
    assert!(found.notes[0].starts_with("preset therapy: ifeval × 3, musr × 9: "), "{}", found.notes[0]);
    let none = read("id,x\na,1\n").unwrap();
    let error = research(&none, &Require::default(), &therapy, 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the preset `therapy` prefers columns that no catalog has: `ifeval`, `musr`, `truthfulqa`, `bbh`"
    );
}

#[test]
fn code_wants_more_than_chat() {
    let csv = "id,type,ifeval,humaneval_plus,mbpp_plus,aider_edit\ntalker,chat,90,,,\nx/coder,chat,50,60,60,50\n";
    let coding = Profile { preset: Some(Preset::Coding), ..Profile::default() };
    let found = research(&read(csv).unwrap(), &Require::default(), &coding, 9).unwrap();
    assert_eq!(found.shortlist[0].id, "x/coder");
    assert!(found.shortlist[1].reason.contains("chat-only, which the profile avoids"), "{:?}", found.shortlist[1]);
}

fn pinned(csv: &str, require: &Require, id: &str) -> Result<Candidates, CatalogError> {
    let pin = Pin { id: id.to_owned(), because: "our users know it".to_owned() };
    let asked = Research { pin: Some(pin), ..asked(require, &profile(&[("x", 1.0)], &[]), 3) };
    crate::catalog::research(&read(csv).unwrap(), &asked)
}

#[test]
fn a_reviewer_may_take_another() {
    let csv = "id,x,context\na,9,8\nb,8,8\nc,7,8\nd,6,1\n";
    let places = |found: &Candidates| -> Vec<String> {
        found.shortlist.iter().map(|row| format!("{} {:?} {:?}", row.id, row.place, row.rank)).collect()
    };
    let found = pinned(csv, &Require::default(), "c").unwrap();
    assert_eq!(places(&found), ["c Primary Some(3)", "a Backup Some(1)", "b Shortlisted Some(2)"]);
    assert_eq!(
        found.shortlist[0].reason,
        "selected: taken by a reviewer: our users know it; computed 3rd, 0.50 behind, for x 7 (3rd of 4)"
    );
    assert_eq!(found.shortlist[1].reason, "in reserve: computed first, best fit 0.88: x 9 (1st of 4)");
    let told = found.pinned.unwrap();
    assert_eq!((told.id.as_str(), told.computed.as_str()), ("c", "a"));
    assert_eq!(told.stands, "place 3 of 4, rank 3: 0.50 behind, for x 7 (3rd of 4)");
    // The computed one as well.
    let found = pinned(csv, &Require::default(), "a").unwrap();
    assert_eq!(places(&found), ["a Primary Some(1)", "b Backup Some(2)", "c Shortlisted Some(3)"]);
    assert_eq!(found.pinned.unwrap().stands, "it is the computed one as well");
    // One that fails a requirement is taken, and the table says what it fails.
    let require = Require { context: Some(8), ..Require::default() };
    let found = pinned(csv, &require, "d").unwrap();
    assert_eq!(places(&found), ["d Primary None", "a Backup Some(1)", "b Shortlisted Some(2)"]);
    assert_eq!(found.shortlist[0].concerns[0].kind, ConcernKind::Requirement);
    assert_eq!(found.shortlist[0].concerns[0].text, "it fails what is required: 1 tokens of context, fewer than 8");
    assert!(found.near_misses.is_empty());
    // Also where nothing else remains.
    let none = Require { context: Some(99), ..Require::default() };
    assert_eq!(places(&pinned(csv, &none, "d").unwrap()), ["d Primary None"]);
    let error = pinned(csv, &Require::default(), "bb").unwrap_err();
    assert_eq!(error.to_string(), "`primary` names `bb`, which no catalog has");
}

#[test]
fn a_row_says_which_quantisation_fits() {
    let csv = "id,params_b,layers,kv_heads,head_dim,hidden_size,vocab_size\na,8.03,32,8,128,4096,128256\nb,1,,,,,\n";
    let fits = Fits { quantization: Some(crate::spec::Quantization::Q4KM), ..Fits::inference(8 << 30, 8192) };
    let require = Require { fits: Some(fits), ..Require::default() };
    let found = research(&read(csv).unwrap(), &require, &Profile::default(), 9).unwrap();
    let row = found.shortlist.iter().find(|row| row.id == "a").unwrap();
    let fitting: Vec<_> = row.memory.iter().filter(|own| own.fits).map(|own| own.quantization.as_str()).collect();
    assert_eq!(fitting, ["Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_L", "Q2_K"]);
    assert!(row.training.as_ref().is_some_and(|training| training.qlora < training.lora && !training.estimated));
    assert!(row.concerns.iter().all(|concern| concern.kind != ConcernKind::Memory));
    let other = found.shortlist.iter().find(|row| row.id == "b").unwrap();
    assert!(other.memory.iter().all(|own| own.estimated));
    assert!(other.concerns.iter().any(|concern| concern.kind == ConcernKind::Memory));
    assert_eq!(found.memory_for.as_deref(), Some("8.59 GB (8.00 GiB) as Q4_K_M at 8,192 tokens"));
}
