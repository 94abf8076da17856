//! Act: leases on proxies, from the first put to the last removal. Only [`client`] and [`mesh_client`] know sockets.

pub mod client;
mod give_back;
mod holder;
pub mod lifecycle;
pub mod mesh_client;
pub mod operation;
pub mod steps;
pub mod treatment;
pub mod waves;
