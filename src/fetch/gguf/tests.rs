//! Tests of `fetch::gguf`.

use std::io::Cursor;

use proptest::prelude::*;

use super::sample::{Sample, Value};
use super::*;

fn parse_bytes(bytes: &[u8]) -> Result<Header, GgufError> {
    parse(Cursor::new(bytes), bytes.len() as u64)
}

fn good(sample: &Sample) -> Header {
    parse_bytes(&sample.write()).unwrap()
}

fn check_error(bytes: &[u8], expected: &str) {
    assert_eq!(parse_bytes(bytes).unwrap_err().to_string(), expected);
}

#[test]
fn a_header_is_read() {
    let expected = Header {
        architecture: "llama".to_owned(),
        adapter: None,
        name: Some("Small".to_owned()),
        license: Some("apache-2.0".to_owned()),
        chat_template: Some("{{ messages }}".to_owned()),
        context_length: Some(8192),
        layers: Some(30),
        embedding_length: Some(576),
        heads: Some(9),
        vocabulary: Some(3),
        kv_heads: Some(3),
        key_length: Some(64),
        value_length: Some(64),
        parameters: 128 + 8,
        quantization: "Q4_1".to_owned(),
        tensor_bytes: 80 + 32,
    };
    assert_eq!(good(&Sample::default()), expected);
    assert_eq!(good(&Sample { version: 2, ..Sample::default() }), expected);
}

#[test]
fn an_adapter_is_told_from_a_model() {
    let check = |kind: Option<&'static str>, of: Option<&'static str>, expected: Option<&str>| {
        let mut sample = Sample::default();
        sample = kind.map_or(sample.clone(), |kind| sample.with("general.type", Value::Text(kind)));
        sample = of.map_or(sample.clone(), |of| sample.with("adapter.type", Value::Text(of)));
        assert_eq!(good(&sample).adapter.as_deref(), expected, "{kind:?} {of:?}");
    };
    check(Some("adapter"), Some("lora"), Some("lora"));
    check(Some("adapter"), None, Some("unknown"));
    check(Some("model"), Some("lora"), None);
    check(None, None, None);
}

#[test]
fn read_opens_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.gguf");
    fs_err::write(&path, Sample::default().write()).unwrap();
    assert_eq!(read(&path).unwrap(), good(&Sample::default()));
    let message = read(&directory.path().join("none.gguf")).unwrap_err().to_string();
    assert!(message.contains("none.gguf"), "{message}");
}

#[test]
fn what_is_stated_wins_over_what_is_derived() {
    let sample = Sample::default()
        .with("llama.attention.head_count_kv", Value::Numbers(vec![3, 5, -1, 0]))
        .with("llama.attention.key_length", Value::U32(128))
        .with("llama.attention.value_length", Value::Raw(10, 256_u64.to_le_bytes().to_vec()))
        .with("qwen2.context_length", Value::U32(1));
    let header = good(&sample);
    assert_eq!((header.kv_heads, header.key_length, header.value_length), (Some(5), Some(128), Some(256)));
    assert_eq!(header.context_length, Some(8192));
}

#[test]
fn numbers_of_every_type_are_read() {
    let numbers: [(u32, Vec<u8>, Option<u64>); 10] = [
        (0, vec![200], Some(200)),
        (1, vec![100], Some(100)),
        (1, vec![0xff], None),
        (2, 60_000_u16.to_le_bytes().to_vec(), Some(60_000)),
        (3, 30_000_i16.to_le_bytes().to_vec(), Some(30_000)),
        (5, (-1_i32).to_le_bytes().to_vec(), None),
        (6, 1_f32.to_le_bytes().to_vec(), None),
        (7, vec![1], None),
        (11, 7_i64.to_le_bytes().to_vec(), Some(7)),
        (12, 1_f64.to_le_bytes().to_vec(), None),
    ];
    for (kind, bytes, expected) in numbers {
        let header = good(&Sample::default().with("llama.context_length", Value::Raw(kind, bytes)));
        assert_eq!(header.context_length, expected, "type {kind}");
    }
}

#[test]
fn what_is_missing_or_empty_is_none() {
    let metadata = vec![
        ("general.architecture", Value::Text("mamba")),
        ("general.name", Value::Text(" ")),
        ("general.license", Value::U32(1)),
        ("mamba.attention.head_count", Value::U32(0)),
        ("mamba.embedding_length", Value::U32(768)),
    ];
    let header = good(&Sample { metadata, ..Sample::default() });
    assert_eq!((header.name, header.license, header.chat_template), (None, None, None));
    assert_eq!((header.context_length, header.key_length), (None, None));
}

