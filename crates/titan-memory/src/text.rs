//! Texts as words: folded, stemmed, and cut into passages.

use std::ops::Range;

/// A passage ends at the first end of a paragraph or sentence behind this many bytes.
const PASSAGE_BYTES: usize = 1_200;
/// A passage has no more bytes than this, wherever it ends.
const PASSAGE_BYTES_MAX: usize = 2_000;
/// Passages of one document; what is behind them is found by no question.
const PASSAGES_MAX: usize = 2_000;

/// Words that say nothing about what a text is about.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "also", "an", "and", "are", "as", "at", "be", "been", "before", "being",
    "between", "both", "but", "by", "did", "do", "does", "during", "for", "from", "had", "has",
    "have", "he", "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "me",
    "my", "no", "not", "of", "on", "one", "or", "other", "our", "s", "same", "she", "so", "such",
    "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "to", "two", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose",
    "why", "with", "you", "your",
];

/// A word in its folded form, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) folded: String,
    pub(crate) at: Range<usize>,
}

/// The words of a text: runs of letters and digits, in lower case and without marks. The `s` of a genitive is left out.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::with_capacity(text.len() / 6);
    let mut current: Option<Word> = None;
    let mut is_genitive = false;
    for (at, char) in text.char_indices() {
        if char.is_alphanumeric() {
            let word = current.get_or_insert_with(|| Word {
                folded: String::new(),
                at: at..at,
            });
            fold(char, &mut word.folded);
            word.at.end = at + char.len_utf8();
        } else if let Some(word) = current.take() {
            keep(&mut words, word, is_genitive);
            is_genitive = matches!(char, '\'' | '’');
        } else {
            is_genitive = false;
        }
    }
    if let Some(word) = current {
        keep(&mut words, word, is_genitive);
    }
    words
}

fn keep(words: &mut Vec<Word>, word: Word, is_genitive: bool) {
    // Marks that stand alone fold to nothing.
    let is_left_out = word.folded.is_empty() || (is_genitive && word.folded == "s");
    if !is_left_out {
        words.push(word);
    }
}

/// The folded words of a text.
pub(crate) fn folded(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| word.folded).collect()
}

/// Letters and what they are written for without marks; the rest is put in lower case.
const FOLDS: &[(&str, &str)] = &[
    ("àáâãäåāăąǎ", "a"),
    ("æ", "ae"),
    ("çćĉċč", "c"),
    ("ďđ", "d"),
    ("èéêëēĕėęě", "e"),
    ("ĝğġģ", "g"),
    ("ĥħ", "h"),
    ("ìíîïĩīĭįı", "i"),
    ("ĵ", "j"),
    ("ķ", "k"),
    ("ĺļľŀł", "l"),
    ("ñńņňŉ", "n"),
    ("òóôõöøōŏő", "o"),
    ("œ", "oe"),
    ("ŕŗř", "r"),
    ("śŝşšș", "s"),
    ("ß", "ss"),
    ("ţťŧț", "t"),
    ("ùúûüũūŭůűų", "u"),
    ("ŵ", "w"),
    ("ýÿŷ", "y"),
    ("źżž", "z"),
];

fn fold(char: char, into: &mut String) {
    if char.is_ascii() {
        into.push(char.to_ascii_lowercase());
        return;
    }
    for lower in char.to_lowercase() {
        match FOLDS.iter().find(|(from, _)| from.contains(lower)) {
            Some((_, to)) => into.push_str(to),
            // A mark of its own, as in decomposed text.
            None if ('\u{300}'..='\u{36f}').contains(&lower) => {}
            None => into.push(lower),
        }
    }
}

/// Whether a folded word says nothing about what a text is about.
pub(crate) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// What words of one kind have in common: endings of number and tense are cut. English; other words stay as they are
/// but for a final `s` or `e`.
pub(crate) fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    if !word.is_ascii() {
        return stem;
    }
    let cut = |stem: &mut String, bytes: usize| stem.truncate(stem.len() - bytes);
    if stem.len() > 4 && stem.ends_with("ies") {
        cut(&mut stem, 3);
        stem.push('y');
    } else if stem.len() > 4
        && ["sses", "ches", "shes", "xes"]
            .iter()
            .any(|end| stem.ends_with(end))
    {
        cut(&mut stem, 2);
    } else if stem.len() > 3
        && stem.ends_with('s')
        && !["ss", "us", "is"].iter().any(|end| stem.ends_with(end))
    {
        cut(&mut stem, 1);
    }
    if stem.len() > 5 && stem.ends_with("ing") {
        cut(&mut stem, 3);
    } else if stem.len() > 4 && stem.ends_with("ed") {
        cut(&mut stem, 2);
    }
    if let [.., before, last] = stem.as_bytes()
        && stem.len() > 3
        && before == last
        && !b"lsz".contains(last)
    {
        cut(&mut stem, 1);
    }
    if stem.len() > 4 && stem.ends_with('e') {
        cut(&mut stem, 1);
    }
    stem
}

