//! The products in AVX2 and in AVX-512 with VNNI.
//!
//! Loads are in loops, not in closures given to the library, which would be compiled without the instructions.
//! Each function states the instructions it needs; [`super::Isa`] is only made when the machine has them. Row
//! products follow the blocks as they lie in the file. Tiles hold sixteen rows with four neighbouring numbers of each
//! row together, so that one multiplication of bytes serves sixteen outputs.

mod tile;

pub(super) use tile::multiply_tile;

use super::{Isa, Kind, Row, TOGETHER_MAX};
use crate::quant::{Q4K_BYTES, Q6K_BYTES, Q8_BYTES, SMALL, SUPER, scales_and_minima};
#[allow(
    clippy::wildcard_imports,
    reason = "a hundred intrinsics, named for what they are"
)]
use std::arch::x86_64::*;

/// `out[i] = row · xs[i]`, for 1 to [`TOGETHER_MAX`] activations.
pub(super) fn dot(isa: Isa, kind: Kind, row: &[u8], xs: &[Row<'_>], out: &mut [f32; TOGETHER_MAX]) {
    match xs {
        [a] => out[..1].copy_from_slice(&dot_some(isa, kind, row, [a])),
        [a, b] => out[..2].copy_from_slice(&dot_some(isa, kind, row, [a, b])),
        [a, b, c] => out[..3].copy_from_slice(&dot_some(isa, kind, row, [a, b, c])),
        [a, b, c, d] => *out = dot_some(isa, kind, row, [a, b, c, d]),
        _ => unreachable!("1 to {TOGETHER_MAX} activations"),
    }
}

fn dot_some<const N: usize>(isa: Isa, kind: Kind, row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let blocks = row.len() / kind.block_bytes();
    for x in xs {
        assert!(x.quants.len() >= blocks * kind.block_len());
        assert!(x.sums.len() * 16 >= blocks * kind.block_len() && x.scales.len() >= blocks);
    }
    // SAFETY: the instruction set was found on this machine before `isa` was made, and the loads stay within `row`
    // and within what was asserted of `xs`.
    unsafe {
        match (isa, kind) {
            (Isa::Avx512, Kind::Q4K) => dot_q4k_512(row, xs),
            (Isa::Avx512, Kind::Q6K) => dot_q6k_512(row, xs),
            (Isa::Avx512, Kind::Q8) => dot_q8_512(row, xs),
            (_, Kind::Q4K) => dot_q4k_256(row, xs),
            (_, Kind::Q6K) => dot_q6k_256(row, xs),
            (_, Kind::Q8) => dot_q8_256(row, xs),
        }
    }
}

/// How far ahead of the block at work bytes are asked for: first from memory, later into the first-level cache.
const FAR_BYTES: usize = 6_144;
const NEAR_BYTES: usize = 768;

/// One activation, laid out for [`dot_rows`].
#[derive(Default)]
pub(super) struct Single {
    /// For `Q4_K`: of each 128 bytes, the first and third quarter, then the second and fourth, as a load of nibbles
    /// has them in its lower and upper halves.
    paired: Vec<i8>,
    /// For `Q4_K`: the sums of 32 inputs where the unpacked scales have the minima, and zeros where they have scales.
    placed_sums: Vec<i16>,
}

impl Single {
    /// Lays out one row. Nothing to do for `Q8_0`, whose blocks are met as they are.
    pub(super) fn arrange(&mut self, x: &Row<'_>) {
        self.paired.clear();
        for four in x.quants.chunks_exact(128) {
            for quarter in [0, 2, 1, 3] {
                self.paired
                    .extend_from_slice(&four[quarter * 32..(quarter + 1) * 32]);
            }
        }
        self.placed_sums.clear();
        for sums in x.sums.chunks_exact(8) {
            self.placed_sums.extend_from_slice(&[0; 4]);
            self.placed_sums
                .extend(sums.chunks_exact(2).map(|pair| pair[0] + pair[1]));
        }
    }
}

/// `out[i] = rows[i] · x` for rows that lie one after another, each `length` bytes long. `false`, and nothing done,
/// where the instruction set has no such way.
pub(super) fn dot_rows(
    isa: Isa,
    kind: Kind,
    rows: &[u8],
    length: usize,
    x: &Row<'_>,
    single: &Single,
    out: &mut [f32],
) -> bool {
    if isa != Isa::Avx512 {
        return false;
    }
    let blocks = length / kind.block_bytes();
    let inputs = blocks * kind.block_len();
    assert!(rows.len() >= length * out.len() && x.scales.len() >= blocks);
    assert!(x.quants.len() >= inputs && x.sums.len() * 16 >= inputs);
    // SAFETY: the instruction set was found on this machine before `isa` was made; the loads stay within what was
    // just asserted, and within `single`, where it is used.
    unsafe {
        match kind {
            Kind::Q4K => {
                assert!(single.paired.len() >= inputs && single.placed_sums.len() * 16 >= inputs);
                rows_q4k(rows, length, x.scales, single, out);
            }
            Kind::Q6K => rows_q6k(rows, length, x, out),
            Kind::Q8 => rows_q8(rows, length, x, out),
        }
    }
    true
}

/// Asks for what comes some blocks later. An address past the matrix is only a hint without effect.
#[inline(always)]
fn fetch_ahead(block: *const u8, length: usize) {
    for line in (0..length).step_by(64) {
        // SAFETY: a prefetch reads nothing that the program could see.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(block.wrapping_add(FAR_BYTES + line).cast());
            _mm_prefetch::<_MM_HINT_T0>(block.wrapping_add(NEAR_BYTES + line).cast());
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn rows_q4k(rows: &[u8], length: usize, x_scales: &[f32], single: &Single, out: &mut [f32]) {
    let low = _mm512_set1_epi8(15);
    // Unpacked, a block has scales 0 to 3, minima 0 to 3, scales 4 to 7, minima 4 to 7.
    let pick = |a: i16, b: i16| _mm512_inserti64x4::<1>(_mm512_set1_epi16(a), _mm256_set1_epi16(b));
    let picks = [pick(0, 2), pick(1, 3), pick(8, 10), pick(9, 11)];
    for (r, out) in out.iter_mut().enumerate() {
        let mut sum = _mm512_setzero_ps();
        let mut below = _mm256_setzero_ps();
        for i in 0..length / Q4K_BYTES {
            // SAFETY: the block lies in `rows`: 16 bytes of scales and minima, then 128 of nibbles. Inputs and their
            // sums are there for each block.
            unsafe {
                let block = rows.as_ptr().add(r * length + i * Q4K_BYTES);
                fetch_ahead(block, Q4K_BYTES);
                let halves = _mm_cvtph_ps(_mm_cvtsi32_si128(block.cast::<i32>().read_unaligned()));
                let halves = _mm_mul_ps(halves, _mm_set1_ps(*x_scales.get_unchecked(i)));
                let scales = scales_then_minima(block.add(4));
                let placed = _mm256_loadu_si256(single.placed_sums.as_ptr().add(i * 16).cast());
                let offset = _mm256_cvtepi32_ps(_mm256_madd_epi16(scales, placed));
                let minimum = _mm256_broadcastss_ps(_mm_movehdup_ps(halves));
                below = _mm256_fmadd_ps(offset, minimum, below);
                let scales = _mm512_castsi256_si512(scales);
                let first = _mm512_loadu_si512(block.add(16).cast());
                let second = _mm512_loadu_si512(block.add(80).cast());
                let input = single.paired.as_ptr().add(i * SUPER);
                let weights = [
                    _mm512_and_si512(first, low),
                    _mm512_and_si512(_mm512_srli_epi16::<4>(first), low),
                    _mm512_and_si512(second, low),
                    _mm512_and_si512(_mm512_srli_epi16::<4>(second), low),
                ];
                let mut scaled = [_mm512_setzero_si512(); 2];
                for part in 0..4 {
                    let inputs = _mm512_loadu_si512(input.add(part * 64).cast());
                    let products = _mm512_maddubs_epi16(weights[part], inputs);
                    let scale = _mm512_permutexvar_epi16(picks[part], scales);
                    scaled[part % 2] = _mm512_dpwssd_epi32(scaled[part % 2], products, scale);
                }
                let scaled = _mm512_cvtepi32_ps(_mm512_add_epi32(scaled[0], scaled[1]));
                sum = _mm512_fmadd_ps(scaled, _mm512_broadcastss_ps(halves), sum);
            }
        }
        let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sum)));
        let sum = _mm256_add_ps(_mm512_castps512_ps256(sum), upper);
        *out = total_256(_mm256_sub_ps(sum, below));
    }
}

