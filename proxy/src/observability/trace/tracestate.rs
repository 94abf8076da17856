//! `tracestate` (W3C Trace Context, section 3.3): a list of at most 32 members, passed on as it came.

use smallvec::SmallVec;

/// The most members; a list with more is dropped whole.
const MAX_MEMBERS: usize = 32;
/// The most that is passed on, bytes; of a longer list members are left out, as the specification has it.
const MAX_BYTES: usize = 512;
/// Members longer than this go first.
const LONG_BYTES: usize = 128;

type Members<'a> = SmallVec<[&'a [u8]; MAX_MEMBERS]>;

/// All of a request's `tracestate` fields as one; `None` where there is nothing, or anything in them is
/// malformed: a list that cannot be read cannot be kept in order.
#[must_use]
pub fn join<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut members = Members::new();
    for member in fields.into_iter().flat_map(|field| field.split(|byte| *byte == b',')) {
        let member = trimmed(member);
        if member.is_empty() {
            continue;
        }
        let key = key_of(member)?;
        if members.len() == MAX_MEMBERS || members.iter().any(|other| key_of(other) == Some(key)) {
            return None;
        }
        members.push(member);
    }
    shorten(&mut members);
    (!members.is_empty()).then(|| members.join(&b','))
}

/// Leaves members out until the list is short enough: long ones first, then from the end.
fn shorten(members: &mut Members<'_>) {
    if length(members) > MAX_BYTES {
        members.retain(|member| member.len() <= LONG_BYTES);
    }
    while length(members) > MAX_BYTES {
        members.pop();
    }
}

fn length(members: &Members<'_>) -> usize {
    members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
}

fn trimmed(member: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = member.iter().position(|byte| !blank(byte)).unwrap_or(member.len());
    let end = member.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    member.get(start..end).unwrap_or_default()
}

/// The key of a well-formed member.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (member.get(..at)?, member.get(at + 1..)?);
    (is_key(key) && is_value(value)).then_some(key)
}

/// Up to 256 bytes, or a tenant of up to 241 and a system of up to 14 with `@` between.
fn is_key(key: &[u8]) -> bool {
    let word = |part: &[u8], most: usize, digit_first: bool| {
        let first = part.first().is_some_and(|b| b.is_ascii_lowercase() || digit_first && b.is_ascii_digit());
        first && part.len() <= most && part.iter().all(|b| is_key_byte(*b))
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => word(key, 256, true),
        Some(at) => {
            let (tenant, system) = (key.get(..at), key.get(at + 1..));
            tenant.is_some_and(|part| word(part, 241, true))
                && system.is_some_and(|part| word(part, 14, false))
        }
    }
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/')
}

/// 1 to 256 printable bytes without comma and equals sign, not ending in a blank.
fn is_value(value: &[u8]) -> bool {
    let printable = |byte: &u8| (0x20..=0x7e).contains(byte) && *byte != b',' && *byte != b'=';
    (1..=256).contains(&value.len()) && value.iter().all(printable) && value.last() != Some(&b' ')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(fields: &[&str]) -> Option<String> {
        join(fields.iter().map(|f| f.as_bytes())).map(|v| String::from_utf8(v).unwrap())
    }

    #[test]
    fn fields_are_joined_in_their_order_and_empty_members_left_out() {
        assert_eq!(joined(&["foo=1 , bar=2", ",\t,", "a@b=x y"]).as_deref(), Some("foo=1,bar=2,a@b=x y"));
        assert_eq!(joined(&["foo=  1"]).as_deref(), Some("foo=  1"));
        assert_eq!(joined(&[""]), None);
    }

    #[test]
    fn anything_malformed_drops_the_whole_list() {
        let long_key = format!("{}=1", "k".repeat(257));
        let long_value = format!("k={}", "v".repeat(257));
        let malformed = [
            "foo",
            "foo=",
            "=1",
            "FOO=1",
            "foo.bar=1",
            "foo@=1",
            "@foo=1",
            "foo@@bar=1",
            "foo@bar@baz=1",
            "foo=1,foo=2",
            "foo=a=b",
            "foo=\u{e9}",
            "foo=\u{1}",
            "foo bar=1",
            "_a=1",
            "a@1b=1",
            &long_key,
            &long_value,
        ];
        for member in malformed {
            assert_eq!(joined(&["good=1", member]), None, "{member}");
        }
    }

    #[test]
    fn thirty_two_members_pass_and_thirty_three_do_not() {
        let members = |n: usize| (0..n).map(|i| format!("k{i}=1")).collect::<Vec<_>>().join(",");
        assert!(joined(&[&members(32)]).is_some());
        assert_eq!(joined(&[&members(33)]), None);
    }

    #[test]
    fn a_list_that_is_too_long_loses_its_long_members_first_and_then_its_last() {
        let (long, short) = (format!("long={}", "x".repeat(200)), "y".repeat(100));
        let list = format!("a={short},{long},b={short},c={short},d={short},e={short}");
        let kept = joined(&[&list]).unwrap();
        assert!(kept.len() <= MAX_BYTES && !kept.contains("long"));
        assert!(kept.starts_with("a=") && kept.contains("d=") && !kept.contains("e="), "{kept}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_passes_is_bounded_and_passes_again(
            fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6)
        ) {
            check(join(fields.iter().map(Vec::as_slice)))?;
        }

        #[test]
        fn what_looks_like_a_list_is_bounded_too(list in "([a-z0-9@*/_-]{0,20}=[ -~]{0,150} ?,){0,40}") {
            check(join([list.as_bytes()]))?;
        }
    }

    fn check(passed: Option<Vec<u8>>) -> Result<(), TestCaseError> {
        if let Some(list) = passed {
            prop_assert!(list.len() <= MAX_BYTES);
            prop_assert!(list.iter().all(|b| (0x20..=0x7e).contains(b)));
            prop_assert_eq!(join([list.as_slice()]), Some(list));
        }
        Ok(())
    }
}
