//! Texts around secrets: kept in `fuzz/corpus/redact`.

use super::Redactor;

/// However a text is cut, the same is taken out of it; what was taken out once leaves nothing to take; the key itself
/// is never shown.
#[test]
fn p7_fuzz_redact() {
    let key = "correct-horse-battery-7";
    let redactor = Redactor::new([("OWN".to_owned(), key.to_owned())]);
    titan_testkit::fuzz::check("redact", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let whole = redactor.redact(&text);
        assert!(!whole.contains(key), "{whole}");
        for piece_chars in [1, 5] {
            let chars: Vec<char> = text.chars().collect();
            let mut stream = redactor.stream();
            let mut shown = String::new();
            for piece in chars.chunks(piece_chars) {
                shown += &stream.push(&piece.iter().collect::<String>());
            }
            shown += &stream.finish();
            assert_eq!(shown, whole, "in pieces of {piece_chars}");
        }
    });
}
