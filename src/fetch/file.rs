//! Weights that are a file of this machine already.

use std::io::{self, Read};
use std::path::Path;

use fs_err::File;

use super::partial::{remove_if_there, remove_notes};
use super::place::Place;
use super::transfer::{Counter, Digests, copy as copy_bytes, off_thread};
use super::{FetchError, Watch};

/// Makes `source` appear at the place without a second copy of its bytes, and hashes them.
///
/// It shares its blocks on disk where the file system can clone, is the same file under a second name otherwise, and on
/// another file system a link to where it lies. What is later written into the user's file changes the other two as well;
/// that is found out when they are next used, since their time of change is compared then.
pub(super) async fn link(source: &Path, place: &Place, watch: &dyn Watch) -> Result<Digests, FetchError> {
    let (source, place) = (source.to_owned(), place.clone());
    off_thread(watch, move |counter| link_blocking(&source, place.path(), counter)).await
}

fn link_blocking(source: &Path, partial: &Path, counter: &Counter) -> Result<Digests, FetchError> {
    let io = |error| FetchError::io(partial, error);
    let look = || match fs_err::metadata(source) {
        Ok(metadata) if metadata.is_file() => Ok(metadata),
        Ok(_) => Err(FetchError::NotAFile { path: source.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FetchError::NotFound { path: source.to_owned() }),
        Err(error) => Err(io(error)),
    };
    let before = look()?;
    counter.total(before.len())?;
    remove_notes(partial).map_err(io)?;
    remove_if_there(partial).map_err(io)?;
    // A link to a link would lead nowhere when the user moves that.
    let whole = fs_err::canonicalize(source).map_err(io)?;
    if reflink_copy::reflink(&whole, partial).is_err() && fs_err::hard_link(&whole, partial).is_err() {
        lie_elsewhere(&whole, partial).map_err(io)?;
    }
    let mut file = File::open(partial).map_err(io)?;
    // A file that grows as fast as it is read must not keep us reading.
    let digests = copy_bytes(&mut file.by_ref().take(before.len() + 1), &mut io::sink(), counter, io, io)?;
    file.sync_all().map_err(io)?;
    let after = look()?;
    let same = (before.len(), before.modified().ok()) == (after.len(), after.modified().ok());
    if !same || digests.bytes != before.len() {
        return Err(FetchError::Changed { path: source.to_owned() });
    }
    Ok(digests)
}

#[cfg(unix)]
fn lie_elsewhere(source: &Path, partial: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::symlink(source, partial)
}

#[cfg(not(unix))]
fn lie_elsewhere(source: &Path, partial: &Path) -> io::Result<()> {
    // Links are for administrators here.
    fs_err::copy(source, partial).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::partial::{Meta, Partial};
    use super::super::testing::{Bench, sha256};
    use super::*;
    use crate::key::BlobId;
    use crate::spec::WeightsSource;

    fn source(path: &Path) -> WeightsSource {
        WeightsSource::File(path.to_owned())
    }

    #[tokio::test]
    async fn a_file_is_linked() {
        let bench = Bench::new();
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        fs_err::create_dir(bench.path("models")).unwrap();
        fs_err::write(bench.path("models/a.gguf"), &content).unwrap();
        // What an earlier attempt left is not in the way.
        fs_err::create_dir_all(bench.partial().parent().unwrap()).unwrap();
        fs_err::write(bench.partial(), "old").unwrap();

        for path in [Path::new("models/a.gguf"), &bench.path("models/a.gguf")] {
            let fetched = bench.fetch(&source(path), None).await.unwrap();
            assert_eq!(fetched.bytes, content.len() as u64);
            assert_eq!(fetched.sha256, sha256(&content));
            assert_eq!(fetched.blake3, BlobId::of(&content));
            assert_eq!(fs_err::read(bench.partial()).unwrap(), content);
            assert_eq!(bench.counted(), (content.len() as u64, content.len() as u64));
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn there_is_no_second_copy() {
        use std::os::unix::fs::MetadataExt;
        let bench = Bench::new();
        let path = bench.path("a.gguf");
        fs_err::write(&path, "weights").unwrap();
        bench.fetch(&source(Path::new("a.gguf")), None).await.unwrap();
        let [one, other] = [&path, &bench.partial()].map(|path| fs_err::metadata(path).unwrap());
        let is_same = one.ino() == other.ino();
        assert!(is_same || reflink_copy::reflink(&path, bench.path("b")).is_ok());
        // A download to the same place makes a new file, and leaves the user's alone.
        let place = Place::acquire(&bench.partial(), bench.watch()).await.unwrap();
        let mut partial = Partial::open(place.path(), "u", None).unwrap();
        partial.restart(Meta::default()).unwrap();
        partial.append(b"other").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"weights");
        // On another file system it stays where it is.
        remove_if_there(&bench.partial()).unwrap();
        lie_elsewhere(&path, &bench.partial()).unwrap();
        assert_eq!(fs_err::read(bench.partial()).unwrap(), b"weights");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_read_only_file_behind_a_link_is_linked() {
        use std::os::unix::fs::PermissionsExt;
        let bench = Bench::new();
        fs_err::write(bench.path("a.gguf"), "weights").unwrap();
        fs_err::set_permissions(bench.path("a.gguf"), std::fs::Permissions::from_mode(0o444)).unwrap();
        fs_err::os::unix::fs::symlink(bench.path("a.gguf"), bench.path("link.gguf")).unwrap();
        for _ in 0..2 {
            bench.fetch(&source(Path::new("link.gguf")), None).await.unwrap();
            assert!(fs_err::symlink_metadata(bench.partial()).unwrap().is_file());
        }
    }

    #[tokio::test]
    async fn what_is_no_file_is_told() {
        let bench = Bench::new();
        let error = bench.fetch(&source(Path::new("none.gguf")), None).await.unwrap_err();
        assert!(matches!(&error, FetchError::NotFound { path } if *path == bench.path("none.gguf")), "{error}");
        assert!(error.help().is_some());
        let error = bench.fetch(&source(Path::new(".")), None).await.unwrap_err();
        assert!(matches!(error, FetchError::NotAFile { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_digest_is_checked() {
        let bench = Bench::new();
        fs_err::write(bench.path("a.gguf"), "weights").unwrap();
        let right = sha256(b"weights").to_uppercase();
        bench.fetch(&source(Path::new("a.gguf")), Some(&right)).await.unwrap();
        let wrong = "0".repeat(64);
        let error = bench.fetch(&source(Path::new("a.gguf")), Some(&wrong)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the file's sha256 is `{}`, not `{wrong}`", sha256(b"weights")));
        assert!(!bench.partial().exists());
    }
}
