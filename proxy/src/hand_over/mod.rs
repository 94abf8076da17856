//! A new process takes the sockets from the old one, so that an upgrade refuses no connection.
//!
//! The old one listens on a Unix socket that only its own user can open. The exchange:
//!
//! 1. the new one connects; the old one stops taking actions, and sends what it has: its listening sockets
//!    (as `SCM_RIGHTS`), its leases, where its brain listens;
//! 2. the new one serves, and says that it is ready; both accept now;
//! 3. the old one says farewell, accepts no more, and drains.
//!
//! Until the farewell the old one is the one that counts: if the new one fails, or takes too long, the old
//! one goes on as if nothing had been. From the first message on only one of them writes the state file. The
//! sockets themselves are handed over, not just the port, because a socket that is closed takes the
//! connections with it that wait in its queue. Like HAProxy's `-x` and Envoy's hot restart; absent, unlike
//! there, are counters: metrics begin anew, as with any restart.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use protocol::action::{ActionRequest, Receipt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod door;
mod give;
mod rights;
mod take;

pub(crate) use door::Door;
pub use give::Given;
pub(crate) use give::{Giver, Held};
pub use take::{CannotTake, Predecessor, Taken, take};

/// The exchange's version: what is sent may grow new fields, but not change what it has.
const FORMAT: u32 = 1;
/// The longest message that is read, bytes: as many leases as there may be, each as long as it may be.
const MAX_MESSAGE: u32 = 32 << 20;
/// The most sockets that are taken.
const MAX_SOCKETS: usize = 1_024;
/// For one message to come or to be taken.
const MESSAGE_WITHIN: Duration = Duration::from_secs(5);
/// For the new process to become ready: it reads its files and starts its threads.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The first message, from the old process.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    format: u32,
    pid: u32,
    /// Where it was told to listen; the new one must have been told the same.
    main: SocketAddr,
    admin: SocketAddr,
    /// How many of the sockets that follow are for traffic; one more is the operators'.
    sockets: usize,
    leases: Vec<LeaseLeft>,
    brain: Option<[SocketAddr; 2]>,
}

/// A lease that is handed over: it ends when it would have ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseLeft {
    /// As it was put.
    pub request: ActionRequest,
    /// As it was answered.
    pub receipt: Receipt,
    /// What is left of it.
    pub remaining_ms: u64,
}

/// The second, from the new one.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    pid: u32,
}

/// The last, from the old one.
#[derive(Debug, Serialize, Deserialize)]
struct Farewell {
    /// Whether an operator has frozen the old one meanwhile.
    frozen: bool,
}

/// Listening sockets: for traffic, and the operators'.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) main: Vec<TcpListener>,
    pub(crate) admin: TcpListener,
}

fn send(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::other("too much to hand over"))?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&text)
}

/// Reads exactly one message: what follows it may be sockets, which a read too far would lose.
fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
