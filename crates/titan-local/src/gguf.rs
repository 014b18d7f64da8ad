//! Reads the GGUF container: metadata, the list of tensors, and their bytes straight from the mapped file.
//!
//! A mapped file costs nothing to open, but its small pages slow a decoder that reads all of it for each token. So
//! the weights can be copied into large pages while the model already works, see [`Gguf::settle`].
//!
//! The file comes from outside, so every count and offset is checked against the file's size before it is believed.
//! Knows nothing of what the metadata means; the tokenizer and the decoder ask by key.

use crate::error::LocalError;
use crate::quant::Format;
use memmap2::Mmap;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
const ALIGNMENT_DEFAULT: u64 = 32;
const METADATA_ENTRIES_MAX: u64 = 4_096;
const TENSORS_MAX: u64 = 16_384;
const TEXT_BYTES_MAX: u64 = 4 << 20;
const ARRAY_ITEMS_MAX: u64 = 2 << 20;
const DIMENSIONS_MAX: u32 = 4;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 8 << 20;
/// How many times its size must be free before a file is copied.
const SPARE_TIMES: u64 = 2;

/// A mapped model file.
pub(crate) struct Gguf {
    path: PathBuf,
    file: File,
    map: Mmap,
    /// The same bytes in large pages, once they are copied.
    copy: OnceLock<Mmap>,
    is_settling: AtomicBool,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, Tensor>,
}

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    List(List),
}

/// A list of the metadata, left in the file until someone asks for its items: vocabularies are long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    kind: u32,
    count: usize,
    bytes: Range<usize>,
}

/// Where a tensor lies and how it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Sizes, the contiguous one first.
    pub(crate) dimensions: Vec<usize>,
    /// How numbers are stored.
    pub(crate) format: Format,
    /// Its bytes in the file.
    pub(crate) bytes: Range<usize>,
}

