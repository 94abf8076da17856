//! Where secrets come from beside files: the environment (`env:NAME`) and systemd (`credential:NAME`, a file under
//! `$CREDENTIALS_DIRECTORY`); and that they do not leave in a core dump.

use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nix::sys::prctl;
use zeroize::Zeroizing;

/// The largest secret that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Set to 1, it lets this process write core dumps: whoever debugs it decides so.
pub const COREDUMPS: &str = "LIGHTSOUT_COREDUMPS";

/// What a path that is none names; `None` for an ordinary file. The words of an error say the name, never the value.
#[must_use]
pub fn elsewhere(path: &Path) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
    let text = path.to_str()?;
    if let Some(name) = text.strip_prefix("env:") {
        let value = env::var_os(name).ok_or_else(|| format!("the environment has no {name}"));
        return Some(value.map(|value| Zeroizing::new(value.into_encoded_bytes())));
    }
    let name = text.strip_prefix("credential:")?;
    let folder = env::var_os("CREDENTIALS_DIRECTORY");
    Some(folder.map_or_else(
        || Err("systemd gave no credentials (LoadCredential=): CREDENTIALS_DIRECTORY is not set".to_owned()),
        |folder| credential(Path::new(&folder), name),
    ))
}

fn credential(folder: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(format!("{name:?} is no credential's name"));
    }
    let mut secret = Zeroizing::new(Vec::new());
    let file = File::open(folder.join(name)).map_err(|why| format!("the credential {name}: {why}"))?;
    let read = file.take(MAX_BYTES).read_to_end(&mut secret);
    read.map_err(|why| format!("the credential {name}: {why}"))?;
    Ok(secret)
}

/// The same as text.
#[must_use]
pub fn text_elsewhere(path: &Path) -> Option<Result<Zeroizing<String>, String>> {
    let found = elsewhere(path)?;
    Some(found.and_then(|bytes| {
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is no text".to_owned())?;
        Ok(Zeroizing::new(text.to_owned()))
    }))
}

/// From now on this process writes no core dump, and no other process of its user may read its memory.
///
/// # Errors
/// What the system says.
pub fn stay_out_of_core_dumps() -> Result<(), String> {
    if env::var_os(COREDUMPS).is_some_and(|value| value == "1") {
        return Ok(());
    }
    prctl::set_dumpable(false).map_err(|why| why.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_file_of_its_folder_and_of_no_other() {
        let folder = env::temp_dir().join(format!("credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("api"), "secret\n").unwrap();
        assert_eq!(*credential(&folder, "api").unwrap(), b"secret\n");
        for name in ["", "..", "../passwd", "/etc/passwd", ".hidden", "absent"] {
            assert!(credential(&folder, name).is_err(), "{name}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_ordinary_path_is_nowhere_else_and_an_error_says_the_name_alone() {
        assert!(elsewhere(Path::new("./lightsout-data/api.token")).is_none());
        let why = elsewhere(Path::new("env:LIGHTSOUT_NO_SUCH_VARIABLE")).unwrap().unwrap_err();
        assert_eq!(why, "the environment has no LIGHTSOUT_NO_SUCH_VARIABLE");
    }
}
