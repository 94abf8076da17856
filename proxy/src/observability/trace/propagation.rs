//! From a request's header fields to a place in a trace, and back.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::b3::{self, Said};
use super::{Context, traceparent, tracestate};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// How a place in a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`.
    B3,
    /// `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`.
    B3Multi,
}

/// What a request says of its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its place in one.
    Context(Context),
    /// Only whether to record.
    Decision(bool),
    /// Nothing, or nothing well-formed.
    Nothing,
}

/// The first of `formats` in which the request says something well-formed.
#[must_use]
pub fn extract(headers: &HeaderMap, formats: &[Format]) -> Found {
    let found = formats.iter().find_map(|format| match format {
        Format::W3c => only(headers, &TRACEPARENT).and_then(traceparent::parse).map(Found::Context),
        Format::B3 => only(headers, &B3).and_then(b3::parse_single).map(found),
        Format::B3Multi => fields(headers).as_ref().and_then(b3::parse_multi).map(found),
    });
    found.unwrap_or(Found::Nothing)
}

fn found(said: Said) -> Found {
    match said {
        Said::Context(context) => Found::Context(context),
        Said::Decision(sampled) => Found::Decision(sampled),
    }
}

/// Says `context` in each of `formats`, instead of whatever stood in their fields. `continued`: the trace
/// is the caller's, whose `tracestate` then goes on with it.
pub fn inject(headers: &mut HeaderMap, formats: &[Format], context: &Context, continued: bool) {
    for format in formats {
        match format {
            Format::W3c => inject_w3c(headers, context, continued),
            Format::B3 => {
                // Hexadecimal digits and dashes make a value.
                if let Ok(value) = HeaderValue::try_from(b3::format_single(context)) {
                    headers.insert(B3, value);
                }
            }
            Format::B3Multi => inject_multi(headers, context),
        }
    }
}

fn inject_w3c(headers: &mut HeaderMap, context: &Context, continued: bool) {
    if headers.contains_key(TRACESTATE) {
        let kept = continued.then(|| headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes));
        let state = kept.and_then(tracestate::join).and_then(|list| HeaderValue::try_from(list).ok());
        match state {
            Some(state) => drop(headers.insert(TRACESTATE, state)),
            None => drop(headers.remove(TRACESTATE)),
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(&traceparent::format(context)) {
        headers.insert(TRACEPARENT, value);
    }
}

fn inject_multi(headers: &mut HeaderMap, context: &Context) {
    headers.remove(B3_PARENT);
    headers.remove(B3_FLAGS);
    let sampled = if context.sampled == Some(true) { "1" } else { "0" };
    headers.insert(B3_SAMPLED, HeaderValue::from_static(sampled));
    let ids = [(B3_TRACE, format!("{:032x}", context.trace)), (B3_SPAN, format!("{:016x}", context.span))];
    for (name, id) in ids {
        if let Ok(value) = HeaderValue::try_from(id) {
            headers.insert(name, value);
        }
    }
}

/// The field's value, where it is there once: of two, neither can be told to be the caller's.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

/// The separate fields; `None` where one is there twice.
fn fields(headers: &HeaderMap) -> Option<b3::Fields<'_>> {
    let once = |name: HeaderName| match headers.contains_key(&name) {
        false => Some(None),
        true => only(headers, &name).map(Some),
    };
    Some(b3::Fields {
        trace: once(B3_TRACE)?,
        span: once(B3_SPAN)?,
        parent: once(B3_PARENT)?,
        sampled: once(B3_SAMPLED)?,
        flags: once(B3_FLAGS)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const ALL: [Format; 3] = [Format::W3c, Format::B3, Format::B3Multi];

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn two_traceparents_are_none() {
        let twice = headers(&[("traceparent", GOOD), ("traceparent", GOOD)]);
        assert_eq!(extract(&twice, &ALL), Found::Nothing);
        assert!(matches!(extract(&headers(&[("traceparent", GOOD)]), &ALL), Found::Context(_)));
        assert_eq!(extract(&headers(&[("traceparent", GOOD)]), &[Format::B3]), Found::Nothing);
    }

    #[test]
    fn the_first_format_that_is_well_formed_wins() {
        let b3 = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0";
        let both = headers(&[("traceparent", "garbage"), ("b3", b3)]);
        assert!(matches!(extract(&both, &ALL), Found::Context(c) if c.sampled == Some(false)));
        assert_eq!(extract(&headers(&[("b3", "1")]), &ALL), Found::Decision(true));
        let multi = headers(&[("x-b3-traceid", "64fe8b2a57d3eff7"), ("x-b3-spanid", "e457b5a2e4d86bd1")]);
        assert!(matches!(extract(&multi, &ALL), Found::Context(c) if c.sampled.is_none()));
    }

    #[test]
    fn what_is_said_on_replaces_what_was_said_and_is_understood() {
        let context = Context { trace: 7, span: 9, sampled: Some(true), random: false };
        for format in ALL {
            let mut map = headers(&[
                ("traceparent", "junk"),
                ("traceparent", GOOD),
                ("tracestate", "a=1"),
                ("b3", "junk"),
                ("x-b3-flags", "1"),
                ("x-b3-parentspanid", "x"),
            ]);
            inject(&mut map, &[format], &context, false);
            assert_eq!(extract(&map, &[format]), Found::Context(context), "{format:?}");
            assert_eq!(map.contains_key("tracestate"), format != Format::W3c);
        }
    }

    #[test]
    fn a_trace_that_goes_on_keeps_its_state_unless_that_is_malformed() {
        let context = Context { trace: 7, span: 9, sampled: Some(true), random: false };
        let mut map = headers(&[("tracestate", "a=1"), ("tracestate", " b=2")]);
        inject(&mut map, &ALL, &context, true);
        assert_eq!(map.get_all("tracestate").iter().collect::<Vec<_>>(), ["a=1,b=2"]);
        map.insert("tracestate", HeaderValue::from_static("A=1"));
        inject(&mut map, &ALL, &context, true);
        assert!(!map.contains_key("tracestate"));
    }
}
