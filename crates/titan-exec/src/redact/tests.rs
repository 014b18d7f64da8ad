//! Secrets of every format, plain, split, turned and encoded; and what only looks like them.

use super::*;
use proptest::prelude::*;

/// A name and a body for each format. No body is a real one, and each is written in two so that no scanner of
/// repositories takes it for one.
#[rustfmt::skip] // A table.
const SECRETS: &[(&str, &str, &str)] = &[
    ("anthropic", "sk-", "ant-api03-Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yM-AA"),
    ("openai", "sk-", "proj-Q2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yMZk3bV9x"),
    ("openrouter", "sk-", "or-v1-5f2b8c1d9e3a7f40b6c2d8e1f9a3b7c05d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a"),
    ("groq", "gs", "k_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yMQ2mLw7Tf"),
    ("github", "gh", "p_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi"),
    ("github app", "gh", "s_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi"),
    ("github fine", "github", "_pat_11ABCDEFG0Zk3bV9xQ2mLw_7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yMZk3bV9xQ2mLw7TfYc1Ns8RdHg5Pj"),
    ("gitlab", "glp", "at-Zk3bV9xQ2mLw7TfYc1Ns"),
    ("aws id", "AK", "IAZK3BV9XQ2MLW7TFY"),
    ("aws secret", "aws_secret_access_key = ", "Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt"),
    ("azure", "Account", "Key=Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yMZk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6y=="),
    ("google", "AI", "zaSyZk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aK"),
    ("google oauth", "GOC", "SPX-Zk3bV9xQ2mLw7TfYc1Ns8RdHg5Pj"),
    ("google access", "ya", "29.Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yM"),
    ("slack", "xo", "xb-123456789012-123456789012-Zk3bV9xQ2mLw7TfYc1Ns8RdH"),
    ("slack app", "xa", "pp-1-A0123456789-1234567890123-5f2b8c1d9e3a7f40b6c2d8e1f9a3b7c0"),
    ("slack hook", "hooks.slack", ".com/services/T01234567/B01234567/Zk3bV9xQ2mLw7TfYc1Ns8RdH"),
    ("stripe", "sk", "_live_Zk3bV9xQ2mLw7TfYc1Ns8RdH"),
    ("sendgrid", "S", "G.Zk3bV9xQ2mLw7TfYc1Ns8R.dHg5PjUe4aKoXi0uBt6yMZk3bV9xQ2mLw7TfYc1Ns8R"),
    ("twilio", "S", "K5f2b8c1d9e3a7f40b6c2d8e1f9a3b7c0"),
    ("npm", "np", "m_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi"),
    ("pypi", "py", "pi-AgEIcHlwaS5vcmcCJGQ0Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt6yMZk3bV9xQ2mLw7TfYc1Ns"),
    ("crates.io", "ci", "oZk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4a"),
    ("hugging face", "h", "f_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKo"),
    ("shopify", "shp", "at_5f2b8c1d9e3a7f40b6c2d8e1f9a3b7c0"),
    ("digitalocean", "do", "p_v1_5f2b8c1d9e3a7f40b6c2d8e1f9a3b7c05d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a"),
    ("databricks", "da", "pi5f2b8c1d9e3a7f40b6c2d8e1f9a3b7c0"),
    ("vault", "hv", "s.CAESIZk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi0uBt"),
    ("age", "AGE-SECRET", "-KEY-1QK3BV9XQ2MLW7TFYC1NS8RDHG5PJUE4AKOXI0UBT6YMZK3BV9XQ2MLW"),
    ("jwt", "ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
    ("bearer", "Bearer ", "Zk3bV9xQ2mLw7TfYc1Ns8RdHg5Pj"),
    ("telegram", "1234567890", ":AAZk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aK"),
    ("address", "postgres", "://app:Zk3bV9xQ2mLw@db.example/app"),
    ("pem", "-----BEGIN RSA", " PRIVATE KEY-----\nMIIEpAIBAAKCAQEAZk3bV9xQ2mLw7TfYc1Ns8RdHg5Pj\nUe4aKoXi0uBt6yMZk3bV9xQ2mLw7TfYc1Ns8RdHg==\n-----END RSA PRIVATE KEY-----"),
    ("openssh", "-----BEGIN OPENSSH", " PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABZk3b\n-----END OPENSSH PRIVATE KEY-----"),
];

/// Stretches of the bodies: of no secret of the table may one be seen.
const CORES: &[&str] = &[
    "Zk3bV9xQ2mLw",
    "Q2mLw7TfYc",
    "5f2b8c1d9e3a",
    "ZK3BV9XQ2MLW",
    "QK3BV9XQ2M",
    "dozjgNryP4J3",
    "b3BlbnNzaC1r",
    "Ns8RdHg5Pj",
];

fn redactor() -> Redactor {
    Redactor::new([
        ("KEY".to_owned(), "sk-12345678".to_owned()),
        ("SHORT".to_owned(), "abc".to_owned()),
    ])
}

/// What a stream of these pieces shows.
fn streamed<'a>(redactor: &Redactor, pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut stream = redactor.stream();
    let mut shown: String = pieces.into_iter().map(|piece| stream.push(piece)).collect();
    shown += &stream.finish();
    shown
}

