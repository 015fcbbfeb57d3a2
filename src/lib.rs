//! evalflow runs LLM evaluations written down as code: a graph of stages, executed over a content-addressed cache, with
//! llama.cpp inside.
//!
//! The modules are listed in the order in which a datum travels through them; `ARCHITECTURE.md` has the table of what
//! each owns and never does.

pub mod catalog;
pub mod check;
pub mod cli;
pub mod data;
pub mod engine;
pub mod exec;
pub mod fetch;
pub mod ids;
pub mod judge;
pub mod key;
pub mod label;
pub mod lock;
pub mod net;
pub mod plan;
pub mod report;
pub mod spec;
pub mod stage;
pub mod stats;
pub mod store;
