//! How weights are stored: the block formats of GGUF, and what each number in them is worth.
//!
//! Three formats are multiplied as they lie in the file (`Q4_K`, `Q6_K`, `Q8_0`, see `kernels`); all others become
//! `Q8_0` when the model is loaded. Everything here is plain scalar code, the reference that the kernels are tested
//! against.

use half::{bf16, f16};

/// Numbers in a block of the K formats.
pub(crate) const SUPER: usize = 256;
/// Numbers in a block of the older formats.
pub(crate) const SMALL: usize = 32;

/// Bytes of a `Q4_K` block: two scales, twelve bytes of 6-bit scales, 256 nibbles.
pub(crate) const Q4K_BYTES: usize = 144;
/// Bytes of a `Q6_K` block: low nibbles, high bits, sixteen scales, a scale.
pub(crate) const Q6K_BYTES: usize = 210;
/// Bytes of a `Q8_0` block: a scale and 32 signed bytes.
pub(crate) const Q8_BYTES: usize = 34;

/// A storage format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

/// code in the file, format, numbers a block, bytes a block
const FORMATS: [(u32, Format, usize, usize); 11] = [
    (0, Format::F32, 1, 4),
    (1, Format::F16, 1, 2),
    (30, Format::Bf16, 1, 2),
    (2, Format::Q4_0, SMALL, 18),
    (3, Format::Q4_1, SMALL, 20),
    (6, Format::Q5_0, SMALL, 22),
    (7, Format::Q5_1, SMALL, 24),
    (8, Format::Q8_0, SMALL, Q8_BYTES),
    (12, Format::Q4K, SUPER, Q4K_BYTES),
    (13, Format::Q5K, SUPER, 176),
    (14, Format::Q6K, SUPER, Q6K_BYTES),
];

impl Format {
    /// The format with this code in a GGUF file, if it is one that we read.
    pub(crate) fn from_code(code: u32) -> Option<Self> {
        FORMATS.iter().find(|row| row.0 == code).map(|row| row.1)
    }

    fn row(self) -> (usize, usize) {
        FORMATS
            .iter()
            .find(|row| row.1 == self)
            .map_or((1, 1), |row| (row.2, row.3))
    }

    /// Bytes of a row of `columns` numbers; `None` when blocks don't fit it, or no memory could.
    pub(crate) fn row_bytes(self, columns: usize) -> Option<usize> {
        let (len, bytes) = self.row();
        let fits = columns > 0 && columns.is_multiple_of(len);
        fits.then(|| (columns / len).checked_mul(bytes))?
    }
}

/// Half a float from two bytes.
pub(crate) fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// The eight 6-bit scales and eight 6-bit minima of a `Q4_K` or `Q5_K` block.
#[inline(always)]
pub(crate) fn scales_and_minima(packed: &[u8]) -> ([u8; 8], [u8; 8]) {
    let word = |i: usize| {
        u32::from_le_bytes([
            packed[4 * i],
            packed[4 * i + 1],
            packed[4 * i + 2],
            packed[4 * i + 3],
        ])
    };
    let (a, b, c) = (word(0), word(1), word(2));
    let join = |low: u32, high: u32| {
        let mut all = [0; 8];
        all[..4].copy_from_slice(&low.to_le_bytes());
        all[4..].copy_from_slice(&high.to_le_bytes());
        all
    };
    let scales = join(
        a & 0x3f3f_3f3f,
        (c & 0x0f0f_0f0f) | (((a >> 6) & 0x0303_0303) << 4),
    );
    let minima = join(
        b & 0x3f3f_3f3f,
        ((c >> 4) & 0x0f0f_0f0f) | (((b >> 6) & 0x0303_0303) << 4),
    );
    (scales, minima)
}

/// The 256 nibbles of a `Q4_K` block in order.
#[inline(always)]
pub(crate) fn unpack_q4k(block: &[u8], out: &mut [u8]) {
    for (chunk, out) in block[16..Q4K_BYTES]
        .chunks_exact(32)
        .zip(out.chunks_exact_mut(64))
    {
        for (i, byte) in chunk.iter().enumerate() {
            out[i] = byte & 15;
            out[i + 32] = byte >> 4;
        }
    }
}

