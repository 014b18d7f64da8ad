//! Escapes, each tried twice: by a program as it is, where it must succeed, and by a confined one, where it must not.
//!
//! What tries is this test's own binary, started with the name of an escape in its environment; it makes the system
//! calls itself, so nothing is missing because some program is. The table is tried with everything that this machine
//! has, without namespaces, and, where the tests run as root, as an ordinary account.

use super::super::{HostConfig, HostWorkbench};
use super::{Confinement, Kept};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::io;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use titan_protocol::{Command, Effect, Exit, ProcessEvent, Workbench};

/// The variable that names the escape to try.
const ESCAPE: &str = "ESCAPE";
/// What a program says that got out.
const OUT: &str = "got out";
/// What it says that did not.
const HELD: &str = "held";
/// The ordinary account that tests of root's become.
const ORDINARY: u32 = 1000;

/// Who has to be able to do it when nobody confines them.
#[derive(Clone, Copy, PartialEq)]
enum Control {
    Anybody,
    Root,
    /// The kernel may lack it, or forbid it to all.
    Perhaps,
}

/// No escape, but tried as if it were one.
const SERVE_ITSELF: &str = "serve itself";

type Attempt = fn(&Arena) -> io::Result<()>;

/// Where an escape is tried from, as both sides know it.
struct Arena {
    outside: PathBuf,
    person: PathBuf,
    engine: u32,
    victim: i32,
    port: u16,
}

impl Arena {
    fn variables(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("OUTSIDE".to_owned(), self.outside.display().to_string()),
            ("PERSON".to_owned(), self.person.display().to_string()),
            ("ENGINE".to_owned(), self.engine.to_string()),
            ("VICTIM".to_owned(), self.victim.to_string()),
            ("PORT".to_owned(), self.port.to_string()),
        ])
    }

    fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).unwrap();
        Self {
            outside: PathBuf::from(text("OUTSIDE")),
            person: PathBuf::from(text("PERSON")),
            engine: text("ENGINE").parse().unwrap(),
            victim: text("VICTIM").parse().unwrap(),
            port: text("PORT").parse().unwrap(),
        }
    }
}

#[rustfmt::skip] // A table.
const ESCAPES: &[(&str, Control, Attempt)] = &[
    ("write a file outside", Control::Anybody, |a| std::fs::write(a.outside.join("new"), "x")),
    ("change a file outside", Control::Anybody, |a| std::fs::write(a.outside.join("file"), "x")),
    ("make a folder outside", Control::Anybody, |a| std::fs::create_dir(a.outside.join("folder"))),
    ("delete a file outside", Control::Anybody, |a| std::fs::remove_file(a.outside.join("doomed"))),
    ("write through a link", Control::Anybody, |_| std::fs::write("link/through", "x")),
    ("read a file outside", Control::Anybody, |a| read(&a.outside.join("file"))),
    ("list a folder outside", Control::Anybody, |a| std::fs::read_dir(&a.outside).map(drop)),
    ("link a file in", Control::Anybody, |a| std::fs::hard_link(a.outside.join("file"), "linked").and_then(|()| read(Path::new("linked")))),
    ("link a file out", Control::Anybody, |a| std::fs::hard_link("own", a.outside.join("linked-out"))),
    ("move a file out", Control::Anybody, |a| std::fs::rename("movable", a.outside.join("moved"))),
    ("change a mode outside", Control::Anybody, |a| std::fs::set_permissions(a.outside.join("file"), PermissionsExt::from_mode(0o777))),
    ("change a time outside", Control::Anybody, |a| std::fs::File::open(a.outside.join("file")).and_then(|f| f.set_modified(std::time::UNIX_EPOCH)).or_else(|_| touch(&a.outside.join("file")))),
    ("read an SSH key", Control::Anybody, |a| read(&a.person.join(".ssh/id_ed25519"))),
    ("read a cloud key", Control::Anybody, |a| read(&a.person.join(".aws/credentials"))),
    ("read a registry token", Control::Anybody, |a| read(&a.person.join(".cargo/credentials.toml"))),
    ("read the person's documents", Control::Anybody, |a| read(&a.person.join("documents/diary"))),
    ("write the person's shell start", Control::Anybody, |a| std::fs::write(a.person.join(".bashrc"), "evil")),
    ("read the engine's home", Control::Anybody, |a| read(&a.person.join(".titanclaw/key"))),
    ("write the engine's home", Control::Anybody, |a| std::fs::write(a.person.join(".titanclaw/config.toml"), "")),
    ("read the system's passwords", Control::Root, |_| read(Path::new("/etc/shadow"))),
    ("connect by TCP", Control::Anybody, |a| TcpStream::connect(("127.0.0.1", a.port)).map(drop)),
    ("listen by TCP", Control::Anybody, |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("send by UDP", Control::Anybody, |a| send_by_udp(a.port)),
    ("connect to an abstract socket", Control::Anybody, |a| UnixStream::connect_addr(&abstract_name(a.port)).map(drop)),
    ("connect to a socket outside", Control::Anybody, |a| UnixStream::connect(a.outside.join("docker.sock")).map(drop)),
    ("connect to a socket inside", Control::Anybody, |_| UnixStream::connect("socket").map(drop)),
    ("send to a socket outside", Control::Anybody, |a| UnixDatagram::unbound()?.send_to(b"x", a.outside.join("datagrams")).map(drop)),
    ("ask the kernel by netlink", Control::Anybody, |_| sys(libc::SYS_socket, [16, 3, 0, 0, 0])),
    ("trace a process", Control::Anybody, |a| sys(libc::SYS_ptrace, [0x4206, a.victim.into(), 0, 0, 0])),
    ("read a process's memory by call", Control::Anybody, |a| read_memory(a.victim)),
    ("read the engine's environment", Control::Anybody, |a| read(&proc(a, "environ"))),
    ("read the engine's memory", Control::Anybody, |a| std::fs::File::open(proc(a, "mem")).map(drop)),
    ("read through the engine's root", Control::Anybody, |a| read(&proc(a, "root").join(a.outside.strip_prefix("/").unwrap()).join("file"))),
    ("read through the engine's folder", Control::Anybody, |a| std::fs::read_dir(proc(a, "cwd")).map(drop)),
    ("look at the engine's descriptors", Control::Anybody, |a| std::fs::read_link(proc(a, "fd/0")).map(drop)),
    ("read the warden's environment", Control::Perhaps, |_| read(Path::new("/proc/1/environ"))),
    ("read the parent's environment", Control::Anybody, |_| read(&PathBuf::from(format!("/proc/{}/environ", std::os::unix::process::parent_id())))),
    ("signal the engine", Control::Anybody, |a| sys(libc::SYS_kill, [a.engine.into(), 0, 0, 0, 0])),
    ("kill another process", Control::Anybody, |a| sys(libc::SYS_kill, [a.victim.into(), libc::SIGCONT.into(), 0, 0, 0])),
    ("take a process's descriptor", Control::Anybody, |a| sys(libc::SYS_pidfd_open, [a.engine.into(), 0, 0, 0, 0])),
    ("mount something", Control::Root, |_| mount()),
    ("make a user namespace", Control::Perhaps, |_| sys(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0])),
    ("make a namespace with a process", Control::Perhaps, |_| clone(libc::CLONE_NEWUSER)),
    ("change the root", Control::Root, |_| sys(libc::SYS_chroot, [c".".as_ptr() as libc::c_long, 0, 0, 0, 0])),
    ("set up io_uring", Control::Perhaps, |_| io_uring()),
    ("load a kernel program", Control::Perhaps, |_| sys(libc::SYS_bpf, [0, [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0].as_ptr() as libc::c_long, 48, 0, 0])),
    ("use the keyring", Control::Perhaps, |_| sys(libc::SYS_keyctl, [0, -3, 1, 0, 0])),
    ("catch page faults", Control::Perhaps, |_| sys(libc::SYS_userfaultfd, [1, 0, 0, 0, 0])),
    ("set the clock", Control::Root, |_| sys(libc::SYS_adjtimex, [[0_u64; 64].as_mut_ptr() as libc::c_long, 0, 0, 0, 0])),
    ("make a device", Control::Root, |_| sys(libc::SYS_mknodat, [libc::AT_FDCWD.into(), c"disk".as_ptr() as libc::c_long, (libc::S_IFCHR | 0o600).into(), 0x0103, 0])),
    ("become somebody else by a set-user-id program", Control::Root, |_| become_other()),
    ("change an existing hook", Control::Anybody, |_| std::fs::write(".git/hooks/pre-commit", "evil")),
    ("make a new hook", Control::Anybody, |_| std::fs::write(".git/hooks/post-commit", "evil")),
    ("change git's settings", Control::Anybody, |_| std::fs::write(".git/config", "[core]\nfsmonitor=evil\n")),
    ("put a new file over git's settings", Control::Anybody, |_| std::fs::write("fresh", "").and_then(|()| std::fs::rename("fresh", ".git/config"))),
    ("put another folder in the repository's place", Control::Anybody, |_| std::fs::rename(".git", "old").and_then(|()| std::fs::create_dir(".git"))),
    ("delete the hooks", Control::Anybody, |_| std::fs::remove_dir_all(".git/hooks")),
    ("point the repository elsewhere", Control::Anybody, |_| std::fs::write(".git/commondir", "../evil")),
    ("change a hook below", Control::Anybody, |_| std::fs::write("vendor/r/.git/hooks/pre-commit", "evil")),
    ("change git's settings below", Control::Anybody, |_| std::fs::write("vendor/r/.git/config", "[core]\nfsmonitor=evil\n")),
    ("change the instructions", Control::Anybody, |_| std::fs::write("CLAUDE.md", "evil")),
    ("put a new file over the instructions", Control::Anybody, |_| std::fs::write("fresh2", "evil").and_then(|()| std::fs::rename("fresh2", "CLAUDE.md"))),
    ("make instructions", Control::Anybody, |_| std::fs::write("AGENTS.md", "evil")),
    ("make settings for others", Control::Anybody, |_| std::fs::create_dir(".claude").and_then(|()| std::fs::write(".claude/settings.json", "{}"))),
    ("make policy", Control::Anybody, |_| std::fs::create_dir(".titanclaw")),
    ("write a file beyond its bound", Control::Anybody, |_| beyond_the_bound()),
    ("take memory without end", Control::Perhaps, |_| take_memory()),
    ("fork without end", Control::Anybody, |_| fork_without_end()),
    ("start a program without its confinement", Control::Perhaps, |a| start_unconfined(&a.person)),
    (SERVE_ITSELF, Control::Perhaps, |_| serve_itself()),
    ("leave a core dump", Control::Anybody, |_| core_limit()),
];

