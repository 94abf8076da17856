//! From a request to a route, over an index: the answer of a linear scan over [`precedence::rules`], at
//! a cost that does not grow with the number of hosts and paths.
//!
//! Hosts are found by name, wildcards by suffix, exact paths by hash, prefixes by hash at each length
//! that some route has. What is left to scan are rules with the same host and path, and regular
//! expressions under one host.

use std::borrow::Cow;
use std::collections::HashMap;

use http::request::Parts;

use super::matching::{rest_matches, without_root};
use super::precedence::{Rule, rules};
use crate::middleware::validity::{host_of, without_port};
use crate::settings::{Match, PathMatch, Route};

/// Configuration's keys, a client's questions: the hash need not be secret, for clients add nothing.
type Map<V> = HashMap<Box<str>, V, ahash::RandomState>;

/// See the module. One worker's own.
#[derive(Debug, Default)]
pub struct Router {
    exact: Map<Paths>,
    /// By what follows the star: `.example.com`.
    wildcards: Map<Paths>,
    longest_wildcard: usize,
    /// By the first label.
    labels: Map<Paths>,
    any: Paths,
}

/// A route that takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its place in the file.
    pub route: usize,
    /// How many bytes of the path its prefix matched; 0 where it matched otherwise.
    pub prefix: usize,
}

/// The rules of one host.
#[derive(Debug, Default)]
struct Paths {
    exact: Map<Vec<Entry>>,
    regexes: Vec<Entry>,
    /// Without the slash at their end.
    prefixes: Map<Vec<Entry>>,
    /// Of the prefixes, longest first, each once.
    lengths: Vec<usize>,
}

/// One rule, but for its host.
#[derive(Debug)]
struct Entry {
    matching: Match,
    route: usize,
}

impl Router {
    /// Indexes `routes`; what it finds is a place among them.
    #[must_use]
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Self {
        let mut router = Self::default();
        rules(routes).into_iter().for_each(|rule| router.add(rule));
        router
    }

    fn add(&mut self, rule: Rule) {
        let paths = match rule.host.as_deref() {
            None => &mut self.any,
            Some(host) => match (host.strip_prefix('*'), host.strip_suffix(".*")) {
                (Some(suffix), _) => {
                    self.longest_wildcard = self.longest_wildcard.max(suffix.len());
                    self.wildcards.entry(suffix.into()).or_default()
                }
                (None, Some(label)) => self.labels.entry(label.into()).or_default(),
                (None, None) => self.exact.entry(host.into()).or_default(),
            },
        };
        paths.add(Entry { matching: rule.matching, route: rule.route });
    }

    /// The most specific route that takes the request.
    #[must_use]
    pub fn find(&self, request: &Parts) -> Option<Found> {
        let named = !(self.exact.is_empty() && self.wildcards.is_empty() && self.labels.is_empty());
        let of_host = if named { self.by_host(request) } else { None };
        of_host.or_else(|| self.any.find(request))
    }

    fn by_host(&self, request: &Parts) -> Option<Found> {
        let host = lower_case(without_root(without_port(host_of(request))));
        let exact = self.exact.get(&*host).and_then(|paths| paths.find(request));
        exact.or_else(|| self.by_label(&host, request)).or_else(|| self.by_suffix(&host, request))
    }

    fn by_label(&self, host: &str, request: &Parts) -> Option<Found> {
        let first = host.split('.').next().filter(|_| !self.labels.is_empty())?;
        self.labels.get(first)?.find(request)
    }

    /// Longest suffix first: the host's dots from the left, but for those too far from its end.
    fn by_suffix(&self, host: &str, request: &Parts) -> Option<Found> {
        if self.wildcards.is_empty() {
            return None;
        }
        let from = host.len().saturating_sub(self.longest_wildcard).max(1);
        let dots = memchr::memchr_iter(b'.', host.as_bytes().get(from..)?);
        let suffixes = dots.filter_map(|dot| host.get(from + dot..));
        suffixes.filter_map(|suffix| self.wildcards.get(suffix)).find_map(|paths| paths.find(request))
    }
}

impl Paths {
    fn add(&mut self, entry: Entry) {
        match &entry.matching.path {
            PathMatch::Exact(path) => self.exact.entry(path.as_str().into()).or_default().push(entry),
            PathMatch::Regex(_) => self.regexes.push(entry),
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                // Rules come sorted, so that lengths do.
                if self.lengths.last() != Some(&prefix.len()) {
                    self.lengths.push(prefix.len());
                }
                self.prefixes.entry(prefix.into()).or_default().push(entry);
            }
        }
    }

    fn find(&self, request: &Parts) -> Option<Found> {
        let path = request.uri.path();
        let exact = || if self.exact.is_empty() { None } else { first(self.exact.get(path)?, request) };
        let regex = || {
            let takes = |entry: &&Entry| match &entry.matching.path {
                PathMatch::Regex(pattern) => pattern.takes(path.as_bytes()),
                _ => false,
            };
            self.regexes.iter().filter(takes).find(|e| rest_matches(&e.matching, request)).map(|e| e.route)
        };
        let whole = exact().or_else(regex).map(|route| Found { route, prefix: 0 });
        whole.or_else(|| self.by_prefix(path, request))
    }

    fn by_prefix(&self, path: &str, request: &Parts) -> Option<Found> {
        let ends_element = |length: &&usize| {
            **length == 0 || matches!(path.as_bytes().get(**length), Some(b'/')) || path.len() == **length
        };
        let prefixes = self.lengths.iter().filter(ends_element).filter_map(|length| path.get(..*length));
        let mut rules = prefixes.filter_map(|prefix| Some((prefix.len(), self.prefixes.get(prefix)?)));
        rules.find_map(|(prefix, entries)| Some(Found { route: first(entries, request)?, prefix }))
    }
}

fn first(entries: &[Entry], request: &Parts) -> Option<usize> {
    entries.iter().find(|entry| rest_matches(&entry.matching, request)).map(|entry| entry.route)
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