#[test]
fn the_type_of_most_parameters_counts() {
    let sample =
        Sample { tensors: vec![(vec![4], 0), (vec![4], 0), (vec![32], 8), (vec![2, 2], 1)], ..Sample::default() };
    assert_eq!(good(&sample).quantization, "Q8_0");
    // Most of a small model is its vocabulary, which a mixture keeps larger.
    let of = |file_type| good(&sample.clone().with("general.file_type", Value::U32(file_type))).quantization;
    assert_eq!([of(15), of(7), of(1024)], ["Q4_K_M", "Q8_0", "Q8_0"]);
}

#[test]
fn every_truncation_is_told() {
    let bytes = Sample::default().write();
    for end in 0..bytes.len() {
        let error = parse_bytes(&bytes[..end]).unwrap_err();
        if let GgufError::Truncated { expected, actual } = &error {
            assert_eq!((*expected, *actual), (bytes.len() as u64, end as u64));
        } else if let GgufError::HeaderCut { actual } = &error {
            assert_eq!(*actual, end as u64);
        } else {
            assert!(end == 0 && matches!(error, GgufError::NotGguf { .. }), "{end}: {error}");
        }
        assert!(error.help().is_some());
    }
    check_error(&bytes[..bytes.len() - 1], "the file ends after 799 bytes, its tensor table needs 800 bytes");
}

#[test]
fn other_files_are_recognized() {
    let looks =
        |start: &[u8], expected: &str| check_error(start, &format!("not a GGUF file: it looks like {expected}"));
    looks(b"", "an empty file");
    looks(b"\n<!DOCTYPE html><html>", "a web page");
    looks(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:",
        "a Git LFS pointer, which stands for a file that was not fetched",
    );
    looks(b"PK\x03\x04\x14\0\0\0\x08\0", "a zip archive, such as a wheel or a PyTorch checkpoint");
    looks(b"\x40\x1f\0\0\0\0\0\0{\"__metadata__\":", "a safetensors file");
    looks(b"{\"error\":\"not found\"}", "JSON text");
    looks(b"tjgg\x03\0\0\0\0", "a GGML file from before GGUF");
    looks(b"\x80\x02}q\0", "a Python pickle");
    looks(b"\x1f\x8b\x08", "a gzip archive");
    looks(b"\x89HDF\r\n", "an HDF5 file");
    looks(b"\x01\x02\x03\x04\x05", "none that is known, its first bytes are `01 02 03 04`");
}

#[test]
fn other_versions_are_told() {
    let version = |version| Sample { version, ..Sample::default() }.write();
    check_error(&version(1), "GGUF version 1 is not one of those that can be read, 2 and 3");
    check_error(&version(4), "GGUF version 4 is not one of those that can be read, 2 and 3");
    check_error(&version(3_u32.swap_bytes()), "the file is a big-endian GGUF file");
}

#[test]
fn damage_is_told() {
    let tensors = |tensors: Vec<sample::Tensor>| Sample { tensors, ..Sample::default() }.write();
    let with = |key, value| Sample::default().with(key, value).write();
    check_error(&tensors(vec![]), "the file holds no tensors");
    check_error(&tensors(vec![(vec![32], 31)]), "tensor type 31 is unknown or was removed from llama.cpp");
    check_error(&tensors(vec![(vec![1; 5], 0)]), "the GGUF header is damaged: a tensor has 5 dimensions");
    check_error(
        &tensors(vec![(vec![33], 3)]),
        "the GGUF header is damaged: a tensor of type Q4_1 has rows of 33 elements",
    );
    check_error(
        &with("general.alignment", Value::U32(12)),
        "the GGUF header is damaged: tensors are aligned to 12 bytes",
    );
    check_error(
        &with("general.alignment", Value::U32(0)),
        "the GGUF header is damaged: tensors are aligned to 0 bytes",
    );
    check_error(
        &with("general.architecture", Value::Text("")),
        "the GGUF header is damaged: it has no `general.architecture`",
    );
    check_error(
        &with("odd", Value::Raw(13, vec![0; 64])),
        "the GGUF header is damaged: `odd` is of the unknown type 13",
    );
    let nested = [9_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec(), vec![0; 64]].concat();
    check_error(&with("odd", Value::Raw(9, nested)), "the GGUF header is damaged: `odd` is of the unknown type 9");
    let part = Sample::default().with("split.count", Value::U32(3)).with("split.no", Value::U32(0));
    check_error(&part.write(), "the file is part 1 of 3 of a split model");
    assert!(parse_bytes(&with("split.count", Value::U32(1))).is_ok());
}

