//! Loading weights: llama.cpp's process-wide state, its log, and the model with its chat template.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::{
    LlamaBackendDevice, LlamaBackendDeviceType, LogOptions, list_llama_ggml_backend_devices, send_logs_to_tracing,
};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

use super::{AdapterConfig, GpuMemory, LlamaConfig};
use crate::engine::embedded::BACKEND;
use crate::engine::template::ChatTemplate;
use crate::engine::{EngineError, EngineErrorKind};
use crate::key::BlobId;
use crate::spec::KvCache;

/// Under this target `llama-cpp-2` hands llama.cpp's own log lines on.
const LOG_TARGET: &str = "llama-cpp-2";

/// Weights in memory, with what was read from the file beside them.
pub(super) struct Model {
    pub(super) weights: Arc<LlamaModel>,
    pub(super) template: ChatTemplate,
    pub(super) adapter: Option<Adapter>,
    pub(super) kv_cache: KvCache,
    /// What llama.cpp itself took to load the weights.
    pub(super) loading: Duration,
}

/// An adapter in memory. llama.cpp frees it with the weights that it belongs to.
pub(super) struct Adapter {
    /// The library wants it to be exclusive while it is laid over a context.
    loaded: RefCell<LlamaLoraAdapter>,
    scale: f32,
}

impl Adapter {
    /// Lays the adapter over a context of its weights: all that is computed there from now on is the sum of both.
    pub(super) fn lay_over(&self, context: &mut LlamaContext<'_>) -> Result<(), String> {
        context
            .lora_adapter_set(&mut self.loaded.borrow_mut(), self.scale)
            .map_err(|error| format!("the adapter cannot be used: {error}"))
    }
}

/// llama.cpp's process-wide state.
///
/// The library allows one initialisation in a process and one log callback, so this cannot belong to an engine: two may
/// live at once. It holds a few tables and no weights, and is therefore kept until the process ends; handing it back
/// with the last engine would race with the next one's start.
pub(super) fn backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        send_logs_to_tracing(LogOptions::default());
        LlamaBackend::init().expect("this is the only place that initialises it, and it runs once")
    })
}

/// Loads the weights. Raising `stop` meanwhile gives up.
pub(super) fn model(config: &LlamaConfig, stop: &Arc<AtomicBool>, error_log: &ErrorLog) -> Result<Model, EngineError> {
    let path = &config.weights_path;
    let unavailable = |message: String| EngineError::new(EngineErrorKind::Unavailable, message);
    let missing = super::processor::missing();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(unavailable(format!(
            "this evalflow was built for a processor with {missing}, which this machine's has not: build it here, or \
             with `EVALFLOW_PORTABLE=1 make build` for any machine"
        )));
    }
    // llama.cpp only logs why a file cannot be opened; the system's own words are better.
    fs_err::File::open(path).map_err(|error| unavailable(format!("cannot open the weights: {error}")))?;
    let stop = Arc::clone(stop);
    let params = LlamaModelParams::default().with_progress_callback(move |_| !stop.load(Ordering::Relaxed));
    let params = on_devices(params, config).map_err(unavailable)?;
    error_log.forget();
    let start = Instant::now();
    let mut weights = LlamaModel::load_from_file(backend(), path, &params).map_err(|error| {
        let reason = error_log.take().unwrap_or_else(|| error.to_string());
        unavailable(format!("llama.cpp cannot load `{}`: {reason}", path.display()))
    })?;
    let loading = start.elapsed();
    let template = template(&weights, config, path).map_err(unavailable)?;
    let adapter = match &config.adapter {
        None => None,
        Some(adapter) => Some(load_adapter(&mut weights, adapter, error_log).map_err(unavailable)?),
    };
    Ok(Model { weights: Arc::new(weights), template, adapter, kv_cache: config.kv_cache, loading })
}

/// Says which layers are computed where. On a build for processors alone both are left as they are.
fn on_devices(params: LlamaModelParams, config: &LlamaConfig) -> Result<LlamaModelParams, String> {
    if BACKEND == "cpu" {
        return Ok(params);
    }
    let params = match config.gpu_layers {
        Some(layers) => params.with_n_gpu_layers(layers),
        None => params,
    };
    if config.devices.is_empty() {
        return Ok(params);
    }
    backend();
    params.with_devices(&config.devices).map_err(|error| format!("the model's `devices` cannot be used: {error}"))
}

