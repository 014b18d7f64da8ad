//! The page: fixed files inside the program. No path of a request is ever looked up on a disk.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// What a page may do: use this gateway and nothing else. Nothing inline runs.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page's frame may do, in which surfaces of the canvas stand that are pages or SVGs: run what is written in
/// it, in an origin of its own, and reach nothing.
pub(crate) const FRAME_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types default; sandbox allow-scripts";

/// Marks the one answer that may stand in a frame of the page.
#[derive(Clone, Copy)]
pub(crate) struct Framed;

/// A file of the page.
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) content: &'static str,
}

/// All files of the page.
pub(crate) const FILES: &[Asset] = &[
    Asset {
        path: "/",
        kind: "text/html; charset=utf-8",
        content: include_str!("../assets/index.html"),
    },
    Asset {
        path: "/app.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("../assets/app.js"),
    },
    Asset {
        path: "/app.css",
        kind: "text/css; charset=utf-8",
        content: include_str!("../assets/app.css"),
    },
];

/// The frame for what the agent draws. The same for everyone, so it needs no token, which it could not show: its origin
/// is not the page's.
pub(crate) const FRAME: Asset = Asset {
    path: "/canvas/frame",
    kind: "text/html; charset=utf-8",
    content: include_str!("frame.html"),
};

pub(crate) async fn frame() -> Response {
    let mut response = FRAME.into_response();
    response.extensions_mut().insert(Framed);
    response
}

impl IntoResponse for &Asset {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static(self.kind);
        let cached = HeaderValue::from_static("no-cache");
        (
            [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, cached),
            ],
            self.content,
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g4_the_page_speaks_to_no_other_gateway_whatever_its_address_says() {
        assert!(POLICY.contains("connect-src 'self';"));
        for file in FILES {
            let text = file.content;
            for way in [
                "location.search",
                "location.href",
                "EventSource(",
                "XMLHttpRequest",
                "sendBeacon",
                "eval(",
                "new Function",
            ] {
                assert!(!text.contains(way), "{} uses {way}", file.path);
            }
            for opened in text.split("new WebSocket(").skip(1) {
                let address: String = opened.chars().take(80).collect();
                assert!(address.contains("//${location.host}/api/ws"), "{address}");
            }
        }
    }

    #[test]
    fn g33_messages_are_taken_from_the_frames_own_window_alone_and_sent_to_no_other() {
        let page: String = FILES.iter().map(|file| file.content).collect();
        let heard: Vec<&str> = page.split("(`message`,").skip(1).collect();
        assert_eq!(heard.len(), 2, "one listener, added and taken away");
        // What the listener asks before it looks at anything that it was sent.
        let (_, listener) = page.split_once(".source!==").unwrap_or_default();
        let (asked, _) = listener.split_once(".data").unwrap_or_default();
        assert!(asked.contains(".current?.contentWindow"), "{asked}");
        assert!(asked.contains(".source===null)return;"), "{asked}");
        assert_eq!(page.matches(".source!==").count(), 1);
        assert_eq!(page.matches("postMessage").count(), 1);
        let (before, _) = page.split_once("postMessage").unwrap_or_default();
        assert!(before.ends_with(".contentWindow?."), "to the frame");
        let frame = FRAME.content;
        assert!(frame.contains("if (event.source !== page || event.origin !== home) return;"));
        assert_eq!(frame.matches("postMessage(").count(), 1);
        assert!(frame.contains("page.postMessage(message, home)"));
    }

    #[test]
    fn g33_what_the_agent_draws_stands_in_a_frame_without_an_origin() {
        let page: String = FILES.iter().map(|file| file.content).collect();
        assert!(!page.contains("allow-same-origin") && !page.contains("allow-top-navigation"));
        assert!(page.contains("sandbox:`allow-scripts`"));
        assert!(FRAME_POLICY.ends_with("; sandbox allow-scripts"));
        for way in [
            "http:",
            "https:",
            "'self';",
            "connect-src",
            "unsafe-eval",
            "*",
        ] {
            let reaches = FRAME_POLICY.replace("frame-ancestors 'self';", "");
            assert!(!reaches.contains(way), "{way}");
        }
        assert!(POLICY.contains("frame-src 'self';"));
    }

    #[test]
    fn g22_nothing_of_the_page_is_inline() {
        for unsafe_word in ["unsafe-inline", "unsafe-eval", "*", "http:", "https:"] {
            assert!(!POLICY.contains(unsafe_word), "{unsafe_word}");
        }
        // A picture may be part of the page itself; nothing else may.
        assert_eq!(POLICY.matches("data:").count(), 1);
        assert!(POLICY.contains("img-src 'self' data:;"));
        let page = FILES[0].content;
        for inline in ["<style", "style=", "onclick", "onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        for script in page.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').unwrap_or_default();
            assert!(tag.contains(" src=\"./"), "{tag}");
            assert!(rest.starts_with("</script>"), "{tag}");
        }
    }
}
