//! The page: fixed files inside the program. No path of a request is ever looked up on a disk.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// What a page may do: use this gateway and nothing else. Nothing inline runs.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
                "postMessage",
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
