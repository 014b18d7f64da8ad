//! What the memory finds, and what finding takes: in this process, on the index that the engine answers from.

use super::block_on;
use super::distractors::Distractors;
use crate::Setup;
use crate::process::milliseconds;
use crate::report::Row;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Instant;
use titan_local::LocalEmbedder;
use titan_memory::{Entry, Graph, Index, Parts, Question};
use titan_protocol::Embedder;

/// The variable that names the folder of HotpotQA as HippoRAG samples it.
const DATA_VARIABLE: &str = "TITAN_HOTPOTQA";
const PASSAGES: usize = 50_000;
const QUESTIONS: usize = 200;
const INGESTED: usize = 5_000;
const DISTRACTORS: usize = 100;
/// Passages that nobody asks about, for each passage of the set.
const TIMES_MORE: usize = 100;
const SEED: u64 = 1;
/// What of the share of passages found among the first 5 may be lost to them, in points.
const LOST_MAX: f64 = 5.0;

/// Of the passages that 100 questions with two gold passages each need, how many are among the first 2, 5 and 10, and
/// for how many questions both are among the first 5, in percent: by all parts together, by each alone, with 100
/// documents added that repeat names, and with a hundred times as many passages that nobody asks about. No model is
/// asked; the query's vector is a sum over a table.
pub(super) fn retrieval(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = std::env::var_os(DATA_VARIABLE).map(PathBuf::from).with_context(|| {
        format!("{DATA_VARIABLE} names no folder with hotpotqa_train.json and hotpotqa_train_corpus.json (HippoRAG's sample)")
    })?;
    let questions: Vec<Asked> = read(&folder.join("hotpotqa_train.json"))?;
    let corpus: serde_json::Map<String, serde_json::Value> =
        read(&folder.join("hotpotqa_train_corpus.json"))?;
    let corpus: Vec<(String, Vec<String>)> = corpus
        .into_iter()
        .map(|(title, sentences)| Ok((title, serde_json::from_value(sentences)?)))
        .collect::<Result<_>>()?;
    let mut index = Index::new();
    for (title, sentences) in &corpus {
        add(&mut index, title, title, &sentences.concat())?;
    }
    let vectors = embed(
        questions
            .iter()
            .map(|asked| asked.question.clone())
            .collect(),
    )?;
    let only = |text, vector, graph| Parts {
        text,
        vector,
        graph,
    };
    let parts = [
        ("text", only(true, false, false)),
        ("vector", only(false, true, false)),
        ("graph", only(false, false, true)),
        ("text_vector", only(true, true, false)),
        ("text_graph", only(true, false, true)),
        ("all", Parts::ALL),
    ];
    let mut rows = Vec::new();
    for (name, parts) in parts {
        rows.extend(measure(&index, &questions, &vectors, parts)?.rows(name));
    }
    let alone = measure(&index, &questions, &vectors, Parts::ALL)?;
    for n in 0..DISTRACTORS {
        let named: Vec<&String> = corpus
            .iter()
            .map(|(title, _)| title)
            .skip(n * 9 % corpus.len())
            .step_by(97)
            .take(8)
            .collect();
        let names: Vec<String> = named
            .iter()
            .map(|name| format!("{name} and {name}."))
            .collect();
        add(
            &mut index,
            &format!("distractor {n}"),
            "",
            &names.join(" ").repeat(20),
        )?;
    }
    rows.extend(measure(&index, &questions, &vectors, Parts::ALL)?.rows("with_100_more"));
    for n in 0..DISTRACTORS {
        index.remove(&format!("distractor {n}"));
    }
    add_distractors(&mut index, &corpus, &questions)?;
    let among_many = measure(&index, &questions, &vectors, Parts::ALL)?;
    let lost = Measured::mean(&alone.at_5) - Measured::mean(&among_many.at_5);
    rows.extend(among_many.rows("with_100_times_more"));
    let lost = Row::new("with_100_times_more", "lost_at_5", "points", vec![lost]);
    rows.push(lost.goal(LOST_MAX, Some(LOST_MAX)));
    Ok(rows)
}

