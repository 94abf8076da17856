//! From a record to a line.

use std::io::Write as _;

use super::template::Part;
use super::{Field, Template, Value, escape};
use crate::observability::record::Record;

const REDACTED: &[u8] = b"[redacted]";

/// How a line is written, and what is kept out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    shape: Shape,
    redacted: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Json(Vec<Field>),
    Text(Template),
}

impl Layout {
    /// An object a line, of these fields in this order.
    #[must_use]
    pub fn json(fields: Vec<Field>, redacted: Vec<Field>) -> Self {
        Self { shape: Shape::Json(fields), redacted }
    }

    /// By a template.
    #[must_use]
    pub fn text(template: Template, redacted: Vec<Field>) -> Self {
        Self { shape: Shape::Text(template), redacted }
    }

    /// Appends the line, with its end.
    pub fn write(&self, record: &Record, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::Json(fields) => {
                out.push(b'{');
                for (n, field) in fields.iter().enumerate() {
                    out.extend_from_slice(if n == 0 { b"\"" } else { b",\"" });
                    out.extend_from_slice(field.name().as_bytes());
                    out.extend_from_slice(b"\":");
                    json(&self.value(*field, record), out);
                }
                out.push(b'}');
            }
            Shape::Text(template) => {
                for part in &template.0 {
                    match part {
                        Part::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
                        Part::Field { field, quoted } => text(&self.value(*field, record), *quoted, out),
                    }
                }
            }
        }
        out.push(b'\n');
    }

    /// Nothing stays nothing: that there was no query is no secret.
    fn value<'a>(&self, field: Field, record: &'a Record) -> Value<'a> {
        match field.of(record) {
            Value::Absent => Value::Absent,
            _ if self.redacted.contains(&field) => Value::Text(REDACTED.into()),
            value => value,
        }
    }
}

fn json(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(bytes) => {
            out.push(b'"');
            escape::json(bytes, out);
            out.push(b'"');
        }
        Value::Absent => out.extend_from_slice(b"null"),
        number => digits(number, out),
    }
}

fn text(value: &Value<'_>, quoted: bool, out: &mut Vec<u8>) {
    match value {
        Value::Text(bytes) if bytes.is_empty() => out.push(b'-'),
        Value::Text(bytes) => escape::text(bytes, quoted, out),
        Value::Absent => out.push(b'-'),
        number => digits(number, out),
    }
}

fn digits(value: &Value<'_>, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = match value {
        Value::Number(number) => write!(out, "{number}"),
        Value::Time(took) => write!(out, "{}.{:03}", took.as_millis(), took.subsec_micros() % 1_000),
        Value::Text(_) | Value::Absent => Ok(()),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderValue, Request};
    use proptest::prelude::*;
    use std::time::Duration;

    fn record(path: &str, host: &[u8], agent: &[u8]) -> Record {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().unwrap_or_default();
        for (name, value) in [("host", host), ("user-agent", agent)] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request.headers_mut().insert(name, value);
            }
        }
        let mut record = Record::of(
            &request.into_parts().0,
            "192.0.2.1".parse().unwrap(),
            &HeaderValue::from_static("id-1"),
        );
        record.took = Duration::from_micros(12_345);
        record.status = Some(200);
        record
    }

    fn line(layout: &Layout, record: &Record) -> String {
        let mut out = Vec::new();
        layout.write(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn all() -> Layout {
        Layout::json(Field::ALL.to_vec(), Vec::new())
    }

    #[test]
    fn a_line_of_json_has_every_field_and_null_where_there_is_nothing() {
        let line = line(&all(), &record("/a?b=c", b"h", b"curl"));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read.as_object().unwrap().len(), Field::ALL.len());
        assert_eq!((&read["path"], &read["query"]), (&"/a".into(), &"b=c".into()));
        assert_eq!((&read["duration_ms"], &read["status"]), (&12.345.into(), &200.into()));
        assert!(read["endpoint"].is_null() && read["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn what_is_redacted_is_not_there() {
        let layout = Layout::json(vec![Field::Path, Field::Query], vec![Field::Query, Field::Route]);
        let line = line(&layout, &record("/a?token=secret", b"h", b"curl"));
        assert_eq!(line, "{\"path\":\"/a\",\"query\":\"[redacted]\"}\n");
    }

    #[test]
    fn a_line_of_text_follows_its_template() {
        let template = Template::parse("{client} \"{user_agent}\" {host} {endpoint} {duration_ms}").unwrap();
        let layout = Layout::text(template, Vec::new());
        let line = line(&layout, &record("/", b"a\tb", b"curl \"x\xe9"));
        assert_eq!(line, "192.0.2.1 \"curl \\x22x\\xe9\" a\\x09b - 12.345\n");
    }

    proptest! {
        #[test]
        fn no_client_can_forge_a_line(
            host in proptest::collection::vec(any::<u8>(), 0..60),
            agent in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let record = record("/", &host, &agent);
            let text = Layout::text(Template::parse(Template::USUAL).unwrap(), Vec::new());
            for layout in [all(), text] {
                let line = line(&layout, &record);
                prop_assert!(line.strip_suffix('\n').unwrap().bytes().all(|b| (0x20..=0x7e).contains(&b)));
            }
            let text = Layout::text(Template::parse("\"{user_agent}\" {host}").unwrap(), Vec::new());
            prop_assert_eq!(line(&text, &record).matches('"').count(), 2);
        }
    }
}
