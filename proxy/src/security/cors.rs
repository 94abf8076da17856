//! Cross-origin requests, by the Fetch standard (section 3.2, "CORS protocol").
//!
//! A preflight is answered here and never reaches an endpoint; it carries no credentials, so it is answered
//! before anyone is asked who they are. What is told of an actual request replaces whatever the endpoint said:
//! there is one policy, and it is this one. An origin that may not read an answer still gets it without a
//! word of permission: the browser keeps it from the page, as it does for servers that know nothing of CORS.

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
/// Header names that a preflight asks for; with more of them it is refused.
const MAX_ASKED: usize = 100;

/// What pages of other origins may do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cors {
    /// Whose pages.
    pub origins: Vec<OriginRule>,
    /// With which methods; those that need no permission (GET, HEAD, POST) need not be named.
    pub methods: Vec<Method>,
    /// With which fields, lower case; the safelisted ones need not be named.
    pub headers: Allowed,
    /// Which fields of the answer they may read.
    pub expose: Option<HeaderValue>,
    /// Whether with cookies and the like.
    pub credentials: bool,
    /// How long a browser may remember a preflight's answer.
    pub max_age: Option<Duration>,
}

/// Which origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginRule {
    /// Any, `null` included; not with credentials.
    Any,
    /// This one, byte for byte: `https://app.example`, or `null`.
    Exactly(HeaderValue),
    /// One or more labels between scheme and this: `https://` and `.example.com`.
    Below {
        /// With `://`.
        scheme: String,
        /// From the dot on, with a port perhaps.
        suffix: String,
    },
}

/// Which fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Those that need no permission.
    #[default]
    None,
    /// All, but never Authorization by a wildcard; not with credentials.
    Any,
    /// These.
    Named(Vec<HeaderName>),
}

/// What a preflight is answered.
#[derive(Debug)]
pub enum Preflight {
    /// It is none.
    No,
    /// Answered, with these fields: permission, or none.
    Answered(HeaderMap),
}

impl Cors {
    /// The answer to `request`, if it is a preflight.
    #[must_use]
    pub fn preflight(&self, request: &Parts) -> Preflight {
        let headers = &request.headers;
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let (Some(origin), Some(method), true) =
            (headers.get(ORIGIN), asked, request.method == Method::OPTIONS)
        else {
            return Preflight::No;
        };
        let mut fields = HeaderMap::new();
        // A cache must not give one origin's answer to another.
        for name in [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
            fields.append(VARY, HeaderValue::from(name));
        }
        // Nobody asked us to open private networks to public pages.
        let asks_for_more = headers.contains_key(PRIVATE_NETWORK);
        let permitted = if asks_for_more { None } else { self.permission(origin) };
        let method = Method::from_bytes(method.as_bytes()).ok().filter(|method| self.takes(method));
        let asked = asked_headers(headers).filter(|asked| asked.iter().all(|name| self.takes_header(name)));
        if let (Some(permission), Some(method), Some(asked)) = (permitted, method, asked) {
            self.grant(permission, &mut fields);
            self.describe(&method, &asked, &mut fields);
        }
        Preflight::Answered(fields)
    }

    /// What the answer to an actual request says beside, and takes the place of what the endpoint says.
    pub fn of_answer(&self, request: &HeaderMap) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if let Some(permission) = request.get(ORIGIN).and_then(|origin| self.permission(origin)) {
            self.grant(permission, &mut fields);
            self.expose
                .iter()
                .for_each(|names| _ = fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone()));
        }
        fields
    }

    /// Whether answers differ by origin, so that caches must be told.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.credentials || !self.origins.contains(&OriginRule::Any)
    }

    /// The value by which `origin` is let read, if it is.
    fn permission(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if !self.origins.iter().any(|rule| rule.takes(origin)) {
            return None;
        }
        Some(if self.varies() { origin.clone() } else { ANY })
    }

    fn grant(&self, permission: HeaderValue, fields: &mut HeaderMap) {
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, permission);
        if self.credentials {
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
    }

    fn describe(&self, method: &Method, asked: &[HeaderName], fields: &mut HeaderMap) {
        let methods = HeaderValue::try_from(method.as_str());
        methods.into_iter().for_each(|value| _ = fields.insert(ACCESS_CONTROL_ALLOW_METHODS, value));
        if !asked.is_empty() {
            // By name, never `*`: which would leave out Authorization, and means nothing with credentials.
            let names: Vec<&str> = asked.iter().map(HeaderName::as_str).collect();
            let names = HeaderValue::try_from(names.join(", "));
            names.into_iter().for_each(|value| _ = fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, value));
        }
        if let Some(age) = self.max_age {
            fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }

    fn takes(&self, method: &Method) -> bool {
        matches!(*method, Method::GET | Method::HEAD | Method::POST) || self.methods.contains(method)
    }

    fn takes_header(&self, name: &HeaderName) -> bool {
        match &self.headers {
            Allowed::Any => name != http::header::AUTHORIZATION,
            Allowed::Named(names) => names.contains(name),
            Allowed::None => false,
        }
    }
}

/// The method of the request that a preflight asks about; `None`: `request` is no preflight.
#[must_use]
pub fn asked_method(request: &Parts) -> Option<Method> {
    let preflight = request.method == Method::OPTIONS && request.headers.contains_key(ORIGIN);
    let asked = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| preflight)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// Takes away what `headers` say of other origins and says `fields` instead; caches are told where answers
/// differ by origin.
pub fn replace(headers: &mut HeaderMap, fields: HeaderMap, varies: bool) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE,
    ] {
        headers.remove(name);
    }
    headers.extend(fields);
    if varies && !says_origin(headers) {
        headers.append(VARY, HeaderValue::from(ORIGIN));
    }
}

