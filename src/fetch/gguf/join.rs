//! Shards of a split model → one GGUF file, the same bytes each time: so that a model is one blob with one digest, whatever
//! it was cut into for transport.
//!
//! The first shard's metadata without what says that it is a shard, the tensor tables one after the other, and the data
//! as it lies in the shards. Lengths are checked as when a header is read.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err::File;

use super::reader::Reader;
use super::types::tensor_type;
use super::{GgufError, Header, LIST, LONGEST_KEY, MOST_ENTRIES, Metadata, TEXT, parse, read_list, read_scalar};

/// Longest tensor table of all shards together, in bytes: real ones have some thousand entries of a hundred bytes.
const LONGEST_TABLE: usize = 64 * 1024 * 1024;

/// Most bytes that tensors may be aligned to.
const LARGEST_ALIGNMENT: u64 = 1 << 20;

/// What is taken from one shard.
struct Shard {
    file: File,
    /// Where entries of metadata lie that are kept.
    entries: Vec<(u64, u64)>,
    /// What its tensors are aligned to; none where it has none.
    alignment: Option<u64>,
    tensors: Vec<Tensor>,
    /// Where the tensors' data begins.
    data: u64,
    /// How long it is, up to where the next tensor could begin.
    data_bytes: u64,
}

struct Tensor {
    /// Name, dimensions and type, as they are written.
    description: Vec<u8>,
    offset: u64,
}

/// Writes the model that `shards` make up, in their order, to `out`.
///
/// # Errors
/// A shard cannot be read, is damaged, or they do not belong together; or `out` fails.
pub(in crate::fetch) fn join(shards: &[&Path], out: &mut dyn Write) -> Result<(), GgufError> {
    let mut opened = open(shards)?;
    let mut out = Counted { out, at: 0 };
    out.head(&mut opened)?;
    for shard in &mut opened {
        shard.file.seek(SeekFrom::Start(shard.data)).map_err(io)?;
        out.copy(&mut shard.file, shard.data_bytes)?;
    }
    Ok(())
}

/// Reads the header of the model that `shards` make up, in their order, without joining them; with how many bytes it has.
///
/// # Errors
/// A shard cannot be read, is damaged, or they do not belong together.
pub fn read_joined(shards: &[PathBuf]) -> Result<(Header, u64), GgufError> {
    let mut opened = open(&shards.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let mut head = Vec::new();
    let data = Counted { out: &mut head, at: 0 }.head(&mut opened)?;
    let bytes = data.checked_add(head.len() as u64).ok_or_else(too_large)?;
    Ok((parse(Cursor::new(head), bytes)?, bytes))
}

fn open(shards: &[&Path]) -> Result<Vec<Shard>, GgufError> {
    let mut table = 0;
    let open = |(number, path): (usize, &&Path)| Shard::open(path, number, shards.len(), &mut table);
    shards.iter().enumerate().map(open).collect()
}

fn io(source: std::io::Error) -> GgufError {
    GgufError::Io { source }
}

fn too_large() -> GgufError {
    GgufError::malformed("a tensor is larger than all files")
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn Write,
    at: u64,
}

impl Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), GgufError> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes).map_err(io)
    }

    /// Writes all that comes before the tensors' data, and says how long that is.
    fn head(&mut self, shards: &mut [Shard]) -> Result<u64, GgufError> {
        let mut alignments = shards.iter().filter_map(|shard| shard.alignment);
        let alignment = alignments.next().ok_or(GgufError::NoTensors)?;
        if alignments.any(|other| other != alignment) {
            return Err(GgufError::malformed("its shards are aligned in different ways"));
        }
        self.metadata(shards)?;
        let mut base = 0_u64;
        for shard in shards {
            for tensor in &shard.tensors {
                let offset = tensor.offset.checked_add(base).ok_or_else(too_large)?;
                self.write(&tensor.description)?;
                self.write(&offset.to_le_bytes())?;
            }
            base = base.checked_add(shard.data_bytes).ok_or_else(too_large)?;
        }
        self.pad(alignment)?;
        Ok(base)
    }

    fn metadata(&mut self, shards: &mut [Shard]) -> Result<(), GgufError> {
        let tensors: usize = shards.iter().map(|shard| shard.tensors.len()).sum();
        let first = shards.first_mut().ok_or(GgufError::NoTensors)?;
        self.write(b"GGUF")?;
        self.write(&3_u32.to_le_bytes())?;
        self.write(&(tensors as u64).to_le_bytes())?;
        self.write(&(first.entries.len() as u64).to_le_bytes())?;
        for (start, end) in std::mem::take(&mut first.entries) {
            first.file.seek(SeekFrom::Start(start)).map_err(io)?;
            self.copy(&mut first.file, end - start)?;
        }
        Ok(())
    }

    /// Copies so many bytes, zeros where the file ends before: nobody fills up the last tensor of a file.
    fn copy(&mut self, from: &mut File, bytes: u64) -> Result<(), GgufError> {
        let mut buffer = vec![0; 256 * 1024];
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let mut read = from.read(&mut buffer[..most]).map_err(io)?;
            if read == 0 {
                buffer[..most].fill(0);
                read = most;
            }
            self.write(&buffer[..read])?;
            left -= read as u64;
        }
        Ok(())
    }

    fn pad(&mut self, alignment: u64) -> Result<(), GgufError> {
        let end = self.at.next_multiple_of(alignment);
        self.write(&vec![0; usize::try_from(end - self.at).expect("an alignment is small")])
    }
}

