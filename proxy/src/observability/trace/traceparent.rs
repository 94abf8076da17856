//! `traceparent` (W3C Trace Context, section 3.2): `00-TRACE-SPAN-FLAGS`, strictly.

use super::{Context, lower_hex, span_id};

/// Bytes of version 00, and the fewest of a later one.
const LENGTH: usize = 55;
const SAMPLED: u128 = 1;
const RANDOM: u128 = 2;

/// What the field's value says; `None` where it is malformed. Of a later version the parts that are
/// known are read, and what comes after them must be set off by a dash.
#[must_use]
pub fn parse(value: &[u8]) -> Option<Context> {
    let (known, more) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|byte| *byte == b'-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    if version.len() != 2 || trace.len() != 32 || flags.len() != 2 || parts.next().is_some() {
        return None;
    }
    match (lower_hex(version)?, more) {
        (0xff, _) | (0, [_, ..]) => return None,
        (_, [first, ..]) if *first != b'-' => return None,
        _ => {}
    }
    let (trace, flags) = (lower_hex(trace)?, lower_hex(flags)?);
    let (sampled, random) = (Some(flags & SAMPLED != 0), flags & RANDOM != 0);
    (trace != 0).then_some(Context { trace, span: span_id(span)?, sampled, random })
}

/// The field's value, in version 00. Flags that this proxy does not know are not passed on.
#[must_use]
pub fn format(context: &Context) -> [u8; LENGTH] {
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let flags = u8::from(context.sampled == Some(true)) | u8::from(context.random) << 1;
    // The places are as long as what is written to them.
    let _ = hex::encode_to_slice(context.trace.to_be_bytes(), &mut value[3..35]);
    let _ = hex::encode_to_slice(context.span.to_be_bytes(), &mut value[36..52]);
    let _ = hex::encode_to_slice([flags], &mut value[53..55]);
    value
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_good_one_is_read() {
        let read = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(read.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((read.span, read.sampled, read.random), (0xb7ad_6b71_6920_3331, Some(true), false));
        assert_eq!(parse(GOOD.replace("-01", "-02").as_bytes()).unwrap().sampled, Some(false));
        assert_eq!(format(&read), GOOD.as_bytes());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for later in ["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", GOOD] {
            assert!(parse(later.as_bytes()).is_some(), "{later}");
        }
        let cc = GOOD.replacen("00", "cc", 1);
        assert!(parse(format!("{cc}-what-the-future-brings").as_bytes()).is_some());
        assert!(parse(format!("{cc}.what").as_bytes()).is_none());
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        let malformed = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-001",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ];
        malformed.into_iter().for_each(|value| assert_eq!(parse(value.as_bytes()), None, "{value}"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&value);
        }

        #[test]
        fn what_is_written_is_read_again(trace in 1u128.., span in 1u64.., sampled: bool, random: bool) {
            let context = Context { trace, span, sampled: Some(sampled), random };
            prop_assert_eq!(parse(&format(&context)), Some(context));
        }

        #[test]
        fn one_changed_byte_is_read_as_another_or_not_at_all(at in 0usize..55, byte: u8) {
            let mut value = GOOD.as_bytes().to_vec();
            value[at] = byte;
            if let Some(read) = parse(&value) {
                let written = format(&read);
                // Version and flags aside, nothing is read that was not written.
                prop_assert_eq!(&written[3..52], &value[3..52]);
            }
        }
    }
}
