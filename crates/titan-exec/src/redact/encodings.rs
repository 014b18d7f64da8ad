//! The usual ways in which a value is written otherwise: turned around, in hex, percent-encoded, in base64.

/// Base64 gives each value three looks, by where it begins in its group; shorter looks than this match by chance.
const BASE64_BYTES_MIN: usize = 8;

/// A value and its encodings, each once.
pub(super) fn of(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let hex = |digits: &[u8; 16], mark: &str| -> String {
        let digit = |nibble: u8| char::from(digits[usize::from(nibble)]);
        bytes
            .iter()
            .flat_map(|byte| mark.chars().chain([digit(byte >> 4), digit(byte & 15)]))
            .collect()
    };
    let (lower, upper) = (b"0123456789abcdef", b"0123456789ABCDEF");
    let mut all = vec![
        value.to_owned(),
        value.chars().rev().collect(),
        hex(lower, ""),
        hex(upper, ""),
        hex(lower, "%"),
        hex(upper, "%"),
        percent(value, lower),
        percent(value, upper),
    ];
    let end = [b"+/", b"-_"];
    for (offset, end) in (0..3).flat_map(|offset| end.map(|end| (offset, end))) {
        all.extend(base64(bytes, offset, end));
    }
    all.sort();
    all.dedup();
    all
}

/// As in an address: what is neither letter, digit nor `-._~` is written as its number.
fn percent(value: &str, digits: &[u8; 16]) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => {
                encoded.push('%');
                encoded.push(char::from(digits[usize::from(byte >> 4)]));
                encoded.push(char::from(digits[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

/// The digits that are the value's alone where it begins `offset` bytes into a group; `None` where too few are.
fn base64(bytes: &[u8], offset: usize, end: &[u8; 2]) -> Option<String> {
    let bit = |at: usize| -> u8 {
        let byte = bytes[at / 8];
        (byte >> (7 - at % 8)) & 1
    };
    // Where the first whole digit begins, in bits of the value.
    let begin = (6 - offset * 8 % 6) % 6;
    let n_digits = (bytes.len() * 8 - begin) / 6;
    let digits = (0..n_digits).map(|digit| {
        let value = (0..6).fold(0, |value, n| value << 1 | bit(begin + digit * 6 + n));
        char::from(match value {
            0..=25 => b'A' + value,
            26..=51 => b'a' + value - 26,
            52..=61 => b'0' + value - 52,
            _ => end[usize::from(value - 62)],
        })
    });
    (n_digits >= BASE64_BYTES_MIN).then(|| digits.collect())
}
