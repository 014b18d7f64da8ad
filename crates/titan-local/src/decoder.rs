//! The transformer: tokens in, the likelihood of each next token out.
//!
//! Runs the llama, qwen2 and qwen3 families, which differ in biases, norms of heads and the way of rotation. Keys
//! and values are kept as halves, one flat list per layer, so that going back to an earlier token is a truncation and
//! a snapshot is a copy. Knows nothing of text, sampling or requests.

use crate::error::LocalError;
use crate::gguf::Gguf;
use crate::kernels::{Isa, Matrix, Product, Workspace, multiply};
use crate::math::{self, Attention, HEAD_MAX};
use crate::pool::Pool;
use crate::quant::dequantise;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// Tokens that go through the layers together when a prompt is read.
pub(crate) const BATCH_TOKENS: usize = 128;
/// Tokens whose queries share one reading of the keys.
const ATTENTION_TOKENS: usize = 8;
/// The cache grows by this many tokens at a time.
const CACHE_STEP_TOKENS: usize = 256;
/// The longest context that is offered, whatever a file claims.
const CONTEXT_TOKENS_MAX: usize = 1 << 18;
const LAYERS_MAX: usize = 512;

/// Families of models that run here.
const FAMILIES: [(&str, Rotation); 3] = [
    ("llama", Rotation::Pairs),
    ("qwen2", Rotation::Halves),
    ("qwen3", Rotation::Halves),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rotation {
    /// Neighbouring numbers turn together.
    Pairs,
    /// Numbers half a head apart turn together.
    Halves,
}

/// A loaded model.
pub(crate) struct Decoder {
    file: Arc<Gguf>,
    shape: Shape,
    isa: Isa,
    pool: Pool,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None`: the embedding serves.
    head: Option<Matrix>,
    frequencies: Vec<f32>,
    rotation: Rotation,
    room: Room,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    width: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    inner: usize,
    epsilon: f32,
    context: usize,
}

impl Shape {
    fn query_width(&self) -> usize {
        self.heads * self.head
    }

    fn kv_width(&self) -> usize {
        self.kv_heads * self.head
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Matrix,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    before_attention: Vec<f32>,
    before_inner: Vec<f32>,
    query_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
}

struct Linear {
    weights: Matrix,
    bias: Option<Vec<f32>>,
}

/// Buffers that passes reuse.
#[derive(Default)]
struct Room {
    workspace: Workspace,
    x: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attended: Vec<f32>,
    added: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    cosines: Vec<f32>,
    sines: Vec<f32>,
    logits: Vec<f32>,
}

/// The work was called off; the cache is as it was before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cancelled;

/// What the model has read: the tokens, and their keys and values in each layer.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    tokens: Vec<u32>,
    width: usize,
    layers: Vec<(Vec<u16>, Vec<u16>)>,
}

impl Cache {
    /// The tokens read so far.
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Forgets all but the first `count` tokens.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.tokens.truncate(count);
        let length = self.tokens.len() * self.width;
        for (keys, values) in &mut self.layers {
            keys.truncate(length);
            values.truncate(length);
        }
    }

    /// Becomes the first `count` tokens of another cache of the same model.
    pub(crate) fn copy_from(&mut self, other: &Self, count: usize) {
        let count = count.min(other.tokens.len());
        let length = count * other.width;
        self.tokens = other.tokens[..count].to_vec();
        self.width = other.width;
        self.layers = other
            .layers
            .iter()
            .map(|(keys, values)| (keys[..length].to_vec(), values[..length].to_vec()))
            .collect();
    }

    /// How many of `tokens`, from the first on, were read already.
    pub(crate) fn common_with(&self, tokens: &[u32]) -> usize {
        self.tokens
            .iter()
            .zip(tokens)
            .take_while(|(a, b)| a == b)
            .count()
    }

    /// Halves per layer for each of keys and values.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Keys and values of each layer.
    pub(crate) fn layers(&self) -> &[(Vec<u16>, Vec<u16>)] {
        &self.layers
    }

    /// A cache made of a snapshot's parts; `None` when they don't fit together.
    pub(crate) fn from_parts(
        tokens: Vec<u32>,
        width: usize,
        layers: Vec<(Vec<u16>, Vec<u16>)>,
    ) -> Option<Self> {
        let length = tokens.len().checked_mul(width)?;
        let fits = layers
            .iter()
            .all(|(keys, values)| keys.len() == length && values.len() == length);
        fits.then_some(Self {
            tokens,
            width,
            layers,
        })
    }
}

/// Grows in steps instead of by doubling, which would hold twice the memory.
fn append(list: &mut Vec<u16>, numbers: &[f32], step: usize) {
    let needed = list.len() + numbers.len();
    if needed > list.capacity() {
        list.reserve_exact(needed.next_multiple_of(step) - list.len());
    }
    list.extend(numbers.iter().map(|n| math::narrow(*n)));
}

impl Decoder {
    /// Loads the model. The weights stay in the mapped file where they can.
    pub(crate) fn load(file: &Arc<Gguf>, pool: Pool, isa: Isa) -> Result<Self, LocalError> {
        let family = file.text("general.architecture").unwrap_or("unknown");
        let rotation = FAMILIES
            .iter()
            .find(|(name, _)| *name == family)
            .map(|(_, rotation)| *rotation)
            .ok_or_else(|| {
                file.unsupported(format!(
                    "its architecture is {family}, not llama, qwen2 or qwen3"
                ))
            })?;
        let loader = Loader {
            file,
            family,
            pool: &pool,
        };
        let embedding = loader.matrix("token_embd", None)?;
        let shape = loader.shape(&embedding)?;
        let layer_count = loader.size("block_count")?;
        if layer_count > LAYERS_MAX {
            return Err(file.damaged(format!("it claims {layer_count} layers")));
        }
        let layers = (0..layer_count)
            .map(|index| loader.layer(index, &shape))
            .collect::<Result<_, _>>()?;
        let head = match file.tensor("output.weight") {
            Some(_) => Some(loader.matrix("output", Some((embedding.rows(), shape.width)))?),
            None => None,
        };
        let norm = loader.vector("output_norm.weight", shape.width)?;
        let frequencies = loader.frequencies(&shape)?;
        Ok(Self {
            file: Arc::clone(file),
            shape,
            isa,
            embedding,
            layers,
            norm,
            head,
            frequencies,
            rotation,
            room: Room::default(),
            pool,
        })
    }

    /// Tokens that it can read, as the file says.
    pub(crate) fn context_tokens(&self) -> usize {
        self.shape.context
    }

    /// Tokens that it knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.embedding.rows()
    }

    /// The instructions in use, for people.
    pub(crate) fn instructions(&self) -> &'static str {
        self.isa.name()
    }

    /// Threads in use.
    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Makes the weights faster to read, in the background. To be called when the first answer has begun, which it would
    /// delay.
    pub(crate) fn settle(&self) {
        self.file.settle();
    }

    /// An empty cache for this model.
    pub(crate) fn new_cache(&self) -> Cache {
        Cache {
            tokens: Vec::new(),
            width: self.shape.kv_width(),
            layers: vec![(Vec::new(), Vec::new()); self.layers.len()],
        }
    }

    /// Whether a cache, made from a file perhaps, is one of this model.
    pub(crate) fn fits(&self, cache: &Cache) -> bool {
        cache.width == self.shape.kv_width()
            && cache.layers.len() == self.layers.len()
            && cache
                .tokens
                .iter()
                .all(|t| (*t as usize) < self.vocabulary())
    }

    /// Reads `tokens` after what `cache` holds. `cancelled` is asked before each product, some milliseconds apart.
    ///
    /// # Errors
    /// When it was called off; the cache is then as before the batch that was cut.
    ///
    /// # Panics
    /// When there is a token that the model does not know.
    pub(crate) fn feed(
        &mut self,
        cache: &mut Cache,
        tokens: &[u32],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Cancelled> {
        for batch in tokens.chunks(BATCH_TOKENS) {
            let before = cache.tokens.len();
            if let Err(cut) = self.read_batch(cache, batch, cancelled) {
                cache.truncate(before);
                return Err(cut);
            }
        }
        Ok(())
    }

    /// As [`Decoder::feed`], and gives the likelihood of each token to come next.
    ///
    /// # Errors
    /// As for [`Decoder::feed`].
    ///
    /// # Panics
    /// Also when there are no tokens.
    pub(crate) fn read(
        &mut self,
        cache: &mut Cache,
        tokens: &[u32],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<&[f32], Cancelled> {
        assert!(!tokens.is_empty(), "nothing to read");
        self.feed(cache, tokens, cancelled)?;
        let last = (tokens.len() - 1) % BATCH_TOKENS;
        self.likelihoods(&[last]);
        Ok(&self.room.logits)
    }

    /// Reads `tokens` and then `opening`, and gives the likelihood of each token to come next after each of the two.
    ///
    /// # Errors
    /// As for [`Decoder::feed`].
    ///
    /// # Panics
    /// Also when one of the two is empty, or `opening` has as many tokens as a batch.
    pub(crate) fn read_both(
        &mut self,
        cache: &mut Cache,
        tokens: &[u32],
        opening: &[u32],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(&[f32], &[f32]), Cancelled> {
        assert!(!tokens.is_empty() && !opening.is_empty(), "nothing to read");
        assert!(opening.len() < BATCH_TOKENS, "the opening is too long");
        let all = [tokens, opening].concat();
        // The last batch has the opening and the token before it.
        let (first, last) = all.split_at(all.len().saturating_sub(BATCH_TOKENS));
        self.feed(cache, first, cancelled)?;
        self.feed(cache, last, cancelled)?;
        self.likelihoods(&[last.len() - 1 - opening.len(), last.len() - 1]);
        Ok(self.room.logits.split_at(self.vocabulary()))
    }

    fn read_batch(
        &mut self,
        cache: &mut Cache,
        tokens: &[u32],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Cancelled> {
        let width = self.shape.width;
        let at = cache.tokens.len();
        self.rotations(at..at + tokens.len());
        let room = &mut self.room;
        room.x.resize(tokens.len() * width, 0.0);
        for (token, x) in tokens.iter().zip(room.x.chunks_exact_mut(width)) {
            self.embedding.dequantise_row(*token as usize, x);
        }
        // Set before the layers, so that a cut pass is undone by one truncation.
        cache.tokens.extend_from_slice(tokens);
        for (layer, (keys, values)) in self.layers.iter().zip(&mut cache.layers) {
            let pass = Pass {
                shape: &self.shape,
                isa: self.isa,
                pool: &self.pool,
                layer,
                rotation: self.rotation,
                at,
                cancelled,
            };
            pass.attention(room, keys, values)?;
            pass.inner(room)?;
        }
        Ok(())
    }

    /// Of what comes after these tokens of the last batch.
    fn likelihoods(&mut self, tokens: &[usize]) {
        let width = self.shape.width;
        let room = &mut self.room;
        room.normed.resize(tokens.len() * width, 0.0);
        for (token, normed) in tokens.iter().zip(room.normed.chunks_exact_mut(width)) {
            let x = &room.x[token * width..(token + 1) * width];
            math::rms_norm(self.isa, x, &self.norm, self.shape.epsilon, normed);
        }
        let weights = self.head.as_ref().unwrap_or(&self.embedding);
        room.logits.resize(tokens.len() * weights.rows(), 0.0);
        let mut products = [Product {
            weights,
            out: &mut room.logits,
        }];
        multiply(
            self.isa,
            &self.pool,
            &mut room.workspace,
            &room.normed,
            width,
            &mut products,
        );
    }

    fn rotations(&mut self, positions: Range<usize>) {
        let room = &mut self.room;
        room.cosines.clear();
        room.sines.clear();
        for position in positions {
            for frequency in &self.frequencies {
                let (sin, cos) = (position as f32 * frequency).sin_cos();
                room.cosines.push(cos);
                room.sines.push(sin);
            }
        }
    }
}

/// One layer's work on one batch.
struct Pass<'a> {
    shape: &'a Shape,
    isa: Isa,
    pool: &'a Pool,
    layer: &'a Layer,
    rotation: Rotation,
    /// Tokens that were read before.
    at: usize,
    cancelled: &'a dyn Fn() -> bool,
}

thread_local! {
    /// Room for attention's scores, its queries and its results.
    static SCORES: RefCell<(Vec<f32>, Vec<f32>, Vec<f32>)> = RefCell::default();
}

impl Pass<'_> {
    fn go_on(&self) -> Result<(), Cancelled> {
        if (self.cancelled)() {
            return Err(Cancelled);
        }
        Ok(())
    }

    fn multiply(
        &self,
        workspace: &mut Workspace,
        x: &[f32],
        columns: usize,
        products: &mut [Product<'_>],
    ) {
        multiply(self.isa, self.pool, workspace, x, columns, products);
    }

    fn attention(
        &self,
        room: &mut Room,
        keys: &mut Vec<u16>,
        values: &mut Vec<u16>,
    ) -> Result<(), Cancelled> {
        let (shape, layer) = (self.shape, self.layer);
        let count = room.x.len() / shape.width;
        self.go_on()?;
        self.norm(&room.x, &layer.before_attention, &mut room.normed);
        room.query.resize(count * shape.query_width(), 0.0);
        room.key.resize(count * shape.kv_width(), 0.0);
        room.value.resize(count * shape.kv_width(), 0.0);
        let mut products = [
            layer.query.product(&mut room.query),
            layer.key.product(&mut room.key),
            layer.value.product(&mut room.value),
        ];
        self.multiply(
            &mut room.workspace,
            &room.normed,
            shape.width,
            &mut products,
        );
        layer.query.add_bias(self.isa, &mut room.query);
        layer.key.add_bias(self.isa, &mut room.key);
        layer.value.add_bias(self.isa, &mut room.value);
        self.turn(
            &mut room.query,
            layer.query_norm.as_deref(),
            &room.cosines,
            &room.sines,
        );
        self.turn(
            &mut room.key,
            layer.key_norm.as_deref(),
            &room.cosines,
            &room.sines,
        );
        let step = CACHE_STEP_TOKENS * shape.kv_width();
        append(keys, &room.key, step);
        append(values, &room.value, step);
        room.attended.resize(count * shape.query_width(), 0.0);
        self.go_on()?;
        self.attend(&room.query, keys, values, &mut room.attended);
        self.go_on()?;
        room.added.resize(count * shape.width, 0.0);
        let mut products = [Product {
            weights: &layer.output,
            out: &mut room.added,
        }];
        self.multiply(
            &mut room.workspace,
            &room.attended,
            shape.query_width(),
            &mut products,
        );
        math::add(self.isa, &mut room.x, &room.added);
        Ok(())
    }

    fn inner(&self, room: &mut Room) -> Result<(), Cancelled> {
        let (shape, layer) = (self.shape, self.layer);
        let count = room.x.len() / shape.width;
        self.go_on()?;
        self.norm(&room.x, &layer.before_inner, &mut room.normed);
        room.gate.resize(count * shape.inner, 0.0);
        room.up.resize(count * shape.inner, 0.0);
        let mut products = [
            Product {
                weights: &layer.gate,
                out: &mut room.gate,
            },
            Product {
                weights: &layer.up,
                out: &mut room.up,
            },
        ];
        self.multiply(
            &mut room.workspace,
            &room.normed,
            shape.width,
            &mut products,
        );
        let isa = self.isa;
        self.each_row(&mut room.gate, &room.up, shape.inner, |gate, up| {
            math::gate(isa, gate, up);
        });
        self.go_on()?;
        let mut products = [Product {
            weights: &layer.down,
            out: &mut room.added,
        }];
        self.multiply(&mut room.workspace, &room.gate, shape.inner, &mut products);
        math::add(self.isa, &mut room.x, &room.added);
        Ok(())
    }

    fn norm(&self, x: &[f32], weights: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        math::rms_norm(self.isa, x, weights, self.shape.epsilon, out);
    }

    /// Norms (where the family has it) and rotates each head of each token.
    fn turn(&self, heads: &mut [f32], norm: Option<&[f32]>, cosines: &[f32], sines: &[f32]) {
        let (head, half) = (self.shape.head, self.shape.head / 2);
        let count = cosines.len() / half;
        let per_token = heads.len() / count;
        let mut normed = [0.0; HEAD_MAX];
        for (token, heads) in heads.chunks_exact_mut(per_token).enumerate() {
            let cosines = &cosines[token * half..(token + 1) * half];
            let sines = &sines[token * half..(token + 1) * half];
            for one in heads.chunks_exact_mut(head) {
                if let Some(weights) = norm {
                    math::rms_norm(
                        self.isa,
                        one,
                        weights,
                        self.shape.epsilon,
                        &mut normed[..head],
                    );
                    one.copy_from_slice(&normed[..head]);
                }
                match self.rotation {
                    Rotation::Halves => math::rotate_halves(self.isa, one, cosines, sines),
                    Rotation::Pairs => math::rotate_pairs(self.isa, one, cosines, sines),
                }
            }
        }
    }

    /// Applies `body` to matching rows of two buffers, over the pool.
    fn each_row(
        &self,
        rows: &mut [f32],
        other: &[f32],
        length: usize,
        body: impl Fn(&mut [f32], &[f32]) + Sync,
    ) {
        let all = crate::kernels::Shared::new(rows);
        self.pool.run(other.len() / length, &|row| {
            let span = row * length..(row + 1) * length;
            // SAFETY: each unit has its own row.
            body(unsafe { all.slice(span.start, length) }, &other[span]);
        });
    }

    /// One unit of work is one key-value head for a few tokens: all the queries that read it.
    fn attend(&self, queries: &[f32], keys: &[u16], values: &[u16], out: &mut [f32]) {
        let (shape, isa, at) = (self.shape, self.isa, self.at);
        let (head, width) = (shape.head, shape.query_width());
        let group = shape.heads / shape.kv_heads;
        let count = queries.len() / width;
        // Queries that share keys go together, unless that leaves threads without work.
        let is_few = count.div_ceil(ATTENTION_TOKENS) * shape.kv_heads < self.pool.threads();
        let per_unit = if is_few { 1 } else { group };
        let units_of_heads = shape.heads / per_unit;
        let out = crate::kernels::Shared::new(out);
        self.pool
            .run(count.div_ceil(ATTENTION_TOKENS) * units_of_heads, &|unit| {
                let first_head = unit % units_of_heads * per_unit;
                let first = unit / units_of_heads * ATTENTION_TOKENS;
                let tokens = first..count.min(first + ATTENTION_TOKENS);
                SCORES.with_borrow_mut(|(scores, gathered, results)| {
                    let mut bounds = [0; ATTENTION_TOKENS * 64];
                    gathered.clear();
                    for (i, token) in tokens.clone().enumerate() {
                        let from = token * width + first_head * head;
                        gathered.extend_from_slice(&queries[from..from + per_unit * head]);
                        bounds[i * per_unit..(i + 1) * per_unit].fill(at + token + 1);
                    }
                    results.resize(gathered.len(), 0.0);
                    let task = Attention {
                        queries: gathered,
                        bounds: &bounds[..tokens.len() * per_unit],
                        keys,
                        values,
                        stride: shape.kv_width(),
                        offset: first_head / group * head,
                        head,
                    };
                    math::attend(isa, &task, scores, results);
                    for (token, result) in tokens.zip(results.chunks_exact(per_unit * head)) {
                        // SAFETY: these heads of this token belong to this unit alone.
                        let out = unsafe {
                            out.slice(token * width + first_head * head, per_unit * head)
                        };
                        out.copy_from_slice(result);
                    }
                });
            });
    }
}

impl Linear {
    fn product<'a>(&'a self, out: &'a mut [f32]) -> Product<'a> {
        Product {
            weights: &self.weights,
            out,
        }
    }

    fn add_bias(&self, isa: Isa, rows: &mut [f32]) {
        if let Some(bias) = &self.bias {
            for row in rows.chunks_exact_mut(bias.len()) {
                math::add(isa, row, bias);
            }
        }
    }
}

struct Loader<'a> {
    file: &'a Arc<Gguf>,
    family: &'a str,
    pool: &'a Pool,
}

impl Loader<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.family)
    }

    fn size(&self, name: &str) -> Result<usize, LocalError> {
        let key = self.key(name);
        self.file
            .size(&key)
            .filter(|size| *size > 0)
            .ok_or_else(|| self.file.damaged(format!("it does not say its {key}")))
    }

    fn shape(&self, embedding: &Matrix) -> Result<Shape, LocalError> {
        let width = self.size("embedding_length")?;
        let heads = self.size("attention.head_count")?;
        let kv_heads = self
            .file
            .size(&self.key("attention.head_count_kv"))
            .unwrap_or(heads);
        let head = self
            .file
            .size(&self.key("attention.key_length"))
            .unwrap_or(width / heads);
        let epsilon = self
            .file
            .float(&self.key("attention.layer_norm_rms_epsilon"));
        let shape = Shape {
            width,
            heads,
            kv_heads,
            head,
            inner: self.size("feed_forward_length")?,
            epsilon: epsilon.unwrap_or(1e-6),
            context: self.size("context_length")?.min(CONTEXT_TOKENS_MAX),
        };
        let sound = embedding.columns() == width
            && kv_heads > 0
            && heads.is_multiple_of(kv_heads)
            && heads / kv_heads <= 64
            && (2..=HEAD_MAX).contains(&head)
            && head.is_multiple_of(2);
        if !sound {
            return Err(self.file.unsupported(format!("its shape is {shape:?}")));
        }
        Ok(shape)
    }

    fn layer(&self, index: usize, shape: &Shape) -> Result<Layer, LocalError> {
        let name = |part: &str| format!("blk.{index}.{part}");
        let matrix = |part: &str, rows, columns| self.matrix(&name(part), Some((rows, columns)));
        let linear = |part: &str, rows| -> Result<Linear, LocalError> {
            Ok(Linear {
                weights: matrix(part, rows, shape.width)?,
                bias: self.vector_maybe(&format!("{}.bias", name(part)), rows)?,
            })
        };
        let norm = |part: &str| self.vector(&format!("{}.weight", name(part)), shape.width);
        let head_norm =
            |part: &str| self.vector_maybe(&format!("{}.weight", name(part)), shape.head);
        Ok(Layer {
            query: linear("attn_q", shape.query_width())?,
            key: linear("attn_k", shape.kv_width())?,
            value: linear("attn_v", shape.kv_width())?,
            output: matrix("attn_output", shape.width, shape.query_width())?,
            gate: matrix("ffn_gate", shape.inner, shape.width)?,
            up: matrix("ffn_up", shape.inner, shape.width)?,
            down: matrix("ffn_down", shape.width, shape.inner)?,
            before_attention: norm("attn_norm")?,
            before_inner: norm("ffn_norm")?,
            query_norm: head_norm("attn_q_norm")?,
            key_norm: head_norm("attn_k_norm")?,
        })
    }

    fn matrix(&self, name: &str, shape: Option<(usize, usize)>) -> Result<Matrix, LocalError> {
        let name = format!("{name}.weight");
        let tensor = self
            .file
            .tensor(&name)
            .ok_or_else(|| self.file.damaged(format!("it has no tensor {name}")))?;
        let matrix = Matrix::new(self.file, tensor, self.pool).ok_or_else(|| {
            self.file
                .unsupported(format!("tensor {name} has sizes {:?}", tensor.dimensions))
        })?;
        let found = (matrix.rows(), matrix.columns());
        match shape {
            Some(expected) if expected != found => Err(self.file.damaged(format!(
                "tensor {name} has sizes {found:?}, not {expected:?}"
            ))),
            _ => Ok(matrix),
        }
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, LocalError> {
        self.vector_maybe(name, length)?
            .ok_or_else(|| self.file.damaged(format!("it has no tensor {name}")))
    }

    fn vector_maybe(&self, name: &str, length: usize) -> Result<Option<Vec<f32>>, LocalError> {
        let Some(tensor) = self.file.tensor(name) else {
            return Ok(None);
        };
        if tensor.dimensions.iter().product::<usize>() != length {
            let sizes = &tensor.dimensions;
            return Err(self
                .file
                .damaged(format!("tensor {name} has sizes {sizes:?}, not {length}")));
        }
        let mut numbers = vec![0.0; length];
        dequantise(tensor.format, self.file.bytes(tensor), &mut numbers);
        Ok(Some(numbers))
    }

    /// How fast each pair of a head turns from one position to the next.
    fn frequencies(&self, shape: &Shape) -> Result<Vec<f32>, LocalError> {
        let base = self
            .file
            .float(&self.key("rope.freq_base"))
            .unwrap_or(10_000.0);
        let turned = self
            .file
            .size(&self.key("rope.dimension_count"))
            .unwrap_or(shape.head);
        if turned != shape.head {
            return Err(self.file.unsupported("only a part of its heads is rotated"));
        }
        let scaling = self
            .file
            .text(&self.key("rope.scaling.type"))
            .unwrap_or("none");
        let slower = match (scaling, self.file.float(&self.key("rope.scaling.factor"))) {
            ("linear", Some(factor)) if factor > 0.0 => factor,
            ("none" | "linear", _) => 1.0,
            (other, _) => {
                return Err(self
                    .file
                    .unsupported(format!("it scales positions by {other}")));
            }
        };
        let divisors = self.vector_maybe("rope_freqs.weight", shape.head / 2)?;
        Ok((0..shape.head / 2)
            .map(|i| {
                let divisor = divisors.as_ref().map_or(1.0, |all| all[i]);
                1.0 / (base.powf(2.0 * i as f32 / shape.head as f32) * slower * divisor)
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny;
    use std::cell::Cell;

    const NEVER: fn() -> bool = || false;

    fn load(family: &str, isa: Isa) -> Decoder {
        let folder = tempfile::tempdir().unwrap();
        let file = Arc::new(Gguf::open(&tiny::write(folder.path(), family)).unwrap());
        Decoder::load(&file, Pool::new(2).unwrap(), isa).unwrap()
    }

    fn tokens(count: usize) -> Vec<u32> {
        (0..count).map(|i| (i * 37 % 250) as u32).collect()
    }

    /// How far two lists of likelihoods are apart, as a share of their range.
    fn distance(a: &[f32], b: &[f32]) -> f32 {
        let range = a.iter().fold(0.0_f32, |max, n| max.max(n.abs()));
        let largest = a
            .iter()
            .zip(b)
            .fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
        largest / range
    }

    #[test]
    fn reading_at_once_is_reading_one_by_one() {
        for family in ["llama", "qwen2", "qwen3"] {
            let mut decoder = load(family, Isa::best());
            let tokens = tokens(BATCH_TOKENS + 21);
            let mut cache = decoder.new_cache();
            let at_once = decoder.read(&mut cache, &tokens, &NEVER).unwrap().to_vec();
            let mut cache = decoder.new_cache();
            let mut one_by_one = Vec::new();
            for token in &tokens {
                one_by_one = decoder
                    .read(&mut cache, &[*token], &NEVER)
                    .unwrap()
                    .to_vec();
            }
            let apart = distance(&at_once, &one_by_one);
            assert!(apart < 0.02, "{family}: {apart}");
            assert!(
                at_once.iter().any(|n| n.abs() > 1e-3),
                "{family}: nothing but zeros"
            );
        }
    }

    #[test]
    fn what_follows_is_known_with_and_without_an_opening() {
        let mut decoder = load("qwen2", Isa::best());
        for count in [1, 20, BATCH_TOKENS - 1, BATCH_TOKENS + 40] {
            let tokens = tokens(count + 3);
            let (first, opening) = tokens.split_at(count);
            let mut cache = decoder.new_cache();
            let without = decoder.read(&mut cache, first, &NEVER).unwrap().to_vec();
            let with = decoder.read(&mut cache, opening, &NEVER).unwrap().to_vec();
            let mut cache = decoder.new_cache();
            let both = decoder
                .read_both(&mut cache, first, opening, &NEVER)
                .unwrap();
            assert!(distance(&without, both.0) < 0.02, "{count}");
            assert!(distance(&with, both.1) < 0.02, "{count}");
            assert!(distance(&without, &with) > 0.02, "{count}");
            assert_eq!(cache.tokens(), tokens);
        }
    }

    #[test]
    fn every_instruction_set_reads_alike() {
        let tokens = tokens(40);
        let mut expected = Vec::new();
        for isa in Isa::available() {
            let mut decoder = load("qwen2", isa);
            let mut cache = decoder.new_cache();
            let got = decoder.read(&mut cache, &tokens, &NEVER).unwrap().to_vec();
            if !expected.is_empty() {
                let apart = distance(&expected, &got);
                assert!(apart < 0.02, "{isa:?}: {apart}");
            }
            expected = got;
        }
    }

    #[test]
    fn the_order_of_tokens_matters() {
        let mut decoder = load("qwen2", Isa::best());
        let mut read = |tokens: &[u32]| {
            let mut cache = decoder.new_cache();
            decoder.read(&mut cache, tokens, &NEVER).unwrap().to_vec()
        };
        assert!(distance(&read(&[1, 2, 3, 9]), &read(&[2, 1, 3, 9])) > 0.01);
    }

    #[test]
    fn going_back_and_on_is_as_if_nothing_had_been() {
        let mut decoder = load("qwen2", Isa::best());
        let tokens = tokens(30);
        let mut cache = decoder.new_cache();
        decoder.feed(&mut cache, &tokens[..20], &NEVER).unwrap();
        let straight = decoder
            .read(&mut cache, &tokens[20..], &NEVER)
            .unwrap()
            .to_vec();
        cache.truncate(20);
        decoder.feed(&mut cache, &[7, 8, 9], &NEVER).unwrap();
        cache.truncate(20);
        let again = decoder
            .read(&mut cache, &tokens[20..], &NEVER)
            .unwrap()
            .to_vec();
        assert_eq!(straight, again);
        let mut copy = decoder.new_cache();
        copy.copy_from(&cache, 20);
        let copied = decoder
            .read(&mut copy, &tokens[20..], &NEVER)
            .unwrap()
            .to_vec();
        assert_eq!(straight, copied);
    }

    #[test]
    fn work_that_is_called_off_leaves_the_cache_as_it_was() {
        let mut decoder = load("qwen2", Isa::best());
        let mut cache = decoder.new_cache();
        let tokens = tokens(60);
        decoder.feed(&mut cache, &tokens[..10], &NEVER).unwrap();
        let before = (cache.tokens.clone(), cache.layers.clone());
        for asked_until in 0..LAYERS_OF_TINY * CHECKS_PER_LAYER {
            let asked = Cell::new(0);
            let cancelled = || {
                asked.set(asked.get() + 1);
                asked.get() > asked_until
            };
            let cut = decoder.feed(&mut cache, &tokens[10..], &cancelled);
            assert_eq!(cut, Err(Cancelled));
            assert_eq!(asked.get(), asked_until + 1);
            assert_eq!((cache.tokens.clone(), cache.layers.clone()), before);
        }
    }

    const LAYERS_OF_TINY: usize = 2;
    const CHECKS_PER_LAYER: usize = 5;

    #[test]
    fn a_cut_or_damaged_file_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = tiny::write(folder.path(), "llama");
        let whole = std::fs::read(&path).unwrap();
        let head = whole.len() - 500_000;
        let damaged = folder.path().join("damaged.gguf");
        let open = |bytes: &[u8]| {
            std::fs::write(&damaged, bytes).unwrap();
            let file = Arc::new(Gguf::open(&damaged)?);
            Decoder::load(&file, Pool::new(1)?, Isa::Portable).map(drop)
        };
        for cut in [0, 3, 4, 20, 100, 1000, 5000, whole.len() - 40_000] {
            assert!(open(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for flipped in (0..head.min(9_000)).step_by(7) {
            let mut bytes = whole.clone();
            bytes[flipped] ^= 0x55;
            // It may still load; it must not panic or read past the file.
            drop(open(&bytes));
        }
    }
}
