//! The corpus under `tests/pipelines`: files with what is said about them written inside, and files about which nothing
//! is said. `EVALFLOW_BLESS=1` writes the expectations and the page of problems anew; read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use proptest::prelude::*;

use super::*;

fn corpus(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelines").join(directory);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[expect(clippy::disallowed_methods, reason = "only a test asks this, and no result depends on it")]
pub(super) fn is_blessing() -> bool {
    std::env::var("EVALFLOW_BLESS").is_ok_and(|value| value == "1")
}

/// A corpus file taken apart: `#- /path` begins another file, `#- /path size N` one of N bytes, `#- /path bytes` one in
/// which `\xNN` stands for a byte; `# env NAME=value` sets a variable. The weights `/a` and `/b` are always there.
struct Case {
    sources: Memory,
    environment: BTreeMap<String, String>,
    expected: String,
}

const MAIN: &str = "/pipeline.yaml";
const EXPECTATIONS: [&str; 4] = ["# error ", "# warning ", "# other ", "# help "];

fn is_expectation(line: &str) -> bool {
    EXPECTATIONS.iter().any(|start| line.starts_with(start))
}

impl Case {
    fn new(text: &str) -> Self {
        let mut sections: Vec<(String, String)> = vec![(MAIN.to_owned(), String::new())];
        let mut case = Self { sources: Memory::default(), environment: BTreeMap::new(), expected: String::new() };
        for line in text.split_inclusive('\n') {
            if let Some(header) = line.strip_prefix("#- ") {
                sections.push((header.trim().to_owned(), String::new()));
                continue;
            }
            if is_expectation(line) {
                case.expected.push_str(line);
            }
            if let Some((name, value)) = line.strip_prefix("# env ").and_then(|rest| rest.trim_end().split_once('=')) {
                case.environment.insert(name.to_owned(), value.to_owned());
            }
            sections.last_mut().unwrap().1.push_str(line);
        }
        for (header, body) in sections {
            let (path, bytes) = match header.split(' ').collect::<Vec<_>>().as_slice() {
                [path] => (*path, body.into_bytes()),
                [path, "bytes"] => (*path, unescape(&body)),
                [path, "size", size] => (*path, vec![b' '; size.parse().unwrap()]),
                other => panic!("{other:?}"),
            };
            if path == MAIN && bytes.is_empty() {
                continue;
            }
            case.sources.0.insert(PathBuf::from(path), bytes);
        }
        for weights in ["/a", "/b"] {
            case.sources.0.entry(PathBuf::from(weights)).or_default();
        }
        case
    }

    fn problems(&self) -> Vec<Problem> {
        match load(Path::new(MAIN), Path::new("/"), &self.sources, &self.environment) {
            Ok(loaded) => loaded.warnings,
            Err(problems) => problems.into_iter().collect(),
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn show(problems: &[Problem]) -> String {
    let place = |file: &Path, (line, column): (usize, usize)| match file.to_str() {
        Some("pipeline.yaml") => format!("{line}:{column}"),
        _ => format!("{}:{line}:{column}", file.display()),
    };
    let mut out = String::new();
    for problem in problems {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "# {severity} {} {}", place(&problem.file, problem.position()), problem.message).unwrap();
        if let Some(other) = &problem.other {
            writeln!(out, "# other {} {}", place(&other.file, other.position()), other.label).unwrap();
        }
        if let Some(help) = &problem.help {
            writeln!(out, "# help {help}").unwrap();
        }
    }
    out
}

fn code_of(file: &Path) -> &str {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    stem.split('-').next().unwrap()
}

#[test]
fn every_invalid_file_has_exactly_the_problems_it_expects() {
    for file in corpus("invalid") {
        let text = fs::read_to_string(&file).unwrap();
        let case = Case::new(&text);
        // On a build that computes on a graphics processor nobody is warned that there is none.
        if code_of(&file) == Code::NoGpu.name() && load::models::HAS_GPU {
            continue;
        }
        let problems = case.problems();
        let shown = show(&problems);
        if is_blessing() {
            fs::write(&file, blessed(&text, &shown)).unwrap();
        } else {
            assert_eq!(shown, case.expected, "{}", file.display());
        }
        let code = code_of(&file);
        assert!(problems.iter().any(|problem| problem.code.name() == code), "{} lacks its code", file.display());
        for problem in &problems {
            assert_sound(problem);
        }
    }
}

/// Puts the expectations at the end of the first section, where they move nothing.
fn blessed(text: &str, shown: &str) -> String {
    let kept: String = text.split_inclusive('\n').filter(|line| !is_expectation(line)).collect();
    let end = kept.find("#- ").unwrap_or(kept.len());
    format!("{}{shown}{}", &kept[..end], &kept[end..])
}

/// House rules for texts that people read, and spans that can be drawn.
fn assert_sound(problem: &Problem) {
    assert!(problem.source.get(problem.span.clone()).is_some(), "{problem:?}");
    let help = problem.help.as_ref().expect("every problem says how to mend it");
    for text in [&problem.message, help] {
        assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('\n'), "{text}");
    }
    assert!(problem.label.chars().count() <= 40, "{}", problem.label);
    if let Some(other) = &problem.other {
        assert!(other.source.get(other.span.clone()).is_some(), "{problem:?}");
        assert!(!other.label.is_empty());
    }
}

#[test]
fn every_code_has_a_case_and_a_name_of_its_own() {
    let cases: BTreeSet<String> = corpus("invalid").iter().map(|file| code_of(file).to_owned()).collect();
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.name().to_owned()).collect();
    assert_eq!(cases, codes);
    assert_eq!(codes.len(), Code::ALL.len());
}

#[test]
fn valid_files_load_silently() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in corpus("valid") {
        let loaded = load(&file, root, &Disk, &BTreeMap::new());
        match loaded {
            Ok(loaded) => assert_eq!(show(&loaded.warnings), "", "{}", file.display()),
            Err(problems) => panic!("{}:\n{}", file.display(), show(problems.as_slice())),
        }
    }
}

