//! What is known of programs: which only look, which write what, which run another one, which use the network.
//!
//! The tables list what is allowed; an option that is not listed is not known to be harmless. So a new option of a
//! program, or an abbreviated one, makes a command ask, never pass.

use super::words::Argument;

/// Options that a program is known to take.
#[derive(Clone, Copy)]
pub(super) struct Options {
    /// Short options without a value. `#` stands for `-NUMBER`.
    pub(super) flags: &'static str,
    /// Short options with a value, attached or in the next argument.
    pub(super) valued: &'static str,
    /// Long options: `--name`, `--name=` with a value, `--name?` with an attached value or none.
    pub(super) long: &'static [&'static str],
}

/// Arguments sorted into options and operands.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Options by name (`e`, `--regexp`), with their values.
    pub(super) options: Vec<(String, Option<Argument>)>,
    /// What is left, in order.
    pub(super) operands: Vec<Argument>,
    /// Whether every option was known, and nothing may turn out to be one.
    pub(super) is_understood: bool,
}

impl Sorted {
    pub(super) fn has(&self, names: &[&str]) -> bool {
        self.options
            .iter()
            .any(|(name, _)| names.contains(&name.as_str()))
    }
}

/// Sorts arguments as `getopt_long` does. With `stop_at_operand`, all from the first operand on are operands.
pub(super) fn sort(arguments: &[Argument], options: Options, stop_at_operand: bool) -> Sorted {
    let mut sorted = Sorted {
        is_understood: true,
        ..Sorted::default()
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument.may_be_option() {
            sorted.is_understood = false;
        }
        match argument.as_known() {
            Some("--") => {
                sorted.operands.extend(rest.cloned());
                break;
            }
            Some(text) if text.starts_with("--") => long(text, options, &mut rest, &mut sorted),
            Some(text) if text.starts_with('-') && text.len() > 1 => {
                short(text, options, &mut rest, &mut sorted);
            }
            _ => {
                sorted.operands.push(argument.clone());
                if stop_at_operand {
                    sorted.operands.extend(rest.cloned());
                    break;
                }
            }
        }
    }
    sorted
}

fn long(
    text: &str,
    options: Options,
    rest: &mut std::slice::Iter<'_, Argument>,
    sorted: &mut Sorted,
) {
    let (name, attached) = match text.split_once('=') {
        Some((name, value)) => (name, Some(Argument::known(value))),
        None => (text, None),
    };
    let is_listed = |mark: &str| {
        options
            .long
            .iter()
            .any(|entry| entry.strip_suffix(mark) == Some(name))
    };
    let value = if is_listed("=") {
        attached.or_else(|| rest.next().cloned())
    } else {
        let is_known = is_listed("?") || (attached.is_none() && options.long.contains(&name));
        sorted.is_understood &= is_known;
        attached
    };
    sorted.options.push((name.to_owned(), value));
}

fn short(
    text: &str,
    options: Options,
    rest: &mut std::slice::Iter<'_, Argument>,
    sorted: &mut Sorted,
) {
    let cluster = &text[1..];
    if options.flags.contains('#') && cluster.bytes().all(|b| b.is_ascii_digit()) {
        return;
    }
    for (position, c) in cluster.char_indices() {
        let name = c.to_string();
        if c != '#' && options.valued.contains(c) {
            let attached = &cluster[position + c.len_utf8()..];
            let value = if attached.is_empty() {
                rest.next().cloned()
            } else {
                Some(Argument::known(attached))
            };
            sorted.options.push((name, value));
            return;
        }
        sorted.is_understood &= c != '#' && options.flags.contains(c);
        sorted.options.push((name, None));
    }
}

/// What a looking program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Nothing by name.
    Nothing,
    /// Its operands.
    Operands,
    /// Its operands, or else the folder that it runs in.
    OperandsOrHere,
    /// Its operands after the first, which is a pattern or filter.
    AfterFirst,
    /// At most one operand: a second would be written.
    OnlyOne,
}

/// A program that only looks, with these options.
pub(super) struct Looker {
    pub(super) name: &'static str,
    pub(super) options: Options,
    /// Whether no option at all makes it write or run something; an unlisted one may make it read anything.
    pub(super) is_harmless: bool,
    pub(super) reads: Reads,
}