fn read(path: &Path) -> io::Result<()> {
    read_one(&mut std::fs::File::open(path)?)
}

fn read_one(from: &mut impl Read) -> io::Result<()> {
    let mut byte = [0];
    from.read_exact(&mut byte)
}

fn proc(arena: &Arena, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", arena.engine))
}

fn abstract_name(port: u16) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("titan-{port}")).unwrap()
}

fn sys(number: libc::c_long, arguments: [libc::c_long; 5]) -> io::Result<()> {
    super::sys::call(number, arguments).map(drop)
}

fn touch(path: &Path) -> io::Result<()> {
    let path = super::sys::c_path(path)?;
    sys(
        libc::SYS_utimensat,
        [
            libc::AT_FDCWD.into(),
            path.as_ptr() as libc::c_long,
            0,
            0,
            0,
        ],
    )
}

/// Whether somebody hears: where nobody does, the second one is refused.
fn send_by_udp(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(("127.0.0.1", port))?;
    socket.send(b"x")?;
    socket.send(b"x").map(drop)
}

/// What programs without leave for the network may do among themselves.
fn serve_itself() -> io::Result<()> {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = TcpListener::bind(address)?;
        let mut client = TcpStream::connect(server.local_addr()?)?;
        client.write_all(b"x")?;
        read_one(&mut server.accept()?.0)?;
    }
    let outside =
        TcpStream::connect_timeout(&"192.0.2.1:80".parse().unwrap(), Duration::from_secs(5));
    match outside {
        Err(error) if error.raw_os_error() == Some(libc::ENETUNREACH) => Ok(()),
        other => Err(io::Error::other(format!("outside: {other:?}"))),
    }
}

fn mount() -> io::Result<()> {
    let text = |text: &std::ffi::CStr| text.as_ptr() as libc::c_long;
    std::fs::create_dir_all("mountpoint")?;
    // In a namespace of its own, so that the control leaves nothing behind.
    let _ = sys(libc::SYS_unshare, [libc::CLONE_NEWNS.into(), 0, 0, 0, 0]);
    sys(
        libc::SYS_mount,
        [
            text(c"t"),
            text(c"mountpoint"),
            text(c"tmpfs"),
            0,
            text(c""),
        ],
    )
}

fn clone(flags: i32) -> io::Result<()> {
    match super::sys::fork(flags)? {
        0 => super::sys::exit(0),
        _ => Ok(()),
    }
}

fn io_uring() -> io::Result<()> {
    let mut parameters = [0_u8; 256];
    sys(
        libc::SYS_io_uring_setup,
        [1, parameters.as_mut_ptr() as libc::c_long, 0, 0, 0],
    )
}

fn read_memory(process: i32) -> io::Result<()> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let first = maps.split('-').next().unwrap();
    let mut byte = [0_u8];
    let vector = |base: libc::c_long| [base, 1];
    let local = vector(byte.as_mut_ptr() as libc::c_long);
    let remote = vector(i64::from_str_radix(first, 16).unwrap());
    // SAFETY: the byte and both vectors live on this stack.
    match unsafe {
        libc::process_vm_readv(
            process,
            local.as_ptr().cast(),
            1,
            remote.as_ptr().cast(),
            1,
            0,
        )
    } {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn become_other() -> io::Result<()> {
    let output = std::process::Command::new("./set-user-id")
        .arg("-u")
        .output()?;
    let user: u32 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap_or(0);
    match user {
        65534 => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EPERM)),
    }
}

