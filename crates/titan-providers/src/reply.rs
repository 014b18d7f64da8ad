//! One reply while it arrives: what every decoder does the same way.
//!
//! Keeps the rules that hold on all wires: calls are numbered from 0, a call ends once and only when its arguments
//! are one whole value, a reply has one reason to stop, and nothing follows its end.

use crate::failure::Vendor;
use titan_protocol::{ModelError, ModelEvent, StopReason, Usage};

/// The most calls of one reply.
pub(crate) const CALLS_MAX: usize = 128;
/// The most text of one reply, arguments and thinking included, in bytes.
pub(crate) const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Space before a thought's tag, in bytes; after more the text is text.
const TAG_SPACE_BYTES_MAX: usize = 256;
/// A count of tokens beyond this is a vendor's mistake and not believed.
const USAGE_TOKENS_MAX: u64 = 100_000_000;

/// The state that decoders share.
pub(crate) struct Reply {
    pub(crate) vendor: Vendor,
    calls: Vec<Call>,
    stop: Option<StopReason>,
    usage: Option<Usage>,
    is_done: bool,
    n_bytes: usize,
    tags: ThoughtTags,
    out: Vec<ModelEvent>,
}

/// Thoughts that come within the text, in tags, from servers that do not take them out.
enum ThoughtTags {
    /// The text is text.
    None,
    /// A tag may begin the text; this much of it may be one.
    AtStart(String),
    /// In the thought; this much may be the tag that ends it.
    Inside(String),
    /// After the thought: the space before the text belongs to neither.
    After,
}

const THOUGHT_BEGIN: &str = "<think>";
const THOUGHT_END: &str = "</think>";

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    /// The arguments so far; with all the rest of the reply at most [`REPLY_BYTES_MAX`].
    json: String,
    shape: Shape,
    is_ended: bool,
}

/// How far a JSON text has come, judged by its brackets and quotes alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    /// The first byte that is not space.
    first: Option<u8>,
}

impl Shape {
    fn push(&mut self, json: &str) {
        for byte in json.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.first.is_none() && !byte.is_ascii_whitespace() {
                self.first = Some(byte);
            }
        }
    }

    fn is_empty(self) -> bool {
        self.first.is_none()
    }

    /// Every bracket and quote is closed. A bare number could still grow, so it is only balanced, never closed.
    fn is_balanced(self) -> bool {
        !self.is_empty() && self.depth == 0 && !self.in_string
    }

    fn is_closed(self) -> bool {
        self.is_balanced() && matches!(self.first, Some(b'{' | b'['))
    }
}

