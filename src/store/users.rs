//! Who uses the store: any number of processes that read and add, or one alone that removes.

use std::fs::TryLockError;
use std::io;
use std::path::Path;

use super::StoreError;

/// The hold of one open store on `users.lock`, for as long as it lives.
#[derive(Debug)]
pub(super) struct Users {
    /// Held, never read: the system gives the lock back when it is closed, also after a crash.
    _file: fs_err::File,
    is_alone: bool,
}

impl Users {
    /// One of many. Waits for one that is alone to end, which is soon: it only removes.
    pub(super) fn shared(directory: &Path) -> Result<Self, StoreError> {
        let file = open(directory)?;
        match file.lock_shared() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(StoreError::from_io(directory, error)),
            // Some network file systems have no locks; nobody should be kept from working there.
            Ok(()) | Err(_) => Ok(Self { _file: file, is_alone: false }),
        }
    }

    /// The only one. Does not wait: others may be at work for hours.
    pub(super) fn alone(directory: &Path) -> Result<Self, StoreError> {
        let file = open(directory)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { directory: directory.to_owned() }),
            Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                Err(StoreError::from_io(directory, error))
            }
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _file: file, is_alone: true }),
        }
    }

    /// Whether nobody else uses the store.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }
}

fn open(directory: &Path) -> Result<fs_err::File, StoreError> {
    fs_err::File::create(directory.join("users.lock")).map_err(|error| StoreError::from_io(directory, error))
}