impl Gguf {
    /// Maps the file and reads its head. Cheap: the weights are read from disk when they are used.
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let at_path = |source| LocalError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(at_path)?;
        // SAFETY: model files are written under another name, checked, renamed into place and then never written
        // again by this program; a person who truncates one while it is in use ends the process by SIGBUS, as with
        // any mapped file. Bytes that change under us are only ever read as plain integers.
        let map = unsafe { Mmap::map(&file) }.map_err(at_path)?;
        let head = Head::read(&map).map_err(|problem| match problem {
            Problem::Damaged(detail) => LocalError::Damaged {
                path: path.to_owned(),
                detail,
            },
            Problem::Unsupported(detail) => LocalError::Unsupported {
                path: path.to_owned(),
                detail,
            },
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            map,
            copy: OnceLock::new(),
            is_settling: AtomicBool::new(false),
            metadata: head.metadata,
            tensors: head.tensors,
        })
    }

    /// The whole file's size.
    pub(crate) fn file_bytes(&self) -> usize {
        self.map.len()
    }

    /// Begins to bring the whole file into memory, and to map it on a thread of its own, where the system can: asked for
    /// page by page it would come late.
    pub(crate) fn read_ahead(self: &Arc<Self>) {
        #[cfg(unix)]
        if let Err(error) = self.map.advise(memmap2::Advice::WillNeed) {
            tracing::debug!(%error, "no read-ahead for the model file");
        }
        #[cfg(target_os = "linux")]
        {
            let file = Arc::clone(self);
            let thread = std::thread::Builder::new().name("model-map".into());
            let started = thread.spawn(move || file.map_pages());
            if let Err(error) = started {
                tracing::debug!(%error, "the model file is mapped as it is read");
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn map_pages(&self) {
        for from in (0..self.map.len()).step_by(COPY_BYTES) {
            let length = COPY_BYTES.min(self.map.len() - from);
            if self.copy.get().is_some() {
                return;
            }
            let populate = memmap2::Advice::PopulateRead;
            if let Err(error) = self.map.advise_range(populate, from, length) {
                // Kernels before 5.14 do not know how.
                tracing::debug!(%error, "the model file is mapped as it is read");
                return;
            }
        }
    }

    /// Begins to copy the file into large pages on a thread of its own, once, where the system has them and memory to
    /// spare. From then on the bytes come from there, and the mapped pages are given back.
    pub(crate) fn settle(self: &Arc<Self>) {
        if self.is_settling.swap(true, Ordering::Relaxed) {
            return;
        }
        let file = Arc::clone(self);
        let thread = std::thread::Builder::new().name("model-copy".into());
        let started = thread.spawn(move || {
            if let Err(error) = file.copy_to_large_pages() {
                tracing::debug!(%error, "the model stays in the mapped file");
            }
        });
        if let Err(error) = started {
            tracing::debug!(%error, "the model stays in the mapped file");
        }
    }

    #[cfg(target_os = "linux")]
    fn copy_to_large_pages(&self) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt;
        let length = self.map.len();
        if memory_to_spare().is_none_or(|spare| spare < length as u64 * SPARE_TIMES) {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        let mut copy = memmap2::MmapMut::map_anon(length)?;
        copy.advise(memmap2::Advice::HugePage)?;
        for (i, piece) in copy.chunks_mut(COPY_BYTES).enumerate() {
            self.file.read_exact_at(piece, (i * COPY_BYTES) as u64)?;
        }
        if self.copy.set(copy.make_read_only()?).is_ok() {
            // SAFETY: the pages are of a file and unchanged; whoever still reads them has them read in again.
            unsafe {
                self.map
                    .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
            }?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn copy_to_large_pages(&self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// A tensor by name.
    pub(crate) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// A tensor's bytes. Their range was checked when the head was read.
    pub(crate) fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.copy.get().unwrap_or(&self.map)[tensor.bytes.clone()]
    }

    /// All the head's bytes up to the first tensor: they name the model exactly, short of its weights.
    pub(crate) fn head_bytes(&self) -> &[u8] {
        let end = self.tensors.values().map(|t| t.bytes.start).min();
        &self.map[..end.unwrap_or(self.map.len())]
    }

    /// `count` pieces of at most `length` bytes from throughout the file.
    pub(crate) fn samples(&self, count: usize, length: usize) -> impl Iterator<Item = &[u8]> {
        let step = self.map.len() / count.max(1);
        (0..count).map(move |i| &self.map[i * step..(i * step + length).min(self.map.len())])
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn size(&self, key: &str) -> Option<usize> {
        match self.value(key)? {
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f32> {
        match self.value(key)? {
            Value::Float(number) => Some(*number as f32),
            _ => None,
        }
    }

    /// A list of texts. What is no UTF-8 in them is replaced.
    pub(crate) fn texts(&self, key: &str) -> Option<impl ExactSizeIterator<Item = Cow<'_, str>>> {
        let list = self.list(key).filter(|list| list.kind == TEXT)?;
        let mut reader = self.items(list);
        // The list was walked through when the head was read, so no item is missing.
        Some(
            (0..list.count)
                .map(move |_| String::from_utf8_lossy(reader.text_bytes().unwrap_or(&[]))),
        )
    }

    /// A list of whole numbers.
    pub(crate) fn integers(&self, key: &str) -> Option<impl ExactSizeIterator<Item = i64>> {
        let list = self
            .list(key)
            .filter(|list| integer_bytes(list.kind).is_some())?;
        let mut reader = self.items(list);
        Some((0..list.count).map(move |_| reader.integer(list.kind).unwrap_or(0)))
    }

    fn list(&self, key: &str) -> Option<&List> {
        match self.value(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn items(&self, list: &List) -> Reader<'_> {
        Reader {
            file: &self.map[..list.bytes.end],
            at: list.bytes.start,
        }
    }

    /// An error that says that this file is damaged.
    pub(crate) fn damaged(&self, detail: impl Into<String>) -> LocalError {
        LocalError::Damaged {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }

    /// An error that says that this file can't be run here.
    pub(crate) fn unsupported(&self, detail: impl Into<String>) -> LocalError {
        LocalError::Unsupported {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }
}

/// Memory that can be had without swapping, in bytes.
#[cfg(target_os = "linux")]
fn memory_to_spare() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[derive(Debug)]
enum Problem {
    Damaged(String),
    Unsupported(String),
}

fn damaged(detail: impl Into<String>) -> Problem {
    Problem::Damaged(detail.into())
}

struct Head {
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, Tensor>,
}

impl Head {
    fn read(file: &[u8]) -> Result<Self, Problem> {
        let mut reader = Reader { file, at: 0 };
        if reader.take(4)? != MAGIC {
            return Err(damaged("it does not begin with \"GGUF\""));
        }
        let version = reader.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(Problem::Unsupported(format!("GGUF version {version}")));
        }
        let tensor_count = bounded(reader.u64()?, TENSORS_MAX, "tensors")?;
        let entry_count = bounded(reader.u64()?, METADATA_ENTRIES_MAX, "metadata entries")?;
        let mut metadata = HashMap::with_capacity(entry_count);
        for _ in 0..entry_count {
            let key = reader.text()?;
            let kind = reader.u32()?;
            metadata.insert(key, reader.value(kind)?);
        }
        let mut tensors = HashMap::with_capacity(tensor_count);
        for _ in 0..tensor_count {
            let (name, tensor) = reader.tensor()?;
            tensors.insert(name, tensor);
        }
        let alignment = match metadata.get("general.alignment") {
            Some(Value::Integer(n)) if (1..=4096).contains(n) => n.unsigned_abs(),
            _ => ALIGNMENT_DEFAULT,
        };
        let data = (reader.at as u64).next_multiple_of(alignment) as usize;
        for (name, tensor) in &mut tensors {
            let start = tensor.bytes.start.checked_add(data);
            let end = tensor.bytes.end.checked_add(data);
            match (start, end) {
                (Some(start), Some(end)) if end <= file.len() => tensor.bytes = start..end,
                _ => return Err(damaged(format!("tensor {name} lies past its end"))),
            }
        }
        Ok(Self { metadata, tensors })
    }
}

fn bounded(count: u64, max: u64, what: &str) -> Result<usize, Problem> {
    if count > max {
        return Err(damaged(format!(
            "it claims {count} {what}, at most {max} are read"
        )));
    }
    Ok(count as usize)
}

/// Codes of metadata types.
const FLOAT: u32 = 6;
const TEXT: u32 = 8;

/// How many bytes a whole number of this type takes; `None` when it is another type.
fn integer_bytes(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4 | 5 => Some(4),
        10 | 11 => Some(8),
        _ => None,
    }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.file.get(self.at..end));
        let bytes = bytes.ok_or_else(|| damaged("it ends in the middle of its head"))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Problem> {
        self.array().map(u64::from_le_bytes)
    }

    fn text_bytes(&mut self) -> Result<&'a [u8], Problem> {
        let length = bounded(self.u64()?, TEXT_BYTES_MAX, "bytes of text")?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, Problem> {
        Ok(String::from_utf8_lossy(self.text_bytes()?).into_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value, Problem> {
        Ok(match kind {
            FLOAT => Value::Float(self.array().map(f32::from_le_bytes)?.into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            TEXT => Value::Text(self.text()?),
            9 => Value::List(self.list()?),
            12 => Value::Float(self.array().map(f64::from_le_bytes)?),
            _ => Value::Integer(self.integer(kind)?),
        })
    }

    fn integer(&mut self, kind: u32) -> Result<i64, Problem> {
        Ok(match kind {
            0 => self.array().map(u8::from_le_bytes)?.into(),
            1 => self.array().map(i8::from_le_bytes)?.into(),
            2 => self.array().map(u16::from_le_bytes)?.into(),
            3 => self.array().map(i16::from_le_bytes)?.into(),
            4 => self.u32()?.into(),
            5 => self.array().map(i32::from_le_bytes)?.into(),
            7 => self.array::<1>()?[0].into(),
            10 => self.u64()?.cast_signed(),
            11 => self.array().map(i64::from_le_bytes)?,
            _ => return Err(damaged(format!("metadata of unknown type {kind}"))),
        })
    }

    /// Walks through a list, so that what is read of it later is known to be there.
    fn list(&mut self) -> Result<List, Problem> {
        let kind = self.u32()?;
        let count = bounded(self.u64()?, ARRAY_ITEMS_MAX, "items in a list")?;
        let start = self.at;
        match (kind, integer_bytes(kind)) {
            (TEXT, _) => {
                for _ in 0..count {
                    self.text_bytes()?;
                }
            }
            (FLOAT, _) => {
                self.take(count * 4)?;
            }
            (_, Some(size)) => {
                self.take(count * size)?;
            }
            _ => return Err(damaged(format!("a list of unknown type {kind}"))),
        }
        Ok(List {
            kind,
            count,
            bytes: start..self.at,
        })
    }

    fn tensor(&mut self) -> Result<(String, Tensor), Problem> {
        let name = self.text()?;
        let count = self.u32()?;
        if !(1..=DIMENSIONS_MAX).contains(&count) {
            return Err(damaged(format!("tensor {name} has {count} dimensions")));
        }
        let dimensions: Vec<usize> = (0..count)
            .map(|_| self.u64().map(|n| n as usize))
            .collect::<Result<_, _>>()?;
        let code = self.u32()?;
        let format = Format::from_code(code).ok_or_else(|| {
            Problem::Unsupported(format!("tensor {name} is stored in format {code}"))
        })?;
        let start = self.u64()? as usize;
        let size = format.row_bytes(dimensions[0]).and_then(|row| {
            dimensions[1..]
                .iter()
                .try_fold(row, |size, n| size.checked_mul(*n))
        });
        let end = size.and_then(|size| start.checked_add(size));
        let end = end.ok_or_else(|| damaged(format!("tensor {name} has impossible sizes")))?;
        let tensor = Tensor {
            dimensions,
            format,
            bytes: start..end,
        };
        Ok((name, tensor))
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_copied_model_has_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = Gguf::open(&crate::tiny::write(folder.path(), "llama")).unwrap();
        let before: Vec<Vec<u8>> = file
            .tensors
            .values()
            .map(|t| file.bytes(t).to_vec())
            .collect();
        if let Err(error) = file.copy_to_large_pages() {
            return titan_testkit::skip("kernel:transparent_hugepage", error);
        }
        assert!(file.copy.get().is_some());
        let after: Vec<&[u8]> = file.tensors.values().map(|t| file.bytes(t)).collect();
        assert_eq!(before, after);
    }
}
