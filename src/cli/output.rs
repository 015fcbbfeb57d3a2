//! Writing to stdout and stderr. A closed pipe (`evalflow … | head`) is no failure.

use std::io::{self, Write};

use serde::Serialize;

use crate::store::StoreError;

/// Writes data to stdout; says so and is false if that cannot be done.
#[must_use]
pub(super) fn data(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> bool {
    let mut buffer = Vec::new();
    write(&mut buffer).expect("writing to memory cannot fail");
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&buffer).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failure(&format!("the output cannot be written: {error}"), None);
            false
        }
        Ok(()) | Err(_) => true,
    }
}

/// Writes a line for people to stderr.
pub(super) fn say(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Says what failed and the way on.
pub(super) fn failure(message: &str, help: Option<&str>) {
    say(&format!("error: {message}"));
    if let Some(help) = help {
        say(&format!("  help: {help}"));
    }
}

/// Says why the store cannot be used.
pub(super) fn store_failure(error: &StoreError) {
    failure(&error.to_string(), Some(&error.help()));
}

/// A span of time for people: `840 ms`, `4.1 s`, `3 m 20 s`, `2 h 5 m`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A size for people: `512 B`, `3.40 MiB`.
pub(super) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Writes a value to stdout as JSON.
#[must_use]
pub(super) fn json(value: &impl Serialize) -> bool {
    data(|out| serde_json::to_writer_pretty(&mut *out, value).map_err(Into::into).and_then(|()| writeln!(out)))
}

/// A temporary file is made for its owner alone; what is left for people is for everybody who may read the directory.
pub(super) fn readable_by_all(file: &std::fs::File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _: &std::fs::File = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_for_people() {
        for (milliseconds, expected) in
            [(0, "0 ms"), (840, "840 ms"), (4_120, "4.1 s"), (200_000, "3 m 20 s"), (7_500_000, "2 h 5 m")]
        {
            assert_eq!(duration(milliseconds), expected);
        }
    }
}
