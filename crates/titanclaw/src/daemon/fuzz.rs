//! Messages on the control socket that no program of ours sends: kept in `fuzz/corpus/frame`.

use super::frame::{Reply, Request};

/// A message is refused, or is read as what reads the same when it is sent on.
#[test]
fn fuzz_frame() {
    titan_testkit::fuzz::check("frame", |bytes| {
        if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
            let sent = serde_json::to_string(&request).expect("it can be sent");
            let again: Request = serde_json::from_str(&sent).expect("and read");
            assert_eq!(
                (&request.version, &request.ask),
                (&again.version, &again.ask)
            );
            assert!(!sent.contains('\n'), "a message is one line");
        }
        if let Ok(reply) = serde_json::from_slice::<Reply>(bytes) {
            let sent = serde_json::to_string(&reply).expect("it can be sent");
            let again: Reply = serde_json::from_str(&sent).expect("and read");
            assert_eq!(serde_json::to_string(&again).expect("it can be sent"), sent);
        }
    });
}
