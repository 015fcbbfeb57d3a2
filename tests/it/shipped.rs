//! The content that comes with the program.

use std::path::Path;

use crate::env::Project;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn shipped_pipelines_have_no_problem() {
    let project = Project::empty();
    for file in [
        "pipelines/therapy.yaml",
        "examples/calibrated/pipeline.yaml",
        "examples/refunds/pipeline.yaml",
        "examples/suite/pipeline.yaml",
        "examples/tone/pipeline.yaml",
        "examples/checks/pipeline.yaml",
        "examples/choice/pipeline.yaml",
        "examples/panel/pipeline.yaml",
        "examples/panel/pairs.yaml",
        "examples/weights/pipeline.yaml",
        "examples/finetune/pipeline.yaml",
        "examples/finetune/unchanged.yaml",
        "examples/early/pipeline.yaml",
    ] {
        let file = root().join(file);
        let output = project.run(&["validate", file.to_str().unwrap()]).exits(0);
        assert!(output.stderr.contains("ok, "), "{output}");
        assert!(!output.stderr.contains("problem"), "{output}");
    }
}

#[test]
fn what_the_readme_shows_is_there() {
    let readme = fs_err::read_to_string(root().join("README.md")).unwrap();
    for word in readme.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c))) {
        let looks_like_a_path = ["pipelines/", "rubrics/", "scenarios/", "catalog/", "examples/", "scripts/"]
            .iter()
            .any(|directory| word.starts_with(directory) && word.len() > directory.len());
        if looks_like_a_path {
            assert!(root().join(word).exists(), "the README names {word}");
        }
    }
    for command in ["make demo", "make test"] {
        assert!(readme.contains(command));
    }
}
