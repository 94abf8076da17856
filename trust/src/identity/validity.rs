//! Until when certificates hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// From when, and until when a certificate holds; seconds of Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub from: i64,
    /// `notAfter`.
    pub until: i64,
}

/// How a certificate stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does not hold yet.
    Early,
    /// It holds.
    Good,
    /// Less than a fifth of its time is left: whoever renews it should have done so.
    Due,
    /// It holds no more.
    Expired,
}

impl Validity {
    /// Of a certificate; `None` where it cannot be read.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(certificate).ok()?;
        let validity = read.validity();
        Some(Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
    }

    /// Of the one of several that holds longest.
    #[must_use]
    pub fn longest(certificates: &[CertificateDer<'_>]) -> Option<Self> {
        certificates.iter().filter_map(Self::of).max_by_key(|validity| validity.until)
    }

    /// At `now`, seconds of Unix time.
    #[must_use]
    pub fn standing(self, now: i64) -> Standing {
        let whole = self.until.saturating_sub(self.from);
        match self.until.saturating_sub(now) {
            ..0 => Standing::Expired,
            _ if now < self.from => Standing::Early,
            left if left < whole / 5 => Standing::Due,
            _ => Standing::Good,
        }
    }
}

/// Seconds of Unix time.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_in_its_last_fifth() {
        let validity = Validity { from: 1_000, until: 2_000 };
        let standing = |now| validity.standing(now);
        assert_eq!(standing(999), Standing::Early);
        assert_eq!(standing(1_000), Standing::Good);
        assert_eq!((standing(1_800), standing(1_801)), (Standing::Good, Standing::Due));
        assert_eq!((standing(2_000), standing(2_001)), (Standing::Due, Standing::Expired));
    }
}
