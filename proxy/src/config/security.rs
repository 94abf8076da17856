//! `security`: who may ask.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::authentication::Authentication;
use super::authorization::Authorization;
use super::cors::{Cors, ResponseHeaders};

/// Who may ask. Absent: anyone.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Clients that are refused, or the only ones let in, by network. Absent: anyone is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_lists: Option<IpLists>,
    /// Who asks. Absent: nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Whether who asks may do what is asked. Absent: everything is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// What pages of other origins may do, for routes that do not say. Absent: the proxy takes no part in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Fields that tell browsers to be careful. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<ResponseHeaders>,
}

/// Networks of clients (10.0.0.0/8) or single addresses; a file has one a line, `#` begins a comment.
/// Who the client is, `server.trusted_proxies` decides.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IpLists {
    /// Refused with 403, whatever `allow` says.
    pub deny: Vec<String>,
    /// The same, in a file, which is watched.
    pub deny_file: Option<String>,
    /// If there is any, all others are refused with 403.
    pub allow: Vec<String>,
    /// The same, in a file, which is watched.
    pub allow_file: Option<String>,
}