fn says_origin(headers: &HeaderMap) -> bool {
    let names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.map(<[u8]>::trim_ascii).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

/// The fields that a preflight asks for; `None` where they are no names, or too many.
fn asked_headers(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let lines = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let names = names.filter(|name| !name.is_empty()).take(MAX_ASKED + 1);
    let names: Vec<HeaderName> = names.map(HeaderName::from_bytes).collect::<Result<_, _>>().ok()?;
    (names.len() <= MAX_ASKED).then_some(names)
}

impl OriginRule {
    /// The rule that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let exactly = || HeaderValue::try_from(text).ok().map(Self::Exactly);
        if text == "null" {
            return exactly();
        }
        let (scheme, host) =
            text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let plain = |host: &str| {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b))
        };
        match host.strip_prefix("*.") {
            Some(below) if plain(below) => {
                Some(Self::Below { scheme: format!("{scheme}://"), suffix: format!(".{below}") })
            }
            None if plain(host) => exactly(),
            _ => None,
        }
    }

    fn takes(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(own) => own == origin,
            Self::Below { scheme, suffix } => {
                let host = origin.to_str().ok().and_then(|text| text.strip_prefix(scheme.as_str()));
                let below = host.and_then(|host| host.strip_suffix(suffix.as_str()));
                // Labels only: `evil.test#.example.com` is no origin, but a careless reader takes it for one.
                let labels =
                    |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
                below.is_some_and(|below| !below.is_empty() && !below.starts_with('.') && labels(below))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors {
            origins: origins.iter().map(|text| OriginRule::parse(text).unwrap()).collect(),
            methods: vec![Method::PUT],
            headers: Allowed::Named(vec!["x-a".parse().unwrap(), "authorization".parse().unwrap()]),
            expose: Some(HeaderValue::from_static("x-total")),
            credentials,
            max_age: Some(Duration::from_secs(600)),
        }
    }

    fn request(method: &str, fields: &[(&'static str, &'static str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri("/a");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn asked(cors: &Cors, origin: &'static str, method: &'static str, headers: &'static str) -> HeaderMap {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", headers),
        ];
        match cors.preflight(&request("OPTIONS", &fields)) {
            Preflight::Answered(fields) => fields,
            Preflight::No => panic!("no preflight"),
        }
    }

    #[test]
    fn a_preflight_is_answered_for_what_it_asks_and_for_nothing_more() {
        let cors = cors(&["https://app.example"], true);
        let granted = asked(&cors, "https://app.example", "PUT", "X-A, authorization");
        assert_eq!(granted[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(granted[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(granted[ACCESS_CONTROL_ALLOW_METHODS], "PUT");
        assert_eq!(granted[ACCESS_CONTROL_ALLOW_HEADERS], "x-a, authorization");
        assert_eq!(granted[ACCESS_CONTROL_MAX_AGE], "600");
        assert_eq!(granted.get_all(VARY).iter().count(), 3);
        for (origin, method, headers) in [
            ("https://evil.example", "PUT", ""),
            ("https://app.example.evil.test", "PUT", ""),
            ("http://app.example", "PUT", ""),
            ("https://app.example:8443", "PUT", ""),
            ("null", "PUT", ""),
            ("https://app.example", "DELETE", ""),
            ("https://app.example", "put", ""),
            ("https://app.example", "PUT", "x-b"),
            ("https://app.example", "PUT", "x a"),
        ] {
            let refused = asked(&cors, origin, method, headers);
            assert!(!refused.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{origin} {method} {headers}");
            assert_eq!(refused.get_all(VARY).iter().count(), 3, "a refusal differs by origin too");
        }
        for no in
            [request("GET", &[("origin", "x")]), request("OPTIONS", &[("origin", "https://app.example")])]
        {
            assert!(matches!(cors.preflight(&no), Preflight::No));
        }
    }

    #[test]
    fn a_wildcard_is_told_as_one_only_without_credentials() {
        let open = Cors { headers: Allowed::Any, ..cors(&["*"], false) };
        let fields = open.of_answer(&request("GET", &[("origin", "https://a.test")]).headers);
        assert_eq!(fields[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!open.varies() && !fields.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(asked(&open, "null", "GET", "x-b")[ACCESS_CONTROL_ALLOW_HEADERS], "x-b");
        let with = asked(&open, "https://a.test", "GET", "authorization");
        assert!(!with.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "a wildcard never stands for Authorization");
        assert!(open.of_answer(&HeaderMap::new()).is_empty(), "who sends no origin is told nothing");
    }

    #[test]
    fn a_wildcard_takes_what_lies_below_and_nothing_that_looks_like_it() {
        let rule = OriginRule::parse("https://*.example.com").unwrap();
        let takes = |origin: &'static str| rule.takes(&HeaderValue::from_static(origin));
        assert!(takes("https://a.example.com") && takes("https://a.b.example.com"));
        for other in [
            "https://example.com",
            "https://evilexample.com",
            "https://.example.com",
            "http://a.example.com",
            "https://a.example.com.evil.test",
            "https://a.example.com:444",
            "https://evil.test#.example.com",
            "https://evil.test/.example.com",
            "https://u@a.example.com",
        ] {
            assert!(!takes(other), "{other}");
        }
        for bad in [
            "example.com",
            "https://",
            "https://a/b",
            "https://*.",
            "https://a.*",
            "ftp://a",
            "https://A.example",
        ] {
            assert_eq!(OriginRule::parse(bad), None, "{bad}");
        }
    }
}