/// The 256 six-bit numbers of a `Q6_K` block in order, 32 too high.
#[inline(always)]
pub(crate) fn unpack_q6k(block: &[u8], out: &mut [u8]) {
    for half in 0..2 {
        let low = &block[half * 64..half * 64 + 64];
        let high = &block[128 + half * 32..128 + half * 32 + 32];
        let out = &mut out[half * 128..half * 128 + 128];
        for i in 0..32 {
            out[i] = (low[i] & 15) | ((high[i] & 3) << 4);
            out[i + 32] = (low[i + 32] & 15) | ((high[i] >> 2 & 3) << 4);
            out[i + 64] = (low[i] >> 4) | ((high[i] >> 4 & 3) << 4);
            out[i + 96] = (low[i + 32] >> 4) | ((high[i] >> 6) << 4);
        }
    }
}

/// What a row is worth. `bytes` and `out` must be of one length in blocks.
pub(crate) fn dequantise(format: Format, bytes: &[u8], out: &mut [f32]) {
    let (len, size) = format.row();
    for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(len)) {
        dequantise_block(format, block, out);
    }
}

fn dequantise_block(format: Format, block: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
        Format::F16 => out[0] = half_at(block, 0),
        Format::Bf16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
        Format::Q4_0 => {
            let scale = half_at(block, 0);
            nibbles(&block[2..], out, |n, _| scale * (f32::from(n) - 8.0));
        }
        Format::Q4_1 => {
            let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
            nibbles(&block[4..], out, |n, _| scale * f32::from(n) + minimum);
        }
        Format::Q5_0 => {
            let scale = half_at(block, 0);
            let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
            nibbles(&block[6..], out, |n, i| {
                scale * (f32::from(n | fifth_bit(high, i)) - 16.0)
            });
        }
        Format::Q5_1 => {
            let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
            let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
            nibbles(&block[8..], out, |n, i| {
                scale * f32::from(n | fifth_bit(high, i)) + minimum
            });
        }
        Format::Q8_0 => {
            let scale = half_at(block, 0);
            for (out, byte) in out.iter_mut().zip(&block[2..]) {
                *out = scale * f32::from(byte.cast_signed());
            }
        }
        Format::Q4K => {
            let mut numbers = [0; SUPER];
            unpack_q4k(block, &mut numbers);
            affine(block, &numbers, out);
        }
        Format::Q5K => {
            let mut numbers = [0; SUPER];
            for (i, number) in numbers.iter_mut().enumerate() {
                let (chunk, within) = (i / 64, i % 64);
                let byte = block[48 + chunk * 32 + within % 32];
                let nibble = if within < 32 { byte & 15 } else { byte >> 4 };
                *number = nibble | (block[16 + within % 32] >> (i / 32) & 1) << 4;
            }
            affine(block, &numbers, out);
        }
        Format::Q6K => {
            let mut numbers = [0; SUPER];
            unpack_q6k(block, &mut numbers);
            let scale = half_at(block, 208);
            for (i, out) in out.iter_mut().enumerate() {
                let sub = f32::from(block[192 + i / 16].cast_signed());
                *out = scale * sub * (f32::from(numbers[i]) - 32.0);
            }
        }
    }
}

fn nibbles(packed: &[u8], out: &mut [f32], worth: impl Fn(u8, usize) -> f32) {
    for i in 0..SMALL / 2 {
        out[i] = worth(packed[i] & 15, i);
        out[i + SMALL / 2] = worth(packed[i] >> 4, i + SMALL / 2);
    }
}

fn fifth_bit(high: u32, i: usize) -> u8 {
    ((high >> i & 1) << 4) as u8
}

