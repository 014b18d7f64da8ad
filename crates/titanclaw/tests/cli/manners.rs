//! What every command owes to people and scripts: help, errors, exit codes, closed pipes.

use crate::{Done, Place};
use expect_test::expect_file;
use std::io::Read;
use std::process::Stdio;

#[test]
fn help_says_all_and_touches_nothing() {
    let place = Place::new();
    let commands = [
        "",
        "chat",
        "ask",
        "sessions",
        "models",
        "onboard",
        "doctor",
        "status",
        "config",
        "trust",
        "cost",
        "logs",
        "completions",
        "daemon",
        "web",
    ];
    let mut text = String::new();
    for command in commands {
        let arguments: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let done = place.run(&arguments);
        assert_eq!((done.exit, done.err.as_str()), (Some(0), ""), "{command}");
        text.push_str(&format!(
            "$ titanclaw {}\n{}\n",
            arguments.join(" "),
            done.out
        ));
    }
    expect_file!["help/all.txt"].assert_eq(&text);
    assert!(!place.home().exists());
}

#[test]
fn the_version_is_one_line() {
    let done = Place::new().run(&["--version"]);
    let expected = Done {
        exit: Some(0),
        out: format!("titanclaw {}\n", env!("CARGO_PKG_VERSION")),
        err: String::new(),
    };
    assert_eq!(done, expected);
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    let place = Place::new();
    for arguments in [
        &["nonsense"][..],
        &["ask", "--nonsense"],
        &["cost", "--since"],
        &["ask", "--allow", "all", "x"],
    ] {
        let done = place.run(arguments);
        assert_eq!(done.exit, Some(2), "{arguments:?}: {done:?}");
        assert_eq!(done.out, "");
    }
}

#[test]
fn every_error_is_one_paragraph_with_a_cause_and_a_next_step() {
    let place = Place::new();
    place.write("home/config.toml", "[limits]\nturn_seconds = 0\n");
    let cases: &[(&[&str], &str)] = &[
        (
            &["ask", "hello"],
            "`limits.turn_seconds` is 0, but must be a whole number from 5 to 86400. Mend it with `titanclaw config set",
        ),
        (
            &["config", "get", "limits.turn_second"],
            "did you mean `limits.turn_seconds`?",
        ),
        (
            &["config", "set", "policy.run", "maybe"],
            "`policy.run` can't be \"maybe\"; it must be one of allow, ask, deny",
        ),
        (
            &["cost", "--since", "soon"],
            "--since \"soon\" is neither a day",
        ),
    ];
    for (arguments, expected) in cases {
        let done = place.run(arguments);
        assert_eq!(
            (done.exit, done.out.as_str()),
            (Some(1), ""),
            "{arguments:?}: {done:?}"
        );
        assert!(
            done.err.starts_with("titanclaw: ") && done.err.contains(expected),
            "{done:?}"
        );
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
    }
}

#[test]
fn a_conversation_without_a_terminal_points_to_ask() {
    let done = Place::new().run(&[]);
    assert_eq!(done.exit, Some(1));
    assert!(done.err.contains("titanclaw ask"), "{done:?}");
}

#[test]
fn settings_are_set_read_shown_and_checked() {
    let place = Place::new();
    assert_eq!(
        place.run(&["config", "get", "limits.turn_seconds"]).out,
        "3600\n"
    );
    assert_eq!(
        place
            .run(&["config", "set", "limits.turn_seconds", "60"])
            .exit,
        Some(0)
    );
    assert_eq!(
        place.run(&["config", "set", "models.chat", "local"]).exit,
        Some(0)
    );
    assert_eq!(
        place.run(&["config", "get", "limits.turn_seconds"]).out,
        "60\n"
    );
    assert_eq!(place.run(&["config", "get", "models.chat"]).out, "local\n");
    let shown = place.run(&["config", "show"]).out;
    assert_eq!(
        shown,
        "[limits]\nturn_seconds = 60\n\n[models]\nchat = \"local\"\n"
    );
    let reference = place.run(&["config", "show", "--all"]).out;
    assert!(
        reference.contains("\nturn_seconds = 60\n")
            && reference.contains("\n# usd_per_day = 20.0\n"),
        "{reference}"
    );
    assert_eq!(place.run(&["config", "check"]).exit, Some(0));
    assert_eq!(
        place.run(&["config", "unset", "limits.turn_seconds"]).exit,
        Some(0)
    );
    assert_eq!(
        place.run(&["config", "get", "limits.turn_seconds"]).out,
        "3600\n"
    );
    place.write(
        "home/config.toml",
        "[policy]\nrum = \"ask\"\nrun = \"maybe\"\n",
    );
    let checked = place.run(&["config", "check"]);
    assert_eq!(checked.exit, Some(1));
    let expected = "error: `policy.run` is \"maybe\", but must be one of allow, ask, deny\nwarning: there is no setting `policy.rum`; did you mean `policy.run`?\n";
    let mut lines: Vec<&str> = checked.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.join("\n") + "\n", expected);
}

