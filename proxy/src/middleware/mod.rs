//! What is done to a message before it is routed, and on its way through.

pub mod block_list;
pub mod client;
pub mod frame_heads;
pub mod framing;
pub mod grpc;
pub mod grpc_status;
pub mod headers;
pub mod http2_frames;
pub mod own_fields;
pub mod path;
pub mod request_id;
pub mod response_framing;
pub mod shed;
pub mod upgrade;
pub mod validity;
