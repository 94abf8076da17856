//! Zipkin's B3 propagation: one field `b3`, or several `x-b3-…`
//! (<https://github.com/openzipkin/b3-propagation>), strictly: lower-case digits of the right number.

use super::{Context, lower_hex, span_id};

/// What B3 fields say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A place in a trace.
    Context(Context),
    /// Only whether to record; the trace begins here.
    Decision(bool),
}

/// The values of the separate fields, where they are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// `x-b3-traceid`.
    pub trace: Option<&'a [u8]>,
    /// `x-b3-spanid`.
    pub span: Option<&'a [u8]>,
    /// `x-b3-parentspanid`; must be well-formed, and is not used.
    pub parent: Option<&'a [u8]>,
    /// `x-b3-sampled`.
    pub sampled: Option<&'a [u8]>,
    /// `x-b3-flags`: `1` is debug, which is recorded.
    pub flags: Option<&'a [u8]>,
}

/// The field `b3`: `TRACE-SPAN`, `TRACE-SPAN-STATE`, `TRACE-SPAN-STATE-PARENT` or `STATE` alone.
#[must_use]
pub fn parse_single(value: &[u8]) -> Option<Said> {
    let mut parts = value.split(|byte| *byte == b'-');
    let (first, span) = (parts.next()?, parts.next());
    let (state, parent) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let Some(span) = span else { return decision(first).map(Said::Decision) };
    // A state that is there must be one.
    let sampled = state.map_or(Some(None), |state| decision(state).map(Some))?;
    context(first, span, parent, sampled)
}

/// The separate fields.
#[must_use]
pub fn parse_multi(fields: &Fields<'_>) -> Option<Said> {
    let debug = match fields.flags {
        None | Some(b"0") => false,
        Some(b"1") => true,
        Some(_) => return None,
    };
    let sampled = match fields.sampled {
        None => None,
        Some(b"true") => Some(true),
        Some(b"false") => Some(false),
        Some(b"d") => return None,
        Some(state) => Some(decision(state)?),
    };
    let sampled = if debug { Some(true) } else { sampled };
    match (fields.trace, fields.span) {
        (Some(trace), Some(span)) => context(trace, span, fields.parent, sampled),
        (None, None) => sampled.map(Said::Decision),
        _ => None,
    }
}

/// The field `b3` for an endpoint.
#[must_use]
pub fn format_single(context: &Context) -> String {
    let state = if context.sampled == Some(true) { 1 } else { 0 };
    format!("{:032x}-{:016x}-{state}", context.trace, context.span)
}

fn decision(state: &[u8]) -> Option<bool> {
    match state {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

fn context(trace: &[u8], span: &[u8], parent: Option<&[u8]>, sampled: Option<bool>) -> Option<Said> {
    if parent.is_some_and(|parent| span_id(parent).is_none()) || !matches!(trace.len(), 16 | 32) {
        return None;
    }
    let trace = lower_hex(trace).filter(|trace| *trace != 0)?;
    Some(Said::Context(Context { trace, span: span_id(span)?, sampled, random: false }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn context(sampled: Option<bool>) -> Option<Said> {
        let (trace, span) = (0x80f1_98ee_5634_3ba8_64fe_8b2a_57d3_eff7, 0xe457_b5a2_e4d8_6bd1);
        Some(Said::Context(Context { trace, span, sampled, random: false }))
    }

    #[test]
    fn the_single_field_is_read_in_all_its_forms() {
        let said = |value: String| parse_single(value.as_bytes());
        assert_eq!(said(format!("{TRACE}-{SPAN}")), context(None));
        assert_eq!(said(format!("{TRACE}-{SPAN}-1")), context(Some(true)));
        assert_eq!(said(format!("{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90")), context(Some(true)));
        assert_eq!(said(format!("{TRACE}-{SPAN}-0")), context(Some(false)));
        assert_eq!(said("0".into()), Some(Said::Decision(false)));
        let short = said(format!("{}-{SPAN}-1", &TRACE[16..]));
        assert!(matches!(short, Some(Said::Context(c)) if c.trace == 0x64fe_8b2a_57d3_eff7), "{short:?}");
    }

    #[test]
    fn a_malformed_single_field_is_nothing() {
        let zeros = "0".repeat(32);
        for value in [
            "",
            "2",
            "-",
            "1-1",
            &TRACE.to_uppercase(),
            &format!("{TRACE}-"),
            &format!("{TRACE}-{SPAN}-"),
            &format!("{TRACE}-{SPAN}-2"),
            &format!("{TRACE}-{SPAN}-1-1"),
            &format!("{TRACE}-{SPAN}-1-{SPAN}-"),
            &format!("{zeros}-{SPAN}-1"),
            &format!("{TRACE}-{}-1", &zeros[..16]),
            &format!("{TRACE}0-{SPAN}"),
            &format!("{}-{SPAN}-1", TRACE.to_uppercase()),
        ] {
            assert_eq!(parse_single(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn the_separate_fields_are_read_together_or_not_at_all() {
        let some = |text: &'static str| Some(text.as_bytes());
        let both = Fields { trace: some(TRACE), span: some(SPAN), ..Fields::default() };
        assert_eq!(parse_multi(&both), context(None));
        assert_eq!(parse_multi(&Fields { sampled: some("1"), ..both }), context(Some(true)));
        assert_eq!(parse_multi(&Fields { sampled: some("false"), ..both }), context(Some(false)));
        assert_eq!(parse_multi(&Fields { flags: some("1"), ..both }), context(Some(true)));
        for wrong in [
            Fields { span: None, ..both },
            Fields { trace: None, ..both },
            Fields { sampled: some("yes"), ..both },
            Fields { flags: some("2"), ..both },
            Fields { parent: some("xyz"), ..both },
        ] {
            assert_eq!(parse_multi(&wrong), None, "{wrong:?}");
        }
        let only = Fields { sampled: some("0"), ..Fields::default() };
        assert_eq!(parse_multi(&only), Some(Said::Decision(false)));
        assert_eq!(parse_multi(&Fields::default()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_single(&value);
            let part = Some(value.as_slice());
            let _ = parse_multi(&Fields { trace: part, span: part, parent: part, sampled: part, flags: part });
        }

        #[test]
        fn what_is_written_is_read_again(trace in 1u128.., span in 1u64.., sampled: bool) {
            let context = Context { trace, span, sampled: Some(sampled), random: false };
            prop_assert_eq!(parse_single(format_single(&context).as_bytes()), Some(Said::Context(context)));
        }
    }
}
