//! What is shown of texts from outside, on inputs that nobody thought of: kept in `fuzz/corpus`.

use super::markdown::{Layout, MarkdownStream, render};
use super::style::Line;
use super::visible;

const LAYOUT: Layout = Layout {
    width: 40,
    has_color: true,
};

/// No escape, no other control, nothing that turns the direction of writing or hides.
fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
    })
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text() + "\n").collect()
}

/// Whatever a model writes, nothing that steers a terminal is shown, however it comes.
#[test]
fn p15_p16_fuzz_markdown() {
    titan_testkit::fuzz::check("markdown", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for piece_chars in [usize::MAX, 3] {
            let chars: Vec<char> = text.chars().collect();
            let mut stream = MarkdownStream::default();
            let mut lines = Vec::new();
            for piece in chars.chunks(piece_chars.min(chars.len().max(1))) {
                stream.push(&piece.iter().collect::<String>());
                let live = text_of(&stream.live(LAYOUT));
                assert!(is_harmless(&live), "{live:?}");
                lines.extend(stream.finished(LAYOUT));
            }
            lines.extend(stream.finish(LAYOUT));
            let shown = text_of(&lines);
            assert!(is_harmless(&shown), "{shown:?}");
        }
        let raw = text_of(&render(&visible::clean(&text), LAYOUT));
        assert!(is_harmless(&raw), "{raw:?}");
    });
}

/// What makes a text visible leaves nothing hidden, has nothing more to do the second time, and an approval shows every
/// letter that was there.
#[test]
fn p15_x14_fuzz_visible() {
    titan_testkit::fuzz::check("visible", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let clean = visible::clean(&text).into_owned();
        assert!(is_harmless(&clean.replace('\t', "")), "{clean:?}");
        assert_eq!(visible::clean(&clean), clean);
        let shown = visible::visible(&text);
        assert!(is_harmless(&shown), "{shown:?}");
        for letter in text.chars().filter(char::is_ascii_graphic) {
            let count = |text: &str| text.chars().filter(|c| *c == letter).count();
            assert!(
                count(&shown) >= count(&text),
                "{letter:?} is missing: {shown:?}"
            );
        }
    });
}
