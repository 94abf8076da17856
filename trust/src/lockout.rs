//! Lock-out with back-off: who shows wrong credentials again and again is looked at less and less often.
//!
//! By peer address (a /64 for IPv6), in memory of a fixed size. From loopback a good credential is let in even
//! while its address is locked: everybody on a machine shares that address, and a lock would let any of them
//! keep the operator from the kill switch.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong credentials in a row that cost nothing.
pub const FREE: u32 = 20;
/// The first lock; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest lock.
const LONGEST: Duration = Duration::from_secs(300);
/// Without a failure for so long, all is forgotten.
const FORGET: Duration = Duration::from_secs(900);
/// Addresses that are remembered; the one that failed longest ago makes room.
const MAX_PEERS: usize = 4_096;

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// What was shown is not known.
    Wrong,
    /// Nothing from there is looked at for so long.
    Locked(Duration),
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

/// Who failed, how often.
#[derive(Debug, Default)]
pub struct Lockout(Mutex<HashMap<IpAddr, Failures>>);

impl Lockout {
    /// Judges what `peer` has shown: `found` is whom the credential belongs to, if it is known. It is looked up
    /// before, so that a locked peer learns nothing from the time.
    ///
    /// # Errors
    /// [`Turned`]. A peer that is not known (no socket) is never locked.
    pub fn judge<T>(&self, peer: Option<IpAddr>, now: Instant, found: Option<T>) -> Result<T, Turned> {
        let Some(peer) = peer.map(whole) else { return found.ok_or(Turned::Wrong) };
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let let_in = peer.is_loopback() && found.is_some();
        let until = peers.get(&peer).map(|failures| failures.until).filter(|until| *until > now && !let_in);
        if let Some(until) = until {
            return Err(Turned::Locked(until.saturating_duration_since(now)));
        }
        found.ok_or_else(|| {
            fail(&mut peers, peer, now);
            Turned::Wrong
        })
    }
}

fn fail(peers: &mut HashMap<IpAddr, Failures>, peer: IpAddr, now: Instant) {
    if peers.len() >= MAX_PEERS && !peers.contains_key(&peer) {
        let oldest = peers.iter().min_by_key(|(_, failures)| failures.last).map(|(peer, _)| *peer);
        oldest.map(|peer| peers.remove(&peer));
    }
    let failures = peers.entry(peer).or_insert(Failures { count: 0, last: now, until: now });
    if now.saturating_duration_since(failures.last) > FORGET {
        failures.count = 0;
    }
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
    if let Some(over) = failures.count.checked_sub(FREE) {
        failures.until = now + FIRST.saturating_mul(1 << over.min(16)).min(LONGEST);
    }
}

/// Whoever has one address of a /64 has them all.
fn whole(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn fail_often(lockout: &Lockout, peer: Option<IpAddr>, now: Instant) {
        for _ in 0..FREE {
            assert_eq!(lockout.judge(peer, now, None::<()>), Err(Turned::Wrong));
        }
    }

    #[test]
    fn wrong_tokens_lock_their_address_alone_and_for_longer_each_time() {
        let (lockout, mut now) = (Lockout::default(), Instant::now());
        fail_often(&lockout, ip("10.0.0.1"), now);
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, Some(1)), Err(Turned::Locked(FIRST)));
        assert_eq!(lockout.judge(ip("10.0.0.2"), now, Some(1)), Ok(1));
        now += FIRST;
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, Some(1)), Ok(1), "the lock is over");
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, None::<()>), Err(Turned::Wrong));
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, Some(1)), Err(Turned::Locked(2 * FIRST)));
        for _ in 0..40 {
            now += LONGEST;
            assert_eq!(lockout.judge(ip("10.0.0.1"), now, None::<()>), Err(Turned::Wrong));
        }
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, Some(1)), Err(Turned::Locked(LONGEST)));
        now += FORGET + FIRST;
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, None::<()>), Err(Turned::Wrong));
        assert_eq!(lockout.judge(ip("10.0.0.1"), now, Some(1)), Ok(1), "forgotten");
    }

    #[test]
    fn nobody_on_the_machine_can_lock_the_operator_out() {
        let (lockout, now) = (Lockout::default(), Instant::now());
        fail_often(&lockout, ip("127.0.0.1"), now);
        assert_eq!(lockout.judge(ip("127.0.0.1"), now, None::<()>), Err(Turned::Locked(FIRST)));
        assert_eq!(lockout.judge(ip("127.0.0.1"), now, Some(1)), Ok(1));
    }

    #[test]
    fn another_address_of_the_same_network_does_not_help_and_memory_is_bounded() {
        let (lockout, now) = (Lockout::default(), Instant::now());
        fail_often(&lockout, ip("2001:db8::1"), now);
        assert!(matches!(lockout.judge(ip("2001:db8::2"), now, Some(1)), Err(Turned::Locked(_))));
        for n in 0..2 * MAX_PEERS as u32 {
            let peer = Some(IpAddr::from(n.to_be_bytes()));
            let _ = lockout.judge(peer, now + FIRST, None::<()>);
        }
        assert_eq!(lockout.0.lock().unwrap().len(), MAX_PEERS);
    }
}
