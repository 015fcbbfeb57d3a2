//! Whether a file that is to come has room on the disk, found out before its first byte comes.

use std::path::Path;

use super::FetchError;

/// Tells how many bytes are free for us on the disk that a directory lies on; none where the system does not say.
pub(super) type Room = fn(&Path) -> Option<u64>;

/// Bytes that are free for us on the disk that a directory lies on, where the system tells.
#[must_use]
pub fn free_space(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(directory).ok()?;
        disk.f_bavail.checked_mul(disk.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _: &Path = directory;
        None
    }
}

/// Sees that `needed` more bytes have room beside `path`.
pub(super) fn check(room: Room, path: &Path, needed: u64) -> Result<(), FetchError> {
    match path.parent().and_then(room) {
        Some(free) if free < needed => Err(FetchError::TooLittleSpace { path: path.to_owned(), needed, free }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room() {
        assert_eq!(free_space(&std::env::temp_dir()).is_some(), cfg!(unix));
        assert_eq!(free_space(Path::new("/there/is/no/such/place")), None);
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_numbers() {
        let path = Path::new("/store/partial/it");
        for (room, needed, fits) in [
            ((|_| Some(1_000)) as Room, 1_000, true),
            (|_| Some(1_000), 1_001, false),
            (|_| Some(0), 0, true),
            (|_| None, u64::MAX, true),
        ] {
            assert_eq!(check(room, path, needed).is_ok(), fits, "{needed}");
        }
        let error = check(|_| Some(1_200_000_000), path, 4_900_000_000).unwrap_err();
        assert_eq!(error.to_string(), "`/store/partial` has 1.2 GB free, and 4.9 GB are still to come");
        assert_eq!(error.help().unwrap(), "free 3.7 GB there, or put the store on another disk with `--cache DIR`");
    }
}
