//! The checked taxonomy: topics × subtopics × styles, and named edge cases.

use indexmap::IndexMap;
use serde::Serialize;

/// What scenarios are made from.
#[derive(Debug, Clone, Serialize)]
pub struct Taxonomy {
    /// Its name.
    pub name: String,
    /// Style → how such a message reads.
    pub styles: IndexMap<String, String>,
    /// Topics, in order.
    pub topics: Vec<Topic>,
    /// Scenarios that every suite has.
    pub edge_cases: Vec<EdgeCase>,
    /// What a writer model is told; a minijinja template.
    pub writer_prompt: Option<super::template::Template>,
}

/// A topic.
#[derive(Debug, Clone, Serialize)]
pub struct Topic {
    /// Its id, unique in the taxonomy.
    pub id: String,
    /// Its name for people and for the writer.
    pub title: String,
    /// Its parts, never empty.
    pub subtopics: Vec<Subtopic>,
}

/// A part of a topic.
#[derive(Debug, Clone, Serialize)]
pub struct Subtopic {
    /// Its id, unique in the topic.
    pub id: String,
    /// Its name for people and for the writer.
    pub title: String,
    /// Style → authored opening.
    pub openings: IndexMap<String, String>,
}

/// A named scenario outside of the grid.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeCase {
    /// Its id, unique among edge cases.
    pub id: String,
    /// Its topic, a word of its own.
    pub topic: String,
    /// One of the styles.
    pub style: String,
    /// What it is an edge case of.
    pub tags: Vec<String>,
    /// The message.
    pub opening: String,
}