impl Shard {
    fn open(path: &Path, number: usize, count: usize, table: &mut usize) -> Result<Self, GgufError> {
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut reader = Reader::new(&file, file_bytes);
        let start = reader.bytes::<4>()?;
        if start != *b"GGUF" {
            return Err(GgufError::NotGguf { looks_like: super::looks_like(&start) });
        }
        match reader.u32()? {
            2 | 3 => {}
            version => return Err(GgufError::Version { version }),
        }
        let tensor_count = reader.u64()?;
        let (metadata, entries) = read_entries(&mut reader)?;
        let numbers = (metadata.number("split.no"), metadata.number("split.count"));
        if numbers != (Some(number as u64), Some(count as u64)) {
            return Err(GgufError::malformed(format!("it is not shard {} of {count}", number + 1)));
        }
        let alignment = metadata.alignment()?;
        if alignment > LARGEST_ALIGNMENT {
            return Err(GgufError::malformed(format!("tensors are aligned to {alignment} bytes")));
        }
        let (tensors, end) = read_tensors(&mut reader, tensor_count, table)?;
        let data = reader.position().checked_next_multiple_of(alignment).ok_or_else(too_large)?;
        let expected = data.checked_add(end).ok_or_else(too_large)?;
        if end > 0 && expected > file_bytes {
            return Err(GgufError::Truncated { expected, actual: file_bytes });
        }
        let data_bytes = end.checked_next_multiple_of(alignment).ok_or_else(too_large)?;
        let alignment = (!tensors.is_empty()).then_some(alignment);
        Ok(Self { file, entries, alignment, tensors, data, data_bytes })
    }
}

/// What metadata says, and where each entry lies that does not speak of shards.
type Entries = (Metadata, Vec<(u64, u64)>);

fn read_entries<R: Read + Seek>(reader: &mut Reader<R>) -> Result<Entries, GgufError> {
    let count = reader.u64()?;
    reader.expect_items(count, 8 + 4 + 1)?;
    if count > MOST_ENTRIES {
        return Err(GgufError::malformed(format!("it states {count} entries of metadata")));
    }
    let (mut metadata, mut entries) = (Metadata::default(), Vec::new());
    for _ in 0..count {
        let start = reader.position();
        let key = reader.text("the name of an entry", LONGEST_KEY)?;
        let value = match reader.u32()? {
            TEXT => {
                reader.skip_text()?;
                None
            }
            LIST => read_list(reader, &key)?,
            kind => read_scalar(reader, &key, kind)?,
        };
        if !key.starts_with("split.") {
            entries.push((start, reader.position()));
        }
        if let (true, Some(value)) = (Metadata::NUMBERS.contains(&key.as_str()), value) {
            metadata.numbers.insert(key, value);
        }
    }
    Ok((metadata, entries))
}

