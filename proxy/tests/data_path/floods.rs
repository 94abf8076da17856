//! HTTP/2 floods: the connection is closed in bounded time, and others are served meanwhile.

use std::time::{Duration, Instant};

use super::h2_raw::*;
use super::mesh::{Mesh, live, with_settings};
use super::origin;
use super::wire::{get, status};

/// Sends `flood` over and over until the connection is closed; how many frames that took.
async fn until_cut(raw: &mut Raw, flood: &[u8], most: Duration) -> Option<u32> {
    let started = Instant::now();
    let mut sent = 0;
    while started.elapsed() < most {
        use tokio::io::AsyncWriteExt;
        let wrote = tokio::time::timeout(Duration::from_secs(2), raw.stream.write_all(flood)).await;
        match wrote {
            Ok(Ok(())) => sent += 1,
            _ => return Some(sent),
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn floods_are_cut_and_other_connections_served_meanwhile() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let open = head(1, END_HEADERS, &POST, &[]);
    let empty_block = frame(HEADERS, 0, 1, &block(&GET));
    let reset = |stream: u32| {
        [head(stream, END_HEADERS, &POST, &[]), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    let rapid: Vec<u8> = (0..4_000).flat_map(|n| reset(2 * n + 1)).collect();
    let zero = |stream: u32| {
        [head(stream, END_HEADERS, &POST, &[]), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    };
    let made: Vec<u8> = (0..4_000).flat_map(|n| zero(2 * n + 1)).collect();
    let bomb: Vec<u8> = (0..2_000u32)
        .flat_map(|n| {
            // One large entry in the table, named again and again by one byte each.
            let mut fields = block(&GET);
            fields.extend([0x40, 1, b'x', 127, 0x81, 0x1e].iter().chain(&[b'y'; 4_000]));
            fields.extend([0xbe; 8_000]);
            frame(HEADERS, BOTH, 2 * n + 1, &fields)
        })
        .collect();
    for (what, before, flood) in [
        ("PING", &[][..], frame(PING, 0, 0, &[0; 8]).repeat(500)),
        ("SETTINGS", &[], frame(SETTINGS, 0, 0, &setting(3, 100)).repeat(500)),
        ("PRIORITY", &[], frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]).repeat(500)),
        ("WINDOW_UPDATE", &open, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).repeat(500)),
        ("unknown frames", &[], frame(99, 0, 0, &[0; 100]).repeat(500)),
        ("empty DATA", &open, frame(DATA, 0, 1, &[]).repeat(500)),
        ("DATA of padding", &open, frame(DATA, PADDED, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).repeat(500)),
        ("empty CONTINUATION", &empty_block, frame(CONTINUATION, 0, 1, &[]).repeat(500)),
        ("large CONTINUATION", &empty_block, frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(4_000)))),
        ("rapid reset", &[], rapid),
        ("made to reset", &[], made),
        ("an HPACK bomb", &[], bomb),
    ] {
        let mut raw = Raw::handshake(mesh.address, &[]).await;
        raw.send(before).await;
        let other = async {
            let started = Instant::now();
            for _ in 0..5 {
                assert_eq!(status(&get(mesh.address, "/status/200", "").await), 200, "{what}");
            }
            started.elapsed()
        };
        let (cut, took) = tokio::join!(until_cut(&mut raw, &flood, Duration::from_secs(5)), other);
        assert!(cut.is_some(), "{what} goes on");
        assert!(took < Duration::from_secs(3), "{what}: five requests took {took:?}");
        assert!(origin.requests() < 2_000, "{what}: {} requests went on", origin.requests());
    }
}

#[tokio::test]
async fn a_flood_is_told_to_calm_down() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let mut raw = Raw::handshake(mesh.address, &[]).await;
    raw.send(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]).repeat(1_200)).await;
    let got = raw.rest().await;
    assert!(got.iter().any(|got| got.kind == GOAWAY && got.code() == Some(11)) && raw.closed, "{got:?}");
}

#[tokio::test]
async fn responses_that_nobody_reads_are_cut_though_pings_go_on() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |settings| {
        settings.server.idle_timeout = Duration::from_millis(500);
        settings.server.request_timeout = Duration::from_millis(500);
    });
    let mesh = Mesh::start(live);
    // A window of nothing: the response's head goes out, its body may not.
    let mut raw = Raw::handshake(mesh.address, &setting(4, 0)).await;
    let endless = [GET[0], GET[1], (":path", "/endless"), GET[3]];
    raw.send(&(0..50).flat_map(|n| head(2 * n + 1, BOTH, &endless, &[])).collect::<Vec<u8>>()).await;
    let started = Instant::now();
    while !raw.closed && started.elapsed() < Duration::from_secs(6) {
        raw.send(&frame(PING, 0, 0, &[0; 8])).await;
        while raw.next().await.is_some_and(|got| got.kind != PING) {}
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(raw.closed, "the connection goes on");
    let asked = origin.seen.pieces.load(std::sync::atomic::Ordering::SeqCst);
    // The kernel holds some megabytes for each of the origin's connections; the proxy holds none.
    assert!(asked < 50 * 1_000, "{asked} pieces were asked for");
}
