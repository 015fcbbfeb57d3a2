//! Results that are computed again as a whole: weights and research. Rows are tested with the whole program.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::fetch::gguf::sample::Sample;
use crate::plan::bless;
use crate::spec::{Disk, Loaded, load};
use crate::store::Tally;

#[test]
fn lines_are_told_apart_by_how_many_there_are() {
    let check = |inputs, outputs, expected| assert_eq!(lines_each(inputs, outputs).ok(), expected);
    check(5, 5, Some(1));
    check(5, 15, Some(3));
    check(0, 0, Some(1));
    check(5, 4, None);
    check(5, 7, None);
    check(0, 3, None);
    check(5, 0, None);
}

const PIPELINE: &str = "\
evalflow: 1
name: p
stages:
  candidates: { research: { catalog: [c.csv], shortlist: 1 } }
  weights: { pull: { from: \"file:w.gguf\" } }
";

struct Project {
    directory: TempDir,
    pipeline: Pipeline,
    store: Arc<Store>,
}

impl Project {
    /// A project whose stages have run.
    async fn run() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |name: &str, bytes: &[u8]| fs_err::write(root.join(name), bytes).unwrap();
        write("p.yaml", PIPELINE.as_bytes());
        write("c.csv", b"id,params_b,type,license,context,ifeval\na/one,7,chat,apache-2.0,8192,50\n");
        write("w.gguf", &Sample::default().write());
        let loaded = load(&root.join("p.yaml"), root, &Disk, &BTreeMap::new());
        let Loaded { pipeline, warnings: _ } = loaded.unwrap_or_else(|problems| panic!("{problems:?}"));
        let store = Arc::new(Store::open(&root.join("cache")).unwrap());
        let project = Self { directory, pipeline, store };
        let graph = Graph::new(&project.pipeline);
        let run = crate::exec::Run {
            pipeline: &project.pipeline,
            graph: &graph,
            selection: &crate::plan::Selection::default(),
            store: &project.store,
            engines: &Engines::default(),
            now: 0,
            refresh: false,
            keep_going: false,
            events: &|_| {},
        };
        let ended = crate::exec::run(&run, std::future::pending()).await;
        assert!(ended.stages.iter().all(|stage| stage.receipt().is_some()), "{ended:?}");
        project
    }

    fn blessed(&self) -> Lock {
        bless(&self.pipeline, &Graph::new(&self.pipeline), &self.store).unwrap()
    }

    fn weights(&self, lock: &Lock) -> std::path::PathBuf {
        self.store.object_path(&lock.weights.values().next().unwrap().blake3)
    }

    async fn check(&self, lock: &Lock, candidates: &str, weights: &str) {
        let (graph, engines) = (Graph::new(&self.pipeline), Engines::default());
        let work = Verify {
            pipeline: &self.pipeline,
            graph: &graph,
            store: &self.store,
            lock,
            engines: &engines,
            sample: None,
            seed: 0,
            told: &|_| {},
        };
        let verified = verify(&work).await.unwrap();
        let told = |id: &str| {
            let stage = verified.stages.iter().find(|stage| stage.id.as_str() == id).unwrap();
            match &stage.found {
                Found::Same => "same".to_owned(),
                Found::Other { .. } => "other".to_owned(),
                Found::Rows(_) => "rows".to_owned(),
                Found::NotVerified(failure) => failure.to_string(),
            }
        };
        assert_eq!((told("candidates").as_str(), told("weights").as_str()), (candidates, weights));
        assert_eq!(verified.is_identical(), candidates == "same" && weights == "same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_read_and_not_taken_from_memory() {
    let project = Project::run().await;
    let lock = project.blessed();
    project.check(&lock, "same", "same").await;

    let path = project.weights(&lock);
    let whole = fs_err::read(&path).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    overwrite(&path, &damaged);
    project.check(&lock, "same", "other").await;
    overwrite(&path, &whole);
    project.check(&lock, "same", "same").await;

    fs_err::remove_file(&path).unwrap();
    // Neither the object nor the file that it came from.
    fs_err::remove_file(project.directory.path().join("w.gguf")).unwrap();
    project.check(&lock, "same", "the weights are not here, not verified").await;
}

/// An object may be kept read-only, and share its blocks with the file it came from.
fn overwrite(path: &Path, bytes: &[u8]) {
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_edited_is_told() {
    let project = Project::run().await;
    let mut lock = project.blessed();
    lock.weights.values_mut().next().unwrap().bytes += 1;
    let told = "the lock's weights are not those of the result that it names: it was edited";
    project.check(&lock, "same", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_does_not_follow_from_its_inputs_is_another() {
    let project = Project::run().await;
    let id = StageId::new("candidates").unwrap();
    let (pipeline, store) = (&project.pipeline, &project.store);
    let settled = crate::plan::Settled::new(pipeline, store);
    let recipe = stage::recipe(pipeline, &pipeline.stages[&id], &settled).unwrap();
    let receipt = Receipt {
        output: store.put(b"{}").unwrap(),
        tally: Tally::default(),
        ..store.receipt(&recipe.key()).unwrap().unwrap()
    };
    store.replace_receipt(&recipe, &receipt).unwrap();
    project.check(&project.blessed(), "other", "same").await;
}
