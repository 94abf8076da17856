//! HTTP/1.1 to an endpoint (RFC 9112): one request at a time on one connection, written and read by whoever
//! asks.
//!
//! There is no task and no channel between them, which is most of what a library's client costs a request
//! (`benchmarks/notes.md`); only what is left of a request when its response has begun is sent by a task of its
//! own. Dropping what is under way closes the connection. The syntax of heads is a library's affair (`httparse`, as
//! hyper has it); framing is as strict as the other side of this proxy is.
//!
//! Absent on purpose: pipelining, and what a proxy asks nobody for (`CONNECT`, `Expect`).

mod chunks;
mod compose;
mod fault;
mod head;
mod inbound;
mod line;
mod receiving;
mod reply;
mod sending;
mod switched;

pub use chunks::{Chunks, Piece};
pub use fault::Fault;
pub use head::{Head, parse};
pub use line::{Line, Unanswered};
pub use receiving::Framing;
pub use reply::Reply;
pub use switched::Switched;
