//! Images that the person gives: checked when they come, kept as blobs, shown to the model as far as they fit, and given
//! back to who shows the session.

use crate::engine::Parts;
use crate::lineage::Reader;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use titan_protocol::{
    BlobId, Blobs, ClientError, Content, Event, IMAGES_BYTES_MAX, IMAGES_MAX, Image, ImageBytes,
    ModelRequest, Seq, SessionId, StorageError,
};

/// Bytes of images that a model is shown with one request; the newest are shown.
const SHOWN_BYTES_MAX: u64 = 16 << 20;
/// And how many of them.
const SHOWN_MAX: usize = 20;

/// An image that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) image: Image,
    bytes: Bytes,
}

/// Checks images by their bytes.
///
/// # Errors
/// `Refused` when one is no image that models read, or they are too large or too many.
pub(crate) fn checked(images: Vec<ImageBytes>) -> Result<Vec<Given>, ClientError> {
    if images.len() > IMAGES_MAX {
        return Err(ClientError::Refused(format!(
            "{} images are given; at most {IMAGES_MAX} fit. Say the rest with what you say next.",
            images.len()
        )));
    }
    let n_bytes: usize = images.iter().map(|image| image.0.len()).sum();
    if n_bytes > IMAGES_BYTES_MAX {
        return Err(ClientError::Refused(format!(
            "The images have {} KiB together; at most {} KiB fit. Make them smaller, or give them one after the other.",
            n_bytes >> 10,
            IMAGES_BYTES_MAX >> 10
        )));
    }
    let given = images
        .into_iter()
        .enumerate()
        .map(|(idx, ImageBytes(bytes))| {
            let image = Image::read(&bytes).map_err(|error| {
                ClientError::Refused(format!("Image {} is not taken: {error}.", idx + 1))
            })?;
            Ok(Given { image, bytes })
        });
    given.collect()
}

/// Keeps the bytes, durably.
///
/// # Errors
/// When they can't be stored.
pub(crate) async fn keep(blobs: &dyn Blobs, given: &[Given]) -> Result<(), StorageError> {
    for Given { bytes, .. } in given {
        blobs.put(bytes.clone()).await?;
    }
    Ok(())
}

/// The bytes of one of the images of a record. The record decides what can be had: no other blob is read.
///
/// # Errors
/// `Refused` when there is none, `Storage` when it can't be read.
pub(crate) async fn of_record(
    parts: &Parts,
    session: SessionId,
    at: Seq,
    number: usize,
) -> Result<ImageBytes, ClientError> {
    let none = || ClientError::Refused("There is no such image in this session.".to_owned());
    let before = at.checked_sub(1).ok_or_else(none)?;
    let mut reader = Reader::new(parts.journal.clone(), session, before);
    let page = reader.next(1).await?;
    let record = page.records.first().filter(|record| record.seq == at);
    let Some(Event::ImagesGiven { images }) = record.map(|record| &record.event) else {
        return Err(none());
    };
    let image = images.get(number).ok_or_else(none)?;
    let bytes = parts.blobs.get(&image.blob).await?;
    bytes.map(ImageBytes).ok_or_else(none)
}

/// The images of a turn's requests, read once.
#[derive(Default)]
pub(crate) struct Shown(HashMap<BlobId, Arc<str>>);

impl Shown {
    /// Puts the newest images of a request in, as many as fit. One that can't be read is left out.
    pub(crate) async fn fill(&mut self, request: &mut ModelRequest, blobs: &dyn Blobs) {
        let (mut left_bytes, mut left) = (SHOWN_BYTES_MAX, SHOWN_MAX);
        let parts = request.messages.iter_mut().rev();
        for part in parts.flat_map(|message| message.content.iter_mut().rev()) {
            let Content::Image { image, base64 } = part else {
                continue;
            };
            if left == 0 || image.bytes > left_bytes {
                return;
            }
            (left_bytes, left) = (left_bytes - image.bytes, left - 1);
            *base64 = self.read(image, blobs).await;
        }
    }

    async fn read(&mut self, image: &Image, blobs: &dyn Blobs) -> Option<Arc<str>> {
        if let Some(known) = self.0.get(&image.blob) {
            return Some(known.clone());
        }
        let read = blobs.get(&image.blob).await.unwrap_or_else(|error| {
            tracing::warn!(%error, blob = %image.blob, "an image can't be read");
            None
        });
        let base64: Arc<str> = ImageBytes(read?).to_base64().into();
        self.0.insert(image.blob.clone(), base64.clone());
        Some(base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever bytes are given, they are taken with a size within the bounds, or refused in words.
    #[test]
    fn fuzz_image() {
        titan_testkit::fuzz::check("image", |bytes| {
            let given = ImageBytes(Bytes::copy_from_slice(bytes));
            match checked(vec![given]) {
                Ok(given) => {
                    let Image { width, height, .. } = given[0].image;
                    assert!((1..=titan_protocol::IMAGE_SIDE_MAX).contains(&width.min(height)));
                    let pixels = u64::from(width) * u64::from(height);
                    assert!(pixels <= titan_protocol::IMAGE_PIXELS_MAX);
                }
                Err(error) => assert!(error.to_string().contains("is not taken"), "{error}"),
            }
        });
    }

    #[test]
    fn too_many_or_too_large_together_are_refused() {
        let many = vec![ImageBytes(Bytes::new()); IMAGES_MAX + 1];
        let large = vec![ImageBytes(vec![0; IMAGES_BYTES_MAX / 2 + 1].into()); 2];
        for (images, words) in [(many, "9 images"), (large, "8192 KiB fit")] {
            let why = checked(images).expect_err(words).to_string();
            assert!(why.contains(words), "{why}");
        }
    }
}
