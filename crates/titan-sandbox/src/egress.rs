//! The one way to the network: every request is judged, dialled to the address that was judged, and bounded in time.
//!
//! - **Addresses.** [`guard`] judges the URL; the resolver of each client hands out only addresses that its reach
//!   admits, and hands them to the very dial they are for. There is no second lookup that could answer otherwise.
//! - **Redirects** are followed here, one by one, each judged like the first. Secrets stay at their origin.
//! - **Offline** is a rule of the guard, so it holds for every purpose. Names are not even looked up.
//! - **Proxies** are the configuration's, never read from the environment here, and used for providers and downloads
//!   over https alone. A proxy dials for us, so what a model chose never goes through one.
//!
//! A client is made when the first request needs it. Reading the system's certificates takes tens of milliseconds,
//! so plain requests to loopback have a client that has none.

mod address;
mod client;
#[cfg(test)]
mod fuzz;
mod guard;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use client::{Clients, Lane, Lookup};
use futures::StreamExt;
use guard::{Guard, Reach};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, header};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    BoxStream, Credential, Egress, EgressError, EgressPurpose, HttpMethod, HttpRequest,
    HttpResponse, SecretSource,
};
use url::Url;

/// Headers that a request may not set: they are the connection's own, or would speak to another host.
const HEADERS_REFUSED: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that stay at their origin when a redirect leads elsewhere.
const HEADERS_OF_ORIGIN: [&str; 7] = [
    "api-key",
    "authorization",
    "cookie",
    "origin",
    "referer",
    "x-api-key",
    "x-goog-api-key",
];

/// What a [`GuardedEgress`] has to know. Hosts are written bare (`example.com`, `192.168.1.5`, `::1`); `*.example.com`
/// means all below it, but not itself.
#[derive(Clone, Debug, Default)]
pub struct EgressConfig {
    /// Nothing beyond loopback, for any purpose.
    pub offline: bool,
    /// The hosts of the configured providers. They may be on a private network and spoken to by http. Providers on
    /// loopback need not be listed.
    pub provider_hosts: Vec<String>,
    /// Hosts that the person vouches for: tools and downloads reach them by http too, and wherever they lead.
    pub trusted_hosts: Vec<String>,
    /// If not empty, tools reach only these and the trusted hosts.
    pub allowed_hosts: Vec<String>,
    /// Hosts that nobody reaches. Goes before all else.
    pub denied_hosts: Vec<String>,
    /// The proxy for providers and downloads over https.
    pub proxy: Option<ProxyConfig>,
}

/// A proxy between this machine and the internet.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Its address.
    pub url: Url,
    /// Hosts that are reached without it, as in `NO_PROXY`: names, `.domain`, addresses, blocks; separated by commas.
    pub except: String,
}

/// Why the egress can't be made from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum EgressConfigError {
    /// An entry in one of the lists is not a host.
    #[error(
        "{0:?} is not a host; write a bare host like example.com, or *.example.com for all below it"
    )]
    Host(String),
}

/// The network as an [`Egress`], under guard. Cheap to clone.
#[derive(Clone)]
pub struct GuardedEgress {
    shared: Arc<Shared>,
}

struct Shared {
    guard: Guard,
    secrets: Arc<dyn SecretSource>,
    clients: Clients,
}

impl GuardedEgress {
    /// Makes the egress. Quick: no client is made and nothing is read before the first request.
    ///
    /// # Errors
    /// When an entry of the configuration is not a host.
    pub fn open(
        config: EgressConfig,
        secrets: Arc<dyn SecretSource>,
    ) -> Result<Self, EgressConfigError> {
        Self::with_lookup(config, secrets, client::system_lookup())
    }

    fn with_lookup(
        config: EgressConfig,
        secrets: Arc<dyn SecretSource>,
        lookup: Lookup,
    ) -> Result<Self, EgressConfigError> {
        let guard = Guard::new(&config).map_err(EgressConfigError::Host)?;
        Ok(Self {
            shared: Arc::new(Shared {
                guard,
                secrets,
                clients: Clients::new(lookup, config.proxy),
            }),
        })
    }
}

#[async_trait]
impl Egress for GuardedEgress {
    /// Dropping the future gives up the request; dropping the body closes the connection.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError> {
        let mut hop = Hop::first(request)?;
        let redirects_max = hop.redirects_max;
        for _ in 0..=redirects_max {
            let response = self.shared.exchange(&hop).await?;
            match redirect_target(&response, redirects_max)? {
                Some(target) => hop.turn_to(target, response.status()),
                None => return Ok(received(response, &hop)),
            }
        }
        Err(EgressError::Denied(format!(
            "{} leads on through more than {redirects_max} redirects",
            shown(&hop.url)
        )))
    }
}

/// One request on the way, as the redirects so far left it.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    credential: Option<Credential>,
    purpose: EgressPurpose,
    redirects_max: u8,
    idle_max: Duration,
}

impl Hop {
    fn first(request: HttpRequest) -> Result<Self, EgressError> {
        let mut headers = parse_headers(&request.headers)?;
        // Gzip would hold back the pieces of a model's stream, and count other bytes than a download's size and hash.
        if request.purpose != EgressPurpose::Tool && !headers.contains_key(header::ACCEPT_ENCODING)
        {
            let identity = HeaderValue::from_static("identity");
            headers.insert(header::ACCEPT_ENCODING, identity);
        }
        Ok(Self {
            method: match request.method {
                HttpMethod::Get => Method::GET,
                HttpMethod::Head => Method::HEAD,
                HttpMethod::Post => Method::POST,
            },
            url: request.url,
            headers,
            body: request.body,
            credential: request.credential,
            purpose: request.purpose,
            redirects_max: request.redirects_max,
            idle_max: request.idle_max,
        })
    }

