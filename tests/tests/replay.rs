//! A recorded gray endpoint, replayed by the real binary: the same bytes each time, from each source.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;
use tests::binary;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Forty seconds of `cart` with five endpoints; the third fails 30 % from second 15 on.
const RECORDING: &str = include_str!("../recordings/gray-endpoint.jsonl");
/// What is said of it; when the judgement changes on purpose, replay the recording anew.
const GOLDEN: &str = include_str!("../recordings/gray-endpoint.replay.jsonl");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/gray-endpoint.jsonl");

async fn replay(recording: &str, more: &[&str], input: &[u8]) -> Result<Output> {
    let mut command = Command::new(binary("lightsout"));
    command.args(["replay", recording, "--format", "json"]).args(more).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let (fed, output) = tokio::join!(
        async move {
            stdin.write_all(input).await?;
            stdin.shutdown().await
        },
        child.wait_with_output()
    );
    // Who reads a file has no use for standard input.
    fed.or_else(|why| if recording == "-" { Err(why) } else { Ok(()) })?;
    Ok(output?)
}

fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn compressed(dir: &Path) -> Result<String> {
    let path = dir.join("recording.zst");
    std::fs::write(&path, zstd::encode_all(RECORDING.as_bytes(), 3)?)?;
    Ok(path.to_string_lossy().into_owned())
}

#[tokio::test]
async fn a_recording_says_the_same_bytes_each_time_and_from_each_source() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for _ in 0..2 {
        assert_eq!(said(&replay(PATH, &[], b"").await?), GOLDEN);
    }
    assert_eq!(said(&replay("-", &[], RECORDING.as_bytes()).await?), GOLDEN);
    let compressed = compressed(dir.path())?;
    assert_eq!(said(&replay(&compressed, &[], b"").await?), GOLDEN);
    assert_eq!(said(&replay("-", &[], &std::fs::read(compressed)?).await?), GOLDEN);
    Ok(())
}

#[tokio::test]
async fn lines_that_are_no_windows_are_skipped_and_counted() -> Result<()> {
    let mut text = String::from("rubbish\n{}\n[]\n\n");
    text.push_str(&RECORDING.replacen("\"requests\":", "\"requests\":-", 1));
    text.push_str("{\"proxy\":\"");
    text.push_str(&"x".repeat(1 << 20));
    let output = replay("-", &[], text.as_bytes()).await?;
    assert_eq!(said(&output), GOLDEN);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.trim(), "5 lines that are no windows were skipped");
    let empty = replay("-", &[], b"").await?;
    assert_eq!((said(&empty).as_str(), empty.stderr.len()), ("", 0));
    Ok(())
}

#[tokio::test]
async fn order_and_repetition_change_nothing() -> Result<()> {
    let mut mixed: Vec<&str> = RECORDING.lines().collect();
    mixed.chunks_mut(2).for_each(<[&str]>::reverse);
    let twice: Vec<&str> = mixed.iter().flat_map(|line| [*line, *line]).collect();
    let output = replay("-", &[], twice.join("\n").as_bytes()).await?;
    assert_eq!(lines(&said(&output)).len(), GOLDEN.lines().count());
    assert!(String::from_utf8_lossy(&output.stderr).contains("40 windows were repeated"));
    Ok(())
}

#[tokio::test]
async fn every_line_has_the_promised_shape() {
    let keys = ["at_ms", "type", "incident", "service", "cause", "confidence", "action", "verdict", "why"];
    let cause = ["kind", "service", "endpoint", "version", "ips"];
    let mut before = 0;
    for line in lines(GOLDEN) {
        let object = line.as_object().unwrap();
        assert_eq!(object.len(), keys.len());
        assert!(keys.iter().all(|key| object.contains_key(*key)), "{line}");
        assert!(cause.iter().all(|key| line["cause"].as_object().unwrap().contains_key(*key)), "{line}");
        let at_ms = line["at_ms"].as_i64().unwrap();
        assert!(at_ms >= before && at_ms % 1_000 == 0, "{line}");
        before = at_ms;
    }
    let first = &lines(GOLDEN)[0];
    assert_eq!(first["cause"]["endpoint"], "10.0.176.3:8080");
    assert!(first["at_ms"].as_i64().unwrap() <= 1_700_000_018_000, "within three seconds");
}

#[tokio::test]
async fn only_autonomous_allows() -> Result<()> {
    for (mode, verdict) in [("observe", "deny"), ("advisory", "ask"), ("autonomous", "allow")] {
        let all = lines(&said(&replay(PATH, &["--mode", mode], b"").await?));
        let verdicts: Vec<&Value> = all.iter().filter(|l| l["type"] == "verdict").collect();
        assert_eq!(verdicts.len(), 1, "{mode}");
        assert_eq!(verdicts[0]["verdict"], verdict, "{mode}");
        assert_eq!(all.iter().any(|l| l["type"] == "action"), mode == "autonomous");
    }
    Ok(())
}
