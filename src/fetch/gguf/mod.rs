//! The header of a GGUF file: what a file of weights says about itself.
//!
//! Owns reading it from a file that nobody vouches for: every length is checked against the size of the file before it
//! is believed, so a hostile header cannot make us allocate much, loop long or panic. Never reads a tensor's data and
//! never keeps the vocabulary. Start at [`read`].

mod error;
mod join;
mod reader;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod types;

pub use error::GgufError;
pub(super) use join::join;
pub use join::read_joined;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;

use reader::Reader;
use types::{mixture, tensor_type};

/// Most entries of metadata; real files have about fifty.
const MOST_ENTRIES: u64 = 65_536;
/// Longest name of an entry in bytes.
const LONGEST_KEY: u64 = 256;
/// Longest text that is kept in bytes: chat templates are the long ones.
const LONGEST_TEXT: u64 = 1024 * 1024;
/// Where tensors begin if the file does not say otherwise, in bytes.
const ALIGNMENT: u64 = 32;

/// What a file of weights says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `general.architecture`: `llama`, `qwen2`, `gemma3`…
    pub architecture: String,
    /// `adapter.type` of a file that is an adapter and no model: `lora`.
    pub adapter: Option<String>,
    /// `general.name`.
    pub name: Option<String>,
    /// `general.license`.
    pub license: Option<String>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
    /// Context the model was trained for, in tokens.
    pub context_length: Option<u64>,
    /// Number of layers.
    pub layers: Option<u64>,
    /// Size of a token's vector.
    pub embedding_length: Option<u64>,
    /// Attention heads.
    pub heads: Option<u64>,
    /// Tokens of the vocabulary.
    pub vocabulary: Option<u64>,
    /// Heads that keep keys and values: of the layer with the most, and as many as there are heads if the file does not
    /// say otherwise.
    pub kv_heads: Option<u64>,
    /// Size of a head's key: the embedding divided among the heads if the file does not say otherwise.
    pub key_length: Option<u64>,
    /// Size of a head's value: the embedding divided among the heads if the file does not say otherwise.
    pub value_length: Option<u64>,
    /// Number of parameters: the sum of all tensors' elements.
    pub parameters: u64,
    /// The mixture that the file says it was quantised with, such as `Q4_K_M`, or else the type that most parameters have:
    /// `Q4_1`, `F16`… A small model's mixture may leave most of its parameters, those of its vocabulary, as another type.
    pub quantization: String,
    /// Bytes that all tensors take.
    pub tensor_bytes: u64,
}

/// Reads the header of the GGUF file at `path` and checks that the file is long enough for its tensors.
///
/// # Errors
/// The file cannot be read, is something else, is damaged or is cut short.
pub fn read(path: &Path) -> Result<Header, GgufError> {
    let io = |source| GgufError::Io { source };
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    parse(file, bytes)
}

fn parse<R: Read + Seek>(mut input: R, file_bytes: u64) -> Result<Header, GgufError> {
    let io = |source| GgufError::Io { source };
    let mut start = Vec::new();
    input.by_ref().take(64).read_to_end(&mut start).map_err(io)?;
    if !start.starts_with(b"GGUF") {
        let cut = !start.is_empty() && b"GGUF".starts_with(&start);
        return Err(if cut {
            GgufError::HeaderCut { actual: file_bytes }
        } else {
            GgufError::NotGguf { looks_like: looks_like(&start) }
        });
    }
    input.seek(SeekFrom::Start(0)).map_err(io)?;

    let mut reader = Reader::new(input, file_bytes);
    reader.skip(4)?;
    match reader.u32()? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => return Err(GgufError::BigEndian),
        version => return Err(GgufError::Version { version }),
    }
    let tensor_count = reader.u64()?;
    let metadata = Metadata::read(&mut reader)?;
    if let Some(count) = metadata.number("split.count").filter(|count| *count > 1) {
        return Err(GgufError::Split { number: metadata.number("split.no").unwrap_or(0), count });
    }
    if tensor_count == 0 {
        return Err(GgufError::NoTensors);
    }
    let tensors = Tensors::read(&mut reader, tensor_count)?;
    let start = reader.position().checked_next_multiple_of(metadata.alignment()?);
    let expected = start.and_then(|start| start.checked_add(tensors.end));
    let expected = expected.ok_or_else(|| GgufError::malformed("a tensor lies past all files"))?;
    if expected > file_bytes {
        return Err(GgufError::Truncated { expected, actual: file_bytes });
    }
    metadata.into_header(tensors)
}

