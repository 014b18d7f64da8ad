//! Tests across the modules: recorded streams, requests as text, the driver, routing, and foreign calls re-encoded.

mod bfcl;
mod driver;
mod encode;
mod faults;
mod fixtures;
mod fuzz;
mod routing;
mod wires;

use crate::failure::Vendor;
use crate::sse::Framer;
use crate::wire::Wire;
use titan_protocol::{ModelError, ModelEvent};

const WIRES: [Wire; 4] = [
    Wire::Anthropic,
    Wire::OpenAiChat,
    Wire::OpenAiResponses,
    Wire::Ollama,
];

fn vendor() -> Vendor {
    Vendor {
        provider: "acme".to_owned(),
        model: "m1".to_owned(),
    }
}

/// What the codec alone makes of a body that comes in pieces.
fn decode(wire: Wire, pieces: &[&[u8]]) -> Vec<Result<ModelEvent, ModelError>> {
    let mut framer = Framer::new(wire.framing());
    let mut decoder = wire.decoder(vendor());
    let mut items = Vec::new();
    for piece in pieces {
        for frame in framer.push(piece).unwrap() {
            match decoder.decode(&frame) {
                Ok(events) => items.extend(events.into_iter().map(Ok)),
                Err(failure) => {
                    items.push(Err(failure.error));
                    return items;
                }
            }
        }
    }
    if !items.iter().any(is_done) {
        match decoder.finish() {
            Ok(events) => items.extend(events.into_iter().map(Ok)),
            Err(error) => items.push(Err(error)),
        }
    }
    items
}

fn is_done(item: &Result<ModelEvent, ModelError>) -> bool {
    matches!(item, Ok(ModelEvent::Done { .. }))
}
