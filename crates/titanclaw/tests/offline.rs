//! Without any network: the built binary in a network namespace that has a loopback and nothing else.
//!
//! Everything works there, and nothing tries to get out: the namespace counts each packet and connection for which it
//! had no route, so not even an attempt goes unseen; where `strace` is installed, each address is looked at as well. The
//! test starts itself once more inside of such a namespace.

use serde_json::{Value, json};
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

/// Set where the test runs inside; names the home of the person who started it.
const INSIDE: &str = "OFFLINE_INSIDE";

/// The model file that is asked when it is there, and its name.
const LOCAL_FILE: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
const LOCAL: &str = "local/qwen2.5-coder-0.5b";

/// The calls that can name an address.
const CALLS: &str = "trace=connect,sendto,sendmsg,sendmmsg";

#[test]
fn everything_works_without_a_network_and_nothing_tries_to_reach_one() {
    let mut again = Command::new(std::env::current_exe().expect("this test"));
    again
        .args(["the_inside", "--exact", "--nocapture"])
        .env(INSIDE, std::env::var_os("HOME").unwrap_or_default());
    let identity = Identity::of_this_process();
    // SAFETY: system calls only, between fork and exec.
    unsafe { again.pre_exec(move || leave_the_network(&identity)) };
    let output = match again.output() {
        Ok(output) => output,
        Err(error) => {
            return titan_testkit::skip("need:netns", format!("none can be made: {error}"));
        }
    };
    let text = shown(&output);
    print!("{text}");
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

/// The account as the user namespace is told, which an ordinary account needs for the other one.
struct Identity {
    is_root: bool,
    user: String,
    group: String,
}

impl Identity {
    fn of_this_process() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        Self {
            is_root: user == 0,
            user: format!("{user} {user} 1\n"),
            group: format!("{group} {group} 1\n"),
        }
    }
}

/// Moves this process, which has one thread, into a network of its own and switches the loopback on.
fn leave_the_network(identity: &Identity) -> io::Result<()> {
    let checked = |answer: i32| match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let kinds = if identity.is_root {
        libc::CLONE_NEWNET
    } else {
        libc::CLONE_NEWUSER | libc::CLONE_NEWNET
    };
    // SAFETY: takes no pointer.
    checked(unsafe { libc::unshare(kinds) })?;
    if !identity.is_root {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", &identity.user)?;
        std::fs::write("/proc/self/gid_map", &identity.group)?;
    }
    // SAFETY: the request is plain data that lives on this stack, and the socket is closed here.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let raised = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        let raised = checked(raised);
        libc::close(socket);
        raised
    }
}

/// What is started inside. As a test of its own it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inside() {
    let Some(home) = std::env::var_os(INSIDE) else {
        return;
    };
    assert_eq!(unrouted(), 0, "the namespace is new");
    let place = Place::new();
    check_a_day_of_work(&place).await;
    check_the_local_model(&place, Path::new(&home));
    assert_eq!(unrouted(), 0, "something tried to get out");
    check_addresses(&place);
    // The measure itself: whoever tries is counted.
    let outside = "192.0.2.1:80".parse().expect("an address");
    assert!(TcpStream::connect_timeout(&outside, Duration::from_secs(5)).is_err());
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    assert!(socket.send_to(b"x", "192.0.2.1:53").is_err());
    assert!(
        unrouted() >= 2,
        "attempts are not counted here: {}",
        unrouted()
    );
}

/// Setting up, asking, every kind of tool, and what is remembered from one session to the next.
async fn check_a_day_of_work(place: &Place) {
    let call = |name: &str, arguments: Value| Reply::call(name, &arguments.to_string());
    let replies = vec![
        call(
            "write",
            json!({"path": "notes.txt", "content": "tea at five\n"}),
        ),
        // What reads the workspace comes last: with a stranger's words there, notes and the network would be asked about.
        call(
            "remember",
            json!({"text": "The person drinks tea at five."}),
        ),
        call("fetch", json!({"url": "https://example.com/tea"})),
        call("shell", json!({"script": "cat notes.txt; ls"})),
        call("grep", json!({"pattern": "tea"})),
        Reply::text("All done."),
        call("recall", json!({"query": "tea"})),
        Reply::text("At five."),
        Reply::text("Still here."),
    ];
    let server = ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a port");
    let url = format!("{}/v1", server.base_url());
    let onboard = [
        "--offline",
        "onboard",
        "--yes",
        "--url",
        &url,
        "--model",
        "scripted/m",
    ];
    let done = place.run(&onboard);
    assert!(done.status.success(), "{}", shown(&done));

    let allowed = ["read", "write", "run", "network"]
        .map(|kind| ["--allow", kind])
        .concat();
    let ask = |start: &[&str], text: &str| {
        let ask = [start, &["ask", "--json"], &allowed, &[text]].concat();
        tokio::task::block_in_place(|| place.run(&ask))
    };
    let done = ask(&["--offline"], "Work.");
    let text = shown(&done);
    assert!(done.status.success(), "{text}");
    for (tool, wanted) in [
        ("write", ""),
        ("shell", "tea at five"),
        ("grep", "notes.txt"),
        ("remember", ""),
    ] {
        let result = result_of(&text, tool).unwrap_or_else(|| panic!("{tool} did not end: {text}"));
        assert!(
            result.contains(wanted) && !result.contains("\"is_error\":true"),
            "{tool}: {result}"
        );
    }
    let fetched = result_of(&text, "fetch").unwrap_or_else(|| panic!("fetch did not end: {text}"));
    assert!(
        fetched.contains("offline") || fetched.contains("not allowed"),
        "{fetched}"
    );

    let text = shown(&ask(&["--offline"], "When is tea?"));
    let recalled =
        result_of(&text, "recall").unwrap_or_else(|| panic!("recall did not end: {text}"));
    assert!(recalled.contains("tea at five"), "{recalled}");
    // Nothing depends on being told that there is no network.
    let done = ask(&[], "Still there?");
    assert!(
        done.status.success() && shown(&done).contains("here."),
        "{}",
        shown(&done)
    );
}

