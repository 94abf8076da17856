//! One connection to the brain: announces this proxy, sends windows, takes acknowledgements.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use protocol::PROTOCOL_VERSION;
use protocol::wire::v1;
use protocol::wire::v1::telemetry_client::TelemetryClient;
use protocol::wire::{ADMIN_KEY, PROTOCOL_KEY, PROXY_KEY};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use trust::secret::text_elsewhere;
use zeroize::Zeroizing;

use super::outbox::Outbox;
use crate::settings::{AiTls, Protocol};
use crate::tls::MinVersion;
use crate::upstream::tls::{BadTrust, Origination, Parties, Trust};

/// A brain that does not answer for so long is dialled anew.
const SILENCE: Duration = Duration::from_secs(5);
/// Windows on their way into the stream; the rest waits in the outbox.
const IN_STREAM: usize = 4;
/// Beyond this a token file is no token file.
const MAX_TOKEN_BYTES: usize = 4_096;

/// How to reach the brain, and who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `http://HOST:PORT` of the brain's telemetry listener.
    pub brain_url: String,
    /// The file with the token, read at each dialling, so that a new token needs no restart.
    pub token_path: Option<PathBuf>,
    /// This proxy's id.
    pub proxy: String,
    /// The URL of this proxy's action API.
    pub admin_url: String,
    /// How the channel is secured; absent: not at all.
    pub tls: Option<AiTls>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The token cannot be read, or is none.
    #[error("the token file {0}: {1}")]
    Token(PathBuf, String),
    /// Something to announce that no header can carry.
    #[error("{0} cannot be announced: {1}")]
    Announcement(&'static str, String),
    /// The brain cannot be reached.
    #[error("cannot reach the brain: {0}")]
    Unreachable(#[from] tonic::transport::Error),
    /// What secures the channel cannot be read.
    #[error("ai.tls: {0}")]
    Tls(#[from] BadTrust),
    /// The brain speaks another version.
    #[error("the brain refuses this proxy, which speaks protocol version {PROTOCOL_VERSION}: {0}")]
    OtherVersion(String),
    /// The brain refused or broke the stream.
    #[error("the brain ended the stream: {0}")]
    Refused(String),
    /// The brain closed the stream in good order.
    #[error("the brain closed the stream")]
    Closed,
}

/// Dials once and sends until the connection ends. Returns whether anything was acknowledged
/// (a connection that worked) and why it ended.
pub async fn run(caller: &Caller, outbox: &Outbox) -> (bool, LinkError) {
    let mut worked = false;
    let ended = match open(caller).await {
        Ok((client, request, sender)) => {
            tokio::select! {
                ended = receive(client, request, outbox, &mut worked) => ended,
                () = send(sender, outbox) => LinkError::Closed,
            }
        }
        Err(why) => why,
    };
    (worked, ended)
}

type Opened = (TelemetryClient<Channel>, Request<ReceiverStream<v1::Window>>, mpsc::Sender<v1::Window>);

async fn open(caller: &Caller) -> Result<Opened, LinkError> {
    let authorization = authorization(caller).await?;
    let endpoint = Endpoint::from_shared(caller.brain_url.replacen("https://", "http://", 1))?
        .connect_timeout(SILENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE);
    let channel = match &caller.tls {
        None => endpoint.connect().await?,
        Some(tls) => secured(endpoint, &caller.brain_url, tls).await?,
    };
    let (sender, windows) = mpsc::channel(IN_STREAM);
    let mut request = Request::new(ReceiverStream::new(windows));
    let metadata = request.metadata_mut();
    metadata.insert(PROTOCOL_KEY, MetadataValue::from(PROTOCOL_VERSION));
    metadata.insert(PROXY_KEY, ascii("the proxy's id", &caller.proxy)?);
    metadata.insert(ADMIN_KEY, ascii("the admin URL", &caller.admin_url)?);
    if let Some(authorization) = authorization {
        metadata.insert("authorization", authorization);
    }
    Ok((TelemetryClient::new(channel), request, sender))
}

/// Shows this proxy's identity, and believes none but the brain's. The files are read at each dialling, so that
/// what was renewed is shown.
async fn secured(endpoint: Endpoint, url: &str, tls: &AiTls) -> Result<Channel, LinkError> {
    let parties = Parties {
        name: None,
        expected: vec![tls.brain.clone()],
        lists: None,
        own: Some((tls.certificate.as_path(), tls.key.as_path())),
    };
    let secure = Origination::load(&Trust::File(&tls.bundle), parties, MinVersion::Tls13, Protocol::Http2)?;
    let bad = || LinkError::Announcement("the brain's URL", url.chars().take(64).collect());
    let uri: http::Uri = url.parse().map_err(|_| bad())?;
    let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
    let at = (host, uri.port_u16().unwrap_or(443));
    let connector = tower::service_fn(move |_: http::Uri| {
        let (secure, (host, port)) = (secure.clone(), at.clone());
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let shaken = tokio::time::timeout(SILENCE, secure.connect(stream, &host)).await;
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
            Ok::<_, io::Error>(TokioIo::new(shaken.map_err(late)??))
        }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn authorization(caller: &Caller) -> Result<Option<MetadataValue<Ascii>>, LinkError> {
    let Some(path) = &caller.token_path else { return Ok(None) };
    let bad = |why: String| LinkError::Token(path.clone(), why);
    let text = match text_elsewhere(path) {
        Some(found) => found.map_err(bad)?,
        None => Zeroizing::new(tokio::fs::read_to_string(path).await.map_err(|why| bad(why.to_string()))?),
    };
    let token = text.trim();
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(bad("holds no token".to_owned()));
    }
    let mut value = ascii("the token", &format!("Bearer {token}"))
        .map_err(|_| bad("holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn ascii(what: &'static str, value: &str) -> Result<MetadataValue<Ascii>, LinkError> {
    value.parse().map_err(|_| LinkError::Announcement(what, value.chars().take(64).collect()))
}

/// Everything not acknowledged, from the oldest on; the brain knows repeats by their `seq`.
async fn send(sender: mpsc::Sender<v1::Window>, outbox: &Outbox) {
    let mut last = None;
    loop {
        let window = outbox.next_after(last).await;
        last = Some(window.seq);
        if sender.send(window.into()).await.is_err() {
            return;
        }
    }
}

async fn receive(
    mut client: TelemetryClient<Channel>,
    request: Request<ReceiverStream<v1::Window>>,
    outbox: &Outbox,
    worked: &mut bool,
) -> LinkError {
    let mut acks = match client.report(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(&status),
    };
    loop {
        match acks.message().await {
            Ok(Some(ack)) => {
                outbox.acknowledge(ack.seq);
                *worked = true;
            }
            Ok(None) => return LinkError::Closed,
            Err(status) => return refused(&status),
        }
    }
}

fn refused(status: &Status) -> LinkError {
    let message: String = status.message().chars().take(200).collect();
    match status.code() {
        Code::FailedPrecondition => LinkError::OtherVersion(message),
        code => LinkError::Refused(format!("{code}: {message}")),
    }
}