fn in_pieces(text: &str, bytes: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = bytes.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[test]
fn a_known_secret_is_named_and_not_shown() {
    assert_eq!(
        redactor().redact("a sk-12345678 b abc"),
        "a [secret KEY] b abc"
    );
}

#[test]
fn what_cannot_become_a_secret_is_shown_at_once() {
    let mut stream = redactor().stream();
    assert_eq!(stream.push("hello sk"), "hello ");
    assert_eq!(stream.push("y"), "sky");
}

#[test]
fn p7_secrets_of_known_formats_are_taken_out_though_nobody_named_them() {
    let redactor = Redactor::default();
    assert!(SECRETS.len() >= 25);
    for (name, front, body) in SECRETS {
        for text in [
            format!("{front}{body}"),
            format!("the key is {front}{body}, keep it\n"),
            format!("KEY=\"{front}{body}\""),
            format!("{{\"key\":\"{front}{body}\"}}"),
        ] {
            let shown = redactor.redact(&text);
            assert!(shown.contains("[secret "), "{name}: {shown}");
            for core in CORES {
                assert!(!shown.contains(core), "{name}: {shown}");
            }
            for bytes in [1, 2, 3, 7, 16] {
                let split = streamed(&redactor, in_pieces(&text, bytes));
                assert_eq!(split, shown, "{name} in pieces of {bytes}");
            }
        }
    }
}

#[test]
fn p7_what_the_engine_keeps_is_found_split_turned_and_encoded() {
    for (name, front, body) in SECRETS {
        let value = format!("{front}{body}");
        let redactor = Redactor::new([("OWN".to_owned(), value.clone())]);
        for offset in ["", "x", "xy", "Basic user:"] {
            for (way, encoded) in encoded(&format!("{offset}{value}")) {
                let text = format!("<{encoded}>");
                let shown = redactor.redact(&text);
                assert!(shown.contains("[secret OWN]"), "{name} {way}: {shown}");
                // What is left of it says at most two bytes at each end.
                let left = shown.replace("[secret OWN]", "").len();
                let around = encoded_len(way, offset.len()) + 2;
                assert!(left <= around + 8, "{name} {way}: {shown}");
                let split = streamed(&redactor, in_pieces(&text, 5));
                assert_eq!(split, shown, "{name} {way}");
            }
        }
    }
}

/// A text in every way in which it leaves a machine, by code that is not the redactor's own.
fn encoded(text: &str) -> Vec<(&'static str, String)> {
    let hex = |form: fn(u8) -> String| text.bytes().map(form).collect::<String>();
    vec![
        ("plain", text.to_owned()),
        ("reversed", text.chars().rev().collect()),
        ("hex", hex(|byte| format!("{byte:02x}"))),
        ("HEX", hex(|byte| format!("{byte:02X}"))),
        ("percent", hex(|byte| format!("%{byte:02X}"))),
        (
            "address",
            hex(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            }),
        ),
        ("base64", base64(text.as_bytes(), b"+/")),
        ("base64 for addresses", base64(text.as_bytes(), b"-_")),
    ]
}

fn encoded_len(way: &str, bytes: usize) -> usize {
    match way {
        "hex" | "HEX" => bytes * 2,
        "percent" | "address" => bytes * 3,
        _ => bytes * 4 / 3 + 4,
    }
}

