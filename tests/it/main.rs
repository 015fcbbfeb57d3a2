//! Tests of the whole program, as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod env;
mod failures;
mod history;
mod http;
mod incremental;
mod lock;
#[cfg(feature = "llama")]
mod model;
mod shipped;
mod tidy;
mod usage;
