//! Each form of file against what it becomes.

use crate::catalog::{Catalog, CatalogError};

fn text<'c>(catalog: &'c Catalog, id: &str, column: &str) -> Option<&'c str> {
    catalog.text(id, column)
}

fn read(name: &str, content: &str) -> Result<Catalog, CatalogError> {
    Catalog::read([(name, content.as_bytes())])
}

/// Reads a file and looks at some of its cells.
fn check(name: &str, content: &str, format: &str, cells: &[(&str, &str, Option<&str>)]) {
    let catalog = read(name, content).unwrap();
    assert_eq!(catalog.sources()[0].format, format);
    for (id, column, expected) in cells {
        assert_eq!(text(&catalog, id, column), *expected, "{id} {column}");
    }
}

#[test]
fn tables_have_three_more_forms() {
    let cells: &[_] = &[
        ("a/b", "context", Some("8192")),
        ("a/b", "official", Some("yes")),
        ("a/b", "x", None),
        ("c", "mine", Some("1.5")),
    ];
    check(
        "m.json",
        r#"[{"id": "a/b", "context": 8192, "official": true, "x": null}, {"id": "c", "mine": 1.5}]"#,
        "table",
        cells,
    );
    check("m.json", r#"{"a/b": {"context": 8192, "official": true}, "c": {"mine": 1.5}}"#, "table", cells);
    check(
        "m.jsonl",
        "{\"id\":\"a/b\",\"context\":8192,\"official\":true}\n\n{\"id\":\"c\",\"mine\":1.5}\n",
        "table",
        cells,
    );
    check("m.yaml", "- { id: a/b, context: 8192, official: true }\n- id: c\n  mine: 1.5\n", "table", cells);
    check("m.yml", "a/b: { context: 8192, official: true }\nc: { mine: 1.5 }\n", "table", cells);
}

#[test]
fn results_of_the_harness_have_their_own_columns() {
    let result = r#"{
        "results": {
            "gsm8k": {"alias": "gsm8k", "exact_match,flexible-extract": 0.9, "exact_match,strict-match": 0.75, "exact_match_stderr,strict-match": 0.01},
            "arc_challenge": {"acc,none": 0.5, "acc_norm,none": 0.533333},
            "ifeval": {"prompt_level_strict_acc,none": 0.6, "inst_level_strict_acc,none": 0.7},
            "words": {"word_perplexity,none": 12.0}
        },
        "n-samples": {"gsm8k": {"original": 1319, "effective": 1319}},
        "config": {"model": "hf", "model_args": "pretrained=Qwen/Qwen3-8B,dtype=bfloat16"},
        "date": 1742515200.5
    }"#;
    check(
        "r.json",
        result,
        "lm-evaluation-harness result",
        &[
            ("Qwen/Qwen3-8B", "lm_eval_gsm8k", Some("75")),
            ("Qwen/Qwen3-8B", "lm_eval_gsm8k_questions", Some("1319")),
            ("Qwen/Qwen3-8B", "lm_eval_arc_challenge", Some("53.3333")),
            ("Qwen/Qwen3-8B", "lm_eval_ifeval", Some("60")),
            ("Qwen/Qwen3-8B", "lm_eval_words", None),
            ("Qwen/Qwen3-8B", "source_date", Some("2025-03-21")),
        ],
    );
    let named = r#"{"results": {"x": {"acc,none": 1.0}}, "model_name": "local/m"}"#;
    check("r.json", named, "lm-evaluation-harness result", &[("local/m", "lm_eval_x", Some("100"))]);
}