fn base64(bytes: &[u8], end: &[u8; 2]) -> String {
    let mut digits: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .collect();
    digits.extend(end);
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |number, n| {
            number << 8 | usize::from(*group.get(n).unwrap_or(&0))
        });
        for n in 0..4 {
            match n <= group.len() {
                true => text.push(char::from(digits[number >> (18 - 6 * n) & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

/// Lines as machines write them: digests, identifiers, versions, addresses, data, code.
fn harmless(n: u64) -> String {
    let hex = |salt: &str, digits: usize| -> String {
        blake3::hash(format!("{salt}{n}").as_bytes()).to_hex()[..digits].to_owned()
    };
    let a = hex("a", 64);
    let data = base64(a.as_bytes(), b"+/");
    match n % 16 {
        0 => format!("commit {}", hex("c", 40)),
        1 => format!("{a}  target/release/titan-{n}.tar.gz"),
        2 => format!(
            "{}-{}-4{}-a{}-{}",
            &a[..8],
            &a[8..12],
            &a[13..16],
            &a[17..20],
            &a[20..32]
        ),
        3 => format!("<img src=\"data:image/png;base64,{data}\">"),
        4 => format!("checksum = \"{a}\""),
        5 => format!("integrity sha512-{data}=="),
        6 => format!(
            "https://example.org/task-{n}/sk-{n}?page={}&session=none",
            n % 7
        ),
        7 => format!(
            "2026-11-{:02}T10:{:02}:00Z INFO request id={} status=200 bytes={n}",
            n % 28 + 1,
            n % 60,
            &a[..16]
        ),
        8 => format!(".sk-fading-circle .sk-circle{n}:before {{ animation-delay: -{n}ms; }}"),
        9 => format!("let token_{n} = tokens.next().ok_or(Error::TokenMissing{n})?;"),
        10 => format!(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{} person@host{n}",
            &data[..43]
        ),
        11 => format!("docker pull registry.example/app@sha256:{a}"),
        12 => format!("Authorization: Bearer <token>  # see step {n}"),
        13 => format!("postgres://user:password@localhost:{}/app", 5432 + n % 100),
        14 => format!("GET /api/v1/items/{n}?key={} HTTP/1.1", &a[..12]),
        _ => format!("index {}..{} 100644", &a[..10], &a[10..20]),
    }
}

#[test]
fn p8_of_ten_thousand_harmless_lines_at_most_ten_are_taken_for_secrets() {
    let redactor = Redactor::new([("OWN".to_owned(), "Zk3bV9xQ2mLw7TfYc1Ns8RdH".to_owned())]);
    let taken: Vec<String> = (0..10_000)
        .map(harmless)
        .filter(|line| redactor.redact(line) != *line)
        .collect();
    assert!(taken.len() <= 10, "{}: {:?}", taken.len(), &taken[..10]);
}

/// This project's own code and lock file: lines that people and machines really wrote.
#[test]
fn p8_the_projects_own_files_are_shown_as_they_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![root.join("Cargo.lock"), root.join("ARCHITECTURE.md")];
    for folder in [
        "crates/titan-protocol/src",
        "crates/titan-store/src",
        "crates/titan-tools/src",
    ] {
        let entries = std::fs::read_dir(root.join(folder)).expect("a folder");
        files.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    let redactor = Redactor::default();
    let (mut n_lines, mut taken) = (0, Vec::new());
    for file in files.iter().filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).expect("a file");
        n_lines += text.lines().count();
        taken.extend(
            text.lines()
                .filter(|line| redactor.redact(line) != **line)
                .map(str::to_owned),
        );
    }
    assert!(n_lines > 5_000, "{n_lines}");
    assert!(taken.len() * 1_000 <= n_lines, "{taken:#?}");
}

proptest! {
    #[test]
    fn p7_any_split_redacts_like_the_whole(
        which in proptest::collection::vec((0usize..SECRETS.len(), "[ a-z:/@.=\"-]{0,9}"), 0..4),
        cuts in proptest::collection::vec(0usize..500, 0..9),
    ) {
        let secrets = which.iter().map(|(at, between)| {
            let (_, front, body) = SECRETS[*at];
            format!("{between}{front}{body}")
        });
        let text = format!("x sk-1234 sk-12345678sk-12345678 sk-123456789 {} sk-1234567", secrets.collect::<String>());
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| *at < text.len()).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for at in cuts {
            pieces.push(&text[from..at]);
            from = at;
        }
        pieces.push(&text[from..]);
        let whole = redactor().redact(&text).into_owned();
        prop_assert_eq!(streamed(&redactor(), pieces), &whole[..]);
        // What was redacted once stays as it is.
        prop_assert_eq!(redactor().redact(&whole), &whole[..]);
    }
}
