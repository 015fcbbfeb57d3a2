//! Catalogs of models: from the bytes of files to a table of candidates with a reason in every row.
//!
//! Owns the reading, the requirements, the memory estimate, the ranking and its sentences, and what is to be watched. Pure: never opens a file,
//! never touches the network; the same bytes give the same candidates. Start at [`Catalog::read`] and [`research`].

mod concerns;
mod cost;
mod error;
mod explain;
mod facts;
mod formats;
mod grid;
mod known;
mod licenses;
mod listing;
mod memory;
mod number;
mod presets;
mod quantization;
mod rank;
mod reason;
mod require;
mod research;
mod scaling;
mod select;
mod table;
#[cfg(test)]
mod tests;
mod ties;
mod training;

pub use error::{CatalogError, NearestMiss, Spot};
pub use facts::Facts;
pub use listing::Listing;
pub use memory::{Memory, estimate, memory_bytes};
pub use research::research;
pub use select::{SelectError, select};
pub use table::{Catalog, Part};

/// The formulas that reference vectors exist for.
#[cfg(test)]
pub(crate) mod reckoning {
    pub(crate) use super::cost::{api_cost, break_even_tokens, self_hosted};
    pub(crate) use super::memory::{compute_buffer_bytes, kv_cache_bytes};
    pub(crate) use super::quantization::weight_bytes;
    pub(crate) use super::scaling::Law;
}