/// Says what the first bytes of a file that is not GGUF speak for.
fn looks_like(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let known: &[(bool, &str)] = &[
        (start.is_empty(), "an empty file"),
        (text.starts_with('<'), "a web page"),
        (
            text.starts_with("version https://git-lfs"),
            "a Git LFS pointer, which stands for a file that was not fetched",
        ),
        (start.starts_with(b"PK\x03\x04"), "a zip archive, such as a wheel or a PyTorch checkpoint"),
        (start.get(8) == Some(&b'{'), "a safetensors file"),
        (text.starts_with('{'), "JSON text"),
        (["lmgg", "fmgg", "tjgg", "algg"].iter().any(|magic| text.starts_with(magic)), "a GGML file from before GGUF"),
        (
            start.starts_with(b"\x80") && start.get(1).is_some_and(|version| (2..=5).contains(version)),
            "a Python pickle",
        ),
        (start.starts_with(b"\x1f\x8b"), "a gzip archive"),
        (start.starts_with(b"\x89HDF"), "an HDF5 file"),
    ];
    if let Some((_, what)) = known.iter().find(|(is, _)| *is) {
        return (*what).to_owned();
    }
    let shown: Vec<String> = start.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("none that is known, its first bytes are `{}`", shown.join(" "))
}

/// The entries of metadata that matter here.
#[derive(Default)]
struct Metadata {
    texts: BTreeMap<&'static str, String>,
    numbers: BTreeMap<String, u64>,
}

impl Metadata {
    const TEXTS: [&str; 6] = [
        "general.architecture",
        "general.name",
        "general.license",
        "general.type",
        "adapter.type",
        "tokenizer.chat_template",
    ];
    const NUMBERS: [&str; 5] = ["general.alignment", FILE_TYPE, "split.count", "split.no", VOCABULARY];
    /// Names of numbers below the architecture's own name.
    const OWN_NUMBERS: [&str; 7] = [
        "context_length",
        "block_count",
        "embedding_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
    ];

    fn read<R: Read + Seek>(reader: &mut Reader<R>) -> Result<Self, GgufError> {
        let count = reader.u64()?;
        // The shortest entry is a name's length, a type and one byte.
        reader.expect_items(count, 8 + 4 + 1)?;
        if count > MOST_ENTRIES {
            return Err(GgufError::malformed(format!("it states {count} entries of metadata")));
        }
        let mut metadata = Self::default();
        for _ in 0..count {
            metadata.read_entry(reader)?;
        }
        Ok(metadata)
    }

    fn read_entry<R: Read + Seek>(&mut self, reader: &mut Reader<R>) -> Result<(), GgufError> {
        let key = reader.text("the name of an entry", LONGEST_KEY)?;
        let value = match reader.u32()? {
            TEXT => {
                match Self::TEXTS.iter().find(|wanted| **wanted == key) {
                    Some(wanted) => {
                        let text = reader.text(&format!("`{key}`"), LONGEST_TEXT)?;
                        self.texts.insert(wanted, text);
                    }
                    None => reader.skip_text()?,
                }
                None
            }
            LIST => read_list(reader, &key)?,
            kind => read_scalar(reader, &key, kind)?,
        };
        let wanted = Self::NUMBERS.contains(&key.as_str())
            || key.split_once('.').is_some_and(|(_, own)| Self::OWN_NUMBERS.contains(&own));
        if let (true, Some(value)) = (wanted, value) {
            self.numbers.insert(key, value);
        }
        Ok(())
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.numbers.get(key).copied()
    }

    fn alignment(&self) -> Result<u64, GgufError> {
        match self.number("general.alignment").unwrap_or(ALIGNMENT) {
            alignment if alignment.is_power_of_two() => Ok(alignment),
            alignment => Err(GgufError::malformed(format!("tensors are aligned to {alignment} bytes"))),
        }
    }

    fn into_header(mut self, tensors: Tensors) -> Result<Header, GgufError> {
        let mut text = |key| self.texts.remove(key).filter(|text: &String| !text.trim().is_empty());
        let architecture =
            text("general.architecture").ok_or_else(|| GgufError::malformed("it has no `general.architecture`"))?;
        let (name, license) = (text("general.name"), text("general.license"));
        let chat_template = text("tokenizer.chat_template");
        let adapter = text("general.type").filter(|kind| kind == "adapter");
        let adapter = adapter.map(|_| text("adapter.type").unwrap_or_else(|| "unknown".to_owned()));

        let own = |name: &str| self.number(&format!("{architecture}.{name}"));
        let heads = own("attention.head_count");
        let embedding_length = own("embedding_length");
        let head_length = embedding_length.zip(heads).and_then(|(length, heads)| length.checked_div(heads));
        let context_length = own("context_length");
        let layers = own("block_count");
        let kv_heads = own("attention.head_count_kv").or(heads);
        let key_length = own("attention.key_length").or(head_length);
        let value_length = own("attention.value_length").or(head_length);
        let most_common = tensors.most_common_type().ok_or(GgufError::NoTensors)?;
        let quantization = self.number(FILE_TYPE).and_then(mixture).unwrap_or(most_common);
        Ok(Header {
            context_length,
            layers,
            embedding_length,
            heads,
            vocabulary: self.number(VOCABULARY),
            kv_heads,
            key_length,
            value_length,
            architecture,
            adapter,
            name,
            license,
            chat_template,
            parameters: tensors.parameters,
            quantization: quantization.to_owned(),
            tensor_bytes: tensors.bytes,
        })
    }
}

