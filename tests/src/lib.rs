//! What the end-to-end tests are made of: real processes on port 0, real origins, real load.
#![allow(clippy::panic)] // a test says what is wrong by failing

mod collector;
mod curl;
mod edge_mesh;
mod growth;
mod grpc_peer;
mod h2_peer;
mod identities;
mod kept;
mod keygen;
mod leaks;
mod load;
mod mesh;
mod origin;
mod policies;
mod process;
mod prometheus;
mod rollout;
mod scripted;
mod tls_client;

pub use collector::{Collector, attribute};
pub use curl::{curl, curl_as};
pub use edge_mesh::EdgeMesh;
pub use grpc_peer::{GrpcPeer, chat};
pub use h2_peer::{H2Manners, H2Peer};
pub use identities::{Authority, Issued};
pub use kept::{hash_of_record, sqlite};
pub use keygen::{keygen, svid};
pub use leaks::{assert_untold, files_below};
pub use load::{Load, Tally};
pub use mesh::{Brain, Proxy, TRUSTED, admin_token, eventually, proxy_config};
pub use origin::{Behaviour, Origin};
pub use policies::policies;
pub use process::{Running, binary, run};
pub use prometheus::{Prometheus, promtool};
pub use rollout::{Ended, Setting, Stage};
pub use scripted::{Reply, Scripted};
pub use tls_client::TlsClient;
