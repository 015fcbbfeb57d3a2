//! What is dropped by which requirement.

use super::*;

fn all_required() -> Require {
    Require {
        params_b: Some(Range { min: Some(0.1), max: Some(1.0) }),
        commercial_license: true,
        context: Some(4096),
        types: vec!["chat".to_owned()],
        fits: Some(Fits::inference(1 << 30, 2048)),
        official: true,
        ..Require::default()
    }
}

const HEADER: &str = "id,type,params_b,license_commercial,context,official,x\n";

#[test]
fn a_model_is_dropped_by_the_first_it_fails() {
    let csv = format!(
        "{HEADER}good,chat,0.1,yes,4096,yes,1\ntype,base,0.1,yes,4096,yes,1\nno-type,,9,no,1,no,1\n\
         size,chat,9,no,1,,1\nlicense,chat,0.1,unknown,1,,1\ncontext,chat,0.1,yes,,,1\nfits,chat,0.9,yes,8192,,1\n\
         official,chat,0.1,yes,8192,,1\n"
    );
    let found = research(&read(&csv).unwrap(), &all_required(), &profile(&[("x", 1.0)], &[]), 5).unwrap();
    assert_eq!(found.considered, 8);
    let dropped: Vec<_> = found.dropped.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(dropped, [("type", 2), ("params_b", 1), ("license", 1), ("context", 1), ("fits", 1), ("official", 1)]);
    assert_eq!(found.shortlist.len(), 1);
    assert_eq!(found.shortlist[0].id, "good");
    assert_eq!(
        found.shortlist[0].considered_because,
        "type is chat, 0.1 B parameters within 0.1–1, its licence allows commercial use, 4,096 tokens of context, at \
         least 4,096, needs 0.33 GB of 1.07 GB (1.00 GiB) at 2,048 tokens (KV cache estimated), its publisher's own \
         repository"
    );
}

#[test]
fn near_misses_are_near_and_few() {
    let mut csv =
        format!("{HEADER}good,chat,0.1,yes,8192,yes,0\nhuge,chat,70,yes,8192,yes,99\nbase,base,0.1,yes,8192,yes,1\n");
    for score in 2..8 {
        writeln!(csv, "large{score},chat,1.{score},yes,8192,yes,{score}").unwrap();
    }
    let require = Require { fits: None, ..all_required() };
    let found = research(&read(&csv).unwrap(), &require, &profile(&[("x", 1.0)], &[]), 5).unwrap();
    let ids: Vec<_> = found.near_misses.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["large7", "large6", "large5", "large4", "large3"]);
    let first = &found.near_misses[0];
    assert_eq!((first.place, first.fit), (Place::Dropped, None));
    assert_eq!(first.reason, "dropped: 1.7 B parameters, not within 0.1–1");
    assert!(first.considered_because.starts_with("type is chat, its licence"), "{}", first.considered_because);
}

#[test]
fn if_nothing_fits_the_nearest_is_named() {
    let check = |rows: &str, require: &Require, message: &str, help: &str| {
        let error = research(&read(&format!("{HEADER}{rows}")).unwrap(), require, &Profile::default(), 3).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.help().as_deref()), (message, Some(help)));
    };
    check(
        "a,base,0.1,yes,8192,yes,1\nb,chat,7,yes,8192,yes,9\nc,base,70,no,1,,9\n",
        &Require { fits: None, ..all_required() },
        "none of 3 models satisfies `require`: `type` drops 2, `params_b` drops 1",
        "relax `type`: `a` comes nearest: type is base, not chat",
    );
    check(
        "a,chat,0.9,yes,,yes,1\n",
        &all_required(),
        "none of 1 models satisfies `require`: `context` drops 1",
        "relax `context`, `fits`, or write what is unknown into a catalog of your own: `a` comes nearest: context \
         unknown, at least 4,096 tokens required; 0.9 B parameters need 2.09 GB at 2,048 tokens (KV cache estimated), \
         1.01 GB more than there is",
    );
}

#[test]
fn without_requirements_everything_passes() {
    let found = research(&read("id\na\nb\n").unwrap(), &Require::default(), &Profile::default(), 0).unwrap();
    assert!(found.dropped.is_empty() && found.near_misses.is_empty());
    // The shortlist holds at least the model that is selected.
    assert_eq!(found.shortlist.len(), 1);
    assert_eq!(found.shortlist[0].considered_because, "nothing is required");
    assert_eq!(found.shortlist[0].memory_bytes, None);
}

#[test]
fn a_row_carries_what_the_catalog_says() {
    let csv =
        "id,type,params_b,license,license_note,license_commercial,context,x,y,weights,weights_sha256,weights_bytes\n\
               a,chat,0.135,mit,note,yes,8192,1.5,,file:a.gguf,"
            .to_owned()
            + &"ab".repeat(32)
            + ",98362432";
    let require = Require { commercial_license: true, fits: all_required().fits, ..Require::default() };
    let found = research(&read(&csv).unwrap(), &require, &profile(&[("x", 1.0), ("y", 1.0)], &[]), 1).unwrap();
    let row = &found.shortlist[0];
    assert_eq!((row.place, row.params_b, row.context), (Place::Primary, Some(0.135), Some(8192)));
    assert_eq!((row.kind.as_deref(), row.license.as_deref()), (Some("chat"), Some("mit")));
    assert_eq!(row.license_note.as_deref(), Some("note"));
    assert_eq!(row.memory_bytes, Some(405_959_546));
    assert_eq!(row.scores, IndexMap::from([("x".to_owned(), Some(1.5)), ("y".to_owned(), None)]));
    assert_eq!(row.weights.as_deref(), Some("file:a.gguf"));
    assert_eq!(row.weights_sha256, Some("ab".repeat(32)));
    assert_eq!(row.weights_bytes, Some(98_362_432));
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Candidates>(&text).unwrap(), found);
}
