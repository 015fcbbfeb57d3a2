//! A model as the Hugging Face Hub lists it, and the row of a catalog that it becomes.
//!
//! The hub's documents are written by whoever uploaded a model: what does not have the form that it should is as good as
//! not there, and what the hub does not say stays empty. Start at [`Listing::row`].

use serde_json::{Map, Value, json};

use super::licenses::allows_commercial_use;
use crate::spec::{HubSearch, Range, is_date};

/// Longest text that is taken over into a cell, in characters.
const LONGEST: usize = 200;

/// What the hub gives as the time of creation of everything that is older than its records.
const BEFORE_RECORDS: &str = "2022-03-02T23:29:04";

/// Tags of weights that are packed, so that the hub's count of their elements is not that of parameters.
const PACKED: &[&str] = &["gptq", "awq", "compressed-tensors", "bitsandbytes", "4-bit", "8-bit", "fp8", "exl2"];

/// A model as the hub lists it.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    id: &'a str,
    about: &'a Value,
}

impl<'a> Listing<'a> {
    /// Takes one model of the hub's list; none where it has no name of the form `organisation/name`.
    #[must_use]
    pub fn new(about: &'a Value) -> Option<Self> {
        let id = about["id"].as_str().or_else(|| about["modelId"].as_str())?;
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        let (organisation, name) = id.split_once('/')?;
        (plain(organisation) && plain(name)).then_some(Self { id, about })
    }