/// The sixteen 6-bit numbers of a `Q4_K` block: scales 0 to 3, minima 0 to 3, scales 4 to 7, minima 4 to 7.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn scales_then_minima(packed: *const u8) -> __m256i {
    // SAFETY: the caller has twelve bytes there.
    let (first, last) = unsafe {
        (
            packed.cast::<u64>().read_unaligned(),
            u64::from(packed.add(8).cast::<u32>().read_unaligned()),
        )
    };
    let lower = first & 0x3f3f_3f3f_3f3f_3f3f;
    let nibbles = (last | last << 28) & 0x0f0f_0f0f_0f0f_0f0f;
    let upper = nibbles | (first >> 2) & 0x3030_3030_3030_3030;
    let both = _mm_insert_epi64::<1>(_mm_cvtsi64_si128(lower.cast_signed()), upper.cast_signed());
    _mm256_cvtepu8_epi16(both)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn rows_q6k(rows: &[u8], length: usize, x: &Row<'_>, out: &mut [f32]) {
    let low = _mm512_set1_epi8(15);
    let high = _mm512_set1_epi8(0x30);
    let halves =
        |a: i32, b: i32| _mm512_inserti64x4::<1>(_mm512_set1_epi32(a), _mm256_set1_epi32(b));
    let (up, down) = (halves(4, 2), halves(0, 2));
    let pick = |first: i16| {
        let pair = |n: i16| _mm256_set_m128i(_mm_set1_epi16(n + 1), _mm_set1_epi16(n));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(pair(first)), pair(first + 2))
    };
    let picks = [pick(0), pick(4), pick(8), pick(12)];
    for (r, out) in out.iter_mut().enumerate() {
        let mut sum = _mm512_setzero_ps();
        for i in 0..length / Q6K_BYTES {
            // SAFETY: the block lies in `rows`: 128 low bytes, 64 high bytes, 16 scales, a scale. Inputs and their
            // sums are there for each block.
            unsafe {
                let block = rows.as_ptr().add(r * length + i * Q6K_BYTES);
                fetch_ahead(block, Q6K_BYTES);
                let scale = i32::from(block.add(208).cast::<u16>().read_unaligned());
                let scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(scale)));
                let scales = _mm256_cvtepi8_epi16(_mm_loadu_si128(block.add(192).cast()));
                let sums = _mm256_loadu_si256(x.sums.as_ptr().add(i * 16).cast());
                let offset = _mm256_slli_epi32::<5>(_mm256_madd_epi16(scales, sums));
                let scales = _mm512_castsi256_si512(scales);
                let mut scaled = [_mm512_setzero_si512(); 2];
                for half in 0..2 {
                    let lows = _mm512_loadu_si512(block.add(half * 64).cast());
                    let highs = _mm256_loadu_si256(block.add(128 + half * 32).cast());
                    let highs = _mm512_broadcast_i64x4(highs);
                    let weights = [
                        _mm512_or_si512(
                            _mm512_and_si512(lows, low),
                            _mm512_and_si512(_mm512_sllv_epi32(highs, up), high),
                        ),
                        _mm512_or_si512(
                            _mm512_and_si512(_mm512_srli_epi16::<4>(lows), low),
                            _mm512_and_si512(_mm512_srlv_epi32(highs, down), high),
                        ),
                    ];
                    for part in 0..2 {
                        let at = half * 2 + part;
                        let inputs =
                            _mm512_loadu_si512(x.quants.as_ptr().add(i * SUPER + at * 64).cast());
                        // Two products of at most 63 × 127 fit 16 bits.
                        let products = _mm512_maddubs_epi16(weights[part], inputs);
                        let scale = _mm512_permutexvar_epi16(picks[at], scales);
                        scaled[part] = _mm512_dpwssd_epi32(scaled[part], products, scale);
                    }
                }
                let all = _mm512_add_epi32(scaled[0], scaled[1]);
                let worth = _mm512_sub_epi32(all, _mm512_zextsi256_si512(offset));
                let scale = _mm512_set1_ps(scale * *x.scales.get_unchecked(i));
                sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(worth), scale, sum);
            }
        }
        *out = _mm512_reduce_add_ps(sum);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn rows_q8(rows: &[u8], length: usize, x: &Row<'_>, out: &mut [f32]) {
    for (r, out) in out.iter_mut().enumerate() {
        let mut sum = _mm256_setzero_ps();
        for i in 0..length / Q8_BYTES {
            // SAFETY: the block lies in `rows`: a scale, then 32 bytes. Inputs are there for each block.
            unsafe {
                let block = rows.as_ptr().add(r * length + i * Q8_BYTES);
                fetch_ahead(block, Q8_BYTES);
                let scale = i32::from(block.cast::<u16>().read_unaligned());
                let scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(scale)));
                let weights = _mm256_loadu_si256(block.add(2).cast());
                let inputs = _mm256_loadu_si256(x.quants.as_ptr().add(i * SMALL).cast());
                let signed = _mm256_sign_epi8(inputs, weights);
                let sizes = _mm256_abs_epi8(weights);
                let products = _mm256_dpbusd_epi32(_mm256_setzero_si256(), sizes, signed);
                let scale = _mm256_set1_ps(scale * *x.scales.get_unchecked(i));
                sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), scale, sum);
            }
        }
        *out = total_256(sum);
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn total_256(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// Two halves from four bytes.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn two_halves(bytes: &[u8]) -> (f32, f32) {
    let packed = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let floats = _mm_cvtph_ps(_mm_cvtsi32_si128(packed));
    (
        _mm_cvtss_f32(floats),
        _mm_cvtss_f32(_mm_shuffle_ps::<1>(floats, floats)),
    )
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn one_half(bytes: &[u8]) -> f32 {
    let packed = i32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(packed)))
}

