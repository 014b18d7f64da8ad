//! What people wrote, as tokens: words by their meaning, values by their kind.
//!
//! English only. Whatever is not known here is a word that has to be equal, so that another language, or a word that
//! nobody thought of, costs recall and never precision.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// `3`, `2.5`, `1,000`, `80%`.
    Number,
    /// `2026-11-29`.
    Date,
    /// `https://…`.
    Url,
    /// `src/main.rs`, `README.md`, `~/notes`.
    Path,
    /// `snake_case`, `a::b`, `camelCase`, `call()`.
    Code,
    /// What stands in quotes or backticks.
    Quoted,
    /// A capitalised word that begins no sentence.
    Name,
    /// Any other word.
    Word,
}

/// What a word does in a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Says what is asked. Two questions are never the same when they differ in one of these.
    Content,
    /// Turns what is asked into something else: `not`, `only`, `first`, `without`. As strict as content.
    Guard,
    /// Says how it is asked: `show`, `find`, `have`.
    Light,
    /// Says nothing: `please`, `the`, `is`.
    Filler,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// As it was written, without the punctuation around it.
    pub(crate) text: String,
    /// Its stem, or what stands for it and its synonyms; the text itself where it is a value.
    pub(crate) meaning: String,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
}

impl Token {
    /// Whether it is a value by its looks.
    pub(crate) fn is_value(&self) -> bool {
        self.kind != Kind::Word
    }
}

/// Tokens of a text that is read at most.
pub(crate) const TOKENS_MAX: usize = 200;

/// The tokens of a text, in order. `None` where it has more than [`TOKENS_MAX`]: no reflex is for texts.
pub(crate) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut begins_sentence = true;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (piece, is_quoted, tail) = piece(rest);
        rest = tail.trim_start();
        let ends_sentence = !is_quoted && piece.ends_with(['.', '!', '?', ':']);
        let text = if is_quoted { piece } else { bare(piece) };
        if !text.is_empty() {
            if tokens.len() == TOKENS_MAX {
                return None;
            }
            let kind = match kind(text, begins_sentence) {
                Kind::Word | Kind::Name if is_quoted => Kind::Quoted,
                _ if is_quoted && text.contains(char::is_whitespace) => Kind::Quoted,
                kind => kind,
            };
            let token = token(text, kind, tokens.last());
            // "How many" is one thing to ask, and "the number of" is the same.
            if let Some(how) = tokens
                .last_mut()
                .filter(|how| how.meaning == "how" && token.meaning == "count")
            {
                how.role = Role::Filler;
            }
            tokens.push(token);
            begins_sentence = false;
        }
        begins_sentence |= ends_sentence;
    }
    Some(tokens)
}

/// The first piece of a text: up to white space, or what stands in quotes.
fn piece(text: &str) -> (&str, bool, &str) {
    for quote in ['"', '`', '\''] {
        if let Some(inner) = text.strip_prefix(quote)
            && let Some(end) = inner.find(quote)
            && !inner[..end].trim().is_empty()
            && !inner[..end].contains('\n')
            && inner[end + 1..]
                .chars()
                .next()
                .is_none_or(|next| !next.is_alphanumeric())
        {
            let tail = inner[end + 1..].trim_start_matches(['.', ',', '?', '!', ';', ':', ')']);
            return (&inner[..end], true, tail);
        }
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], false, &text[end..])
}

/// A piece without the punctuation around it.
fn bare(piece: &str) -> &str {
    let sentence = piece.trim_end_matches(['.', ',', ';', ':', '?']);
    // "100!" is another number than "100".
    if sentence.ends_with('!')
        && sentence
            .trim_end_matches('!')
            .ends_with(|c: char| c.is_ascii_digit())
    {
        return sentence;
    }
    let end = piece.trim_end_matches(['.', ',', ';', ':', '?', '!', ')', ']', '"', '\'', '`', '…']);
    let end = end
        .strip_suffix("'s")
        .or_else(|| end.strip_suffix("’s"))
        .unwrap_or(end);
    end.trim_start_matches(['(', '[', '"', '\'', '`', ','])
}

