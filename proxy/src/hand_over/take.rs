//! The new process's side.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{FORMAT, Farewell, LeaseLeft, MAX_SOCKETS, MESSAGE_WITHIN, Offer, Ready, Sockets, rights};

/// Why nothing can be taken over; the old process goes on.
#[derive(Debug, thiserror::Error)]
pub enum CannotTake {
    /// The exchange broke off.
    #[error("the sockets cannot be taken over at {}: {why}", .path.display())]
    Exchange {
        /// Where.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Another build, which hands over in another way.
    #[error(
        "the running process hands over in format {0}, this build takes format {FORMAT}: restart instead"
    )]
    Format(u32),
    /// Another configuration.
    #[error("{key} is {new} but {old} in the process that runs: restart to change it")]
    Elsewhere {
        /// Which keys.
        key: &'static str,
        /// What the new process is told.
        new: SocketAddr,
        /// What the old one was told.
        old: SocketAddr,
    },
}

/// What the old process has given.
#[derive(Debug)]
pub struct Taken {
    pub(crate) sockets: Sockets,
    /// What it also said.
    pub predecessor: Predecessor,
}

/// The old process, which still serves.
#[derive(Debug)]
pub struct Predecessor {
    /// Its process id.
    pub pid: u32,
    /// Its leases.
    pub leases: Vec<LeaseLeft>,
    /// Where its brain listens.
    pub brain: Option<[SocketAddr; 2]>,
    stream: UnixStream,
}

/// Asks the process at `path` for its sockets; `told` is where this one is told to listen, for traffic and
/// for operators. `None` where no process answers.
///
/// # Errors
/// [`CannotTake`].
pub fn take(path: &Path, told: [SocketAddr; 2]) -> Result<Option<Taken>, CannotTake> {
    let broken = |why| CannotTake::Exchange { path: path.to_owned(), why };
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(why) => return Err(broken(why)),
    };
    own(&stream).map_err(broken)?;
    let timed = stream.set_read_timeout(Some(MESSAGE_WITHIN));
    timed.and_then(|()| stream.set_write_timeout(Some(MESSAGE_WITHIN))).map_err(broken)?;
    let offer: Offer = super::receive(&stream).map_err(broken)?;
    check(&offer, told)?;
    let sockets = sockets(&stream, offer.sockets).map_err(broken)?;
    let Offer { pid, leases, brain, .. } = offer;
    Ok(Some(Taken { sockets, predecessor: Predecessor { pid, leases, brain, stream } }))
}

/// Sockets and leases are taken only from the same user, or from root, whoever made the file.
fn own(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    if peer == nix::unistd::geteuid().as_raw() || peer == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("user {peer} answers there")))
}

fn check(offer: &Offer, [main, admin]: [SocketAddr; 2]) -> Result<(), CannotTake> {
    if offer.format != FORMAT {
        return Err(CannotTake::Format(offer.format));
    }
    let elsewhere = |key, new, old| Err(CannotTake::Elsewhere { key, new, old });
    if offer.main != main {
        return elsewhere("server.bind_address and server.port", main, offer.main);
    }
    if offer.admin != admin {
        return elsewhere("admin.bind_address and admin.port", admin, offer.admin);
    }
    Ok(())
}

fn sockets(stream: &UnixStream, count: usize) -> io::Result<Sockets> {
    if !(1..=MAX_SOCKETS).contains(&count) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an impossible number of sockets"));
    }
    let mut all = rights::receive(stream, count + 1)?.into_iter().map(TcpListener::from);
    let main = all.by_ref().take(count).collect();
    let admin = all.next().ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Sockets { main, admin })
}

impl Predecessor {
    /// Says that this process serves, and waits until the old one is gone from its sockets. True when
    /// operators have frozen the old one meanwhile.
    ///
    /// # Errors
    /// The old one goes on: it has not waited, or is not there any more to say.
    pub fn relieve(self) -> io::Result<bool> {
        super::send(&self.stream, &Ready { pid: std::process::id() })?;
        Ok(super::receive::<Farewell>(&self.stream)?.frozen)
    }
}