const fn looker(
    name: &'static str,
    flags: &'static str,
    valued: &'static str,
    long: &'static [&'static str],
    is_harmless: bool,
    reads: Reads,
) -> Looker {
    Looker {
        name,
        options: Options {
            flags,
            valued,
            long,
        },
        is_harmless,
        reads,
    }
}

pub(super) fn find_looker(name: &str) -> Option<&'static Looker> {
    LOOKERS.iter().find(|looker| looker.name == name)
}

use Reads::{AfterFirst, Nothing, OnlyOne, Operands, OperandsOrHere};

const DIGEST: &[&str] = &["--check", "--quiet", "--status", "--tag", "--zero"];

#[rustfmt::skip] // A table.
const LOOKERS: &[Looker] = &[
    looker(":", "", "", &[], true, Nothing),
    looker("true", "", "", &[], true, Nothing),
    looker("false", "", "", &[], true, Nothing),
    looker("exit", "", "", &[], true, Nothing),
    looker("return", "", "", &[], true, Nothing),
    looker("break", "", "", &[], true, Nothing),
    looker("continue", "", "", &[], true, Nothing),
    looker("shift", "", "", &[], true, Nothing),
    looker("wait", "", "", &[], true, Nothing),
    looker("type", "afptP", "", &[], true, Nothing),
    looker("pwd", "LP", "", &[], true, Nothing),
    looker("echo", "neE", "", &[], true, Nothing),
    looker("basename", "az", "s", &["--multiple", "--zero", "--suffix="], true, Nothing),
    looker("dirname", "z", "", &["--zero"], true, Nothing),
    looker("seq", "w", "fs", &["--equal-width", "--format=", "--separator="], true, Nothing),
    looker("sleep", "", "", &[], true, Nothing),
    looker("expr", "", "", &[], true, Nothing),
    looker("tr", "cCdst", "", &["--complement", "--delete", "--squeeze-repeats"], true, Nothing),
    looker("rev", "", "", &[], true, Operands),
    looker("tac", "brs", "", &[], true, Operands),
    looker("nproc", "", "", &["--all"], true, Nothing),
    looker("uname", "asnrvmpio", "", &["--all"], true, Nothing),
    looker("whoami", "", "", &[], true, Nothing),
    looker("id", "agGnruz", "", &["--user", "--group", "--name"], true, Nothing),
    looker("groups", "", "", &[], true, Nothing),
    looker("arch", "", "", &[], true, Nothing),
    looker("uptime", "ps", "", &["--pretty", "--since"], true, Nothing),
    looker("free", "bkmghtw", "", &["--human", "--mega", "--giga"], true, Nothing),
    looker("df", "ahHiklTP", "tx", &["--human-readable", "--total"], true, Operands),
    looker("which", "as", "", &["--all"], true, Nothing),
    looker("printenv", "0", "", &[], true, Nothing),
    looker("tty", "s", "", &[], true, Nothing),
    looker("cat", "AbeEnstTuv", "", &["--number", "--number-nonblank", "--show-all", "--show-ends", "--show-tabs", "--squeeze-blank"], true, Operands),
    looker("head", "qvz#", "cn", &["--bytes=", "--lines=", "--quiet", "--silent", "--verbose"], true, Operands),
    looker("tail", "qvzfFr#", "cns", &["--bytes=", "--lines=", "--quiet", "--silent", "--verbose", "--follow?"], true, Operands),
    looker("wc", "cmlLw", "", &["--bytes", "--chars", "--lines", "--words", "--max-line-length", "--total="], true, Operands),
    looker("nl", "p", "bdfhilnsvw", &["--body-numbering="], true, Operands),
    looker("od", "bcdfhilosxv", "AjNStw", &["--format=", "--address-radix=", "--read-bytes="], true, Operands),
    looker("hexdump", "bcCdovx", "nse", &["--canonical"], true, Operands),
    looker("strings", "afoh", "net", &["--all", "--bytes="], true, Operands),
    looker("cut", "nsz", "bcdf", &["--bytes=", "--characters=", "--fields=", "--delimiter=", "--complement", "--only-delimited", "--output-delimiter="], true, Operands),
    looker("paste", "sz", "d", &["--serial", "--delimiters="], true, Operands),
    looker("join", "i", "12aejotv", &[], true, Operands),
    looker("comm", "123z", "", &["--check-order", "--nocheck-order", "--total"], true, Operands),
    looker("fold", "bs", "w", &["--width="], true, Operands),
    looker("fmt", "cstu", "wpg", &["--width="], true, Operands),
    looker("expand", "i", "t", &["--tabs="], true, Operands),
    looker("unexpand", "a", "t", &["--tabs="], true, Operands),
    looker("column", "txens", "cosNRdH", &["--table", "--separator="], true, Operands),
    looker("cmp", "bls", "in", &["--bytes=", "--silent", "--quiet", "--verbose"], true, Operands),
    looker("diff", "aBbdEeHiNnpqrsTtuwy#", "CFIULWxS", &["--brief", "--color?", "--exclude=", "--ignore-all-space", "--ignore-blank-lines", "--ignore-case", "--minimal", "--new-file", "--recursive", "--side-by-side", "--suppress-common-lines", "--unified?", "--width="], false, Operands),
    looker("md5sum", "bctwz", "", DIGEST, true, Operands),
    looker("sha1sum", "bctwz", "", DIGEST, true, Operands),
    looker("sha256sum", "bctwz", "", DIGEST, true, Operands),
    looker("sha512sum", "bctwz", "", DIGEST, true, Operands),
    looker("b2sum", "bctwz", "l", DIGEST, true, Operands),
    looker("cksum", "", "", &[], true, Operands),
    looker("base64", "di", "w", &["--decode", "--wrap="], true, Operands),
    looker("stat", "fLt", "c", &["--format=", "--printf=", "--dereference", "--file-system", "--terse"], true, Operands),
    looker("readlink", "femnqsvz", "", &["--canonicalize", "--canonicalize-existing"], true, Nothing),
    looker("realpath", "eLmPqsz", "", &["--relative-to=", "--relative-base=", "--canonicalize-missing"], true, Nothing),
    looker("ls", "aAbBcCdfFgGhHiklLmnNopqQrRsStuUvxXZ1", "ITw", &["--all", "--almost-all", "--classify?", "--color?", "--directory", "--full-time", "--group-directories-first", "--hide=", "--human-readable", "--ignore=", "--inode", "--recursive", "--reverse", "--size", "--sort=", "--time=", "--time-style=", "--format="], true, OperandsOrHere),
    looker("dir", "aAlhRtr1", "", &[], true, OperandsOrHere),
    looker("du", "0abcDhHklLmPsSx", "dtB", &["--all", "--apparent-size", "--bytes", "--exclude=", "--human-readable", "--max-depth=", "--summarize", "--total"], true, OperandsOrHere),
    looker("tree", "adfghilnpqrstuvxCDFJSNQ", "LPI", &["--dirsfirst", "--gitignore", "--noreport", "--prune", "--filelimit="], false, OperandsOrHere),
    looker("file", "0bhiIkLNr", "eF", &["--brief", "--mime", "--mime-type", "--mime-encoding", "--dereference"], false, Operands),
    looker("grep", "acEFGhHiIlLnoPqrsTUvVwxyzZbR#", "ABCDdemf", &["--after-context=", "--basic-regexp", "--before-context=", "--binary-files=", "--color?", "--colour?", "--context=", "--count", "--dereference-recursive", "--exclude-dir=", "--exclude=", "--extended-regexp", "--files-with-matches", "--files-without-match", "--fixed-strings", "--ignore-case", "--include=", "--invert-match", "--line-number", "--line-regexp", "--max-count=", "--no-filename", "--no-messages", "--null", "--only-matching", "--perl-regexp", "--quiet", "--recursive", "--regexp=", "--silent", "--text", "--with-filename", "--word-regexp"], true, AfterFirst),
    looker("egrep", "achHiIlLnoqrsvwxz#", "ABCem", &["--color?", "--include=", "--exclude=", "--exclude-dir="], true, AfterFirst),
    looker("fgrep", "achHiIlLnoqrsvwxz#", "ABCem", &["--color?", "--include=", "--exclude=", "--exclude-dir="], true, AfterFirst),
    looker("rg", "acFhHiIlnNoPpqsSUuvwx0.", "ABCdEeGgjMmrTt", &["--after-context=", "--before-context=", "--case-sensitive", "--color=", "--column", "--context=", "--count", "--count-matches", "--files", "--files-with-matches", "--files-without-match", "--fixed-strings", "--glob=", "--heading", "--hidden", "--iglob=", "--ignore-case", "--invert-match", "--json", "--line-number", "--line-regexp", "--max-columns=", "--max-count=", "--max-depth=", "--max-filesize=", "--multiline", "--no-config", "--no-filename", "--no-heading", "--no-ignore", "--no-line-number", "--no-messages", "--null", "--only-matching", "--pcre2", "--pretty", "--quiet", "--regexp=", "--replace=", "--smart-case", "--sort=", "--sortr=", "--stats", "--text", "--threads=", "--trim", "--type-list", "--type-not=", "--type=", "--unrestricted", "--vimgrep", "--with-filename", "--word-regexp"], false, AfterFirst),
    looker("sort", "bcCdfghiMmnRrsuVz", "kt", &["--check?", "--dictionary-order", "--field-separator=", "--general-numeric-sort", "--human-numeric-sort", "--ignore-case", "--key=", "--merge", "--numeric-sort", "--reverse", "--sort=", "--stable", "--unique", "--version-sort", "--zero-terminated"], false, Operands),
    looker("uniq", "cdDiuz", "fsw", &["--count", "--repeated", "--unique", "--ignore-case", "--skip-fields=", "--skip-chars=", "--check-chars="], false, OnlyOne),
    looker("xxd", "abceEiopu", "cglns", &[], false, OnlyOne),
    looker("jq", "acCeMnrRsSj", "", &["--ascii-output", "--color-output", "--compact-output", "--exit-status", "--join-output", "--monochrome-output", "--null-input", "--raw-input", "--raw-output", "--slurp", "--sort-keys", "--tab"], false, AfterFirst),
];