fn kind(text: &str, begins_sentence: bool) -> Kind {
    let has = |what: char| text.contains(what);
    let digits = text
        .trim_start_matches(['-', '+', '$', '€'])
        .trim_end_matches('%');
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '_'));
    if is_date(text) {
        Kind::Date
    } else if is_number {
        Kind::Number
    } else if text.starts_with("http://") || text.starts_with("https://") {
        Kind::Url
    } else if has('(') || text.contains("::") || has('_') || is_camel(text) {
        Kind::Code
    } else if is_path(text) {
        Kind::Path
    } else if !begins_sentence && text.starts_with(char::is_uppercase) && text != "I" {
        Kind::Name
    } else {
        Kind::Word
    }
}

fn is_date(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { 'd' } else { c })
        .collect();
    shape == "dddd-dd-dd"
}

fn is_camel(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_alphabetic)
        && text.chars().all(char::is_alphanumeric)
        && text.chars().any(char::is_lowercase)
        && chars.any(char::is_uppercase)
}

/// What looks like a path and is none.
const ALTERNATIVES: &str = "and/or either/or he/she she/he him/her his/her s/he yes/no true/false on/off in/out read/write i/o input/output \
    client/server n/a w/o km/h";

fn is_path(text: &str) -> bool {
    if text.starts_with(['/', '~']) || text.starts_with("./") || text.starts_with("../") {
        return true;
    }
    if text.contains('/') {
        return !ALTERNATIVES
            .split(' ')
            .any(|one| one == text.to_lowercase());
    }
    let Some((stem, extension)) = text.rsplit_once('.') else {
        return false;
    };
    let is_extension =
        (1..=8).contains(&extension.len()) && extension.chars().all(|c| c.is_ascii_alphanumeric());
    // "e.g." and "i.e." lose their last point and look like a file.
    is_extension && (stem.is_empty() || stem.len() > 1 || extension.len() > 1)
}

fn token(text: &str, kind: Kind, before: Option<&Token>) -> Token {
    if kind != Kind::Word {
        return Token {
            text: text.to_owned(),
            meaning: text.to_owned(),
            kind,
            role: Role::Content,
        };
    }
    let lower = text.to_lowercase().replace('’', "'");
    let (meaning, role) = match lower.as_str() {
        "many" | "much" if before.is_some_and(|token| token.meaning == "how") => {
            ("count".to_owned(), Role::Content)
        }
        word => meaning(word),
    };
    Token {
        text: text.to_owned(),
        meaning,
        kind,
        role,
    }
}

/// What a word stands for, and what it does.
fn meaning(word: &str) -> (String, Role) {
    if let Some(role) = LEXICON.roles.get(word) {
        return (word.to_owned(), *role);
    }
    let stem = stem(word);
    match LEXICON.synonyms.get(stem.as_str()) {
        Some((meaning, role)) => ((*meaning).to_owned(), *role),
        None => (stem, Role::Content),
    }
}

/// The words that are known.
struct Lexicon {
    roles: HashMap<&'static str, Role>,
    /// By stem: the word that stands for all.
    synonyms: HashMap<String, (&'static str, Role)>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let guards = GUARDS.split_whitespace().map(|word| (word, Role::Guard));
    let fillers = FILLERS.split_whitespace().map(|word| (word, Role::Filler));
    let lines = LIGHT.iter().map(|line| (line, Role::Light));
    let lines = lines.chain(SYNONYMS.iter().map(|line| (line, Role::Content)));
    let synonyms = lines.flat_map(|(line, role)| {
        let first = line.split(' ').next().unwrap_or(line);
        line.split(' ').map(move |word| (stem(word), (first, role)))
    });
    Lexicon {
        roles: guards.chain(fillers).collect(),
        synonyms: synonyms.collect(),
    }
});

/// Says nothing about what is asked.
const FILLERS: &str = "a an the please kindly hey hi hello thanks thank you me i we us i'd i'm it's to for of in on at is are was \
    were be been am do does did can could would will shall may might let's let so just quickly exactly like want wanted need \
    know what what's which that's there there's here's whats how's it its this that these those my your our as right \
    okay ok well";

