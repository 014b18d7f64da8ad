//! Multiplies quantised weights by activations, which are quantised to bytes first.
//!
//! Two shapes of work: a few activations (decoding), where each weight row is read once from memory as it lies in the
//! file; and many (reading a prompt), where sixteen rows at a time are unpacked into a tile in the first-level cache
//! that all activations share. Nothing is repacked ahead of time, so weights stay in the mapped file and cost no
//! memory of their own. The instruction set is chosen once by CPUID and proven against the scalar code before use.

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::gguf::{Gguf, Tensor};
use crate::pool::Pool;
use crate::quant::{self, Format, Q4K_BYTES, Q6K_BYTES, Q8_BYTES, SMALL, SUPER};
use std::sync::Arc;

/// Up to this many activations, rows are multiplied one by one; above, tile by tile.
const SINGLE_ROWS_MAX: usize = 8;
/// Weights that one unit of work takes, about, when rows are multiplied one by one, and its rows at most.
const WEIGHTS_PER_UNIT: usize = 48 * 1024;
const ROWS_PER_UNIT_MAX: usize = 32;
/// Weight rows in a tile.
const TILE_ROWS: usize = 16;
/// Activations that one weight row meets while it is in registers.
const TOGETHER_MAX: usize = 4;

/// Instructions that the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Isa {
    /// What every machine has; the compiler's own vectors.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// All that this machine can run, best first.
    pub(crate) fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 && avx512 {
                all.push(Self::Avx512);
            }
            if avx2 {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Portable);
        all
    }

    /// The best that gives the right numbers on this machine.
    pub(crate) fn best() -> Self {
        Self::available()
            .into_iter()
            .find(|isa| self_test(*isa))
            .unwrap_or(Self::Portable)
    }

    /// For people: what it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512 VNNI",
        }
    }
}

/// The formats that are multiplied as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Q4K,
    Q6K,
    Q8,
}

impl Kind {
    fn of(format: Format) -> Option<Self> {
        match format {
            Format::Q4K => Some(Self::Q4K),
            Format::Q6K => Some(Self::Q6K),
            Format::Q8_0 => Some(Self::Q8),
            _ => None,
        }
    }

    fn format(self) -> Format {
        match self {
            Self::Q4K => Format::Q4K,
            Self::Q6K => Format::Q6K,
            Self::Q8 => Format::Q8_0,
        }
    }

    /// Bytes of a block.
    fn block_bytes(self) -> usize {
        match self {
            Self::Q4K => Q4K_BYTES,
            Self::Q6K => Q6K_BYTES,
            Self::Q8 => Q8_BYTES,
        }
    }

    /// Numbers that share a scale on the side of the activations: a block.
    fn block_len(self) -> usize {
        match self {
            Self::Q4K | Self::Q6K => SUPER,
            Self::Q8 => SMALL,
        }
    }
}

/// A weight matrix, one row per output.
pub(crate) struct Matrix {
    kind: Kind,
    rows: usize,
    columns: usize,
    weights: Weights,
}

enum Weights {
    Mapped { file: Arc<Gguf>, tensor: Tensor },
    Owned(Vec<u8>),
}

impl Matrix {
    /// The tensor as a matrix: mapped where a kernel reads its format, else turned into `Q8_0` on all cores.
    /// `None` when its shape is none of a matrix that the kernels take.
    pub(crate) fn new(file: &Arc<Gguf>, tensor: &Tensor, pool: &Pool) -> Option<Self> {
        let (&columns, rest) = tensor.dimensions.split_first()?;
        let rows = rest.iter().product();
        if !columns.is_multiple_of(SMALL) || rows == 0 {
            return None;
        }
        let (kind, weights) = match Kind::of(tensor.format) {
            Some(kind) => (
                kind,
                Weights::Mapped {
                    file: Arc::clone(file),
                    tensor: tensor.clone(),
                },
            ),
            None => (
                Kind::Q8,
                Weights::Owned(requantised(
                    file.bytes(tensor),
                    tensor.format,
                    columns,
                    rows,
                    pool,
                )?),
            ),
        };
        Some(Self {
            kind,
            rows,
            columns,
            weights,
        })
    }

    /// Outputs.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    fn bytes(&self) -> &[u8] {
        match &self.weights {
            Weights::Mapped { file, tensor } => file.bytes(tensor),
            Weights::Owned(bytes) => bytes,
        }
    }

    fn row_bytes(&self) -> usize {
        self.columns / self.kind.block_len() * self.kind.block_bytes()
    }

    fn row(&self, row: usize) -> &[u8] {
        let length = self.row_bytes();
        &self.bytes()[row * length..(row + 1) * length]
    }

    /// One row as floats.
    pub(crate) fn dequantise_row(&self, row: usize, out: &mut [f32]) {
        quant::dequantise(self.kind.format(), self.row(row), out);
    }
}