/// A piece of a document that is found by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) at: Range<usize>,
    /// The heading that it stands under.
    pub(crate) heading: String,
}

/// Cuts a text into passages: at headings, and where it has become long at an end of a paragraph, a line, a sentence or
/// a word.
pub(crate) fn passages(text: &str) -> Vec<Passage> {
    let mut passages = Vec::new();
    let mut heading = String::new();
    let mut begin = 0;
    for (line_at, line) in lines(text) {
        if let Some(title) = heading_of(line) {
            cut(text, begin..line_at, &heading, &mut passages);
            heading = title;
            begin = line_at;
        }
    }
    cut(text, begin..text.len(), &heading, &mut passages);
    passages.truncate(PASSAGES_MAX);
    passages
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let begin = at;
        at += line.len();
        (begin, line)
    })
}

/// The words of a Markdown heading.
pub(crate) fn heading_of(line: &str) -> Option<String> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let title = rest.trim().trim_end_matches('#').trim_end();
    ((1..=6).contains(&level) && rest.starts_with(' ') && !title.is_empty())
        .then(|| title.to_owned())
}

fn cut(text: &str, at: Range<usize>, heading: &str, passages: &mut Vec<Passage>) {
    let mut begin = at.start;
    while begin < at.end {
        let end = match at.end - begin > PASSAGE_BYTES_MAX {
            true => begin + end_of_passage(&text[begin..at.end]),
            false => at.end,
        };
        let piece = &text[begin..end];
        let trimmed = piece.trim();
        if !trimmed.is_empty() {
            let start = begin + (piece.len() - piece.trim_start().len());
            passages.push(Passage {
                at: start..start + trimmed.len(),
                heading: heading.to_owned(),
            });
        }
        begin = end;
    }
}

/// Where the passage that begins a longer text ends.
fn end_of_passage(text: &str) -> usize {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (from, to) = (boundary(PASSAGE_BYTES), boundary(PASSAGE_BYTES_MAX));
    let window = &text[from..to];
    ["\n\n", "\n", ". ", " "]
        .iter()
        .find_map(|end| window.find(end).map(|at| from + at + end.len()))
        .unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_case_marks_and_genitives() {
        assert_eq!(
            folded("Zoë's Łódź_café: naïve STRASSE ß 中文 don't"),
            [
                "zoe", "lodz", "cafe", "naive", "strasse", "ss", "中文", "don", "t"
            ]
        );
        let at = &words("  Größe!")[0].at;
        assert_eq!((at.start, at.end), (2, 9));
    }

    #[test]
    fn stop_words_are_sorted_so_that_they_are_found() {
        assert!(STOP_WORDS.is_sorted());
        assert!(is_stop_word("the") && is_stop_word("your") && !is_stop_word("helix"));
    }

    #[test]
    fn words_of_one_kind_have_one_stem() {
        for (some, other) in [
            ("cities", "city"),
            ("matches", "match"),
            ("founded", "found"),
            ("running", "run"),
            ("created", "create"),
            ("airports", "airport"),
        ] {
            assert_eq!(stem(some), stem(other), "{some} {other}");
        }
        for word in ["bus", "glass", "is", "größe"] {
            assert_eq!(stem(word), word);
        }
    }

    #[test]
    fn passages_cover_a_text_and_end_at_headings_paragraphs_and_sentences() {
        let long = "A sentence that says something. ".repeat(100);
        let text = format!("before\n# One\n{long}\n\n## Two ##\nshort\n");
        let passages = passages(&text);
        let headings: Vec<&str> = passages.iter().map(|it| it.heading.as_str()).collect();
        assert_eq!(headings.first(), Some(&""));
        assert_eq!(headings.last(), Some(&"Two"));
        assert!(passages.len() > 3);
        let all: String = passages.iter().map(|it| &text[it.at.clone()]).collect();
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&all), squeezed(&text));
        for passage in &passages {
            assert!(passage.at.len() <= PASSAGE_BYTES_MAX);
        }
        assert!(
            passages
                .iter()
                .skip(1)
                .take(2)
                .all(|it| text[it.at.clone()].ends_with('.'))
        );
    }

    #[test]
    fn text_without_any_end_is_cut_between_characters() {
        let text = "ü".repeat(5_000);
        assert!(passages(&text).len() >= 5);
        assert_eq!(passages(" \n "), []);
    }
}
