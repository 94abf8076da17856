//! `lightsout audit verify --anchors FILE`: whoever rewrote the whole log did not rewrite its heads elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::client::{Connection, Failure};
use super::super::output::print;
use super::{is_brain_up, local, walk_remote};
use crate::audit::Record;
use crate::webhook::anchors::{Anchor, read};

/// Every anchor must be the hash of the record that it names.
pub(super) async fn hold(connection: &Connection, file: &Path) -> Result<(), Failure> {
    let anchors = read(file).map_err(Failure::Invalid)?;
    let mut open: BTreeMap<u64, &Anchor> = anchors.iter().map(|anchor| (anchor.seq, anchor)).collect();
    let (mut broken, mut first) = (None, None);
    let mut look = |record: &Record| {
        first.get_or_insert(record.seq);
        if let Some(anchor) = open.remove(&record.seq)
            && anchor.hash != record.hash
        {
            broken = Some((record.seq, anchor.at.clone()));
        }
        broken.is_none() && !open.is_empty()
    };
    if connection.data_dir.is_none() && is_brain_up(connection).await {
        walk_remote(connection, &mut look).await?;
    } else {
        local(connection).await?.walk(look).await.map_err(Failure::failed)?;
    }
    if let Some((seq, at)) = broken {
        return Err(Failure::Failed(format!("record {seq} is not the one whose hash was kept at {at}")));
    }
    // What was removed under a tombstone, which the walk before has checked, is not missing.
    let first = first.unwrap_or(1);
    let removed = open.range(..first).count();
    if let Some((seq, anchor)) = open.range(first..).next() {
        return Err(Failure::Failed(format!("record {seq}, whose hash was kept at {}, is gone", anchor.at)));
    }
    let agree = anchors.len() - removed;
    let beyond =
        if removed > 0 { format!(", {removed} are of records that were removed") } else { String::new() };
    print(&format!("{agree} anchors agree with the log{beyond}\n"))
}
