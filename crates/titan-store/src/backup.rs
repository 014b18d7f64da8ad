//! A home in one file, and a home made from one.
//!
//! The file is a tar archive, so that it can be looked into without this program: the database as it was at one moment,
//! the large blobs, the person's own files, and last a manifest with the hash of each. After them stands the hash of
//! every byte before it. A file that was cut or changed anywhere is therefore refused before anything is touched.
//!
//! Secrets stay sealed in it. Their key is left out unless it is asked for: with the key, whoever has the file has the
//! secrets.

use crate::blobs::{create_folder, flush_folder, private_file};
use crate::chain::Chain;
use crate::lock::HomeLock;
use crate::schema::{self, MIGRATIONS};
use crate::sql::Sql;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use titan_protocol::{StorageError, UnixMillis};

const DATABASE: &str = "titanclaw.db";
const KEY: &str = "secrets.key";
const MANIFEST: &str = "manifest.json";
const TRAILER: &str = "blake3";
/// The form of the archive; another number is refused.
const FORMAT: u32 = 1;
/// Bytes of one of tar's blocks.
const BLOCK: usize = 512;
/// The header and the content of the last entry, and tar's own end.
const TRAILER_BYTES: u64 = 4 * BLOCK as u64;
/// The largest manifest that is read: some 500,000 blobs.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// The longest name that a plain tar header holds.
const NAME_BYTES_MAX: usize = 100;
/// Read and written at one time.
const PIECE_BYTES: usize = 256 << 10;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive.
    pub format: u32,
    /// The version that made it.
    pub version: String,
    /// The database's schema.
    pub schema: usize,
    /// When it was made.
    pub made_at: UnixMillis,
    /// The newest link of the chain over the journal, in hex.
    pub newest_link: String,
    /// Whether the key of the secrets is in it.
    pub has_key: bool,
    /// Its files, in order.
    pub files: Vec<ManifestFile>,
    /// Those of them that were damaged in the home already; they are in it as they were.
    pub damaged: Vec<String>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its place in the home.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its content, in hex.
    pub blake3: String,
}

/// A home that was made from a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What was in the backup.
    pub manifest: Manifest,
    /// Where the home that was there before is kept.
    pub set_aside: Option<PathBuf>,
    /// Whether the key that opens the secrets was taken over from that home.
    pub key_was_kept: bool,
}

/// Writes a home into a fresh file that only its owner may read. What an engine has acknowledged before is in it; an
/// engine that owns the home goes on meanwhile. `own_files` are names of files in the home that are the person's own;
/// those that are not there are left out. Blocks.
///
/// The file gets its name when it is whole and on the disk.
///
/// # Errors
/// When the file is there already, the home can't be read, or there is no room for the database twice beside the file.
pub fn backup(
    home: &Path,
    file: &Path,
    own_files: &[&str],
    with_key: bool,
) -> Result<Manifest, StorageError> {
    if file.exists() {
        return Err(StorageError::Failed(format!(
            "{} is there already and is left as it is: name another file",
            file.display()
        )));
    }
    let unwritten = |error: io::Error| {
        StorageError::Failed(format!(
            "the backup {} can't be written ({error}): check that its folder is there and the disk has room for the \
             database twice",
            file.display()
        ))
    };
    let copy = Unfinished::beside(file, "db");
    let (schema, newest_link) = copy_database(home, &copy.0)?;
    let unfinished = Unfinished::beside(file, "partial");
    let output = private_file(&unfinished.0).map_err(unwritten)?;
    let mut archive = Archive::new(output);
    let mut manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        made_at: now(),
        newest_link,
        has_key: with_key,
        files: Vec::new(),
        damaged: Vec::new(),
    };
    let mut add = |manifest: &mut Manifest, name: &str, path: &Path| {
        let content = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return io::Result::Ok(false),
            opened => opened?,
        };
        manifest.files.push(archive.file(name, content)?);
        Ok(true)
    };
    let mut fill = || -> io::Result<Option<&str>> {
        add(&mut manifest, DATABASE, &copy.0)?;
        for name in own_files {
            add(&mut manifest, name, &home.join(name))?;
        }
        if with_key && !add(&mut manifest, KEY, &home.join(KEY))? {
            return Ok(Some("there is no key file in the home"));
        }
        for (name, path) in blob_files(home)? {
            if add(&mut manifest, &name, &path)? && !is_blob(&name, &manifest) {
                manifest.damaged.push(name);
            }
        }
        Ok(None)
    };
    if let Some(lacking) = fill().map_err(unwritten)? {
        return Err(StorageError::Failed(format!(
            "the key can't be put into the backup: {lacking}. Nothing was sealed yet, or the key is in the system's \
             keyring; make the backup without it"
        )));
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| {
        StorageError::Failed(format!("the backup's manifest can't be written: {error}"))
    })?;
    let finish = || -> io::Result<()> {
        archive.bytes(MANIFEST, &text)?;
        archive.finish()?.sync_all()?;
        // Unlike a rename, this never takes the place of a file that came meanwhile.
        fs::hard_link(&unfinished.0, file)?;
        fs::remove_file(&unfinished.0)?;
        flush_folder(folder_of(file))
    };
    finish().map_err(unwritten)?;
    Ok(manifest)
}

