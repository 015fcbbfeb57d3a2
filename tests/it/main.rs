//! Tests of the whole program, as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod env;
mod failures;
mod http;
mod incremental;
#[cfg(feature = "llama")]
mod model;
mod plan;
mod shipped;
mod tidy;
mod usage;
mod why;
