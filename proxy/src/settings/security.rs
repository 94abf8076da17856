//! `security`, judged: files are read here, so that a bad one changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::Route;
use super::authentication::{self, Authentication};
use super::authorization::{self, Named};
use super::cors;
use super::findings::{Findings, Place};
use crate::config;
use crate::middleware::own_fields::OwnFields;
use crate::security::authorization::Authorizer;
use crate::security::ip_lists::{self, IpLists, IpSet, MAX_LIST_BYTES};
use crate::security::response_fields::ResponseFields;

/// The largest file that any part of `security` reads.
pub const MAX_SECURITY_FILE_BYTES: usize = MAX_LIST_BYTES;

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// By network; absent: anyone.
    pub ip_lists: Option<Arc<IpLists>>,
    /// Who asks; absent: nobody is asked.
    pub authentication: Option<Authentication>,
    /// Whether who asks may; absent: everything is allowed.
    pub authorization: Option<Arc<Authorizer>>,
    /// What nobody but this proxy says to endpoints.
    pub own_fields: Arc<OwnFields>,
    /// What answers say to browsers beside; absent: nothing.
    pub response_fields: Option<Arc<ResponseFields>>,
    /// What was read, to be watched.
    pub files: Vec<PathBuf>,
}

/// Files that are read, and what they hold.
#[derive(Default)]
pub(super) struct Reader {
    files: Vec<PathBuf>,
    digest: Sha256,
}

impl Reader {
    /// The file's text, or a finding.
    pub(super) fn text(
        &mut self,
        path: &str,
        most: usize,
        at: &Place,
        findings: &mut Findings,
    ) -> Option<String> {
        let found = read(Path::new(path), most);
        self.files.push(PathBuf::from(path));
        match found {
            Ok(text) => {
                self.digest.update(path.as_bytes());
                self.digest.update((text.len() as u64).to_be_bytes());
                self.digest.update(text.as_bytes());
                Some(text)
            }
            Err(why) => {
                findings.add(at, why);
                None
            }
        }
    }
}

fn read(path: &Path, most: usize) -> Result<String, String> {
    use std::io::Read;
    let unreadable = |why| format!("{} cannot be read: {why}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(most as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > most {
        return Err(format!("{} is larger than {most} bytes", path.display()));
    }
    Ok(text)
}

/// What is asked for, and a digest over the files that it was read from; empty where there are none.
pub(super) fn security(
    given: Option<&config::Security>,
    named: &Named<'_>,
    at: &Place,
    findings: &mut Findings,
) -> (Security, String) {
    let Some(given) = given else { return (Security::default(), String::new()) };
    let mut reader = Reader::default();
    let lists = given.ip_lists.as_ref();
    let ip_lists = lists.map(|lists| Arc::new(ip_lists_of(lists, &at.at("ip_lists"), &mut reader, findings)));
    let asked = given.authentication.as_ref();
    let place = at.at("authentication");
    let authentication =
        asked.map(|asked| authentication::authentication(asked, &place, &mut reader, findings));
    let (asked, place) = (given.authorization.as_ref(), at.at("authorization"));
    let authorization = asked
        .map(|asked| Arc::new(authorization::authorization(asked, named, &place, &mut reader, findings)));
    let (asked, place) = (given.response_headers.as_ref(), at.at("response_headers"));
    let response_fields = asked.map(|asked| Arc::new(cors::response_fields(asked, &place, findings)));
    let digest = if reader.files.is_empty() { String::new() } else { hex::encode(reader.digest.finalize()) };
    let own_fields = Arc::new(own_fields(authentication.as_ref(), authorization.as_deref()));
    let files = reader.files;
    (Security { ip_lists, authentication, authorization, own_fields, response_fields, files }, digest)
}

/// What endpoints are told of who asks, by providers and by an authorizer.
fn own_fields(authentication: Option<&Authentication>, authorization: Option<&Authorizer>) -> OwnFields {
    let told = authentication.into_iter().flat_map(Authentication::told);
    let external = authorization.and_then(|authorizer| authorizer.external.as_ref());
    OwnFields::new(told.chain(external.into_iter().flat_map(|external| &external.adds)))
}

fn ip_lists_of(given: &config::IpLists, at: &Place, reader: &mut Reader, findings: &mut Findings) -> IpLists {
    let mut list = |key: &str, written: &[String], file: Option<&String>| {
        let mut all = networks(written, &at.at(key), findings);
        if let Some(path) = file {
            let at = at.at(format!("{key}_file"));
            let text = reader.text(path, MAX_LIST_BYTES, &at, findings).unwrap_or_default();
            match ip_lists::parse(&text) {
                Ok(networks) => all.extend(networks),
                Err(why) => findings.add(&at, format!("{path}: {why}")),
            }
        }
        IpSet::new(all.into_iter())
    };
    let deny = list("deny", &given.deny, given.deny_file.as_ref());
    // An empty file that is to let some in lets nobody in.
    let allows = !given.allow.is_empty() || given.allow_file.is_some();
    let allow = allows.then(|| list("allow", &given.allow, given.allow_file.as_ref()));
    IpLists { deny, allow }
}

fn networks(written: &[String], at: &Place, findings: &mut Findings) -> Vec<IpNet> {
    let mut networks = Vec::with_capacity(written.len());
    for (n, text) in written.iter().enumerate() {
        match ip_lists::network(text) {
            Some(network) => networks.push(network),
            None => findings.add(&at.at(n), format!("{text:?} is no address and no network (10.0.0.0/8)")),
        }
    }
    networks
}

/// Reports what routes name and `security` does not have.
pub(super) fn names_of_routes(
    security: &Security,
    routes: &[Arc<Route>],
    at: &Place,
    findings: &mut Findings,
) {
    for (n, route) in routes.iter().enumerate() {
        let Some(names) = &route.authentication else { continue };
        let at = at.at(n).at("authentication");
        match &security.authentication {
            Some(authentication) => authentication.knows(names, &at, findings),
            None if names.is_empty() => {}
            None => findings.add(&at, "there is no security.authentication"),
        }
    }
}