/// Σ minimum × inputs of a `Q4_K` block, as eight partial sums.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn minima_256(minima: [u8; 8], sums: *const i16) -> __m256i {
    let minima = _mm_cvtsi64_si128(i64::from_le_bytes(minima));
    let twice = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(minima, minima));
    // SAFETY: the caller has 16 sums.
    _mm256_madd_epi16(twice, unsafe { _mm256_loadu_si256(sums.cast()) })
}

/// Σ scale × 32 × inputs of a `Q6_K` block, as eight partial sums.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn offsets_256(scales: *const u8, sums: *const i16) -> __m256i {
    // SAFETY: the caller has 16 scales and 16 sums.
    let (scales, sums) = unsafe {
        (
            _mm256_cvtepi8_epi16(_mm_loadu_si128(scales.cast())),
            _mm256_loadu_si256(sums.cast()),
        )
    };
    _mm256_slli_epi32::<5>(_mm256_madd_epi16(scales, sums))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_q4k_512<const N: usize>(row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let low = _mm512_set1_epi8(15);
    let spread = |a: i32, b: i32| _mm512_set_epi32(b, b, b, b, b, b, b, b, a, a, a, a, a, a, a, a);
    let picks = [spread(0, 2), spread(1, 3), spread(4, 6), spread(5, 7)];
    let mut sums = [_mm512_setzero_ps(); N];
    let mut below = [_mm256_setzero_ps(); N];
    for (i, block) in row.chunks_exact(Q4K_BYTES).enumerate() {
        let (scale, minimum) = two_halves(block);
        let (scales, minima) = scales_and_minima(&block[4..16]);
        let scales = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(scales)));
        let scales = _mm512_castsi256_si512(scales);
        let scales = [
            _mm512_permutexvar_epi32(picks[0], scales),
            _mm512_permutexvar_epi32(picks[1], scales),
            _mm512_permutexvar_epi32(picks[2], scales),
            _mm512_permutexvar_epi32(picks[3], scales),
        ];
        // SAFETY: a block has 128 bytes of nibbles from byte 16 on.
        let (first, second) = unsafe {
            let nibbles = block.as_ptr().add(16);
            (
                _mm512_loadu_si512(nibbles.cast()),
                _mm512_loadu_si512(nibbles.add(64).cast()),
            )
        };
        let weights = [
            _mm512_and_si512(first, low),
            _mm512_and_si512(_mm512_srli_epi16::<4>(first), low),
            _mm512_and_si512(second, low),
            _mm512_and_si512(_mm512_srli_epi16::<4>(second), low),
        ];
        for n in 0..N {
            // SAFETY: the caller asserted 256 inputs and 16 sums a block.
            let (inputs, offset) = unsafe {
                let at = xs[n].quants.as_ptr().add(i * SUPER);
                let load = |part: usize| _mm512_loadu_si512(at.add(part * 64).cast());
                let sums = xs[n].sums.as_ptr().add(i * 16);
                (
                    [load(0), load(1), load(2), load(3)],
                    minima_256(minima, sums),
                )
            };
            // A load of nibbles covers blocks 0 and 2 below, 1 and 3 above: the inputs are paired alike.
            let paired = [
                _mm512_shuffle_i64x2::<0x44>(inputs[0], inputs[1]),
                _mm512_shuffle_i64x2::<0xEE>(inputs[0], inputs[1]),
                _mm512_shuffle_i64x2::<0x44>(inputs[2], inputs[3]),
                _mm512_shuffle_i64x2::<0xEE>(inputs[2], inputs[3]),
            ];
            let mut scaled = _mm512_setzero_si512();
            for part in 0..4 {
                // Four products of at most 15 × 127 fit 16 bits, so the lower halves alone are multiplied.
                let products =
                    _mm512_dpbusd_epi32(_mm512_setzero_si512(), weights[part], paired[part]);
                scaled = _mm512_dpwssd_epi32(scaled, products, scales[part]);
            }
            let x_scale = xs[n].scales[i];
            sums[n] = _mm512_fmadd_ps(
                _mm512_cvtepi32_ps(scaled),
                _mm512_set1_ps(scale * x_scale),
                sums[n],
            );
            below[n] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(offset),
                _mm256_set1_ps(minimum * x_scale),
                below[n],
            );
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = _mm512_reduce_add_ps(sums[n]) - total_256(below[n]);
    }
    out
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_q6k_512<const N: usize>(row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let low = _mm512_set1_epi8(15);
    let high = _mm512_set1_epi8(0x30);
    let halves = |a: i32, b: i32| _mm512_set_epi32(b, b, b, b, b, b, b, b, a, a, a, a, a, a, a, a);
    let (up, down) = (halves(4, 2), halves(0, 2));
    let pick = |q: i32| {
        let (a, b, c, d) = (q * 4, q * 4 + 1, q * 4 + 2, q * 4 + 3);
        _mm512_set_epi32(d, d, d, d, c, c, c, c, b, b, b, b, a, a, a, a)
    };
    let picks = [pick(0), pick(1), pick(2), pick(3)];
    let mut sums = [_mm512_setzero_ps(); N];
    for (i, block) in row.chunks_exact(Q6K_BYTES).enumerate() {
        let scale = one_half(&block[208..]);
        // SAFETY: the block has 128 low bytes, 64 high bytes and 16 scales.
        let (lows, highs, scales, scale_bytes) = unsafe {
            let at = block.as_ptr();
            let high = |half: usize| _mm256_loadu_si256(at.add(128 + half * 32).cast());
            (
                [
                    _mm512_loadu_si512(at.cast()),
                    _mm512_loadu_si512(at.add(64).cast()),
                ],
                [
                    _mm512_broadcast_i64x4(high(0)),
                    _mm512_broadcast_i64x4(high(1)),
                ],
                _mm512_cvtepi8_epi32(_mm_loadu_si128(at.add(192).cast())),
                at.add(192),
            )
        };
        // Only the lower 16 bits of each scale may meet the products' lower halves; their upper halves are signs.
        let scales = _mm512_and_si512(scales, _mm512_set1_epi32(0xffff));
        let mut weights = [_mm512_setzero_si512(); 4];
        for half in 0..2 {
            weights[half * 2] = _mm512_or_si512(
                _mm512_and_si512(lows[half], low),
                _mm512_and_si512(_mm512_sllv_epi32(highs[half], up), high),
            );
            weights[half * 2 + 1] = _mm512_or_si512(
                _mm512_and_si512(_mm512_srli_epi16::<4>(lows[half]), low),
                _mm512_and_si512(_mm512_srlv_epi32(highs[half], down), high),
            );
        }
        for n in 0..N {
            let mut scaled = _mm512_setzero_si512();
            for part in 0..4 {
                // SAFETY: the caller asserted 256 inputs a block.
                let inputs = unsafe {
                    _mm512_loadu_si512(xs[n].quants.as_ptr().add(i * SUPER + part * 64).cast())
                };
                // Four products of at most 63 × 127 fit 16 bits.
                let products = _mm512_dpbusd_epi32(_mm512_setzero_si512(), weights[part], inputs);
                let scales = _mm512_permutexvar_epi32(picks[part], scales);
                scaled = _mm512_dpwssd_epi32(scaled, products, scales);
            }
            // SAFETY: 16 scales, and the caller asserted 16 sums a block.
            let offset = unsafe { offsets_256(scale_bytes, xs[n].sums.as_ptr().add(i * 16)) };
            let worth = _mm512_sub_epi32(scaled, _mm512_zextsi256_si512(offset));
            sums[n] = _mm512_fmadd_ps(
                _mm512_cvtepi32_ps(worth),
                _mm512_set1_ps(scale * xs[n].scales[i]),
                sums[n],
            );
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = _mm512_reduce_add_ps(sums[n]);
    }
    out
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_q8_512<const N: usize>(row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let mut sums = [_mm256_setzero_ps(); N];
    for (i, block) in row.chunks_exact(Q8_BYTES).enumerate() {
        let scale = one_half(block);
        // SAFETY: a block has 32 bytes after its scale.
        let weights = unsafe { _mm256_loadu_si256(block.as_ptr().add(2).cast()) };
        let sizes = _mm256_abs_epi8(weights);
        for n in 0..N {
            // SAFETY: the caller asserted 32 inputs a block.
            let inputs = unsafe { _mm256_loadu_si256(xs[n].quants.as_ptr().add(i * SMALL).cast()) };
            let signed = _mm256_sign_epi8(inputs, weights);
            let products = _mm256_dpbusd_epi32(_mm256_setzero_si256(), sizes, signed);
            sums[n] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(products),
                _mm256_set1_ps(scale * xs[n].scales[i]),
                sums[n],
            );
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = total_256(sums[n]);
    }
    out
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_q4k_256<const N: usize>(row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let low = _mm256_set1_epi8(15);
    let mut sums = [_mm256_setzero_ps(); N];
    let mut below = [_mm256_setzero_ps(); N];
    for (i, block) in row.chunks_exact(Q4K_BYTES).enumerate() {
        let (scale, minimum) = two_halves(block);
        let (scales, minima) = scales_and_minima(&block[4..16]);
        let mut scaled = [_mm256_setzero_si256(); N];
        for chunk in 0..4 {
            // SAFETY: a block has four chunks of 32 bytes from byte 16 on.
            let nibbles = unsafe { _mm256_loadu_si256(block.as_ptr().add(16 + chunk * 32).cast()) };
            let parts = [
                _mm256_and_si256(nibbles, low),
                _mm256_and_si256(_mm256_srli_epi16::<4>(nibbles), low),
            ];
            for (part, weights) in parts.into_iter().enumerate() {
                let sub = chunk * 2 + part;
                let scale = _mm256_set1_epi16(i16::from(scales[sub]));
                for n in 0..N {
                    // SAFETY: the caller asserted 256 inputs a block.
                    let inputs = unsafe {
                        _mm256_loadu_si256(xs[n].quants.as_ptr().add(i * SUPER + sub * 32).cast())
                    };
                    let products = _mm256_maddubs_epi16(weights, inputs);
                    scaled[n] = _mm256_add_epi32(scaled[n], _mm256_madd_epi16(products, scale));
                }
            }
        }
        for n in 0..N {
            // SAFETY: the caller asserted 16 sums a block.
            let offset = unsafe { minima_256(minima, xs[n].sums.as_ptr().add(i * 16)) };
            let x_scale = xs[n].scales[i];
            sums[n] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(scaled[n]),
                _mm256_set1_ps(scale * x_scale),
                sums[n],
            );
            below[n] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(offset),
                _mm256_set1_ps(minimum * x_scale),
                below[n],
            );
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = total_256(_mm256_sub_ps(sums[n], below[n]));
    }
    out
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_q6k_256<const N: usize>(row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let low = _mm256_set1_epi8(15);
    let two = _mm256_set1_epi8(0x30);
    let mut sums = [_mm256_setzero_ps(); N];
    for (i, block) in row.chunks_exact(Q6K_BYTES).enumerate() {
        let scale = one_half(&block[208..]);
        let mut scaled = [_mm256_setzero_si256(); N];
        for half in 0..2 {
            // SAFETY: the block has 128 low bytes, then 64 high bytes.
            let (first, second, high) = unsafe {
                let at = block.as_ptr();
                (
                    _mm256_loadu_si256(at.add(half * 64).cast()),
                    _mm256_loadu_si256(at.add(half * 64 + 32).cast()),
                    _mm256_loadu_si256(at.add(128 + half * 32).cast()),
                )
            };
            let shifted = |v: __m256i| _mm256_and_si256(_mm256_srli_epi16::<4>(v), low);
            let parts = [
                _mm256_or_si256(
                    _mm256_and_si256(first, low),
                    _mm256_and_si256(_mm256_slli_epi16::<4>(high), two),
                ),
                _mm256_or_si256(
                    _mm256_and_si256(second, low),
                    _mm256_and_si256(_mm256_slli_epi16::<2>(high), two),
                ),
                _mm256_or_si256(shifted(first), _mm256_and_si256(high, two)),
                _mm256_or_si256(
                    shifted(second),
                    _mm256_and_si256(_mm256_srli_epi16::<2>(high), two),
                ),
            ];
            for (part, weights) in parts.into_iter().enumerate() {
                let at = 192 + half * 8 + part * 2;
                let pair = |at: usize| _mm_set1_epi16(i16::from(block[at].cast_signed()));
                let scales = _mm256_set_m128i(pair(at + 1), pair(at));
                for n in 0..N {
                    // SAFETY: the caller asserted 256 inputs a block.
                    let inputs = unsafe {
                        let from = i * SUPER + half * 128 + part * 32;
                        _mm256_loadu_si256(xs[n].quants.as_ptr().add(from).cast())
                    };
                    let products = _mm256_maddubs_epi16(weights, inputs);
                    scaled[n] = _mm256_add_epi32(scaled[n], _mm256_madd_epi16(products, scales));
                }
            }
        }
        for n in 0..N {
            // SAFETY: 16 scales, and the caller asserted 16 sums a block.
            let offset =
                unsafe { offsets_256(block.as_ptr().add(192), xs[n].sums.as_ptr().add(i * 16)) };
            sums[n] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(_mm256_sub_epi32(scaled[n], offset)),
                _mm256_set1_ps(scale * xs[n].scales[i]),
                sums[n],
            );
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = total_256(sums[n]);
    }
    out
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_q8_256<const N: usize>(row: &[u8], xs: [&Row<'_>; N]) -> [f32; N] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_ps(); N];
    for (i, block) in row.chunks_exact(Q8_BYTES).enumerate() {
        let scale = one_half(block);
        // SAFETY: a block has 32 bytes after its scale.
        let weights = unsafe { _mm256_loadu_si256(block.as_ptr().add(2).cast()) };
        let sizes = _mm256_abs_epi8(weights);
        for n in 0..N {
            // SAFETY: the caller asserted 32 inputs a block.
            let inputs = unsafe { _mm256_loadu_si256(xs[n].quants.as_ptr().add(i * SMALL).cast()) };
            let signed = _mm256_sign_epi8(inputs, weights);
            let products = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, signed), ones);
            sums[n] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(products),
                _mm256_set1_ps(scale * xs[n].scales[i]),
                sums[n],
            );
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = total_256(sums[n]);
    }
    out
}
