//! Rows of the journal that nobody wrote: kept in `fuzz/corpus/journal`.

use super::decode;
use titan_protocol::SessionId;

/// A row is read or refused in words, and what was read is of the session that asked.
#[test]
fn fuzz_journal() {
    let session = SessionId::from_u128(1);
    titan_testkit::fuzz::check("journal", |bytes| match decode(bytes, session) {
        Ok(records) => {
            for record in records {
                assert_eq!(record.session, session);
                let text = serde_json::to_string(&record).expect("a record can be written");
                let again = serde_json::from_str(&text).expect("and read");
                assert_eq!(record, again);
            }
        }
        Err(error) => assert!(error.to_string().contains("restore a backup"), "{error}"),
    });
}
