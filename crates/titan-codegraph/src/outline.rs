//! What matters most in a folder, within so many tokens: what is used by much that is itself used.

use crate::facts::SymbolKind;
use crate::languages::Family;
use crate::link::{Linked, Node};
use std::collections::BTreeMap;
use titan_protocol::CodeUseKind;

/// Bytes of an outline that a token stands for: less than of prose, so that the outline is not longer than it says.
const TOKEN_BYTES: usize = 3;
/// PageRank's share that follows uses.
const DAMPING: f32 = 0.85;
const ROUNDS: usize = 30;
/// Signatures of one file.
const FILE_SYMBOLS_MAX: usize = 40;

pub(crate) fn outline(groups: &[&Linked], tokens: usize) -> String {
    let mut ranked: Vec<(f32, usize, Node)> = Vec::new();
    for (group, linked) in groups.iter().enumerate() {
        let ranks = ranks(linked);
        for node in 0..linked.nodes() as Node {
            let (file, symbol) = linked.at(node);
            let facts = &linked.files[file].1;
            let Some(symbol) = symbol.map(|symbol| &facts.symbols[symbol as usize]) else {
                continue;
            };
            let is_data = facts.language.family() == Family::Data;
            let is_told = !matches!(symbol.kind, SymbolKind::Lambda | SymbolKind::Extension);
            if is_told && !symbol.is_test {
                // Structure of data is worth telling where code leaves room.
                let weight = if is_data { 0.01 } else { 1.0 };
                ranked.push((ranks[node as usize] * weight, group, node));
            }
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let bytes_max = tokens.saturating_mul(TOKEN_BYTES);
    let mut files: BTreeMap<(usize, usize), (f32, Vec<Node>)> = BTreeMap::new();
    let mut bytes = 0;
    for (rank, group, node) in ranked {
        let linked = groups[group];
        let (file, _) = linked.at(node);
        let known = files.get(&(group, file));
        if known.is_some_and(|(_, nodes)| nodes.len() >= FILE_SYMBOLS_MAX) {
            continue;
        }
        let head = match known {
            Some(_) => 0,
            None => linked.files[file].0.len() + 1,
        };
        let length = head + line(linked, node).len();
        if bytes + length > bytes_max {
            // A shorter one may still fit, but what is told is what matters most: it ends here.
            break;
        }
        bytes += length;
        let (sum, nodes) = files.entry((group, file)).or_default();
        *sum += rank;
        nodes.push(node);
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|(a, (x, _)), (b, (y, _))| y.total_cmp(x).then(a.cmp(b)));
    let mut text = String::new();
    for ((group, file), (_, mut nodes)) in files {
        let linked = groups[group];
        nodes.sort_unstable();
        text.push_str(&linked.files[file].0);
        text.push('\n');
        for node in nodes {
            text.push_str(&line(linked, node));
        }
    }
    text
}

/// A symbol's line: where it is, and what declares it, as far in as it stands.
fn line(linked: &Linked, node: Node) -> String {
    let (file, symbol) = linked.at(node);
    let facts = &linked.files[file].1;
    let Some(symbol) = symbol.map(|symbol| &facts.symbols[symbol as usize]) else {
        return String::new();
    };
    let mut depth = 1;
    let mut container = symbol.container;
    while let Some(around) = container {
        depth += 1;
        container = facts.symbols[around as usize].container;
    }
    let said = match symbol.signature.is_empty() {
        true => &symbol.name,
        false => &symbol.signature,
    };
    format!("{:>5}{}{said}\n", symbol.line, "  ".repeat(depth))
}

/// PageRank over uses, as sure as they are. What is used by many counts; being named in an import alone does not.
fn ranks(linked: &Linked) -> Vec<f32> {
    let nodes = linked.nodes();
    let weight = |kind: CodeUseKind, confidence: u8| {
        let of_kind = match kind {
            CodeUseKind::Imports => 0.0,
            CodeUseKind::Names => 0.5,
            _ => 1.0,
        };
        of_kind * f32::from(confidence) / 100.0
    };
    let sums: Vec<f32> = (0..nodes as Node)
        .map(|node| {
            let edges = linked.from(node).iter();
            edges.map(|edge| weight(edge.kind, edge.confidence)).sum()
        })
        .collect();
    let base = (1.0 - DAMPING) / nodes.max(1) as f32;
    let mut ranks = vec![1.0 / nodes.max(1) as f32; nodes];
    for _ in 0..ROUNDS {
        let mut next = vec![base; nodes];
        for edge in &linked.edges {
            let sum = sums[edge.from as usize];
            if sum > 0.0 {
                let share = weight(edge.kind, edge.confidence) / sum;
                next[edge.to as usize] += DAMPING * share * ranks[edge.from as usize];
            }
        }
        ranks = next;
    }
    // Files of one group are not worth more for being few.
    ranks.iter_mut().for_each(|rank| *rank *= nodes as f32);
    ranks
}
