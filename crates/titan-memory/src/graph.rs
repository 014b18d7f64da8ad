//! Passages and names as one graph in compressed rows, and personalised PageRank over it.

use crate::index::Index;
use std::collections::VecDeque;

/// How likely a walk goes on rather than back to where it began. Small: an answer is few steps away.
const WALK_ON: f32 = 0.5;
/// What is left of a walk, for each connection of a node, that is not worth following.
const RESIDUE_MIN: f32 = 2e-6;
/// How much more a passage is tied to what it is about than to what it names.
const ABOUT_WEIGHT: f32 = 3.0;
/// How much less a name counts that a model alone found in a passage.
const READ_WEIGHT: f32 = 0.5;
/// How much a passage is tied to the next of its document.
const NEXT_WEIGHT: f32 = 0.5;
/// Passages of one name that walks go to; a name that is everywhere leads nowhere.
const MEMBERS_MAX: usize = 2_000;

/// A graph with weights that sum to 1 over what leaves each node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Where each node's connections begin; one more than there are nodes.
    starts: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
    /// Nodes before this one are passages, those from it on are names.
    pub(crate) names_from: u32,
}

impl Graph {
    /// The graph of these connections out of each node; their weights are made to sum to 1.
    pub fn from_rows(rows: Vec<Vec<(u32, f32)>>) -> Self {
        let mut graph = Self {
            starts: vec![0],
            ..Self::default()
        };
        for row in rows {
            graph.push(&row);
        }
        graph
    }

    fn push(&mut self, row: &[(u32, f32)]) {
        let sum: f32 = row.iter().map(|(_, weight)| weight).sum();
        for (target, weight) in row {
            self.targets.push(*target);
            self.weights.push(weight / sum);
        }
        self.starts.push(self.targets.len() as u32);
    }

    /// Connections of each node stand in an order that does not depend on how the index came to be, so that the same
    /// sums are made in the same order.
    pub(crate) fn of(index: &Index) -> Self {
        let names_from = index.passages.len() as u32;
        let all = index.documents.len() as f32;
        let mut rows: Vec<Vec<(u32, f32)>> =
            vec![Vec::new(); index.passages.len() + index.entities.len()];
        let mut names: Vec<u32> = (0..index.entities.len() as u32)
            .filter(|it| index.entities[*it as usize].is_some())
            .collect();
        names.sort_unstable_by_key(|name| index.entity(*name).order);
        for name in names {
            let entity = index.entity(name);
            let node = names_from + name;
            let mentioned = entity.named_in();
            if mentioned.len() + entity.about.len() > MEMBERS_MAX || !index.is_telling(name) {
                continue;
            }
            let rarity = (1.0 + all / (1.0 + mentioned.len() as f32)).ln();
            for passage in entity.about.iter() {
                rows[node as usize].push((passage, ABOUT_WEIGHT));
                rows[passage as usize].push((node, ABOUT_WEIGHT * rarity));
            }
            for passage in mentioned {
                let weight = match entity.is_only_read_in(passage) {
                    true => READ_WEIGHT,
                    false => 1.0,
                };
                rows[node as usize].push((passage, weight));
                rows[passage as usize].push((node, weight * rarity));
            }
        }
        for document in index.documents.values() {
            for pair in document.passages.windows(2) {
                rows[pair[0] as usize].push((pair[1], NEXT_WEIGHT));
                rows[pair[1] as usize].push((pair[0], NEXT_WEIGHT));
            }
        }
        let mut graph = Self::from_rows(rows);
        graph.names_from = names_from;
        graph
    }

    /// Nodes, connected or not.
    pub fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Connections, each way counted.
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    fn row(&self, node: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let at = self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize;
        self.targets[at.clone()]
            .iter()
            .copied()
            .zip(self.weights[at].iter().copied())
    }

    fn degree(&self, node: u32) -> u32 {
        self.starts[node as usize + 1] - self.starts[node as usize]
    }

    /// How often each node is come by on walks that begin at these nodes, in proportion to their weights, and may end
    /// at any step: personalised PageRank. Computed by pushing what is left of each walk on until no more than
    /// `RESIDUE_MIN` for each connection is left anywhere (Andersen, Chung and Lang 2006), so that the work does not
    /// grow with the graph.
    pub fn page_rank(&self, seeds: &[(u32, f32)]) -> Vec<f32> {
        let mut ranks = vec![0.0_f32; self.nodes()];
        let mut left = vec![0.0_f32; self.nodes()];
        let mut is_queued = vec![false; self.nodes()];
        let mut queue = VecDeque::new();
        let total: f32 = seeds.iter().map(|(_, weight)| weight).sum();
        for (node, weight) in seeds {
            left[*node as usize] += weight / total.max(f32::MIN_POSITIVE);
            if !std::mem::replace(&mut is_queued[*node as usize], true) {
                queue.push_back(*node);
            }
        }
        while let Some(node) = queue.pop_front() {
            is_queued[node as usize] = false;
            let mass = std::mem::take(&mut left[node as usize]);
            if self.degree(node) == 0 {
                ranks[node as usize] += mass;
                continue;
            }
            ranks[node as usize] += (1.0 - WALK_ON) * mass;
            for (target, weight) in self.row(node) {
                let at = target as usize;
                left[at] += WALK_ON * mass * weight;
                if left[at] > RESIDUE_MIN * self.degree(target) as f32
                    && !std::mem::replace(&mut is_queued[at], true)
                {
                    queue.push_back(target);
                }
            }
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the definition says, summed over walks of every length that counts.
    fn by_definition(graph: &Graph, seeds: &[(u32, f32)]) -> Vec<f64> {
        let total: f64 = seeds.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let mut walkers = vec![0.0_f64; graph.nodes()];
        for (node, weight) in seeds {
            walkers[*node as usize] += f64::from(*weight) / total;
        }
        let mut ranks = vec![0.0; graph.nodes()];
        for _ in 0..60 {
            let mut next = vec![0.0; graph.nodes()];
            for node in 0..graph.nodes() as u32 {
                let mass = walkers[node as usize];
                if graph.degree(node) == 0 {
                    ranks[node as usize] += mass;
                    continue;
                }
                ranks[node as usize] += mass * f64::from(1.0 - WALK_ON);
                for (target, weight) in graph.row(node) {
                    next[target as usize] += mass * f64::from(WALK_ON * weight);
                }
            }
            walkers = next;
        }
        ranks
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_the_definition(
            edges in proptest::collection::vec((0_u32..30, 0_u32..30, 0.1_f32..5.0), 0..120),
            seeds in proptest::collection::vec((0_u32..30, 0.1_f32..2.0), 1..4),
        ) {
            let mut rows = vec![Vec::new(); 30];
            for (from, to, weight) in edges {
                rows[from as usize].push((to, weight));
            }
            let graph = Graph::from_rows(rows);
            let expected = by_definition(&graph, &seeds);
            let ranks = graph.page_rank(&seeds);
            for (rank, expected) in ranks.iter().zip(expected) {
                prop_assert!((f64::from(*rank) - expected).abs() < 1e-3, "{rank} {expected}");
            }
        }
    }
}
