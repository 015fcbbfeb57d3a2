//! Catalogs of models: from CSV bytes to a table of candidates with a reason in every row.
//!
//! Owns the CSV reading, the requirements, the memory estimate, the ranking and its sentences. Pure: never opens a file,
//! never touches the network; the same bytes give the same candidates. Start at [`Catalog::read`] and [`research`].

mod error;
mod facts;
mod known;
mod memory;
mod number;
mod rank;
mod reason;
mod require;
mod research;
mod table;
#[cfg(test)]
mod tests;

pub use error::{CatalogError, NearestMiss};
pub use facts::Facts;
pub use memory::{Memory, memory_bytes};
pub use research::research;
pub use table::Catalog;