#[test]
fn exports_of_the_leaderboard_become_its_columns() {
    let of_hub = "eval_name,Precision,fullname,Average ⬆️,IFEval,BBH,Flagged,#Params (B),Hub License\n\
                  1,bfloat16,a/b,20,30.5,10,false,7.6,mit\n2,float16,a/b,25,31.5,11,false,7.6,mit\n\
                  3,float16,bad/flagged,99,99,99,true,7,mit\n4,4bit,a/b,21,1,1,false,7.6,mit\n";
    check(
        "oll.csv",
        of_hub,
        "Open LLM Leaderboard export",
        &[
            ("a/b", "ifeval", Some("31.5")),
            ("a/b", "precision", Some("float16")),
            ("a/b", "params_b", Some("7.6")),
            ("bad/flagged", "ifeval", None),
        ],
    );
    let flat = "id,model_name,model_average_score,evaluations_ifeval_normalized_score,features_is_flagged,metadata_params_billions\n\
                0,a/b,20,30.5,false,7.6\n1,c/d,21,31.5,true,7\n";
    check(
        "v2.csv",
        flat,
        "Open LLM Leaderboard export",
        &[("a/b", "ifeval", Some("30.5")), ("a/b", "params_b", Some("7.6")), ("c/d", "ifeval", None)],
    );
}

#[test]
fn boards_meet_models_by_their_names() {
    let models: &[u8] = b"id,params_b\nQwen/Qwen3-8B,8.2\nother/twin,1\nmore/twin,2\n";
    let arena = r#"{
        "full": {"qwen3-8b": {"rating": 1301.26, "rating_q025": 1, "rating_q975": 2}, "twin": {"rating": 1000.0}, "gemini": {"rating": 1492.0}},
        "coding": {"qwen3-8b": {"rating": 1310.04}},
        "german": {"gemini": {"rating": 1.0}}
    }"#;
    let prices =
        "model,price_1m_input_tokens,price_1m_output_tokens,median_output_tokens_per_second\nQwen3-8B,0.05,0.2,120\n";
    let analysis = r#"{"data": [{"name": "Gemini", "slug": "gemini", "pricing": {"price_1m_input_tokens": 2, "price_1m_output_tokens": 12},
        "evaluations": {"artificial_analysis_intelligence_index": 70.1, "gpqa": 0.9}, "median_output_tokens_per_second": null}]}"#;
    let files: [(&str, &[u8]); 4] = [
        ("m.csv", models),
        ("a.json", arena.as_bytes()),
        ("p.csv", prices.as_bytes()),
        ("aa.json", analysis.as_bytes()),
    ];
    let catalog = Catalog::read(files).unwrap();
    let formats: Vec<String> = catalog.sources().into_iter().map(|source| source.format).collect();
    assert_eq!(formats, ["table", "LMArena leaderboard", "prices and speeds", "Artificial Analysis"]);
    for (id, column, expected) in [
        ("Qwen/Qwen3-8B", "arena_elo", Some("1301.3")),
        ("Qwen/Qwen3-8B", "arena_coding", Some("1310.0")),
        ("Qwen/Qwen3-8B", "price_out", Some("0.2")),
        ("Qwen/Qwen3-8B", "tokens_per_s", Some("120")),
        // Two models have the name, so it is neither.
        ("other/twin", "arena_elo", None),
        ("twin", "arena_elo", Some("1000.0")),
        ("gemini", "price_in", Some("2")),
        ("gemini", "aa_intelligence_index", Some("70.1")),
        ("gemini", "aa_gpqa", Some("90")),
    ] {
        assert_eq!(text(&catalog, id, column), expected, "{id} {column}");
    }
}

#[test]
fn what_is_no_catalog_is_named() {
    let fails = |name: &str, content: &str, message: &str| {
        let error = read(name, content).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.help().is_some(), "{error}");
    };
    fails("m.json", "{", "`m.json` cannot be read: EOF while parsing");
    fails("m.jsonl", "{}\n{", "`m.jsonl` cannot be read: line 2: EOF");
    fails("m.yaml", "a: [", "`m.yaml` cannot be read: ");
    fails("m.json", "[{\"name\": \"a\"}]", "`m.json` is none of the forms that a catalog may have");
    fails("m.json", "7", "`m.json` is none of the forms that a catalog may have");
    fails("m.json", "[]", "the catalog holds no model");
    fails(
        "m.json",
        r#"[{"id": "a", "context": 1}, {"id": "b", "context": "8k"}]"#,
        "`m.json` entry 2: column `context` holds `8k`",
    );
    fails("m.json", r#"[{"id": "a"}, {"id": "a"}]"#, "`m.json` has `a` on entry 1 and again on entry 2");
}
