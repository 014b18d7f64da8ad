//! Products of many inputs at once: sixteen rows against all activations.

use super::super::{Activations, Isa, Kind, TILE_ROWS};
use super::scales_then_minima;
use crate::quant::{
    Q4K_BYTES, Q6K_BYTES, Q8_BYTES, SMALL, SUPER, scales_and_minima, unpack_q4k, unpack_q6k,
};
#[allow(
    clippy::wildcard_imports,
    reason = "a hundred intrinsics, named for what they are"
)]
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Up to 256 columns of sixteen rows.
#[repr(C, align(64))]
struct Tile {
    /// By group of four columns, row, and column in the group. Unsigned, but for `Q8_0` under AVX2.
    quants: [[u8; TILE_ROWS * 4]; SUPER / 4],
    /// By block of 16 or 32 columns, and row.
    scales: [[f32; TILE_ROWS]; 16],
    /// What one unit of the inputs' sum takes off, by block and row.
    offsets: [[f32; TILE_ROWS]; 16],
    /// Blocks in use.
    subs: usize,
}

/// Rows of one tile's columns before they are turned: one number a byte.
#[repr(C, align(64))]
struct Unpacked([[u8; SUPER]; TILE_ROWS]);

struct Scratch {
    tile: Box<Tile>,
    rows: Box<Unpacked>,
    sums: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        tile: Box::new(Tile {
            quants: [[0; TILE_ROWS * 4]; SUPER / 4],
            scales: [[0.0; TILE_ROWS]; 16],
            offsets: [[0.0; TILE_ROWS]; 16],
            subs: 0,
        }),
        rows: Box::new(Unpacked([[0; SUPER]; TILE_ROWS])),
        sums: Vec::new(),
    });
}

/// Multiplies sixteen rows by all activations and gives each activation's sixteen outputs to `done`.
pub(in crate::kernels) fn multiply_tile(
    isa: Isa,
    kind: Kind,
    rows: &[u8],
    x: &Activations,
    mut done: impl FnMut(usize, &[f32]),
) {
    assert_eq!(rows.len() % TILE_ROWS, 0);
    assert_eq!(x.block, kind.block_len());
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.sums.clear();
        scratch.sums.resize(x.rows * TILE_ROWS, 0.0);
        let length = rows.len() / TILE_ROWS;
        for first in (0..x.columns).step_by(SUPER) {
            let columns = SUPER.min(x.columns - first);
            // SAFETY: the instruction set was found on this machine before `isa` was made. All loads and stores are
            // of whole tiles and of whole blocks within `first..first + columns`.
            unsafe {
                match isa {
                    Isa::Avx512 => {
                        fill_512(kind, rows, length, first, columns, scratch);
                        match kind {
                            Kind::Q4K => pass_512::<Q4k>(scratch, x, first),
                            Kind::Q6K => pass_512::<Q6k>(scratch, x, first),
                            Kind::Q8 => pass_512::<Q8>(scratch, x, first),
                        }
                    }
                    _ => {
                        fill_256(kind, rows, length, first, columns, scratch);
                        match kind {
                            Kind::Q4K => pass_256::<Q4k>(scratch, x, first),
                            Kind::Q6K => pass_256::<Q6k>(scratch, x, first),
                            Kind::Q8 => pass_256::<Q8>(scratch, x, first),
                        }
                    }
                }
            }
        }
        for (row, sums) in scratch.sums.chunks_exact(TILE_ROWS).enumerate() {
            done(row, sums);
        }
    });
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_512(
    kind: Kind,
    rows: &[u8],
    length: usize,
    first: usize,
    columns: usize,
    scratch: &mut Scratch,
) {
    let from = first / kind.block_len() * kind.block_bytes();
    // SAFETY: for the K formats columns come in whole blocks, so each of the sixteen rows has one at `from`.
    unsafe {
        match kind {
            Kind::Q4K => fill_q4k_512(&rows[from..], length, &mut scratch.tile),
            Kind::Q6K => fill_q6k_512(&rows[from..], length, &mut scratch.tile),
            Kind::Q8 => fill_q8_512(rows, length, first, columns, scratch),
        }
    }
}

