//! The arithmetic between the matrix products: norms, rotation, attention, activations.
//!
//! Each function is written once, in plain loops over fixed-width lanes, and compiled for every instruction set that
//! the kernels know; the compiler turns the lanes into vectors.

use crate::kernels::Isa;

/// Lanes of a running sum: what the widest registers hold.
const LANES: usize = 16;

/// Defines a function that is compiled once for each [`Isa`] and called through it.
macro_rules! each_isa {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        pub(crate) fn $name(isa: Isa, $($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $type),*) { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
            fn avx512($($arg: $type),*) { body($($arg),*) }

            match isa {
                Isa::Portable => body($($arg),*),
                // SAFETY: an `Isa` is only made on a machine that has its instructions.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}

/// What is added to a float of less than 2^22 so that its lowest bits are the nearest whole number.
const ROUNDER: f32 = 12_582_912.0;

#[inline(always)]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a_whole, b_whole) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_whole
        .remainder()
        .iter()
        .zip(b_whole.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_whole.zip(b_whole) {
        for lane in 0..LANES {
            sums[lane] = fused(a[lane], b[lane], sums[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// `a * b + c`. Fused where the instruction set has it; spelt so that a machine without does not call a library.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// e^x to a few units in the last place, for x up to 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let whole = (x * std::f32::consts::LOG2_E + ROUNDER) - ROUNDER;
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let mut series = 1.987_569_1e-4;
    for term in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        series = fused(series, rest, term);
    }
    let series = fused(series * rest, rest, rest + 1.0);
    let power = ((whole as i32) + 127) << 23;
    series * f32::from_bits(power.cast_unsigned())
}

/// A half as a float; exact for all finite values.
#[inline(always)]
fn widen(half: u16) -> f32 {
    /// 2^112, which takes a half's exponent to a float's.
    const UP: f32 = f32::from_bits((127 + 112) << 23);
    let size = f32::from_bits(u32::from(half & 0x7fff) << 13) * UP;
    f32::from_bits(size.to_bits() | u32::from(half & 0x8000) << 16)
}

/// A float as a half, the nearest; what is too large becomes the largest.
pub(crate) fn narrow(number: f32) -> u16 {
    half::f16::from_f32(number.clamp(-65_504.0, 65_504.0)).to_bits()
}

each_isa! {
    /// Quantises `x` to bytes with one scale for each block of `block` numbers.
    fn quantise(x: &[f32], block: usize, quants: &mut [i8], scales: &mut [f32]) {
        for ((x, quants), scale) in x
            .chunks_exact(block)
            .zip(quants.chunks_exact_mut(block))
            .zip(scales)
        {
            let mut largest = [0.0_f32; LANES];
            for lanes in x.chunks_exact(LANES) {
                for lane in 0..LANES {
                    let size = lanes[lane].abs();
                    largest[lane] = if size > largest[lane] { size } else { largest[lane] };
                }
            }
            let largest = largest.iter().fold(0.0_f32, |max, n| max.max(*n));
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            *scale = largest / 127.0;
            for (quant, x) in quants.iter_mut().zip(x) {
                let bits = (x * inverse + ROUNDER).to_bits();
                *quant = bits as i8;
            }
        }
    }
}

each_isa! {
    /// Sums of 16 and of 32 neighbouring bytes.
    fn sums(quants: &[i8], of_16: &mut [i16], of_16_floats: &mut [f32], of_32: &mut [f32]) {
        for ((bytes, sum), float) in quants.chunks_exact(16).zip(&mut *of_16).zip(of_16_floats) {
            let mut total = 0_i32;
            for byte in bytes {
                total += i32::from(*byte);
            }
            *sum = total as i16;
            *float = total as f32;
        }
        for (pair, float) in of_16.chunks_exact(2).zip(of_32) {
            *float = f32::from(pair[0]) + f32::from(pair[1]);
        }
    }
}

each_isa! {
    /// Divides each row by its root mean square and multiplies by the weights.
    fn rms_norm(x: &[f32], weights: &[f32], epsilon: f32, out: &mut [f32]) {
        let length = weights.len();
        for (x, out) in x.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
            let mean = dot_lanes(x, x) / length as f32;
            let scale = 1.0 / (mean + epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weights) {
                *out = x * scale * weight;
            }
        }
    }
}

each_isa! {
    /// `gate = silu(gate) * up`
    fn gate(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }
}

each_isa! {
    /// `x += y`
    fn add(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

each_isa! {
    /// Rotates one head: pairs half a head apart.
    fn rotate_halves(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
        let (first, second) = head.split_at_mut(cosines.len());
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
        }
    }
}

each_isa! {
    /// Rotates one head: neighbouring pairs.
    fn rotate_pairs(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
        for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cosines).zip(sines) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}

/// One key-value head of one layer, and the queries that read it.
pub(crate) struct Attention<'a> {
    /// Queries, `head` numbers each. Each sees the positions before its own bound.
    pub(crate) queries: &'a [f32],
    /// For each query, how many positions it sees: at least 1.
    pub(crate) bounds: &'a [usize],
    /// All keys of the layer as halves, `stride` apart, this head's at `offset`.
    pub(crate) keys: &'a [u16],
    /// All values, laid out alike.
    pub(crate) values: &'a [u16],
    /// Halves from one position to the next.
    pub(crate) stride: usize,
    /// Where this head begins within a position.
    pub(crate) offset: usize,
    /// Numbers in a head; at most [`HEAD_MAX`].
    pub(crate) head: usize,
}

/// The longest head that attention takes.
pub(crate) const HEAD_MAX: usize = 256;

each_isa! {
    /// Weighs the values of the positions that each query sees by the likeness of their keys. `scores` is room for
    /// one float per query and position; `out` gets `head` numbers per query.
    fn attend(task: &Attention<'_>, scores: &mut Vec<f32>, out: &mut [f32]) {
        let head = task.head;
        let count = task.bounds.len();
        let positions = task.bounds.iter().copied().max().unwrap_or(0);
        scores.clear();
        scores.resize(count * positions, 0.0);
        let scale = 1.0 / (head as f32).sqrt();
        let mut wide = [0.0_f32; HEAD_MAX];
        for position in 0..positions {
            let at = position * task.stride + task.offset;
            for (wide, half) in wide.iter_mut().zip(&task.keys[at..at + head]) {
                *wide = widen(*half);
            }
            for (n, query) in task.queries.chunks_exact(head).enumerate() {
                if position < task.bounds[n] {
                    scores[n * positions + position] = dot_lanes(query, &wide[..head]) * scale;
                }
            }
        }
        for (n, scores) in scores.chunks_exact_mut(positions).enumerate() {
            let seen = &mut scores[..task.bounds[n]];
            let largest = seen.iter().fold(f32::NEG_INFINITY, |max, s| max.max(*s));
            for score in &mut *seen {
                *score = exp(*score - largest);
            }
            let total: f32 = seen.iter().sum();
            let inverse = 1.0 / total;
            for score in seen {
                *score *= inverse;
            }
        }
        out.fill(0.0);
        for position in 0..positions {
            let at = position * task.stride + task.offset;
            for (wide, half) in wide.iter_mut().zip(&task.values[at..at + head]) {
                *wide = widen(*half);
            }
            for (n, out) in out.chunks_exact_mut(head).enumerate() {
                let weight = scores[n * positions + position];
                if weight != 0.0 {
                    for (out, value) in out.iter_mut().zip(&wide[..head]) {
                        *out = fused(weight, *value, *out);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_exponential_is_close() {
        for i in -8000..800 {
            let x = i as f32 / 100.0;
            let (got, expected) = (exp(x), x.exp());
            assert!(
                (got - expected).abs() <= expected * 2e-6,
                "e^{x} = {got}, not {expected}"
            );
        }
    }

    #[test]
    fn halves_widen_exactly() {
        for bits in (0..0x7c00_u16).chain(0x8000..0xfc00) {
            assert_eq!(
                widen(bits),
                half::f16::from_bits(bits).to_f32(),
                "{bits:#x}"
            );
        }
    }
}
