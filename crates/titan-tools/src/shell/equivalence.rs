//! Run statement by statement is run whole: a shell's own test suite, through real bash, both ways.
//!
//! The suite is mksh's. Of its cases those count that bash passes whole, with the script in a pipe; each of them has to
//! end in the same way when its statements are given one by one, cut from pieces of any size.

use super::analysis::{Analysis, Claim, Place, analyze};
use super::segment::Segmenter;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Cases that end otherwise, each with the reason.
const DIFFERENT: &[(&str, &str)] = &[("regression-37", "it prints how long it took")];

/// A case that takes longer is not one that bash passes.
const CASE_MAX: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Case {
    name: String,
    script: String,
    files: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    expected_exit: String,
    expected_stdout: Option<String>,
}

/// All that can be seen of a run.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    exit: (Option<i32>, Option<i32>),
    stdout: String,
    stderr: String,
    files: BTreeMap<String, String>,
}

fn suite() -> Option<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = manifest.join("../../../shared/data/mksh/check.t");
    std::fs::read(file)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn cases(text: &str) -> Vec<Case> {
    let blocks = text.split("\n---\n").map(fields);
    blocks.filter_map(case).collect()
}

/// The fields of a case: a value stands behind its name, or indented below it.
fn fields(block: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if let Some(text) = line.strip_prefix('\t') {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(text);
                value.push('\n');
            }
        } else if !line.starts_with('#')
            && let Some((name, value)) = line.split_once(':')
        {
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    fields
}

