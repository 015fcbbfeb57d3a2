//! Weights that are a file of this machine already.

use std::io::{self, Read};
use std::path::Path;

use fs_err::File;

use super::place::Place;
use super::transfer::{Counter, Digests, copy as copy_bytes, off_thread};
use super::{FetchError, Watch};

/// Copies `source` to `partial`; says whether they share their blocks on disk.
///
/// The copy is a clone of the file's blocks where the file system can. Never a hard link: what is later written into the
/// user's file would change the copy too, whose digest is known by then.
pub(super) async fn copy(source: &Path, place: &Place, watch: &dyn Watch) -> Result<(Digests, bool), FetchError> {
    let (source, place) = (source.to_owned(), place.clone());
    off_thread(watch, move |counter| copy_blocking(&source, place.path(), counter)).await
}

fn copy_blocking(source: &Path, partial: &Path, counter: &Counter) -> Result<(Digests, bool), FetchError> {
    let io = |error| FetchError::io(partial, error);
    let before = match fs_err::metadata(source) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Err(FetchError::NotAFile { path: source.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FetchError::NotFound { path: source.to_owned() });
        }
        Err(error) => return Err(io(error)),
    };
    counter.total(before.len())?;
    match fs_err::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }

    let linked = reflink_copy::reflink(source, partial).is_ok();
    let digests = if linked {
        let mut clone = File::open(partial).map_err(io)?;
        let digests = copy_bytes(&mut clone, &mut io::sink(), counter, io, io)?;
        clone.sync_all().map_err(io)?;
        digests
    } else {
        let mut from = File::open(source).map_err(io)?;
        let mut to = File::create(partial).map_err(io)?;
        // A file that grows as fast as it is copied must not fill the disk.
        let digests = copy_bytes(&mut from.by_ref().take(before.len() + 1), &mut to, counter, io, io)?;
        to.sync_all().map_err(io)?;
        let after = from.metadata().map_err(io)?;
        let same = (before.len(), before.modified().ok()) == (after.len(), after.modified().ok());
        if !same || digests.bytes != before.len() {
            return Err(FetchError::Changed { path: source.to_owned() });
        }
        digests
    };
    Ok((digests, linked))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, sha256};
    use super::*;
    use crate::key::BlobId;
    use crate::spec::WeightsSource;

    fn source(path: &Path) -> WeightsSource {
        WeightsSource::File(path.to_owned())
    }

    #[tokio::test]
    async fn a_file_is_copied() {
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
        // A later change of the user's file leaves the copy alone.
        fs_err::write(bench.path("models/a.gguf"), "changed").unwrap();
        assert_eq!(fs_err::read(bench.partial()).unwrap(), content);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_read_only_file_behind_a_link_is_copied() {
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