fn beyond_the_bound() -> io::Result<()> {
    // Ignored, so that the call fails instead.
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let file = std::fs::File::create("large")?;
    let made = file.set_len(super::FILE_BYTES_MAX + 1);
    std::fs::remove_file("large")?;
    made
}

fn take_memory() -> io::Result<()> {
    let bytes = super::memory_bytes_max() as usize + 1;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping that nobody else uses.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    match place == libc::MAP_FAILED {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

fn fork_without_end() -> io::Result<()> {
    let mut children = Vec::new();
    let mut last = Ok(());
    for _ in 0..=super::PROCESSES_MAX {
        match super::sys::fork(0) {
            Ok(0) => loop {
                // SAFETY: waits for the signal that ends it.
                unsafe { libc::pause() };
            },
            Ok(child) => children.push(child),
            Err(error) => {
                last = Err(error);
                break;
            }
        }
    }
    for child in children {
        super::sys::kill(child, libc::SIGKILL);
    }
    last
}

/// An engine that believes in namespaces where there can be none.
fn start_unconfined(person: &Path) -> io::Result<()> {
    let config = HostConfig {
        home: person.join(".titanclaw"),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
    };
    let workbench = HostWorkbench::open(Path::new("."), config).map_err(io::Error::other)?;
    let believed = Confinement {
        namespaces: OnceLock::from(Some(super::Namespaces {
            user: true,
            proc: true,
            network: true,
        })),
        ..Confinement::of_this_machine().clone()
    };
    workbench.shared.bounds.machine.set(believed).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let first = runtime.block_on(async { workbench.run(shell("echo ran")).next().await });
    first.unwrap().map(drop).map_err(io::Error::other)
}

fn core_limit() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives on this stack.
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    match limit.rlim_max {
        0 => Err(io::Error::from_raw_os_error(libc::EPERM)),
        _ => Ok(()),
    }
}

/// What the matrix starts: tries the escape that its environment names. As a test of its own it has nothing to do.
#[test]
fn the_attempt_itself() {
    let Ok(name) = std::env::var(ESCAPE) else {
        return;
    };
    let (_, _, attempt) = ESCAPES.iter().find(|(known, _, _)| *known == name).unwrap();
    let text = match attempt(&Arena::from_environment()) {
        Ok(()) => OUT.to_owned(),
        Err(error) => format!("{HELD}: {error}"),
    };
    println!("{text}");
    let _ = io::stdout().flush();
    super::sys::exit(0);
}

const THE_ATTEMPT: [&str; 3] = [
    "host::confine::tests::the_attempt_itself",
    "--exact",
    "--nocapture",
];

/// A machine with something to steal, in a temporary folder.
struct Machine {
    folder: TempDir,
    victim: Child,
    tcp: TcpListener,
    _sockets: (UnixListener, UnixListener, UnixListener, UnixDatagram),
    _udp: UdpSocket,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// Both on one port.
fn listen() -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (tcp, udp);
        }
    }
}

const FILES: [(&str, &str); 17] = [
    ("work/own", "mine"),
    ("work/movable", "mine"),
    ("work/CLAUDE.md", "be kind"),
    ("work/.git/HEAD", "ref: refs/heads/main\n"),
    ("work/.git/config", "[core]\n"),
    ("work/.git/hooks/pre-commit", "true"),
    ("work/vendor/r/.git/config", "[core]\n"),
    ("work/vendor/r/.git/hooks/pre-commit", "true"),
    ("outside/file", "theirs"),
    ("outside/doomed", "theirs"),
    ("person/.ssh/id_ed25519", "key"),
    ("person/.aws/credentials", "key"),
    ("person/.cargo/credentials.toml", "key"),
    ("person/.cargo/config.toml", ""),
    ("person/documents/diary", "dear"),
    ("person/.bashrc", ""),
    ("person/.titanclaw/key", "key"),
];

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (name, content) in FILES {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), content).unwrap();
        }
        symlink(root.join("outside"), root.join("work/link")).unwrap();
        if rustix::process::geteuid().is_root() {
            let program = root.join("work/set-user-id");
            std::fs::copy("/usr/bin/id", &program).unwrap();
            std::os::unix::fs::chown(&program, Some(65534), None).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
        }
        let (tcp, udp) = listen();
        let port = tcp.local_addr().unwrap().port();
        let sockets = (
            UnixListener::bind_addr(&abstract_name(port)).unwrap(),
            UnixListener::bind(root.join("outside/docker.sock")).unwrap(),
            UnixListener::bind(root.join("work/socket")).unwrap(),
            UnixDatagram::bind(root.join("outside/datagrams")).unwrap(),
        );
        let victim = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        Self {
            folder,
            victim,
            tcp,
            _sockets: sockets,
            _udp: udp,
        }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(inner)
    }

    fn arena(&self) -> Arena {
        Arena {
            outside: self.path("outside"),
            person: self.path("person"),
            engine: std::process::id(),
            victim: self.victim.id() as i32,
            port: self.tcp.local_addr().unwrap().port(),
        }
    }

    fn workbench(&self, machine: &Confinement) -> HostWorkbench {
        let config = HostConfig {
            home: self.path("person/.titanclaw"),
            environment: BTreeMap::from([
                ("HOME".to_owned(), self.path("person").display().to_string()),
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ]),
        };
        let workbench = HostWorkbench::open(&self.path("work"), config).unwrap();
        workbench
            .shared
            .bounds
            .machine
            .set(machine.clone())
            .unwrap();
        workbench
    }
}

/// Tries an escape without confinement. What it said.
fn control(machine: &Machine, name: &str) -> String {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(THE_ATTEMPT)
        .current_dir(machine.path("work"))
        .envs(machine.arena().variables())
        .env(ESCAPE, name)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Tries an escape confined. What it said.
async fn confined(machine: &Machine, on: &Confinement, name: &str) -> String {
    let program = std::env::current_exe().unwrap().display().to_string();
    let mut environment = machine.arena().variables();
    environment.insert(ESCAPE.to_owned(), name.to_owned());
    let command = Command {
        program,
        arguments: THE_ATTEMPT.map(str::to_owned).to_vec(),
        environment,
        ..shell("")
    };
    let place = for_this_binary(machine.workbench(on));
    let (output, _) = run(place.as_ref(), command).await;
    output
}

/// The workbench, with leave to start this test's own binary.
fn for_this_binary(workbench: HostWorkbench) -> Arc<dyn Workbench> {
    let run = Effect::Run {
        program: std::env::current_exe().unwrap().display().to_string(),
        arguments: Vec::new(),
        reads_only: false,
    };
    workbench.for_step(&[run]).unwrap()
}

fn shell(script: &str) -> Command {
    Command {
        program: "sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        directory: None,
        environment: BTreeMap::new(),
        wall_clock_max: Duration::from_secs(120),
        output_bytes_max: 10_000_000,
    }
}

/// Both outputs as one text, and the exit.
async fn run(workbench: &dyn Workbench, command: Command) -> (String, Exit) {
    let mut output = Vec::new();
    let mut events = workbench.run(command);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ProcessEvent::Stdout(bytes) | ProcessEvent::Stderr(bytes) => {
                output.extend_from_slice(&bytes);
            }
            ProcessEvent::Exited(exit) => {
                return (String::from_utf8_lossy(&output).into_owned(), exit);
            }
        }
    }
    panic!("no exit");
}

