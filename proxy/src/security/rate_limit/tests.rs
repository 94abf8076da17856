#![allow(clippy::unwrap_used)]
use http::HeaderValue;

use super::*;
use crate::leases::sample::{request, settings, with};
use crate::leases::{Leases, admit};
use crate::live_state::derive;

const SECOND: Duration = Duration::from_secs(1);

fn rule(name: &str, key: RateKey, requests: u32) -> Arc<Rule> {
    let gcra = Gcra::new(f64::from(requests), SECOND, requests);
    let terms = RateRule {
        name: name.to_owned(),
        key,
        gcra,
        requests: requests.into(),
        per: SECOND,
        burst: requests,
        routes: Vec::new(),
        services: Vec::new(),
        dry_run: false,
    };
    Arc::new(Rule { id: id(&terms), terms, counts: Arc::default() })
}

fn rates() -> Rates {
    Rates { buckets: Arc::new(Buckets::new(1_024)), headers: RateHeaders::Ietf, rules: Vec::new() }
}

fn asked<'a>(ip: &str, headers: &'a HeaderMap) -> Asked<'a> {
    Asked { ip: ip.parse().unwrap(), headers, route: "r", service: "s", user: None }
}

#[test]
fn a_request_that_one_rule_refuses_counts_on_none() {
    let (rates, none) = (rates(), HeaderMap::new());
    let rules = [rule("wide", RateKey::Global, 3), rule("narrow", RateKey::Ip, 1)];
    let ask = |ip: &str| rates.admit(&rules, asked(ip, &none), 1).last().unwrap().1.is_ok();
    assert!(ask("10.0.0.1"));
    (0..10).for_each(|_| assert!(!ask("10.0.0.1")));
    assert!(ask("10.0.0.2") && ask("10.0.0.3"), "the refused ones took nothing from the others");
    assert!(!ask("10.0.0.4"));
    assert_eq!(rules[1].counts.refused.load(Ordering::Relaxed), 10);
}

#[test]
fn addresses_of_one_ipv6_network_are_one_client() {
    let (rates, none) = (rates(), HeaderMap::new());
    let rules = [rule("ip", RateKey::Ip, 1)];
    let ask = |ip: &str| rates.admit(&rules, asked(ip, &none), 1).last().unwrap().1.is_ok();
    assert!(ask("2001:db8::1"));
    assert!(!ask("2001:db8::2"));
    assert!(ask("2001:db8:0:1::1"));
}

#[test]
fn who_has_no_such_header_or_user_is_not_counted() {
    let (rates, mut headers) = (rates(), HeaderMap::new());
    let rules = [rule("user", RateKey::User, 1), rule("key", RateKey::Header("x-key".parse().unwrap()), 1)];
    for _ in 0..3 {
        assert!(rates.admit(&rules, asked("10.0.0.1", &headers), 1).is_empty());
    }
    headers.insert("x-key", HeaderValue::from_static("a"));
    assert!(rates.admit(&rules, asked("10.0.0.1", &headers), 1)[0].1.is_ok());
    assert!(rates.admit(&rules, asked("10.0.0.2", &headers), 1)[0].1.is_err());
}

#[test]
fn clients_are_told_in_the_words_that_were_chosen() {
    let (rates, none) = (rates(), HeaderMap::new());
    let rules = [rule("wide", RateKey::Global, 9), rule("narrow", RateKey::Ip, 1)];
    let mut fields = HeaderMap::new();
    tell(&rates.admit(&rules, asked("10.0.0.1", &none), 1), RateHeaders::Ietf, &mut fields);
    let all: Vec<_> = fields.get_all("ratelimit").iter().collect();
    assert_eq!(all, ["\"wide\";r=8;t=1", "\"narrow\";r=0;t=1"]);
    assert_eq!(fields["ratelimit-policy"], "\"wide\";q=9;w=1");
    let mut fields = HeaderMap::new();
    tell(&rates.admit(&rules, asked("10.0.0.1", &none), 1), RateHeaders::XRatelimit, &mut fields);
    assert_eq!(
        (&fields["x-ratelimit-limit"], &fields["x-ratelimit-remaining"]),
        (&"1".parse().unwrap(), &"0".parse().unwrap())
    );
    assert_eq!(fields["retry-after"], "1");
    let mut fields = HeaderMap::new();
    tell(&rates.admit(&rules, asked("10.0.0.2", &none), 1), RateHeaders::None, &mut fields);
    assert!(fields.is_empty());
}

#[test]
fn leases_limit_beside_the_file_and_buckets_outlive_the_table() {
    let (settings, memory) = (settings(), Memory::default());
    assert!(memory.rates(&derive(&settings, &Leases::default())).is_none(), "nothing is kept for nobody");
    let limit = serde_json::json!({"type": "limit_rate", "key": "ip", "rps": 5.0, "burst": 1});
    let request = request("cart", limit);
    let leases = with(&Leases::default(), "a", request.clone());
    let live = admit(&settings, &leases, &request).unwrap();
    let (first, again) = (memory.rates(&live).unwrap(), memory.rates(&live).unwrap());
    assert!(Arc::ptr_eq(&first.buckets, &again.buckets));
    let none = HeaderMap::new();
    assert!(first.admit(&first.rules, asked("10.0.0.1", &none), 1)[0].1.is_ok());
    assert!(again.admit(&again.rules, asked("10.0.0.1", &none), 1)[0].1.is_err(), "its debt is remembered");
}