fn case(fields: Vec<(String, String)>) -> Option<Case> {
    let mut case = Case::default();
    for (name, value) in fields {
        match name.as_str() {
            "name" => case.name = value,
            "stdin" => case.script = value,
            "expected-stdout" => case.expected_stdout = Some(value),
            "expected-exit" => case.expected_exit = value,
            "file-setup" => case.files.push(file(&value)?),
            "env-setup" => {
                let pairs = value.trim_matches('!').split('!');
                let pairs = pairs.filter_map(|pair| pair.split_once('='));
                case.environment
                    .extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
            }
            "arguments" => {
                let words = value.trim().trim_matches('!').split('!');
                case.arguments = words.map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    // What a case says of the shell's own options is not about scripts.
    let is_script = !case.script.is_empty() && case.arguments.is_empty();
    is_script.then_some(case)
}

/// `file 644 "name"`, and its content in the lines below.
fn file(value: &str) -> Option<(String, String)> {
    let (head, content) = value.split_once('\n').unwrap_or((value, ""));
    let name = head.strip_prefix("file ")?.split('"').nth(1)?;
    Some((name.to_owned(), content.to_owned()))
}

/// Runs a script whose pieces go into the pipe one after the other.
fn run(case: &Case, pieces: &[String]) -> Option<Ran> {
    let folder = tempfile::tempdir().ok()?;
    for (name, content) in &case.files {
        std::fs::write(folder.path().join(name), content).ok()?;
    }
    let (reader, mut writer) = std::io::pipe().ok()?;
    let descriptor = reader.as_raw_fd();
    let mut command = Command::new("bash");
    command
        .arg(format!("/dev/fd/{descriptor}"))
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nowhere")
        .envs(case.environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // SAFETY: one system call on a descriptor that is open until the program has started.
    unsafe {
        command.pre_exec(move || {
            libc::fcntl(descriptor, libc::F_SETFD, 0);
            Ok(())
        });
    }
    let mut child = command.spawn().ok()?;
    drop(reader);
    let group = i32::try_from(child.id()).ok()?;
    let collect = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What can't be read is missing in the comparison.
            let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
            bytes
        })
    };
    let stdout = collect(child.stdout.take().map(|out| Box::new(out) as _));
    let stderr = collect(child.stderr.take().map(|err| Box::new(err) as _));
    let pieces: Vec<String> = std::iter::once(format!("exec {descriptor}<&-; "))
        .chain(pieces.iter().cloned())
        .collect();
    let writing = std::thread::spawn(move || {
        for piece in pieces {
            // A shell that has ended reads no more.
            if writer.write_all(piece.as_bytes()).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break Some(status),
            None if started.elapsed() > CASE_MAX => break None,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    // SAFETY: a signal to the group that was made for the child.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    let _ = child.wait();
    writing.join().ok()?;
    let (stdout, stderr) = (stdout.join().ok()?, stderr.join().ok()?);
    let status = status?;
    let own = folder.path().display().to_string();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.replace(&own, "HERE")
            .replace(&format!("/dev/fd/{descriptor}"), "SCRIPT")
            // An error in the first line shows it as the shell was given it.
            .replace(&format!("exec {descriptor}<&-; "), "")
    };
    Some(Ran {
        exit: (status.code(), status.signal()),
        stdout: text(stdout),
        stderr: text(stderr),
        files: files(folder.path())
            .into_iter()
            .map(|(name, bytes)| (name, text(bytes)))
            .collect(),
    })
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_file = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    let files = entries.filter(is_file);
    files
        .map(|entry| {
            let content = std::fs::read(entry.path()).unwrap_or_default();
            (entry.file_name().to_string_lossy().into_owned(), content)
        })
        .collect()
}

/// Whether bash does what the case expects.
fn passes(case: &Case, ran: &Ran) -> bool {
    let exit = match case.expected_exit.trim() {
        "" | "0" => ran.exit.0 == Some(0),
        "e != 0" => ran.exit.0 != Some(0),
        other => ran.exit.0.is_some_and(|code| code.to_string() == other),
    };
    exit && case
        .expected_stdout
        .as_ref()
        .is_none_or(|expected| *expected == ran.stdout)
}

/// The statements of a script that comes in chunks of 1 to 64 bytes, and the rest.
fn statements(script: &str, seed: &mut u64) -> Vec<String> {
    let mut segmenter = Segmenter::default();
    let mut statements = Vec::new();
    let mut left = script;
    while !left.is_empty() {
        // A linear congruential generator (Knuth, MMIX): the seed is all there is to repeat a run.
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut size = usize::try_from(*seed >> 58).unwrap_or(0) + 1;
        size = size.min(left.len());
        while !left.is_char_boundary(size) {
            size += 1;
        }
        let (piece, rest) = left.split_at(size);
        statements.extend(segmenter.push(piece));
        left = rest;
    }
    let given: usize = statements.iter().map(String::len).sum();
    if given < script.len() {
        statements.push(script[given..].to_owned());
    }
    statements
}

#[test]
fn x20_a_script_run_by_statements_ends_as_the_whole_script_does() {
    let Some(suite) = suite() else {
        titan_testkit::skip("data:mksh", "the suite is not beside the checkout");
        return;
    };
    let cases = cases(&suite);
    let next = Mutex::new(cases.iter().enumerate());
    let (passed, cut) = (Mutex::new(0), Mutex::new(0));
    let different = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((n, case)) = next.lock().unwrap().next() else {
                        return;
                    };
                    let whole = [case.script.clone()];
                    let Some(expected) = run(case, &whole).filter(|ran| passes(case, ran)) else {
                        continue;
                    };
                    *passed.lock().unwrap() += 1;
                    let mut seed = 20_261_126 + n as u64;
                    let pieces = statements(&case.script, &mut seed);
                    assert_eq!(pieces.concat(), case.script);
                    *cut.lock().unwrap() += usize::from(pieces.len() > 1);
                    let ran = run(case, &pieces);
                    if ran.as_ref() != Some(&expected) {
                        let text = format!(
                            "{}: {ran:#?} instead of {expected:#?} for {pieces:#?}",
                            case.name
                        );
                        different.lock().unwrap().push((case.name.clone(), text));
                    }
                }
            });
        }
    });
    let (passed, cut) = (passed.into_inner().unwrap(), cut.into_inner().unwrap());
    let different = different.into_inner().unwrap();
    println!(
        "{} cases, {passed} passed whole, {cut} of them cut",
        cases.len()
    );
    let is_known = |name: &str| DIFFERENT.iter().any(|(known, _)| *known == name);
    let unknown: Vec<_> = different
        .iter()
        .filter(|(name, _)| !is_known(name))
        .collect();
    for (_, text) in &unknown {
        println!("{text}");
    }
    let names: Vec<_> = unknown.iter().map(|(name, _)| name).collect();
    assert!(unknown.is_empty(), "{names:?} end otherwise");
    assert!(passed > 200 && cut > 150, "the suite was hardly run");
}