/// What must be as it was when a confined program has ended, whatever it was allowed to say.
fn is_intact(machine: &Machine, on: &Confinement) -> bool {
    let is_same = |(name, content): &(&str, &str)| {
        std::fs::read_to_string(machine.path(name)).is_ok_and(|now| now == *content)
    };
    let absent = [
        "work/AGENTS.md",
        "work/.claude",
        "work/.titanclaw",
        "work/.git/hooks/post-commit",
        "work/.git/commondir",
    ];
    // Without namespaces a repository can be moved; what is guarded in it is then put back into the new one.
    let guarded = |(name, _): &&(&str, &str)| {
        *name != "work/movable" && (on.namespaces().is_some() || *name != "work/.git/HEAD")
    };
    FILES.iter().filter(guarded).all(is_same)
        && absent
            .iter()
            .all(|name| machine.path(name).symlink_metadata().is_err())
}

/// Escapes that succeed for the moment and are undone when the program has ended.
fn is_undone(name: &str, on: &Confinement) -> bool {
    let absent = [
        "make instructions",
        "make settings for others",
        "make policy",
        "point the repository elsewhere",
    ];
    let there = [
        "change an existing hook",
        "make a new hook",
        "change git's settings",
        "put a new file over git's settings",
        "put another folder in the repository's place",
        "delete the hooks",
        "change a hook below",
        "change git's settings below",
        "change the instructions",
        "put a new file over the instructions",
    ];
    absent.contains(&name) || (on.namespaces().is_none() && there.contains(&name))
}

/// Escapes that are not prevented without namespaces, as `doctor` says.
const NEEDS_NAMESPACES: [&str; 4] = [
    "change a mode outside",
    "change a time outside",
    // Which shows that there is such a process, and no more.
    "take a process's descriptor",
    // Root is not counted.
    "fork without end",
];

/// What reaches nobody else in a network of the program's own.
const AMONG_THEMSELVES: [&str; 2] = ["listen by TCP", "ask the kernel by netlink"];

async fn check_escapes(on: &Confinement) {
    let is_root = rustix::process::geteuid().is_root();
    let mut failures = Vec::new();
    for (name, who, _) in ESCAPES {
        let is_alone = on.namespaces().is_some_and(|namespaces| namespaces.network);
        let is_no_escape = (is_alone && AMONG_THEMSELVES.contains(name)) || *name == SERVE_ITSELF;
        if is_no_escape || (on.namespaces().is_none() && NEEDS_NAMESPACES.contains(name)) {
            continue;
        }
        let machine = Machine::new();
        let said = confined(&machine, on, name).await;
        let is_held = said.contains(HELD) || (said.contains(OUT) && is_undone(name, on));
        if !is_held || !is_intact(&machine, on) {
            failures.push(format!("{name}: confined, it said {said:?}"));
        }
        let must_succeed = *who == Control::Anybody || (*who == Control::Root && is_root);
        let said = control(&Machine::new(), name);
        if must_succeed && !said.contains(OUT) {
            failures.push(format!("{name}: unconfined, it said {said:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn without_namespaces() -> Confinement {
    Confinement {
        namespaces: OnceLock::from(None),
        ..Confinement::of_this_machine().clone()
    }
}

fn is_sound_or_skipped() -> bool {
    let is_sound = Confinement::of_this_machine().is_sound();
    if !is_sound {
        titan_testkit::skip("kernel:landlock", "programs can't be confined here");
    }
    is_sound
}

#[tokio::test]
async fn s13_s15_s16_no_escape_succeeds() {
    if is_sound_or_skipped() {
        check_escapes(Confinement::of_this_machine()).await;
    }
}

#[tokio::test]
async fn s15_no_escape_succeeds_without_namespaces() {
    if is_sound_or_skipped() {
        check_escapes(&without_namespaces()).await;
    }
}

/// Runs tests of this binary as an ordinary account. `None` where that can't be done.
fn as_ordinary(test: &str) -> Option<std::process::Output> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command
        .args([test, "--exact", "--nocapture"])
        .current_dir("/");
    command.env("TMPDIR", "/tmp").env("HOME", "/nonexistent");
    command.uid(ORDINARY).gid(ORDINARY);
    Some(command.output().unwrap())
}

#[test]
fn s15_no_escape_succeeds_for_an_ordinary_account() {
    let both = [
        "s13_s15_s16_no_escape_succeeds",
        "s15_no_escape_succeeds_without_namespaces",
    ];
    for test in both {
        let Some(output) = as_ordinary(&format!("host::confine::tests::{test}")) else {
            return titan_testkit::skip(
                "account:root",
                "the tests run as an ordinary account already",
            );
        };
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{test}: {text}"
        );
    }
}

/// A pipe that processes hold open; the end of the pipe is the end of them all.
fn holders(machine: &Machine) -> tokio::task::JoinHandle<()> {
    let alive = machine.path("work/alive");
    let made = std::process::Command::new("mkfifo")
        .arg(&alive)
        .status()
        .unwrap();
    assert!(made.success());
    tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::File::open(alive).unwrap();
        pipe.read_to_end(&mut Vec::new()).unwrap();
    })
}

/// A job, a daemon by double fork, and one that sheds its session, its environment and its parent, and hears nothing.
const DAEMONS: &str = "exec 9>alive
sleep 600 &
(setsid sleep 600 &)
(env -i setsid sh -c 'trap \"\" TERM HUP INT; (setsid sh -c \"trap : TERM; sleep 600; sleep 600\" &)' &)
(env -i setsid nohup setsid sleep 600 >/dev/null 2>&1 &)
";

