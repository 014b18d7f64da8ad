//! What the server answers, said without any vendor's words.

use super::Request;
use crate::gate::Gate;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;
use titan_protocol::{StopReason, Usage};

/// One reply of a model, or one failure of a server.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(super) parts: Vec<Part>,
    pub(super) usage: Usage,
    pub(super) stop: Option<StopReason>,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) piece_bytes: Option<usize>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) fault: Option<Fault>,
    pub(super) stamps: Option<Stamps>,
}

/// When each delta of a reply had been handed to the system. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Stamps(Arc<Mutex<Vec<SystemTime>>>);

impl Stamps {
    /// The moments so far, in the order of the deltas.
    pub fn all(&self) -> Vec<SystemTime> {
        self.0.lock().clone()
    }

    pub(super) fn stamp(&self) {
        self.0.lock().push(SystemTime::now());
    }
}

/// A piece of a [`Reply`].
#[derive(Clone, Debug)]
pub enum Part {
    /// Answer text, one delta for each piece.
    Text(Vec<String>),
    /// Thinking, one delta for each piece, and the vendor's seal on it. Left out on wires that have none.
    Thinking {
        /// The pieces.
        pieces: Vec<String>,
        /// The seal.
        signature: Option<String>,
    },
    /// A call, its arguments one delta for each piece. A wire that sends calls whole joins them.
    Call {
        /// The tool.
        name: String,
        /// JSON text in pieces, not checked: a script may send nonsense.
        arguments: Vec<String>,
    },
    /// Nothing more until the test opens the gate.
    Gate(Gate),
    /// The vendor's error in the middle of a stream; nothing follows.
    Error(String),
}

/// What goes wrong with a reply.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// An HTTP error in place of a stream.
    Status { status: u16, message: String },
    /// These very bytes in place of a stream.
    Raw {
        status: u16,
        content_type: String,
        body: Vec<u8>,
    },
    /// The connection closes after this many bytes of the body, without a proper end.
    Cut { after_bytes: usize },
    /// Nothing comes after this many bytes of the body, and the connection stays open.
    Silence { after_bytes: usize },
    /// Not even a head comes.
    NoHead,
    /// The connection is reset after this many bytes of the body.
    Reset { after_bytes: usize },
    /// These very bytes in place of an HTTP response, and the connection closes.
    NotHttp { bytes: Vec<u8> },
    /// This piece over and over in place of a body, for as long as the client reads.
    Endless { piece: Vec<u8> },
}

impl Reply {
    /// An answer, one delta for each word.
    pub fn text(text: &str) -> Self {
        Self::default().and_text(text)
    }

    /// An answer of so many one-word deltas, the last usage counting them.
    pub fn tokens(n_tokens: usize) -> Self {
        let words = (0..n_tokens).map(|n| format!("word{n} ")).collect();
        Self::default().and(Part::Text(words)).usage(Usage {
            input_tokens: 100,
            output_tokens: n_tokens as u64,
            ..Usage::default()
        })
    }

    /// A call, its arguments in pieces of eight characters.
    pub fn call(name: &str, arguments: &str) -> Self {
        Self::default().and_call(name, arguments, &[8])
    }

    /// An HTTP error with the body that the vendor would send. See [`Reply::header`] for `retry-after`.
    pub fn status(status: u16, message: &str) -> Self {
        Self::faulty(Fault::Status {
            status,
            message: message.to_owned(),
        })
    }

