//! What goes wrong, where, and from when to when.

/// One thing gone wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// First second.
    pub from_s: u64,
    /// First second after it.
    pub until_s: u64,
    /// Where.
    pub service: &'static str,
    /// What.
    pub kind: Kind,
}

/// The families.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// One endpoint refuses every connection.
    EndpointDown {
        /// Its index.
        endpoint: usize,
    },
    /// One endpoint fails so much more often.
    EndpointErrors {
        /// Its index.
        endpoint: usize,
        /// Added share, 0 to 1.
        added: f64,
    },
    /// One endpoint takes so many times as long.
    EndpointSlow {
        /// Its index.
        endpoint: usize,
        /// Factor.
        factor: f64,
    },
    /// Every endpoint of one version fails so much more often; the version arrives with the fault.
    VersionErrors {
        /// Endpoints from this index on are of the new version.
        first: usize,
        /// Added share.
        added: f64,
    },
    /// The service as a whole fails so much more often.
    ServiceErrors {
        /// Added share.
        added: f64,
    },
    /// The service as a whole takes so many times as long.
    ServiceSlow {
        /// Factor.
        factor: f64,
    },
    /// So many attempts fail at every endpoint alike, and are made again with success: no client notices.
    Hidden {
        /// Share of attempts.
        share: f64,
    },
    /// So many times the load, from people; with `hurts`, more than it can take: slow, timing out.
    Crowd {
        /// Factor.
        factor: f64,
        /// Whether it is too much.
        hurts: bool,
    },
    /// So many addresses send `rps` each, mostly to paths that do not exist, until the service suffers.
    Abuse {
        /// How many.
        addresses: usize,
        /// Requests a second, each.
        rps: f64,
    },
    /// A harmless new version of the last endpoint: a little slower or faster, as they are.
    Deploy,
    /// Nothing is reported.
    Gap,
}

impl Fault {
    /// Whether it holds in the second `at_s`.
    pub fn holds(&self, at_s: u64) -> bool {
        (self.from_s..self.until_s).contains(&at_s)
    }
}
