//! `backup`, `restore` and what `doctor` says of a home that something else wrote into.

use crate::load::Load;
use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn m9_a_backup_of_a_running_engine_mends_a_home_that_doctor_finds_changed() {
    let place = Place::new();
    let mut load = Load::default();
    let file = place.work.join("backup.tar");
    let file = file.to_string_lossy();
    tokio::task::block_in_place(|| {
        let (engine, ..) = place.start();
        let said = load.say(engine.socket(), &place.work);
        assert!(said.expect("accepted").contains("completed"));
        let (is_made, told) = place.run(&["backup", &file]);
        assert!(is_made && told.contains("key is not in it"), "{told}");
        let (is_well, told) = place.run(&["doctor"]);
        assert!(is_well && told.contains("whole:"), "{told}");
        let (is_restored, told) = place.run(&["restore", "--force", &file]);
        assert!(!is_restored && told.contains("daemon stop"), "{told}");
        let (is_stopped, told) = place.run(&["daemon", "stop"]);
        assert!(is_stopped, "{told}");

        let database = place.home.join("titanclaw.db");
        let mut bytes = std::fs::read(&database).expect("the database");
        let needle = b"tool_call_ready";
        let at = bytes.windows(needle.len()).position(|at| at == needle);
        bytes[at.expect("a call is in the journal")] ^= 1;
        std::fs::write(&database, bytes).expect("the database");
        let (is_well, told) = place.run(&["doctor"]);
        assert!(!is_well && told.contains("broken at link"), "{told}");

        let (is_restored, told) = place.run(&["restore", &file]);
        assert!(!is_restored && told.contains("--force"), "{told}");
        let (is_restored, told) = place.run(&["restore", "--force", &file]);
        assert!(is_restored && told.contains("is kept at"), "{told}");
        let (is_well, told) = place.run(&["doctor"]);
        assert!(is_well, "{told}");
    });
    load.check(&place).await;
}
