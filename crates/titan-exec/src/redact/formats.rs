//! How keys and passwords look that nobody told us of: a table of formats, and the one small matcher that reads it.
//!
//! A format is a row of parts that follow each other. The matcher never goes back, so that it can be asked in the
//! middle of a stream and says when only more text can tell.

/// The longest body of a format without a fixed length; what follows it is shown.
const BODY_BYTES_MAX: usize = 4096;

/// A part of a format.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// These very characters.
    Is(&'static str),
    /// These letters, in either case.
    Says(&'static str),
    /// So many characters of a kind, as many as there are.
    Run(Kind, usize, usize),
    /// No further character of this kind.
    Ends(Kind),
}

/// A kind of characters, all of ASCII.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Digit,
    Hex,
    Upper,
    Word,
    /// Letters, digits, `-` and `_`.
    Token,
    /// Letters, digits, `+`, `/` and `=`.
    Base64,
    /// A token with dots, `+`, `/`, `~` and `=`.
    Bearer,
    /// What stands between a name and its value.
    Between,
    /// A user's name in an address.
    User,
    /// A password in an address.
    Password,
    /// The inside of a key's block, its line ends escaped or not.
    Block,
}

impl Kind {
    fn holds(self, byte: u8) -> bool {
        let is = |others: &[u8]| byte.is_ascii_alphanumeric() || others.contains(&byte);
        match self {
            Self::Digit => byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Upper => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Self::Word => is(b""),
            Self::Token => is(b"-_"),
            Self::Base64 => is(b"+/="),
            Self::Bearer => is(b"-_.+/~="),
            Self::Between => b" \t\"'=:".contains(&byte),
            Self::User => is(b"-_.%+"),
            Self::Password => byte.is_ascii_graphic() && !b"/@\"'<>{}$\\".contains(&byte),
            Self::Block => is(b"+/= \t\r\n\\:,"),
        }
    }
}

/// How a kind of secret looks.
struct Format {
    name: &'static str,
    parts: &'static [Part],
    /// How many of the first parts say only what comes, and are shown.
    n_shown: usize,
}

const fn format(name: &'static str, parts: &'static [Part]) -> Format {
    named(name, 0, parts)
}

const fn named(name: &'static str, n_shown: usize, parts: &'static [Part]) -> Format {
    Format {
        name,
        parts,
        n_shown,
    }
}

use Kind::*;
use Part::*;

const LONG: usize = BODY_BYTES_MAX;

