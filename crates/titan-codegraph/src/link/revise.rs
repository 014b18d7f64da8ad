//! Few files that are others than before: what they do is worked out among the others, of which what they did is kept.
//! That is not all that comes of it, for what others do may follow from theirs; it is what can be told at once.

use super::{Edge, Files, Linked, Links, Node, Outside, by_name};
use crate::facts::FileFacts;
use crate::flow::{Flow, Origin};
use crate::languages::Family;
use crate::modules::PythonModules;
use std::collections::HashMap;
use std::sync::Arc;

/// What is no more.
const NOWHERE: Node = Node::MAX;

impl Links {
    /// Who uses whom among these files, of which few are others than before.
    pub(crate) fn revised(mut self, family: Family, files: Files) -> Self {
        let mut before = std::mem::replace(&mut self.linked, Linked::bare(files));
        let outside = std::mem::take(&mut before.outside);
        let linked = &mut self.linked;
        let origins = origins(&before, linked);
        let changed: Vec<usize> = (0..origins.len())
            .filter(|file| !matches!(origins[*file], Origin::Same(_)))
            .collect();
        linked.take_over(&before, outside, &origins);
        match (&mut self.kept, family) {
            (Some(kept), _) => {
                let files = linked.files.clone();
                let flows: Vec<Option<&Flow>> =
                    files.iter().map(|(_, facts)| facts.flow.as_ref()).collect();
                let modules = PythonModules::new(files.iter().map(|(path, _)| &**path));
                linked.imports(&changed, &flows, &modules);
                linked.take(kept.follow(&flows, &origins, &modules));
            }
            (None, Family::Data) => {}
            (None, _) => by_name::link(family, linked, &changed),
        }
        linked.settle();
        self
    }
}

/// How many files of two lists differ, each sorted by path.
pub(crate) fn differing(before: &Files, after: &Files) -> usize {
    let known: HashMap<&str, &Arc<FileFacts>> = before
        .iter()
        .map(|(path, facts)| (&**path, facts))
        .collect();
    let is_same = |(path, facts): &&(Arc<str>, Arc<FileFacts>)| {
        known.get(&**path).is_some_and(|it| Arc::ptr_eq(it, facts))
    };
    let same = after.iter().filter(is_same).count();
    let there = after.iter().filter(|(path, _)| known.contains_key(&**path));
    let gone = before.len() - there.count();
    after.len() - same + gone
}

fn origins<'a>(before: &'a Linked, after: &Linked) -> Vec<Origin<'a>> {
    let numbered = before.files.iter().enumerate();
    let known: HashMap<&str, usize> = numbered.map(|(at, (path, _))| (&**path, at)).collect();
    let origin = |(path, facts): &(Arc<str>, Arc<FileFacts>)| {
        let Some(at) = known.get(&**path) else {
            return Origin::New;
        };
        let old = &before.files[*at].1;
        match Arc::ptr_eq(old, facts) {
            true => Origin::Same(*at),
            false => Origin::Changed(*at, old.flow.as_ref(), symbols_to(old, facts)),
        }
    };
    after.files.iter().map(origin).collect()
}

/// For each symbol of a file, the one that is called so in another state of it.
fn symbols_to(old: &FileFacts, new: &FileFacts) -> Vec<Option<u32>> {
    let mut found: HashMap<(String, usize), u32> = HashMap::new();
    for (at, name) in counted(new) {
        found.insert(name, at);
    }
    counted(old)
        .map(|(_, name)| found.get(&name).copied())
        .collect()
}

/// Each symbol with its name, and how many of that name came before.
fn counted(facts: &FileFacts) -> impl Iterator<Item = (u32, (String, usize))> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    (0..facts.symbols.len() as u32).map(move |at| {
        let name = facts.qualified(at);
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        (at, (name, *count))
    })
}

impl Linked {
    /// What unchanged files do is what they did, as far as that is still there.
    fn take_over(&mut self, before: &Self, outside: Outside, origins: &[Origin<'_>]) {
        let mut to = vec![NOWHERE; before.nodes()];
        let mut is_same = vec![false; before.files.len()];
        for (file, origin) in origins.iter().enumerate() {
            match origin {
                Origin::Same(at) => {
                    is_same[*at] = true;
                    for within in 0..=before.files[*at].1.symbols.len() as Node {
                        to[(before.first[*at] + within) as usize] = self.first[file] + within;
                    }
                }
                Origin::Changed(at, _, symbols) => {
                    to[before.first[*at] as usize] = self.node(file, None);
                    for (symbol, now) in symbols.iter().enumerate() {
                        let node = before.node(*at, Some(symbol as u32));
                        to[node as usize] = now.map_or(NOWHERE, |now| self.node(file, Some(now)));
                    }
                }
                Origin::New => {}
            }
        }
        let mut is_kept = vec![false; before.nodes()];
        for (at, (_, facts)) in before.files.iter().enumerate() {
            let first = before.first[at] as usize;
            is_kept[first..=first + facts.symbols.len()].fill(is_same[at]);
        }
        for edge in &before.edges {
            let (from, end) = (to[edge.from as usize], to[edge.to as usize]);
            if is_kept[edge.from as usize] && end != NOWHERE {
                self.edges.push(Edge {
                    from,
                    to: end,
                    ..*edge
                });
            }
        }
        let outside = outside
            .into_iter()
            .filter(|(from, ..)| is_kept[*from as usize]);
        self.outside = outside
            .map(|(from, name, line)| (to[from as usize], name, line))
            .collect();
    }
}
