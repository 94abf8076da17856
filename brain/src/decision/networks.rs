//! Addresses become networks: as few as say the same, within what a proxy's floor allows.
//!
//! IPv4 is merged only where every address of the network was named: nobody is refused for a
//! neighbour. An IPv6 subscriber holds a /64, so two addresses of one /64 are that subscriber.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

/// The most networks in one action (the proxies' floor).
const MAX_NETWORKS: usize = 1_024;
/// None is wider (the proxies' floor).
const WIDEST_V4: u8 = 24;
const WIDEST_V6: u8 = 48;
/// One subscriber.
const SUBSCRIBER_V6: u8 = 64;

/// The networks that hold `ips` (addresses or CIDRs), in order.
///
/// # Errors
/// None is named, one is no address, or one is everybody.
pub(super) fn aggregated(ips: &[String]) -> Result<Vec<IpNet>, String> {
    let parsed: Result<Vec<IpNet>, String> = ips.iter().map(|ip| parse(ip)).collect();
    let nets = by_subscriber(parsed?);
    let nets: Vec<IpNet> = IpNet::aggregate(&nets).into_iter().flat_map(narrow).collect();
    match nets.len() {
        0 => Err("the diagnosis names no client".to_owned()),
        n if n > MAX_NETWORKS => Err(format!("{n} networks are more than the {MAX_NETWORKS} a proxy takes")),
        _ => Ok(nets),
    }
}

fn parse(text: &str) -> Result<IpNet, String> {
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip.to_canonical()),
        Err(_) => text.parse::<IpNet>().map_err(|_| format!("{text} is no address"))?.trunc(),
    };
    let too_wide = match net {
        IpNet::V4(net) => net.prefix_len() < WIDEST_V4,
        IpNet::V6(net) => net.prefix_len() < WIDEST_V6,
    };
    let nobody = net.addr().is_unspecified() || net.addr().is_multicast();
    if too_wide || nobody { Err(format!("{net} cannot be blocked")) } else { Ok(net) }
}

fn by_subscriber(nets: Vec<IpNet>) -> Vec<IpNet> {
    let subscriber = |net: &IpNet| match net {
        IpNet::V6(net) if net.prefix_len() > SUBSCRIBER_V6 => {
            let bits = u128::from(net.addr()) >> (128 - SUBSCRIBER_V6) << (128 - SUBSCRIBER_V6);
            Ipv6Net::new(Ipv6Addr::from(bits), SUBSCRIBER_V6).ok()
        }
        _ => None,
    };
    let mut members: BTreeMap<Ipv6Net, usize> = BTreeMap::new();
    nets.iter().filter_map(subscriber).for_each(|net| *members.entry(net).or_default() += 1);
    let whole = |net: IpNet| match subscriber(&net) {
        Some(subscriber) if members.get(&subscriber).is_some_and(|n| *n > 1) => subscriber.into(),
        _ => net,
    };
    nets.into_iter().map(whole).collect()
}

/// What aggregation made wider than the floor allows, in parts that are not.
fn narrow(net: IpNet) -> Vec<IpNet> {
    let widest = if net.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
    if net.prefix_len() >= widest {
        return vec![net];
    }
    net.subnets(widest).map_or_else(|_| Vec::new(), |parts| parts.take(MAX_NETWORKS + 1).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(ips: &[&str]) -> Result<Vec<String>, String> {
        let ips: Vec<String> = ips.iter().map(|ip| (*ip).to_owned()).collect();
        Ok(aggregated(&ips)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn neighbours_become_one_network_and_nobody_else_is_in_it() {
        assert_eq!(of(&["10.0.0.2", "10.0.0.3", "10.0.0.2"]).unwrap(), ["10.0.0.2/31"]);
        assert_eq!(of(&["10.0.0.1", "10.0.0.2"]).unwrap(), ["10.0.0.1/32", "10.0.0.2/32"]);
        assert_eq!(of(&["::ffff:10.0.0.1"]).unwrap(), ["10.0.0.1/32"]);
        assert_eq!(of(&["2001:db8::1"]).unwrap(), ["2001:db8::1/128"]);
        assert_eq!(of(&["2001:db8::1", "2001:db8::9"]).unwrap(), ["2001:db8::/64"]);
    }

    #[test]
    fn no_network_is_wider_than_the_floor_allows() {
        let addresses: Vec<String> = (0..1_024).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        let nets = aggregated(&addresses).unwrap();
        assert_eq!(nets.len(), 4);
        assert!(nets.iter().all(|net| net.prefix_len() == 24));
        for wrong in ["0.0.0.0/0", "10.0.0.0/23", "2001:db8::/47", "0.0.0.0", "224.0.0.1", "x"] {
            assert!(of(&[wrong]).is_err(), "{wrong}");
        }
        assert!(of(&[]).is_err());
    }

    proptest! {
        #[test]
        fn who_was_named_is_refused_and_in_ipv4_nobody_else(ips in prop::collection::btree_set(any::<u8>(), 1..64)) {
            let named: Vec<String> = ips.iter().map(|n| format!("203.0.113.{n}")).collect();
            let nets = aggregated(&named).unwrap();
            for n in 0..=255u8 {
                let ip: IpAddr = format!("203.0.113.{n}").parse().unwrap();
                prop_assert_eq!(nets.iter().any(|net| net.contains(&ip)), ips.contains(&n));
            }
        }
    }
}
