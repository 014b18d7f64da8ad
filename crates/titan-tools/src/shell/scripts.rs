//! Whether a `sed` or `awk` program only looks. Both languages can run commands and write files; what is not known to
//! be harmless counts as not.

/// Whether a `sed` script holds only addresses and the commands `p d q = s`, without files and without running
/// anything.
pub(super) fn sed_only_looks(script: &str) -> bool {
    let mut rest = script;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', ';']);
        if rest.is_empty() {
            return true;
        }
        match sed_command(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

/// Reads one command; what follows it.
fn sed_command(text: &str) -> Option<&str> {
    let mut rest = sed_address(text)?;
    if let Some(after) = rest.strip_prefix(',') {
        rest = sed_address(after)?;
    }
    rest = rest.trim_start_matches([' ', '!']);
    let command = rest.chars().next()?;
    rest = &rest[command.len_utf8()..];
    let rest = match command {
        'p' | 'd' | 'q' | '=' => rest,
        's' => sed_substitute(rest)?,
        _ => return None,
    };
    let rest = rest.trim_start_matches(' ');
    (rest.is_empty() || rest.starts_with([';', '\n'])).then_some(rest)
}

fn sed_address(text: &str) -> Option<&str> {
    match text.chars().next()? {
        '/' => delimited(&text[1..], '/'),
        '$' => Some(&text[1..]),
        _ => Some(text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '~' | '+'))),
    }
}

fn sed_substitute(text: &str) -> Option<&str> {
    let mark = text.chars().next().filter(char::is_ascii_punctuation)?;
    if mark == '\\' {
        return None;
    }
    let rest = delimited(&text[1..], mark)?;
    let rest = delimited(rest, mark)?;
    Some(
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, 'g' | 'p' | 'i' | 'I')),
    )
}

/// What follows the next unescaped `mark`. `None` where brackets make it doubtful which mark that is.
fn delimited(text: &str, mark: char) -> Option<&str> {
    let mut is_escaped = false;
    for (position, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' => return None,
            c if c == mark => {
                let part = &text[..position];
                let is_clear = part.rfind('[') <= part.rfind(']');
                return is_clear.then(|| &text[position + c.len_utf8()..]);
            }
            _ => {}
        }
    }
    None
}

/// Names with which an `awk` program reaches beyond the files that it is given.
const AWK_REACHING: &[&str] = &[
    "system", "getline", "ARGV", "ARGC", "ENVIRON", "PROCINFO", "fflush", "close",
];

/// Whether an `awk` program neither runs, nor writes, nor reads anything but its operands.
pub(super) fn awk_only_looks(program: &str) -> bool {
    let has_outlet = program.contains(['|', '>', '<', '@', '\\']);
    let reaches = program
        .split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .any(|name| AWK_REACHING.contains(&name));
    !has_outlet && !reaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sed_scripts_that_only_look_are_told_from_those_that_do_not() {
        for looking in [
            "1,20p",
            "5q",
            "/fn main/,/^}/p",
            "$p",
            "s/a/b/g",
            "s|a|b|",
            "1d;2d",
            "10,+5p",
            "/a/!d",
            "s/[a-z]/x/",
            "=",
            "s/a\\/b/c/",
        ] {
            assert!(sed_only_looks(looking), "{looking}");
        }
        for not in [
            "w /tmp/x",
            "1e id",
            "e",
            "s/a/b/e",
            "s/a/b/w out",
            "s/a/id/ge",
            "r /etc/passwd",
            "1,2w x",
            "/a/w x",
            "s/[/]/x/e",
            "s/a/b/;w x",
            "p;e",
            "y/a/b/",
            "{p}",
            "s/a/b/\nw x",
            "s\na\nb\n",
            "R x",
            "W x",
            "F",
        ] {
            assert!(!sed_only_looks(not), "{not}");
        }
    }

    #[test]
    fn awk_programs_that_only_look_are_told_from_those_that_do_not() {
        for looking in ["{print $1}", "NR==1{print}", "{s+=$2} END{print s}"] {
            assert!(awk_only_looks(looking), "{looking}");
        }
        for not in [
            "BEGIN{system(\"id\")}",
            "{print > \"x\"}",
            "{print | \"sh\"}",
            "BEGIN{\"id\"|getline}",
            "BEGIN{ARGV[1]=\"/etc/passwd\"}",
            "@load \"x\"",
        ] {
            assert!(!awk_only_looks(not), "{not}");
        }
    }
}
