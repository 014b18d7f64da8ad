//! Vectors of passages: a flat scan over bytes, and a navigable graph (HNSW) where there are too many for that.

use crate::hnsw::Hnsw;
use crate::top::top;
use std::collections::HashMap;

/// Vectors that are scanned one by one; more of them are found through the graph.
const SCANNED_MAX: usize = 65_536;
/// The largest value of a component.
const SCALE: f32 = 127.0;

/// Vectors by the numbers of their passages. Each is held as bytes with one scale: a fourth of the memory, and the order
/// of likenesses but for the last per cent.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    dimensions: usize,
    rows: Vec<i8>,
    /// By passage; 0 where there is none yet, below 0 where there is none to be had.
    scales: Vec<f32>,
    count: usize,
    /// How many are scanned one by one.
    scanned_max: usize,
    graph: Option<Hnsw>,
}

impl Default for Vectors {
    fn default() -> Self {
        Self::scanning(SCANNED_MAX)
    }
}

impl Vectors {
    /// Vectors that are found through the graph when there are more than this.
    pub(crate) fn scanning(scanned_max: usize) -> Self {
        Self {
            dimensions: 0,
            rows: Vec::new(),
            scales: Vec::new(),
            count: 0,
            scanned_max,
            graph: None,
        }
    }

    fn has(&self, number: u32) -> bool {
        self.scales
            .get(number as usize)
            .is_some_and(|scale| *scale > 0.0)
    }

    /// Whether a passage's vector was set, even if it was none.
    pub(crate) fn is_set(&self, number: u32) -> bool {
        self.scales
            .get(number as usize)
            .is_some_and(|scale| *scale != 0.0)
    }

    /// A vector of another length than those that are held is none, and so is one of no length: that of an empty text.
    pub(crate) fn set(&mut self, number: u32, vector: &[f32]) {
        if self.count == 0 && self.dimensions != vector.len() {
            *self = Self {
                dimensions: vector.len(),
                ..Self::scanning(self.scanned_max)
            };
        }
        let largest = vector
            .iter()
            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
        self.remove(number);
        let at = number as usize;
        if self.scales.len() <= at {
            self.scales.resize(at + 1, 0.0);
            self.rows.resize((at + 1) * self.dimensions, 0);
        }
        if vector.len() != self.dimensions || largest <= 0.0 || !largest.is_finite() {
            self.scales[at] = -1.0;
            return;
        }
        let scale = largest / SCALE;
        for (byte, value) in self.rows[at * self.dimensions..].iter_mut().zip(vector) {
            *byte = (value / scale).round() as i8;
        }
        self.scales[at] = scale;
        self.count += 1;
        if let Some(mut graph) = self.graph.take() {
            graph.insert(number, &|a, b| self.likeness(a, b));
            self.graph = Some(graph);
        }
    }

    /// Removes a vector: its bytes are overwritten.
    pub(crate) fn remove(&mut self, number: u32) {
        if self.has(number) {
            let at = number as usize * self.dimensions;
            if let Some(mut graph) = self.graph.take() {
                graph.remove(number, &|a, b| self.likeness(a, b));
                self.graph = Some(graph);
            }
            self.rows[at..at + self.dimensions].fill(0);
            self.count -= 1;
        }
        if let Some(scale) = self.scales.get_mut(number as usize) {
            *scale = 0.0;
        }
    }

    /// Makes the graph if there are enough vectors for one: from what was kept of it where that fits, and what is missing
    /// there is added. Whether it was made or grew.
    pub(crate) fn settle(&mut self, kept: Option<(&[u8], &HashMap<u64, u32>)>) -> bool {
        if self.graph.is_some() || self.count <= self.scanned_max {
            return false;
        }
        let kept = kept.and_then(|(bytes, nodes)| Hnsw::from_bytes(bytes, nodes));
        let mut graph = kept.unwrap_or_default();
        let mut grew = false;
        for number in 0..self.scales.len() as u32 {
            if self.has(number) && !graph.has(number) {
                graph.insert(number, &|a, b| self.likeness(a, b));
                grew = true;
            }
        }
        self.graph = Some(graph);
        grew
    }

    /// The graph as bytes, if there is one. Passages are called by keys that outlast the process.
    pub(crate) fn graph_bytes(&self, key_of: &dyn Fn(u32) -> u64) -> Option<Vec<u8>> {
        self.graph.as_ref().map(|graph| graph.to_bytes(key_of))
    }

    fn row(&self, number: u32) -> &[i8] {
        let at = number as usize * self.dimensions;
        &self.rows[at..at + self.dimensions]
    }

    fn likeness(&self, a: u32, b: u32) -> f32 {
        dot(self.row(a), self.row(b)) as f32 * self.scales[a as usize] * self.scales[b as usize]
    }

