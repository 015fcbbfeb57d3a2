//! What keeps the house in order: layers, sizes, documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The module of the crate that a file of `src/` belongs to.
fn module_of(file: &Path) -> String {
    let first = file.strip_prefix(root().join("src")).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Module → the modules it may use, read from the table in `ARCHITECTURE.md`.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs_err::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let names =
            |cell: &str| cell.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        (cells[0].trim_matches('`').to_owned(), names(cells[3]))
    })
    .collect()
}

/// What comes before a file's unit tests: those may use what they like.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

/// The names after `crate::` in a text, also inside of `use crate::{…}`.
fn crate_uses(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !name.is_empty() {
            used.insert(name);
        }
    }
    used
}

fn is_test_file(file: &Path) -> bool {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let is_vectors = file.starts_with(root().join("src/stats/vectors"));
    is_vectors || ["tests", "fixture", "contract", "test_server", "server"].contains(&name)
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table = table();
    let mut met = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in sources(&root().join("src")).into_iter().filter(|file| !is_test_file(file)) {
        let module = module_of(&file);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        met.insert(module.clone());
        let Some(allowed) = table.get(&module) else {
            wrong.push(format!("`{module}` is not in the table of ARCHITECTURE.md"));
            continue;
        };
        let text = fs_err::read_to_string(&file).unwrap();
        for used in crate_uses(without_tests(&text)) {
            if used != module
                && table.contains_key(&used)
                && !allowed.contains(&used)
                && !allowed.contains("everything")
            {
                wrong.push(format!("{}: `{module}` may not use `{used}`", file.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(met, table.into_keys().collect(), "the table lists the modules there are");
}

#[test]
fn the_table_has_no_cycle() {
    let table = table();
    let mut placed = BTreeSet::new();
    while placed.len() < table.len() {
        let next = table.iter().find(|(module, uses)| {
            !placed.contains(*module)
                && (uses.contains("everything") && placed.len() == table.len() - 1
                    || uses.iter().all(|used| placed.contains(used)))
        });
        let Some((module, _)) = next else {
            panic!(
                "these use each other: {:?}",
                table.keys().filter(|module| !placed.contains(*module)).collect::<Vec<_>>()
            );
        };
        placed.insert(module.clone());
    }
}

#[test]
fn some_crates_have_one_home() {
    let homes = [
        ("petgraph", &["plan"][..]),
        ("rusqlite", &["store"]),
        ("miette", &["cli"]),
        ("indicatif", &["cli"]),
        ("clap", &["cli"]),
        ("reqwest", &["net", "engine", "fetch"]),
        ("llama_cpp_2", &["engine"]),
        ("object_store", &["fetch"]),
        ("serde_saphyr", &["spec", "lock"]),
    ];
    for file in sources(&root().join("src")) {
        let module = module_of(&file);
        let text = fs_err::read_to_string(&file).unwrap();
        for (name, home) in homes {
            let uses = text.contains(&format!("{name}::")) || text.contains(&format!("use {name}"));
            assert!(!uses || home.contains(&module.as_str()), "{} uses `{name}`", file.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_owns_one_thing() {
    for directory in ["src", "tests"] {
        for file in sources(&root().join(directory)) {
            let text = fs_err::read_to_string(&file).unwrap();
            assert!(text.starts_with("//! "), "{} begins with what it is for", file.display());
            let lines = text.lines().count();
            assert!(lines <= 700, "{} has {lines} lines: split it by what it owns", file.display());
        }
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let main = fs_err::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for file in sources(&root().join("tests/it")) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "main" || main.contains(&format!("mod {name};")), "tests/it/{name}.rs is not in main.rs");
    }
}