/// Makes a home from a backup, after all of the file was checked. With `may_replace`, a home that is there is set
/// aside under another name and kept; its key is taken over when the backup holds none. Blocks.
///
/// # Errors
/// When the file is cut, changed, or of a newer program; when an engine owns the home, or something is in it and
/// `may_replace` is not given. The home is then as it was.
pub fn restore(file: &Path, home: &Path, may_replace: bool) -> Result<Restored, StorageError> {
    let mut archive = checked(file)?;
    let _lock = match home.exists() {
        true => Some(HomeLock::acquire(home)?),
        false => None,
    };
    if !may_replace && !is_unused(home) {
        return Err(StorageError::Failed(format!(
            "{} holds an engine's data already and is left as it is: add --force to set it aside, or choose another \
             home with `--home`",
            home.display()
        )));
    }
    let failed = |error: io::Error| {
        StorageError::Failed(format!(
            "{} can't be restored to {} ({error}): check that you own its parent folder and the disk has room",
            file.display(),
            home.display()
        ))
    };
    let staging = Unfinished::beside(home, "restoring");
    create_folder(&staging.0).map_err(failed)?;
    let manifest = unpack(file, &mut archive, &staging.0)?;
    let key_was_kept = !manifest.has_key && keep_key(home, &staging.0).map_err(failed)?;
    let set_aside = take_place(&staging.0, home).map_err(failed)?;
    Ok(Restored {
        manifest,
        set_aside,
        key_was_kept,
    })
}