#[test]
fn the_page_of_problems_is_current() {
    let cases = corpus("invalid");
    let mut page = String::from(
        "# Problems\n\nWhat `evalflow validate` can say about a pipeline and the files it names. This page is written by a test; \
         every example has what is said about it at the end of its first part.\n",
    );
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(page, "\n## `{code}`\n\n{} ({severity})\n\nFix: {}.\n\n", code.explanation(), code.fix()).unwrap();
        let names: Vec<&str> = cases
            .iter()
            .filter(|file| code_of(file) == code.name())
            .map(|file| file.file_name().unwrap().to_str().unwrap())
            .collect();
        let links: Vec<String> =
            names.iter().map(|name| format!("[{name}](../tests/pipelines/invalid/{name})")).collect();
        writeln!(page, "Example: {}", links.join(", ")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/problems.md");
    if is_blessing() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let current = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(current, page, "run the tests with EVALFLOW_BLESS=1");
}

fn memory(files: &[(&str, &str)]) -> Memory {
    Memory(files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect())
}

fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(Path::new(MAIN), Path::new("/"), &memory(&[(MAIN, text), ("/x", ""), ("/$x", "")]), &environment)
}

fn codes(result: Result<Loaded, Problems>) -> Vec<Code> {
    match result {
        Ok(loaded) => loaded.warnings.iter().map(|problem| problem.code).collect(),
        Err(problems) => problems.into_iter().map(|problem| problem.code).collect(),
    }
}

const FULL: &str = include_str!("../../tests/pipelines/valid/therapy.yaml");

#[test]
fn the_whole_of_a_pipeline_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("tests/pipelines/valid/therapy.yaml");
    let environment = BTreeMap::from([("JUDGE_API_KEY".to_owned(), "sk-1".to_owned())]);
    let Loaded { pipeline, warnings } = load(&file, root, &Disk, &environment).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(pipeline.file, Path::new("tests/pipelines/valid/therapy.yaml"));
    assert_eq!(
        pipeline.stages.keys().map(|id| id.as_str()).collect::<Vec<_>>(),
        ["candidates", "weights", "scenarios", "answers", "verdicts", "decision"]
    );
    let Model::OpenAi(judge) = &pipeline.models[0] else { panic!() };
    assert_eq!(judge.base_url, "http://127.0.0.1:8080/v1");
    assert_eq!(judge.api_key.as_ref().map(Secret::expose), Some("sk-1"));
    let [
        Stage::Research(research),
        Stage::Pull(pull),
        Stage::Generate(generate),
        Stage::Infer(infer),
        Stage::Judge(verdicts),
        Stage::Decide(decide),
    ] = pipeline.stages.values().collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    assert_eq!(research.require.params_b, Some(Range { min: Some(7.0), max: Some(10.0) }));
    assert!(research.require.commercial_license && !research.require.official);
    assert_eq!(research.require.fits, Some(Fits::inference(24 << 30, 8192)));
    assert_eq!(
        research.profile.prefer.iter().collect::<Vec<_>>(),
        [(&"ifeval".to_owned(), &3.0), (&"bbh".to_owned(), &1.0)]
    );
    assert!(matches!(&pull.from, PullFrom::Candidate { stage, pick: Pick::Primary } if stage.as_str() == "candidates"));
    let generate = generate.expand().unwrap();
    assert_eq!((generate.count, generate.seed, generate.styles.len()), (Some(50), 7, 3));
    assert_eq!(generate.taxonomy.topics.len(), 8);
    assert_eq!(infer.prompt.source(), "{{ scenario.opening }}");
    assert_eq!((infer.max_tokens, infer.context), (200, None));
    assert!(infer.system.is_some());
    assert_eq!(verdicts.models, [ModelRef::Declared(crate::ids::ModelName::new("judge").unwrap())]);
    assert_eq!(verdicts.rubric.criteria.len(), 14);
    assert_eq!((decide.deploy, decide.fine_tune, decide.gate), (0.70, 0.50, None));
}

