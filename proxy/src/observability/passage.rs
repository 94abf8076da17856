//! How a request's trace goes on: which one it belongs to, and what is said of it to endpoints.

use std::sync::Arc;

use http::HeaderMap;

use super::record::ServerSpan;
use super::trace::propagation::Found;
use super::trace::{Context, Ids, extract, inject};
use crate::settings::Tracing;

/// See the module.
#[derive(Debug)]
pub(crate) struct Passage {
    tracing: Arc<Tracing>,
    /// The proxy's own place.
    context: Context,
    /// The caller's span, where the trace is the caller's.
    parent: Option<u64>,
    /// Whether spans of it are sent.
    exports: bool,
}

impl Passage {
    /// Reads the caller's fields. What is malformed is as if it were not there.
    ///
    /// A trace that goes on without spans of this proxy names the caller's span to the endpoint, so that
    /// the tree has no hole.
    pub(super) fn of(headers: &HeaderMap, tracing: &Arc<Tracing>, exports: bool, ids: &Ids) -> Self {
        let begin = |decision: Option<bool>| {
            let trace = ids.trace();
            let sampled = decision.unwrap_or_else(|| tracing.sample.takes_trace(trace));
            Context { trace, span: ids.span(), sampled: Some(sampled), random: true }
        };
        let (mut context, parent) = match extract(headers, &tracing.formats) {
            Found::Context(context) => (context, Some(context.span)),
            Found::Decision(sampled) => (begin(Some(sampled)), None),
            Found::Nothing => (begin(None), None),
        };
        let sampled = context.sampled.unwrap_or_else(|| tracing.sample.takes_trace(context.trace));
        context.sampled = Some(sampled);
        let exports = exports && sampled;
        if exports && parent.is_some() {
            context.span = ids.span();
        }
        Self { tracing: Arc::clone(tracing), context, parent, exports }
    }

    /// The proxy's span.
    pub(super) fn span(&self) -> ServerSpan {
        let Context { trace, span, .. } = self.context;
        ServerSpan { trace, span, parent: self.parent, sampled: self.exports }
    }

    /// Says the trace to an endpoint; answers the attempt's own span, 0 where none is made.
    pub(crate) fn go_on(&self, headers: &mut HeaderMap, ids: &Ids) -> u64 {
        let own = if self.exports { ids.span() } else { 0 };
        let span = if own == 0 { self.context.span } else { own };
        inject(headers, &self.tracing.formats, &Context { span, ..self.context }, self.parent.is_some());
        own
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::observability::trace::{Format, Ratio};
    use http::HeaderValue;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn passed(value: &'static str, sample: f64, exports: bool) -> (Passage, HeaderMap, u64) {
        let tracing = Tracing { export: None, sample: Ratio::new(sample), formats: vec![Format::W3c] };
        let mut headers =
            HeaderMap::from_iter([("traceparent".parse().unwrap(), HeaderValue::from_static(value))]);
        let ids = Ids::default();
        let passage = Passage::of(&headers, &Arc::new(tracing), exports, &ids);
        let own = passage.go_on(&mut headers, &ids);
        (passage, headers, own)
    }

    fn said(headers: &HeaderMap) -> Context {
        match extract(headers, &[Format::W3c]) {
            Found::Context(context) => context,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_callers_trace_goes_on_with_this_proxys_spans_between() {
        let (passage, headers, own) = passed(CALLER, 0.0, true);
        let span = passage.span();
        assert_eq!(
            (span.trace, span.parent),
            (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, Some(0xb7ad_6b71_6920_3331))
        );
        assert_eq!((said(&headers).span, said(&headers).sampled), (own, Some(true)));
        assert!(own != span.span && Some(own) != span.parent && span.sampled);
    }

    #[test]
    fn a_proxy_that_sends_no_spans_leaves_no_hole_in_the_tree() {
        let (passage, headers, own) = passed(CALLER, 1.0, false);
        assert_eq!((own, headers["traceparent"].to_str().unwrap()), (0, CALLER));
        assert!(!passage.span().sampled);
    }

    #[test]
    fn a_caller_that_does_not_record_is_not_recorded() {
        let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let (passage, headers, _) = passed(caller, 1.0, true);
        assert!(!passage.span().sampled);
        assert_eq!(headers["traceparent"].to_str().unwrap(), caller);
    }

    #[test]
    fn a_malformed_trace_is_dropped_and_a_new_one_begun() {
        let (passage, headers, own) = passed("00-nonsense-01", 1.0, true);
        assert_eq!((passage.span().parent, said(&headers).span), (None, own));
        assert_eq!(said(&headers).sampled, Some(true));
        assert_eq!(said(&passed("", 0.0, true).1).sampled, Some(false));
    }
}
