//! The document as a tree of values that remembers where every key and value stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::pointer_step;
use super::report::Problem;

/// Values, and the place (line, column, both from 1) of each by JSON pointer.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) value: Value,
    places: BTreeMap<String, (u64, u64)>,
}

impl Tree {
    /// Parses within the parser's own budgets (depth, aliases, events), so that no document
    /// grows without bound; a key given twice is an error.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        // An empty document is an empty map: every key has a default or is reported as missing.
        let root: Option<Node> = serde_saphyr::from_str(text).map_err(|why| syntax_problem(&why))?;
        let mut places = BTreeMap::new();
        let value = match root {
            Some(node) => node.into_value("", &mut places),
            None => Value::Object(Map::new()),
        };
        let value = if value.is_null() { Value::Object(Map::new()) } else { value };
        Ok(Self { value, places })
    }

    /// Where `pointer` stands, or the nearest thing around it.
    pub(super) fn place_of(&self, pointer: &str) -> (u64, u64) {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return (1, 1),
            }
        }
    }
}

fn syntax_problem(why: &serde_saphyr::Error) -> Problem {
    let (line, column) = why.location().map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
    let message = why.without_snippet().to_string();
    Problem::at(
        line,
        column,
        "",
        format!("not valid YAML: {}", message.lines().next().unwrap_or("unreadable")),
    )
}

/// A value as the YAML core schema reads it.
enum Node {
    Scalar(Value),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    fn into_value(self, pointer: &str, places: &mut BTreeMap<String, (u64, u64)>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::Sequence(items) => {
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let pointer = format!("{pointer}/{index}");
                    places.insert(pointer.clone(), place(&item));
                    values.push(item.value.into_value(&pointer, places));
                }
                Value::Array(values)
            }
            Self::Mapping(entries) => {
                let mut map = Map::new();
                for (key, item) in entries {
                    let pointer = format!("{pointer}{}", pointer_step(&key.value));
                    places.insert(pointer.clone(), place(&key));
                    map.insert(key.value, item.value.into_value(&pointer, places));
                }
                Value::Object(map)
            }
        }
    }
}

fn place<T>(spanned: &Spanned<T>) -> (u64, u64) {
    (spanned.referenced.line().max(1), spanned.referenced.column().max(1))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E: Error>(self, v: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(v)))
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(v)))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(v)))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Node, E> {
        let number = Number::from_f64(v).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Node::Scalar(Value::Number(number)))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(v)))
    }
    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        Node::deserialize(from)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}