/// What a writing program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// Its operands.
    Operands,
    /// Its operands after the first, which is a mode or owner.
    AfterFirst,
    /// Its last operand; the others are read.
    Last,
}

/// A program that writes files.
pub(super) struct Writer {
    pub(super) name: &'static str,
    pub(super) options: Options,
    pub(super) writes: Writes,
}

const fn writer(
    name: &'static str,
    flags: &'static str,
    valued: &'static str,
    long: &'static [&'static str],
    writes: Writes,
) -> Writer {
    Writer {
        name,
        options: Options {
            flags,
            valued,
            long,
        },
        writes,
    }
}

pub(super) fn find_writer(name: &str) -> Option<&'static Writer> {
    WRITERS.iter().find(|writer| writer.name == name)
}

#[rustfmt::skip] // A table.
const WRITERS: &[Writer] = &[
    writer("rm", "dfiIrRv", "", &["--force", "--recursive", "--verbose", "--dir", "--one-file-system", "--no-preserve-root", "--preserve-root?"], Writes::Operands),
    writer("rmdir", "pv", "", &["--parents", "--verbose", "--ignore-fail-on-non-empty"], Writes::Operands),
    writer("unlink", "", "", &[], Writes::Operands),
    writer("shred", "fuvxz", "ns", &["--force", "--remove?", "--zero", "--iterations="], Writes::Operands),
    writer("mkdir", "pv", "m", &["--parents", "--verbose", "--mode="], Writes::Operands),
    writer("mkfifo", "", "m", &["--mode="], Writes::Operands),
    writer("touch", "acfhm", "dt", &["--no-create", "--date="], Writes::Operands),
    writer("tee", "aip", "", &["--append", "--ignore-interrupts"], Writes::Operands),
    writer("truncate", "co", "s", &["--no-create", "--size="], Writes::Operands),
    writer("mv", "bfinTuvZ", "S", &["--force", "--interactive", "--no-clobber", "--verbose", "--backup?"], Writes::Operands),
    writer("cp", "abdfiHlLnPpRrsTuvxZ", "S", &["--archive", "--force", "--recursive", "--verbose", "--parents", "--preserve?", "--no-clobber", "--update?", "--backup?", "--reflink?"], Writes::Last),
    writer("ln", "bdfFiLnPrsTv", "S", &["--symbolic", "--force", "--relative", "--verbose", "--no-dereference"], Writes::Last),
    writer("install", "bcCdDpsTv", "mgoS", &["--mode=", "--owner=", "--group=", "--directory"], Writes::Last),
    writer("chmod", "cfRv", "", &["--recursive", "--verbose", "--changes", "--quiet"], Writes::AfterFirst),
    writer("chown", "cfhHLPRv", "", &["--recursive", "--verbose", "--no-dereference"], Writes::AfterFirst),
    writer("chgrp", "cfhHLPRv", "", &["--recursive", "--verbose", "--no-dereference"], Writes::AfterFirst),
];