/// Adds a hundred passages that nobody asks about for each that is there.
fn add_distractors(
    index: &mut Index,
    corpus: &[(String, Vec<String>)],
    questions: &[Asked],
) -> Result<()> {
    let facts = questions.iter().flat_map(|asked| &asked.supporting_facts);
    let needed: BTreeSet<&str> = facts.map(|(title, _)| title.as_str()).collect();
    let passages = corpus
        .iter()
        .map(|(title, sentences)| (&sentences[..], needed.contains(title.as_str())));
    let distractors = Distractors::new(passages, SEED).take(corpus.len() * TIMES_MORE);
    for (n, (title, text)) in distractors.enumerate() {
        add(index, &format!("distractor {n}"), &title, &text)?;
    }
    index.settle_vectors(None);
    Ok(())
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    supporting_facts: Vec<(String, usize)>,
}

/// Shares in percent, of each question.
#[derive(Default)]
struct Measured {
    at_2: Vec<f64>,
    at_5: Vec<f64>,
    at_10: Vec<f64>,
    all_at_5: Vec<f64>,
}

impl Measured {
    fn mean(shares: &[f64]) -> f64 {
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }

    /// Rows of one share each: the mean over all questions.
    fn rows(&self, parts: &'static str) -> Vec<Row> {
        let mean = |shares: &[f64]| vec![Self::mean(shares)];
        vec![
            Row::new(parts, "recall_at_2", "%", mean(&self.at_2)),
            Row::new(parts, "recall_at_5", "%", mean(&self.at_5)),
            Row::new(parts, "recall_at_10", "%", mean(&self.at_10)),
            Row::new(parts, "all_gold_at_5", "%", mean(&self.all_at_5)),
        ]
    }
}

fn measure(
    index: &Index,
    questions: &[Asked],
    vectors: &[Vec<f32>],
    parts: Parts,
) -> Result<Measured> {
    let mut measured = Measured::default();
    for (asked, vector) in questions.iter().zip(vectors) {
        let question = Question {
            text: &asked.question,
            vector: Some(vector),
            limit: 30,
            now: None,
            parts,
        };
        let mut found: Vec<String> = Vec::new();
        for hit in index.answer(&question) {
            if !found.contains(&hit.document) {
                found.push(hit.document);
            }
        }
        let gold: BTreeSet<&str> = asked
            .supporting_facts
            .iter()
            .map(|(title, _)| title.as_str())
            .collect();
        ensure!(!gold.is_empty(), "{:?} has no gold passage", asked.question);
        let share = |first: usize| {
            let has = |title: &&&str| found.iter().take(first).any(|it| it == **title);
            100.0 * gold.iter().filter(has).count() as f64 / gold.len() as f64
        };
        measured.at_2.push(share(2));
        measured.at_5.push(share(5));
        measured.at_10.push(share(10));
        measured
            .all_at_5
            .push(if share(5) >= 100.0 { 100.0 } else { 0.0 });
    }
    Ok(measured)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let file = File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    Ok(serde_json::from_reader(BufReader::new(file))?)
}

fn embed(texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    block_on(async { Ok(LocalEmbedder::new().embed(&texts).await?) })
}

fn add(index: &mut Index, id: &str, title: &str, text: &str) -> Result<()> {
    index.insert(&Entry {
        id: id.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        ..Entry::default()
    });
    let embedder = LocalEmbedder::new();
    for (passage, made_from) in index.unembedded(id, text) {
        let vector = embedder.vector(&made_from)?;
        index.set_vector(passage, &vector);
    }
    Ok(())
}

/// A question over 50,000 passages with names and vectors, answered with ten: words, vectors, links and PageRank.
pub(super) fn memory_recall(_setup: &Setup) -> Result<Vec<Row>> {
    let mut words = Words::new(7);
    let mut index = Index::new();
    for n in 0..PASSAGES {
        let text = words.text(n, 80);
        add(&mut index, &format!("d{n}"), &words.name(n), &text)?;
    }
    index.settle_vectors(None);
    let questions: Vec<String> = (0..QUESTIONS)
        .map(|n| {
            format!(
                "what did {} do with {}?",
                words.name(n * 211),
                words.text(n, 4)
            )
        })
        .collect();
    let vectors = embed(questions.clone())?;
    // The graph is made once after a change, and is no part of a question.
    let first = Question {
        text: &questions[0],
        vector: Some(&vectors[0]),
        limit: 10,
        now: Some(1),
        parts: Parts::ALL,
    };
    let began = Instant::now();
    index.answer(&first);
    let after_change = milliseconds(began.elapsed());
    let mut answers = Vec::new();
    for (text, vector) in questions.iter().zip(&vectors) {
        let began = Instant::now();
        let found = index.answer(&Question {
            text,
            vector: Some(vector),
            ..first.clone()
        });
        answers.push(milliseconds(began.elapsed()));
        ensure!(found.len() == 10, "{text:?} has {} answers", found.len());
    }
    Ok(vec![
        Row::new("memory_recall", "top_10_of_50k", "ms", answers).goal(5.0, None),
        Row::new(
            "memory_recall",
            "first_after_change",
            "ms",
            vec![after_change],
        ),
    ])
}