/// The memory of the graphics processors that a model is computed on; none where there is none.
pub(super) fn gpu_memory(devices: &[usize]) -> Option<GpuMemory> {
    backend();
    let is_meant = |device: &LlamaBackendDevice| {
        matches!(device.device_type, LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu)
            && (devices.is_empty() || devices.contains(&device.index))
    };
    let memory =
        |device: LlamaBackendDevice| GpuMemory { free: device.memory_free as u64, total: device.memory_total as u64 };
    list_llama_ggml_backend_devices().into_iter().filter(is_meant).map(memory).reduce(|one, other| GpuMemory {
        free: one.free.saturating_add(other.free),
        total: one.total.saturating_add(other.total),
    })
}

fn load_adapter(weights: &mut LlamaModel, config: &AdapterConfig, error_log: &ErrorLog) -> Result<Adapter, String> {
    let path = &config.path;
    fs_err::File::open(path).map_err(|error| format!("cannot open the adapter: {error}"))?;
    error_log.forget();
    let loaded = weights.lora_adapter_init(path).map_err(|error| {
        let reason = error_log.take().unwrap_or_else(|| error.to_string());
        format!("llama.cpp cannot lay the adapter `{}` over the weights: {reason}", path.display())
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "llama.cpp reckons with this precision")]
    let scale = config.scale as f32;
    Ok(Adapter { loaded: RefCell::new(loaded), scale })
}

fn template(weights: &LlamaModel, config: &LlamaConfig, path: &Path) -> Result<ChatTemplate, String> {
    // Not `LlamaModel::chat_template`, which makes up a built-in template's name for some files without one.
    let source = weights.meta_val_str("tokenizer.chat_template").ok();
    let found = source.as_ref().map(|source| BlobId::of(source.as_bytes()));
    if found != config.chat_template {
        let name = |id: Option<BlobId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let (found, expected) = (name(found), name(config.chat_template));
        return Err(format!("`{}` has chat template {found}, not {expected}", path.display()));
    }
    let vocabulary = weights.vocab();
    let text = |token: LlamaToken| {
        let text = if token.0 < 0 { None } else { vocabulary.text(token) };
        text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    };
    ChatTemplate::new(source, text(vocabulary.bos()), text(vocabulary.eos()))
        .map_err(|error| format!("the chat template in `{}` cannot be used: {error}", path.display()))
}

/// What llama.cpp logged as errors of late: its only explanation of a failure, the cause first.
#[derive(Debug, Clone, Default)]
pub(super) struct ErrorLog(Arc<Mutex<Vec<String>>>);

impl ErrorLog {
    /// Empties the log into one line; none if nothing was logged.
    pub(super) fn take(&self) -> Option<String> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if lines.is_empty() { None } else { Some(lines.join("; ")) }
    }

    pub(super) fn forget(&self) {
        drop(self.take());
    }

    fn push(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim().to_owned());
    }
}

/// Makes a subscriber that notes llama.cpp's errors and hands everything on to `listener`.
pub(super) fn listen(listener: Dispatch) -> (Dispatch, ErrorLog) {
    let error_log = ErrorLog::default();
    (Dispatch::new(Listener { listener, error_log: error_log.clone() }), error_log)
}

struct Listener {
    listener: Dispatch,
    error_log: ErrorLog,
}

fn is_llama_error(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == LOG_TARGET && *metadata.level() == Level::ERROR
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_llama_error(metadata) || self.listener.enabled(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        if is_llama_error(event.metadata()) {
            event.record(&mut Message(&self.error_log));
        }
        if self.listener.enabled(event.metadata()) {
            self.listener.event(event);
        }
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.listener.new_span(span)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.listener.record(span, values);
    }

    fn record_follows_from(&self, span: &span::Id, follows: &span::Id) {
        self.listener.record_follows_from(span, follows);
    }

    fn enter(&self, span: &span::Id) {
        self.listener.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.listener.exit(span);
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        self.listener.clone_span(id)
    }

    fn try_close(&self, id: span::Id) -> bool {
        self.listener.try_close(id)
    }
}

struct Message<'a>(&'a ErrorLog);

impl Visit for Message<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push(value);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
