//! How a test says that it could not run here, so that nobody takes it for passed.
//!
//! A test is skipped only for something that the machine lacks, never for something that is broken. `cargo xtask
//! test` collects the lines, prints them, and fails when a need that it did provide was named.

use std::fmt::Display;
use std::io::Write;

/// The file that skips are appended to, when this variable names one.
pub const SKIPS_FILE_VARIABLE: &str = "TITAN_SKIPS_FILE";

/// Says that the calling test did not run, and why. The test then returns.
///
/// `need` names what is missing, so that a machine that has it can be told from one that has not: `model:NAME` for a
/// local model's file, `data:NAME` for a data set that is not in the repository, `program:NAME` for a program on the
/// `PATH`, `kernel:FEATURE` for what the system must allow.
///
/// ```no_run
/// # fn model_path() -> Option<std::path::PathBuf> { None }
/// let Some(_path) = model_path() else {
///     return titan_testkit::skip("model:qwen2.5-coder-0.5b", "its file is not in the cache");
/// };
/// ```
pub fn skip(need: &str, why: impl Display) {
    let thread = std::thread::current();
    let line = format!(
        "skipped: {need}: {}: {why}",
        thread.name().unwrap_or("a test")
    );
    println!("{line}");
    if let Some(path) = std::env::var_os(SKIPS_FILE_VARIABLE)
        && let Err(error) = append(path.as_ref(), &line)
    {
        panic!("{line}, but that could not be recorded: {error}");
    }
}

fn append(path: &std::path::Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    // One write, so that tests in other processes cannot cut the line.
    file.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
}