/// Turns one question into another.
const GUARDS: &str = "not no never none nothing don't doesn't didn't isn't aren't can't won't except besides but only all any \
    every each both either neither first second third last next previous before after since until till than more most less \
    least fewer or and nor if unless when while because then also too again instead already still yet now today yesterday \
    tomorrow tonight ago new newest old oldest latest recent same other another different between above below over under by with \
    without against via about \
    out off up down away back from into who whom whose where why how other's";

/// Say how it is asked. The first of a line stands for all.
const LIGHT: &[&str] = &[
    "show list display print tell give find get see look return fetch",
    "have contain hold include has got exist",
    "check verify confirm",
];

/// The first of a line stands for all.
const SYNONYMS: &[&str] = &[
    "count number amount total quantity",
    "folder directory dir",
    "delete remove erase",
    "change modify edit alter",
    "create make",
    "begin start",
    "function method fn",
    "license licence",
    "repository repo",
    "dependency dep",
    "big large huge",
    "small little tiny",
    "error failure fault",
    "purpose goal aim",
    "explain describe",
    "summarize summarise summary",
    "run execute launch",
    "person people",
    "convert translate",
    "write wrote written",
    "send sent",
];

/// A word without its endings: enough to bring `lines` and `line`, `using` and `used` together. Not a dictionary's stem.
fn stem(word: &str) -> String {
    let cut = |ending: &str, least: usize| {
        let stem = word.strip_suffix(ending)?;
        (stem.chars().count() >= least).then_some(stem)
    };
    if let Some(stem) = cut("ies", 2).or_else(|| cut("ied", 2)) {
        return format!("{stem}y");
    }
    let undoubled = |stem: &str| {
        let mut end = stem.chars().rev();
        match (end.next(), end.next()) {
            (Some(a), Some(b)) if a == b && !"aeiouslz".contains(a) => {
                stem[..stem.len() - a.len_utf8()].to_owned()
            }
            _ => stem.to_owned(),
        }
    };
    let stem = if let Some(stem) = cut("ing", 3).or_else(|| cut("ed", 3)) {
        undoubled(stem)
    } else if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        word.to_owned()
    } else if let Some(stem) = ["ches", "shes", "sses", "xes", "zes"]
        .iter()
        .find_map(|end| cut(end, 1))
    {
        word[..stem.len() + word[stem.len()..].len() - 2].to_owned()
    } else if let Some(stem) = cut("s", 2) {
        stem.to_owned()
    } else {
        word.to_owned()
    };
    // `created` and `creates` lose different letters.
    stem.strip_suffix('e')
        .filter(|stem| stem.len() > 2)
        .map_or(stem.clone(), str::to_owned)
}

/// Whether an answer to this holds tomorrow and for anybody: nothing in it names a time, the person, their things or what
/// was said before. In doubt it does not.
pub(crate) fn is_timeless(text: &str) -> bool {
    let lower = text.to_lowercase().replace('’', "'");
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .collect();
    let names = |list: &str| {
        words
            .iter()
            .any(|word| list.split(' ').any(|one| one == *word))
    };
    let is_about_you = words
        .windows(2)
        .any(|pair| pair[1] == "you" && matches!(pair[0], "did" | "do" | "have" | "are" | "were"));
    !names(TIMES) && !names(PERSONAL) && !names(CONTEXT) && !is_about_you
}

/// Whether a question that is timeless also says all that is needed to answer it: a few sentences with numbers.
pub(crate) fn is_puzzle(tokens: &[Token]) -> bool {
    const TOKENS_MIN: usize = 10;
    tokens.len() >= TOKENS_MIN && tokens.iter().any(|token| token.kind == Kind::Number)
}

/// Names a time that moves.
const TIMES: &str = "now today tonight tomorrow yesterday current currently latest newest recent recently nowadays weather news price \
    prices stock stocks score scores schedule upcoming this'll still yet ago deadline clock o'clock week month year date day's";
/// Names the person or what is theirs.
const PERSONAL: &str = "my mine myself our ours ourselves remember forget remind me's";
/// Names what was said, or what is on this machine.
const CONTEXT: &str = "above previous previously earlier again continue this these here file files folder directory repo repository \
    project workspace codebase code's session conversation your yours yourself you're install run execute create write edit delete";
