//! Documents that people write: YAML read strictly, every mistake reported with its place.
//!
//! A document goes through three gates, and each reports all it finds: it is YAML ([`Document::parse`]),
//! it has the shape of its type ([`Document::read`]: unknown keys, wrong types, missing keys), and its
//! values are possible (the caller's own checks, placed with [`Document::report`]).

mod report;
mod shape;
mod tree;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use report::{Problem, Report};
use tree::Tree;

/// The largest document that is read.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// A parsed document: its values, and where each stands in the text.
#[derive(Debug)]
pub struct Document {
    name: String,
    text: String,
    tree: Tree,
}

impl Document {
    /// Reads `text` as one YAML document; `name` is what reports call it (a path).
    ///
    /// # Errors
    /// A [`Report`] with the first syntax error, or the size when it is over [`MAX_DOCUMENT_BYTES`].
    pub fn parse(name: &str, text: &str) -> Result<Self, Report> {
        if text.len() > MAX_DOCUMENT_BYTES {
            let message =
                format!("a document has at most {MAX_DOCUMENT_BYTES} bytes, this one has {}", text.len());
            return Err(Report::new(name, "", vec![Problem::at(1, 1, "", message)]));
        }
        let tree = Tree::parse(text).map_err(|problem| Report::new(name, text, vec![problem]))?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), tree })
    }

    /// The document as a `T`, if it has that shape.
    ///
    /// # Errors
    /// A [`Report`] with every unknown key, wrong type and missing key.
    pub fn read<T: JsonSchema + DeserializeOwned>(&self) -> Result<T, Report> {
        let schema = schemars::schema_for!(T).to_value();
        let problems = shape::problems(&schema, &self.tree);
        if !problems.is_empty() {
            return Err(self.report_all(problems));
        }
        serde_json::from_value(self.tree.value.clone())
            .map_err(|why| self.report(vec![(String::new(), why.to_string())]))
    }

    /// A report of the caller's own findings: pairs of a JSON pointer (`/server/port`) and what is
    /// wrong there.
    #[must_use]
    pub fn report(&self, findings: Vec<(String, String)>) -> Report {
        let place = |(pointer, message): (String, String)| {
            let (line, column) = self.tree.place_of(&pointer);
            Problem::at(line, column, &pointer, message)
        };
        self.report_all(findings.into_iter().map(place).collect())
    }

    fn report_all(&self, problems: Vec<Problem>) -> Report {
        Report::new(&self.name, &self.text, problems)
    }
}

/// The JSON Schema of `T` as text, for editors to check and complete by.
#[must_use]
pub fn schema_text<T: JsonSchema>() -> String {
    sorted_text(schemars::schema_for!(T).to_value())
}

/// `document` as text for people, the same in every build: whether maps keep the order in which they were filled is a
/// choice of other crates, made for all.
#[must_use]
pub fn sorted_text(mut document: Value) -> String {
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// One step of a JSON pointer, escaped (RFC 6901).
#[must_use]
pub fn pointer_step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