/// Whether a person is asked about one of these under the rules that a new user has.
fn asks(claims: &[Claim]) -> bool {
    !claims.iter().all(|claim| match claim {
        Claim::Read(place) => !matches!(place, Place::Anywhere),
        Claim::Run { reads_only, .. } => *reads_only,
        _ => false,
    })
}

#[test]
fn x19_a_script_in_statements_meets_the_verdict_of_the_whole_script() {
    let own = "cd src\nls *.rs\nX=1\nalias ls='rm -r'\nls\n\
               f() { rm -r x; }\nls\nf\ncat a > b\nexport PATH=.\nls\n";
    let mut scripts = vec![own.to_owned()];
    let suite = suite();
    scripts.extend(
        suite
            .iter()
            .flat_map(|suite| cases(suite))
            .map(|case| case.script),
    );
    let mut n_asked = 0;
    for script in &scripts {
        let mut analysis = Analysis::default();
        let mut seed = 1;
        let pieces: Vec<Vec<Claim>> = statements(script, &mut seed)
            .iter()
            .map(|statement| analysis.add(statement))
            .collect();
        let whole = analyze(script);
        let asked = pieces.iter().any(|claims| asks(claims));
        assert_eq!(asked, asks(&whole), "{script}\n{pieces:#?}\n{whole:#?}");
        n_asked += usize::from(asked);
        // Nothing that the whole would do is lost when it is cut, but for the trust in what ran before it was broken.
        let has = |claim: &Claim| {
            let trusted = match claim.clone() {
                Claim::Run {
                    program,
                    is_builtin,
                    arguments,
                    ..
                } => Claim::Run {
                    program,
                    is_builtin,
                    arguments,
                    reads_only: true,
                },
                other => other,
            };
            // What can't be taken apart is named by its text, of which a statement has a part.
            let is_opaque =
                |claim: &Claim| matches!(claim, Claim::Run { program, .. } if program == "bash");
            pieces.iter().flatten().any(|found| {
                found == claim || *found == trusted || (is_opaque(claim) && is_opaque(found))
            })
        };
        let lost: Vec<_> = whole.iter().filter(|claim| !has(claim)).collect();
        assert!(lost.is_empty(), "{script} loses {lost:#?}");
    }
    println!("{} scripts, {n_asked} of them asked about", scripts.len());
}

#[test]
fn x20_of_every_beginning_of_a_script_only_complete_statements_of_the_whole_are_given() {
    let scripts = [
        "cd src && ls\nfor f in *; do\n  echo $f\ndone\nrm -r x\n",
        "cat <<EOF\nrm -r /\nEOF\necho 'a\nb'\nx=$(\nls\n)\n",
        "if true; then\n  ls\nelse\n  rm x\nfi\nfoo() {\n  ls \\\n  -l\n}\nfoo |\n  wc\n",
        "# a comment\n\nls # more\n[[ -f a &&\n -f b ]]\ncase x in\n x) ls;;\nesac\n",
        "ls\nif (\nrm x\n",
    ];
    for script in scripts {
        let whole = Segmenter::default().push(script);
        for (end, _) in script.char_indices().chain([(script.len(), ' ')]) {
            let given = Segmenter::default().push(&script[..end]);
            assert_eq!(given, whole[..given.len()], "{:?}", &script[..end]);
            assert!(given.iter().map(String::len).sum::<usize>() <= end);
        }
    }
    let given = |script| Segmenter::default().push(script);
    assert_eq!(given(scripts[0]).len(), 3);
    assert_eq!(
        given(scripts[1]),
        [
            "cat <<EOF\nrm -r /\nEOF\n",
            "echo 'a\nb'\n",
            "x=$(\nls\n)\n"
        ]
    );
    assert_eq!(given(scripts[2]).len(), 3);
    assert_eq!(given(scripts[3]).len(), 3);
    assert_eq!(given(scripts[4]), ["ls\n"]);
    assert_eq!(given("ls \\\n-l\nls\n"), ["ls \\\n-l\n", "ls\n"]);
    assert_eq!(given("ls \\\\\n-l\n"), ["ls \\\\\n", "-l\n"]);
    assert_eq!(given("shopt -s extglob\nls\n"), ["shopt -s extglob\n"]);
}
