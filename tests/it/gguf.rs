//! Small files of weights: a header that says what a test wants and one tensor. No engine can do anything with them.

/// A value of a header.
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(u32),
}

/// A file with such a header.
pub(crate) fn file(header: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend((header.len() as u64).to_le_bytes());
    for (name, value) in header {
        text(&mut bytes, name);
        match value {
            Value::Text(value) => {
                bytes.extend(8_u32.to_le_bytes());
                text(&mut bytes, value);
            }
            Value::Number(value) => {
                bytes.extend(4_u32.to_le_bytes());
                bytes.extend(value.to_le_bytes());
            }
        }
    }
    text(&mut bytes, "t");
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(32_u64.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32) + 128, 0);
    bytes
}

/// A file that says no more than what it must.
pub(crate) fn smallest() -> Vec<u8> {
    file(&[("general.architecture", Value::Text("llama"))])
}

/// A model of so many layers, whose cache takes 4 KiB a token and layer, and whose weights take so many bytes.
pub(crate) fn model(name: &str, layers: u32, bytes: usize) -> Vec<u8> {
    let mut file = file(&[
        ("general.architecture", Value::Text("llama")),
        ("general.name", Value::Text(name)),
        ("llama.block_count", Value::Number(layers)),
        ("llama.embedding_length", Value::Number(4096)),
        ("llama.attention.head_count", Value::Number(32)),
        ("llama.attention.head_count_kv", Value::Number(8)),
        ("llama.context_length", Value::Number(2048)),
    ]);
    file.resize(file.len().max(bytes), 0);
    file
}

/// A LoRA adapter for models of an architecture.
pub(crate) fn adapter(architecture: &str) -> Vec<u8> {
    file(&[
        ("general.architecture", Value::Text(architecture)),
        ("general.type", Value::Text("adapter")),
        ("adapter.type", Value::Text("lora")),
    ])
}
