//! Certificates that end: told before they do, and counted down for operators' alerts.
//!
//! Nothing is refused for it here: who must not believe an expired certificate is the other end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::validity::{Standing, Validity, now};
use crate::settings::Settings;
use crate::table::SharedTable;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// A certificate that the configuration in force names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its file.
    pub file: PathBuf,
    /// What it is for: `server`, `client` or `authority`.
    pub kind: &'static str,
}

/// Every certificate of `settings`, each once, and how long it holds; of a bundle, the authority that holds longest.
#[must_use]
pub fn certificates(settings: &Settings) -> BTreeMap<Named, Validity> {
    let mut all = BTreeMap::new();
    let mut add = |file: &PathBuf, kind, validity: Option<Validity>| {
        all.extend(validity.map(|validity| (Named { file: file.clone(), kind }, validity)));
    };
    for tls in settings.server.tls.iter().chain(&settings.admin.tls) {
        add(&tls.certificate, "server", tls.validity);
        tls.client_auth.iter().for_each(|files| add(&files.bundle, "authority", tls.clients_validity()));
    }
    for tls in settings.services.values().filter_map(|service| service.transport.tls.as_ref()) {
        tls.own.iter().for_each(|(certificate, _)| add(certificate, "client", tls.validity));
        tls.trusted.iter().for_each(|bundle| add(bundle, "authority", tls.trusted_validity));
    }
    all
}

/// Tells of each certificate whose standing changes, until `stop`.
pub(crate) async fn run(table: SharedTable, stop: CancellationToken) {
    let mut told = BTreeMap::new();
    loop {
        let live = table.load_full();
        told = tell(&certificates(&live.live.settings), &told);
        drop(live);
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

type Told = BTreeMap<Named, (Validity, Standing)>;

fn tell(all: &BTreeMap<Named, Validity>, told: &Told) -> Told {
    let now = now();
    let judged = all.iter().map(|(named, validity)| (named.clone(), (*validity, validity.standing(now))));
    let judged: Told = judged.collect();
    for (named, stands) in judged.iter().filter(|(named, stands)| told.get(named) != Some(stands)) {
        say(named, stands.1, stands.0.until - now);
    }
    judged
}

fn say(Named { file, kind }: &Named, standing: Standing, left: i64) {
    let file = file.display();
    match standing {
        Standing::Good => tracing::debug!(%file, kind, left_s = left, "a certificate holds"),
        Standing::Early => tracing::warn!(%file, kind, "a certificate does not hold yet: is a clock wrong?"),
        Standing::Due => {
            tracing::warn!(%file, kind, left_s = left, "a certificate ends soon and was not renewed")
        }
        Standing::Expired => {
            tracing::error!(%file, kind, "a certificate has expired: peers refuse it; renew it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once() {
        let named = Named { file: PathBuf::from("a.pem"), kind: "server" };
        let validity = Validity { from: 0, until: 1 };
        let all = BTreeMap::from([(named.clone(), validity)]);
        let told = tell(&all, &Told::new());
        assert_eq!(told, Told::from([(named, (validity, Standing::Expired))]));
        assert_eq!(tell(&all, &told), told);
        assert!(
            tell(&BTreeMap::new(), &told).is_empty(),
            "what the configuration no longer names is forgotten"
        );
    }
}
