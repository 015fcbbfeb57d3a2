//! Names of models that are split over several files: `name-00001-of-00003.gguf`.

use std::path::{Path, PathBuf};

/// Takes `name-00002-of-00005` apart.
#[must_use]
pub fn shard(stem: &str) -> Option<(&str, u32, u32)> {
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (name, number) = rest.rsplit_once('-')?;
    let is_number = |digits: &str| digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let read = |digits: &str| is_number(digits).then(|| digits.parse().ok()).flatten();
    Some((name, read(number)?, read(count)?))
}

/// The files of the model at `path`, in their order: it alone, or all shards where it is the first of several.
#[must_use]
pub fn model_files(path: &Path) -> Vec<PathBuf> {
    let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".gguf"));
    match stem.and_then(shard) {
        Some((name, 1, count @ 2..)) => {
            (1..=count).map(|number| path.with_file_name(format!("{name}-{number:05}-of-{count:05}.gguf"))).collect()
        }
        _ => vec![path.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_shard_stands_for_all() {
        let files = |path: &str| -> Vec<String> {
            model_files(Path::new(path)).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            files("m/a-Q8_0-00001-of-00002.gguf"),
            ["m/a-Q8_0-00001-of-00002.gguf", "m/a-Q8_0-00002-of-00002.gguf"]
        );
        for one in [
            "a.gguf",
            "a-00001-of-00001.gguf",
            "a-00002-of-00003.gguf",
            "a-1-of-2.gguf",
            "a-00001-of-00002.bin",
            "a-00001-of-+0002.gguf",
        ] {
            assert_eq!(files(one), [one]);
        }
    }
}