    /// The vectors most like this one, at most `limit`, best first; ties by number.
    pub(crate) fn nearest(&self, wanted: &[f32], limit: usize) -> Vec<(u32, f32)> {
        let largest = wanted
            .iter()
            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
        if wanted.len() != self.dimensions || largest <= 0.0 || limit == 0 {
            return Vec::new();
        }
        let scale = largest / SCALE;
        let bytes: Vec<i8> = wanted
            .iter()
            .map(|value| (value / scale).round() as i8)
            .collect();
        let like = |number: u32| {
            dot(self.row(number), &bytes) as f32 * self.scales[number as usize] * scale
        };
        if let Some(graph) = &self.graph {
            return graph.nearest(limit, &like);
        }
        let present = (0..self.scales.len() as u32).filter(|number| self.has(*number));
        let likenesses = present.map(|number| (number, like(number)));
        top(likenesses, limit, |a, b| {
            b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

/// In 16 lanes of 32 bits, which compilers turn into vector instructions.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    let (a_lanes, a_rest) = a.as_chunks::<16>();
    let (b_lanes, b_rest) = b.as_chunks::<16>();
    let mut sums = [0_i32; 16];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..16 {
            sums[lane] += i32::from(i16::from(a[lane]) * i16::from(b[lane]));
        }
    }
    let rest: i32 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(a, b)| i32::from(*a) * i32::from(*b))
        .sum();
    sums.iter().sum::<i32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors in some bunches, the same with every run.
    fn vector(seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        let bunch = seed % 7;
        let mut vector: Vec<f32> = (0..32)
            .map(|at| next() + if at == bunch { 1.0 } else { 0.0 })
            .collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
        vector
    }

    fn filled(count: u32, scanned_max: usize) -> Vectors {
        let mut vectors = Vectors::scanning(scanned_max);
        (0..count).for_each(|number| vectors.set(number, &vector(u64::from(number))));
        vectors.settle(None);
        vectors
    }

    /// The share of the truly nearest that are found.
    fn recall(graph: &Vectors, scan: &Vectors) -> f32 {
        let mut found = 0;
        for seed in 10_000..10_050 {
            let wanted = vector(seed);
            let expected: Vec<u32> = scan
                .nearest(&wanted, 10)
                .into_iter()
                .map(|it| it.0)
                .collect();
            let got = graph.nearest(&wanted, 10);
            found += got.iter().filter(|it| expected.contains(&it.0)).count();
        }
        found as f32 / 500.0
    }

    #[test]
    fn a_scan_finds_what_is_nearest() {
        let vectors = filled(50, 100);
        let nearest = vectors.nearest(&vector(20), 3);
        assert_eq!(nearest[0].0, 20);
        assert!((nearest[0].1 - 1.0).abs() < 0.02 && nearest[0].1 > nearest[1].1);
        assert_eq!(vectors.nearest(&[1.0], 3), []);
    }

    #[test]
    fn the_graph_finds_nearly_all_that_a_scan_finds_also_after_half_is_removed() {
        let (mut graph, mut scan) = (filled(1_500, 0), filled(1_500, 1_500));
        assert!(recall(&graph, &scan) > 0.97, "{}", recall(&graph, &scan));
        for number in (0..1_500).filter(|number| number % 2 == 0) {
            graph.remove(number);
            scan.remove(number);
        }
        assert!(recall(&graph, &scan) > 0.95, "{}", recall(&graph, &scan));
        let all = graph.nearest(&vector(1), 1_500);
        assert!(
            all.iter().all(|(number, _)| number % 2 == 1),
            "what is removed is found no more"
        );
    }

    #[test]
    fn the_graph_is_kept_over_a_restart_and_damage_is_seen() {
        let graph = filled(300, 0);
        let bytes = graph
            .graph_bytes(&|number| u64::from(number) + 1_000)
            .unwrap();
        // Numbers are given anew.
        let nodes: HashMap<u64, u32> = (0..300)
            .map(|number| (u64::from(number) + 1_000, 299 - number))
            .collect();
        let mut again = Vectors::scanning(0);
        (0..300_u32).for_each(|number| again.set(299 - number, &vector(u64::from(number))));
        assert!(
            !again.settle(Some((&bytes, &nodes))),
            "nothing had to be made anew"
        );
        let names = |found: Vec<(u32, f32)>, from: u32| {
            found
                .into_iter()
                .map(|it| it.0.abs_diff(from))
                .collect::<Vec<_>>()
        };
        let wanted = vector(5_000);
        assert_eq!(
            names(graph.nearest(&wanted, 5), 0),
            names(again.nearest(&wanted, 5), 299)
        );
        for at in [0, 5, 100, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Hnsw::from_bytes(&damaged, &nodes).is_none(), "{at}");
        }
        let mut fewer = nodes.clone();
        fewer.remove(&1_007);
        assert!(
            Hnsw::from_bytes(&bytes, &fewer).is_none(),
            "a node that is gone"
        );
    }
}