fn requantised(
    bytes: &[u8],
    format: Format,
    columns: usize,
    rows: usize,
    pool: &Pool,
) -> Option<Vec<u8>> {
    let from = format.row_bytes(columns)?;
    let to = columns / SMALL * Q8_BYTES;
    let mut out = vec![0_u8; rows * to];
    let target = Shared::new(&mut out);
    pool.run(rows, &|row| {
        // SAFETY: each unit writes its own row.
        let out = unsafe { target.slice(row * to, to) };
        quant::requantise(format, &bytes[row * from..(row + 1) * from], out);
    });
    Some(out)
}

/// Activations as signed bytes with a scale per block, and the sums that undo the weights' offsets.
#[derive(Default)]
pub(crate) struct Activations {
    rows: usize,
    columns: usize,
    block: usize,
    quants: Vec<i8>,
    /// One per block.
    scales: Vec<f32>,
    /// Of 16 bytes each.
    sums: Vec<i16>,
    sums_of_16: Vec<f32>,
    sums_of_32: Vec<f32>,
    /// Another layout of the same, when there is one row.
    #[cfg(target_arch = "x86_64")]
    single: x86::Single,
}

/// One row of [`Activations`].
#[derive(Clone, Copy)]
struct Row<'a> {
    quants: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i16],
}

impl Activations {
    /// Quantises `rows` rows for weights of `kind`.
    fn quantise(&mut self, isa: Isa, kind: Kind, x: &[f32], columns: usize, pool: &Pool) {
        let rows = x.len() / columns;
        self.rows = rows;
        self.columns = columns;
        self.block = kind.block_len();
        self.quants.resize(rows * columns, 0);
        self.scales.resize(rows * columns / self.block, 0.0);
        self.sums.resize(rows * columns / 16, 0);
        self.sums_of_16.resize(rows * columns / 16, 0.0);
        self.sums_of_32.resize(rows * columns / 32, 0.0);
        let block = self.block;
        let quants = Shared::new(&mut self.quants);
        let scales = Shared::new(&mut self.scales);
        let sums = Shared::new(&mut self.sums);
        let sums_of_16 = Shared::new(&mut self.sums_of_16);
        let sums_of_32 = Shared::new(&mut self.sums_of_32);
        pool.run(rows, &|row| {
            // SAFETY: each unit writes its own row.
            let (quants, scales, sums, sums_of_16, sums_of_32) = unsafe {
                (
                    quants.slice(row * columns, columns),
                    scales.slice(row * columns / block, columns / block),
                    sums.slice(row * columns / 16, columns / 16),
                    sums_of_16.slice(row * columns / 16, columns / 16),
                    sums_of_32.slice(row * columns / 32, columns / 32),
                )
            };
            let x = &x[row * columns..(row + 1) * columns];
            crate::math::quantise(isa, x, block, quants, scales);
            crate::math::sums(isa, quants, sums, sums_of_16, sums_of_32);
        });
        #[cfg(target_arch = "x86_64")]
        if rows == 1 && kind == Kind::Q4K {
            let mut single = std::mem::take(&mut self.single);
            single.arrange(&self.row(0));
            self.single = single;
        }
    }

    fn row(&self, row: usize) -> Row<'_> {
        let span = |unit: usize| {
            let length = self.columns / unit;
            row * length..(row + 1) * length
        };
        Row {
            quants: &self.quants[span(1)],
            scales: &self.scales[span(self.block)],
            sums: &self.sums[span(16)],
        }
    }
}

/// Room that multiplications reuse.
#[derive(Default)]
pub(crate) struct Workspace {
    supers: Activations,
    smalls: Activations,
}

/// One product of a group that shares its input: `out` is row-major, one row per activation.
pub(crate) struct Product<'a> {
    pub(crate) weights: &'a Matrix,
    pub(crate) out: &'a mut [f32],
}