/// The number of the mixture that a file was quantised with.
const FILE_TYPE: &str = "general.file_type";
/// The list of all tokens.
const VOCABULARY: &str = "tokenizer.ggml.tokens";
/// The number of the type whose values are texts.
const TEXT: u32 = 8;
/// The number of the type whose values are lists.
const LIST: u32 = 9;

/// Reads one number or truth value; gives it if it is an integer that is not negative.
fn read_scalar<R: Read + Seek>(reader: &mut Reader<R>, key: &str, kind: u32) -> Result<Option<u64>, GgufError> {
    Ok(match kind {
        0 => Some(u64::from(reader.bytes::<1>()?[0])),
        1 => u64::try_from(i8::from_le_bytes(reader.bytes()?)).ok(),
        2 => Some(u64::from(u16::from_le_bytes(reader.bytes()?))),
        3 => u64::try_from(i16::from_le_bytes(reader.bytes()?)).ok(),
        4 => Some(u64::from(reader.u32()?)),
        5 => u64::try_from(i32::from_le_bytes(reader.bytes()?)).ok(),
        10 => Some(reader.u64()?),
        11 => u64::try_from(i64::from_le_bytes(reader.bytes()?)).ok(),
        _ => {
            reader.skip(scalar_bytes(key, kind)?)?;
            None
        }
    })
}

fn scalar_bytes(key: &str, kind: u32) -> Result<u64, GgufError> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(GgufError::malformed(format!("`{}` is of the unknown type {kind}", key.escape_debug()))),
    }
}

/// Skips a list; gives the greatest number if it is a list of integers that says something about each layer, and how many
/// there are if it is the vocabulary.
fn read_list<R: Read + Seek>(reader: &mut Reader<R>, key: &str) -> Result<Option<u64>, GgufError> {
    let kind = reader.u32()?;
    let count = reader.u64()?;
    if kind == TEXT {
        reader.expect_items(count, 8)?;
        for _ in 0..count {
            reader.skip_text()?;
        }
        return Ok((key == VOCABULARY).then_some(count));
    }
    let bytes = scalar_bytes(key, kind)?;
    reader.expect_items(count, bytes)?;
    if !key.ends_with(".attention.head_count_kv") {
        reader.skip(count * bytes)?;
        return Ok(None);
    }
    let mut greatest = None;
    for _ in 0..count {
        greatest = greatest.max(read_scalar(reader, key, kind)?);
    }
    Ok(greatest)
}

/// What the table of tensors adds up to.
#[derive(Default)]
struct Tensors {
    parameters: u64,
    parameters_by_type: BTreeMap<&'static str, u64>,
    bytes: u64,
    /// Where the last tensor ends, counted from where the first begins.
    end: u64,
}

impl Tensors {
    fn read<R: Read + Seek>(reader: &mut Reader<R>, count: u64) -> Result<Self, GgufError> {
        // The shortest entry is a name's length, the number of dimensions, a type and an offset.
        reader.expect_items(count, 8 + 4 + 4 + 8)?;
        let mut tensors = Self::default();
        for _ in 0..count {
            tensors.read_entry(reader)?;
        }
        Ok(tensors)
    }

    fn read_entry<R: Read + Seek>(&mut self, reader: &mut Reader<R>) -> Result<(), GgufError> {
        let too_large = || GgufError::malformed("a tensor is larger than all files");
        reader.skip_text()?;
        let dimensions = reader.u32()?;
        if dimensions > 4 {
            return Err(GgufError::malformed(format!("a tensor has {dimensions} dimensions")));
        }
        let (mut elements, mut row) = (1_u64, 1);
        for dimension in 0..dimensions {
            let length = reader.u64()?;
            if dimension == 0 {
                row = length;
            }
            elements = elements.checked_mul(length).ok_or_else(too_large)?;
        }
        let number = reader.u32()?;
        let packed = tensor_type(number).ok_or(GgufError::TensorType { number })?;
        let offset = reader.u64()?;
        if row % packed.block != 0 {
            let what = format!("a tensor of type {} has rows of {row} elements", packed.name);
            return Err(GgufError::malformed(what));
        }
        let bytes = (elements / packed.block).checked_mul(packed.bytes).ok_or_else(too_large)?;
        let of_type = self.parameters_by_type.entry(packed.name).or_default();
        // Not above the sum over all types, which is checked.
        *of_type = of_type.saturating_add(elements);
        self.parameters = self.parameters.checked_add(elements).ok_or_else(too_large)?;
        self.bytes = self.bytes.checked_add(bytes).ok_or_else(too_large)?;
        self.end = self.end.max(offset.checked_add(bytes).ok_or_else(too_large)?);
        Ok(())
    }

    fn most_common_type(&self) -> Option<&'static str> {
        self.parameters_by_type.iter().max_by_key(|(_, parameters)| **parameters).map(|(name, _)| *name)
    }
}
