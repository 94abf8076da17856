//! The messages of `envoy.service.auth.v3.Authorization/Check`, as far as they are used here: names and numbers
//! as Envoy's `external_auth.proto` and `attribute_context.proto` have them. What is not named is skipped.

use std::collections::HashMap;

use prost::Message;

/// The call.
pub const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The question.
#[derive(Clone, PartialEq, Message)]
pub struct CheckRequest {
    /// All of it.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<Attributes>,
}

/// Who asks for what.
#[derive(Clone, PartialEq, Message)]
pub struct Attributes {
    /// Who.
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    /// For what.
    #[prost(message, optional, tag = "4")]
    pub request: Option<Asked>,
    /// What Envoy's messages have no place for: `route`.
    #[prost(map = "string, string", tag = "10")]
    pub context_extensions: HashMap<String, String>,
}

/// A client.
#[derive(Clone, PartialEq, Message)]
pub struct Peer {
    /// Where it is.
    #[prost(message, optional, tag = "1")]
    pub address: Option<Address>,
    /// Who it is.
    #[prost(string, tag = "4")]
    pub principal: String,
}

/// An address.
#[derive(Clone, PartialEq, Message)]
pub struct Address {
    /// Of a socket.
    #[prost(message, optional, tag = "1")]
    pub socket: Option<SocketAddress>,
}

/// An address of a socket.
#[derive(Clone, PartialEq, Message)]
pub struct SocketAddress {
    /// The IP address.
    #[prost(string, tag = "2")]
    pub address: String,
}

/// A request.
#[derive(Clone, PartialEq, Message)]
pub struct Asked {
    /// Of HTTP.
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

/// A request of HTTP.
#[derive(Clone, PartialEq, Message)]
pub struct HttpRequest {
    /// `X-Request-ID`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The method.
    #[prost(string, tag = "2")]
    pub method: String,
    /// Fields, lower case; those that come more than once are joined by commas.
    #[prost(map = "string, string", tag = "3")]
    pub headers: HashMap<String, String>,
    /// Path and query.
    #[prost(string, tag = "4")]
    pub path: String,
    /// The host.
    #[prost(string, tag = "5")]
    pub host: String,
    /// The body's bytes; -1 where not all of them are known.
    #[prost(int64, tag = "9")]
    pub size: i64,
    /// HTTP/1.1 or HTTP/2.
    #[prost(string, tag = "10")]
    pub protocol: String,
    /// What is sent of the body, as text,
    #[prost(string, tag = "11")]
    pub body: String,
    /// or as it is.
    #[prost(bytes = "vec", tag = "12")]
    pub raw_body: Vec<u8>,
}

/// The answer.
#[derive(Clone, PartialEq, Message)]
pub struct CheckResponse {
    /// Whether it is allowed: only with code 0.
    #[prost(message, optional, tag = "1")]
    pub status: Option<RpcStatus>,
    /// What the client is answered.
    #[prost(message, optional, tag = "2")]
    pub denied: Option<Denied>,
    /// What changes of the request.
    #[prost(message, optional, tag = "3")]
    pub allowed: Option<Allowed>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    /// 0 is OK.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `DeniedHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Denied {
    /// Absent: 403.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Fields.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderOption>,
    /// The body.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// `envoy.type.v3.HttpStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct HttpStatus {
    /// The code.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `OkHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Allowed {
    /// Fields for the endpoint.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderOption>,
    /// Fields that the endpoint does not get.
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
}

/// `HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderOption {
    /// The field.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Field>,
}

/// `HeaderValue`.
#[derive(Clone, PartialEq, Message)]
pub struct Field {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value,
    #[prost(string, tag = "2")]
    pub value: String,
    /// or its value, where that is not empty.
    #[prost(bytes = "vec", tag = "3")]
    pub raw: Vec<u8>,
}