/// Multiplies each of `products`' weights by all rows of `x`, in one go over the pool.
///
/// # Panics
/// When a matrix does not take rows of `columns` numbers or an output has the wrong length.
pub(crate) fn multiply(
    isa: Isa,
    pool: &Pool,
    workspace: &mut Workspace,
    x: &[f32],
    columns: usize,
    products: &mut [Product<'_>],
) {
    let rows = x.len() / columns;
    assert_eq!(x.len(), rows * columns, "whole rows");
    for product in &*products {
        assert_eq!(product.weights.columns, columns, "inputs");
        assert_eq!(product.out.len(), rows * product.weights.rows, "outputs");
    }
    let needs = |block| products.iter().any(|p| p.weights.kind.block_len() == block);
    if needs(SUPER) {
        workspace.supers.quantise(isa, Kind::Q4K, x, columns, pool);
    }
    if needs(SMALL) {
        workspace.smalls.quantise(isa, Kind::Q8, x, columns, pool);
    }
    let by_tile = rows > SINGLE_ROWS_MAX && isa != Isa::Portable;
    let unit_rows = if by_tile {
        TILE_ROWS
    } else {
        (WEIGHTS_PER_UNIT / columns).clamp(1, ROWS_PER_UNIT_MAX)
    };
    let mut tasks = Vec::with_capacity(products.len());
    let mut units = 0;
    for product in products {
        tasks.push(Task {
            first_unit: units,
            weights: product.weights,
            x: match product.weights.kind {
                Kind::Q4K | Kind::Q6K => &workspace.supers,
                Kind::Q8 => &workspace.smalls,
            },
            out: Shared::new(product.out),
        });
        units += product.weights.rows.div_ceil(unit_rows);
    }
    pool.run(units, &|unit| {
        let index = tasks.partition_point(|task| task.first_unit <= unit) - 1;
        let task = &tasks[index];
        let first = (unit - task.first_unit) * unit_rows;
        let count = unit_rows.min(task.weights.rows - first);
        if by_tile && count == TILE_ROWS {
            task.tile(isa, first);
        } else {
            task.rows(isa, first, count);
        }
    });
}

struct Task<'a> {
    first_unit: usize,
    weights: &'a Matrix,
    x: &'a Activations,
    out: Shared<f32>,
}

impl Task<'_> {
    fn rows(&self, isa: Isa, first: usize, count: usize) {
        if self.x.rows == 1 && self.rows_of_single(isa, first, count) {
            return;
        }
        let mut sums = [0.0; TOGETHER_MAX];
        for at in (0..self.x.rows).step_by(TOGETHER_MAX) {
            let together = TOGETHER_MAX.min(self.x.rows - at);
            let xs: [Row<'_>; TOGETHER_MAX] =
                std::array::from_fn(|i| self.x.row(at + i.min(together - 1)));
            for row in first..first + count {
                dot(
                    isa,
                    self.weights.kind,
                    self.weights.row(row),
                    &xs[..together],
                    &mut sums,
                );
                for (i, sum) in sums[..together].iter().enumerate() {
                    // SAFETY: outputs of different weight rows are different, and each row is in one unit.
                    unsafe { self.out.write((at + i) * self.weights.rows + row, *sum) };
                }
            }
        }
    }

    /// For a single activation: whether the rows were multiplied one after another.
    #[cfg(target_arch = "x86_64")]
    fn rows_of_single(&self, isa: Isa, first: usize, count: usize) -> bool {
        let length = self.weights.row_bytes();
        let rows = &self.weights.bytes()[first * length..(first + count) * length];
        // SAFETY: each weight row is in one unit.
        let out = unsafe { self.out.slice(first, count) };
        x86::dot_rows(
            isa,
            self.weights.kind,
            rows,
            length,
            &self.x.row(0),
            &self.x.single,
            out,
        )
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn rows_of_single(&self, _isa: Isa, _first: usize, _count: usize) -> bool {
        false
    }

    #[cfg(target_arch = "x86_64")]
    fn tile(&self, isa: Isa, first: usize) {
        let length = self.weights.row_bytes();
        let rows = &self.weights.bytes()[first * length..(first + TILE_ROWS) * length];
        x86::multiply_tile(isa, self.weights.kind, rows, self.x, |row, sums| {
            // SAFETY: as above; the sixteen rows of a tile are in one unit.
            let out = unsafe { self.out.slice(row * self.weights.rows + first, TILE_ROWS) };
            out.copy_from_slice(sums);
        });
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn tile(&self, isa: Isa, first: usize) {
        self.rows(isa, first, TILE_ROWS);
    }
}

/// `out[i] = row · xs[i]`, for 1 to [`TOGETHER_MAX`] activations.
fn dot(isa: Isa, kind: Kind, row: &[u8], xs: &[Row<'_>], out: &mut [f32; TOGETHER_MAX]) {
    match isa {
        Isa::Portable => scalar::dot(kind, row, xs, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => x86::dot(isa, kind, row, xs, out),
    }
}

/// A slice whose parts are written by several threads, each its own.
pub(crate) struct Shared<T> {
    start: *mut T,
    length: usize,
}

// SAFETY: the users of `slice` and `write` promise that no two threads touch the same part.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    pub(crate) fn new(all: &mut [T]) -> Self {
        Self {
            start: all.as_mut_ptr(),
            length: all.len(),
        }
    }

    /// # Safety
    /// No other thread may use this part, and the slice that this was made of must outlive the result.
    #[allow(
        clippy::mut_from_ref,
        reason = "parts are disjoint by the caller's promise"
    )]
    pub(crate) unsafe fn slice(&self, at: usize, length: usize) -> &mut [T] {
        assert!(at + length <= self.length, "part lies outside");
        // SAFETY: in bounds, and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), length) }
    }

    /// # Safety
    /// As for [`Shared::slice`].
    unsafe fn write(&self, at: usize, value: T) {
        assert!(at < self.length, "part lies outside");
        // SAFETY: in bounds, and exclusive by the caller's promise.
        unsafe { self.start.add(at).write(value) };
    }
}

