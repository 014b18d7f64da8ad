//! The page: fixed files inside the program. No path of a request is ever looked up on a disk.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// What a page may do: use this gateway and nothing else. Nothing inline runs.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
            for way in [
                "location.search",
                "location.hash",
                "location.href",
                "localStorage",
                "sessionStorage",
                "URLSearchParams",
                "postMessage",
                "innerHTML",
                "http://",
                "https://",
                "eval(",
            ] {
                assert!(!file.content.contains(way), "{} uses {way}", file.path);
            }
        }
    }

    #[test]
    fn g22_nothing_of_the_page_is_inline() {
        for unsafe_word in ["unsafe-inline", "unsafe-eval", "*", "data:"] {
            assert!(!POLICY.contains(unsafe_word), "{unsafe_word}");
        }
        let page = FILES[0].content;
        for inline in ["<style", "style=", "onclick", "onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script src=").count()
        );
    }
}
