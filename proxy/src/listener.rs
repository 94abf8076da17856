//! The main port, once per worker: the kernel spreads connections over the sockets.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per socket; the kernel may allow fewer.
const BACKLOG: i32 = 1_024;

/// Binds `sockets` (at least one) listening sockets to one address, with `SO_REUSEPORT`. Port 0
/// takes a free one, the same for all.
///
/// # Errors
/// The address cannot be bound, in particular when another process listens there: that is tried
/// first without `SO_REUSEPORT`, which alone would let two proxies share a port unnoticed.
pub fn bind(address: SocketAddr, sockets: usize) -> Result<Vec<TcpListener>> {
    drop(exclusive(address)?);
    let first = shared(address)?;
    let bound = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..sockets {
        listeners.push(shared(bound)?);
    }
    Ok(listeners)
}

/// Divides sockets that another process has opened among `workers`: each socket is somebody's, because the
/// kernel goes on to give it connections. Missing ones are opened beside them; where that cannot be, because
/// they were opened without `SO_REUSEPORT`, workers share one.
///
/// # Errors
/// There is none, or it cannot be shared.
pub fn divide(sockets: Vec<TcpListener>, workers: usize) -> Result<Vec<Vec<TcpListener>>> {
    let first = sockets.first().ok_or_else(|| Error::other("no socket was handed over"))?;
    let address = first.local_addr()?;
    let first = first.try_clone()?;
    let mut shares: Vec<Vec<TcpListener>> = (0..workers.max(1)).map(|_| Vec::new()).collect();
    let mut sockets = sockets.into_iter();
    while sockets.len() > 0 {
        shares.iter_mut().zip(&mut sockets).for_each(|(share, socket)| share.push(socket));
    }
    for share in shares.iter_mut().filter(|share| share.is_empty()) {
        share.push(shared(address).or_else(|_| first.try_clone())?);
    }
    Ok(shares)
}

fn exclusive(address: SocketAddr) -> Result<Socket> {
    let socket = socket(address)?;
    socket.bind(&address.into()).map_err(|why| named(address, &why))?;
    // Two sockets of one process group may be bound alike; only one can listen.
    socket.listen(1).map_err(|why| named(address, &why))?;
    Ok(socket)
}

fn shared(address: SocketAddr) -> Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into()).map_err(|why| named(address, &why))?;
    socket.listen(BACKLOG).map_err(|why| named(address, &why))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a former life in TIME_WAIT do not keep the port.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn named(address: SocketAddr, why: &Error) -> Error {
    let sentence = match why.kind() {
        ErrorKind::AddrInUse => format!("{address} is in use by another process"),
        _ => format!("cannot listen on {address}: {why}"),
    };
    Error::new(why.kind(), sentence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_that_is_handed_over_is_some_workers_and_every_worker_has_one() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let counts = |sockets: Vec<TcpListener>, workers| -> Vec<usize> {
            let address = sockets[0].local_addr().unwrap();
            let shares = divide(sockets, workers).unwrap();
            assert!(shares.iter().flatten().all(|socket| socket.local_addr().unwrap() == address));
            shares.iter().map(Vec::len).collect()
        };
        assert_eq!(counts(bind(any, 5).unwrap(), 2), [3, 2]);
        assert_eq!(counts(bind(any, 2).unwrap(), 4), [1, 1, 1, 1]);
        let without_reuse_port = TcpListener::bind(any).unwrap();
        assert_eq!(counts(vec![without_reuse_port], 3), [1, 1, 1]);
        assert!(divide(Vec::new(), 1).is_err());
    }

    #[test]
    fn workers_share_a_port_and_a_second_proxy_does_not() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = bind(any, 3).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert!(listeners.iter().all(|l| l.local_addr().unwrap() == address));
        let refused = bind(address, 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
        assert!(refused.to_string().contains(&address.to_string()), "{refused}");
        drop(listeners);
        assert!(bind(address, 1).is_ok());
    }
}