/// Reads a tensor table; gives where the last tensor ends too, counted from where the first begins.
fn read_tensors<R: Read + Seek>(
    reader: &mut Reader<R>,
    count: u64,
    table: &mut usize,
) -> Result<(Vec<Tensor>, u64), GgufError> {
    reader.expect_items(count, 8 + 4 + 4 + 8)?;
    let (mut tensors, mut end) = (Vec::new(), 0_u64);
    for _ in 0..count {
        let name = reader.text("the name of a tensor", LONGEST_KEY)?;
        let mut description = (name.len() as u64).to_le_bytes().to_vec();
        description.extend(name.as_bytes());
        let dimensions = reader.u32()?;
        if dimensions > 4 {
            return Err(GgufError::malformed(format!("a tensor has {dimensions} dimensions")));
        }
        description.extend(dimensions.to_le_bytes());
        let mut elements = 1_u64;
        for _ in 0..dimensions {
            let length = reader.u64()?;
            elements = elements.checked_mul(length).ok_or_else(too_large)?;
            description.extend(length.to_le_bytes());
        }
        let number = reader.u32()?;
        let packed = tensor_type(number).ok_or(GgufError::TensorType { number })?;
        description.extend(number.to_le_bytes());
        let offset = reader.u64()?;
        let bytes = (elements / packed.block).checked_mul(packed.bytes).ok_or_else(too_large)?;
        end = end.max(offset.checked_add(bytes).ok_or_else(too_large)?);
        *table += description.len();
        if *table > LONGEST_TABLE {
            return Err(GgufError::malformed("its tensor table is too long"));
        }
        tensors.push(Tensor { description, offset });
    }
    Ok((tensors, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{Sample, Value};
    use super::super::{Header, parse};
    use super::*;

    /// The sample of other tests, cut into three shards: the first has metadata alone, as some tools write it.
    fn shards() -> Vec<Vec<u8>> {
        let numbered = |sample: Sample, number: u32| {
            let split = |bytes: u16| Value::Raw(2, bytes.to_le_bytes().to_vec());
            sample
                .with("split.no", split(u16::try_from(number).unwrap()))
                .with("split.count", split(3))
                .with("split.tensors.count", Value::Raw(5, 2_i32.to_le_bytes().to_vec()))
        };
        let tensors = |tensors| Sample { metadata: vec![], tensors, ..Sample::default() };
        vec![
            numbered(Sample { tensors: vec![], ..Sample::default() }, 0).write(),
            numbered(tensors(vec![(vec![32, 4], 3)]), 1).write(),
            numbered(tensors(vec![(vec![8], 0)]), 2).write(),
        ]
    }

    fn joined(shards: &[Vec<u8>]) -> Result<Vec<u8>, GgufError> {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..shards.len()).map(|number| directory.path().join(number.to_string())).collect();
        paths.iter().zip(shards).for_each(|(path, bytes)| fs_err::write(path, bytes).unwrap());
        let mut out = Vec::new();
        join(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &mut out)?;
        Ok(out)
    }

    fn header(bytes: &[u8]) -> Result<Header, GgufError> {
        parse(Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn shards_make_the_file_that_they_were_cut_from() {
        let whole = Sample::default().write();
        let mut made = joined(&shards()).unwrap();
        // The last tensor is filled up, and tensors of one file are counted from 0 in each shard here.
        made.truncate(whole.len());
        let second = made.windows(12).rposition(|window| window == b"blk.0.weight").unwrap();
        made[second + 4] = b'1';
        assert_eq!(made, whole);
        assert_eq!(header(&made).unwrap(), header(&whole).unwrap());
    }

    #[test]
    fn shards_that_do_not_belong_together_are_told() {
        let check = |change: fn(&mut Vec<Vec<u8>>), expected: &str| {
            let mut shards = shards();
            change(&mut shards);
            let error = joined(&shards).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(|shards| shards.swap(1, 2), "it is not shard 2 of 3");
        check(|shards| drop(shards.pop()), "it is not shard 1 of 2");
        check(|shards| shards[1] = Sample::default().write(), "it is not shard 2 of 3");
        check(|shards| shards[1] = b"<html>".to_vec(), "a web page");
        check(
            |shards| {
                let shorter = shards[2].len() - 1;
                shards[2].truncate(shorter);
            },
            "its tensor table needs",
        );
        check(|shards| *shards = vec![], "no tensors");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn mutations_never_panic(
            which in 0_usize..3,
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut shards = shards();
            let longest: usize = shards.iter().map(Vec::len).sum();
            for (at, value) in changes {
                let at = at.index(shards[which].len());
                shards[which][at] = value;
            }
            if let Ok(made) = joined(&shards) {
                // An alignment may have been enlarged, never a length beyond what is there.
                prop_assert!(made.len() as u64 <= longest as u64 + 8 * LARGEST_ALIGNMENT);
            }
        }
    }
}
