//! Images of the command line.

use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use titan_protocol::{IMAGE_BYTES_MAX, Image, ImageBytes};

/// Reads an image, never more than one may have. What it is is told by its bytes.
///
/// # Errors
/// When it can't be read or is none; the text names the file.
pub(super) fn read(path: &Path) -> anyhow::Result<ImageBytes> {
    let unreadable = || format!("the image {} can't be read", path.display());
    let file = File::open(path).with_context(unreadable)?;
    if !file.metadata().with_context(unreadable)?.is_file() {
        bail!("the image {} is no file", path.display());
    }
    let mut bytes = Vec::new();
    let mut file = file.take(IMAGE_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut bytes).with_context(unreadable)?;
    if let Err(error) = Image::read(&bytes) {
        bail!("the image {} is not taken: {error}", path.display());
    }
    Ok(ImageBytes(bytes.into()))
}
