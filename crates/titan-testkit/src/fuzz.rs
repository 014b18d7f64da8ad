//! Tries a property on kept inputs and on many made from them, so that a reader of foreign bytes is shown what nobody
//! thought of.
//!
//! The inputs of a target are the files in `fuzz/corpus/TARGET` at the workspace's root. In an ordinary test run each is
//! tried, and then a fixed number of mutants that are the same on every machine; with `TITAN_FUZZ_SECONDS` set,
//! mutants are made for that long from a new seed, and one that fails is kept in the corpus. There is no coverage to
//! guide it: what is worth reaching should stand in the corpus.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Mutants in an ordinary test run.
const MUTANTS: u64 = 2_000;
/// An ordinary test run makes no more of them after this.
const ORDINARY_TIME_MAX: Duration = Duration::from_secs(2);
/// The largest input.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Changes made to one mutant.
const CHANGES_MAX: u64 = 6;
/// Pieces that mean something in more than one of the texts that we read.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\x1b[",
    b"\x1b]0;",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xe2\x80\xae",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"$(",
    b"`",
    b"<<",
    b"|",
    b";",
    b"&&",
    b"'",
    b"#",
    b"data: ",
    b"\n\n",
    b":",
    b",",
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"../",
    b"/",
    b"@",
    b"%00",
    b"::",
    b".",
    b"=",
    b"*** ",
    b"@@",
    b"```",
];

/// Runs a property over the corpus of `target` and its mutants. The property panics where it does not hold.
///
/// # Panics
/// When the corpus is not there, and with the property's own panic after the input was told.
pub fn check(target: &str, property: impl Fn(&[u8])) {
    let folder = corpus(target);
    let inputs = inputs(&folder);
    assert!(!inputs.is_empty(), "{} holds no inputs", folder.display());
    for input in &inputs {
        try_one(&folder, input, false, &property);
    }
    let seconds = std::env::var("TITAN_FUZZ_SECONDS").ok();
    let long = seconds.and_then(|seconds| seconds.parse().ok().map(Duration::from_secs));
    let mut random = Random(match long {
        Some(_) => new_seed(),
        None => 0x9e37_79b9_7f4a_7c15,
    });
    let started = Instant::now();
    let mut n_mutants = 0;
    while match long {
        Some(time) => started.elapsed() < time,
        None => n_mutants < MUTANTS && started.elapsed() < ORDINARY_TIME_MAX,
    } {
        let mutant = mutant(&inputs, &mut random);
        try_one(&folder, &mutant, long.is_some(), &property);
        n_mutants += 1;
    }
    println!("{target}: {} inputs, {n_mutants} mutants", inputs.len());
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    files
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .collect()
}

fn try_one(folder: &Path, input: &[u8], is_kept: bool, property: &impl Fn(&[u8])) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(input))) else {
        return;
    };
    eprintln!("fails on: {:?}", String::from_utf8_lossy(input));
    if is_kept {
        let name = folder.join(format!("found-{:016x}", hash(input)));
        match std::fs::write(&name, input) {
            Ok(()) => eprintln!("kept as {}", name.display()),
            Err(error) => eprintln!("{} can't be written: {error}", name.display()),
        }
    }
    resume_unwind(panic);
}

fn mutant(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.next() % CHANGES_MAX {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below(bytes.len() - at + 1).min(64);
        match random.next() % 8 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (random.next() % 8),
            1 if at < bytes.len() => bytes[at] = (random.next() % 256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            5 => {
                // Some other input's piece.
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

/// Xorshift: good enough to choose changes by, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `n`; 0 when `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() as usize).checked_rem(n).unwrap_or(0)
    }
}

fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_nanos() as u64 | 1)
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
