//! Tests of the whole program, as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backup;
mod beside;
mod calibrate;
mod checks;
mod compare;
mod compare_corrected;
mod decide;
mod doctor;
mod early;
mod env;
mod execution;
mod failures;
mod faults;
mod generate;
mod gguf;
mod history;
mod http;
mod hub;
mod incremental;
mod key_calls;
mod key_golden;
mod key_world;
mod keys;
mod label;
mod lock;
mod logprob;
#[cfg(feature = "llama")]
mod model;
mod models;
mod near;
mod panel;
mod plan;
mod prefer;
mod pull;
mod repeat;
mod research;
mod reuse;
mod shipped;
mod tidy;
mod upkeep;
mod usage;
mod why;