#[test]
fn variables_become_numbers_and_words_where_those_are_asked_for() {
    let text = "evalflow: ${V}\nname: x\nmodels:\n  m: { scripted: { otherwise: '', delay_ms: \"${D:-5}\" } }\nstages: { a: { pull: { from: '${F}' } } }\n";
    let Loaded { pipeline, .. } = load_text(text, &[("V", "1"), ("F", "file:$x")]).unwrap();
    assert!(matches!(&pipeline.models[0], Model::Scripted(scripted) if scripted.delay_ms == 5));
    let Stage::Pull(pull) = &pipeline.stages[0] else { panic!() };
    assert!(matches!(&pull.from, PullFrom::Source(source) if source.to_string() == "file:$x"));
}

#[test]
fn an_empty_key_is_no_key() {
    for environment in [&[][..], &[("K", "")], &[("K", " ")]] {
        let text = "evalflow: 1\nname: x\nmodels:\n  m: { openai: { base_url: 'http://h/', model: m, api_key: '${K:-}' } }\nstages: { a: { pull: { from: 'file:x' } } }\n";
        let Loaded { pipeline, .. } = load_text(text, environment).unwrap();
        assert!(
            matches!(&pipeline.models[0], Model::OpenAi(openai) if openai.api_key.is_none() && openai.base_url == "http://h")
        );
    }
}

#[test]
fn a_path_beside_the_pipeline_is_told_from_one_at_the_root() {
    let text = "evalflow: 1\nname: x\nstages: { s: { generate: { taxonomy: t.yaml } } }\n";
    let sources = memory(&[("/p/x.yaml", text), ("/p/t.yaml", "")]);
    let problems = load(Path::new("/p/x.yaml"), Path::new("/"), &sources, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        show(problems.as_slice()),
        "# error p/x.yaml:3:38 there is no file `t.yaml`\n# help paths start at the project's root, `/`: write `p/t.yaml`\n"
    );
    let problems = load(Path::new("/none.yaml"), Path::new("/"), &sources, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        show(problems.as_slice()),
        "# error none.yaml:1:1 there is no file `none.yaml`\n# help check the path and who may read the file\n"
    );
}