#[rustfmt::skip] // A table.
const FORMATS: &[Format] = &[
    format("Anthropic key", &[Is("sk-ant-"), Run(Token, 20, LONG)]),
    format("OpenRouter key", &[Is("sk-or-"), Run(Token, 20, LONG)]),
    format("OpenAI key", &[Is("sk-"), Run(Token, 20, LONG)]),
    format("Groq key", &[Is("gsk_"), Run(Word, 40, LONG)]),
    format("xAI key", &[Is("xai-"), Run(Token, 40, LONG)]),
    format("Perplexity key", &[Is("pplx-"), Run(Word, 40, LONG)]),
    format("Replicate token", &[Is("r8_"), Run(Word, 37, LONG)]),
    format("Hugging Face token", &[Is("hf_"), Run(Word, 30, LONG)]),
    format("GitHub token", &[Is("ghp_"), Run(Word, 36, LONG)]),
    format("GitHub token", &[Is("gho_"), Run(Word, 36, LONG)]),
    format("GitHub token", &[Is("ghu_"), Run(Word, 36, LONG)]),
    format("GitHub token", &[Is("ghs_"), Run(Word, 36, LONG)]),
    format("GitHub token", &[Is("ghr_"), Run(Word, 36, LONG)]),
    format("GitHub token", &[Is("github_pat_"), Run(Word, 20, 24), Is("_"), Run(Word, 50, LONG)]),
    format("GitLab token", &[Is("glpat-"), Run(Token, 20, LONG)]),
    format("AWS key", &[Is("AKIA"), Run(Upper, 16, 16), Ends(Word)]),
    format("AWS key", &[Is("ASIA"), Run(Upper, 16, 16), Ends(Word)]),
    named("AWS secret", 2, &[Says("aws_secret_access_key"), Run(Between, 1, 8), Run(Base64, 40, 40), Ends(Base64)]),
    named("Azure key", 1, &[Is("AccountKey="), Run(Base64, 40, LONG)]),
    format("Google key", &[Is("AIza"), Run(Token, 35, 35), Ends(Token)]),
    format("Google token", &[Is("ya29."), Run(Token, 30, LONG)]),
    format("Google secret", &[Is("GOCSPX-"), Run(Token, 24, LONG)]),
    format("Slack token", &[Is("xoxb-"), Run(Token, 20, LONG)]),
    format("Slack token", &[Is("xoxp-"), Run(Token, 20, LONG)]),
    format("Slack token", &[Is("xoxa-"), Run(Token, 20, LONG)]),
    format("Slack token", &[Is("xoxr-"), Run(Token, 20, LONG)]),
    format("Slack token", &[Is("xoxs-"), Run(Token, 20, LONG)]),
    format("Slack token", &[Is("xapp-"), Run(Token, 20, LONG)]),
    named("Slack address", 1, &[Is("hooks.slack.com/services/"), Run(Bearer, 20, LONG)]),
    format("Stripe key", &[Is("sk_live_"), Run(Word, 20, LONG)]),
    format("Stripe key", &[Is("rk_live_"), Run(Word, 20, LONG)]),
    format("Stripe key", &[Is("sk_test_"), Run(Word, 20, LONG)]),
    format("Stripe secret", &[Is("whsec_"), Run(Base64, 20, LONG)]),
    format("SendGrid key", &[Is("SG."), Run(Token, 16, 32), Is("."), Run(Token, 30, LONG)]),
    format("Twilio key", &[Is("SK"), Run(Hex, 32, 32), Ends(Word)]),
    format("npm token", &[Is("npm_"), Run(Word, 36, LONG)]),
    format("PyPI token", &[Is("pypi-"), Run(Token, 60, LONG)]),
    format("crates.io token", &[Is("cio"), Run(Word, 32, 32), Ends(Word)]),
    format("Shopify token", &[Is("shpat_"), Run(Hex, 32, LONG)]),
    format("DigitalOcean token", &[Is("dop_v1_"), Run(Hex, 40, LONG)]),
    format("Databricks token", &[Is("dapi"), Run(Hex, 32, 32), Ends(Word)]),
    format("Vault token", &[Is("hvs."), Run(Token, 24, LONG)]),
    format("Linear key", &[Is("lin_api_"), Run(Word, 30, LONG)]),
    format("age key", &[Is("AGE-SECRET-KEY-1"), Run(Upper, 40, LONG)]),
    format("signed token", &[Is("eyJ"), Run(Token, 8, LONG), Is(".eyJ"), Run(Token, 8, LONG), Is("."), Run(Token, 16, LONG)]),
    named("private key", 1, &[Is("-----BEGIN PRIVATE KEY-----"), Run(Block, 32, LONG)]),
    named("private key", 1, &[Is("-----BEGIN RSA PRIVATE KEY-----"), Run(Block, 32, LONG)]),
    named("private key", 1, &[Is("-----BEGIN EC PRIVATE KEY-----"), Run(Block, 32, LONG)]),
    named("private key", 1, &[Is("-----BEGIN DSA PRIVATE KEY-----"), Run(Block, 32, LONG)]),
    named("private key", 1, &[Is("-----BEGIN OPENSSH PRIVATE KEY-----"), Run(Block, 32, LONG)]),
    named("private key", 1, &[Is("-----BEGIN ENCRYPTED PRIVATE KEY-----"), Run(Block, 32, LONG)]),
    named("private key", 1, &[Is("-----BEGIN PGP PRIVATE KEY BLOCK-----"), Run(Block, 32, LONG)]),
    named("bearer token", 2, &[Says("bearer"), Is(" "), Run(Bearer, 20, LONG)]),
    named("password", 3, &[Is("://"), Run(User, 0, 64), Is(":"), Run(Password, 6, 128), Is("@")]),
    named("bot token", 0, &[Run(Digit, 8, 10), Is(":AA"), Run(Token, 32, 34), Ends(Token)]),
];

