//! `fetch`: a page from the network as readable text.

mod page;

use crate::call::{self, WholeCall};
use crate::output;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use titan_protocol::{
    Effect, EgressError, EgressPurpose, HttpMethod, HttpRequest, HttpResponse, Taint, ToolContext,
    ToolError, ToolOutput, ToolSpec, Workbench,
};
use url::Url;

/// The longest address, in characters.
const URL_CHARS_MAX: usize = 4_096;
/// What is read of a page, in bytes.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Redirects that are followed.
const REDIRECTS_MAX: u8 = 5;
/// The longest wait for the head, and between two pieces of the body.
const IDLE_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Fetch;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    url: String,
}

#[async_trait]
impl WholeCall for Fetch {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "fetch",
            include_str!("fetch.md"),
            json!({
                "type": "object",
                "properties": {
                    "url": {"type": "string", "minLength": 1, "maxLength": URL_CHARS_MAX, "description": "https address"}
                },
                "required": ["url"],
                "additionalProperties": false
            }),
        )
    }

    fn starts_early(&self) -> bool {
        true
    }

    fn example(&self) -> &'static str {
        r#"{"url": "https://www.rust-lang.org/"}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        _workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let address = Address::parse(&arguments.url)?;
        Ok(vec![Effect::Network {
            host: address.host,
            port: address.port,
        }])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let address = Address::parse(&arguments.url)?;
        let request = HttpRequest {
            method: HttpMethod::Get,
            url: address.url,
            headers: vec![(
                "accept".to_owned(),
                "text/html,text/*;q=0.9,application/json;q=0.9,*/*;q=0.1".to_owned(),
            )],
            body: Bytes::new(),
            credential: None,
            purpose: EgressPurpose::Tool,
            redirects_max: REDIRECTS_MAX,
            idle_max: IDLE_MAX,
        };
        let response = context.egress.send(request).await.map_err(failed)?;
        let page = Page::read(response).await?;
        let is_error = page.status >= 400;
        let text = page.render()?;
        Ok(ToolOutput {
            is_error,
            ..output::text(text, Taint::UNTRUSTED)
        })
    }
}

struct Address {
    url: Url,
    host: String,
    port: u16,
}

impl Address {
    fn parse(text: &str) -> Result<Self, ToolError> {
        let spelt = if text.contains("://") {
            text.trim().to_owned()
        } else {
            format!("https://{}", text.trim())
        };
        let url = Url::parse(&spelt)
            .map_err(|error| ToolError::Reply(format!("{text:?} is no address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ToolError::Reply(format!(
                "fetch knows http and https only, not {}; files are read with read",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ToolError::Reply(
                "an address with a name or password in it is not fetched".to_owned(),
            ));
        }
        let host = url
            .host_str()
            .ok_or_else(|| ToolError::Reply(format!("{text:?} has no host")))?
            .to_lowercase();
        let port = url.port_or_known_default().unwrap_or(443);
        Ok(Self { url, host, port })
    }
}

fn failed(error: EgressError) -> ToolError {
    ToolError::Reply(error.to_string())
}

/// A response with its body, as far as it was read.
struct Page {
    status: u16,
    kind: String,
    url: Url,
    body: Vec<u8>,
    is_cut: bool,
}

impl Page {
    async fn read(mut response: HttpResponse) -> Result<Self, ToolError> {
        let mut body = Vec::new();
        let mut is_cut = false;
        while let Some(piece) = response.body.next().await {
            let piece = piece.map_err(failed)?;
            let room = BODY_BYTES_MAX - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                is_cut = true;
                break;
            }
        }
        Ok(Self {
            status: response.status,
            kind: response
                .header("content-type")
                .unwrap_or_default()
                .to_lowercase(),
            url: response.url,
            body,
            is_cut,
        })
    }

    fn render(self) -> Result<String, ToolError> {
        let kind = self.kind.split(';').next().unwrap_or_default().trim();
        let is_bytes = self.body.iter().take(8_192).any(|byte| *byte == 0);
        let is_other = ["image/", "audio/", "video/", "font/"]
            .iter()
            .any(|prefix| kind.starts_with(prefix))
            || matches!(
                kind,
                "application/pdf" | "application/zip" | "application/octet-stream"
            );
        if is_bytes || is_other {
            return Err(ToolError::Reply(format!(
                "{} is {kind}, {} bytes; fetch reads text only",
                self.url,
                self.body.len()
            )));
        }
        let text = String::from_utf8_lossy(&self.body);
        let begins_html = || {
            let start = text
                .trim_start()
                .get(..15)
                .unwrap_or_default()
                .to_lowercase();
            start.starts_with("<!doctype html") || start.starts_with("<html")
        };
        let readable = if kind.contains("html") || (kind.is_empty() && begins_html()) {
            page::readable(&text, &self.url)
        } else {
            text.into_owned()
        };
        let mut shown = String::new();
        if self.status != 200 {
            shown.push_str(&format!("[status {}]\n", self.status));
        }
        shown.push_str(&format!("[{}]\n{readable}", self.url));
        if self.is_cut {
            shown.push_str(&format!("\n[cut after {BODY_BYTES_MAX} bytes]"));
        }
        Ok(shown)
    }
}
