//! Who calls whom in packages as they are published, judged by people who read them.
//!
//! What was read lies in `benchmarks/data/calls`, a folder for each package:
//!
//! - `sites.tsv`: calls that a seeded sample of the sources named, tests left out, and whom each calls. All that the types
//!   allow counts as right; calls of what was handed in by a user of the package, and of what another package defines,
//!   were passed over.
//! - `edges.tsv`: edges of the graph and whether each is right. The sample is a function of the edges alone: the fifty
//!   whose text has the smallest hash. So a graph that changes is asked about other edges, and those that nobody judged
//!   are counted as that.

use crate::Setup;
use crate::report::Row;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use titan_codegraph::{Folder, Graph};
use titan_protocol::{CodeDirection, CodeUseKind};

/// The variable that names the folder of the packages as they are unpacked: `NAME-VERSION/src`.
const DATA_VARIABLE: &str = "TITAN_PACKAGES";
/// Uses that are at least so sure are counted.
pub(super) const CONFIDENCE_MIN: u8 = 80;
/// Edges of a package that are judged.
const SAMPLE: usize = 50;

/// A package and what was read of it.
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) language: &'static str,
    folder: &'static str,
    sites: &'static str,
    edges: &'static str,
}

macro_rules! package {
    ($name:literal, $language:literal, $folder:literal) => {
        Package {
            name: $name,
            language: $language,
            folder: $folder,
            sites: include_str!(concat!("../../data/calls/", $name, "/sites.tsv")),
            edges: include_str!(concat!("../../data/calls/", $name, "/edges.tsv")),
        }
    };
}

pub(super) const PACKAGES: &[Package] = &[
    package!("ignore", "rust", "ignore-0.4.34"),
    package!("pulldown-cmark", "rust", "pulldown-cmark-0.13.6"),
    package!("toml_edit", "rust", "toml_edit-0.25.18+spec-1.1.0"),
    package!("rxjs", "typescript", "rxjs-7.8.2"),
    package!("query-core", "typescript", "tanstack-query-core-5.108.4"),
    package!("trpc-server", "typescript", "trpc-server-11.25.2"),
];

impl Package {
    /// Its sources, where the variable says that the packages are.
    pub(super) fn sources(&self) -> Result<PathBuf> {
        let folder = std::env::var_os(DATA_VARIABLE)
            .map(PathBuf::from)
            .with_context(|| {
                format!("{DATA_VARIABLE} names no folder with the packages that benchmarks/README.md tells")
            })?;
        let sources = folder.join(self.folder).join("src");
        ensure!(sources.is_dir(), "{} is not there", sources.display());
        Ok(sources)
    }

    /// The calls that were looked up.
    pub(super) fn sites(&self) -> Vec<Site> {
        lines(self.sites)
            .filter_map(|columns| {
                let [path, line, caller, callee, places] = columns[..] else {
                    return None;
                };
                Some(Site {
                    path,
                    line: line.parse().ok()?,
                    caller,
                    callee,
                    places: places.split(' ').collect(),
                })
            })
            .collect()
    }

    /// Whether each judged edge is right.
    fn verdicts(&self) -> BTreeMap<String, bool> {
        lines(self.edges)
            .filter_map(|columns| {
                let [caller, kind, callee, verdict, ..] = columns[..] else {
                    return None;
                };
                Some((format!("{caller} {kind} {callee}"), verdict == "right"))
            })
            .collect()
    }
}

/// A call and whom it calls.
pub(super) struct Site {
    pub(super) path: &'static str,
    pub(super) line: u32,
    /// The innermost function with a name around it.
    pub(super) caller: &'static str,
    pub(super) callee: &'static str,
    /// Where that is defined, `PATH:LINE`: all that the types allow.
    pub(super) places: Vec<&'static str>,
}

/// The lines of a table below its head, by columns.
fn lines(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).map(|line| line.split('\t').collect())
}

/// For each package, in percent: edges that are right of those of a sample that were judged, calls that are found of those
/// that were looked up, and how many edges of the sample nobody judged, which count for nothing.
pub(super) fn code_edges(_setup: &Setup) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for package in PACKAGES {
        let mut folder = Folder::new(&package.sources()?, None);
        let (graph, _) = folder.refresh()?;
        let sampled = sample(graph);
        ensure!(!sampled.is_empty(), "{} has no edges", package.name);
        let verdicts = package.verdicts();
        let judged: Vec<bool> = sampled
            .iter()
            .filter_map(|edge| verdicts.get(edge).copied())
            .collect();
        for edge in sampled.iter().filter(|it| !verdicts.contains_key(*it)) {
            eprintln!("nobody judged, in {}: {edge}", package.name);
        }
        let sites = package.sites();
        let found = |least: u8| {
            let found = sites.iter().filter(|site| sure(graph, site) >= least);
            percent(found.count(), sites.len())
        };
        for site in sites.iter().filter(|it| sure(graph, it) < CONFIDENCE_MIN) {
            let Site {
                path,
                line,
                caller,
                callee,
                ..
            } = site;
            eprintln!(
                "not found, in {}: {path}:{line} {caller} calls {callee}",
                package.name
            );
        }
        let right = judged.iter().filter(|is_right| **is_right).count();
        let (precision, recall) = (percent(right, judged.len()), found(CONFIDENCE_MIN));
        let f1 = 2.0 * precision * recall / (precision + recall).max(f64::MIN_POSITIVE);
        let row = |metric, unit, value| Row::new(package.name, metric, unit, vec![value]);
        rows.extend([
            row("precision", "%", precision).goal(90.0, None),
            row("recall", "%", recall),
            row("f1", "%", f1).goal(80.0, None),
            row("recall_with_guesses", "%", found(1)),
            row("unjudged", "", (sampled.len() - judged.len()) as f64).goal(0.0, None),
        ]);
    }
    Ok(rows)
}