/// Whatever is wrong around it, a credential is in no text that somebody may see.
#[test]
fn credentials_are_never_shown() {
    const SECRET: &str = "hunter2";
    let around = |key: &str| {
        format!(
            "evalflow: 1\nname: [x]\nmodels:\n  m: {{ openai: {{ model: m, {key} }} }}\nstages:\n  a: {{ pul: {{}} }}\n"
        )
    };
    let texts = [
        around("base_url: 'http://h', api_key: hunter2"),
        around("base_url: 'http://h', api_key: \"hunter2 and hunter2\""),
        around("base_url: 'http://h', api_key: [hunter2]"),
        around("base_url: 'http://h', api_key: { a: hunter2 }"),
        around("base_url: 'http://h', api_key: 'x${S}hunter2'"),
        around("base_url: 'http://h', api_key: '${S:-hunter2}'"),
        around("base_url: 'http://h', api_key: '${hunter2'"),
        around("base_url: 'http://h', apikey: hunter2"),
        around("base_url: 'https://me:hunter2@h/v1'"),
        around("base_url: 'https://hunter2@h/v1'"),
        around("base_url: 'https://h/v1?api_key=hunter2'"),
        around("base_url: '${URL}'"),
        around("base_url: 'http://h', api_key: '${S}', concurrency: '${S}', timeout: '${S}', retries: '${S}'"),
        around("base_url: '${S}', api_key: &k hunter2, model: *k"),
        "evalflow: 1\nmodels:\n  m: { openai: { api_key: hunter2, ] }\n".to_owned(),
        "evalflow: 1\nmodels:\n  m:\n    openai:\n      api_key: >-\n        hunter2\n      base_url: [\n".to_owned(),
        "evalflow: 1\nname: \"x\n# api_key: hunter2\n".to_owned(),
        "evalflow: 1\n# api_key: hunter2\n".to_owned(),
        "evalflow: 1\nname: x\nstages:\n  a: { pull: { from: 'https://me:hunter2@h/x' } }\n".to_owned(),
        "evalflow: 1\nname: x\nstages:\n  a: { pull: { from: '${S}', sha256: '${S}' } }\n  b: { decide: { verdicts: 'a.${S}', gate: '${S}', deploy: '${S}' } }\n  c: { generate: { taxonomy: '${S}', styles: ['${S}'] } }\n  d: { pull: { model: '${S}' } }\n  e: { research: { catalog: ['${S}'], require: { params_b: '${S}', fits: { memory: '${S}', context: '${S}' } } } }\n".to_owned(),
        "evalflow: 1\nname: x\nmodels: { m: { scripted: { replies: [{ match: '(${S}', reply: '' }] } } }\nstages: { a: { pull: { from: 'file:x' } } }\n".to_owned(),
    ];
    let environment = [("S", SECRET), ("URL", "https://me:hunter2@h/")];
    for text in texts {
        let problems = load_text(&text, &environment).expect_err(&text);
        assert!(!format!("{problems:?} {problems}").contains(SECRET), "{text}{}", show(problems.as_slice()));
        for problem in &problems {
            assert!(!format!("{problem} {problem:#?}").contains(SECRET), "{text}");
        }
    }
}

#[test]
fn covered_text_keeps_its_places() {
    let text = "evalflow: 1\nname: x\nmodels:\n  m: { openai: { base_url: 'http://h', api_key: sk-é1, model: m, top: 1 } }\nstages: { a: { pull: { from: 'file:x' } } }\n";
    let problems = load_text(text, &[]).unwrap_err();
    let problem = problems.as_slice().iter().find(|problem| problem.code == Code::UnknownField).unwrap();
    assert_eq!(&problem.source[problem.span.clone()], "top");
    assert_eq!(problem.source.len(), text.len());
    let secret = problems.as_slice().iter().find(|problem| problem.code == Code::SecretInFile).unwrap();
    assert_eq!(&secret.source[secret.span.clone()], "******");
}

#[test]
fn a_limit_with_a_typing_error_is_shown() {
    let text = "evalflow: 1\nname: x\nstages: { a: { pull: { from: 'file:x', max_token: 50 } } }\n";
    let problems = load_text(text, &[]).unwrap_err();
    assert_eq!(&*problems.as_slice()[0].source, text);
    let text = text.replace("50", "hf_hunter2");
    let problems = load_text(&text, &[]).unwrap_err();
    assert_eq!(&*problems.as_slice()[0].source, text.replace("hf_hunter2", "**********"));
}

