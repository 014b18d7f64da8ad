//! Model files that nobody should publish: kept in `fuzz/corpus/gguf`.

use super::Head;

/// Whatever the head claims, each tensor lies in the file and no list is longer than the file could hold.
#[test]
fn fuzz_gguf() {
    titan_testkit::fuzz::check("gguf", |bytes| {
        let Ok(head) = Head::read(bytes) else {
            return;
        };
        for (name, tensor) in &head.tensors {
            let range = &tensor.bytes;
            assert!(
                range.start <= range.end && range.end <= bytes.len(),
                "{name}: {range:?}"
            );
        }
        assert!(head.metadata.len() <= bytes.len() && head.tensors.len() <= bytes.len());
    });
}