/// A file or folder with a name of its own that is removed unless it got its proper one.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(path: &Path, what: &str) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".{name}.{what}-{}", std::process::id());
        Self(folder_of(path).join(name))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What has its proper name is not here any more; what can't be removed is told from by its name.
        if self.0.is_dir() {
            let _gone = fs::remove_dir_all(&self.0);
        } else {
            let _gone = fs::remove_file(&self.0);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Copies the database as it is at this moment, without what was deleted. Gives its schema and its newest link.
fn copy_database(home: &Path, to: &Path) -> Result<(usize, String), StorageError> {
    let from = home.join(DATABASE);
    if !from.exists() {
        return Err(StorageError::Failed(format!(
            "there is nothing to back up: {} is not there",
            from.display()
        )));
    }
    let sql = Sql::onlooker(&from)?;
    schema::must_be_current(&sql, MIGRATIONS)?;
    // SQLite fills a file that is there and empty; made by us, it is closed to others from the beginning.
    private_file(to).map_err(|error| {
        StorageError::Failed(format!(
            "{} can't be made ({error}): check that the folder is there and yours",
            to.display()
        ))
    })?;
    sql.execute("VACUUM INTO ?1", [to.to_string_lossy().into_owned()])?;
    let copy = Sql::onlooker(to)?;
    Ok((MIGRATIONS.len(), Chain::end(&copy)?.link()))
}

/// The large blobs: their names in the home, and where they are.
fn blob_files(home: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for folder in entries(&home.join("blobs"))? {
        let head = folder.file_name().unwrap_or_default().to_string_lossy();
        if head.len() != 2 {
            continue;
        }
        for path in entries(&folder)? {
            let rest = path.file_name().unwrap_or_default().to_string_lossy();
            found.push((format!("blobs/{head}/{rest}"), path));
        }
    }
    found.sort();
    Ok(found)
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Whether the file that was added last is what its name says.
fn is_blob(name: &str, manifest: &Manifest) -> bool {
    let id = name.trim_start_matches("blobs/").replace('/', "");
    manifest.files.last().is_some_and(|file| file.blake3 == id)
}

/// A tar archive that is being written.
struct Archive {
    output: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Archive {
    fn new(output: File) -> Self {
        Self {
            output: BufWriter::with_capacity(PIECE_BYTES, output),
            hasher: blake3::Hasher::new(),
        }
    }

    /// Adds an open file as it is now.
    fn file(&mut self, name: &str, content: File) -> io::Result<ManifestFile> {
        let n_bytes = content.metadata()?.len();
        self.put(&header(name, n_bytes)?)?;
        let mut content = content.take(n_bytes);
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut n_read = 0;
        loop {
            let n = content.read(&mut piece)?;
            if n == 0 {
                break;
            }
            hasher.update(&piece[..n]);
            self.put(&piece[..n])?;
            n_read += n as u64;
        }
        if n_read != n_bytes {
            return Err(io::Error::other(format!(
                "{name} became shorter while it was read"
            )));
        }
        self.pad(n_bytes)?;
        Ok(ManifestFile {
            path: name.to_owned(),
            bytes: n_bytes,
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }

    fn bytes(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.put(&header(name, content.len() as u64)?)?;
        self.put(content)?;
        self.pad(content.len() as u64)
    }

    fn finish(mut self) -> io::Result<File> {
        let trailer = trailer(&self.hasher.finalize())?;
        self.output.write_all(&trailer)?;
        self.output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    }

    fn pad(&mut self, n_bytes: u64) -> io::Result<()> {
        self.put(&[0; BLOCK][..padding(n_bytes)])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.output.write_all(bytes)
    }
}

fn padding(n_bytes: u64) -> usize {
    (BLOCK - (n_bytes % BLOCK as u64) as usize) % BLOCK
}

/// The last entry and tar's end: the hash of all that stands before.
fn trailer(hash: &blake3::Hash) -> io::Result<Vec<u8>> {
    let text = format!("{}\n", hash.to_hex());
    let mut trailer = header(TRAILER, text.len() as u64)?.to_vec();
    trailer.extend(text.as_bytes());
    trailer.resize(TRAILER_BYTES as usize, 0);
    Ok(trailer)
}

/// A plain tar header: a file of its owner's.
fn header(name: &str, n_bytes: u64) -> io::Result<[u8; BLOCK]> {
    if name.len() > NAME_BYTES_MAX {
        return Err(io::Error::other(format!("the name {name} is too long")));
    }
    let mut header = [0; BLOCK];
    let mut set = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    set(0, name.as_bytes());
    set(100, b"0000600\0");
    set(108, b"0000000\0");
    set(116, b"0000000\0");
    match n_bytes < 1 << 33 {
        true => set(124, format!("{n_bytes:011o}\0").as_bytes()),
        // What eleven octal digits can't hold is written in base 256.
        false => {
            set(124, &[0x80, 0, 0, 0]);
            set(128, &n_bytes.to_be_bytes());
        }
    }
    set(136, b"00000000000\0");
    set(148, b"        ");
    set(156, b"0");
    set(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// The name and the size that a header states.
fn read_header(header: &[u8; BLOCK]) -> Option<(String, u64)> {
    let name = header[..NAME_BYTES_MAX].split(|byte| *byte == 0).next()?;
    let size = match header[124] {
        0x80 => u64::from_be_bytes(header[128..136].try_into().ok()?),
        _ => u64::from_str_radix(std::str::from_utf8(&header[124..135]).ok()?, 8).ok()?,
    };
    Some((std::str::from_utf8(name).ok()?.to_owned(), size))
}

/// Opens a backup whose every byte is as it was written.
fn checked(file: &Path) -> Result<BufReader<File>, StorageError> {
    let unreadable = |error: io::Error| {
        StorageError::Failed(format!(
            "the backup {} can't be read ({error}): check its name and that you may read it",
            file.display()
        ))
    };
    let mut input = File::open(file).map_err(unreadable)?;
    let n_bytes = input.metadata().map_err(unreadable)?.len();
    let verify = || -> io::Result<bool> {
        let Some(n_hashed) = n_bytes.checked_sub(TRAILER_BYTES) else {
            return Ok(false);
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader((&input).take(n_hashed))?;
        let mut found = Vec::new();
        (&input).take(TRAILER_BYTES).read_to_end(&mut found)?;
        Ok(found == trailer(&hasher.finalize())?)
    };
    if !verify().map_err(unreadable)? {
        return Err(StorageError::Incompatible(format!(
            "{} is no whole backup: it was cut short or changed, its content does not match its hash. Nothing was \
             touched; use another backup",
            file.display()
        )));
    }
    input.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    Ok(BufReader::with_capacity(PIECE_BYTES, input))
}

/// Writes the files of a checked backup below a folder, and gives its manifest.
fn unpack(
    file: &Path,
    archive: &mut BufReader<File>,
    folder: &Path,
) -> Result<Manifest, StorageError> {
    let odd = |what: &str| {
        StorageError::Incompatible(format!(
            "{} is whole but {what}: another program made it, or a newer titanclaw; update titanclaw",
            file.display()
        ))
    };
    let failed = |error: io::Error| {
        StorageError::Failed(format!(
            "{} can't be unpacked to {} ({error}): check that the disk has room",
            file.display(),
            folder.display()
        ))
    };
    loop {
        let mut block = [0; BLOCK];
        archive.read_exact(&mut block).map_err(failed)?;
        let Some((name, n_bytes)) = read_header(&block) else {
            return Err(odd("has a header that is not understood"));
        };
        if name == MANIFEST {
            let mut text = Vec::new();
            let n_read = n_bytes.min(MANIFEST_BYTES_MAX);
            archive
                .take(n_read)
                .read_to_end(&mut text)
                .map_err(failed)?;
            let manifest: Manifest = serde_json::from_slice(&text)
                .map_err(|error| odd(&format!("its manifest is not understood ({error})")))?;
            if manifest.format != FORMAT || manifest.schema > MIGRATIONS.len() {
                let newer = format!("was made by titanclaw {}", manifest.version);
                return Err(odd(&newer));
            }
            return flush_tree(folder).map(|()| manifest).map_err(failed);
        }
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if name.is_empty() || !Path::new(&name).components().all(is_plain) {
            return Err(odd(&format!("names {name:?}, which is no file of a home")));
        }
        unpack_file(archive, &folder.join(&name), n_bytes).map_err(failed)?;
    }
}

fn unpack_file(archive: &mut BufReader<File>, path: &Path, n_bytes: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
    }
    let mut output = private_file(path)?;
    let n_written = io::copy(&mut archive.take(n_bytes), &mut output)?;
    if n_written != n_bytes {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    output.sync_all()?;
    archive.seek_relative(padding(n_bytes) as i64)
}

/// Makes the names in a folder and in those below it survive a power cut.
fn flush_tree(folder: &Path) -> io::Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            flush_tree(&path)?;
        }
    }
    flush_folder(folder)
}

/// Whether nothing is in a home but what opening it made.
fn is_unused(home: &Path) -> bool {
    let is_own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        ["lock", "logs"].iter().any(|own| name == *own)
    };
    match entries(home) {
        Ok(entries) => entries.iter().all(is_own),
        Err(_unreadable) => false,
    }
}

/// Copies the key of the home that is replaced, which sealed the secrets if the backup is of that home.
fn keep_key(home: &Path, staging: &Path) -> io::Result<bool> {
    let key = match fs::read(home.join(KEY)) {
        Ok(key) => zeroize::Zeroizing::new(key),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut output = private_file(&staging.join(KEY))?;
    output.write_all(&key)?;
    output.sync_all()?;
    flush_folder(staging)?;
    Ok(true)
}

/// Gives a finished folder the home's name. What was there is kept under another, which is returned.
fn take_place(staging: &Path, home: &Path) -> io::Result<Option<PathBuf>> {
    let parent = folder_of(home);
    if !home.exists() {
        fs::rename(staging, home)?;
        return flush_folder(parent).map(|()| None);
    }
    let name = home.file_name().unwrap_or_default().to_string_lossy();
    let aside = parent.join(format!("{name}.before-restore-{}", now()));
    exchange(staging, home)?;
    fs::rename(staging, &aside)?;
    flush_folder(parent)?;
    Ok(Some(aside))
}

/// Swaps two names in one step: at no moment is there no home.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let third = one.with_extension("exchanged");
    fs::rename(other, &third)?;
    fs::rename(one, other)?;
    fs::rename(third, one)
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use titan_protocol::BlobId;

    #[test]
    fn headers_are_read_as_they_were_written_whatever_the_size() {
        for n_bytes in [0, 1, 511, 512, (1 << 33) - 1, 1 << 33, 1 << 40] {
            let written = header("blobs/ab/cd", n_bytes).expect("a short name");
            assert_eq!(
                read_header(&written),
                Some(("blobs/ab/cd".to_owned(), n_bytes))
            );
        }
        assert_eq!(
            BlobId::of(b"x").as_str().len(),
            64,
            "a blob's file has a name that fits"
        );
    }
}