    /// The repository.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The paths of its files.
    #[must_use]
    pub fn files(&self) -> Vec<&'a str> {
        let siblings = self.about["siblings"].as_array().map(Vec::as_slice).unwrap_or_default();
        siblings.iter().filter_map(|sibling| sibling["rfilename"].as_str()).collect()
    }

    /// Whether it is among those that a search is for, as far as the hub's own filters may have let another one pass. A
    /// model of unknown size is not within a range.
    #[must_use]
    pub fn is_for(&self, search: &HubSearch) -> bool {
        let HubSearch { search: _, pipeline_tag, license, params_b, gguf, limit: _ } = search;
        let is_within = |range: &Range| {
            self.params_b().is_some_and(|number| {
                range.min.is_none_or(|min| number >= min) && range.max.is_none_or(|max| number <= max)
            })
        };
        let same = |wanted: &Option<String>, found: Option<String>| {
            wanted.as_ref().is_none_or(|wanted| found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        let tag = format!("license:{}", license.as_deref().unwrap_or_default());
        params_b.as_ref().is_none_or(is_within)
            && same(pipeline_tag, text(&self.about["pipeline_tag"]))
            && (self.has_tag(&tag) || same(license, self.license()))
            && (!gguf || self.files().iter().any(|file| file.ends_with(".gguf")))
    }

    /// The row of a catalog; `weights` is where its weights can be had.
    #[must_use]
    pub fn row(&self, weights: Option<&str>) -> Value {
        let about = self.about;
        let gguf = &about["gguf"];
        let day = |value: &Value| {
            let day = value.as_str().filter(|time| !time.starts_with(BEFORE_RECORDS))?.get(..10)?;
            is_date(day).then(|| day.to_owned())
        };
        let license = self.license();
        let commercial = license.as_deref().and_then(allows_commercial_use);
        let commercial = commercial.map_or("unknown", |allows| if allows { "yes" } else { "no" });
        let is_gated = matches!(&about["gated"], Value::Bool(true) | Value::String(_));
        let architecture = text(&gguf["architecture"]).or_else(|| text(&about["config"]["architectures"][0]));
        let cells = [
            ("id", Some(json!(self.id))),
            ("params_b", self.params_b().map(|number| json!(number))),
            ("type", Some(json!(self.kind()))),
            ("license", license.map(|license| json!(license))),
            ("license_commercial", Some(json!(commercial))),
            ("license_note", is_gated.then(|| json!("its terms must be accepted on the hub"))),
            ("context", gguf["context_length"].as_u64().filter(|tokens| *tokens > 0).map(|tokens| json!(tokens))),
            ("architecture", architecture.map(|name| json!(name))),
            ("chat_template", self.has_template().map(|has| json!(has))),
            ("release_date", day(&about["createdAt"]).map(|day| json!(day))),
            ("hf_downloads", about["downloads"].as_u64().map(|count| json!(count))),
            ("source", Some(json!("hub"))),
            ("source_date", day(&about["lastModified"]).map(|day| json!(day))),
            ("weights", weights.map(|weights| json!(weights))),
        ];
        let known = cells.into_iter().filter_map(|(name, cell)| Some((name.to_owned(), cell?)));
        Value::Object(known.collect::<Map<_, _>>())
    }

    fn tags(&self) -> impl Iterator<Item = &'a str> {
        self.about["tags"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.tags().any(|found| found.eq_ignore_ascii_case(tag))
    }

    /// Parameters in billions. The header of a GGUF file counts them, whatever their quantisation.
    fn params_b(&self) -> Option<f64> {
        let is_packed = PACKED.iter().any(|tag| self.has_tag(tag));
        let count = |value: &Value| value["total"].as_u64().filter(|total| *total > 0);
        let elements = || count(&self.about["safetensors"]).filter(|_| !is_packed);
        let total = count(&self.about["gguf"]).or_else(elements)?;
        #[expect(clippy::cast_precision_loss, reason = "a number with a fraction is what is asked for")]
        Some(total as f64 / 1e9)
    }

    /// The licence, by its own name where the hub knows it only as another one.
    fn license(&self) -> Option<String> {
        let card = &self.about["cardData"];
        let stated = match &card["license"] {
            Value::Array(all) if all.len() == 1 => text(&all[0]),
            Value::Array(all) => {
                let all: Vec<String> = all.iter().filter_map(text).collect();
                (!all.is_empty()).then(|| all.join("; "))
            }
            one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => text(one),
        };
        let tagged = || self.tags().find_map(|tag| tag.strip_prefix("license:")).map(ToOwned::to_owned);
        let license = stated.or_else(tagged)?;
        let own_name = if license == "other" { text(&card["license_name"]) } else { None };
        Some(own_name.unwrap_or(license))
    }

    /// Whether it has a template for conversations; none where the hub looked at no file that would say so.
    fn has_template(&self) -> Option<bool> {
        let (gguf, tokenizer) = (&self.about["gguf"], &self.about["config"]["tokenizer_config"]);
        let has = |holder: &Value| holder.is_object().then(|| !holder["chat_template"].is_null());
        has(gguf).or_else(|| has(tokenizer))
    }

    /// The catalog's `type`. The hub says what a repository was made from, and whether it takes conversations.
    fn kind(&self) -> &'static str {
        let made_by = |how: &str| self.tags().find_map(|tag| tag.strip_prefix("base_model:")?.strip_prefix(how));
        let sees = ["image-text-to-text", "any-to-any", "audio-text-to-text", "video-text-to-text"];
        if sees.iter().any(|task| self.about["pipeline_tag"] == *task) {
            return "multimodal";
        }
        if made_by("merge:").is_some() || self.has_tag("merge") {
            return "merge";
        }
        let publisher = |id: &str| id.split('/').next().map(str::to_ascii_lowercase);
        let takes_conversations = self.has_tag("conversational") || self.has_template() == Some(true);
        match made_by("finetune:") {
            Some(base) if publisher(base) != publisher(self.id) || !takes_conversations => "fine-tuned",
            Some(_) | None if takes_conversations => "chat",
            Some(_) | None => "base",
        }
    }
}