/// Writes `value` over the eight bytes at `at`.
fn overwrite(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = Sample::default().write();
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn hostile_lengths_are_refused() {
    let sample = Sample::default().write();
    let first_key = 24;
    let list = first_key + 8 + "tokenizer.ggml.tokens".len() + 4;
    for hostile in [u64::MAX, u64::MAX / 8, i64::MAX as u64, 1 << 40, sample.len() as u64] {
        // Number of tensors, of entries, length of a name, of a list, of a text in it.
        for at in [8, 16, first_key, list + 4, list + 12] {
            let error = parse_bytes(&overwrite(at, hostile)).unwrap_err();
            assert!(matches!(error, GgufError::HeaderCut { .. } | GgufError::Malformed { .. }), "{at}: {error}");
        }
    }
    let vast = |dimensions: Vec<u64>| {
        // The data of such a tensor cannot be written, so a small one is written and made vast.
        let mut bytes = Sample { tensors: vec![(vec![1; dimensions.len()], 28)], ..Sample::default() }.write();
        let at = bytes.windows(12).position(|window| window == b"blk.0.weight").unwrap() + 16;
        for (index, length) in dimensions.iter().enumerate() {
            bytes[at + 8 * index..at + 8 * index + 8].copy_from_slice(&length.to_le_bytes());
        }
        bytes
    };
    check_error(&vast(vec![1 << 40, 1 << 40]), "the GGUF header is damaged: a tensor is larger than all files");
    check_error(&vast(vec![1 << 62]), "the GGUF header is damaged: a tensor is larger than all files");
    check_error(&vast(vec![u64::MAX]), "the GGUF header is damaged: a tensor is larger than all files");
}

#[test]
fn long_texts_are_refused_before_they_are_read() {
    let long: &'static str = Box::leak("x".repeat(2_000_000).into_boxed_str());
    let sample = Sample::default().with("tokenizer.chat_template", Value::Text(long));
    check_error(&sample.write(), "the GGUF header is damaged: `tokenizer.chat_template` is 2.0 MB long");
    assert!(parse_bytes(&Sample::default().with("other", Value::Text(long)).write()).is_ok());
}

proptest! {
    #[test]
    fn mutations_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        end in any::<proptest::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = Sample::default().write();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(header) = parse_bytes(&bytes) {
            prop_assert!(header.tensor_bytes <= 8 * bytes.len() as u64);
        }
    }

    #[test]
    fn enormous_lengths_anywhere_never_take_memory_or_time(
        at in any::<proptest::sample::Index>(),
        hostile in prop_oneof![Just(u64::MAX), Just(1 << 62), Just(i64::MAX as u64), Just(1 << 40), 0_u64..1 << 20],
        end in any::<proptest::sample::Index>(),
        claimed in prop_oneof![Just(None), Just(Some(1_u64 << 50)), Just(Some(u64::MAX))],
    ) {
        /// Fails where more is read than the file can have: whoever believes a length would read on and on.
        struct Bounded<'a>(Cursor<&'a [u8]>, u64);
        impl Read for Bounded<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.1 += 1;
                assert!(self.1 < 10_000 && buffer.len() as u64 <= LONGEST_TEXT, "{} of {}", self.1, buffer.len());
                self.0.read(buffer)
            }
        }
        impl Seek for Bounded<'_> {
            fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
                self.0.seek(to)
            }
        }
        let mut bytes = Sample::default().write();
        let place = at.index(bytes.len() - 8);
        bytes[place..place + 8].copy_from_slice(&hostile.to_le_bytes());
        bytes.truncate(end.index(bytes.len()) + 1);
        // The size that the file system tells may be larger than what can be read: a file with holes, or one that shrinks.
        let size = claimed.unwrap_or(bytes.len() as u64);
        if let Ok(header) = parse(Bounded(Cursor::new(&bytes), 0), size) {
            prop_assert!(claimed.is_some() || header.tensor_bytes <= 8 * bytes.len() as u64);
        }
    }

    #[test]
    fn any_bytes_after_the_magic_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..512)) {
        let bytes = [b"GGUF\x03\0\0\0".as_slice(), &tail].concat();
        prop_assert!(parse_bytes(&bytes).is_err() || !tail.is_empty());
    }
}