/// A program that runs another one, given after its own options and `operands` operands.
pub(super) struct Wrapper {
    pub(super) name: &'static str,
    pub(super) options: Options,
    pub(super) operands: usize,
    /// Whether what it runs is as harmless as without it.
    pub(super) is_neutral: bool,
}

const fn wrapper(
    name: &'static str,
    flags: &'static str,
    valued: &'static str,
    long: &'static [&'static str],
    operands: usize,
    is_neutral: bool,
) -> Wrapper {
    Wrapper {
        name,
        options: Options {
            flags,
            valued,
            long,
        },
        operands,
        is_neutral,
    }
}

pub(super) fn find_wrapper(name: &str) -> Option<&'static Wrapper> {
    WRAPPERS.iter().find(|wrapper| wrapper.name == name)
}

#[rustfmt::skip] // A table.
const WRAPPERS: &[Wrapper] = &[
    wrapper("nice", "", "n", &["--adjustment="], 0, true),
    wrapper("ionice", "t", "cn", &["--ignore", "--class=", "--classdata="], 0, true),
    wrapper("nohup", "", "", &[], 0, true),
    wrapper("timeout", "v", "ks", &["--preserve-status", "--foreground", "--verbose", "--kill-after=", "--signal="], 1, true),
    wrapper("stdbuf", "", "ioe", &["--input=", "--output=", "--error="], 0, true),
    wrapper("time", "p", "", &["--portability"], 0, true),
    wrapper("command", "p", "", &[], 0, true),
    wrapper("builtin", "", "", &[], 0, true),
    wrapper("exec", "cl", "a", &[], 0, true),
    wrapper("setsid", "cfw", "", &["--ctty", "--fork", "--wait"], 0, false),
    wrapper("flock", "enosux", "Ew", &["--close", "--exclusive", "--nonblock", "--shared", "--timeout="], 1, false),
    wrapper("chroot", "", "", &["--userspec=", "--groups="], 1, false),
    wrapper("sudo", "AbEHknPS", "CDghpRrTtuU", &["--preserve-env?", "--user=", "--group=", "--non-interactive"], 0, false),
    wrapper("doas", "Lns", "Cu", &[], 0, false),
    wrapper("busybox", "", "", &[], 0, false),
    wrapper("toybox", "", "", &[], 0, false),
    wrapper("strace", "cCdfFhiqrtTvVwxyzZ", "abeEIoOpPsSuUX", &[], 0, false),
    wrapper("caffeinate", "disu", "tw", &[], 0, false),
];