    /// Goes on to where a redirect points, leaving at the old origin what belongs there.
    fn turn_to(&mut self, target: Url, status: StatusCode) {
        let is_see_other = status == StatusCode::SEE_OTHER && self.method != Method::HEAD;
        let is_moved_post = matches!(status.as_u16(), 301 | 302) && self.method == Method::POST;
        if is_see_other || is_moved_post {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(header::CONTENT_TYPE);
        }
        if !guard::same_origin(&self.url, &target) {
            self.credential = None;
            for name in HEADERS_OF_ORIGIN {
                self.headers.remove(name);
            }
        }
        self.url = target;
    }

    fn timed_out(&self) -> EgressError {
        EgressError::TimedOut {
            host: self.url.host_str().unwrap_or_default().to_owned(),
            after: self.idle_max,
        }
    }
}

impl Shared {
    /// Judges and sends one request, and returns when the head is in.
    async fn exchange(&self, hop: &Hop) -> Result<reqwest::Response, EgressError> {
        let reach = self.guard.check(&hop.url, hop.purpose)?;
        let mut headers = hop.headers.clone();
        if let Some(credential) = &hop.credential {
            let (name, value) = self.reveal(credential, &hop.url, reach).await?;
            headers.insert(name, value);
        }
        let exchange = async {
            let client = self
                .clients
                .get(Lane::new(&hop.url, reach, hop.purpose))
                .await?;
            client
                .request(hop.method.clone(), hop.url.clone())
                .headers(headers)
                .body(hop.body.clone())
                .send()
                .await
                .map_err(|error| explain(&error, &hop.url))
        };
        match tokio::time::timeout(hop.idle_max, exchange).await {
            Ok(result) => result,
            Err(_) => Err(hop.timed_out()),
        }
    }

    /// The header that carries a secret to this address, if it may go there.
    async fn reveal(
        &self,
        credential: &Credential,
        url: &Url,
        reach: Reach,
    ) -> Result<(HeaderName, HeaderValue), EgressError> {
        let name = &credential.secret;
        let secret = self.secrets.reveal(name).await.ok_or_else(|| {
            EgressError::Denied(format!("there is no secret named {name}; store it first"))
        })?;
        guard::check_secret(name, &secret, url, reach)?;
        let text = format!("{}{}", credential.prefix, secret.value.expose_secret());
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            // The cause would show the secret.
            EgressError::Denied(format!(
                "the secret {name} holds characters that a header can't carry; store it again"
            ))
        })?;
        value.set_sensitive(true);
        Ok((header_name(&credential.header)?, value))
    }
}

fn header_name(name: &str) -> Result<HeaderName, EgressError> {
    HeaderName::try_from(name)
        .map_err(|error| EgressError::Denied(format!("{name:?} is not a header: {error}")))
}

fn parse_headers(headers: &[(String, String)]) -> Result<HeaderMap, EgressError> {
    let mut parsed = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        let name = header_name(name)?;
        if HEADERS_REFUSED.contains(&name) {
            return Err(EgressError::Denied(format!(
                "the header {name} belongs to the connection and may not be set"
            )));
        }
        let value = HeaderValue::try_from(value).map_err(|error| {
            EgressError::Denied(format!("the header {name} can't carry its value: {error}"))
        })?;
        parsed.append(name, value);
    }
    Ok(parsed)
}

/// Where a response sends us on to; `None` when it is the answer itself.
fn redirect_target(
    response: &reqwest::Response,
    redirects_max: u8,
) -> Result<Option<Url>, EgressError> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION);
    let (true, true, Some(location)) = (redirects_max > 0, is_redirect, location) else {
        return Ok(None);
    };
    let target = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|location| response.url().join(location).ok());
    match target {
        Some(target) => Ok(Some(target)),
        None => Err(EgressError::Broken(format!(
            "{} redirects to something that is not an address",
            shown(response.url())
        ))),
    }
}

fn received(response: reqwest::Response, hop: &Hop) -> HttpResponse {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    HttpResponse {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        url: response.url().clone(),
        body: body(response, hop.timed_out(), hop.idle_max),
    }
}

/// The body, ending after its first error.
fn body(
    response: reqwest::Response,
    timed_out: EgressError,
    idle_max: Duration,
) -> BoxStream<Result<Bytes, EgressError>> {
    futures::stream::unfold(Some(response), move |response| {
        let timed_out = timed_out.clone();
        async move {
            let mut response = response?;
            let next = tokio::time::timeout(idle_max, response.chunk()).await;
            match next {
                Ok(Ok(Some(bytes))) => Some((Ok(bytes), Some(response))),
                Ok(Ok(None)) => None,
                Ok(Err(error)) => {
                    let host = response.url().host_str().unwrap_or_default();
                    let text = format!("the answer of {host} broke off: {}", causes(&error));
                    Some((Err(EgressError::Broken(text)), None))
                }
                Err(_) => Some((Err(timed_out), None)),
            }
        }
    })
    .boxed()
}

/// A failed exchange in words, with the rule that refused the address if one did.
fn explain(error: &reqwest::Error, url: &Url) -> EgressError {
    if let Some(refused) = client::refusal(error) {
        return refused;
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    EgressError::Unreachable(format!("{host}:{port} can't be reached: {}", causes(error)))
}

/// The innermost cause, which says more than the layers around it.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// An address for people: without its query, which may hold anything.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
