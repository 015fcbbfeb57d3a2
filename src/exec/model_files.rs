//! The files that a model on the embedded engine is made of: weights, and an adapter that must fit them.

use super::engines::EngineError;
use crate::data::WeightsRecord;
use crate::engine::Identity;
use crate::engine::embedded::{self, Parts};
use crate::fetch::gguf;
use crate::ids::StageId;
use crate::plan::Needs;
use crate::spec::Embedded;
use crate::stage::Known;
use crate::store::{Store, StoreError};

/// A file that a `pull` stage brought.
pub(super) struct File {
    pub(super) record: WeightsRecord,
    pub(super) header: gguf::Header,
}

impl File {
    pub(super) fn read(
        stage: &StageId,
        store: &Store,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Self, EngineError> {
        let bad = |message: String| EngineError::BadRecord { stage: stage.clone(), message };
        let record: WeightsRecord =
            serde_json::from_slice(&known.record(stage)?).map_err(|error| bad(error.to_string()))?;
        let path = store.verified(&record.weights)?;
        let header = gguf::read(&path).map_err(|error| bad(error.to_string()))?;
        Ok(Self { record, header })
    }
}

/// The files that an embedded model is made of, which belong together.
pub(super) struct Files {
    pub(super) weights: File,
    pub(super) adapter: Option<File>,
}

impl Files {
    pub(super) fn read(
        model: &Embedded,
        store: &Store,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Self, EngineError> {
        let weights = File::read(&model.weights, store, known)?;
        let adapter = model.adapter.as_ref().map(|adapter| File::read(&adapter.stage, store, known)).transpose()?;
        if weights.header.adapter.is_some() {
            let message = format!("what `{}` brought is an adapter, and no model by itself", model.weights);
            let help = "declare a model under `models:` with `llama: { weights: …, adapter: … }`, and name that";
            return Err(EngineError::WrongFile { message, help });
        }
        if let (Some(adapter), Some(named)) = (&adapter, &model.adapter) {
            check_adapter(&named.stage, &adapter.header, &weights.header)?;
        }
        Ok(Self { weights, adapter })
    }

    pub(super) fn needs(&self, model: &Embedded, context: Option<u32>) -> Needs {
        let adapter_bytes = self.adapter.as_ref().map_or(0, |file| file.record.bytes);
        Needs::of_header(&self.weights.header, self.weights.record.bytes, adapter_bytes, model, context)
    }

    pub(super) fn identity(&self, model: &Embedded) -> Identity {
        let File { record, header: _ } = &self.weights;
        let scale = model.adapter.as_ref().map(|adapter| adapter.scale);
        embedded::identity(&Parts {
            weights: record.weights,
            chat_template: record.chat_template,
            adapter: self.adapter.as_ref().map(|file| file.record.weights).zip(scale),
            kv_cache: model.kv_cache,
            gpu_layers: model.gpu_layers,
        })
    }
}

/// Sees that a file is an adapter for such weights. Whether its tensors have the right shapes, llama.cpp tells.
fn check_adapter(stage: &StageId, adapter: &gguf::Header, weights: &gguf::Header) -> Result<(), EngineError> {
    let wrong = |message: String, help| Err(EngineError::WrongFile { message, help });
    match adapter.adapter.as_deref() {
        Some("lora") => {}
        None => {
            let message = format!("what `{stage}` brought is a model, and no adapter");
            return wrong(
                message,
                "name it as `weights`, or convert the adapter with `convert_lora_to_gguf.py` of llama.cpp",
            );
        }
        Some(kind) => {
            let kind = kind.escape_debug();
            let message = format!("what `{stage}` brought is an adapter of the kind `{kind}`, not `lora`");
            return wrong(message, "convert the adapter with `convert_lora_to_gguf.py` of llama.cpp");
        }
    }
    if adapter.architecture != weights.architecture {
        let (of, for_) = (adapter.architecture.escape_debug(), weights.architecture.escape_debug());
        let message =
            format!("the adapter of `{stage}` is made for the architecture `{of}`, and the weights are `{for_}`");
        return wrong(message, "pull the weights that the adapter was trained on");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::gguf::sample::{Sample, Value};

    fn header(sample: &Sample) -> gguf::Header {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), sample.write()).unwrap();
        gguf::read(file.path()).unwrap()
    }

    #[test]
    fn an_adapter_must_be_one_and_fit_its_weights() {
        let weights = header(&Sample::default());
        let adapter = |kind: &'static str| {
            Sample::default().with("general.type", Value::Text("adapter")).with("adapter.type", Value::Text(kind))
        };
        let check = |sample: &Sample, expected: Option<&str>| {
            let stage = StageId::new("lora").unwrap();
            let found = check_adapter(&stage, &header(sample), &weights).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected);
        };
        check(&adapter("lora"), None);
        check(&Sample::default(), Some("what `lora` brought is a model, and no adapter"));
        check(&adapter("other"), Some("what `lora` brought is an adapter of the kind `other`, not `lora`"));
        check(
            &adapter("lora").with("general.architecture", Value::Text("qwen2")),
            Some("the adapter of `lora` is made for the architecture `qwen2`, and the weights are `llama`"),
        );
    }
}
