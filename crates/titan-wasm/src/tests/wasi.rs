//! A real command-line program for WASI 0.2: what it can do, and what it can't.

use super::{Place, failure};
use crate::{CallError, Capability, Component, Finished, LoadError};
use serde_json::json;

const PROGRAM: &[u8] = include_bytes!("../../test_data/program.wasm");

impl Place {
    fn program(&self) -> Component {
        self.host.load_as("program", PROGRAM).unwrap()
    }

    async fn says(&self, args: &[&str], stdin: &str) -> Finished {
        let arguments = json!({"args": args, "stdin": stdin}).to_string();
        self.program().call_alone(&arguments).await
    }

    /// What it printed, and that it ended well.
    async fn prints(&self, args: &[&str]) -> String {
        let said = self.says(args, "").await.result.unwrap();
        said.unwrap().trim_end().to_owned()
    }
}

#[tokio::test]
async fn a_program_of_others_works_on_what_it_is_given() {
    let place = Place::patient();
    assert_eq!(place.prints(&["add", "2", "3"]).await, "5");
    let upper = place.says(&["upper"], "grüße\n").await;
    assert_eq!(upper.result.unwrap().unwrap(), "GRÜSSE\n");
    assert_eq!(place.prints(&["name"]).await, r#"Some("program")"#);
    let wrong = place.says(&["add", "x"], "").await;
    assert_eq!(
        wrong.result.unwrap(),
        Err("[the program failed]".to_owned())
    );
    assert_eq!(wrong.log, "\"x\" is no number\n");
}

#[test]
fn a_program_is_described_by_its_help_and_called_as_its_owner_says() {
    let place = Place::patient();
    let program = place.program();
    let told = &program.spec().description;
    assert!(
        told.contains("Runs the program program")
            && told.contains("Its help:\nusage: program COMMAND"),
        "{told}"
    );
    assert_eq!(program.capabilities(), [Capability::Wasi]);
    let nameless = super::refusal(place.host.load(PROGRAM));
    assert_eq!(nameless, LoadError::Nameless);
    let odd = super::refusal(place.host.load_as("../x", PROGRAM));
    assert!(odd.to_string().contains("is no tool name"), "{odd}");
}

#[tokio::test]
async fn s3_a_program_of_others_sees_no_files_no_network_and_no_environment() {
    let place = Place::patient();
    let secret = place.folder.path().join("secret");
    std::fs::write(&secret, "42").unwrap();
    let secret = secret.to_str().unwrap();
    assert_eq!(place.prints(&["environment"]).await, "0 variables");
    for path in [secret, "/etc/passwd", "/", ".", "../.."] {
        for way in ["read", "list", "write"] {
            let said = place.prints(&[way, path]).await;
            assert!(said.starts_with("Err("), "{way} {path}: {said}");
        }
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "42");
    for way in [&["connect"][..], &["resolve", "localhost"]] {
        let said = place.prints(way).await;
        assert!(said.starts_with("Err(ErrorCode"), "{way:?}: {said}");
    }
}

#[tokio::test]
async fn s1_a_program_of_others_ends_at_its_limits() {
    let hasty = Place::new();
    for way in ["spin", "sleep"] {
        let said = failure(hasty.says(&[way], "").await);
        assert_eq!(said.to_string(), "the component was stopped after 0.1 s");
    }
    let place = Place::patient();
    for (way, told) in [
        (
            "flood",
            "the component gave back more than the 65536 bytes that it may",
        ),
        (
            "eat",
            "the component wanted more than the 4194304 bytes of memory that it may have",
        ),
    ] {
        let said = failure(place.says(&[way], "").await);
        assert_eq!(said.to_string(), told, "{way}");
    }
    let gave_up = place.says(&["panic"], "").await;
    assert!(gave_up.log.contains("it gave up"), "{gave_up:?}");
    assert!(
        matches!(gave_up.result, Err(CallError::Trapped(_))),
        "{gave_up:?}"
    );
    let muttered = place.says(&["mutter"], "").await;
    assert_eq!(muttered.result.unwrap().unwrap(), "done\n");
    assert_eq!(muttered.log.len(), 8 << 10);
}

#[test]
fn a_program_that_was_not_granted_wasi_is_not_taken() {
    let place = Place::new();
    let mut config = super::config(&place.folder);
    config.granted = vec![Capability::Log];
    let host = crate::WasmHost::open(config).unwrap();
    let refused = super::refusal(host.load_as("program", PROGRAM));
    assert_eq!(refused, LoadError::NotGranted(Capability::Wasi));
}
