//! The graph of stages: who reads whom, and an order in which everything comes after what it reads.

use indexmap::IndexMap;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::ids::StageId;
use crate::spec::Pipeline;
use crate::stage;

/// The graph of a pipeline's stages.
#[derive(Debug, Clone)]
pub struct Graph {
    order: Vec<StageId>,
}

impl Graph {
    /// Builds the graph of a checked pipeline.
    #[must_use]
    pub fn new(pipeline: &Pipeline) -> Self {
        let mut graph = DiGraph::<&StageId, ()>::new();
        let nodes: IndexMap<&StageId, NodeIndex> = pipeline.stages.keys().map(|id| (id, graph.add_node(id))).collect();
        for (id, stage) in &pipeline.stages {
            for read in stage::reads(stage) {
                graph.add_edge(nodes[read], nodes[id], ());
            }
        }
        let order = toposort(&graph, None).expect("a checked pipeline has no cycle");
        Self { order: order.into_iter().map(|node| graph[node].clone()).collect() }
    }

    /// All stages, each after those it reads.
    #[must_use]
    pub fn order(&self) -> &[StageId] {
        &self.order
    }
}
