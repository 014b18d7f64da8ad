//! What may be asked of whom: the rules for addresses and credentials, decided on the parsed URL.
//!
//! Pure: no lookup, no clock. Names are judged here, the addresses that they resolve to by [`Reach::admits`] at the
//! moment they are dialled.

use super::EgressConfig;
use super::address;
use std::net::IpAddr;
use titan_protocol::{EgressError, EgressPurpose, Secret};
use url::{Host, Url};

/// The addresses that a request may be dialled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This machine only.
    Loopback,
    /// The public internet only.
    Public,
    /// Any address: the person named the host.
    Named,
}

impl Reach {
    /// Whether this address may be dialled.
    pub(super) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Loopback => address::is_loopback(address),
            Self::Public => address::is_public(address),
            Self::Named => true,
        }
    }
}

/// The rules, made from the configuration once.
#[derive(Debug)]
pub(super) struct Guard {
    offline: bool,
    provider_hosts: Vec<Pattern>,
    trusted_hosts: Vec<Pattern>,
    allowed_hosts: Vec<Pattern>,
    denied_hosts: Vec<Pattern>,
}

/// A host, or all hosts below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Host(String),
    Below(String),
}

impl Pattern {
    /// Brings a host to the one spelling that parsed URLs have. `None` when it is not a host.
    fn parse(text: &str) -> Option<Self> {
        if let Some(domain) = text.strip_prefix("*.") {
            return Some(Self::Below(canonical_host(domain)?));
        }
        canonical_host(text).map(Self::Host)
    }

    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Host(own) => own == host,
            Self::Below(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        }
    }
}

fn covers(patterns: &[Pattern], host: &str) -> bool {
    patterns.iter().any(|pattern| pattern.covers(host))
}

/// A host as it would stand in a parsed URL: lower case, punycode, addresses in their usual form.
fn canonical_host(text: &str) -> Option<String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(IpAddr::V6(address)) = bare.parse() {
        return Some(format!("[{address}]"));
    }
    match Host::parse(text).ok()? {
        Host::Domain(name) if name.is_empty() || name.ends_with('.') => None,
        host => Some(host.to_string()),
    }
}

fn denied(text: String) -> EgressError {
    EgressError::Denied(text)
}

impl Guard {
    /// # Errors
    /// The entry that is not a host.
    pub(super) fn new(config: &EgressConfig) -> Result<Self, String> {
        Ok(Self {
            offline: config.offline,
            provider_hosts: patterns(&config.provider_hosts)?,
            trusted_hosts: patterns(&config.trusted_hosts)?,
            allowed_hosts: patterns(&config.allowed_hosts)?,
            denied_hosts: patterns(&config.denied_hosts)?,
        })
    }

    /// Which addresses this URL may be dialled at.
    ///
    /// # Errors
    /// `Denied` with the rule that forbids it. The text holds no user name or password of the URL.
    pub(super) fn check(&self, url: &Url, purpose: EgressPurpose) -> Result<Reach, EgressError> {
        let host = checked_host(url)?;
        let shown = host.to_string();
        if covers(&self.denied_hosts, &shown) {
            return Err(denied(format!("{shown} is on the list of denied hosts")));
        }
        let reach = self.reach(&host, &shown, purpose)?;
        if let Some(address) = literal(&host)
            && !reach.admits(address)
        {
            return Err(not_admitted(&shown, address));
        }
        if url.scheme() == "http" && reach == Reach::Public {
            return Err(denied(format!(
                "http to {shown} would travel unprotected; use https"
            )));
        }
        Ok(reach)
    }

    fn reach(
        &self,
        host: &Host<&str>,
        shown: &str,
        purpose: EgressPurpose,
    ) -> Result<Reach, EgressError> {
        let is_local = is_local(host);
        if self.offline && !is_local {
            return Err(denied(format!(
                "{shown} is not on this machine, and --offline is on; run without --offline to reach it"
            )));
        }
        let is_trusted = covers(&self.trusted_hosts, shown);
        let named = if is_local {
            Reach::Loopback
        } else {
            Reach::Named
        };
        match purpose {
            EgressPurpose::Provider if is_local => Ok(Reach::Loopback),
            EgressPurpose::Provider if covers(&self.provider_hosts, shown) => Ok(Reach::Named),
            EgressPurpose::Provider => Err(denied(format!(
                "{shown} is not the host of a configured provider; add it to the configuration first"
            ))),
            EgressPurpose::Tool if is_trusted => Ok(named),
            EgressPurpose::Tool if !self.is_allowed(shown) => Err(denied(format!(
                "{shown} is not on the list of allowed hosts"
            ))),
            EgressPurpose::Tool | EgressPurpose::Download if is_local && !is_trusted => {
                Err(denied(format!(
                    "{shown} is this machine; tools and downloads reach public addresses only"
                )))
            }
            EgressPurpose::Download if is_trusted => Ok(named),
            EgressPurpose::Tool | EgressPurpose::Download => Ok(Reach::Public),
        }
    }

    fn is_allowed(&self, host: &str) -> bool {
        self.allowed_hosts.is_empty() || covers(&self.allowed_hosts, host)
    }
}

fn patterns(hosts: &[String]) -> Result<Vec<Pattern>, String> {
    let parse = |host: &String| Pattern::parse(host).ok_or_else(|| host.clone());
    hosts.iter().map(parse).collect()
}

/// The host of a URL that is well-formed for us: http(s), no user name, no trailing dot.
fn checked_host(url: &Url) -> Result<Host<&str>, EgressError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(denied(format!(
            "{} addresses can't be fetched; use https",
            url.scheme()
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(denied(
            "the address holds a user name or password; leave them out".to_owned(),
        ));
    }
    match url.host() {
        None => Err(denied("the address names no host".to_owned())),
        Some(Host::Domain(name)) if name.ends_with('.') => Err(denied(format!(
            "the host {name} ends in a dot; write it without"
        ))),
        Some(host) => Ok(host),
    }
}

fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
    }
}

/// Whether a host is this machine by its spelling alone.
fn is_local(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => is_local_name(name),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Names that mean this machine wherever they are asked (RFC 6761), and are never looked up.
pub(super) fn is_local_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The refusal of an address that a name led to, or that stands in the URL.
pub(super) fn not_admitted(host: &str, address: IpAddr) -> EgressError {
    denied(format!(
        "{host} leads to {address}, which is not a public address"
    ))
}

/// Refuses a secret that is for another host, or that would travel unprotected.
///
/// # Errors
/// `Denied`; the text names the secret but never shows it.
pub(super) fn check_secret(
    name: &str,
    secret: &Secret,
    url: &Url,
    reach: Reach,
) -> Result<(), EgressError> {
    let host = url.host_str().unwrap_or_default();
    if let Some(own) = &secret.host
        && canonical_host(own).as_deref() != Some(host)
    {
        return Err(denied(format!(
            "the secret {name} is for {own}, not for {host}; store one for {host} to use it there"
        )));
    }
    if url.scheme() != "https" && reach != Reach::Loopback {
        return Err(denied(format!(
            "the secret {name} would travel unprotected to {host}; use https"
        )));
    }
    Ok(())
}

/// Whether two addresses are of one origin: scheme, host and port.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}
