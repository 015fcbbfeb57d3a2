//! A temporary project to fetch into, and a watch that remembers.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::https::{Manner, Patience, Spread};
use super::pypi::Pip;
use super::transfer::Hasher;
use super::{Access, Bringing, FetchError, Fetched, Kept, Place, Wanted, Watch};
use crate::spec::WeightsSource;

/// A project and how it fetches.
pub(super) struct Bench {
    root: TempDir,
    pub(super) manner: Manner,
    pub(super) pip: Pip,
    pub(super) access: Access,
    /// Files that were brought before, by their sha256.
    pub(super) kept: Vec<(String, Kept)>,
    watch: Remembered,
}

/// What a watch was told.
#[derive(Default)]
pub(super) struct Remembered {
    counted: Mutex<(u64, u64)>,
    notes: Mutex<Vec<String>>,
}

impl Watch for Remembered {
    fn total(&self, bytes: u64) {
        *self.counted.lock().unwrap() = (bytes, 0);
    }

    fn advance(&self, bytes: u64) {
        self.counted.lock().unwrap().1 += bytes;
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let patience = Patience { backoff: Duration::ZERO, retries: 3, ..Patience::default() };
        Self {
            root: tempfile::tempdir().unwrap(),
            // Small, so that small files are spread.
            manner: Manner { patience, spread: Spread { connections: 3, span: 100_000 }, ..Manner::default() },
            pip: Pip { commands: vec![] },
            access: Access::default(),
            kept: Vec::new(),
            watch: Remembered::default(),
        }
    }

    /// A path of the project.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Where files are brought to.
    pub(super) fn partial(&self) -> PathBuf {
        self.path("cache/partial/it")
    }

    pub(super) async fn fetch(&self, source: &WeightsSource, sha256: Option<&str>) -> Result<Fetched, FetchError> {
        self.fetch_watched(source, sha256, &self.watch).await
    }

    pub(super) async fn fetch_watched(
        &self,
        source: &WeightsSource,
        sha256: Option<&str>,
        watch: &dyn Watch,
    ) -> Result<Fetched, FetchError> {
        let kept = |sha256: &str| self.kept.iter().find(|(known, _)| known == sha256).map(|(_, kept)| *kept);
        let wanted = Wanted { source, root: self.root.path(), sha256, kept: &kept };
        let place = Place::acquire(&self.partial(), watch).await?;
        let Self { access, manner, pip, .. } = self;
        Bringing { access, place: &place, watch, manner, pip }.bring(&wanted).await
    }

    /// Who is told of transfers.
    pub(super) fn watch(&self) -> &Remembered {
        &self.watch
    }

    /// The total and the sum of the advances that the last transfer told.
    pub(super) fn counted(&self) -> (u64, u64) {
        *self.watch.counted.lock().unwrap()
    }

    /// All that was noted.
    pub(super) fn notes(&self) -> Vec<String> {
        self.watch.notes.lock().unwrap().clone()
    }

    /// Names of all that lies in the directory of the partial file.
    pub(super) fn left(&self) -> Vec<String> {
        let directory = self.partial();
        names(directory.parent().unwrap())
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// sha256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish().sha256
}

#[test]
fn sha256_is_the_known_one() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[tokio::test]
async fn the_second_fetch_waits_for_the_first() {
    /// Lets the first one go as soon as the second says that it waits.
    struct Release(Mutex<Option<Place>>);
    impl Watch for Release {
        fn total(&self, _bytes: u64) {}
        fn advance(&self, _bytes: u64) {}
        fn note(&self, text: &str) {
            assert_eq!(text, "waiting for another process that fetches the same file");
            drop(self.0.lock().unwrap().take().expect("it is told once"));
        }
    }

    let bench = Bench::new();
    fs_err::write(bench.path("a.gguf"), "weights").unwrap();
    let source = WeightsSource::File("a.gguf".into());
    let first = Place::acquire(&bench.partial(), &bench.watch).await.unwrap();
    let release = Release(Mutex::new(Some(first)));
    bench.fetch_watched(&source, None, &release).await.unwrap();
    assert!(release.0.lock().unwrap().is_none());
}