impl Reply {
    pub(crate) fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            calls: Vec::new(),
            stop: None,
            usage: None,
            is_done: false,
            n_bytes: 0,
            tags: ThoughtTags::None,
            out: Vec::new(),
        }
    }

    /// A reply whose text may begin with a thought in `<think>` tags.
    pub(crate) fn with_thought_tags(vendor: Vendor) -> Self {
        Self {
            tags: ThoughtTags::AtStart(String::new()),
            ..Self::new(vendor)
        }
    }

    /// The events since the last time.
    pub(crate) fn take(&mut self) -> Vec<ModelEvent> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), ModelError> {
        if self.admit(text)? {
            self.split(text);
        }
        Ok(())
    }

    pub(crate) fn thinking(&mut self, text: &str) -> Result<(), ModelError> {
        if self.admit(text)? {
            self.push_thinking(text);
        }
        Ok(())
    }

    fn push_text(&mut self, text: &str) {
        if !text.is_empty() {
            let text = text.to_owned();
            self.out.push(ModelEvent::TextDelta { text });
        }
    }

    fn push_thinking(&mut self, text: &str) {
        if !text.is_empty() {
            let text = text.to_owned();
            self.out.push(ModelEvent::ThinkingDelta { text });
        }
    }

    /// Tells a thought in tags from the text after it.
    fn split(&mut self, text: &str) {
        match std::mem::replace(&mut self.tags, ThoughtTags::None) {
            ThoughtTags::None => self.push_text(text),
            ThoughtTags::After if text.trim().is_empty() => self.tags = ThoughtTags::After,
            ThoughtTags::After => self.push_text(text.trim_start()),
            ThoughtTags::AtStart(held) => {
                let held = held + text;
                let start = held.trim_start();
                if let Some(thought) = start.strip_prefix(THOUGHT_BEGIN) {
                    self.tags = ThoughtTags::Inside(String::new());
                    self.split(thought);
                } else if THOUGHT_BEGIN.starts_with(start) && held.len() <= TAG_SPACE_BYTES_MAX {
                    self.tags = ThoughtTags::AtStart(held);
                } else {
                    self.push_text(&held);
                }
            }
            ThoughtTags::Inside(held) => {
                let held = held + text;
                if let Some((thought, rest)) = held.split_once(THOUGHT_END) {
                    self.push_thinking(thought);
                    self.tags = ThoughtTags::After;
                    self.split(rest);
                } else {
                    let (thought, tag) = held.split_at(held.len() - tail_of_tag(&held));
                    self.push_thinking(thought);
                    self.tags = ThoughtTags::Inside(tag.to_owned());
                }
            }
        }
    }

    /// What was held back turned out to be no tag.
    fn end_split(&mut self) {
        match std::mem::replace(&mut self.tags, ThoughtTags::None) {
            ThoughtTags::None | ThoughtTags::After => {}
            ThoughtTags::AtStart(held) => self.push_text(&held),
            ThoughtTags::Inside(held) => self.push_thinking(&held),
        }
    }

    pub(crate) fn seal(&mut self, signature: String) -> Result<(), ModelError> {
        self.admit(&signature)?;
        self.out.push(ModelEvent::ThinkingSignature { signature });
        Ok(())
    }

    pub(crate) fn usage(&mut self, usage: Usage) {
        let counts = [
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
        ];
        if counts.iter().any(|count| *count > USAGE_TOKENS_MAX) {
            return;
        }
        self.usage = Some(usage);
        self.out.push(ModelEvent::Usage(usage));
    }

    /// What was last reported.
    pub(crate) fn usage_so_far(&self) -> Usage {
        self.usage.unwrap_or_default()
    }

    /// A call begins. Its id may be empty; two calls of one reply never share one.
    pub(crate) fn begin(&mut self, id: &str, name: &str) -> Result<usize, ModelError> {
        self.not_over()?;
        if name.is_empty() {
            return Err(self.vendor.malformed("a tool call without a name"));
        }
        if !id.is_empty() && self.find(id).is_some() {
            return Err(self
                .vendor
                .malformed(format!("two tool calls with the id {id}")));
        }
        if self.calls.len() == CALLS_MAX {
            return Err(self
                .vendor
                .malformed(format!("more than {CALLS_MAX} tool calls in one reply")));
        }
        self.end_split();
        let call = self.calls.len();
        self.calls.push(Call {
            id: id.to_owned(),
            name: name.to_owned(),
            ..Call::default()
        });
        self.out.push(ModelEvent::ToolCallBegin {
            index: call as u32,
            name: name.to_owned(),
        });
        Ok(call)
    }

    /// The call with this id.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.id == id)
    }

    pub(crate) fn name(&self, call: usize) -> &str {
        &self.calls[call].name
    }

    /// The next piece of a call's arguments.
    pub(crate) fn arguments(&mut self, call: usize, json: &str) -> Result<(), ModelError> {
        if !self.admit(json)? {
            return Ok(());
        }
        if self.calls[call].is_ended {
            if json.trim().is_empty() {
                return Ok(());
            }
            return Err(self.vendor.malformed(format!(
                "more arguments for {} after they were whole",
                self.name(call)
            )));
        }
        self.calls[call].shape.push(json);
        self.calls[call].json.push_str(json);
        self.out.push(ModelEvent::ToolCallDelta {
            index: call as u32,
            json: json.to_owned(),
        });
        Ok(())
    }

    /// Whether no argument has come yet.
    pub(crate) fn is_bare(&self, call: usize) -> bool {
        self.calls[call].shape.is_empty()
    }

    /// Whether a call's arguments are one whole object or list.
    pub(crate) fn is_closed(&self, call: usize) -> bool {
        self.calls[call].shape.is_closed()
    }

    /// A call's arguments so far.
    pub(crate) fn arguments_so_far(&self, call: usize) -> &str {
        &self.calls[call].json
    }

    /// Ends a call if its arguments are closed; otherwise it stays open until the reply's end says what it is.
    pub(crate) fn end_if_closed(&mut self, call: usize) {
        if self.is_closed(call) {
            self.end(call);
        }
    }

    /// Ends a call that the vendor declares complete: no arguments are the empty object.
    pub(crate) fn end_whole(&mut self, call: usize) -> Result<(), ModelError> {
        if self.calls[call].is_ended {
            return Ok(());
        }
        if self.is_bare(call) {
            self.arguments(call, "{}")?;
        }
        if !self.calls[call].shape.is_balanced() {
            return Err(self.vendor.malformed(format!(
                "the arguments of {} end in the middle",
                self.name(call)
            )));
        }
        self.end(call);
        Ok(())
    }

    fn end(&mut self, call: usize) {
        let is_told = !self.calls[call].is_ended && !self.is_sent_again(call);
        self.calls[call].is_ended = true;
        if is_told {
            self.out
                .push(ModelEvent::ToolCallEnd { index: call as u32 });
        }
    }

    /// Without ids, a call that is sent again cannot be told from one that is made again: it is not ended, so it is
    /// made once.
    fn is_sent_again(&self, call: usize) -> bool {
        let this = &self.calls[call];
        let is_same = |other: &Call| {
            other.is_ended
                && other.id.is_empty()
                && (&other.name, &other.json) == (&this.name, &this.json)
        };
        this.id.is_empty() && self.calls.iter().any(is_same)
    }

    /// Why the model stopped. Settles the open calls: at a limit only closed ones end, else all must be whole.
    pub(crate) fn stop(&mut self, stop: StopReason) -> Result<(), ModelError> {
        let stop = match stop {
            StopReason::End | StopReason::ToolCalls if self.calls.is_empty() => StopReason::End,
            // Many servers say "stop" after calls.
            StopReason::End => StopReason::ToolCalls,
            other => other,
        };
        match self.stop {
            None => {}
            Some(earlier) if earlier == stop => return Ok(()),
            Some(_) => {
                return Err(self
                    .vendor
                    .malformed("two different reasons why the reply ended"));
            }
        }
        self.end_split();
        for call in 0..self.calls.len() {
            match stop {
                StopReason::ToolCalls => self.end_whole(call)?,
                _ => self.end_if_closed(call),
            }
        }
        self.stop = Some(stop);
        Ok(())
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// The end marker came.
    pub(crate) fn done(&mut self) -> Result<(), ModelError> {
        if self.is_done {
            return Ok(());
        }
        let Some(stop) = self.stop else {
            return Err(self
                .vendor
                .interrupted("the stream ended without saying why the reply stopped"));
        };
        self.is_done = true;
        self.out.push(ModelEvent::Done { stop });
        Ok(())
    }

    /// The body is over.
    pub(crate) fn finish(&mut self) -> Result<Vec<ModelEvent>, ModelError> {
        if self.is_done {
            return Ok(self.take());
        }
        Err(self
            .vendor
            .interrupted("the connection closed before the reply was complete"))
    }

    /// Counts a piece that is kept until later.
    pub(crate) fn keep(&mut self, piece: &str) -> Result<(), ModelError> {
        self.admit(piece).map(|_| ())
    }

    /// Counts a piece; whether there is anything in it.
    fn admit(&mut self, piece: &str) -> Result<bool, ModelError> {
        if piece.is_empty() {
            return Ok(false);
        }
        self.not_over()?;
        self.n_bytes += piece.len();
        if self.n_bytes > REPLY_BYTES_MAX {
            return Err(self
                .vendor
                .malformed(format!("a reply of more than {REPLY_BYTES_MAX} bytes")));
        }
        Ok(true)
    }

    fn not_over(&self) -> Result<(), ModelError> {
        if self.has_stopped() {
            return Err(self
                .vendor
                .malformed("more content after the reply had ended"));
        }
        Ok(())
    }
}

/// How many bytes at the end of a text may be the beginning of the tag that ends a thought.
fn tail_of_tag(text: &str) -> usize {
    (1..THOUGHT_END.len())
        .rev()
        .find(|len| text.ends_with(&THOUGHT_END[..*len]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(json: &str) -> Shape {
        let mut shape = Shape::default();
        shape.push(json);
        shape
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        for (json, is_closed, is_balanced) in [
            (r#"{"a":"}"}"#, true, true),
            (r#"{"a":"\"}"#, false, false),
            (r#"{"a":[1,2}"#, false, false),
            (r#" [1]"#, true, true),
            ("12", false, true),
            ("", false, false),
            ("  ", false, false),
            (r#""half"#, false, false),
        ] {
            assert_eq!(shape(json).is_closed(), is_closed, "{json}");
            assert_eq!(shape(json).is_balanced(), is_balanced, "{json}");
        }
    }

    #[test]
    fn a_cut_between_any_two_bytes_is_not_closed() {
        let json = r#"{"a":{"b":["{",1,"\\"]},"c":"\"}"}"#;
        for cut in 0..json.len() {
            assert!(!shape(&json[..cut]).is_closed(), "{}", &json[..cut]);
        }
        assert!(shape(json).is_closed());
    }
}
