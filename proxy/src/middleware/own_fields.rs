//! Fields that endpoints and authorizers believe because nobody but this proxy says them: the mesh's own, and those in
//! which the configuration has it tell who asks. Whatever clients say in them is taken away, in heads and in
//! trailers, and also where `_` stands for `-`: CGI and its heirs read both as the same.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use super::headers;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct OwnFields(Vec<String>);

impl OwnFields {
    /// The mesh's own fields, and these.
    #[must_use]
    pub fn new<'a>(names: impl Iterator<Item = &'a HeaderName>) -> Self {
        Self(names.map(|name| dashed(name).into_owned()).collect())
    }

    /// Takes them away from a head.
    pub fn strip(&self, headers: &mut HeaderMap) {
        take_away(headers, |name| self.are(name));
    }

    /// Takes them away from trailers, with what belongs to a head alone.
    pub fn strip_trailers(&self, trailers: &mut HeaderMap) {
        take_away(trailers, |name| self.are(name) || headers::is_of_a_head(name));
    }

    fn are(&self, name: &str) -> bool {
        headers::is_internal(name) || self.0.iter().any(|own| own == name)
    }
}

/// Takes away the fields of which `is_meant` says so by their name, whichever way it is spelt.
pub fn take_away(headers: &mut HeaderMap, is_meant: impl Fn(&str) -> bool) {
    // Looked at once: nearly always there is none, and nothing is copied.
    while let Some(name) = headers.keys().find(|name| is_meant(&dashed(name))).cloned() {
        headers.remove(name);
    }
}

fn dashed(name: &HeaderName) -> Cow<'_, str> {
    match name.as_str() {
        text if text.contains('_') => text.replace('_', "-").into(),
        text => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn left(strip: impl Fn(&mut HeaderMap)) -> Vec<String> {
        let said = [
            "x-user",
            "x_user",
            "x-lightsout-a",
            "x_lightsout_b",
            "x-users",
            "host",
            "x-forwarded-for",
            "x_real_ip",
            "x-forwarded-client-cert",
            "x-sum",
        ];
        let field = |name| (HeaderName::from_static(name), HeaderValue::from_static("root"));
        let mut map: HeaderMap = said.into_iter().map(field).collect();
        map.append("x-user", HeaderValue::from_static("admin"));
        strip(&mut map);
        let mut left: Vec<String> = map.keys().map(ToString::to_string).collect();
        left.sort_unstable();
        left
    }

    #[test]
    fn what_only_the_proxy_says_is_taken_away_in_either_spelling() {
        for told in ["x-user", "x_user"] {
            let own = OwnFields::new([HeaderName::from_static(told)].iter());
            let head =
                ["host", "x-forwarded-client-cert", "x-forwarded-for", "x-sum", "x-users", "x_real_ip"];
            assert_eq!(left(|map| own.strip(map)), head);
            assert_eq!(left(|map| own.strip_trailers(map)), ["x-sum", "x-users"]);
        }
    }
}
