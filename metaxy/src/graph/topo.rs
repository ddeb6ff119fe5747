//! Order and reachability. petgraph stays in here: what goes in and comes out are indices of features.

use petgraph::Direction::{self, Incoming, Outgoing};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::VecDeque;

/// Which feature is computed from which: an edge goes from the upstream to the downstream.
///
/// Indices are in ascending order of the features' keys as text, so that every tie is broken the
/// way the wire format breaks it.
#[derive(Debug)]
pub(super) struct Topology {
    graph: DiGraph<(), ()>,
}

impl Topology {
    /// Over `n` features; `edges` are (upstream, downstream).
    pub(super) fn new(n: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut graph = DiGraph::with_capacity(n, n);
        for _ in 0..n {
            graph.add_node(());
        }
        for (upstream, downstream) in edges {
            graph.update_edge(NodeIndex::new(upstream), NodeIndex::new(downstream), ());
        }
        Self { graph }
    }

    fn neighbours(&self, feature: usize, direction: Direction) -> Vec<usize> {
        let neighbours = self.graph.neighbors_directed(NodeIndex::new(feature), direction);
        let mut neighbours: Vec<_> = neighbours.map(NodeIndex::index).collect();
        neighbours.sort_unstable();
        neighbours
    }

    /// What the feature is computed from, in ascending order.
    pub(super) fn upstreams(&self, feature: usize) -> Vec<usize> {
        self.neighbours(feature, Incoming)
    }

    /// What is computed from the feature, in ascending order.
    pub(super) fn downstreams(&self, feature: usize) -> Vec<usize> {
        self.neighbours(feature, Outgoing)
    }

    /// Everything that can be reached upstream of the feature, which is not part of the answer.
    pub(super) fn all_upstreams(&self, feature: usize) -> Vec<usize> {
        self.reachable(feature, Incoming)
    }

    /// Everything that can be reached downstream of the feature, which is not part of the answer.
    pub(super) fn all_downstreams(&self, feature: usize) -> Vec<usize> {
        self.reachable(feature, Outgoing)
    }

    fn reachable(&self, feature: usize, direction: Direction) -> Vec<usize> {
        let mut seen = vec![false; self.graph.node_count()];
        seen[feature] = true;
        let mut to_visit = vec![NodeIndex::new(feature)];
        let mut reached = Vec::new();
        while let Some(node) = to_visit.pop() {
            for next in self.graph.neighbors_directed(node, direction) {
                if !std::mem::replace(&mut seen[next.index()], true) {
                    reached.push(next.index());
                    to_visit.push(next);
                }
            }
        }
        reached.sort_unstable();
        reached
    }

    /// Upstream before downstream: the post-order of a depth-first walk that takes features, and the
    /// upstreams of each, in ascending order. That is the wire format's order.
    ///
    /// The walk keeps its own stack, so that a long chain cannot overflow the thread's. In a cycle
    /// it goes round once.
    pub(super) fn order(&self) -> Vec<usize> {
        let n = self.graph.node_count();
        let mut order = Vec::with_capacity(n);
        let mut seen = vec![false; n];
        for root in 0..n {
            if std::mem::replace(&mut seen[root], true) {
                continue;
            }
            let mut stack = vec![(root, self.upstreams(root).into_iter())];
            while let Some((feature, upstreams)) = stack.last_mut() {
                match upstreams.find(|up| !seen[*up]) {
                    Some(upstream) => {
                        seen[upstream] = true;
                        stack.push((upstream, self.upstreams(upstream).into_iter()));
                    }
                    None => {
                        order.push(*feature);
                        stack.pop();
                    }
                }
            }
        }
        order
    }

    /// One shortest cycle through the smallest feature of every set of features that reach each
    /// other, each feature followed by one that it is computed from. So each knot is reported once.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        // Most features are a set of their own, and in no cycle unless they depend on themselves.
        let is_knot = |set: &Vec<NodeIndex>| {
            set.len() > 1 || set.iter().any(|node| self.graph.contains_edge(*node, *node))
        };
        let knots = tarjan_scc(&self.graph).into_iter().filter(is_knot);
        let mut cycles: Vec<_> =
            knots.filter_map(|knot| self.shortest_cycle(knot.into_iter().min()?.index())).collect();
        cycles.sort();
        cycles
    }

    fn shortest_cycle(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.graph.node_count()];
        let mut to_visit = VecDeque::from([start]);
        while let Some(feature) = to_visit.pop_front() {
            for upstream in self.upstreams(feature) {
                if upstream == start {
                    let mut path = vec![feature];
                    while let Some(before) = came_from[*path.last()?] {
                        path.push(before);
                    }
                    path.reverse();
                    return Some(path);
                }
                if came_from[upstream].is_none() {
                    came_from[upstream] = Some(feature);
                    to_visit.push_back(upstream);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_depth_first_with_ties_by_index() {
        // 0 is computed from 3 and 2, 2 from 4; 1 stands alone.
        let topology = Topology::new(5, [(3, 0), (2, 0), (4, 2)]);
        assert_eq!(topology.order(), [4, 2, 3, 0, 1]);
        assert_eq!(topology.all_upstreams(0), [2, 3, 4]);
        assert_eq!(topology.all_downstreams(4), [0, 2]);
        assert!(topology.cycles().is_empty());
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let n = 100_000;
        let topology = Topology::new(n, (1..n).map(|i| (i, i - 1)));
        assert_eq!(topology.order().first(), Some(&(n - 1)));
    }

    #[test]
    fn every_knot_is_reported_once_by_its_shortest_path() {
        // 0 -> 1 -> 2 -> 0 with the shortcut 0 -> 2, and a feature that depends on itself.
        let topology = Topology::new(4, [(1, 0), (2, 1), (0, 2), (2, 0), (3, 3)]);
        assert_eq!(topology.cycles(), [vec![0, 2], vec![3]]);
    }
}