/// A text on one line, if it is one and no longer than a cell should be.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let is_plain = !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(about: &Value) -> Value {
        Listing::new(about).unwrap().row(None)
    }

    #[test]
    fn what_the_hub_says_becomes_cells() {
        let about = json!({
            "id": "acme/tiny-GGUF", "pipeline_tag": "text-generation", "downloads": 7, "gated": "auto",
            "tags": ["gguf", "conversational", "license:apache-2.0", "base_model:quantized:acme/tiny"],
            "createdAt": "2025-03-04T05:06:07.000Z", "lastModified": "2025-04-05T00:00:00.000Z",
            "cardData": { "license": "apache-2.0" }, "siblings": [{ "rfilename": "tiny-Q4_K_M.gguf" }],
            "gguf": { "total": 1_500_000_000_u64, "architecture": "llama", "context_length": 8192, "chat_template": "{{ x }}" },
        });
        let listing = Listing::new(&about).unwrap();
        assert_eq!(listing.files(), ["tiny-Q4_K_M.gguf"]);
        assert_eq!(
            listing.row(Some("hf:acme/tiny-GGUF:Q4_K_M")),
            json!({
                "id": "acme/tiny-GGUF", "params_b": 1.5, "type": "chat", "license": "apache-2.0",
                "license_commercial": "yes", "license_note": "its terms must be accepted on the hub", "context": 8192,
                "architecture": "llama", "chat_template": true, "release_date": "2025-03-04", "hf_downloads": 7,
                "source": "hub", "source_date": "2025-04-05", "weights": "hf:acme/tiny-GGUF:Q4_K_M",
            })
        );
    }

    #[test]
    fn what_is_not_said_or_makes_no_sense_stays_empty() {
        let bare = json!({ "id": "a/b", "type": "base", "license_commercial": "unknown", "source": "hub" });
        assert_eq!(row(&json!({ "id": "a/b" })), bare);
        let odd = json!({
            "id": "a/b", "downloads": "many", "createdAt": "2022-03-02T23:29:04.000Z", "lastModified": "soon",
            "cardData": { "license": { "x": 1 } }, "siblings": "none", "gguf": null, "tags": [1, null], "gated": false,
            "safetensors": { "total": -1 }, "config": { "architectures": ["a\nb"] },
        });
        assert_eq!(row(&odd), bare);
        for id in [json!(null), json!("gpt2"), json!("a/b/c"), json!("a/b c"), json!("/b")] {
            assert!(Listing::new(&json!({ "id": id })).is_none(), "{id}");
        }
    }

    #[test]
    fn packed_weights_do_not_count_parameters() {
        let size = |tags: &[&str]| {
            row(&json!({ "id": "a/b", "safetensors": { "total": 2_000_000_000_u64 }, "tags": tags }))["params_b"]
                .clone()
        };
        assert_eq!((size(&[]), size(&["4-bit", "gptq"])), (json!(2.0), Value::Null));
    }

    #[test]
    fn licences_have_their_own_names() {
        let license = |card: Value| {
            let row = row(&json!({ "id": "a/b", "cardData": card, "tags": ["license:mit"] }));
            (row["license"].clone(), row["license_commercial"].clone())
        };
        let pair = |license: &str, commercial: &str| (json!(license), json!(commercial));
        assert_eq!(license(json!({})), pair("mit", "yes"));
        assert_eq!(license(json!({ "license": ["cc-by-nc-4.0"] })), pair("cc-by-nc-4.0", "no"));
        assert_eq!(license(json!({ "license": ["mit", "gemma"] })), pair("mit; gemma", "unknown"));
        assert_eq!(license(json!({ "license": "other", "license_name": "deepseek" })), pair("deepseek", "unknown"));
    }

    #[test]
    fn types_are_told_by_what_a_model_was_made_from() {
        let check = |task: &str, tags: &[&str], expected: &str| {
            let row = row(&json!({ "id": "acme/tiny", "pipeline_tag": task, "tags": tags }));
            assert_eq!(row["type"], expected, "{task} {tags:?}");
        };
        check("text-generation", &[], "base");
        check("text-generation", &["conversational"], "chat");
        check("text-generation", &["conversational", "base_model:finetune:Acme/tiny-base"], "chat");
        check("text-generation", &["conversational", "base_model:finetune:other/base"], "fine-tuned");
        check("text-generation", &["base_model:finetune:acme/base"], "fine-tuned");
        check("text-generation", &["conversational", "base_model:merge:a/b"], "merge");
        check("image-text-to-text", &["conversational"], "multimodal");
    }

    #[test]
    fn what_the_hub_let_pass_is_looked_at_again() {
        let search = HubSearch {
            search: None,
            pipeline_tag: Some("text-generation".to_owned()),
            license: Some("mit".to_owned()),
            params_b: Some(Range { min: Some(1.0), max: Some(9.0) }),
            gguf: true,
            limit: 1,
        };
        let good = json!({
            "id": "a/b", "pipeline_tag": "text-generation", "tags": ["license:mit"],
            "gguf": { "total": 1_000_000_000_u64 }, "siblings": [{ "rfilename": "x.gguf" }],
        });
        assert!(Listing::new(&good).unwrap().is_for(&search));
        for (member, value) in [
            ("pipeline_tag", json!("feature-extraction")),
            ("tags", json!(["license:gemma"])),
            ("gguf", json!({ "total": 9_100_000_000_u64 })),
            ("gguf", json!(null)),
            ("siblings", json!([{ "rfilename": "x.safetensors" }])),
        ] {
            let mut other = good.clone();
            other[member] = value;
            assert!(!Listing::new(&other).unwrap().is_for(&search), "{member}");
        }
    }
}