#[test]
fn the_reference_of_all_settings_is_itself_a_config() {
    let place = Place::new();
    let reference = place.run(&["config", "show", "--all"]).out;
    place.write("home/config.toml", &reference);
    let checked = place.run(&["config", "check"]);
    assert_eq!(
        (checked.exit, checked.out.as_str()),
        (Some(0), ""),
        "{checked:?}"
    );
}

#[test]
fn completions_are_written_for_each_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = place.run(&["completions", shell]);
        assert_eq!(done.exit, Some(0), "{shell}");
        assert!(done.out.contains("onboard"), "{shell}");
    }
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let place = Place::new();
    for arguments in [
        &["completions", "zsh"][..],
        &["config", "show", "--all"],
        &["status"],
        &["doctor"],
        &["--help"],
    ] {
        let mut child = place
            .command(arguments)
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let mut err = String::new();
        child
            .stderr
            .take()
            .expect("a pipe")
            .read_to_string(&mut err)
            .expect("text");
        let status = child.wait().expect("the program ends");
        assert_eq!(
            (status.code(), err.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn g32_a_home_that_others_may_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    std::fs::create_dir(place.home()).expect("the home");
    std::fs::set_permissions(place.home(), std::fs::Permissions::from_mode(0o755))
        .expect("its mode");
    let done = place.run(&["sessions", "list"]);
    assert_eq!(done.exit, Some(1));
    assert!(done.err.contains("chmod 700"), "{done:?}");
}

#[test]
fn onboarding_is_scripted_and_can_be_repeated() {
    let place = Place::new();
    let arguments = [
        "onboard",
        "--model",
        "work/m",
        "--url",
        "http://127.0.0.1:9/v1",
        "--key",
        "--yes",
    ];
    for key in ["sk-first-key\n", "sk-second-key\n"] {
        let done = place.run_with(&arguments, key);
        assert_eq!(done.exit, Some(0), "{done:?}");
        assert!(!format!("{done:?}").contains("sk-"), "{done:?}");
    }
    let shown = place.run(&["config", "show"]).out;
    assert_eq!(shown.matches("[[providers]]").count(), 1);
    for entry in std::fs::read_dir(place.home()).expect("the home") {
        let path = entry.expect("an entry").path();
        let bytes = if path.is_file() {
            std::fs::read(&path).expect("a file")
        } else {
            Vec::new()
        };
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("sk-first-key") && !text.contains("sk-second-key"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn status_and_doctor_speak_json() {
    let place = Place::new();
    let status: serde_json::Value =
        serde_json::from_str(&place.run(&["status", "--json"]).out).expect("JSON");
    assert_eq!(status["is_running"], false);
    let done = place.run(&["doctor", "--json", "--offline"]);
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(report["is_well"], true, "{report}");
    assert!(
        report["checks"]
            .as_array()
            .is_some_and(|checks| checks.len() > 6)
    );
    assert!(!place.home().exists(), "looking changes nothing");
}

#[test]
fn a_model_that_cannot_answer_is_not_chosen_and_a_server_is_in_no_other_models_way() {
    let place = Place::new();
    let refused = place.run(&["models", "use", "nobody/m"]);
    assert_eq!(refused.exit, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("local, anthropic, openai, ollama"),
        "{refused:?}"
    );
    place.write(
        "home/config.toml",
        "[models]\nchat = \"work/m\"\n[[providers]]\nname = \"work\"\nbase_url = \"http://127.0.0.1:9/v1\"\n",
    );
    assert_eq!(place.run(&["models", "use", "work/n"]).exit, Some(0));
    let asked = place.run(&["--offline", "ask", "--model", "ollama/m", "hi"]);
    assert!(!asked.err.contains("has no model"), "{asked:?}");
    let asked = place.run(&["ask", "--model", "nobody/m", "hi"]);
    assert!(
        asked.err.contains("nobody/m names no known provider"),
        "{asked:?}"
    );
}

#[test]
fn a_home_that_is_a_file_is_told_as_such() {
    let place = Place::new();
    std::fs::write(place.home(), "x").expect("a file");
    let done = place.run(&["ask", "hi"]);
    assert!(
        done.err
            .contains("is not a folder. Name another with --home"),
        "{done:?}"
    );
}