/// Personalised PageRank from 20 nodes, of a graph of 20,000 nodes and of one with 1,000,000 connections.
pub(super) fn page_rank(_setup: &Setup) -> Result<Vec<Row>> {
    let measure = |nodes: u32, each: u32| -> Result<Vec<f64>> {
        let mut state = 42;
        let rows = (0..nodes).map(|_| {
            (0..each)
                .map(|_| (next(&mut state) as u32 % nodes, 1.0))
                .collect()
        });
        let graph = Graph::from_rows(rows.collect());
        ensure!(
            graph.edges() == (nodes * each) as usize,
            "{} connections",
            graph.edges()
        );
        let mut times = Vec::new();
        for n in 0..50 {
            let seeds: Vec<(u32, f32)> = (0..20)
                .map(|seed| ((n * 997 + seed * 31) % nodes, 1.0))
                .collect();
            let began = Instant::now();
            let ranks = graph.page_rank(&seeds);
            times.push(milliseconds(began.elapsed()));
            let sum: f32 = ranks.iter().sum();
            ensure!(sum > 0.5 && sum < 1.01, "ranks sum to {sum}");
        }
        Ok(times)
    };
    Ok(vec![
        Row::new("page_rank", "20k_nodes", "ms", measure(20_000, 8)?).goal(5.0, None),
        Row::new("page_rank", "1m_edges", "ms", measure(100_000, 10)?).goal(50.0, None),
    ])
}

/// Passages a second that are read, cut, indexed and connected by their names, without vectors. The goal is the least.
pub(super) fn memory_ingest(_setup: &Setup) -> Result<Vec<Row>> {
    let mut words = Words::new(11);
    let entries: Vec<Entry> = (0..INGESTED)
        .map(|n| Entry {
            id: format!("d{n}"),
            title: words.name(n),
            text: words.text(n, 100),
            ..Entry::default()
        })
        .collect();
    let mut index = Index::new();
    let began = Instant::now();
    entries.iter().for_each(|entry| index.insert(entry));
    let seconds = began.elapsed().as_secs_f64();
    ensure!(
        index.passages() >= INGESTED,
        "{} passages",
        index.passages()
    );
    let per_second = index.passages() as f64 / seconds;
    Ok(vec![
        Row::new("memory_ingest", "passages_per_s", "1/s", vec![per_second]).goal(1_000.0, None),
    ])
}

/// Texts of made-up words as common as those of a language are, with names among them.
struct Words {
    state: u64,
}

impl Words {
    fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn name(&self, n: usize) -> String {
        const SYLLABLES: [&str; 10] = ["Ba", "Do", "Fe", "Gu", "Ki", "Lo", "Ma", "Ne", "Pi", "Ru"];
        let part = |n: usize| {
            (0..4)
                .map(|at| SYLLABLES[n / 10_usize.pow(at) % 10].to_lowercase())
                .collect::<String>()
        };
        let capital = |word: String| word[..1].to_uppercase() + &word[1..];
        format!("{} {}", capital(part(n)), capital(part(n / 10 + 7)))
    }

    fn text(&mut self, n: usize, length: usize) -> String {
        let mut words = Vec::with_capacity(length);
        for at in 0..length {
            if at % 25 == 10 {
                words.push(self.name((n * 31 + at * 17) % PASSAGES));
                continue;
            }
            // The rank of a word is spread as in a language: few are common.
            let spread = (next(&mut self.state) % 1_000_000) as f64 / 1_000_000.0;
            words.push(format!("w{}", (20_000_f64.powf(spread)) as u64));
        }
        words.join(" ")
    }
}

pub(super) fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
