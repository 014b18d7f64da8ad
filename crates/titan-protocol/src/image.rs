//! Images that a person gives. What one is is read from its bytes, never from a name.

use crate::BlobId;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest image, in bytes: as base64 it is 5 MiB, the most that vendors take.
pub const IMAGE_BYTES_MAX: usize = 15 << 18;
/// All images that are given at once, in bytes.
pub const IMAGES_BYTES_MAX: usize = 8 << 20;
/// Images that are given at once.
pub const IMAGES_MAX: usize = 8;
/// The longest side of an image, in pixels.
pub const IMAGE_SIDE_MAX: u32 = 8_000;
/// The most pixels of an image: what it unpacks to is bounded too.
pub const IMAGE_PIXELS_MAX: u64 = 40_000_000;
/// Pixels that vendors count as a token, about.
const PIXELS_PER_TOKEN: u64 = 750;
/// Whatever is read as bytes by anybody is read here.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Vendors make large images smaller before they count.
const TOKENS_MAX: u64 = 1_600;

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where its bytes are kept.
    pub blob: BlobId,
    /// How they are to be read.
    pub kind: ImageKind,
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Its size.
    pub bytes: u64,
}

impl Image {
    /// What these bytes are.
    ///
    /// # Errors
    /// When they are no image of a kind that models read, or more than is taken.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        if bytes.len() > IMAGE_BYTES_MAX {
            return Err(ImageError::TooLarge(bytes.len()));
        }
        let kind = ImageKind::of(bytes).ok_or(ImageError::Unknown)?;
        let (width, height) = kind.size(bytes).ok_or(ImageError::Damaged(kind.label()))?;
        let is_too_long = width.max(height) > IMAGE_SIDE_MAX;
        if is_too_long || u64::from(width) * u64::from(height) > IMAGE_PIXELS_MAX {
            return Err(ImageError::TooManyPixels { width, height });
        }
        Ok(Self {
            blob: BlobId::of(bytes),
            kind,
            width,
            height,
            bytes: bytes.len() as u64,
        })
    }

    /// It in a few words: `PNG, 800 × 600`.
    pub fn in_words(&self) -> String {
        let kind = self.kind.label();
        format!("{kind}, {} × {}", self.width, self.height)
    }

    /// Tokens that a model reads it as, about.
    pub fn tokens_estimated(&self) -> u32 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        u32::try_from((pixels / PIXELS_PER_TOKEN).clamp(1, TOKENS_MAX)).unwrap_or(u32::MAX)
    }
}

/// The kinds of images that models read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageKind {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF; models read its first picture.
    Gif,
    /// WebP.
    Webp,
}

impl ImageKind {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::Webp => "WebP",
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::Webp),
            _ => None,
        }
    }

    /// Columns and rows, none of them 0.
    fn size(self, bytes: &[u8]) -> Option<(u32, u32)> {
        let size = match self {
            Self::Png => png_size(bytes),
            Self::Jpeg => jpeg_size(bytes),
            Self::Gif => Some((little(bytes, 6, 2)?, little(bytes, 8, 2)?)),
            Self::Webp => webp_size(bytes),
        };
        size.filter(|(width, height)| *width > 0 && *height > 0)
    }
}

fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let is_header = bytes.get(12..16)? == b"IHDR";
    is_header.then_some(())?;
    Some((big(bytes, 16, 4)?, big(bytes, 20, 4)?))
}

/// The size stands in the first frame's header, behind segments of any length.
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        match *bytes.get(at + 1)? {
            // Padding.
            0xff => at += 1,
            // Standing alone.
            0x01 | 0xd0..=0xd7 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((big(bytes, at + 7, 2)?, big(bytes, at + 5, 2)?));
            }
            // The picture itself, or the end.
            0xd9 | 0xda => return None,
            _ => at += 2 + usize::try_from(big(bytes, at + 2, 2)?.max(2)).ok()?,
        }
    }
}

fn webp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " => {
            let is_key_frame = bytes.get(23..26)? == [0x9d, 0x01, 0x2a];
            is_key_frame.then_some(())?;
            Some((
                little(bytes, 26, 2)? & 0x3fff,
                little(bytes, 28, 2)? & 0x3fff,
            ))
        }
        b"VP8L" => {
            let bits = little(bytes, 21, 4).filter(|_| bytes[20] == 0x2f)?;
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => Some((little(bytes, 24, 3)? + 1, little(bytes, 27, 3)? + 1)),
        _ => None,
    }
}