/// What the beginning of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Only more text can tell.
    MoreIsNeeded,
    Secret {
        name: &'static str,
        /// Bytes that only say what comes.
        shown: usize,
        /// Bytes of the secret behind them.
        hidden: usize,
    },
}

/// Whether a secret of a known format begins a text. `before` is the character in front of it.
pub(super) fn at_start(text: &str, before: Option<char>, is_end: bool) -> Found {
    // A word that goes on is no beginning; an address's password and a block's dashes are no words.
    let is_inside = before.is_some_and(char::is_alphanumeric);
    if is_inside && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Found::Nothing;
    }
    // A format further up is the more exact one.
    FORMATS
        .iter()
        .map(|format| read(format, text.as_bytes(), is_end))
        .find(|found| *found != Found::Nothing)
        .unwrap_or(Found::Nothing)
}

/// Whether any format can begin with this byte.
pub(super) fn may_begin(byte: u8) -> bool {
    FORMATS.iter().any(|format| match format.parts[0] {
        Is(text) => text.as_bytes()[0] == byte,
        Says(text) => text.as_bytes()[0].eq_ignore_ascii_case(&byte),
        Run(kind, ..) => kind.holds(byte),
        Ends(_) => false,
    })
}

fn read(format: &Format, text: &[u8], is_end: bool) -> Found {
    let undecided = match is_end {
        true => Found::Nothing,
        false => Found::MoreIsNeeded,
    };
    let (mut at, mut shown) = (0, 0);
    // Of the last run: what a password's `@` follows is all that is hidden.
    let (mut body, mut end) = (0, 0);
    for (index, part) in format.parts.iter().enumerate() {
        if index == format.n_shown {
            shown = at;
        }
        let rest = &text[at..];
        match *part {
            Is(word) | Says(word) => {
                let fits = |given: &[u8], word: &[u8]| match part {
                    Is(_) => given == word,
                    _ => given.eq_ignore_ascii_case(word),
                };
                let word = word.as_bytes();
                let n_common = rest.len().min(word.len());
                if !fits(&rest[..n_common], &word[..n_common]) {
                    return Found::Nothing;
                }
                if n_common < word.len() {
                    return undecided;
                }
                at += word.len();
            }
            Run(kind, min, max) => {
                let n = rest
                    .iter()
                    .take(max)
                    .take_while(|byte| kind.holds(**byte))
                    .count();
                if n == rest.len() && n < max && !is_end {
                    return Found::MoreIsNeeded;
                }
                if n < min {
                    return Found::Nothing;
                }
                body = at;
                at += n;
                end = at;
            }
            Ends(kind) => match rest.first() {
                Some(byte) if kind.holds(*byte) => return Found::Nothing,
                None if !is_end => return Found::MoreIsNeeded,
                _ => {}
            },
        }
    }
    if !looks_random(&text[body..end]) {
        return Found::Nothing;
    }
    Found::Secret {
        name: format.name,
        shown,
        hidden: end - shown,
    }
}

/// Whether a body could have been drawn by chance: a placeholder or a name with dashes is not.
fn looks_random(body: &[u8]) -> bool {
    let any = |is: fn(&u8) -> bool| body.iter().any(is);
    let (upper, lower) = (any(u8::is_ascii_uppercase), any(u8::is_ascii_lowercase));
    (any(u8::is_ascii_digit) && (upper || lower)) || (upper && lower)
}
