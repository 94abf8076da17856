//! Host checking against DNS rebinding: a page of a stranger, whose name was made to lead here, is turned away.
//!
//! A browser that is rebound still says the stranger's name in `Host`, and a stranger needs a name that can be
//! registered. So what cannot be registered is let in: addresses, names without a dot (`proxy`, `localhost`) and
//! all under `.localhost` (RFC 6761); beyond those, what the operator names. No `Host` at all comes from no browser.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// The names under which a listener is spoken to.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These beside what cannot be registered; neither case nor ports count.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect())
    }

    /// Whether a request with this target and these fields is meant for here.
    #[must_use]
    pub fn admit(&self, target: &Uri, fields: &HeaderMap) -> bool {
        let named = target.authority().is_none_or(|authority| self.knows(authority.as_str()));
        let mut hosts = fields.get_all(header::HOST).iter();
        let host = hosts.next().is_none_or(|host| host.to_str().is_ok_and(|host| self.knows(host)));
        named && host && hosts.next().is_none()
    }

    fn knows(&self, authority: &str) -> bool {
        // `user@host` is no Host, and what follows the @ must not be taken for one.
        let Ok(parsed) = authority.parse::<Authority>() else { return false };
        if authority.contains('@') {
            return false;
        }
        let host = parsed.host().trim_end_matches('.').to_ascii_lowercase();
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        literal.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
            || host.parse::<Ipv4Addr>().is_ok()
            || (!host.is_empty() && literal.is_none() && !host.contains('.'))
            || host.ends_with(".localhost")
            || self.0.contains(&host)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn admits(host: &str) -> bool {
        let hosts = Hosts::new(["Mesh.Example.COM".to_owned()]);
        let fields = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        hosts.admit(&Uri::from_static("/v1/status"), &fields)
    }

    #[test]
    fn what_a_stranger_can_register_is_turned_away() {
        for ours in [
            "127.0.0.1:7070",
            "127.0.0.1",
            "[::1]:7070",
            "localhost:7070",
            "LOCALHOST",
            "app.localhost",
            "proxy:9901",
        ] {
            assert!(admits(ours), "{ours}");
        }
        assert!(admits("mesh.example.com:443") && admits("mesh.example.com."));
        for theirs in [
            "evil.example:7070",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost.example",
            "mesh.example.com.evil.example",
            "127.0.0.1@evil.example",
            "localhost@evil.example:7070",
            "evil.example#.localhost",
            "[evil.example]",
            "",
        ] {
            assert!(!admits(theirs), "{theirs}");
        }
    }

    #[test]
    fn two_hosts_or_a_target_that_names_another_are_turned_away() {
        let hosts = Hosts::default();
        let mut fields = HeaderMap::new();
        assert!(hosts.admit(&Uri::from_static("/"), &fields), "no browser leaves it out");
        fields.append(header::HOST, "localhost".parse().unwrap());
        assert!(!hosts.admit(&Uri::from_static("http://evil.example/"), &fields));
        fields.append(header::HOST, "localhost".parse().unwrap());
        assert!(!hosts.admit(&Uri::from_static("/"), &fields));
    }
}