/// Whether an instruction set gives what the scalar code gives, for each format and both shapes of work.
fn self_test(isa: Isa) -> bool {
    if isa == Isa::Portable {
        return true;
    }
    let Ok(pool) = Pool::new(1) else {
        return false;
    };
    [Kind::Q4K, Kind::Q6K, Kind::Q8].into_iter().all(|kind| {
        [1, 3, 4, 19].into_iter().all(|count| {
            let (matrix, x) = sample(kind, 32, 512, count, 7);
            let got = product(isa, &pool, &matrix, &x);
            let expected = product(Isa::Portable, &pool, &matrix, &x);
            let largest = expected.iter().fold(0.0_f32, |max, n| max.max(n.abs()));
            got.iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() <= largest * 1e-4)
        })
    })
}

fn product(isa: Isa, pool: &Pool, weights: &Matrix, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len() / weights.columns * weights.rows];
    let mut products = [Product {
        weights,
        out: &mut out,
    }];
    multiply(
        isa,
        pool,
        &mut Workspace::default(),
        x,
        weights.columns,
        &mut products,
    );
    out
}

/// Weights and activations with every bit pattern in them, scales kept tame.
fn sample(kind: Kind, rows: usize, columns: usize, count: usize, seed: u64) -> (Matrix, Vec<f32>) {
    let mut state = seed;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let size = kind.block_bytes();
    let mut bytes: Vec<u8> = (0..rows * columns / kind.block_len() * size)
        .map(|_| next() as u8)
        .collect();
    for block in bytes.chunks_exact_mut(size) {
        let tame = [0x2c, 0x28, 0xac, 0x24][next() as usize % 4];
        match kind {
            Kind::Q4K => (block[1], block[3]) = (tame, 0x20),
            Kind::Q6K => block[209] = tame,
            Kind::Q8 => block[1] = tame,
        }
    }
    let matrix = Matrix {
        kind,
        rows,
        columns,
        weights: Weights::Owned(bytes),
    };
    let x = (0..count * columns)
        .map(|_| (next() % 2000) as f32 / 500.0 - 2.0)
        .collect();
    (matrix, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_agrees_with_the_scalar_code() {
        let pool = Pool::new(2).unwrap();
        for isa in Isa::available() {
            for (kind, columns) in [
                (Kind::Q4K, 768),
                (Kind::Q6K, 256),
                (Kind::Q8, 224),
                (Kind::Q8, 512),
            ] {
                for count in [1, 2, 5, 9, 16, 31] {
                    let (matrix, x) = sample(kind, 53, columns, count, 11);
                    let got = product(isa, &pool, &matrix, &x);
                    let expected = product(Isa::Portable, &pool, &matrix, &x);
                    let largest = expected.iter().fold(0.0_f32, |max, n| max.max(n.abs()));
                    for (a, b) in got.iter().zip(&expected) {
                        assert!(
                            (a - b).abs() <= largest * 1e-4,
                            "{isa:?} {kind:?} {columns} x {count}: {a} instead of {b}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_scalar_code_agrees_with_floats() {
        let pool = Pool::new(1).unwrap();
        for kind in [Kind::Q4K, Kind::Q6K, Kind::Q8] {
            let (matrix, x) = sample(kind, 4, 512, 2, 3);
            let got = product(Isa::Portable, &pool, &matrix, &x);
            let mut row = vec![0.0; 512];
            let mut expected = vec![0.0_f32; got.len()];
            for r in 0..4 {
                matrix.dequantise_row(r, &mut row);
                for (i, x) in x.chunks(512).enumerate() {
                    expected[i * 4 + r] = row.iter().zip(x).map(|(a, b)| a * b).sum();
                }
            }
            let largest = expected.iter().fold(0.0_f32, |max, n| max.max(n.abs()));
            for (a, b) in got.iter().zip(&expected) {
                assert!(
                    (a - b).abs() <= largest * 0.03,
                    "{kind:?}: {a} instead of {b}"
                );
            }
        }
    }
}
