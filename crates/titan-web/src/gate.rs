//! What is asked of every request before anything else looks at it, and what every answer carries.
//!
//! In this order: `Host` is one of ours (an attacker's name that leads here is refused, 421), the body's length is said
//! in one way (400), `Origin`, where there is one, is ours (403). Routes that are not open then want the token (401),
//! and from a browser, which sends its cookie by itself, an `Origin` with whatever changes something (403). No header
//! that a proxy may add is read: who asks is the peer of the connection.

use crate::access::{NotShown, Shown};
use crate::places::Place;
use crate::refusal::Refusal;
use crate::{Gateway, assets};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Who is at the other end of the connection. With every request.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) place: Arc<Place>,
}

/// `Host` headers that name a gateway at this port, in lower case.
pub(crate) fn hosts(names: &[String], port: u16) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "[::1]"];
    let own = own.iter().map(|name| format!("{name}:{port}"));
    // A name that was given without a port is also meant with the one of this gateway.
    let given = names.iter().flat_map(|name| {
        let name = name.to_ascii_lowercase();
        [format!("{name}:{port}"), name]
    });
    own.chain(given).collect()
}

/// Answers a request, or refuses it. Every answer leaves through here.
pub(crate) async fn gate(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", |path| path.as_str())
        .to_owned();
    let mut response = match admit(&gateway, &request) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => unharmed(next.run(request)).await,
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = not_this_way(allowed);
    }
    dress(&mut response);
    gateway.metrics.answered(&route, response.status());
    response
}

/// Wants the token, or the cookie, of whoever asks. Stands before every route that is not open.
pub(crate) async fn known(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    match knows(&gateway, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn admit(gateway: &Gateway, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = host(request).map(str::to_ascii_lowercase);
    let Some(host) = host.filter(|host| gateway.hosts.contains(host)) else {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "This gateway has another name. Names can be added as gateway.hosts in config.toml.",
        ));
    };
    let n_lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    if n_lengths > 1 || (n_lengths == 1 && headers.contains_key(header::TRANSFER_ENCODING)) {
        return Err(Refusal::malformed("The body's length is said in two ways."));
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if !origins.all(|origin| is_own(origin, &host)) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "Pages of other origins have no business here.",
        ));
    }
    Ok(())
}

/// The one name by which the request calls us.
fn host(request: &Request) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let target = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    (hosts.next().is_none() && target.is_none_or(|it| it.eq_ignore_ascii_case(host)))
        .then_some(host)
}

/// Whether a page of this origin was served by this gateway under the name that the request uses.
fn is_own(origin: &HeaderValue, host: &str) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let name = origin
        .strip_prefix("http://")
        // Under a name that was given, something before us may speak TLS.
        .or_else(|| origin.strip_prefix("https://"));
    name.is_some_and(|name| name.eq_ignore_ascii_case(host))
}

fn knows(gateway: &Gateway, request: &Request) -> Result<(), Refusal> {
    let Some(peer) = request.extensions().get::<Peer>() else {
        return Err(Refusal::unauthorized());
    };
    let headers = request.headers();
    let shown = gateway
        .access
        .judge(headers, peer.address, gateway.address.port());
    let shown = shown.map_err(|why| {
        gateway.metrics.refused();
        match why {
            NotShown::Unknown => Refusal::unauthorized(),
            NotShown::Throttled => Refusal::throttled(),
        }
    })?;
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = headers.contains_key(header::UPGRADE);
    if shown == Shown::Cookie && (changes || upgrades) && !headers.contains_key(header::ORIGIN) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "no_origin",
            "A browser has to say which page this comes from.",
        ));
    }
    peer.place.know();
    Ok(())
}

/// An answer, also when a handler panics; what it says then is fixed.
async fn unharmed(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            tracing::error!("a handler of the gateway panicked");
            Refusal::broken().into_response()
        })
}

fn not_this_way(allowed: Option<HeaderValue>) -> Response {
    let mut response = Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This can't be asked in that way.",
    )
    .into_response();
    if let Some(allowed) = allowed {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// What every answer tells a browser. One alone may stand in a frame, and that in the page's own.
fn dress(response: &mut Response) {
    const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
    const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    const PREFETCH: HeaderName = HeaderName::from_static("x-dns-prefetch-control");
    let is_framed = response.extensions().get::<assets::Framed>().is_some();
    let (policy, framing) = match is_framed {
        true => (assets::FRAME_POLICY, "SAMEORIGIN"),
        false => (assets::POLICY, "DENY"),
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, framing),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (PREFETCH, "off"),
        (
            PERMISSIONS,
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_an_origin_is_own_only_letter_by_letter() {
        let own = |origin: &str| is_own(&HeaderValue::from_str(origin).unwrap(), "localhost:7717");
        assert!(own("http://localhost:7717") && own("http://LOCALHOST:7717"));
        for foreign in [
            "null",
            "",
            "http://localhost",
            "http://localhost:77170",
            "http://localhost:7717.evil.example",
            "http://evil.example",
            "http://evil.example/http://localhost:7717",
            "http://user@localhost:7717",
            "http://127.0.0.1:7717",
            "file://localhost:7717",
            "http://localhost:7717/",
        ] {
            assert!(!own(foreign), "{foreign}");
        }
    }
}
