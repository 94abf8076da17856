//! Client networks that are refused: how wide one may be, and the union of many.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The widest IPv4 network that may be blocked.
const WIDEST_IPV4: u8 = 24;
/// The widest IPv6 network that may be blocked.
const WIDEST_IPV6: u8 = 48;

/// The network as it is judged: host bits dropped, an IPv4-mapped IPv6 network (`::ffff:0:0/96` and
/// narrower) as the IPv4 network that it is.
#[must_use]
pub fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    let IpNet::V6(six) = network else { return network };
    let mapped = six.network().to_ipv4_mapped().filter(|_| six.prefix_len() >= 96);
    let four = mapped.and_then(|address| Ipv4Net::new(address, six.prefix_len() - 96).ok());
    four.map_or(network, IpNet::V4)
}

/// Why `network` may not be blocked, if it may not.
#[must_use]
pub fn too_wide(network: IpNet) -> Option<String> {
    match canonical(network) {
        IpNet::V4(four) if four.prefix_len() < WIDEST_IPV4 => {
            Some(format!("{network} is wider than /{WIDEST_IPV4}"))
        }
        IpNet::V6(six) if six.prefix_len() < WIDEST_IPV6 => {
            Some(format!("{network} is wider than /{WIDEST_IPV6}"))
        }
        // ::/48 to ::ffff:0:0/95 hold every IPv4 client in its mapped form.
        IpNet::V6(six) if holds_mapped(six) => Some(format!("{network} holds all IPv4-mapped addresses")),
        wide if holds_loopback(wide) && wide.prefix_len() < wide.max_prefix_len() => {
            Some(format!("{network} is a loopback network: name single addresses"))
        }
        IpNet::V4(four) if four.network().is_unspecified() => Some(format!("{network} is no client")),
        _ => None,
    }
}

fn holds_mapped(six: Ipv6Net) -> bool {
    six.prefix_len() < 96 && six.contains(&std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped())
}

fn holds_loopback(network: IpNet) -> bool {
    match network {
        IpNet::V4(four) => four.network().is_loopback(),
        IpNet::V6(six) => six.contains(&std::net::Ipv6Addr::LOCALHOST),
    }
}

/// All of them, without overlap, sorted: the same whatever their order.
#[must_use]
pub fn union(networks: impl Iterator<Item = IpNet>) -> Vec<IpNet> {
    let mut union = IpNet::aggregate(&networks.map(canonical).collect());
    union.sort_unstable();
    union
}

/// How many IPv4 addresses a union holds.
#[must_use]
pub fn ipv4_addresses(union: &[IpNet]) -> u64 {
    let size = |network: &IpNet| match network {
        IpNet::V4(four) => 1u64 << (32 - u32::from(four.prefix_len())),
        IpNet::V6(_) => 0,
    };
    union.iter().map(size).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn no_block_is_wider_than_24_or_48_in_whatever_form_it_comes() {
        let wide =
            ["0.0.0.0/0", "10.0.0.0/23", "::/0", "2001:db8::/47", "::ffff:0:0/96", "::ffff:10.0.0.0/119"];
        let hidden = ["::/48", "::/80", "::ffff:0:0/95", "127.0.0.0/24", "::/120"];
        for bad in wide.into_iter().chain(hidden) {
            assert!(too_wide(net(bad)).is_some(), "{bad} was taken");
        }
        for good in ["10.0.0.0/24", "127.0.0.1/32", "::1/128", "2001:db8::/48", "::ffff:10.0.0.0/120"] {
            assert_eq!(too_wide(net(good)), None, "{good}");
        }
    }

    #[test]
    fn the_union_has_no_overlap_and_no_order() {
        let nets = ["10.0.0.128/25", "::ffff:10.0.0.0/121", "10.0.0.7/32", "2001:db8::/48"].map(net);
        let there = union(nets.into_iter());
        let back = union(nets.into_iter().rev());
        assert_eq!(there, back);
        assert_eq!(there, ["10.0.0.0/24", "2001:db8::/48"].map(net));
        assert_eq!(ipv4_addresses(&there), 256);
    }
}
