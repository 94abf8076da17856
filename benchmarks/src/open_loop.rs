//! An open-loop client: requests leave when they are due, however slowly the answers come, and what is not answered
//! in time is given up, as users do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Not counted: limits find themselves, queues fill.
const WARM_UP: Duration = Duration::from_secs(3);
/// Requests under way at once; more are as good as given up.
const MOST_UNDER_WAY: usize = 8_000;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// To whom.
    pub target: SocketAddr,
    /// Requests a second.
    pub rate: f64,
    /// For so long, after the warm-up.
    pub time: Duration,
    /// A later answer is of no use.
    pub in_time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Good answers a second.
    pub good_rate: f64,
    /// Their 99th percentile, from when they were due.
    pub p99: Duration,
}

type Idle = Arc<Mutex<Vec<TcpStream>>>;

/// Offers it.
pub async fn offer(offered: Offered) -> Seen {
    let (idle, start) = (Idle::default(), Instant::now());
    let (counted_from, end) = (start + WARM_UP, start + WARM_UP + offered.time);
    let (mut due, mut under_way, mut good) = (start, JoinSet::new(), Vec::new());
    while due < end {
        sleep_until(due).await;
        // Timers have a grain of 1 ms: whatever is due by now leaves.
        while due <= Instant::now() && due < end {
            if under_way.len() < MOST_UNDER_WAY {
                under_way.spawn(one(Arc::clone(&idle), offered, due));
            }
            due += Duration::from_secs_f64(1.0 / offered.rate);
        }
        while let Some(Ok(ended)) = under_way.try_join_next() {
            good.extend(ended);
        }
    }
    good.extend(under_way.join_all().await.into_iter().flatten());
    let mut took: Vec<Duration> =
        good.into_iter().filter(|(due, _)| *due >= counted_from).map(|(_, took)| took).collect();
    took.sort_unstable();
    let p99 = took.get(took.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default();
    Seen { good_rate: took.len() as f64 / offered.time.as_secs_f64(), p99 }
}

/// When it was due and how long it took, if it was good.
async fn one(idle: Idle, offered: Offered, due: Instant) -> Option<(Instant, Duration)> {
    let answered = timeout_at(due + offered.in_time, ask(&idle, offered.target)).await;
    let is_good = matches!(answered, Ok(Some(true)));
    is_good.then(|| (due, due.elapsed()))
}

/// Whether the answer was 200.
async fn ask(idle: &Idle, target: SocketAddr) -> Option<bool> {
    let lent = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut stream = match lent {
        Some(stream) => stream,
        None => TcpStream::connect(target).await.ok()?,
    };
    stream.write_all(REQUEST).await.ok()?;
    let mut head = Vec::with_capacity(512);
    let (mut status, mut rest) = (None, usize::MAX);
    while rest > 0 {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
        let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(head.get(..end)?).ok()?.to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
        rest = (end + 4 + length.trim().parse::<usize>().ok()?).saturating_sub(head.len());
        status = text.get(9..12).map(|code| code == "200");
    }
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    status
}