/// Shells: `-c` takes a script.
pub(super) const SHELLS: &[&str] = &["bash", "sh", "dash", "ash", "zsh", "ksh", "mksh"];

/// Programs that use the network for hosts that their arguments do not name.
#[rustfmt::skip] // A table.
pub(super) const NETWORK: &[&str] = &[
    "aria2c", "apt", "apt-get", "aws", "az", "brew", "bun", "dnf", "docker", "fetch", "ftp", "gcloud", "gem", "gh", "helm",
    "kubectl", "lftp", "mail", "mosh", "npm", "npx", "pip", "pip3", "pipx", "pnpm", "podman", "sendmail", "snap", "socat",
    "svn", "hg", "uv", "uvx", "yarn", "yum",
];

/// Programs that print their version, and nothing else, for `--version`, `-V` or `version` alone.
#[rustfmt::skip] // A table.
pub(super) const VERSIONED: &[&str] = &[
    "cargo", "clang", "cmake", "docker", "gcc", "gh", "git", "go", "java", "jq", "make", "node", "npm", "pip", "pip3",
    "python", "python3", "rg", "ruby", "rustc", "rustfmt", "rustup", "uv",
];

/// Names that the shell runs itself.
#[rustfmt::skip] // A table.
pub(super) const BUILTINS: &[&str] = &[
    ".", ":", "[", "alias", "bg", "bind", "break", "builtin", "caller", "cd", "command", "compgen", "complete",
    "continue", "declare", "dirs", "disown", "echo", "enable", "eval", "exec", "exit", "export", "false", "fc", "fg",
    "getopts", "hash", "help", "history", "jobs", "kill", "let", "local", "logout", "mapfile", "popd", "printf", "pushd",
    "pwd", "read", "readarray", "readonly", "return", "set", "shift", "shopt", "source", "suspend", "test", "times",
    "trap", "true", "type", "typeset", "ulimit", "umask", "unalias", "unset", "wait",
];