async fn check_daemons_end(on: &Confinement) {
    let ends: [(&str, Option<Duration>); 2] = [
        ("", None),
        ("wait; sleep 600", Some(Duration::from_millis(300))),
    ];
    for (rest, limit) in ends {
        let machine = Machine::new();
        let gone = holders(&machine);
        let workbench = machine.workbench(on);
        let command = Command {
            wall_clock_max: limit.unwrap_or(Duration::from_secs(60)),
            ..shell(&format!("{DAEMONS}{rest}"))
        };
        let begun = Instant::now();
        run(&workbench, command).await;
        gone.await.unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn x23_daemons_end_with_the_program_that_made_them() {
    check_daemons_end(Confinement::of_this_machine()).await;
    check_daemons_end(&without_namespaces()).await;
}

/// What the next test starts and kills: an engine with a program that leaves daemons. As a test of its own it has
/// nothing to do.
#[tokio::test]
async fn the_engine_itself() {
    let Ok(root) = std::env::var("ENGINE_ROOT") else {
        return;
    };
    let config = HostConfig {
        home: Path::new(&root).join("person/.titanclaw"),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
    };
    let workbench = HostWorkbench::open(&Path::new(&root).join("work"), config).unwrap();
    if std::env::var_os("ENGINE_BARE").is_some() {
        workbench
            .shared
            .bounds
            .machine
            .set(without_namespaces())
            .unwrap();
    }
    let script = format!("{DAEMONS} echo evil >AGENTS.md; echo ready; sleep 600");
    let mut events = workbench.run(shell(&script));
    while let Some(event) = events.next().await {
        if let Ok(ProcessEvent::Stdout(bytes)) = event {
            io::stdout().write_all(&bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn x23_a_killed_engine_leaves_no_program_behind() {
    for is_bare in [false, true] {
        let machine = Machine::new();
        let gone = holders(&machine);
        let mut engine = std::process::Command::new(std::env::current_exe().unwrap());
        engine
            .args([
                "host::confine::tests::the_engine_itself",
                "--exact",
                "--nocapture",
            ])
            .env("ENGINE_ROOT", machine.path(""))
            .stdout(Stdio::piped());
        if is_bare {
            engine.env("ENGINE_BARE", "1");
        }
        let mut engine = engine.spawn().unwrap();
        let mut lines = io::BufRead::lines(io::BufReader::new(engine.stdout.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        assert!(!gone.is_finished());
        let killed = Instant::now();
        engine.kill().unwrap();
        gone.await.unwrap();
        assert!(
            killed.elapsed() < Duration::from_secs(2),
            "{:?}",
            killed.elapsed()
        );
        engine.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while machine.path("work/AGENTS.md").exists() {
            assert!(
                Instant::now() < deadline,
                "what the program wrote is left to be believed"
            );
            tokio::task::yield_now().await;
        }
        assert!(machine.path("work/AGENTS.md.set-aside").exists());
    }
}

/// Everyday work, and something of what it must print. The first word is the program that it needs.
#[rustfmt::skip] // A table.
const WORK: &[(&str, &str, &str)] = &[
    ("git", "mkdir r && cd r && git init -q . && echo x >f && git add f && git commit -qm first && git log --format=%s", "first"),
    ("git", "git init -q . && git status --short | head -3; git stash list; git add own && git commit -qm second && git show -s --format=%s", "second"),
    ("cargo", r#"mkdir -p c/src && cd c && printf '[package]\nname="c"\nversion="0.1.0"\nedition="2021"\n[workspace]\n' >Cargo.toml && echo '#[test] fn t() {}' >src/lib.rs && cargo check --offline 2>&1 && cargo test --offline 2>&1"#, "1 passed"),
    ("python3", "python3 - <<'E'\nimport tempfile, subprocess, socket\nf = tempfile.NamedTemporaryFile(); f.write(b'x')\na, b = socket.socketpair(); a.send(b'y'); b.recv(1)\nprint(subprocess.check_output(['echo', 'child']).decode())\nE", "child"),
    ("python3", "python3 -m venv --without-pip v && ./v/bin/python -c 'print(6*7)'", "42"),
    ("python3", "python3 -m pip --version", "pip"),
    ("python3", "cat >m.py <<'E'\nimport multiprocessing as m\ndef f(x): return x * 2\nif __name__ == '__main__':\n  for how in ['fork', 'spawn']:\n    with m.get_context(how).Pool(2) as p: print(how, p.map(f, [1, 2, 3]))\n  q = m.Queue(); s = m.Semaphore(); s.acquire(); q.put(1); print('got', q.get())\nE\npython3 m.py", "spawn [2, 4, 6]\ngot 1"),
    ("python3", "python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 & p=$!; python3 - <<'E'\nimport urllib.request, time\nfor _ in range(500):\n  try: print(urllib.request.urlopen('http://127.0.0.1:8000/').status); break\n  except OSError: time.sleep(0.01)\nE\nkill $p", "200"),
    ("cargo", r#"mkdir -p c/src && cd c && printf '[package]\nname="c"\nversion="0.1.0"\nedition="2021"\n[workspace]\n' >Cargo.toml && echo '#[test] fn t() { let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); std::net::TcpStream::connect(l.local_addr().unwrap()).unwrap(); }' >src/lib.rs && cargo test --offline 2>&1"#, "1 passed"),
    ("node", r#"node -e 'require("child_process").exec("echo child", (e, o) => console.log(o))'"#, "child"),
    ("npm", "mkdir n && cd n && npm init -y >/dev/null 2>&1; cat package.json", r#""name": "n""#),
    ("bash", "bash -c 'diff <(echo a) <(echo a) && echo same'", "same"),
    ("bash", "bash -c 'set -m; sleep 0.05 & jobs; fg %1 >/dev/null; echo done'", "done"),
    ("sh", "cat <<E | tr a-z A-Z | tee out >/dev/null; cat out\nshout\nE", "SHOUT"),
    ("sh", "f=$(mktemp) && echo kept >$f && cat $f && rm $f; d=$(mktemp -d) && cd $d && pwd", "kept"),
    ("sh", "echo to >/dev/stdout; echo no >/dev/null; head -c4 /dev/urandom | wc -c", "4"),
    ("sh", "mkdir -p a/b && mv a c && cp -r c d && ln -s c e && ls e && rm -r c d e && mkfifo p && echo made", "made"),
    ("ps", "ps -e | wc -l; id -u; uname -s; nproc; date; df . >/dev/null; ls /usr/bin >/dev/null && echo looked", "looked"),
    ("make", "printf 'all: a b\na b:\n\t@echo $@\n' >Makefile && make -s -j4", "a"),
    ("cc", "echo 'int main(){return 0;}' >m.c && cc -o m m.c && ./m && echo compiled", "compiled"),
];

async fn check_work(on: &Confinement) {
    let mut failures = Vec::new();
    for (program, script, wanted) in WORK {
        let machine = Machine::new();
        std::fs::remove_dir_all(machine.path("work/.git")).unwrap();
        let config = HostConfig {
            home: machine.path("person/.titanclaw"),
            environment: std::env::vars().collect(),
        };
        let workbench = HostWorkbench::open(&machine.path("work"), config).unwrap();
        workbench.shared.bounds.machine.set(on.clone()).unwrap();
        let is_alone = on.namespaces().is_some_and(|namespaces| namespaces.network);
        let needs_it = ["127.0.0.1", "multiprocessing"]
            .iter()
            .any(|part| script.contains(part));
        if needs_it && !is_alone {
            // No loopback, and no shared memory but everybody's: so by design without namespaces.
            if on.namespaces().is_some() {
                let why = "programs have no network of their own here";
                titan_testkit::skip("kernel:network-namespaces", why);
            }
            continue;
        }
        if workbench.which(program).await.is_none() {
            titan_testkit::skip(&format!("program:{program}"), "it is not installed");
            continue;
        }
        let script =
            format!("git() {{ command git -c user.name=A -c user.email=a@b \"$@\"; }}; {script}");
        let (output, exit) = run(&workbench, shell(&script)).await;
        if exit != Exit::Status(0) || !output.contains(wanted) {
            failures.push(format!("{script}\n=> {exit:?}: {output}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test]
async fn everyday_work_goes_on() {
    check_work(Confinement::of_this_machine()).await;
}

#[tokio::test]
async fn everyday_work_goes_on_without_namespaces() {
    check_work(&without_namespaces()).await;
}

async fn said(workbench: &dyn Workbench, script: &str) -> String {
    // One stream, so that what is said keeps its order.
    run(workbench, shell(&format!("exec 2>&1; {script}")))
        .await
        .0
}

#[tokio::test]
async fn s15_an_approved_effect_opens_what_it_names_and_nothing_else() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let workbench = machine.workbench(&on);
        let outside = |name: &str| machine.path("outside").join(name);
        let read = |path: PathBuf| Effect::Read {
            path,
            in_workspace: false,
        };
        let shown = outside("").display().to_string();
        let file = workbench.for_step(&[read(outside("file"))]).unwrap();
        assert_eq!(
            said(file.as_ref(), &format!("cat {shown}/file")).await,
            "theirs"
        );
        assert!(
            said(file.as_ref(), &format!("cat {shown}/doomed"))
                .await
                .contains("denied")
        );
        let changed = workbench.for_step(&[write(outside("file"))]).unwrap();
        let script = format!("echo new >{shown}/file && cat {shown}/file; echo x >{shown}/doomed");
        let text = said(changed.as_ref(), &script).await;
        assert!(
            text.starts_with("new\n") && text.contains("doomed"),
            "{text}"
        );
        let folder = workbench.for_step(&[write(outside("inner/new"))]).unwrap();
        let script =
            format!("mkdir {shown}/inner && echo made >{shown}/inner/new && cat {shown}/inner/new");
        assert_eq!(said(folder.as_ref(), &script).await, "made\n");
        // A yes to what could not be read from the script opens nothing.
        let vague = workbench
            .for_step(&[write(PathBuf::from("/")), read(PathBuf::from("/"))])
            .unwrap();
        assert!(
            said(vague.as_ref(), &format!("cat {shown}/doomed"))
                .await
                .contains("denied")
        );
        // What is secret stays so below a folder that is open, unless it is named.
        let person = machine.path("person").display().to_string();
        let home = workbench.for_step(&[read(machine.path("person"))]).unwrap();
        let script = format!(
            "cat {person}/documents/diary; cat {person}/.ssh/id_ed25519 {person}/.titanclaw/key"
        );
        let text = said(home.as_ref(), &script).await;
        assert!(
            text.starts_with("dear") && !text.contains("key\n") && !text.ends_with("key"),
            "{text}"
        );
        let named = workbench
            .for_step(&[read(machine.path("person/.ssh/id_ed25519"))])
            .unwrap();
        assert_eq!(
            said(named.as_ref(), &format!("cat {person}/.ssh/id_ed25519")).await,
            "key"
        );
        let engine = workbench
            .for_step(&[read(machine.path("person/.titanclaw/key"))])
            .unwrap();
        assert!(
            !said(engine.as_ref(), &format!("cat {person}/.titanclaw/key"))
                .await
                .starts_with("key")
        );
    }
}

#[tokio::test]
async fn the_network_is_there_for_a_step_that_was_allowed_it() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let program = std::env::current_exe().unwrap().display().to_string();
        let effects = [
            Effect::Network {
                host: "localhost".to_owned(),
                port: 443,
            },
            Effect::Run {
                program: program.clone(),
                arguments: Vec::new(),
                reads_only: false,
            },
        ];
        let workbench = machine.workbench(&on).for_step(&effects).unwrap();
        let table = [
            ("connect by TCP", OUT),
            ("send by UDP", OUT),
            ("connect to an abstract socket", HELD),
            ("read an SSH key", HELD),
        ];
        for (name, wanted) in table {
            let mut environment = machine.arena().variables();
            environment.insert(ESCAPE.to_owned(), name.to_owned());
            let command = Command {
                program: program.clone(),
                arguments: THE_ATTEMPT.map(str::to_owned).to_vec(),
                environment,
                ..shell("")
            };
            let (text, _) = run(workbench.as_ref(), command).await;
            assert!(text.contains(wanted), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn programs_without_leave_for_the_network_have_one_of_their_own() {
    let on = Confinement::of_this_machine();
    if !on.namespaces().is_some_and(|namespaces| namespaces.network) {
        return titan_testkit::skip("kernel:network-namespaces", "none can be made here");
    }
    let said = confined(&Machine::new(), on, SERVE_ITSELF).await;
    assert!(said.contains(OUT), "{said}");
    let said = confined(&Machine::new(), &without_namespaces(), SERVE_ITSELF).await;
    assert!(said.contains(HELD), "{said}");
}

fn write(path: PathBuf) -> Effect {
    Effect::Write {
        path,
        in_workspace: false,
    }
}

/// A cache or a folder for builds: it is made, and nothing beside it is opened.
#[tokio::test]
async fn a_folder_that_a_step_may_fill_is_made_and_nothing_beside_it_is_opened() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let target = machine.path("outside/deep/target");
        let workbench = machine.workbench(&on);
        let step = workbench.for_step(&[write(target.join(""))]).unwrap();
        let shown = machine.path("outside").display().to_string();
        let script = format!(
            "echo x >{shown}/deep/target/a && cat {shown}/deep/target/a; echo y >{shown}/deep/b; echo z >{shown}/c"
        );
        let text = said(step.as_ref(), &script).await;
        assert!(text.starts_with("x\n"), "{text}");
        assert!(!machine.path("outside/deep/b").exists() && !machine.path("outside/c").exists());
        // The engine's own home is never made or opened so.
        let home = machine.path("person/.titanclaw/new").join("");
        let step = workbench.for_step(&[write(home.clone())]).unwrap();
        said(
            step.as_ref(),
            &format!("mkdir -p {0} && echo x >{0}/a", home.display()),
        )
        .await;
        assert!(!home.exists());
    }
}

/// `cargo` builds where the person's variable says once that was allowed, and in the workspace else.
#[tokio::test]
async fn cargo_builds_in_the_persons_folder_when_that_was_allowed() {
    let machine = Machine::new();
    let target = machine.path("outside/target");
    let config = HostConfig {
        home: machine.path("person/.titanclaw"),
        environment: BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("CARGO_TARGET_DIR".to_owned(), target.display().to_string()),
        ]),
    };
    let workbench = HostWorkbench::open(&machine.path("work"), config).unwrap();
    assert_eq!(
        workbench.variable("CARGO_TARGET_DIR"),
        Some(target.display().to_string())
    );
    let script = "echo ${CARGO_TARGET_DIR-none}";
    assert_eq!(said(&workbench, script).await, "none\n");
    let step = workbench.for_step(&[write(target.join(""))]).unwrap();
    assert_eq!(
        said(step.as_ref(), script).await,
        format!("{}\n", target.display())
    );
}

/// A remote may be added by a step that was allowed to change the settings; what git would run may not.
#[tokio::test]
async fn a_step_may_change_gits_settings_when_that_was_allowed_and_only_harmlessly() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        if machine.workbench(&on).which("git").await.is_none() {
            return titan_testkit::skip("program:git", "it is not installed");
        }
        std::fs::remove_dir_all(machine.path("work/.git")).unwrap();
        said(&machine.workbench(&on), "git init -q .").await;
        let settings = || std::fs::read_to_string(machine.path("work/.git/config")).unwrap();
        let add = "git remote add origin https://example.org/x.git";
        let before = settings();
        said(&machine.workbench(&on), add).await;
        assert_eq!(settings(), before, "without leave");
        let allowed = [write(machine.path("work/.git/config"))];
        let step = machine.workbench(&on).for_step(&allowed).unwrap();
        let text = said(step.as_ref(), add).await;
        assert!(settings().contains("https://example.org/x.git"), "{text}");
        let before = settings();
        let text = said(step.as_ref(), "git config core.fsmonitor ./evil").await;
        assert!(text.contains("was put back"), "{text}");
        assert_eq!(settings(), before);
    }
}

/// A repository below the root can be deleted by a step that only deletes, and by no other.
#[tokio::test]
async fn a_repository_below_is_deleted_only_by_what_only_deletes() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let workbench = machine.workbench(&on);
        let deletes = |program: &str| {
            let run = Effect::Run {
                program: program.to_owned(),
                arguments: Vec::new(),
                reads_only: false,
            };
            let written = Effect::Write {
                path: machine.path("work/vendor"),
                in_workspace: true,
            };
            workbench.for_step(&[run, written]).unwrap()
        };
        let config = machine.path("work/vendor/r/.git/config");
        said(deletes("/usr/bin/make").as_ref(), "rm -rf vendor").await;
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "[core]\n");
        let text = said(deletes("/usr/bin/rm").as_ref(), "rm -rf vendor").await;
        assert!(!machine.path("work/vendor").exists(), "{text}");
    }
}

/// Commits of a worktree go into its repository, whose hooks and settings stay as they are.
#[tokio::test]
async fn a_worktree_works_when_its_repository_was_allowed() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let shown = |name: &str| machine.path(name).display().to_string();
        let script = format!(
            "git init -q -b main {0}/main && cd {0}/main && git config user.name A && git config user.email a@b && \
             git commit -q --allow-empty -m first && git worktree add -q {0}/tree",
            shown("")
        );
        let made = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return titan_testkit::skip("program:git", "it makes no worktrees here");
        }
        let config = HostConfig {
            home: machine.path("person/.titanclaw"),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        };
        let workbench = HostWorkbench::open(&machine.path("tree"), config).unwrap();
        workbench.shared.bounds.machine.set(on.clone()).unwrap();
        let text = said(&workbench, "git log --format=%s").await;
        assert_eq!(text, "first\n");
        let commit = "git commit -q --allow-empty -m second; git log --format=%s";
        let text = said(&workbench, commit).await;
        assert!(!text.contains("second"), "{text}");
        let allowed = [write(machine.path("main/.git").join(""))];
        let step = workbench.for_step(&allowed).unwrap();
        assert_eq!(said(step.as_ref(), commit).await, "second\nfirst\n");
        let hook = format!("echo evil >{}/.git/hooks/post-commit", shown("main"));
        said(step.as_ref(), &hook).await;
        assert!(!machine.path("main/.git/hooks/post-commit").exists());
        let other = format!("echo 'gitdir: {}' >.git", shown("outside"));
        said(&workbench, &other).await;
        let link = std::fs::read_to_string(machine.path("tree/.git")).unwrap();
        assert!(link.contains("worktrees"), "{link}");
    }
}

#[tokio::test]
async fn s15_what_can_not_be_confined_is_not_started() {
    let on = Confinement::of_this_machine();
    if !is_sound_or_skipped() {
        return;
    }
    let said = confined(
        &Machine::new(),
        on,
        "start a program without its confinement",
    )
    .await;
    let wanted = "the program was not started, for it can't be confined: a user namespace failed";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn doctor_hears_of_every_part() {
    let bare = Confinement {
        landlock: None,
        has_filter: false,
        namespaces: OnceLock::from(None),
    };
    assert!(!bare.is_sound());
    let nothing_whole = bare.parts().iter().all(|part| part.kept != Kept::Whole);
    assert!(nothing_whole, "{:?}", bare.parts());
    let names = |of: &Confinement| of.parts().iter().map(|part| part.name).collect::<Vec<_>>();
    assert_eq!(names(&bare), names(Confinement::of_this_machine()));
}

/// The workspace may be the person's home itself, with the engine's home and all secrets in it.
#[tokio::test]
async fn s15_secrets_inside_of_the_workspace_are_covered() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let config = HostConfig {
            home: machine.path("person/.titanclaw"),
            environment: BTreeMap::from([
                (
                    "HOME".to_owned(),
                    machine.path("person").display().to_string(),
                ),
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ]),
        };
        let workbench = HostWorkbench::open(&machine.path("person"), config).unwrap();
        workbench.shared.bounds.machine.set(on.clone()).unwrap();
        let script = "cat documents/diary; cat .ssh/id_ed25519 .titanclaw/key .aws/credentials; echo x >.ssh/config; \
                      mv .ssh moved; mv .titanclaw moved; echo more >documents/new; cat documents/new";
        let text = said(&workbench, script).await;
        assert!(
            text.starts_with("dear") && text.ends_with("more\n") && !text.contains("keykey"),
            "{text}"
        );
        assert!(
            !machine.path("person/.ssh/config").exists() && !machine.path("person/moved").exists()
        );
        assert_eq!(
            std::fs::read_to_string(machine.path("person/.titanclaw/key")).unwrap(),
            "key"
        );
    }
}

/// What a program says, its error included.
async fn told(workbench: &dyn Workbench, script: &str) -> String {
    let mut text = String::new();
    let mut events = workbench.run(shell(&format!("exec 2>&1; {script}")));
    while let Some(event) = events.next().await {
        match event {
            Ok(ProcessEvent::Stdout(bytes) | ProcessEvent::Stderr(bytes)) => {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
            Ok(ProcessEvent::Exited(_)) => {}
            Err(error) => text.push_str(&error.to_string()),
        }
    }
    text
}

#[tokio::test]
async fn s15_a_yes_to_one_file_among_secrets_opens_no_other() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let workbench = machine.workbench(&on);
        std::fs::write(machine.path("person/.ssh/config"), "Host *\n").unwrap();
        let ssh = machine.path("person/.ssh").display().to_string();
        let script = format!("echo x >{ssh}/new; echo x >{ssh}/other; cat {ssh}/id_ed25519");
        let step = workbench
            .for_step(&[write(machine.path("person/.ssh/new"))])
            .unwrap();
        let text = told(step.as_ref(), &script).await;
        assert!(text.contains("make it there yourself"), "{text}");
        assert!(!machine.path("person/.ssh/new").exists());
        // In a new folder there, and where the file is there but all around it is open.
        let deep = [write(machine.path("person/.ssh/keys/new"))];
        let text = told(workbench.for_step(&deep).unwrap().as_ref(), &script).await;
        assert!(text.contains("make it there yourself"), "{text}");
        let both = [
            write(machine.path("person/.ssh/config")),
            Effect::Read {
                path: machine.path("person"),
                in_workspace: false,
            },
        ];
        let step = workbench.for_step(&both).unwrap();
        let script =
            format!("cat {ssh}/config; echo Port 1 >>{ssh}/config; cat {ssh}/config; {script}");
        let text = told(step.as_ref(), &script).await;
        assert!(
            text.starts_with("Host *\nHost *\nPort 1\n") && !text.contains("key\n"),
            "{text}"
        );
        assert!(!text.ends_with("key"), "{text}");
        assert!(!machine.path("person/.ssh/other").exists());
        // A new folder in the home opens no secret beside it.
        let beside = [write(machine.path("person/.ssh2/new"))];
        let step = workbench.for_step(&beside).unwrap();
        let text = told(step.as_ref(), &format!("cat {ssh}/id_ed25519")).await;
        assert!(text.contains("denied"), "{text}");
    }
}

/// Writes instructions, hears no request to end, and says so.
const DEAF: &str = "trap '' TERM; echo evil >AGENTS.md; echo ready; while :; do sleep 600; done";

async fn run_until_ready(workbench: &HostWorkbench) {
    let mut events = workbench.run(shell(DEAF));
    while let Some(event) = events.next().await {
        let text = event.unwrap();
        if matches!(&text, ProcessEvent::Stdout(bytes) if bytes.starts_with(b"ready")) {
            return;
        }
    }
    panic!("the program ended");
}

#[test]
fn s16_an_engine_that_stops_in_order_leaves_no_instructions_behind() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let workbench = machine.workbench(&on);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run_until_ready(&workbench));
        drop(runtime);
        let deadline = Instant::now() + Duration::from_secs(5);
        while machine.path("work/AGENTS.md").exists() {
            assert!(
                Instant::now() < deadline,
                "what the program wrote is left to be believed"
            );
            std::thread::yield_now();
        }
        assert!(machine.path("work/AGENTS.md.set-aside").exists());
    }
}

