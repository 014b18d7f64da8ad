//! Addresses in every odd spelling: kept in `fuzz/corpus/url`.

use super::EgressConfig;
use super::guard::{Guard, Reach};
use std::net::IpAddr;
use titan_protocol::EgressPurpose;
use url::Url;

/// What a tool is let through to is https, without a name and password, and no inner address by its spelling; a list of
/// hosts lets through no other; offline nothing is let through that is not this machine.
#[test]
fn s17_fuzz_url() {
    let open = Guard::new(&EgressConfig::default()).expect("the default is good");
    let listed = Guard::new(&EgressConfig {
        allowed_hosts: vec!["example.org".to_owned()],
        ..EgressConfig::default()
    });
    let listed = listed.expect("a host");
    let offline = Guard::new(&EgressConfig {
        offline: true,
        ..EgressConfig::default()
    });
    let offline = offline.expect("the default is good");
    titan_testkit::fuzz::check("url", |bytes| {
        let Ok(url) = Url::parse(&String::from_utf8_lossy(bytes)) else {
            return;
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        if listed.check(&url, EgressPurpose::Tool).is_ok() {
            assert_eq!(host, "example.org");
        }
        for purpose in [
            EgressPurpose::Tool,
            EgressPurpose::Provider,
            EgressPurpose::Download,
        ] {
            if let Ok(reach) = offline.check(&url, purpose) {
                assert_eq!(reach, Reach::Loopback, "{url}");
            }
        }
        if open.check(&url, EgressPurpose::Tool).is_err() {
            return;
        }
        assert_eq!(
            (url.scheme(), url.username(), url.password()),
            ("https", "", None)
        );
        assert!(
            !host.is_empty() && !host.ends_with('.') && !host.contains('\0'),
            "{url}"
        );
        // What the dial will read of the host is an address that we admit, or a name to look up.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            assert!(Reach::Public.admits(address), "{url}");
        }
    });
}
