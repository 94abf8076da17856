//! Files of policies: one, or all of a kind in a folder.

use std::path::Path;

use super::findings::{Findings, Place};
use super::security::Reader;

/// The most files of a folder.
const MAX_FILES: usize = 256;

/// The files that `path` means, each with its text; `None`, with findings, where one cannot be read. The folder is
/// not watched for new ones: a file that is there already is, and a reload reads all.
pub(super) fn read(
    path: &str,
    kind: &str,
    most: usize,
    at: &Place,
    (reader, findings): (&mut Reader, &mut Findings),
) -> Option<Vec<(String, String)>> {
    let files = files(Path::new(path), kind).map_err(|why| findings.add(at, why)).ok()?;
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let text = reader.text(&file, most, at, findings)?;
        texts.push((file, text));
    }
    Some(texts)
}

/// `path` itself, or what lies in it and ends so, by name.
fn files(path: &Path, kind: &str) -> Result<Vec<String>, String> {
    if !path.is_dir() {
        return Ok(vec![path.display().to_string()]);
    }
    let unreadable = |why: std::io::Error| format!("{} cannot be read: {why}", path.display());
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let policies = paths.filter(|path| path.extension().is_some_and(|end| end == kind));
    let mut all: Vec<String> = policies.map(|path| path.display().to_string()).collect();
    all.sort_unstable();
    match all.len() {
        0 => Err(format!("{} holds no *.{kind}", path.display())),
        n if n > MAX_FILES => Err(format!("{} holds {n} files; {MAX_FILES} are the most", path.display())),
        _ => Ok(all),
    }
}