    /// These bytes as the whole body of a `200`, whatever the wire.
    pub fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::raw_status(200, content_type, body)
    }

    /// These bytes as the whole body of a response with this status, whatever the wire.
    pub fn raw_status(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::faulty(Fault::Raw {
            status,
            content_type: content_type.to_owned(),
            body: body.into(),
        })
    }

    /// These bytes in place of an HTTP response; then the connection closes. None at all is a server that hangs up.
    pub fn not_http(bytes: impl Into<Vec<u8>>) -> Self {
        Self::faulty(Fault::NotHttp {
            bytes: bytes.into(),
        })
    }

    /// This piece over and over as the body of a `200`, for as long as the client reads.
    pub fn endless(piece: impl Into<Vec<u8>>) -> Self {
        Self::faulty(Fault::Endless {
            piece: piece.into(),
        })
    }

    /// The request is read and nothing ever comes back.
    pub fn silence() -> Self {
        Self::faulty(Fault::NoHead)
    }

    /// Adds a part.
    pub fn and(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Adds text, one delta for each word.
    pub fn and_text(self, text: &str) -> Self {
        let words = text.split_inclusive(' ').map(str::to_owned).collect();
        self.and(Part::Text(words))
    }

    /// Adds thinking, one delta for each word, sealed as vendors seal it.
    pub fn and_thinking(self, text: &str) -> Self {
        let pieces = text.split_inclusive(' ').map(str::to_owned).collect();
        self.and(Part::Thinking {
            pieces,
            signature: Some("c2VhbGVk".to_owned()),
        })
    }

    /// Adds a call whose arguments are cut into pieces of these sizes in characters, over and over.
    pub fn and_call(self, name: &str, arguments: &str, sizes: &[usize]) -> Self {
        self.and(Part::Call {
            name: name.to_owned(),
            arguments: cut(arguments, sizes),
        })
    }

    /// Holds what follows until the gate opens.
    pub fn and_gate(self, gate: &Gate) -> Self {
        self.and(Part::Gate(gate.clone()))
    }

    /// What the reply says it used.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Why it stops; by default [`StopReason::ToolCalls`] when it holds a call and [`StopReason::End`] when not.
    pub fn stop(mut self, stop: StopReason) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Spreads the deltas over time: the first at once, each at its own due time whatever became of the others.
    pub fn per_second(mut self, tokens_per_second: f64) -> Self {
        self.tokens_per_second = Some(tokens_per_second);
        self
    }

    /// Writes down when each delta was sent.
    pub fn stamped(mut self, stamps: &Stamps) -> Self {
        self.stamps = Some(stamps.clone());
        self
    }

    /// Writes the body in pieces of so many bytes, cutting through lines and characters.
    pub fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.piece_bytes = Some(bytes.max(1));
        self
    }

    /// Adds a response header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.fault = Some(Fault::Cut { after_bytes: bytes });
        self
    }

    /// Resets the connection after so many bytes of the body.
    pub fn reset_after(mut self, bytes: usize) -> Self {
        self.fault = Some(Fault::Reset { after_bytes: bytes });
        self
    }

    /// Falls silent after so many bytes of the body, with the connection open.
    pub fn silent_after(mut self, bytes: usize) -> Self {
        self.fault = Some(Fault::Silence { after_bytes: bytes });
        self
    }

    fn faulty(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    pub(super) fn stop_reason(&self) -> StopReason {
        let has_call = self
            .parts
            .iter()
            .any(|part| matches!(part, Part::Call { .. }));
        self.stop.unwrap_or(if has_call {
            StopReason::ToolCalls
        } else {
            StopReason::End
        })
    }
}

/// Cuts a text into pieces of these sizes in characters, over and over; no sizes, no cuts.
pub fn cut(text: &str, sizes: &[usize]) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.chars().peekable();
    let mut sizes = sizes.iter().copied().filter(|size| *size > 0).cycle();
    while rest.peek().is_some() {
        let size = sizes.next().unwrap_or(usize::MAX);
        pieces.push(rest.by_ref().take(size).collect());
    }
    pieces
}

type Chooser = dyn Fn(&Request) -> Reply + Send + Sync;

/// Which reply each request gets.
#[derive(Clone)]
pub struct Script {
    pub(super) choose: Arc<Chooser>,
    pub(super) models: Vec<Model>,
}

/// A model that the server lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What it reads and writes together, where the wire says so.
    pub context_tokens_max: u32,
    /// Whether it says that it calls tools, where the wire says so.
    pub calls_tools: bool,
}

impl Script {
    /// These replies in the order in which requests arrive; after the last, an error that says so.
    pub fn replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        let left: Mutex<VecDeque<Reply>> = Mutex::new(replies.into_iter().collect());
        Self::choose(move |request| {
            let next = left.lock().pop_front();
            next.unwrap_or_else(|| {
                let message = format!("the script has no reply for request {}", request.index);
                Reply::status(400, &message)
            })
        })
    }

    /// The same reply to every request.
    pub fn always(reply: Reply) -> Self {
        Self::choose(move |_| reply.clone())
    }

    /// A reply chosen by the request. Runs on the server's threads, so it must not block.
    pub fn choose(choose: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            choose: Arc::new(choose),
            models: vec![Model {
                name: "scripted".to_owned(),
                context_tokens_max: 32_768,
                calls_tools: true,
            }],
        }
    }

    /// What the server lists; by default one model, `scripted`, that calls tools and reads 32,768 tokens.
    pub fn models(mut self, models: Vec<Model>) -> Self {
        self.models = models;
        self
    }
}