fn big(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let digits = bytes.get(at..at + length)?;
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| (sum << 8) | u32::from(*digit)),
    )
}

fn little(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let digits = bytes.get(at..at + length)?;
    let digits = digits.iter().rev();
    Some(digits.fold(0, |sum, digit| (sum << 8) | u32::from(*digit)))
}

/// Why bytes are not taken for an image. The text says what is.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ImageError {
    /// Another format, whatever it is called.
    #[error("it is no PNG, JPEG, GIF or WebP image; save it as one of these")]
    Unknown,
    /// Its beginning is not as its format has it.
    #[error("it begins as a {0} image, but is damaged or cut off; save it again")]
    Damaged(&'static str),
    /// More bytes than are taken.
    #[error("it has {} KiB; an image may have {} KiB. Make it smaller or crop it", .0 >> 10, IMAGE_BYTES_MAX >> 10)]
    TooLarge(usize),
    /// More pixels than are taken.
    #[error("it has {width} × {height} pixels; a side may have {IMAGE_SIDE_MAX}, all together {} million. Make it smaller or crop it", IMAGE_PIXELS_MAX / 1_000_000)]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// The bytes of an image on their way to the engine; base64 in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageBytes(pub Bytes);

impl std::fmt::Debug for ImageBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageBytes({} bytes)", self.0.len())
    }
}

impl ImageBytes {
    /// Bytes from base64, as it stands in a `data:` URL.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_base64(text: &str) -> Result<Self, base64::DecodeError> {
        BASE64.decode(text).map(|bytes| Self(bytes.into()))
    }

    /// The bytes in base64.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }
}

impl Serialize for ImageBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for ImageBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text)
            .map_err(|_| serde::de::Error::custom("an image is given in base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes
    }

    fn riff(chunk: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [b"RIFF\0\0\0\0WEBP", &chunk[..], b"\0\0\0\0", data].concat()
    }

    #[test]
    fn each_kind_is_known_by_its_bytes() {
        let app = [
            &b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x11\x08"[..],
            b"\0\x20\0\x30",
        ]
        .concat();
        for (bytes, expected) in [
            (png(800, 600), "PNG, 800 × 600"),
            (app, "JPEG, 48 × 32"),
            (b"GIF89a\x10\0\x08\0".to_vec(), "GIF, 16 × 8"),
            (
                riff(b"VP8 ", b"\0\0\0\x9d\x01\x2a\x10\0\x08\0"),
                "WebP, 16 × 8",
            ),
            (riff(b"VP8L", b"\x2f\x0f\xc0\x01\0"), "WebP, 16 × 8"),
            (riff(b"VP8X", b"\0\0\0\0\x0f\0\0\x07\0\0"), "WebP, 16 × 8"),
        ] {
            let image = Image::read(&bytes).expect(expected);
            assert_eq!(image.in_words(), expected);
            assert_eq!(image.blob, BlobId::of(&bytes));
        }
    }

    #[test]
    fn what_is_no_image_or_too_much_is_refused_in_words() {
        let large = [png(1, 1), vec![0; IMAGE_BYTES_MAX]].concat();
        for (bytes, words) in [
            (b"<svg/>".to_vec(), "no PNG"),
            (png(0, 3), "damaged"),
            (b"\x89PNG\r\n\x1a\n".to_vec(), "damaged"),
            (b"\xff\xd8\xff\xda".to_vec(), "damaged"),
            (png(8_001, 1), "8001 × 1"),
            (png(8_000, 8_000), "40 million"),
            (large, "3840 KiB"),
        ] {
            let why = Image::read(&bytes).expect_err(words).to_string();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn no_beginning_of_an_image_breaks_the_reader() {
        let images = [
            png(8, 8),
            riff(b"VP8L", b"\x2f\x0f\xc0\x01\0"),
            b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x20\0\x30".to_vec(),
        ];
        for image in images {
            for end in 0..image.len() {
                assert!(Image::read(&image[..end]).is_err());
            }
        }
    }

    #[test]
    fn bytes_go_over_the_wire_in_base64() {
        let image = ImageBytes(Bytes::from_static(b"\0\xff"));
        let json = serde_json::to_string(&image).unwrap();
        assert_eq!(json, "\"AP8=\"");
        assert_eq!(serde_json::from_str::<ImageBytes>(&json).unwrap(), image);
        assert!(serde_json::from_str::<ImageBytes>("\"not base64\"").is_err());
    }
}