/// Sixteen words at the same place in sixteen rows, turned: one register for each word, one lane for each row.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn turned(rows: *const u8, length: usize) -> [__m512i; TILE_ROWS] {
    let mut lanes = [_mm512_setzero_si512(); TILE_ROWS];
    for (row, lane) in lanes.iter_mut().enumerate() {
        // SAFETY: the caller has 64 bytes there in each row.
        *lane = unsafe { _mm512_loadu_si512(rows.add(row * length).cast()) };
    }
    turn(&mut lanes);
    lanes
}

/// Asks for the blocks that come after these in the sixteen rows.
#[inline(always)]
fn fetch_next(rows: *const u8, length: usize, block: usize) {
    for row in 0..TILE_ROWS {
        for line in (0..block).step_by(64) {
            let next = rows.wrapping_add(row * length + block + line);
            // SAFETY: a prefetch reads nothing that the program could see, so the address may lie past the matrix.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(next.cast()) };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_q4k_512(rows: &[u8], length: usize, tile: &mut Tile) {
    let low = _mm512_set1_epi8(15);
    let which = _mm512_set_epi32(1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0);
    let rows = rows.as_ptr();
    fetch_next(rows, length, Q4K_BYTES);
    tile.subs = 8;
    // SAFETY: each row has a block here: two halves, twelve bytes of scales and minima, 128 bytes of nibbles. The
    // tile's rows are whole registers.
    unsafe {
        let mut lanes = [_mm512_setzero_si512(); TILE_ROWS];
        for (row, lane) in lanes.iter_mut().enumerate() {
            let block = rows.add(row * length);
            let halves = _mm_cvtph_ps(_mm_cvtsi32_si128(block.cast::<i32>().read_unaligned()));
            let worth = _mm512_permutexvar_ps(which, _mm512_castps128_ps512(halves));
            let scales = _mm512_cvtepu16_epi32(scales_then_minima(block.add(4)));
            let scales = _mm512_mul_ps(_mm512_cvtepi32_ps(scales), worth);
            *lane = _mm512_castps_si512(scales);
        }
        turn(&mut lanes);
        for (four, lanes) in lanes.chunks_exact(4).enumerate() {
            let out = if four % 2 == 0 {
                &mut tile.scales
            } else {
                &mut tile.offsets
            };
            for (i, lane) in lanes.iter().enumerate() {
                let out = out.get_unchecked_mut(four / 2 * 4 + i).as_mut_ptr();
                _mm512_store_ps(out, _mm512_castsi512_ps(*lane));
            }
        }
        for half in 0..2 {
            let lanes = turned(rows.add(16 + half * 64), length);
            for (i, lane) in lanes.iter().enumerate() {
                let group = half * 32 + i / 8 * 16 + i % 8;
                let out = tile.quants.as_mut_ptr().add(group);
                _mm512_store_si512(out.cast(), _mm512_and_si512(*lane, low));
                let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(*lane), low);
                _mm512_store_si512(out.add(8).cast(), upper);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_q6k_512(rows: &[u8], length: usize, tile: &mut Tile) {
    let low = _mm512_set1_epi8(15);
    let high = _mm512_set1_epi8(0x30);
    let rows = rows.as_ptr();
    fetch_next(rows, length, Q6K_BYTES);
    tile.subs = 16;
    // SAFETY: each row has a block here: 128 low bytes, 64 high bytes, 16 scales, a half. The tile's rows are whole
    // registers.
    unsafe {
        let mut lanes = [_mm512_setzero_si512(); TILE_ROWS];
        for (row, lane) in lanes.iter_mut().enumerate() {
            let block = rows.add(row * length);
            let scale = i32::from(block.add(208).cast::<u16>().read_unaligned());
            let scale = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(scale)));
            let scales = _mm512_cvtepi8_epi32(_mm_loadu_si128(block.add(192).cast()));
            *lane = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(scales), scale));
        }
        turn(&mut lanes);
        for (sub, lane) in lanes.iter().enumerate() {
            let worth = _mm512_castsi512_ps(*lane);
            _mm512_store_ps(tile.scales[sub].as_mut_ptr(), worth);
            let offset = _mm512_mul_ps(worth, _mm512_set1_ps(32.0));
            _mm512_store_ps(tile.offsets[sub].as_mut_ptr(), offset);
        }
        let highs = turned(rows.add(128), length);
        for half in 0..2 {
            let lanes = turned(rows.add(half * 64), length);
            for (i, lane) in lanes.iter().enumerate() {
                let bits = highs[half * 8 + i % 8];
                let (first, second) = if i < 8 {
                    (_mm512_slli_epi16::<4>(bits), bits)
                } else {
                    (_mm512_slli_epi16::<2>(bits), _mm512_srli_epi16::<2>(bits))
                };
                let out = tile.quants.as_mut_ptr().add(half * 32 + i);
                let lower = _mm512_and_si512(*lane, low);
                let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(*lane), low);
                let first = _mm512_or_si512(lower, _mm512_and_si512(first, high));
                let second = _mm512_or_si512(upper, _mm512_and_si512(second, high));
                _mm512_store_si512(out.cast(), first);
                _mm512_store_si512(out.add(16).cast(), second);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_q8_512(
    rows: &[u8],
    length: usize,
    first: usize,
    columns: usize,
    scratch: &mut Scratch,
) {
    unpack(Kind::Q8, rows, length, first, columns, 0x80, scratch);
    for quarter in 0..columns.div_ceil(64) {
        // SAFETY: both sides are whole: sixteen rows of 256 bytes, 64 groups of 64 bytes.
        unsafe {
            let lanes = turned(
                scratch.rows.0.as_ptr().cast::<u8>().add(quarter * 64),
                SUPER,
            );
            for (group, lane) in lanes.iter().enumerate() {
                let out = scratch.tile.quants[quarter * 16 + group].as_mut_ptr();
                _mm512_store_si512(out.cast(), *lane);
            }
        }
    }
}

/// Turns sixteen rows of sixteen words into sixteen columns, by four rounds of swaps.
#[target_feature(enable = "avx512f")]
#[inline]
fn turn(lanes: &mut [__m512i; 16]) {
    for step in [1, 2, 4, 8] {
        let mut keep = [0_i32; 16];
        let mut swap = [0_i32; 16];
        for lane in 0..16 {
            let (same, other) = (lane as i32, (lane ^ step) as i32);
            (keep[lane], swap[lane]) = if lane & step == 0 {
                (same, other)
            } else {
                (other + 16, same + 16)
            };
        }
        // SAFETY: sixteen words each.
        let (keep, swap) = unsafe {
            (
                _mm512_loadu_si512(keep.as_ptr().cast()),
                _mm512_loadu_si512(swap.as_ptr().cast()),
            )
        };
        for i in (0..16).filter(|i| i & step == 0) {
            let (a, b) = (lanes[i], lanes[i + step]);
            lanes[i] = _mm512_permutex2var_epi32(a, keep, b);
            lanes[i + step] = _mm512_permutex2var_epi32(a, swap, b);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fill_256(
    kind: Kind,
    rows: &[u8],
    length: usize,
    first: usize,
    columns: usize,
    scratch: &mut Scratch,
) {
    unpack(kind, rows, length, first, columns, 0, scratch);
    for (row, bytes) in scratch.rows.0.iter().enumerate() {
        for (group, four) in bytes[..columns].chunks_exact(4).enumerate() {
            scratch.tile.quants[group][row * 4..row * 4 + 4].copy_from_slice(four);
        }
    }
}

/// Unpacks numbers and scales of the columns from `first` on. `flip` is what the bytes of `Q8_0` are xored with.
#[inline(always)]
fn unpack(
    kind: Kind,
    rows: &[u8],
    length: usize,
    first: usize,
    columns: usize,
    flip: u8,
    scratch: &mut Scratch,
) {
    let from = first / kind.block_len() * kind.block_bytes();
    let tile = &mut *scratch.tile;
    for row in 0..TILE_ROWS {
        let bytes = &rows[row * length + from..(row + 1) * length];
        let out = &mut scratch.rows.0[row];
        match kind {
            Kind::Q4K => {
                tile.subs = 8;
                unpack_q4k(&bytes[..Q4K_BYTES], out);
                let scale = half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32_const();
                let minimum = half::f16::from_le_bytes([bytes[2], bytes[3]]).to_f32_const();
                let (scales, minima) = scales_and_minima(&bytes[4..16]);
                for sub in 0..8 {
                    tile.scales[sub][row] = scale * f32::from(scales[sub]);
                    tile.offsets[sub][row] = minimum * f32::from(minima[sub]);
                }
            }
            Kind::Q6K => {
                tile.subs = 16;
                unpack_q6k(&bytes[..Q6K_BYTES], out);
                let scale = half::f16::from_le_bytes([bytes[208], bytes[209]]).to_f32_const();
                for sub in 0..16 {
                    let worth = scale * f32::from(bytes[192 + sub].cast_signed());
                    tile.scales[sub][row] = worth;
                    tile.offsets[sub][row] = worth * 32.0;
                }
            }
            Kind::Q8 => {
                tile.subs = columns / SMALL;
                for (sub, block) in bytes.chunks_exact(Q8_BYTES).take(tile.subs).enumerate() {
                    let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32_const();
                    tile.scales[sub][row] = scale;
                    tile.offsets[sub][row] = scale * f32::from(flip);
                    let out = &mut out[sub * SMALL..(sub + 1) * SMALL];
                    for (out, byte) in out.iter_mut().zip(&block[2..]) {
                        *out = byte ^ flip;
                    }
                }
            }
        }
    }
}

/// What differs between formats when a tile is multiplied.
trait Layout {
    /// Columns that share a scale.
    const SUB: usize;
    /// Whether inputs have a scale for each such block rather than for all 256 columns.
    const FINE: bool;
    /// Whether bytes are signed under AVX2.
    const SIGNED: bool;
    /// How many sums of two byte products fit 16 bits.
    const PAIRS: usize;
}

struct Q4k;
struct Q6k;
struct Q8;

impl Layout for Q4k {
    const SUB: usize = 32;
    const FINE: bool = false;
    const SIGNED: bool = false;
    const PAIRS: usize = 8;
}

impl Layout for Q6k {
    const SUB: usize = 16;
    const FINE: bool = false;
    const SIGNED: bool = false;
    const PAIRS: usize = 2;
}

impl Layout for Q8 {
    const SUB: usize = 32;
    const FINE: bool = true;
    const SIGNED: bool = true;
    const PAIRS: usize = 1;
}

/// Where one activation's part of a pass begins.
#[derive(Clone, Copy)]
struct Part {
    quants: *const i8,
    scales: *const f32,
    sums: *const f32,
}

fn part<L: Layout>(x: &Activations, row: usize, first: usize) -> Part {
    let sums = if L::SUB == 16 {
        &x.sums_of_16
    } else {
        &x.sums_of_32
    };
    Part {
        quants: x.quants[row * x.columns + first..].as_ptr(),
        scales: x.scales[(row * x.columns + first) / x.block..].as_ptr(),
        sums: sums[(row * x.columns + first) / L::SUB..].as_ptr(),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pass_512<L: Layout>(scratch: &mut Scratch, x: &Activations, first: usize) {
    let mut row = 0;
    // SAFETY: `sums` has sixteen floats for each activation.
    unsafe {
        while row < x.rows {
            let out = scratch.sums.as_mut_ptr().add(row * TILE_ROWS);
            let left = x.rows - row;
            row += match left {
                8.. => some_512::<L, 8>(&scratch.tile, x, row, first, out),
                4.. => some_512::<L, 4>(&scratch.tile, x, row, first, out),
                2.. => some_512::<L, 2>(&scratch.tile, x, row, first, out),
                _ => some_512::<L, 1>(&scratch.tile, x, row, first, out),
            };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn some_512<L: Layout, const N: usize>(
    tile: &Tile,
    x: &Activations,
    row: usize,
    first: usize,
    out: *mut f32,
) -> usize {
    let parts: [Part; N] = std::array::from_fn(|n| part::<L>(x, row + n, first));
    let mut sums = [_mm512_setzero_ps(); N];
    // SAFETY: tile rows are whole registers; the inputs of a pass are whole blocks.
    unsafe {
        for sub in 0..tile.subs {
            let mut products = [_mm512_setzero_si512(); N];
            for group in 0..L::SUB / 4 {
                let at = sub * (L::SUB / 4) + group;
                let weights = _mm512_load_si512(tile.quants.get_unchecked(at).as_ptr().cast());
                for n in 0..N {
                    let four = parts[n].quants.add(at * 4).cast::<i32>().read_unaligned();
                    products[n] =
                        _mm512_dpbusd_epi32(products[n], weights, _mm512_set1_epi32(four));
                }
            }
            let scale = _mm512_load_ps(tile.scales.get_unchecked(sub).as_ptr());
            let offset = _mm512_load_ps(tile.offsets.get_unchecked(sub).as_ptr());
            for n in 0..N {
                let inputs = _mm512_set1_ps(*parts[n].sums.add(sub));
                let products = _mm512_cvtepi32_ps(products[n]);
                if L::FINE {
                    let worth = _mm512_fmsub_ps(products, scale, _mm512_mul_ps(offset, inputs));
                    let x_scale = _mm512_set1_ps(*parts[n].scales.add(sub));
                    sums[n] = _mm512_fmadd_ps(worth, x_scale, sums[n]);
                } else {
                    sums[n] = _mm512_fmadd_ps(products, scale, sums[n]);
                    sums[n] = _mm512_fnmadd_ps(offset, inputs, sums[n]);
                }
            }
        }
        for n in 0..N {
            let out = out.add(n * TILE_ROWS);
            let x_scale = if L::FINE { 1.0 } else { *parts[n].scales };
            let before = _mm512_loadu_ps(out);
            _mm512_storeu_ps(
                out,
                _mm512_fmadd_ps(sums[n], _mm512_set1_ps(x_scale), before),
            );
        }
    }
    N
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn pass_256<L: Layout>(scratch: &mut Scratch, x: &Activations, first: usize) {
    let mut row = 0;
    // SAFETY: `sums` has sixteen floats for each activation.
    unsafe {
        while row < x.rows {
            let out = scratch.sums.as_mut_ptr().add(row * TILE_ROWS);
            let left = x.rows - row;
            row += match left {
                4.. => some_256::<L, 4>(&scratch.tile, x, row, first, out),
                2.. => some_256::<L, 2>(&scratch.tile, x, row, first, out),
                _ => some_256::<L, 1>(&scratch.tile, x, row, first, out),
            };
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn some_256<L: Layout, const N: usize>(
    tile: &Tile,
    x: &Activations,
    row: usize,
    first: usize,
    out: *mut f32,
) -> usize {
    let parts: [Part; N] = std::array::from_fn(|n| part::<L>(x, row + n, first));
    let ones = _mm256_set1_epi16(1);
    // SAFETY: tile rows are two whole registers; the inputs of a pass are whole blocks.
    unsafe {
        for half in 0..2 {
            let mut sums = [_mm256_setzero_ps(); N];
            for sub in 0..tile.subs {
                let mut products = [_mm256_setzero_si256(); N];
                for pairs in 0..L::SUB / 4 / L::PAIRS {
                    let mut narrow = [_mm256_setzero_si256(); N];
                    for pair in 0..L::PAIRS {
                        let at = sub * (L::SUB / 4) + pairs * L::PAIRS + pair;
                        let weights = tile.quants.get_unchecked(at).as_ptr().add(half * 32);
                        let weights = _mm256_load_si256(weights.cast());
                        for n in 0..N {
                            let four = parts[n].quants.add(at * 4).cast::<i32>().read_unaligned();
                            let four = _mm256_set1_epi32(four);
                            let two = if L::SIGNED {
                                let signed = _mm256_sign_epi8(four, weights);
                                _mm256_maddubs_epi16(_mm256_abs_epi8(weights), signed)
                            } else {
                                _mm256_maddubs_epi16(weights, four)
                            };
                            narrow[n] = _mm256_add_epi16(narrow[n], two);
                        }
                    }
                    for n in 0..N {
                        let four = _mm256_madd_epi16(narrow[n], ones);
                        products[n] = _mm256_add_epi32(products[n], four);
                    }
                }
                let scale = _mm256_load_ps(tile.scales.get_unchecked(sub).as_ptr().add(half * 8));
                let offset = _mm256_load_ps(tile.offsets.get_unchecked(sub).as_ptr().add(half * 8));
                for n in 0..N {
                    let products = _mm256_cvtepi32_ps(products[n]);
                    if L::FINE {
                        let x_scale = _mm256_set1_ps(*parts[n].scales.add(sub));
                        sums[n] = _mm256_fmadd_ps(products, _mm256_mul_ps(scale, x_scale), sums[n]);
                    } else {
                        let inputs = _mm256_set1_ps(*parts[n].sums.add(sub));
                        sums[n] = _mm256_fmadd_ps(products, scale, sums[n]);
                        sums[n] = _mm256_fnmadd_ps(offset, inputs, sums[n]);
                    }
                }
            }
            for n in 0..N {
                let out = out.add(n * TILE_ROWS + half * 8);
                let x_scale = if L::FINE { 1.0 } else { *parts[n].scales };
                let before = _mm256_loadu_ps(out);
                _mm256_storeu_ps(
                    out,
                    _mm256_fmadd_ps(sums[n], _mm256_set1_ps(x_scale), before),
                );
            }
        }
    }
    N
}