pub(super) fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// How sure the graph is that a function around the call calls what it calls; zero where it does not say so.
fn sure(graph: &Graph, site: &Site) -> u8 {
    let told = site.places.iter().flat_map(|place| callers(graph, place));
    told.filter(|(path, lines, _)| path == site.path && lines.contains(&site.line))
        .map(|(.., confidence)| confidence)
        .max()
        .unwrap_or(0)
}

/// The functions that call what is defined at a place: their files, their lines, and how sure that is.
pub(super) fn callers(
    graph: &Graph,
    place: &str,
) -> Vec<(String, std::ops::RangeInclusive<u32>, u8)> {
    let told = graph.uses(place, CodeDirection::Callers, usize::MAX);
    let starts_there = |symbol: &titan_protocol::CodeSymbol| {
        format!("{}:{}", symbol.path, symbol.line) == place && symbol.kind != "file"
    };
    if !told.of.iter().any(starts_there) {
        return Vec::new();
    }
    told.uses
        .into_iter()
        .filter(|it| matches!(it.kind, CodeUseKind::Calls | CodeUseKind::Makes))
        .map(|it| {
            let lines = it.symbol.line..=it.symbol.end_line;
            (it.symbol.path, lines, it.confidence)
        })
        .collect()
}

/// The calls of a graph that are asked about, as text. Those within tests are not.
fn sample(graph: &Graph) -> Vec<String> {
    let edges = graph.edges();
    let calls: BTreeSet<String> = edges.iter().filter_map(|edge| call(edge)).collect();
    smallest(calls, SAMPLE)
}

/// So many of these, chosen by nothing but what each is.
pub(super) fn smallest(texts: BTreeSet<String>, count: usize) -> Vec<String> {
    let mut texts: Vec<(u64, String)> = texts.into_iter().map(|it| (hash(&it), it)).collect();
    texts.sort();
    texts.truncate(count);
    texts.into_iter().map(|(_, text)| text).collect()
}

/// `FROM Calls TO`, if it is a call that is sure enough and outside of tests.
fn call(edge: &str) -> Option<String> {
    let mut parts = edge.rsplitn(3, ' ');
    let (confidence, _line) = (parts.next()?, parts.next()?);
    let ends = parts.next()?;
    let is_call = ends.contains(" Calls ") || ends.contains(" Makes ");
    let caller = ends.split(' ').next()?;
    let is_test = caller.split([':', '.', '/']).any(|part| {
        matches!(part, "test" | "tests") || part.ends_with("_test") || part.starts_with("test_")
    });
    let is_sure = confidence.parse().is_ok_and(|it: u8| it >= CONFIDENCE_MIN);
    (is_call && is_sure && !is_test).then(|| ends.to_owned())
}

/// FNV-1a with its bits spread: the same on every machine.
fn hash(text: &str) -> u64 {
    let folded = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let spread = (folded ^ (folded >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    spread ^ (spread >> 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_read() {
        for package in PACKAGES {
            let count = package.sites.lines().count() - 1;
            assert_eq!(package.sites().len(), count, "{}", package.name);
            assert_eq!(count, SAMPLE, "{}", package.name);
            for columns in lines(package.edges) {
                assert!(matches!(columns[3], "right" | "wrong"), "{columns:?}");
                assert_eq!(columns[3] == "wrong", !columns[4].is_empty(), "{columns:?}");
            }
        }
    }

    #[test]
    fn a_sample_depends_on_the_edges_alone() {
        let edges = [
            "a.rs:f Calls b.rs:g 3 95",
            "a.rs:f Names b.rs:g 3 95",
            "a.rs:tests.f Calls b.rs:g 3 95",
        ];
        let calls: Vec<Option<String>> = edges.iter().map(|edge| call(edge)).collect();
        assert_eq!(calls, [Some("a.rs:f Calls b.rs:g".to_owned()), None, None]);
        let texts: BTreeSet<String> = (0..100).map(|n| n.to_string()).collect();
        let mut fewer = texts.clone();
        let sampled = smallest(texts, 10);
        fewer.remove(&sampled[3]);
        let again = smallest(fewer, 9);
        assert!(again.iter().all(|text| sampled.contains(text)));
    }
}
