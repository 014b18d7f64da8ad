//! A hierarchical navigable small world (Malkov and Yashunin 2016) over vectors that are held elsewhere.
//!
//! It grows one by one, and what is removed is really gone: connections go both ways, so that those of a removed node
//! are found, and its neighbours are connected with one another in its place.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Connections of a node on each level but the lowest, which has twice as many.
const LINKS: usize = 16;
/// Candidates that are looked at when a node is placed, and when one is looked for.
const PLACED_AMONG: usize = 100;
const SOUGHT_AMONG: usize = 200;
const LEVELS_MAX: usize = 8;
const MAGIC: &[u8; 4] = b"THN1";
const HASH_BYTES: usize = 32;

/// How alike two nodes are.
type Like<'a> = dyn Fn(u32, u32) -> f32 + 'a;

/// The graph. See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hnsw {
    /// By node, then by level from the lowest: its connections. A node that is not there has no level.
    nodes: Vec<Vec<Vec<u32>>>,
    entry: Option<u32>,
}

/// A candidate, ordered by likeness and then by number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Near(f32, u32);

impl Eq for Near {}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

/// How many levels a node has: each with one of `LINKS` nodes of the one below, by its number alone.
fn levels_of(node: u32) -> usize {
    let mut mixed = u64::from(node)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let zeros = mixed.trailing_zeros() / LINKS.ilog2();
    (1 + zeros as usize).min(LEVELS_MAX)
}

fn links_max(level: usize) -> usize {
    if level == 0 { 2 * LINKS } else { LINKS }
}

impl Hnsw {
    pub(crate) fn has(&self, node: u32) -> bool {
        self.nodes
            .get(node as usize)
            .is_some_and(|levels| !levels.is_empty())
    }

    pub(crate) fn insert(&mut self, node: u32, like: &Like<'_>) {
        if self.has(node) {
            return;
        }
        let at = node as usize;
        if self.nodes.len() <= at {
            self.nodes.resize(at + 1, Vec::new());
        }
        let levels = levels_of(node);
        self.nodes[at] = vec![Vec::new(); levels];
        let Some(entry) = self.entry else {
            self.entry = Some(node);
            return;
        };
        let to_node = |other: u32| like(node, other);
        let top = self.nodes[entry as usize].len();
        let mut from = vec![Near(to_node(entry), entry)];
        for level in (levels..top).rev() {
            from = self.search(&to_node, &from, 1, level);
        }
        for level in (0..levels.min(top)).rev() {
            from = self.search(&to_node, &from, PLACED_AMONG, level);
            for other in diverse(&from, LINKS, like) {
                self.link(node, other, level, like);
            }
        }
        if levels > top {
            self.entry = Some(node);
        }
    }

    pub(crate) fn remove(&mut self, node: u32, like: &Like<'_>) {
        if !self.has(node) {
            return;
        }
        let levels = std::mem::take(&mut self.nodes[node as usize]);
        for (level, links) in levels.iter().enumerate() {
            for other in links {
                self.nodes[*other as usize][level].retain(|it| *it != node);
            }
            for other in links {
                let near = links
                    .iter()
                    .filter(|it| *it != other)
                    .map(|it| Near(like(*other, *it), *it));
                let mut near: Vec<Near> = near.collect();
                near.sort_unstable_by_key(|near| Reverse(*near));
                for it in diverse(&near, LINKS / 4, like) {
                    if !self.nodes[*other as usize][level].contains(&it) {
                        self.link(*other, it, level, like);
                    }
                }
            }
        }
        if self.entry == Some(node) {
            let present = (0..self.nodes.len() as u32).filter(|it| self.has(*it));
            self.entry = present.max_by_key(|it| (self.nodes[*it as usize].len(), Reverse(*it)));
        }
    }

    /// The nodes that are most alike, best first.
    pub(crate) fn nearest(&self, limit: usize, like: &dyn Fn(u32) -> f32) -> Vec<(u32, f32)> {
        let Some(entry) = self.entry else {
            return Vec::new();
        };
        let mut from = vec![Near(like(entry), entry)];
        for level in (1..self.nodes[entry as usize].len()).rev() {
            from = self.search(like, &from, 1, level);
        }
        let mut found = self.search(like, &from, SOUGHT_AMONG.max(limit), 0);
        found.truncate(limit);
        found
            .into_iter()
            .map(|Near(likeness, node)| (node, likeness))
            .collect()
    }

