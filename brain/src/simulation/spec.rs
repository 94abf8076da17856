//! What a mesh is made of, and what befalls it.

/// What is wrong with one endpoint, or with all of a service, for a while.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) service: &'static str,
    /// `None`: all of them.
    pub(crate) endpoint: Option<usize>,
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) error_share: f64,
    pub(crate) slow_factor: f64,
}

/// One service of the mesh.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) caller: &'static str,
    pub(crate) endpoints: usize,
    pub(crate) rps: f64,
    pub(crate) base_error: f64,
    pub(crate) latency_us: f64,
    /// Standard deviation of the log of a per-endpoint, slowly drifting error factor.
    pub(crate) wild: f64,
    /// The last so many endpoints run v2, the others v1.
    pub(crate) new: usize,
    /// Requests a second that it can serve, each endpoint as many as the others; what is asked of one beyond that
    /// makes it slow, and fails in part.
    pub(crate) bears_rps: f64,
    /// Proxies of each caller.
    pub(crate) proxies: usize,
}

/// More requests at the edge for a while, from as many more clients: a crowd, or a few.
#[derive(Debug, Clone)]
pub(crate) struct Surge {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) rps: f64,
    /// The addresses they come from; none: each request from another one.
    pub(crate) clients: Vec<&'static str>,
}

impl Spec {
    pub(crate) fn new(name: &'static str, caller: &'static str, endpoints: usize, rps: f64) -> Self {
        Self {
            name,
            caller,
            endpoints,
            rps,
            base_error: 0.001,
            latency_us: 4_000.0,
            wild: 0.0,
            new: 0,
            bears_rps: f64::INFINITY,
            proxies: 1,
        }
    }

    pub(super) fn version(&self, endpoint: usize) -> &'static str {
        if endpoint + self.new >= self.endpoints { "v2" } else { "v1" }
    }

    pub(super) fn proxy(&self, n: usize) -> String {
        if n == 0 { format!("{}-proxy", self.caller) } else { format!("{}-proxy-{}", self.caller, n + 1) }
    }
}