/// Then all is done that can be done, not just what a warden can.
#[tokio::test]
async fn s16_an_engine_that_closes_waits_for_the_guard() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        run_until_ready(&machine.workbench(&on)).await;
        assert!(HostWorkbench::programs_ended().await);
        assert!(!machine.path("work/AGENTS.md").exists());
        assert!(machine.path("work/AGENTS.md.set-aside").exists());
    }
}

/// `(what a program does, what must not hold "evil" after it)`.
#[rustfmt::skip] // A table.
const REPLACEMENTS: &[(&str, &[&str])] = &[
    ("mv .git/modules .git/m2; cp -r .git/m2 .git/modules; echo evil >.git/modules/a/config", &[".git/modules/a/config"]),
    ("mv .git/modules .git/m2; mkdir -p .git/modules/libs/foo/hooks; echo evil >.git/modules/libs/foo/hooks/post-commit", &[".git/modules/libs/foo/hooks/post-commit"]),
    ("mv vendor v2; cp -r v2 vendor; echo evil >vendor/r/.git/config", &["vendor/r/.git/config"]),
    ("mv vendor v2; mkdir -p vendor/r fake; echo evil >vendor/r/.git", &["vendor/r/.git"]),
    ("mv vendor/r x; mkdir fake; cp -r x/.git fake; ln -s ../fake vendor/r; echo evil >fake/.git/config", &["vendor/r/.git/config"]),
    ("mv .github g; mkdir .github; echo evil >.github/copilot-instructions.md", &[".github/copilot-instructions.md"]),
    ("echo evil >.git/modules/libs/foo/config", &[".git/modules/libs/foo/config"]),
    ("echo evil >.git/modules/libs/foo/hooks/post-commit", &[".git/modules/libs/foo/hooks/post-commit"]),
    ("echo evil >.git/modules/a/modules/deep/er/config", &[".git/modules/a/modules/deep/er/config"]),
];

