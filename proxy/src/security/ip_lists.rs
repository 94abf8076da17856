//! Clients that are refused, or the only ones that are let in, by network: up to hundreds of thousands.
//!
//! A set is a trie of two levels for each family ([`Ranges`]): a table by sixteen bits of the address, and below it
//! sorted ranges without overlap.

mod ranges;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::live_state::blocks;
use ranges::Ranges;

/// Networks in one list.
pub const MAX_NETWORKS: usize = 1_000_000;
/// The largest file of networks that is read.
pub const MAX_LIST_BYTES: usize = 32 << 20;

/// Who is let in.
#[derive(Debug, Default)]
pub struct IpLists {
    /// Refused.
    pub deny: IpSet,
    /// If there is one, all others are refused.
    pub allow: Option<IpSet>,
}

impl IpLists {
    /// Whether `client` is refused; a denial wins.
    #[must_use]
    pub fn refuses(&self, client: IpAddr) -> bool {
        self.deny.contains(client) || self.allow.as_ref().is_some_and(|allow| !allow.contains(client))
    }
}

/// A set of addresses, by their networks.
#[derive(Debug, Default)]
pub struct IpSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl IpSet {
    /// From networks, in any order, with or without overlap.
    #[must_use]
    pub fn new(networks: impl Iterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in blocks::union(networks) {
            match network {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }

    /// Ranges that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `client` is in one of its networks.
    #[must_use]
    pub fn contains(&self, client: IpAddr) -> bool {
        match client {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }
}

/// The networks of a file: one a line, `#` begins a comment.
///
/// # Errors
/// The first line that is none, and which it is.
pub fn parse(text: &str) -> Result<Vec<IpNet>, String> {
    let mut networks = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = || format!("line {}: {line:?} is no address and no network (10.0.0.0/8)", n + 1);
        networks.push(network(line).ok_or_else(wrong)?);
    }
    if networks.len() > MAX_NETWORKS {
        return Err(format!("{} networks; {MAX_NETWORKS} are the most", networks.len()));
    }
    Ok(networks)
}

/// A network, or an address as one.
#[must_use]
pub fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_denial_wins_and_an_allow_list_refuses_all_others() {
        let set = |text: &str| IpSet::new(parse(text).unwrap().into_iter());
        let lists = IpLists {
            deny: set("10.0.0.7\n2001:db8:1::/48"),
            allow: Some(set("# inside\n10.0.0.0/24 # ours\n\n2001:db8::/32")),
        };
        for refused in ["10.0.0.7", "10.0.1.0", "2001:db8:1::9", "::1"] {
            assert!(lists.refuses(ip(refused)), "{refused}");
        }
        for let_in in ["10.0.0.0", "10.0.0.255", "2001:db8:2::9"] {
            assert!(!lists.refuses(ip(let_in)), "{let_in}");
        }
        assert!(!IpLists::default().refuses(ip("10.0.0.7")));
        assert_eq!(
            parse("10.0.0.0/8\n10.0.0.0/33"),
            Err("line 2: \"10.0.0.0/33\" is no address and no network (10.0.0.0/8)".to_owned())
        );
    }

    proptest! {
        #[test]
        fn the_set_answers_as_a_walk_over_all_networks(
            nets in proptest::collection::vec((any::<u32>(), 4u8..=32), 0..200),
            asked in proptest::collection::vec(any::<u32>(), 50),
        ) {
            let net = |(bits, len): &(u32, u8)| ipnet::Ipv4Net::new(Ipv4Addr::from_bits(*bits), *len).unwrap();
            let nets: Vec<_> = nets.iter().map(net).collect();
            let set = IpSet::new(nets.iter().copied().map(IpNet::V4));
            let edges = nets.iter().flat_map(|net| [net.network().to_bits(), net.broadcast().to_bits()]);
            let beside = edges.flat_map(|edge| [edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
            for bits in beside.chain(asked) {
                let address = Ipv4Addr::from_bits(bits);
                prop_assert_eq!(set.contains(address.into()), nets.iter().any(|net| net.contains(&address)));
            }
        }
    }
}
