//! What one call may ask of the world: the hosts and tools that its component declared, by the ways that every tool has.

use crate::bindings::second::titanclaw::tool::http::Response;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    Effect, Egress, EgressPurpose, HttpMethod, HttpRequest, HttpResponse, Taint, ToolCalls,
    ToolContext, ToolError,
};
use url::Url;

/// Requests of one call.
const REQUESTS_MAX: u32 = 64;
/// Bytes of a body, sent or read.
const BODY_BYTES_MAX: usize = 2 << 20;
/// The longest address, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;
/// The longest wait for the head, and between two pieces of the body.
const IDLE_MAX: Duration = Duration::from_secs(30);
const PORT: u16 = 443;

/// A host that a component asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, in lower case.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl Host {
    /// `name` or `name:port`, spelt as an address spells it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.contains('*') {
            return None;
        }
        let url = Url::parse(&format!("https://{text}/")).ok()?;
        let host = Self::of(&url)?;
        let spelt = [host.to_string(), format!("{}:{}", host.name, host.port)];
        spelt.contains(&text.to_owned()).then_some(host)
    }

    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            name: url.host_str()?.to_lowercase(),
            port: url.port_or_known_default()?,
        })
    }

    pub(crate) fn effect(&self) -> Effect {
        Effect::Network {
            host: self.name.clone(),
            port: self.port,
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            PORT => f.write_str(&self.name),
            port => write!(f, "{}:{port}", self.name),
        }
    }
}

/// The hosts and tools that a component declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) hosts: Vec<Host>,
    pub(crate) tools: Vec<String>,
}

/// The way out of one call.
pub(crate) struct Reach {
    declared: Arc<Declared>,
    egress: Arc<dyn Egress>,
    calls: Arc<dyn ToolCalls>,
    requests: u32,
    /// What the tools that it called have told it.
    taint: Taint,
    /// Something that no component can mend, and that ends the turn.
    broken: Option<ToolError>,
}

impl Reach {
    pub(crate) fn new(declared: Arc<Declared>, context: &ToolContext) -> Self {
        Self {
            declared,
            egress: context.egress.clone(),
            calls: context.calls.clone(),
            requests: 0,
            taint: Taint::NONE,
            broken: None,
        }
    }

    /// What its component has heard, or why the turn has to end.
    ///
    /// # Errors
    /// What a tool that it called could not mend.
    pub(crate) fn end(self) -> Result<Taint, ToolError> {
        self.broken.map_or(Ok(self.taint), Err)
    }

    pub(crate) async fn get(&mut self, url: &str) -> Result<Response, String> {
        self.send(HttpMethod::Get, url, Vec::new(), Bytes::new())
            .await
    }

    pub(crate) async fn post(
        &mut self,
        url: &str,
        content_type: String,
        body: Vec<u8>,
    ) -> Result<Response, String> {
        if body.len() > BODY_BYTES_MAX {
            return Err(format!("a body has at most {BODY_BYTES_MAX} bytes"));
        }
        let headers = vec![("content-type".to_owned(), content_type)];
        self.send(HttpMethod::Post, url, headers, body.into()).await
    }

    async fn send(
        &mut self,
        method: HttpMethod,
        url: &str,
        headers: Vec<(String, String)>,
        body: Bytes,
    ) -> Result<Response, String> {
        let url = self.address(url)?;
        self.requests += 1;
        if self.requests > REQUESTS_MAX {
            return Err(format!("a call sends at most {REQUESTS_MAX} requests"));
        }
        let request = HttpRequest {
            method,
            url,
            headers,
            body,
            credential: None,
            purpose: EgressPurpose::Tool,
            redirects_max: 0,
            idle_max: IDLE_MAX,
        };
        let response = self.egress.send(request).await;
        read(response.map_err(|error| error.to_string())?).await
    }

    /// # Errors
    /// When it is no address that the component may ask now.
    fn address(&self, text: &str) -> Result<Url, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("an address has at most {URL_BYTES_MAX} bytes"));
        }
        let url = Url::parse(text).map_err(|error| format!("this is no address: {error}"))?;
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err("an address is https, without a name or password in it".to_owned());
        }
        let host = Host::of(&url).ok_or("this address has no host")?;
        if !self.declared.hosts.contains(&host) {
            return Err(format!("{host} is none of the hosts that were declared"));
        }
        // The leave for the network was given before that was read.
        if self.taint.private {
            return Err(
                "nothing is sent any more, since a tool gave the person's own data".to_owned(),
            );
        }
        Ok(url)
    }

    pub(crate) async fn call(&mut self, name: &str, arguments: &str) -> Result<String, String> {
        if !self.declared.tools.iter().any(|declared| declared == name) {
            return Err(format!("{name:?} is none of the tools that were declared"));
        }
        let Ok(Value::Object(arguments)) = serde_json::from_str(arguments) else {
            return Err("arguments are a JSON object".to_owned());
        };
        match self.calls.call(name, arguments).await {
            Ok(output) => {
                self.taint = self.taint.union(output.taint);
                match output.is_error {
                    true => Err(output.text),
                    false => Ok(output.text),
                }
            }
            Err(error) => {
                let text = error.to_string();
                self.broken = Some(error);
                Err(text)
            }
        }
    }
}

async fn read(mut response: HttpResponse) -> Result<Response, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.body.next().await {
        body.extend_from_slice(&piece.map_err(|error| error.to_string())?);
        if body.len() > BODY_BYTES_MAX {
            return Err(format!("the answer has more than {BODY_BYTES_MAX} bytes"));
        }
    }
    let header = |name| response.header(name).unwrap_or_default().to_owned();
    Ok(Response {
        status: response.status,
        content_type: header("content-type"),
        location: header("location"),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_spelt_in_one_way() {
        let parsed = |text| Host::parse(text).map(|host| (host.name, host.port));
        assert_eq!(parsed("example.com"), Some(("example.com".to_owned(), 443)));
        assert_eq!(
            parsed("example.com:8443"),
            Some(("example.com".to_owned(), 8443))
        );
        for odd in [
            "",
            "*",
            "*.example.com",
            "Example.com",
            "user@example.com",
            "example.com/path",
            "example.com?x",
            "https://example.com",
            "0x7f.1",
            "exämple.com",
            "example.com:99999",
        ] {
            assert_eq!(parsed(odd), None, "{odd}");
        }
    }
}
