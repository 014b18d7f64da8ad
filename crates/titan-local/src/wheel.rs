//! Reads one file out of a wheel, which is a ZIP archive. Nothing in it is ever run or installed.
//!
//! Knows what the Python index allows: one volume, no encryption, sizes in the directory, stored or deflated entries
//! below 4 GiB. Every offset and size is checked against the archive before it is believed, and the content against
//! its checksum.

use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

const ENTRIES_MAX: usize = 4_096;
const DIRECTORY_BYTES_MAX: u64 = 4 << 20;
/// The end record and the longest comment after it.
const TAIL_BYTES_MAX: u64 = 22 + 65_535;
const PIECE_BYTES: usize = 256 << 10;

const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// A file in the archive.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    name: String,
    method: u16,
    crc: u32,
    packed: u64,
    bytes: u64,
    at: u64,
}

/// Writes the one member that `wanted` names to `out`, at most `bytes_max` of it, and gives its size.
///
/// # Errors
/// When the archive is damaged, has none or several such members, or the member is larger or does not match its
/// checksum.
pub(crate) fn extract(
    archive: &Path,
    wanted: impl Fn(&str) -> bool,
    bytes_max: u64,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut file = File::open(archive)?;
    let mut found = directory(&mut file)?
        .into_iter()
        .filter(|member| wanted(&member.name));
    let (Some(member), None) = (found.next(), found.next()) else {
        return Err(damaged("it does not hold exactly one piece of the model"));
    };
    if member.bytes > bytes_max {
        return Err(damaged("the piece in it is larger than the model"));
    }
    let packed = content(file, &member)?;
    match member.method {
        STORED => copy(packed, &member, out),
        DEFLATED => copy(DeflateDecoder::new(packed), &member, out),
        other => Err(damaged(&format!("it is compressed by method {other}"))),
    }
}

fn damaged(detail: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn directory(file: &mut File) -> io::Result<Vec<Member>> {
    let length = file.metadata()?.len();
    let tail = length.min(TAIL_BYTES_MAX);
    let bytes = read_at(file, length - tail, tail)?;
    let end = bytes.windows(4).rposition(|four| four == END);
    let head = end.and_then(|at| {
        let count = u16_at(&bytes, at + 10)?;
        let size = u32_at(&bytes, at + 12)?;
        Some((
            usize::from(count),
            u64::from(size),
            u64::from(u32_at(&bytes, at + 16)?),
        ))
    });
    let (count, size, at) = head.ok_or_else(|| damaged("it is no ZIP archive"))?;
    if count > ENTRIES_MAX || size > DIRECTORY_BYTES_MAX || at + size > length {
        return Err(damaged("its directory is too large"));
    }
    let bytes = read_at(file, at, size)?;
    let mut rest = bytes.as_slice();
    let members = std::iter::from_fn(|| entry(&mut rest))
        .take(count)
        .collect::<Vec<_>>();
    if members.len() != count {
        return Err(damaged("its directory is cut"));
    }
    Ok(members)
}

fn entry(rest: &mut &[u8]) -> Option<Member> {
    let bytes = *rest;
    if bytes.get(..4)? != ENTRY {
        return None;
    }
    let name = usize::from(u16_at(bytes, 28)?);
    let extra = usize::from(u16_at(bytes, 30)?);
    let comment = usize::from(u16_at(bytes, 32)?);
    let member = Member {
        name: String::from_utf8_lossy(bytes.get(46..46 + name)?).into_owned(),
        method: u16_at(bytes, 10)?,
        crc: u32_at(bytes, 16)?,
        packed: u32_at(bytes, 20)?.into(),
        bytes: u32_at(bytes, 24)?.into(),
        at: u32_at(bytes, 42)?.into(),
    };
    *rest = bytes.get(46 + name + extra + comment..)?;
    Some(member)
}

fn content(mut file: File, member: &Member) -> io::Result<io::Take<File>> {
    let header = read_at(&mut file, member.at, 30)?;
    let lengths = u16_at(&header, 26).zip(u16_at(&header, 28));
    let (Some((name, extra)), true) = (lengths, header.starts_with(LOCAL)) else {
        return Err(damaged("a piece's header is not where it should be"));
    };
    file.seek(SeekFrom::Current(i64::from(name) + i64::from(extra)))?;
    Ok(file.take(member.packed))
}

fn read_at(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn copy(mut from: impl Read, member: &Member, out: &mut dyn Write) -> io::Result<u64> {
    let mut crc = Crc::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut copied = 0;
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            break;
        }
        copied += count as u64;
        if copied > member.bytes {
            return Err(damaged("a piece is longer than it says"));
        }
        crc.update(&piece[..count]);
        out.write_all(&piece[..count])?;
    }
    if copied != member.bytes || crc.sum() != member.crc {
        return Err(damaged("a piece does not match its checksum"));
    }
    Ok(copied)
}

/// Makes archives for tests.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    /// An archive of deflated members.
    pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut directory = Vec::new();
        for (name, content) in members {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).unwrap();
            let packed = encoder.finish().unwrap();
            let mut crc = Crc::new();
            crc.update(content);
            let mut fields = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
            fields.extend(crc.sum().to_le_bytes());
            fields.extend((packed.len() as u32).to_le_bytes());
            fields.extend((content.len() as u32).to_le_bytes());
            fields.extend((name.len() as u16).to_le_bytes());
            fields.extend([0, 0]);
            directory.extend(ENTRY);
            directory.extend([20, 0]);
            directory.extend(&fields);
            directory.extend([0; 10]);
            directory.extend((out.len() as u32).to_le_bytes());
            directory.extend(name.as_bytes());
            out.extend(LOCAL);
            out.extend(&fields);
            out.extend(name.as_bytes());
            out.extend(packed);
        }
        let at = out.len() as u32;
        out.extend(&directory);
        out.extend(END);
        out.extend([0; 4]);
        out.extend((members.len() as u16).to_le_bytes());
        out.extend((members.len() as u16).to_le_bytes());
        out.extend((directory.len() as u32).to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend([0, 0]);
        out
    }

    fn extract_from(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        std::fs::write(&path, bytes).unwrap();
        let mut out = Vec::new();
        extract(&path, |name| name.ends_with(".bin"), 1 << 20, &mut out)?;
        Ok(out)
    }

    #[test]
    fn a_member_comes_out_whole() {
        let bytes = archive(&[("a/__init__.py", b"no"), ("a/data/part1.bin", &[7; 5000])]);
        assert_eq!(extract_from(&bytes).unwrap(), vec![7; 5000]);
    }

    #[test]
    fn no_cut_and_no_flipped_bit_passes_or_panics() {
        let content: Vec<u8> = (0..200).map(|i| (i * i) as u8).collect();
        let bytes = archive(&[("p.bin", &content)]);
        for cut in 0..bytes.len() {
            if let Ok(out) = extract_from(&bytes[..cut]) {
                assert_eq!(out, content, "cut at {cut}");
            }
        }
        for flipped in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[flipped] ^= 0x10;
            if let Ok(out) = extract_from(&bytes) {
                assert_eq!(out, content, "byte {flipped}");
            }
        }
    }

    #[test]
    fn two_members_of_the_wanted_name_are_refused() {
        assert!(extract_from(&archive(&[("a.bin", b"1"), ("b.bin", b"2")])).is_err());
    }
}
