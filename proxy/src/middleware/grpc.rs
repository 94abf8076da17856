//! What gRPC says in the fields of HTTP/2 messages (gRPC over HTTP2, "PROTOCOL-HTTP2.md").

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// How long the caller will wait, from when it asked.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const KIND: &[u8] = b"application/grpc";
/// More digits are no timeout.
const MAX_DIGITS: usize = 8;

/// Whether a message is one of gRPC: its kind is `application/grpc`, alone or with `+FORMAT` or `;PARAMETERS`
/// (Envoy's rule). `application/grpc-web` is another protocol.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return false };
    let Some((start, rest)) = kind.split_at_checked(KIND.len()) else { return false };
    start.eq_ignore_ascii_case(KIND) && matches!(rest.first(), None | Some(b'+' | b';'))
}

/// How long the caller will wait, if it says so once and well-formed: at most eight digits and a unit.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let mut said = headers.get_all(GRPC_TIMEOUT).iter();
    let (text, None) = (said.next()?.to_str().ok()?, said.next()) else { return None };
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Says again what the caller said of its time, without what was `spent` of it here.
pub fn spend(headers: &mut HeaderMap, spent: Duration) {
    if let Some(said) = timeout(headers) {
        set_timeout(headers, said.saturating_sub(spent));
    }
}

/// When a call must be answered: after `most`, or sooner where its caller says so.
#[must_use]
pub fn deadline(headers: &HeaderMap, most: Duration) -> Duration {
    timeout(headers).map_or(most, |said| said.min(most))
}

/// Says what is left of the time, in the finest unit that eight digits hold.
pub fn set_timeout(headers: &mut HeaderMap, left: Duration) {
    let most = 10u128.pow(MAX_DIGITS as u32);
    let units = [(1, 'n'), (1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S'), (60_000_000_000, 'M')];
    let fits = |(nanos, _): &&(u128, char)| left.as_nanos() / nanos < most;
    let (nanos, unit) = units.iter().find(fits).copied().unwrap_or((3_600_000_000_000, 'H'));
    let text = format!("{}{unit}", (left.as_nanos() / nanos).min(most - 1));
    HeaderValue::try_from(text).into_iter().for_each(|value| drop(headers.insert(GRPC_TIMEOUT, value)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn saying(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_grpc_itself_is_grpc() {
        let is = |kind| is_grpc(&saying(CONTENT_TYPE, &[kind]));
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/gRPC; x=1"));
        assert!(
            !is("application/grpc-web") && !is("application/grpcx") && !is("application/json") && !is("")
        );
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_timeout_is_eight_digits_at_most_and_a_unit() {
        let of = |text: &str| timeout(&saying(GRPC_TIMEOUT, &[text]));
        assert_eq!(of("250m"), Some(Duration::from_millis(250)));
        assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        assert_eq!((of("3u"), of("0n")), (Some(Duration::from_micros(3)), Some(Duration::ZERO)));
        for wrong in ["", "m", "250", "100000000m", "-1m", "+1m", "1 m", "1s", "1.5S"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(timeout(&saying(GRPC_TIMEOUT, &["1S", "2S"])), None);
    }

    proptest! {
        #[test]
        fn what_is_left_is_said_so_that_it_is_read_again(nanos in 0u64..u64::MAX) {
            let (left, mut headers) = (Duration::from_nanos(nanos), HeaderMap::new());
            set_timeout(&mut headers, left);
            let read = timeout(&headers).unwrap();
            prop_assert!(read <= left, "never more than is left");
            // Just past eight digits the next unit has six: one in a hundred thousand is lost.
            prop_assert!(left - read <= left / 100_000 + Duration::from_nanos(1), "{left:?} {read:?}");
        }
    }
}
