//! Open sockets from one process to another (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Descriptors in one message; the kernel takes 253.
const AT_ONCE: usize = 64;
/// Descriptors travel with a byte at least.
const MARK: u8 = b's';

pub(super) fn send(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    for some in sockets.chunks(AT_ONCE) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(some)) {
            return Err(io::Error::other("no room for sockets"));
        }
        retry_on_intr(|| sendmsg(stream, &[IoSlice::new(&[MARK])], &mut control, SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Exactly `count` of them, in the order in which they were sent.
pub(super) fn receive(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = Vec::new();
    while sockets.len() < count {
        let had = sockets.len();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut mark = [0];
        let into = &mut [IoSliceMut::new(&mut mark)];
        retry_on_intr(|| recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC))?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                sockets.extend(some);
            }
        }
        if sockets.len() == had {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no more sockets came"));
        }
    }
    Ok(sockets)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn more_sockets_than_one_message_holds_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let listeners: Vec<TcpListener> =
            (0..AT_ONCE * 2 + 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let sockets: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
        send(&here, &sockets).unwrap();
        drop(here);
        let arrived = receive(&there, sockets.len()).unwrap();
        let arrived: Vec<_> =
            arrived.into_iter().map(|fd| TcpListener::from(fd).local_addr().unwrap()).collect();
        let sent: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        assert_eq!(arrived, sent);
        assert_eq!(receive(&there, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
