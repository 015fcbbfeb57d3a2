//! A writer of small GGUF files for tests.

/// A value of metadata.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A number of the type that the format calls `UINT32`.
    U32(u32),
    /// A text.
    Text(&'static str),
    /// A list of `INT32`.
    Numbers(Vec<i32>),
    /// A list of texts.
    Texts(Vec<&'static str>),
    /// Any other type: its number and the bytes of the value.
    Raw(u32, Vec<u8>),
}

/// A tensor: its dimensions and the number of its type. Its data is zeros.
pub(crate) type Tensor = (Vec<u64>, u32);

/// A small GGUF file before it is written.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) version: u32,
    pub(crate) metadata: Vec<(&'static str, Value)>,
    pub(crate) tensors: Vec<Tensor>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            version: 3,
            metadata: vec![
                ("tokenizer.ggml.tokens", Value::Texts(vec!["<s>", "", "a longer token"])),
                ("llama.context_length", Value::U32(8192)),
                ("general.architecture", Value::Text("llama")),
                ("general.name", Value::Text("Small")),
                ("general.license", Value::Text("apache-2.0")),
                ("tokenizer.chat_template", Value::Text("{{ messages }}")),
                ("llama.block_count", Value::U32(30)),
                ("llama.embedding_length", Value::U32(576)),
                ("llama.attention.head_count", Value::U32(9)),
                ("llama.attention.head_count_kv", Value::U32(3)),
                ("llama.rope.freq_base", Value::Raw(6, 10_000_f32.to_le_bytes().to_vec())),
                ("tokenizer.ggml.add_bos_token", Value::Raw(7, vec![1])),
            ],
            tensors: vec![(vec![32, 4], 3), (vec![8], 0)],
        }
    }
}

impl Sample {
    /// Puts a value in place of the one of the same name, or adds it.
    pub(crate) fn with(mut self, key: &'static str, value: Value) -> Self {
        self.metadata.retain(|(other, _)| *other != key);
        self.metadata.push((key, value));
        self
    }

    /// The bytes of the file.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            text(&mut out, key);
            self::value(&mut out, value);
        }
        let mut offset = 0_u64;
        for (index, (dimensions, kind)) in self.tensors.iter().enumerate() {
            text(&mut out, &format!("blk.{index}.weight"));
            out.extend(u32::try_from(dimensions.len()).unwrap().to_le_bytes());
            dimensions.iter().for_each(|length| out.extend(length.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + bytes(dimensions, *kind)).next_multiple_of(32);
        }
        for (dimensions, kind) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.resize(out.len() + usize::try_from(bytes(dimensions, *kind)).unwrap(), 0);
        }
        out
    }
}

fn bytes(dimensions: &[u64], kind: u32) -> u64 {
    super::types::tensor_type(kind).map_or(0, |kind| dimensions.iter().product::<u64>() / kind.block * kind.bytes)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, value: &Value) {
    let list = |out: &mut Vec<u8>, kind: u32, count: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::U32(number) => {
            out.extend(4_u32.to_le_bytes());
            out.extend(number.to_le_bytes());
        }
        Value::Text(value) => {
            out.extend(8_u32.to_le_bytes());
            text(out, value);
        }
        Value::Numbers(numbers) => {
            list(out, 5, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Value::Texts(texts) => {
            list(out, 8, texts.len());
            texts.iter().for_each(|item| text(out, item));
        }
        Value::Raw(kind, bytes) => {
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        }
    }
}