/// The record of how a tool's call ended, as it was printed.
fn result_of(records: &str, tool: &str) -> Option<String> {
    let events = || {
        records
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    };
    let ready = events().find(|record| {
        record["event"]["event"] == "tool_call_ready" && record["event"]["call"]["name"] == tool
    })?;
    let call = ready["event"]["call"]["id"].clone();
    let is_end = |record: &Value| {
        record["event"]["event"] == "tool_call_ended"
            && record["event"].to_string().contains(&call.to_string())
    };
    events()
        .find(is_end)
        .map(|record| record["event"].to_string())
}

/// The model inside of the binary answers, where its file is.
fn check_the_local_model(place: &Place, home: &Path) {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let file = cache.join("titanclaw/models").join(LOCAL_FILE);
    if !file.exists() {
        return titan_testkit::skip("model:qwen2.5-coder-0.5b", "its file is not in the cache");
    }
    let models = place.folder.path().join(".cache/titanclaw/models");
    std::fs::create_dir_all(&models).expect("a folder");
    std::os::unix::fs::symlink(&file, models.join(LOCAL_FILE)).expect("a link");
    let question = "Do not use a tool. Say hello.";
    let ask = ["--offline", "ask", "--model", LOCAL, question];
    let done = tokio::task::block_in_place(|| place.run(&ask));
    assert!(
        done.status.success() && !done.stdout.is_empty(),
        "{}",
        shown(&done)
    );
}

/// What `strace` saw, if it was there: no address but those of the loopback.
fn check_addresses(place: &Place) {
    let traces: Vec<PathBuf> = std::fs::read_dir(place.traces())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    if traces.is_empty() {
        return titan_testkit::skip(
            "program:strace",
            "it is not installed; the namespace counted alone",
        );
    }
    let mut n_loopback = 0;
    for trace in traces {
        let text = std::fs::read_to_string(trace).expect("text");
        for line in text.lines() {
            match address(line) {
                Some(address) if address.starts_with("127.") || address == "::1" => n_loopback += 1,
                Some(address) => panic!("it spoke to {address}: {line}"),
                None => {}
            }
        }
    }
    assert!(n_loopback > 0, "the server on the loopback was spoken to");
}

/// The address of the internet that a call names.
fn address(line: &str) -> Option<&str> {
    let starts = ["inet_addr(\"", "inet_pton(AF_INET6, \""];
    let rest = starts.iter().find_map(|start| line.split_once(start))?.1;
    rest.split('"').next()
}

#[test]
fn addresses_are_read_from_a_trace() {
    let table = [
        (
            r#"1 connect(9, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16) = -1"#,
            Some("192.0.2.1"),
        ),
        (
            r#"1 connect(9, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0"#,
            Some("::1"),
        ),
        (
            r#"1 connect(9, {sa_family=AF_UNIX, sun_path="/x"}, 110) = 0"#,
            None,
        ),
    ];
    for (line, wanted) in table {
        assert_eq!(address(line), wanted, "{line}");
    }
}

/// Packets and connections of this network for which there was no route, since it was made.
fn unrouted() -> u64 {
    let four = std::fs::read_to_string("/proc/thread-self/net/snmp").expect("the counters");
    let mut lines = four.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let mut both = names.split(' ').zip(values.split(' '));
    let value = both
        .find(|(name, _)| *name == "OutNoRoutes")
        .map(|(_, value)| value);
    let four: u64 = value
        .and_then(|value| value.parse().ok())
        .expect("the counter");
    let six = std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap_or_default();
    let six = six
        .lines()
        .find_map(|line| line.strip_prefix("Ip6OutNoRoutes"));
    four + six
        .and_then(|value| value.trim().parse::<u64>().ok())
        .unwrap_or(0)
}

fn shown(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A home, a workspace, and what was traced.
struct Place {
    folder: tempfile::TempDir,
    strace: Option<PathBuf>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["work", "traces"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|folder| folder.join("strace"));
        let strace = places.find(|path| path.is_file());
        Self { folder, strace }
    }

    fn traces(&self) -> PathBuf {
        self.folder.path().join("traces")
    }

    /// Runs the binary, traced where that can be done.
    fn run(&self, arguments: &[&str]) -> Output {
        let binary = env!("CARGO_BIN_EXE_titanclaw");
        let mut command = match &self.strace {
            Some(strace) => {
                let n = std::fs::read_dir(self.traces())
                    .expect("the folder")
                    .count();
                let mut command = Command::new(strace);
                command.args(["-f", "-qq", "-e", CALLS, "-o"]);
                command.arg(self.traces().join(n.to_string())).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TITANCLAW_HOME", self.folder.path().join("home"))
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null());
        command.output().expect("it starts")
    }
}
