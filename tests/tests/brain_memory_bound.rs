//! What ten thousand series cost a brain, and what it does with the ten thousand and first.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::binary;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

const SERVICES: usize = 1_000;
const ENDPOINTS: usize = 10;
const PER_WINDOW: usize = 50;
/// Seconds told of: each ring and sketch is made at the first, more of them cost nothing more.
const SECONDS: usize = 3;
const MOST_KB: u64 = 200 * 1_024;

fn cell(service: usize, endpoint: usize) -> Value {
    let index = 400 + (service + endpoint) % 40;
    json!({
        "service": format!("s{service}"), "version": "v1", "caller": "web", "route": "default",
        "endpoint": format!("10.{}.{}.{}:80", service / 200, service % 200, endpoint + 1),
        "requests": 20, "status": { "2xx": 20 }, "timeouts": 0, "resets": 0, "connect_failures": 0, "retries": 0,
        "latency": { "gamma": 1.02, "unit": "us", "buckets": [[index, 10], [index + 60, 10]] },
        "bytes_in": 0, "bytes_out": 0, "in_flight_max": 2
    })
}

fn window(second: usize, proxy: usize, services: std::ops::Range<usize>) -> String {
    let cells: Vec<Value> = services.flat_map(|s| (0..ENDPOINTS).map(move |e| cell(s, e))).collect();
    let start_ms = 1_700_000_000_000_u64 + second as u64 * 1_000;
    let window = json!({
        "proxy": format!("p{proxy}"), "boot": "b", "seq": second + 1, "start_ms": start_ms, "duration_ms": 1_000,
        "config_hash": "c", "cells": cells, "clients": []
    });
    format!("{window}\n")
}

/// The most memory the process ever used, kilobytes; nothing once it has ended.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_series_take_less_than_200_mb_and_what_is_beyond_is_counted() -> Result<()> {
    let mut command = Command::new(binary("lightsout"));
    command.args(["replay", "-", "--format", "json"]).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id().context("it has ended")?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let mut stderr = child.stderr.take().context("no standard error")?;
    for second in 0..SECONDS {
        for proxy in 0..SERVICES / PER_WINDOW {
            let services = proxy * PER_WINDOW..(proxy + 1) * PER_WINDOW;
            stdin.write_all(window(second, proxy, services).as_bytes()).await?;
        }
        // One service more than there is room for.
        stdin.write_all(window(second, SERVICES, SERVICES..SERVICES + 1).as_bytes()).await?;
    }
    stdin.shutdown().await?;
    drop(stdin);
    let (mut peak, mut text) = (0, String::new());
    let watched = async {
        while let Some(now) = peak_kb(pid) {
            peak = peak.max(now);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let ended = async {
        stderr.read_to_string(&mut text).await?;
        child.wait().await
    };
    let (_, ended) = tokio::join!(watched, ended);
    assert!(ended?.success(), "{text}");
    println!("{} MB for {} series", peak / 1_024, SERVICES * ENDPOINTS);
    assert!(peak > 0 && peak < MOST_KB, "{peak} kB");
    let beyond = SECONDS * ENDPOINTS;
    assert!(text.contains(&format!("{beyond} cells beyond the bound on series were not judged")), "{text}");
    Ok(())
}
