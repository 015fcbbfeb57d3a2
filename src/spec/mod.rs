//! From YAML to a checked [`Pipeline`], with every problem of a file found at once and shown where it is.
//!
//! Owns the file formats: pipeline, taxonomy, rubric, prompt templates. Reads files through [`Sources`]; never touches
//! the network, never hashes, never runs anything. Start at [`load()`].

#[cfg(test)]
mod checks_page;
mod compare;
mod env;
mod field_path;
mod gate;
mod generate;
mod gold;
mod hub_search;
mod load;
mod looks;
mod pipeline;
mod problem;
mod read;
mod research;
mod rubric;
mod secrets;
mod shards;
mod source;
mod sources;
mod taxonomy;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod url;

pub use crate::check::Language;
pub use compare::{Arms, Calibrations, Clustering, Compare, Goal, Guard};
pub use field_path::{FieldPath, InvalidPath};
pub use gate::{Bound, GateRule, Metric};
pub use generate::{
    Embeds, Expand, Freeze, Generate, GenerateFrom, Import, ImportFormat, Languages, Mapping, NearDuplicates, Reject,
    Writer, WriterOptions,
};
pub use gold::{Label, LabelLine, LabelOf, LabelVerdict, REPLY_DIGITS, is_reply_digest};
pub use hub_search::{CatalogFrom, HubSearch};
pub use load::{Loaded, load};
pub use looks::{Backup, Looks, Sample};
pub use pipeline::*;
pub use problem::{Code, Problem, Problems, Related, Severity};
pub use read::did_you_mean;
pub use research::{
    Conversation, DateRange, Fits, Hosting, Pin, Preset, PriceCeiling, Profile, Purpose, Quantization, Range, Require,
    Research,
};
pub use rubric::{Ask, AtLeast, Command, Criterion, PassRule, Question, Rubric, Scale};
pub use shards::{model_files, shard};
pub use source::{HubChoice, Keeper, SourceError, WeightsSource};
pub use sources::{Disk, Environment, LARGEST_FILE, Memory, Sources, project_root};
pub use taxonomy::{
    Axis, AxisValue, Demand, EdgeCase, Grid, GridCell, Selector, Subtopic, Subtopics, Taxonomy, Topic, Weight,
};
pub use template::{Condition, SCENARIO_FIELDS, Template, TemplateError, known_names};
pub use tree::{YamlError, yaml_value};
pub use units::{bytes, is_date, seconds};