/// Builtins that may change what later commands mean.
#[rustfmt::skip] // A table.
pub(super) const ALTERING: &[&str] = &[
    ".", "alias", "bind", "complete", "declare", "enable", "export", "fc", "getopts", "hash", "history", "let", "local",
    "mapfile", "popd", "pushd", "readarray", "readonly", "read", "set", "shopt", "source", "suspend", "trap", "typeset",
    "ulimit", "umask", "unalias", "unset",
];

/// Variables that change how output looks, and nothing else.
#[rustfmt::skip] // A table.
pub(super) const COSMETIC_VARIABLES: &[&str] =
    &["CI", "CLICOLOR", "COLUMNS", "FORCE_COLOR", "LANG", "LC_ALL", "LINES", "NO_COLOR", "RUST_BACKTRACE", "TZ"];

/// What `git` subcommands only look, and how.
pub(super) struct GitLooker {
    pub(super) name: &'static str,
    pub(super) flags: &'static str,
    pub(super) valued: &'static str,
    pub(super) operands: GitOperands,
}

/// What operands leave a `git` subcommand looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GitOperands {
    /// Any: revisions and paths.
    Any,
    /// None, unless `--list` or `-l` makes them patterns.
    PatternsOnly,
    /// Only these words first; none counts as the empty word.
    First(&'static [&'static str]),
}

const fn git(
    name: &'static str,
    flags: &'static str,
    valued: &'static str,
    operands: GitOperands,
) -> GitLooker {
    GitLooker {
        name,
        flags,
        valued,
        operands,
    }
}

const HISTORY_FLAGS: &str = "psuzwbaqvrtcmgiEFPR#MCBD";
const HISTORY_VALUED: &str = "nUSGL";

pub(super) const GIT_LOOKERS: &[GitLooker] = &[
    git("status", "sbvzuno", "", GitOperands::Any),
    git("log", HISTORY_FLAGS, HISTORY_VALUED, GitOperands::Any),
    git("show", HISTORY_FLAGS, HISTORY_VALUED, GitOperands::Any),
    git("diff", HISTORY_FLAGS, HISTORY_VALUED, GitOperands::Any),
    git(
        "whatchanged",
        HISTORY_FLAGS,
        HISTORY_VALUED,
        GitOperands::Any,
    ),
    git("shortlog", "nsec", "", GitOperands::Any),
    git("blame", "lstfnewpbMC", "L", GitOperands::Any),
    git("describe", "", "", GitOperands::Any),
    git("rev-parse", "", "", GitOperands::Any),
    git("rev-list", "#", "n", GitOperands::Any),
    git("merge-base", "a", "", GitOperands::Any),
    git("name-rev", "", "", GitOperands::Any),
    git("ls-files", "cdmostuzv", "x", GitOperands::Any),
    git("ls-tree", "drtlz", "", GitOperands::Any),
    git("cat-file", "tsep", "", GitOperands::Any),
    git("show-ref", "dhqs", "", GitOperands::Any),
    git("for-each-ref", "", "", GitOperands::Any),
    git("count-objects", "vH", "", GitOperands::Any),
    git("check-ignore", "qvzn", "", GitOperands::Any),
    git("grep", "aIiwvhHEFPGnlLcoqrz#", "ABCe", GitOperands::Any),
    git("branch", "arvli", "", GitOperands::PatternsOnly),
    git("tag", "lni#", "", GitOperands::PatternsOnly),
    git("remote", "v", "", GitOperands::First(&["", "get-url"])),
    git("stash", "p", "", GitOperands::First(&["list", "show"])),
    git("worktree", "v", "", GitOperands::First(&["list"])),
    git("reflog", "#", "n", GitOperands::First(&["", "show"])),
    git("version", "", "", GitOperands::First(&[""])),
];

