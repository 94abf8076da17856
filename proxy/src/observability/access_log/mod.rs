//! The access log: one line a request, written off the workers by a thread of its own.
//!
//! A worker leaves a record in a bounded channel; when that is full the line is dropped and counted.
//! Whatever a client sends, a line stays one line: see [`escape`].

pub mod escape;
mod field;
mod layout;
mod template;
mod writer;

pub use field::{Field, Value};
pub use layout::Layout;
pub use template::Template;
pub use writer::{AccessLogWriter, LogCounts, LogEntry, LogSender};
