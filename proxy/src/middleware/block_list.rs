//! Client networks that are refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Networks as sorted address ranges, asked by binary search.
#[derive(Debug, Default)]
pub struct BlockList {
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl BlockList {
    /// From networks that do not overlap, in any order.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        let mut list = Self::default();
        for network in networks {
            match network {
                IpNet::V4(net) => list.v4.push((net.network(), net.broadcast())),
                IpNet::V6(net) => list.v6.push((net.network(), net.broadcast())),
            }
        }
        list.v4.sort_unstable();
        list.v6.sort_unstable();
        list
    }

    /// Whether `client` is in one of them.
    #[must_use]
    pub fn contains(&self, client: IpAddr) -> bool {
        match client {
            IpAddr::V4(address) => within(&self.v4, address),
            IpAddr::V6(address) => within(&self.v6, address),
        }
    }
}

fn within<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_blocked_to_its_edges_and_no_further() {
        let networks = ["203.0.113.0/24", "10.0.0.7/32", "2001:db8:1::/48"].map(|net| net.parse().unwrap());
        let list = BlockList::new(&networks);
        for blocked in ["203.0.113.0", "203.0.113.255", "10.0.0.7", "2001:db8:1:ffff::1"] {
            assert!(list.contains(blocked.parse().unwrap()), "{blocked}");
        }
        for open in ["203.0.112.255", "203.0.114.0", "10.0.0.6", "10.0.0.8", "2001:db8:2::", "0.0.0.0"] {
            assert!(!list.contains(open.parse().unwrap()), "{open}");
        }
        assert!(!BlockList::default().contains("127.0.0.1".parse().unwrap()));
    }
}
