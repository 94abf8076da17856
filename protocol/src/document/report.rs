//! What is wrong with a document, for a person (file, line, column, the line itself) or a program.

use std::fmt;

use serde::Serialize;

/// One mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// JSON pointer of the value.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    pub(super) fn at(line: u64, column: u64, path: &str, message: String) -> Self {
        Self { line, column, path: path.to_owned(), message }
    }
}

/// Everything wrong with one document. Displays as one block a mistake:
///
/// ```text
/// proxy.yaml:2:3: unknown key "prot"; did you mean "port"?
///   2 |   prot: 8000
///     |   ^
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Report {
    /// The document's name, usually its path.
    pub file: String,
    /// In order of place.
    pub problems: Vec<Problem>,
    #[serde(skip)]
    text: String,
}

impl Report {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| (p.line, p.column));
        Self { file: file.to_owned(), problems, text: text.to_owned() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}:{}: {}", self.file, problem.line, problem.column, problem.message)?;
            let line_index = usize::try_from(problem.line).unwrap_or(1).saturating_sub(1);
            if let Some(line) = self.text.lines().nth(line_index) {
                let gutter = problem.line.to_string();
                let indent = usize::try_from(problem.column).unwrap_or(1).saturating_sub(1).min(400);
                let line: String = line.chars().take(400).filter(|c| !c.is_control()).collect();
                write!(f, "\n  {gutter} | {line}\n  {:width$} | {:indent$}^", "", "", width = gutter.len())?;
            }
        }
        Ok(())
    }
}
