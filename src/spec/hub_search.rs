//! A search of the Hugging Face Hub as a catalog: which models are asked for.

use std::fmt;

use super::research::Range;

/// A catalog of a `research` stage.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogFrom {
    /// A file, relative to the root.
    File(std::path::PathBuf),
    /// What a search of the hub finds.
    Hub(HubSearch),
}

/// `hub: {...}`: the most downloaded models that meet all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HubSearch {
    /// Words in the name of the repository.
    pub search: Option<String>,
    /// What the models are for, in the hub's words: `text-generation`.
    pub pipeline_tag: Option<String>,
    /// Their licence, as the hub calls it: `apache-2.0`.
    pub license: Option<String>,
    /// Parameters in billions, inclusive.
    pub params_b: Option<Range>,
    /// Whether the repository must have GGUF files, which `pull` can bring.
    pub gguf: bool,
    /// Most models that are asked for, at least 1.
    pub limit: u32,
}

/// One text a search, by which a lock and a report call it.
impl fmt::Display for HubSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { search, pipeline_tag, license, params_b, gguf, limit } = self;
        f.write_str("hub?")?;
        for (name, value) in [("search", search), ("pipeline_tag", pipeline_tag), ("license", license)] {
            if let Some(value) = value {
                write!(f, "{name}={}&", escaped(value))?;
            }
        }
        if let Some(Range { min, max }) = params_b {
            let end = |end: &Option<f64>| end.map_or_else(String::new, |end| end.to_string());
            write!(f, "params_b={}..{}&", end(min), end(max))?;
        }
        if *gguf {
            f.write_str("gguf=true&")?;
        }
        write!(f, "limit={limit}")
    }
}

/// A value as it stands in a query, so that no two searches have one text.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_has_a_text_of_its_own() {
        let any =
            HubSearch { search: None, pipeline_tag: None, license: None, params_b: None, gguf: false, limit: 200 };
        let check = |search: &HubSearch, expected: &str| assert_eq!(search.to_string(), expected);
        check(&any, "hub?limit=200");
        let range = |min, max| Some(Range { min, max });
        let narrow = HubSearch {
            search: Some("Qwen 3&limit=1".to_owned()),
            pipeline_tag: Some("text-generation".to_owned()),
            license: Some("apache-2.0".to_owned()),
            params_b: range(Some(0.5), Some(9.0)),
            gguf: true,
            limit: 7,
        };
        check(
            &narrow,
            "hub?search=Qwen%203%26limit%3D1&pipeline_tag=text-generation&license=apache-2.0&params_b=0.5..9&gguf=true&limit=7",
        );
        check(&HubSearch { params_b: range(None, Some(9.0)), ..any }, "hub?params_b=..9&limit=200");
    }
}