#[test]
fn hostile_files_are_refused_quickly() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (last, next) in ('a'..'j').zip('b'..='j') {
        writeln!(bomb, "{next}: &{next} [{}]", vec![format!("*{last}"); 10].join(", ")).unwrap();
    }
    let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 1000].join(", "));
    let block = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
    for text in
        ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000), block, bomb, wide]
    {
        assert_eq!(codes(load_text(&text, &[])), [Code::TooComplex], "{}", &text[..20]);
    }
    // A chain of stages is followed without recursion.
    let chain: String = (0..5_000).map(|at| format!("  s{at}: {{ pull: {{ model: s{} }} }}\n", at + 1)).collect();
    let found = codes(load_text(&format!("evalflow: 1\nname: x\nstages:\n{chain}"), &[]));
    assert_eq!(found.len(), 5_000);
    let ring = format!("evalflow: 1\nname: x\nstages:\n{chain}  s5000: {{ pull: {{ model: s0 }} }}\n");
    assert_eq!(codes(load_text(&ring, &[])), [Code::Cycle]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let text = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    struct Overlay(Vec<u8>);
    impl Sources for Overlay {
        fn read(&self, path: &Path) -> Result<Vec<u8>, std::io::Error> {
            if path == Path::new(MAIN) { Ok(self.0.clone()) } else { Disk.read(path) }
        }
        fn exists(&self, path: &Path) -> bool {
            Disk.exists(path)
        }
    }
    let loaded = load(Path::new(MAIN), root, &Overlay(text.into_bytes()), &BTreeMap::new()).unwrap();
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.pipeline.file, Path::new(MAIN));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sources = Memory(BTreeMap::from([(PathBuf::from(MAIN), bytes)]));
        if let Err(problems) = load(Path::new(MAIN), Path::new("/"), &sources, &BTreeMap::new()) {
            problems.as_slice().iter().for_each(assert_sound);
        }
    }

    /// A file cut short, or with a piece taken out or put in, is wrong in some place and is never a crash.
    #[test]
    fn no_damage_makes_it_panic(
        at in 0..FULL.len(),
        removed in 0_usize..60,
        added in "[\\[\\]{}:,&*!|>'\"%@`#$ \\n\\t.a0é-]{0,6}",
        cut in any::<bool>(),
    ) {
        let mut bytes = FULL.as_bytes().to_vec();
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, added.bytes());
        if cut {
            bytes.truncate(at + added.len());
        }
        let sources = Memory(BTreeMap::from([(PathBuf::from(MAIN), bytes)]));
        if let Err(problems) = load(Path::new(MAIN), Path::new("/"), &sources, &BTreeMap::new()) {
            problems.as_slice().iter().for_each(assert_sound);
        }
    }

    /// Damage to the files that a pipeline names.
    #[test]
    fn no_damage_to_a_named_file_makes_it_panic(
        which in 0_usize..3,
        at in any::<prop::sample::Index>(),
        removed in 0_usize..60,
        added in "[\\[\\]{}:,&*!|>'\"%@`#$ \\n\\t.a0é-]{0,6}",
    ) {
        let mut texts = [
            include_str!("../../examples/refunds/scenarios.yaml").as_bytes().to_vec(),
            include_str!("../../examples/refunds/rubric.yaml").as_bytes().to_vec(),
            b"a {{ scenario.opening }}\n{% if scenario.edge_case %}x{% endif %}\n".to_vec(),
        ];
        let text = &mut texts[which];
        let at = at.index(text.len());
        let end = (at + removed).min(text.len());
        text.splice(at..end, added.bytes());
        let pipeline = "evalflow: 1\nname: x\nmodels: { m: { scripted: { otherwise: a } } }\nstages:\n  s: { generate: { taxonomy: t } }\n  a: { infer: { model: m, scenarios: s, system: p } }\n  v: { judge: { answers: a, rubric: r, model: m } }\n";
        let [taxonomy, rubric, prompt] = texts;
        let sources = Memory(BTreeMap::from([
            (PathBuf::from(MAIN), pipeline.as_bytes().to_vec()),
            (PathBuf::from("/t"), taxonomy),
            (PathBuf::from("/r"), rubric),
            (PathBuf::from("/p"), prompt),
        ]));
        if let Err(problems) = load(Path::new(MAIN), Path::new("/"), &sources, &BTreeMap::new()) {
            problems.as_slice().iter().for_each(assert_sound);
        }
    }
}

#[test]
fn prices_are_read_and_reckoned() {
    let text = "evalflow: 1\nname: x\nmodels:\n  m: { openai: { base_url: 'http://h', model: m, price: { prompt: 0.15, completion: 0.60 } } }\n  n: { scripted: { otherwise: '', price: { prompt: 1, completion: 0 } } }\n  o: { scripted: { otherwise: '' } }\nstages: { a: { pull: { from: 'file:x' } } }\n";
    let Loaded { pipeline, .. } = load_text(text, &[]).unwrap();
    let price = |name| pipeline.price(&ModelRef::Declared(crate::ids::ModelName::new(name).unwrap()));
    let cost = |name, prompt, completion| price(name).map(|price| format!("{:.6}", price.cost(prompt, completion)));
    assert_eq!(cost("m", 1_000_000, 500_000).as_deref(), Some("0.450000"));
    assert_eq!(cost("m", 0, 0).as_deref(), Some("0.000000"));
    assert_eq!(cost("n", 3, 1_000_000).as_deref(), Some("0.000003"));
    assert_eq!((price("o"), price("unknown")), (None, None));
    assert_eq!(pipeline.price(&ModelRef::weights(crate::ids::StageId::new("a").unwrap())), None);
}