#[rustfmt::skip] // A table.
pub(super) const GIT_LONG: &[&str] = &[
    "--abbrev-commit", "--abbrev-ref?", "--abbrev?", "--after=", "--all", "--always", "--author=", "--before=", "--branch",
    "--branches?", "--cached", "--cc", "--color?", "--committer=", "--contains=", "--count", "--date-order", "--date=",
    "--decorate?", "--deleted", "--diff-filter=", "--dirty?", "--exact-match", "--exclude-standard", "--find-renames?",
    "--first-parent", "--follow", "--format=", "--full-history", "--full-index", "--get", "--git-dir", "--graph", "--grep=",
    "--histogram", "--ignore-all-space", "--ignore-blank-lines", "--ignore-case", "--ignore-space-change", "--ignored?",
    "--is-inside-work-tree", "--line-number", "--list", "--long", "--max-count=", "--merge-base", "--merged", "--merges",
    "--minimal", "--modified", "--name-only", "--name-status", "--no-color", "--no-decorate", "--no-ext-diff",
    "--no-merged", "--no-merges", "--no-patch", "--no-renames", "--no-textconv", "--not", "--numstat", "--oneline",
    "--others", "--patch", "--patch-with-stat", "--patience", "--points-at=", "--porcelain?", "--pretty?", "--quiet",
    "--raw", "--relative?", "--remotes?", "--reverse", "--short-format", "--short?", "--shortstat", "--show-current",
    "--show-prefix", "--show-stash", "--show-toplevel", "--since=", "--skip=", "--sort=", "--staged", "--stat?",
    "--summary", "--symbolic", "--symbolic-full-name", "--tags?", "--text", "--topo-order", "--unified=", "--unstaged",
    "--until=", "--untracked-files?", "--verbose", "--verify", "--word-diff?",
];

/// `git` subcommands that speak to a remote.
#[rustfmt::skip] // A table.
pub(super) const GIT_NETWORK: &[&str] =
    &["clone", "fetch", "pull", "push", "ls-remote", "submodule", "remote", "archive", "send-email", "request-pull"];

/// Tests of `find` that only look, without a value.
#[rustfmt::skip] // A table.
pub(super) const FIND_TESTS: &[&str] = &[
    "-H", "-L", "-P", "!", "(", ")", ",", "-a", "-and", "-depth", "-empty", "-executable", "-false", "-follow", "-ls",
    "-mount", "-nogroup", "-not", "-nouser", "-o", "-or", "-print", "-print0", "-prune", "-quit", "-readable", "-true",
    "-writable", "-xdev", "-noleaf",
];

/// Tests of `find` that only look, with a value.
#[rustfmt::skip] // A table.
pub(super) const FIND_VALUED: &[&str] = &[
    "-amin", "-anewer", "-atime", "-cmin", "-cnewer", "-ctime", "-gid", "-group", "-ilname", "-iname", "-inum", "-ipath",
    "-iregex", "-links", "-lname", "-maxdepth", "-mindepth", "-mmin", "-mtime", "-name", "-newer", "-newermt", "-path",
    "-perm", "-printf", "-regex", "-regextype", "-size", "-type", "-uid", "-user", "-wholename", "-xtype",
];
