//! `CONNECT` (RFC 9110 section 9.3.6): a tunnel to where the client says, if that is on the list of where it
//! may. Without a list there is none, and the method is refused as any that is not served. Over HTTP/1.1 alone.

use http::header::HOST;
use http::request::Parts;
use http::{Method, Version};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::Refusal;
use crate::settings::Server;

/// Whether the request asks for what [`to`] does, and anything is on the list.
pub(super) fn is_wanted(request: &Parts, server: &Server) -> bool {
    request.method == Method::CONNECT && !server.connect.is_empty() && request.version == Version::HTTP_11
}

/// Connects to the request's target.
///
/// # Errors
/// [`Refusal::BadRequest`]: it is no target, or says two things; [`Refusal::ConnectTarget`]: it is not on the list; [`Refusal::ConnectFailure`] or [`Refusal::Timeout`]: it
/// takes no connection.
pub(super) async fn to(request: &Parts, has_body: bool, server: &Server) -> Result<TcpStream, Refusal> {
    let target = target(request, has_body)?;
    if !server.connect.iter().any(|allowed| allowed.eq_ignore_ascii_case(target)) {
        return Err(Refusal::ConnectTarget);
    }
    let connected = timeout(server.connect_timeout, TcpStream::connect(target)).await;
    let stream = connected.map_err(|_| Refusal::Timeout)?.map_err(|_| Refusal::ConnectFailure)?;
    // If it cannot be set, small pieces wait.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// `HOST:PORT`, said once: what nobody would read as the request's body may not be there.
fn target(request: &Parts, has_body: bool) -> Result<&str, Refusal> {
    let target = request.uri.authority().filter(|_| request.uri.scheme().is_none());
    let target = target.ok_or(Refusal::BadRequest("CONNECT to what is no host and port"))?.as_str();
    let mut hosts = request.headers.get_all(HOST).iter();
    let agrees = hosts.next().is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(target.as_bytes()));
    match (agrees && hosts.next().is_none(), has_body) {
        (true, false) => Ok(target),
        (false, _) => Err(Refusal::BadRequest("CONNECT with another host")),
        (_, true) => Err(Refusal::BadRequest("CONNECT with a body")),
    }
}
