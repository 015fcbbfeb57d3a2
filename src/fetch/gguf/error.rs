//! Why a file's GGUF header could not be read.

use std::io;

use crate::fetch::size::Size;

/// A file that is not a model this program can load, and what it is instead.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file does not begin as a GGUF file does.
    #[error("not a GGUF file: it looks like {looks_like}")]
    NotGguf {
        /// What the first bytes speak for.
        looks_like: String,
    },
    /// The file was written for machines that order bytes the other way.
    #[error("the file is a big-endian GGUF file")]
    BigEndian,
    /// The format's version is one that llama.cpp does not read, or not any more.
    #[error("GGUF version {version} is not one of those that can be read, 2 and 3")]
    Version {
        /// The version that the file states.
        version: u32,
    },
    /// The file ends, or a length in it points past its end, before the header is complete.
    #[error("the file ends after {}, inside its header", Size(*actual))]
    HeaderCut {
        /// Size of the file in bytes.
        actual: u64,
    },
    /// The header is complete but the tensors are not.
    #[error("the file ends after {}, its tensor table needs {}", Size(*actual), Size(*expected))]
    Truncated {
        /// Size in bytes that the tensor table demands.
        expected: u64,
        /// Size of the file in bytes.
        actual: u64,
    },
    /// The header contradicts itself or the format.
    #[error("the GGUF header is damaged: {what}")]
    Malformed {
        /// What is wrong, in a lower-case fragment.
        what: String,
    },
    /// A tensor is packed in a way that llama.cpp does not know, or not any more.
    #[error("tensor type {number} is unknown or was removed from llama.cpp")]
    TensorType {
        /// ggml's number of the type.
        number: u32,
    },
    /// The model is spread over several files and this is one of them.
    #[error("the file is part {} of {count} of a split model", number.saturating_add(1))]
    Split {
        /// Which part it is, from 0.
        number: u64,
        /// How many parts there are.
        count: u64,
    },
    /// The file holds metadata only.
    #[error("the file holds no tensors")]
    NoTensors,
    /// The file could not be read.
    #[error("{source}")]
    Io {
        /// What the operating system said; names the path.
        source: io::Error,
    },
}

impl GgufError {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }

    /// What to do about it, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NotGguf { .. } => {
                "name a `.gguf` file, or convert the model with `convert_hf_to_gguf.py` of llama.cpp"
            }
            Self::BigEndian => "convert the file with `gguf_convert_endian.py` of llama.cpp",
            Self::Version { .. } | Self::TensorType { .. } => {
                "convert the model again with a version of llama.cpp of the age of this program"
            }
            Self::HeaderCut { .. } | Self::Truncated { .. } | Self::Malformed { .. } => {
                "get the file again: it was not transferred whole"
            }
            Self::Split { .. } => {
                "name the first part, `…-00001-of-….gguf`: the others are found beside it, on a server or on this machine, and \
                 all are joined"
            }
            Self::NoTensors => "name a file that holds weights: this one is a vocabulary",
            Self::Io { .. } => return None,
        };
        Some(help.to_owned())
    }
}