#[tokio::test]
async fn s16_nothing_guarded_is_replaced_with_what_it_lies_in() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        for (script, paths) in REPLACEMENTS {
            let machine = Machine::new();
            for name in [
                ".git/modules/a",
                ".git/modules/a/modules/deep/er",
                ".git/modules/libs/foo",
            ] {
                let module = machine.path("work").join(name);
                std::fs::create_dir_all(module.join("hooks")).unwrap();
                std::fs::write(module.join("HEAD"), "ref: refs/heads/main\n").unwrap();
                std::fs::write(module.join("config"), "[core]\n").unwrap();
            }
            std::fs::create_dir(machine.path("work/.github")).unwrap();
            let copilot = machine.path("work/.github/copilot-instructions.md");
            std::fs::write(copilot, "be kind").unwrap();
            let text = told(&machine.workbench(&on), script).await;
            for path in *paths {
                let now = std::fs::read_to_string(machine.path("work").join(path));
                let is_evil = now.is_ok_and(|now| now.contains("evil"));
                assert!(!is_evil, "{script}: {path}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn s16_the_link_of_a_worktree_stays_what_it_is() {
    let scripts = [
        "echo 'gitdir: evil' >.git",
        "echo 'gitdir: evil' >f; mv f .git",
        "mv .git old; echo 'gitdir: evil' >.git",
        "rm .git; mkdir -p .git/objects .git/refs; echo 'ref: x' >.git/HEAD; echo evil >.git/config",
        "rm .git; ln -s evil .git",
    ];
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        for script in scripts {
            let machine = Machine::new();
            let git = machine.path("work/.git");
            std::fs::remove_dir_all(&git).unwrap();
            std::fs::write(&git, "gitdir: ../main/.git/worktrees/work\n").unwrap();
            told(&machine.workbench(&on), script).await;
            let now = std::fs::read_to_string(&git).unwrap();
            assert_eq!(now, "gitdir: ../main/.git/worktrees/work\n", "{script}");
            assert!(!git.is_symlink(), "{script}");
        }
    }
}

/// Another session's approved write is not the program's.
#[tokio::test]
async fn what_the_engine_writes_meanwhile_is_left_alone() {
    for on in [Confinement::of_this_machine().clone(), without_namespaces()] {
        let machine = Machine::new();
        let [program, other] = [machine.workbench(&on), machine.workbench(&on)];
        let fifo = machine.path("work/go");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let mut events = program.run(shell("echo ready; read x <go; echo evil >GEMINI.md"));
        let first = events.next().await.unwrap().unwrap();
        assert!(matches!(first, ProcessEvent::Stdout(_)), "{first:?}");
        let at = |name: &str| machine.path("work").join(name);
        other.write(&at("AGENTS.md"), b"mine").await.unwrap();
        other.write(&at("CLAUDE.md"), b"mine").await.unwrap();
        other.write(&at("GEMINI.md"), b"mine").await.unwrap();
        other
            .write(&at(".claude/settings.json"), b"mine")
            .await
            .unwrap();
        tokio::task::spawn_blocking(move || std::fs::write(fifo, "x\n").unwrap())
            .await
            .unwrap();
        while events.next().await.is_some() {}
        let text = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default();
        for name in ["AGENTS.md", "CLAUDE.md", ".claude/settings.json"] {
            assert_eq!(text(name), "mine", "{name}");
        }
        // The program changed this one after the engine.
        assert!(!at("GEMINI.md").exists());
    }
}
