//! The reference: what each product is worth, in plain code.

use super::{Kind, Row, TOGETHER_MAX};
use crate::quant::{
    Q4K_BYTES, Q6K_BYTES, Q8_BYTES, SMALL, SUPER, half_at, scales_and_minima, unpack_q4k,
    unpack_q6k,
};

/// `out[i] = row · xs[i]`.
pub(super) fn dot(kind: Kind, row: &[u8], xs: &[Row<'_>], out: &mut [f32; TOGETHER_MAX]) {
    for (x, out) in xs.iter().zip(out) {
        *out = match kind {
            Kind::Q4K => q4k(row, x),
            Kind::Q6K => q6k(row, x),
            Kind::Q8 => q8(row, x),
        };
    }
}

fn q4k(row: &[u8], x: &Row<'_>) -> f32 {
    let mut sum = 0.0;
    let mut numbers = [0; SUPER];
    for (i, block) in row.chunks_exact(Q4K_BYTES).enumerate() {
        unpack_q4k(block, &mut numbers);
        let (scales, minima) = scales_and_minima(&block[4..16]);
        let x_block = &x.quants[i * SUPER..(i + 1) * SUPER];
        let mut scaled = 0;
        let mut offset = 0;
        for sub in 0..SUPER / SMALL {
            let span = sub * SMALL..(sub + 1) * SMALL;
            scaled += i32::from(scales[sub]) * products(&numbers[span.clone()], &x_block[span]);
            let at = i * 16 + sub * 2;
            let inputs = i32::from(x.sums[at]) + i32::from(x.sums[at + 1]);
            offset += i32::from(minima[sub]) * inputs;
        }
        let worth = half_at(block, 0) * scaled as f32 - half_at(block, 2) * offset as f32;
        sum += x.scales[i] * worth;
    }
    sum
}

fn q6k(row: &[u8], x: &Row<'_>) -> f32 {
    let mut sum = 0.0;
    let mut numbers = [0; SUPER];
    for (i, block) in row.chunks_exact(Q6K_BYTES).enumerate() {
        unpack_q6k(block, &mut numbers);
        let x_block = &x.quants[i * SUPER..(i + 1) * SUPER];
        let mut scaled = 0;
        for sub in 0..16 {
            let span = sub * 16..(sub + 1) * 16;
            let offset = 32 * i32::from(x.sums[i * 16 + sub]);
            let scale = i32::from(block[192 + sub].cast_signed());
            scaled += scale * (products(&numbers[span.clone()], &x_block[span]) - offset);
        }
        sum += x.scales[i] * half_at(block, 208) * scaled as f32;
    }
    sum
}

fn q8(row: &[u8], x: &Row<'_>) -> f32 {
    let mut sum = 0.0;
    for (i, block) in row.chunks_exact(Q8_BYTES).enumerate() {
        let x_block = &x.quants[i * SMALL..(i + 1) * SMALL];
        let product: i32 = block[2..]
            .iter()
            .zip(x_block)
            .map(|(w, x)| i32::from(w.cast_signed()) * i32::from(*x))
            .sum();
        sum += x.scales[i] * half_at(block, 0) * product as f32;
    }
    sum
}

fn products(weights: &[u8], x: &[i8]) -> i32 {
    weights
        .iter()
        .zip(x)
        .map(|(w, x)| i32::from(*w) * i32::from(*x))
        .sum()
}
