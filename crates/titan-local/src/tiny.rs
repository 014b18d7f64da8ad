//! A tiny model with random weights, written as a real GGUF file: for tests only.

use crate::LocalConfig;
use crate::quant::Format;
use half::f16;
use std::path::{Path, PathBuf};

const WIDTH: usize = 256;
const INNER: usize = 512;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;
const HEAD: usize = WIDTH / HEADS;

/// The control tokens, after the 256 bytes.
pub(crate) const START: u32 = 256;
pub(crate) const END: u32 = 257;
pub(crate) const VOCABULARY: usize = 320;

/// Writes a model of this family and gives its path. All bytes are tokens, so that any text can be read and written.
pub(crate) fn write(folder: &Path, family: &str) -> PathBuf {
    let path = folder.join(format!("{family}.gguf"));
    std::fs::write(&path, file(family)).unwrap();
    path
}

/// A configuration that runs it on two threads.
pub(crate) fn config(path: &Path) -> LocalConfig {
    LocalConfig {
        model: path.display().to_string(),
        threads: Some(2),
        context_tokens_max: 1024,
        ..LocalConfig::new(path.parent().unwrap())
    }
}

fn file(family: &str) -> Vec<u8> {
    let mut metadata = Metadata::default();
    metadata.text("general.architecture", family);
    for (key, value) in [
        ("block_count", LAYERS),
        ("context_length", 2048),
        ("embedding_length", WIDTH),
        ("feed_forward_length", INNER),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
    ] {
        metadata.number(&format!("{family}.{key}"), value as u32);
    }
    metadata.float(&format!("{family}.attention.layer_norm_rms_epsilon"), 1e-6);
    metadata.float(&format!("{family}.rope.freq_base"), 10_000.0);
    metadata.text("tokenizer.ggml.model", "gpt2");
    metadata.text("tokenizer.ggml.pre", "qwen2");
    metadata.texts("tokenizer.ggml.tokens", &tokens());
    metadata.kinds(VOCABULARY);
    metadata.texts("tokenizer.ggml.merges", &[]);
    metadata.number("tokenizer.ggml.eos_token_id", END);
    let tensors = tensors(family);

    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(metadata.count.to_le_bytes());
    out.extend(metadata.bytes);
    let mut data: Vec<u8> = Vec::new();
    for (name, sizes, code, bytes) in &tensors {
        text(&mut out, name);
        out.extend((sizes.len() as u32).to_le_bytes());
        for size in sizes {
            out.extend((*size as u64).to_le_bytes());
        }
        out.extend(code.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

type TensorRow = (String, Vec<usize>, u32, Vec<u8>);

fn tensors(family: &str) -> Vec<TensorRow> {
    let mut random = Random(family.len() as u64);
    // name, rows, columns, code of its format; each format that a kernel or a conversion handles is in use
    let matrices = [
        ("attn_q", WIDTH, WIDTH, 12),
        ("attn_k", KV_HEADS * HEAD, WIDTH, 6),
        ("attn_v", KV_HEADS * HEAD, WIDTH, 14),
        ("attn_output", WIDTH, WIDTH, 8),
        ("ffn_gate", INNER, WIDTH, 12),
        ("ffn_up", INNER, WIDTH, 3),
        ("ffn_down", WIDTH, INNER, 14),
    ];
    let mut all = vec![
        random.matrix("token_embd.weight", VOCABULARY, WIDTH, 8),
        random.vector("output_norm.weight", WIDTH, 1.0),
    ];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}");
        for (part, rows, columns, code) in matrices {
            all.push(random.matrix(&format!("{}.weight", name(part)), rows, columns, code));
        }
        for part in ["attn_norm", "ffn_norm"] {
            all.push(random.vector(&format!("{}.weight", name(part)), WIDTH, 1.0));
        }
        if family == "qwen2" {
            for (part, length) in [
                ("attn_q", WIDTH),
                ("attn_k", KV_HEADS * HEAD),
                ("attn_v", KV_HEADS * HEAD),
            ] {
                all.push(random.vector(&format!("{}.bias", name(part)), length, 0.0));
            }
        }
        if family == "qwen3" {
            for part in ["attn_q_norm", "attn_k_norm"] {
                all.push(random.vector(&format!("{}.weight", name(part)), HEAD, 1.0));
            }
        }
    }
    all
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn vector(&mut self, name: &str, length: usize, around: f32) -> TensorRow {
        let bytes = (0..length)
            .flat_map(|_| (around + (self.next() % 2000) as f32 / 5000.0 - 0.2).to_le_bytes())
            .collect();
        (name.into(), vec![length], 0, bytes)
    }

    /// Random blocks of small worth.
    fn matrix(&mut self, name: &str, rows: usize, columns: usize, code: u32) -> TensorRow {
        let format = Format::from_code(code).unwrap();
        let length = format.row_bytes(columns).unwrap() * rows;
        let mut bytes: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        let half = |worth: f32| f16::from_f32(worth).to_le_bytes();
        let (size, scales): (usize, &[(usize, f32)]) = match format {
            Format::Q4K => (144, &[(0, 3e-4), (2, 2e-3)]),
            Format::Q6K => (210, &[(208, 3e-5)]),
            Format::Q5_0 => (22, &[(0, 6e-3)]),
            Format::Q4_1 => (20, &[(0, 1e-2), (2, -8e-2)]),
            _ => (34, &[(0, 1e-3)]),
        };
        for block in bytes.chunks_exact_mut(size) {
            for (at, worth) in scales {
                block[*at..at + 2].copy_from_slice(&half(*worth));
            }
        }
        (name.into(), vec![columns, rows], code, bytes)
    }
}

/// The bytes as printable characters, then the control tokens, then tokens that are never used.
fn tokens() -> Vec<String> {
    let mut next = 256;
    let mut all: Vec<String> = (0..=u8::MAX)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte).to_string(),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap().to_string()
            }
        })
        .collect();
    all.push("<|im_start|>".into());
    all.push("<|im_end|>".into());
    all.extend((all.len()..VOCABULARY).map(|i| format!("<|unused_{i}|>")));
    all
}

#[derive(Default)]
struct Metadata {
    count: u64,
    bytes: Vec<u8>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Metadata {
    fn entry(&mut self, key: &str, kind: u32) {
        self.count += 1;
        text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.entry(key, 8);
        text(&mut self.bytes, value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.entry(key, 4);
        self.bytes.extend(value.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.entry(key, 6);
        self.bytes.extend(value.to_le_bytes());
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.entry(key, 9);
        self.bytes.extend(8_u32.to_le_bytes());
        self.bytes.extend((values.len() as u64).to_le_bytes());
        for value in values {
            text(&mut self.bytes, value);
        }
    }

    fn kinds(&mut self, count: usize) {
        self.entry("tokenizer.ggml.token_type", 9);
        self.bytes.extend(5_u32.to_le_bytes());
        self.bytes.extend((count as u64).to_le_bytes());
        for id in 0..count {
            let kind: i32 = if id < 256 { 1 } else { 3 };
            self.bytes.extend(kind.to_le_bytes());
        }
    }
}
