//! Images that the person gives with what they say next.

use crate::render::style::{Line, Style};
use crate::render::visible::visible;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use titan_protocol::{IMAGE_BYTES_MAX, Image, ImageBytes};

/// Endings of files that are looked at when their path is pasted. What is in them is told by their bytes.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];
/// Files that are dropped at once.
const PATHS_MAX: usize = 8;
/// Columns of a name.
const NAME_COLUMNS_MAX: usize = 40;

/// An image that was read and not said yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chip {
    pub(super) name: String,
    pub(super) image: Image,
    pub(super) bytes: ImageBytes,
}

impl Chip {
    pub(super) fn new(path: &Path, bytes: ImageBytes) -> Result<Self, String> {
        let image = Image::read(&bytes.0).map_err(|error| error.to_string())?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: visible(&name.to_string_lossy()),
            image,
            bytes,
        })
    }

    pub(super) fn line(&self, is_last: bool) -> Line {
        let name = Line::default().with(Style::BOLD, format!("▣ {}", self.name));
        let hint = if is_last {
            " · Backspace takes it away"
        } else {
            ""
        };
        name.cut(NAME_COLUMNS_MAX)
            .with(Style::DIM, format!(" · {}{hint}", self.image.in_words()))
    }
}

/// The files whose paths a terminal pastes when images are dropped on it; none if the text is anything else.
pub(super) fn dropped(pasted: &str) -> Vec<PathBuf> {
    let lines = pasted.trim().lines().map(path_of);
    let paths: Option<Vec<PathBuf>> = lines.collect();
    paths
        .filter(|paths| paths.len() <= PATHS_MAX)
        .unwrap_or_default()
}

/// An absolute path to what may be an image: bare, quoted, with escaped spaces, or as an address.
fn path_of(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let quoted = ['\'', '"'].iter().find_map(|quote| {
        let inner = line.strip_prefix(*quote)?.strip_suffix(*quote)?;
        Some(inner.to_owned())
    });
    let path = match line.strip_prefix("file://") {
        Some(address) => unescaped_address(address)?,
        None => quoted.unwrap_or_else(|| line.replace("\\ ", " ")),
    };
    let path = PathBuf::from(path);
    let ending = path.extension()?.to_str()?.to_lowercase();
    (path.is_absolute() && ENDINGS.contains(&ending.as_str())).then_some(path)
}

/// A path with the bytes that `%20` and the like stand for.
fn unescaped_address(address: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = address.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Reads a file that may be an image; never more than an image may have.
///
/// # Errors
/// When it can't be read; the text says why.
pub(super) fn read(path: &Path) -> Result<ImageBytes, String> {
    let unreadable = |error: std::io::Error| format!("{} can't be read: {error}", path.display());
    let file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut bytes = Vec::new();
    let mut file = file.take(IMAGE_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(ImageBytes(bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_image_is_known_however_the_terminal_spells_its_path() {
        let cat = |text: &str| dropped(text) == [PathBuf::from("/a b/cat.PNG")];
        for text in [
            "/a\\ b/cat.PNG ",
            "'/a b/cat.PNG'",
            "\"/a b/cat.PNG\"",
            "file:///a%20b/cat.PNG",
        ] {
            assert!(cat(text), "{text}");
        }
        assert_eq!(dropped("/x.png\n/y.webp").len(), 2);
        for text in [
            "",
            "cat.png",
            "/cat.txt",
            "look at /cat.png",
            "/cat.png\nand more",
            "file:///%zz.png",
        ] {
            assert_eq!(dropped(text), [] as [PathBuf; 0], "{text}");
        }
    }

    #[test]
    fn a_file_is_read_no_further_than_an_image_may_go() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("long.png");
        std::fs::write(&path, vec![0; IMAGE_BYTES_MAX + 10]).expect("it is written");
        assert_eq!(read(&path).map(|it| it.0.len()), Ok(IMAGE_BYTES_MAX + 1));
        assert!(read(folder.path()).is_err_and(|why| why.contains("no file")));
        let missing = read(&folder.path().join("none.png"));
        assert!(missing.is_err_and(|why| why.contains("can't be read")));
    }
}
