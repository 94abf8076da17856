//! Listeners: one a worker, all on one address (SO_REUSEPORT).

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// `n` listeners on `addr`; port 0 takes one free port for all.
///
/// # Errors
/// What the system says, in particular when another process listens there.
pub fn bind(addr: SocketAddr, n: usize) -> io::Result<Vec<TcpListener>> {
    // Without SO_REUSEPORT first: with it, two proxies would share the port without a word.
    let addr = TcpListener::bind(addr)?.local_addr()?;
    (0..n).map(|_| one(addr)).collect()
}

fn one(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}