fn affine(block: &[u8], numbers: &[u8; SUPER], out: &mut [f32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let (scales, minima) = scales_and_minima(&block[4..16]);
    for (i, out) in out.iter_mut().enumerate() {
        let sub = i / SMALL;
        *out = scale * f32::from(scales[sub]) * f32::from(numbers[i])
            - minimum * f32::from(minima[sub]);
    }
}

/// Turns a row of any format into `Q8_0`. Exact for `Q4_0` and `Q5_0`, whose numbers fit as they are.
pub(crate) fn requantise(format: Format, bytes: &[u8], out: &mut [u8]) {
    let (len, size) = format.row();
    let mut numbers = [0.0; SUPER];
    let per_step = len.max(SMALL);
    let step_bytes = size * (per_step / len);
    let out_bytes = per_step / SMALL * Q8_BYTES;
    for (step, out) in bytes
        .chunks_exact(step_bytes)
        .zip(out.chunks_exact_mut(out_bytes))
    {
        let numbers = &mut numbers[..per_step];
        dequantise(format, step, numbers);
        let keep = matches!(format, Format::Q4_0 | Format::Q5_0).then(|| [step[0], step[1]]);
        for (numbers, out) in numbers
            .chunks_exact(SMALL)
            .zip(out.chunks_exact_mut(Q8_BYTES))
        {
            quantise_small(numbers, keep, out);
        }
    }
}

/// One `Q8_0` block; with the given scale (as stored) instead of its own, where the numbers are known to fit it.
fn quantise_small(numbers: &[f32], scale: Option<[u8; 2]>, out: &mut [u8]) {
    let largest = numbers.iter().fold(0.0_f32, |max, n| max.max(n.abs()));
    let stored = scale.unwrap_or_else(|| f16::from_f32(largest / 127.0).to_le_bytes());
    let scale = f16::from_le_bytes(stored).to_f32();
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    out[..2].copy_from_slice(&stored);
    for (out, number) in out[2..].iter_mut().zip(numbers) {
        *out = ((number * inverse).round().clamp(-127.0, 127.0) as i8).cast_unsigned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_bit_blocks_become_eight_bit_blocks_without_loss() {
        let mut block = vec![0_u8; 22];
        block[..2].copy_from_slice(&f16::from_f32(0.37).to_le_bytes());
        for (i, byte) in block[2..].iter_mut().enumerate() {
            *byte = (i * 73 + 11) as u8;
        }
        let mut before = [0.0; SMALL];
        dequantise(Format::Q5_0, &block, &mut before);
        let mut q8 = [0; Q8_BYTES];
        requantise(Format::Q5_0, &block, &mut q8);
        let mut after = [0.0; SMALL];
        dequantise(Format::Q8_0, &q8, &mut after);
        assert_eq!(before, after);
    }

    #[test]
    fn requantising_stays_within_half_a_step() {
        for format in [
            Format::F32,
            Format::Q4_1,
            Format::Q5_1,
            Format::Q4K,
            Format::Q5K,
        ] {
            let (len, size) = format.row();
            let blocks = SUPER / len;
            let bytes: Vec<u8> = match format {
                Format::F32 => (0..SUPER)
                    .flat_map(|i| (i as f32).sin().to_le_bytes())
                    .collect(),
                _ => (0..blocks * size)
                    .map(|i| match i % size {
                        1 | 3 => 0x2c,
                        at => (i * 41 + at) as u8,
                    })
                    .collect(),
            };
            let mut before = vec![0.0; SUPER];
            dequantise(format, &bytes, &mut before);
            let mut q8 = vec![0; SUPER / SMALL * Q8_BYTES];
            requantise(format, &bytes, &mut q8);
            let mut after = vec![0.0; SUPER];
            dequantise(Format::Q8_0, &q8, &mut after);
            for (b, a) in before.chunks(SMALL).zip(after.chunks(SMALL)) {
                let step = b.iter().fold(0.0_f32, |m, n| m.max(n.abs())) / 127.0;
                for (b, a) in b.iter().zip(a) {
                    assert!((b - a).abs() <= step * 0.6, "{format:?}: {b} became {a}");
                }
            }
        }
    }
}
