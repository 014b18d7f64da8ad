//! Cuts a body into frames: server-sent events, or one JSON value a line.
//!
//! Bytes in, whole frames out, wherever the network cut them. Nothing here knows what a frame means.

use std::borrow::Cow;

/// The longest line, and the most data of one event, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The event's name; empty when it has none.
    pub(crate) event: String,
    /// Its data, lines joined by `\n`.
    pub(crate) data: String,
    /// Some of it was no UTF-8 and stands replaced.
    pub(crate) is_lossy: bool,
}

/// A frame longer than [`FRAME_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FrameTooLong;

/// How a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `text/event-stream`.
    Sse,
    /// A JSON value on each line.
    Lines,
}

/// A push decoder: gives the frames that are whole so far.
pub(crate) struct Framer {
    framing: Framing,
    /// The line that is being read, without its end.
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed now belongs to it.
    after_cr: bool,
    /// No line was read yet, so a byte order mark may come.
    at_start: bool,
    event: String,
    data: Option<String>,
    is_lossy: bool,
}

impl Framer {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            event: String::new(),
            data: None,
            is_lossy: false,
        }
    }

    /// Takes the next bytes and gives the frames that they complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, FrameTooLong> {
        let mut frames = Vec::new();
        if self.after_cr && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        self.after_cr &= bytes.is_empty();
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.keep(&bytes[..end])?;
            let skipped = match (bytes[end], bytes.get(end + 1)) {
                (b'\r', Some(b'\n')) => 2,
                (b'\r', None) => {
                    self.after_cr = true;
                    1
                }
                _ => 1,
            };
            bytes = &bytes[end + skipped..];
            frames.extend(self.end_line()?);
        }
        self.keep(bytes)?;
        Ok(frames)
    }

    /// The body is over: gives the frame that was not terminated, which may be cut short.
    pub(crate) fn finish(&mut self) -> Result<Option<Frame>, FrameTooLong> {
        if !self.line.is_empty()
            && let Some(frame) = self.end_line()?
        {
            return Ok(Some(frame));
        }
        Ok(self.dispatch())
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), FrameTooLong> {
        if self.line.len() + part.len() > FRAME_BYTES_MAX {
            return Err(FrameTooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Frame>, FrameTooLong> {
        let mut bytes = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.at_start) && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        // The format asks for replacement, not refusal, of what is not UTF-8.
        let line = String::from_utf8_lossy(&bytes);
        self.is_lossy |= matches!(line, Cow::Owned(_));
        match self.framing {
            Framing::Lines => Ok((!line.trim().is_empty()).then(|| Frame {
                event: String::new(),
                data: line.trim().to_owned(),
                is_lossy: std::mem::take(&mut self.is_lossy),
            })),
            Framing::Sse if line.is_empty() => Ok(self.dispatch()),
            Framing::Sse => self.field(&line).map(|()| None),
        }
    }

    fn field(&mut self, line: &str) -> Result<(), FrameTooLong> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            // An old llama.cpp server reports errors in a field of this name.
            "data" | "error" => {
                if name == "error" {
                    "error".clone_into(&mut self.event);
                }
                let data = match self.data.take() {
                    Some(data) => data + "\n" + value,
                    None => value.to_owned(),
                };
                if data.len() > FRAME_BYTES_MAX {
                    return Err(FrameTooLong);
                }
                self.data = Some(data);
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Frame> {
        let event = std::mem::take(&mut self.event);
        let is_lossy = std::mem::take(&mut self.is_lossy);
        let data = self.data.take()?;
        Some(Frame {
            event,
            data,
            is_lossy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(framing: Framing, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::new(framing);
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(framer.push(piece).unwrap());
        }
        out.extend(framer.finish().unwrap());
        out
    }

    fn frame(event: &str, data: &str) -> Frame {
        Frame {
            event: event.to_owned(),
            data: data.to_owned(),
            is_lossy: false,
        }
    }

    #[test]
    fn every_kind_of_line_end_ends_a_line() {
        let body = b"\xef\xbb\xbfdata: a\r\n\r\ndata:b\r\rdata: c\n\n";
        assert_eq!(
            frames(Framing::Sse, &[body]),
            [frame("", "a"), frame("", "b"), frame("", "c")]
        );
    }

    #[test]
    fn comments_ids_and_empty_events_give_nothing() {
        let body = b": ping\n\nid: 1\nretry: 5\n\nevent: x\n\nevent: y\ndata: 1\ndata: 2\n\n";
        assert_eq!(frames(Framing::Sse, &[body]), [frame("y", "1\n2")]);
    }

    #[test]
    fn a_body_that_ends_without_a_blank_line_gives_its_last_event() {
        assert_eq!(
            frames(Framing::Sse, &[b"data: [DONE]"]),
            [frame("", "[DONE]")]
        );
        assert_eq!(
            frames(Framing::Lines, &[b"{\"a\":1}\n\n{\"b\":2}"]),
            [frame("", "{\"a\":1}"), frame("", "{\"b\":2}")]
        );
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_bound() {
        let mut framer = Framer::new(Framing::Sse);
        let piece = vec![b'x'; FRAME_BYTES_MAX];
        assert_eq!(framer.push(&piece), Ok(vec![]));
        assert_eq!(framer.push(b"x"), Err(FrameTooLong));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            lines in proptest::collection::vec(
                ("(data: |data:|event: |: |id: )?[a-zß\u{1F980}\u{2028} ]{0,6}", "(\n|\r|\r\n)"), 0..20),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
            with_mark in any::<bool>(),
            framing in prop_oneof![Just(Framing::Sse), Just(Framing::Lines)],
        ) {
            let mut body = if with_mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
            for (line, end) in &lines {
                body.extend_from_slice(line.as_bytes());
                body.extend_from_slice(end.as_bytes());
            }
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            at.extend([0, body.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frames(framing, &pieces), frames(framing, &[&body]));
        }
    }
}
