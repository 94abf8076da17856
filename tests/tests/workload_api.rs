//! Identities from a SPIFFE agent: a real gRPC server on a Unix socket stands in for SPIRE's.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{Stream, StreamExt as _};
use protocol::workload::SECURITY_KEY;
use protocol::workload::api::spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer};
use protocol::workload::api::{X509svid, X509svidRequest, X509svidResponse};
use tests::{Authority, Issued, Origin, Proxy, binary, eventually, proxy_config, run};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::{Request, Response, Status};

const ID: &str = "spiffe://mesh.local/payments";

struct Agent(watch::Receiver<X509svidResponse>);

#[tonic::async_trait]
impl SpiffeWorkloadApi for Agent {
    type FetchX509SVIDStream = Pin<Box<dyn Stream<Item = Result<X509svidResponse, Status>> + Send>>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        if request.metadata().get(SECURITY_KEY).is_none_or(|value| value != "true") {
            return Err(Status::invalid_argument("security header missing"));
        }
        Ok(Response::new(Box::pin(WatchStream::new(self.0.clone()).map(Ok))))
    }
}

fn given(id: &str, issued: &Issued, ca: &Authority) -> X509svidResponse {
    let svid = X509svid {
        spiffe_id: id.to_owned(),
        x509_svid: issued.der.to_vec(),
        x509_svid_key: issued.key().secret_der().to_vec(),
        bundle: ca.der.to_vec(),
        hint: String::new(),
    };
    X509svidResponse { svids: vec![svid], ..Default::default() }
}

/// An agent at `agent.sock`, which gives what is sent.
fn agent(dir: &Path, first: X509svidResponse) -> Result<watch::Sender<X509svidResponse>> {
    let (gives, given) = watch::channel(first);
    let listener = UnixListener::bind(dir.join("agent.sock"))?;
    let server = tonic::transport::Server::builder().add_service(SpiffeWorkloadApiServer::new(Agent(given)));
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    Ok(gives)
}

const FETCH: [&str; 6] = ["keygen", "fetch", "--socket", "unix:agent.sock", "--out", "id"];

/// The serial number of the certificate that a listener shows, as openssl tells it.
async fn shown(address: &str) -> Result<String> {
    let line =
        format!("openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -serial");
    let output = tokio::process::Command::new("sh").args(["-c", &line]).output().await?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.trim().strip_prefix("serial=").context("openssl saw no certificate")?.to_lowercase())
}

fn hex(issued: &Issued) -> String {
    hex::encode(issued.serial.as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_rotation_reaches_the_running_proxy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ca = Authority::new(Some("mesh.local"))?;
    let (first, second) = (ca.issue(ID)?, ca.issue(ID)?);
    let gives = agent(dir.path(), given(ID, &first, &ca))?;
    let fetched = run("sidecar-proxy", &FETCH, dir.path()).await?;
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    for name in ["svid.pem", "svid-key.pem", "bundle.pem"] {
        let mode = std::fs::metadata(dir.path().join("id").join(name))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let origins = Origin::start_many(1).await?;
    let tls = "watch_files: true, tls: { certificate: id/svid.pem, key: id/svid-key.pem }";
    let config = proxy_config(dir.path(), &origins, "")?.replace("watch_files: false", tls);
    let proxy = Proxy::start(dir.path(), &config).await?;
    let address = proxy.process.address("main").to_owned();
    assert_eq!(shown(&address).await?, hex(&first));
    let mut watching = tokio::process::Command::new(binary("sidecar-proxy"));
    let _watching = watching.args(FETCH).arg("--watch").current_dir(dir.path()).kill_on_drop(true).spawn()?;
    gives.send(given(ID, &second, &ca))?;
    eventually("the proxy shows the new certificate", Duration::from_secs(20), || async {
        Ok(shown(&address).await? == hex(&second))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_gives_is_not_believed_unseen() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ca = Authority::new(Some("mesh.local"))?;
    let (good, other) = (ca.issue(ID)?, ca.issue(ID)?);
    let mut foreign_key = given(ID, &good, &ca);
    foreign_key.svids[0].x509_svid_key = other.key().secret_der().to_vec();
    let mut no_bundle = given(ID, &good, &ca);
    no_bundle.svids[0].bundle.clear();
    let mut garbage = given(ID, &good, &ca);
    garbage.svids[0].x509_svid.truncate(40);
    let two = ca.issue_odd(&[ID, "spiffe://mesh.local/other"], |_| {})?;
    let gives = agent(dir.path(), X509svidResponse::default())?;
    for (what, response) in [
        ("nothing", X509svidResponse::default()),
        ("another workload's certificate", given("spiffe://mesh.local/other", &good, &ca)),
        ("two identities in one", given(ID, &two, &ca)),
        ("another's key", foreign_key),
        ("no bundle", no_bundle),
        ("garbage", garbage),
    ] {
        gives.send(response)?;
        let refused = run("sidecar-proxy", &FETCH, dir.path()).await?;
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{what}: {words}");
        assert!(words.contains("the agent at unix:agent.sock"), "{what}: {words}");
        assert!(!dir.path().join("id").exists(), "{what}: something was written");
    }
    gives.send(given(ID, &good, &ca))?;
    let wanted = [&FETCH[..], &["--spiffe-id", "spiffe://mesh.local/other"]].concat();
    assert_eq!(run("sidecar-proxy", &wanted, dir.path()).await?.status.code(), Some(2));
    let nobody = ["keygen", "fetch", "--socket", "unix:nowhere.sock", "--out", "id"];
    assert_eq!(run("sidecar-proxy", &nobody, dir.path()).await?.status.code(), Some(2));
    Ok(())
}
