//! Carrying out: the HTTP client of the proxies' action API.

pub mod client;
