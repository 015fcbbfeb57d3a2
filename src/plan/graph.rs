//! The graph of stages: who reads whom, and an order in which everything comes after what it reads.

use indexmap::IndexMap;
use petgraph::algo::{has_path_connecting, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::ids::StageId;
use crate::spec::Pipeline;
use crate::stage;

/// The graph of a pipeline's stages.
#[derive(Debug, Clone)]
pub struct Graph {
    graph: DiGraph<StageId, ()>,
    nodes: IndexMap<StageId, NodeIndex>,
    order: Vec<StageId>,
}

impl Graph {
    /// Builds the graph of a checked pipeline.
    #[must_use]
    pub fn new(pipeline: &Pipeline) -> Self {
        let mut graph = DiGraph::new();
        let nodes: IndexMap<StageId, NodeIndex> =
            pipeline.stages.keys().map(|id| (id.clone(), graph.add_node(id.clone()))).collect();
        for (id, stage) in &pipeline.stages {
            for read in stage::reads(stage) {
                graph.update_edge(nodes[read], nodes[id], ());
            }
        }
        let order = toposort(&graph, None).expect("a checked pipeline has no cycle");
        let order = order.into_iter().map(|node| graph[node].clone()).collect();
        Self { graph, nodes, order }
    }

    /// All stages, each after those it reads.
    #[must_use]
    pub fn order(&self) -> &[StageId] {
        &self.order
    }

    /// The stages that read a stage.
    pub fn readers(&self, stage: &StageId) -> impl Iterator<Item = &StageId> {
        self.graph.neighbors(self.nodes[stage]).map(|node| &self.graph[node])
    }

    /// Whether `stage` is `first`, or reads it, or reads what comes of it.
    #[must_use]
    pub fn is_after(&self, stage: &StageId, first: &StageId) -> bool {
        has_path_connecting(&self.graph, self.nodes[first], self.nodes[stage], None)
    }
}
