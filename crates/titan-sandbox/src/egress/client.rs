//! HTTP clients, one for each lane, made when they are first needed.
//!
//! A lane is what decides which addresses may be dialled. Connections are pooled within a lane and never shared
//! between lanes, so a request cannot ride on a connection that it would not have been given.

use super::ProxyConfig;
use super::guard::{self, Reach};
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{EgressError, EgressPurpose};
use tokio::sync::Mutex;
use url::Url;

/// The longest wait for a connection, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long an idle connection is kept.
const POOL_IDLE_MAX: Duration = Duration::from_secs(60);

/// Idle connections kept for one host.
const POOL_IDLE_PER_HOST_MAX: usize = 8;

const USER_AGENT: &str = concat!("titanclaw/", env!("CARGO_PKG_VERSION"));

/// Finds the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's resolver, off the runtime's threads.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// What requests must have in common to share a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    reach: Reach,
    is_tls: bool,
    may_use_proxy: bool,
}

impl Lane {
    pub(super) fn new(url: &Url, reach: Reach, purpose: EgressPurpose) -> Self {
        let is_tls = url.scheme() == "https";
        let is_far = reach != Reach::Loopback;
        Self {
            reach,
            is_tls,
            may_use_proxy: is_tls && is_far && purpose != EgressPurpose::Tool,
        }
    }
}

pub(super) struct Clients {
    lookup: Lookup,
    proxy: Option<ProxyConfig>,
    made: Mutex<BTreeMap<Lane, reqwest::Client>>,
}

impl Clients {
    pub(super) fn new(lookup: Lookup, proxy: Option<ProxyConfig>) -> Self {
        Self {
            lookup,
            proxy,
            made: Mutex::new(BTreeMap::new()),
        }
    }

    /// The lane's client, made now if it is the first request.
    pub(super) async fn get(&self, lane: Lane) -> Result<reqwest::Client, EgressError> {
        let mut made = self.made.lock().await;
        if let Some(client) = made.get(&lane) {
            return Ok(client.clone());
        }
        let proxy = self.proxy.as_ref().filter(|_| lane.may_use_proxy);
        let resolver = Resolver {
            reach: lane.reach,
            proxy_host: proxy.and_then(|proxy| proxy.url.host_str().map(str::to_owned)),
            lookup: self.lookup.clone(),
        };
        let client = if lane.is_tls {
            let proxy = proxy.cloned();
            // Reading the system's certificates is file work.
            let making = move || make_tls(resolver, proxy.as_ref());
            match tokio::task::spawn_blocking(making).await {
                Ok(made) => made,
                Err(error) => {
                    return Err(EgressError::Unreachable(format!(
                        "the HTTP client could not be made: {error}"
                    )));
                }
            }
        } else {
            base(resolver).tls_certs_only([]).build()
        };
        let client = client.map_err(|error| {
            EgressError::Unreachable(format!("the HTTP client could not be made: {error}"))
        })?;
        made.insert(lane, client.clone());
        Ok(client)
    }
}

fn base(resolver: Resolver) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(resolver)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(POOL_IDLE_MAX)
        .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
        .tcp_nodelay(true)
        .gzip(true)
}

fn make_tls(resolver: Resolver, proxy: Option<&ProxyConfig>) -> reqwest::Result<reqwest::Client> {
    let mut builder = base(resolver.clone());
    if let Some(proxy) = proxy {
        builder = builder.proxy(lower(proxy)?);
    }
    match builder.build() {
        Ok(client) => Ok(client),
        // A bare system has no certificates; the ones that browsers trust come with the engine.
        Err(error) => {
            tracing::info!(%error, "the system's certificates can't be used; using the built-in ones");
            let mut builder = base(resolver).tls_certs_only(bundled_roots()?);
            if let Some(proxy) = proxy {
                builder = builder.proxy(lower(proxy)?);
            }
            builder.build()
        }
    }
}

fn bundled_roots() -> reqwest::Result<Vec<reqwest::Certificate>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|root| reqwest::Certificate::from_der(root))
        .collect()
}

fn lower(proxy: &ProxyConfig) -> reqwest::Result<reqwest::Proxy> {
    let except = reqwest::NoProxy::from_string(&proxy.except);
    Ok(reqwest::Proxy::https(proxy.url.clone())?.no_proxy(except))
}

/// Hands a client only addresses that its lane admits. The client dials these and asks nobody else.
#[derive(Clone)]
pub(super) struct Resolver {
    reach: Reach,
    /// The proxy's own host was named by the person, so it may lead anywhere.
    proxy_host: Option<String>,
    lookup: Lookup,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let addresses = resolver.addresses(&name).await?;
            // Port 0 stands for the port of the request.
            let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

impl Resolver {
    #[cfg(test)]
    pub(super) fn for_tests(reach: Reach, lookup: Lookup) -> Self {
        Self {
            reach,
            proxy_host: None,
            lookup,
        }
    }

    pub(super) async fn addresses(
        &self,
        name: &str,
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        if guard::is_local_name(name) {
            return Ok(vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]);
        }
        let found = (self.lookup)(name.to_owned()).await?;
        if self.proxy_host.as_deref() == Some(name) {
            return Ok(found);
        }
        let refused = found.iter().copied().find(|ip| !self.reach.admits(*ip));
        let admitted: Vec<IpAddr> = found
            .into_iter()
            .filter(|ip| self.reach.admits(*ip))
            .collect();
        match refused {
            Some(address) if admitted.is_empty() => {
                Err(Box::new(Refused(guard::not_admitted(name, address))))
            }
            _ => Ok(admitted),
        }
    }
}

/// Carries a refusal through the client's own errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(EgressError);

/// The refusal that a failed request came from, if it did.
pub(super) fn refusal(error: &reqwest::Error) -> Option<EgressError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(Refused(refused)) = current.downcast_ref() {
            return Some(refused.clone());
        }
        cause = current.source();
    }
    None
}