    /// The best of what is reached on a level, best first.
    fn search(
        &self,
        like: &dyn Fn(u32) -> f32,
        from: &[Near],
        among: usize,
        level: usize,
    ) -> Vec<Near> {
        let mut seen: HashSet<u32> = from.iter().map(|near| near.1).collect();
        let mut open: BinaryHeap<Near> = from.iter().copied().collect();
        let mut best: BinaryHeap<Reverse<Near>> = from.iter().map(|near| Reverse(*near)).collect();
        while let Some(near) = open.pop() {
            if best.len() >= among && best.peek().is_some_and(|worst| near < worst.0) {
                break;
            }
            for other in &self.nodes[near.1 as usize][level] {
                if !seen.insert(*other) {
                    continue;
                }
                let found = Near(like(*other), *other);
                if best.len() < among || best.peek().is_some_and(|worst| found > worst.0) {
                    open.push(found);
                    best.push(Reverse(found));
                    if best.len() > among {
                        best.pop();
                    }
                }
            }
        }
        let mut best: Vec<Near> = best.into_iter().map(|near| near.0).collect();
        best.sort_unstable_by_key(|near| Reverse(*near));
        best
    }

    /// Connects two nodes both ways. Where one has too many connections, it lets go of the least useful, both ways.
    fn link(&mut self, a: u32, b: u32, level: usize, like: &Like<'_>) {
        self.nodes[a as usize][level].push(b);
        self.nodes[b as usize][level].push(a);
        for node in [a, b] {
            let links = &self.nodes[node as usize][level];
            if links.len() <= links_max(level) {
                continue;
            }
            let mut near: Vec<Near> = links.iter().map(|it| Near(like(node, *it), *it)).collect();
            near.sort_unstable_by_key(|near| Reverse(*near));
            let kept = diverse(&near, links_max(level), like);
            let dropped: Vec<u32> = links
                .iter()
                .filter(|it| !kept.contains(it))
                .copied()
                .collect();
            for other in dropped {
                self.nodes[other as usize][level].retain(|it| *it != node);
            }
            self.nodes[node as usize][level] = kept;
        }
    }

    /// As bytes, with a hash at the end. Nodes are called by keys that outlast the process.
    pub(crate) fn to_bytes(&self, key_of: &dyn Fn(u32) -> u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let mut put = |number: u64| bytes.extend(number.to_le_bytes());
        put(self.entry.map_or(0, key_of));
        for node in (0..self.nodes.len() as u32).filter(|node| self.has(*node)) {
            let levels = &self.nodes[node as usize];
            put(key_of(node));
            put(levels.len() as u64);
            for links in levels {
                put(links.len() as u64);
                links.iter().for_each(|other| put(key_of(*other)));
            }
        }
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        bytes
    }

    /// From its bytes. `None` where they are damaged or name a node that is not there any more: it is made anew then.
    pub(crate) fn from_bytes(bytes: &[u8], nodes: &HashMap<u64, u32>) -> Option<Self> {
        let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
        if blake3::hash(body).as_bytes() != hash {
            return None;
        }
        let (numbers, rest) = body.strip_prefix(MAGIC)?.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        if !rest.is_empty() {
            return None;
        }
        let mut graph = Self {
            nodes: Vec::new(),
            entry: nodes.get(&numbers.next()?).copied(),
        };
        while let Some(key) = numbers.next() {
            let at = *nodes.get(&key)? as usize;
            if graph.nodes.len() <= at {
                graph.nodes.resize(at + 1, Vec::new());
            }
            let mut levels = Vec::new();
            for _ in 0..numbers
                .next()
                .filter(|levels| *levels <= LEVELS_MAX as u64)?
            {
                let links = numbers.next().filter(|links| *links <= 2 * LINKS as u64)?;
                let links = (0..links).map(|_| nodes.get(&numbers.next()?).copied());
                levels.push(links.collect::<Option<Vec<u32>>>()?);
            }
            graph.nodes[at] = levels;
        }
        graph.is_whole().then_some(graph)
    }

    /// Whether every connection goes both ways to a node that has the level, so that no walk leaves the graph.
    fn is_whole(&self) -> bool {
        let links_back = |node: u32, level: usize, other: u32| {
            let levels = self.nodes.get(other as usize);
            levels
                .and_then(|levels| levels.get(level))
                .is_some_and(|links| links.contains(&node))
        };
        let whole = |node: u32| {
            let levels = self.nodes[node as usize].iter().enumerate();
            levels
                .into_iter()
                .all(|(level, links)| links.iter().all(|other| links_back(node, level, *other)))
        };
        self.entry.is_none_or(|entry| self.has(entry)) && (0..self.nodes.len() as u32).all(whole)
    }
}

/// Of candidates, best first, those that are closer to the node than to any taken before, so that connections go
/// different ways; filled up with the best of the rest.
fn diverse(near: &[Near], limit: usize, like: &Like<'_>) -> Vec<u32> {
    let mut taken: Vec<u32> = Vec::new();
    let mut rest = Vec::new();
    for Near(likeness, node) in near {
        if taken.len() == limit {
            break;
        }
        if taken.iter().all(|other| like(*node, *other) < *likeness) {
            taken.push(*node);
        } else {
            rest.push(*node);
        }
    }
    let missing = limit - taken.len();
    taken.extend(rest.into_iter().take(missing));
    taken
}
