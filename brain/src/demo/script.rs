//! One run of the demo, from the first request to the last.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use super::DemoArgs;
use super::fault::{APPROVAL_WITHIN, Fault, QUIET_FOR, RETURN_WITHIN, WARM_UP, WARM_UP_WITHOUT_BRAIN};
use super::feed::{Feed, Line};
use super::mesh::{Brain, Mesh};
use super::traffic::{History, Traffic};
use super::view::View;
use crate::domain::Mode;

/// How often the run looks at itself.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The last requests may still be on their way for so long.
const SETTLE: Duration = Duration::from_secs(3);

/// What happened in a run. Durations count from the first request.
pub struct Run {
    /// Wall clock at the first request, milliseconds since the epoch.
    pub started_ms: i64,
    /// When the endpoint fell sick.
    pub sick_at: Duration,
    /// When it was well again.
    pub well_at: Duration,
    /// The endpoint.
    pub sick_endpoint: String,
    /// What users saw.
    pub history: History,
    /// What the brain did.
    pub lines: Vec<Line>,
    /// Leases that the proxy in front of the sick service still held at the end.
    pub leases_left: usize,
    /// Whether the endpoint had its configured weight again at the end.
    pub returned: bool,
    /// Whether somebody pressed Ctrl-C.
    pub interrupted: bool,
}

/// Plays one run to its end.
///
/// # Errors
/// When a part does not come up, or stops by itself.
pub async fn play(args: &DemoArgs, dir: &Path, brain: Brain) -> Result<Run> {
    let mut view = View::new(args, brain);
    view.say("starting the mesh");
    let mesh = Mesh::start(dir, brain, args.mode, args.api_port).await?;
    view.introduce(&mesh);
    let traffic = Traffic::start(&mesh.front_door, args.rate)?;
    let feed = mesh.api.as_deref().map(Feed::new);
    let mut stage = Stage { mesh, traffic, feed, view, interrupted: false };
    let times = stage.acts(args, brain).await;
    let run = stage.close(times).await;
    stage.mesh.stop().await;
    run
}

/// The parts while they run.
struct Stage {
    mesh: Mesh,
    traffic: Traffic,
    feed: Option<Feed>,
    view: View,
    interrupted: bool,
}

impl Stage {
    /// Warm-up, sickness, recovery. Returns when the endpoint fell sick and when it was well again.
    async fn acts(&mut self, args: &DemoArgs, brain: Brain) -> Result<(Duration, Duration)> {
        let warm_up = if brain == Brain::On { WARM_UP } else { WARM_UP_WITHOUT_BRAIN };
        self.wait(warm_up, |_| false).await?;
        let sick_at = self.traffic.began.elapsed();
        if args.fault == Fault::None {
            self.wait(QUIET_FOR, |_| false).await?;
            return Ok((sick_at, self.traffic.began.elapsed()));
        }
        self.mesh.set_fault(args.fault).await?;
        self.view.say(&format!("{} falls sick: {}", self.mesh.sick_endpoint, args.fault.name()));
        if brain == Brain::On && args.mode == Mode::Advisory {
            self.wait_for_a_person().await?;
        }
        self.wait(Duration::from_secs(args.sick_for.into()), |_| false).await?;
        self.mesh.set_fault(Fault::None).await?;
        let well_at = self.traffic.began.elapsed();
        self.view.say(&format!("{} is well again", self.mesh.sick_endpoint));
        if brain == Brain::On && args.mode != Mode::Observe {
            self.wait(RETURN_WITHIN, |lines| lines.iter().any(|l| l.kind == "incident_closed")).await?;
        }
        Ok((sick_at, well_at))
    }

    /// Until somebody approves in another terminal, and the proxy has taken it.
    async fn wait_for_a_person(&mut self) -> Result<()> {
        self.wait(APPROVAL_WITHIN, |lines| lines.iter().any(|l| l.kind == "proposal")).await?;
        let lines = self.feed.iter().flat_map(|feed| &feed.lines);
        let proposal =
            lines.map(|l| l.text("/proposal/id")).find(|id| !id.is_empty()).unwrap_or("ID").to_owned();
        let api = self.mesh.api.clone().unwrap_or_default();
        let dir = self.mesh.dir.display();
        self.view
            .say(&format!("it waits for you: lightsout approve {proposal} --url {api} --data-dir {dir}"));
        self.wait(APPROVAL_WITHIN, |lines| lines.iter().any(|l| l.kind == "receipt")).await
    }

    /// Lets time pass, looking and drawing, until it is over or `enough` has been seen.
    async fn wait(&mut self, at_most: Duration, enough: impl Fn(&[Line]) -> bool) -> Result<()> {
        let until = tokio::time::Instant::now() + at_most;
        let mut clock = interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.interrupted && tokio::time::Instant::now() < until {
            tokio::select! {
                _ = clock.tick() => {}
                pressed = tokio::signal::ctrl_c() => { pressed?; self.interrupted = true; }
            }
            self.mesh.still_running()?;
            if let Some(feed) = &mut self.feed {
                feed.poll().await?;
            }
            let lines = self.feed.as_ref().map_or(&[][..], |feed| &feed.lines);
            self.view.draw(&self.mesh, &self.traffic, lines).await;
            if enough(lines) {
                break;
            }
        }
        Ok(())
    }

    async fn close(&mut self, times: Result<(Duration, Duration)>) -> Result<Run> {
        let (sick_at, well_at) = times?;
        self.wait(SETTLE, |_| false).await?;
        self.view.finish();
        let status = super::view::status_of(&self.mesh.cart_admin).await;
        let sick = status.iter().flat_map(|s| &s.services).flat_map(|s| &s.endpoints);
        let sick = sick.filter(|e| e.endpoint.as_str() == self.mesh.sick_endpoint);
        let began = jiff::Timestamp::now().as_millisecond() - self.traffic.began.elapsed().as_millis() as i64;
        Ok(Run {
            started_ms: began,
            sick_at,
            well_at,
            sick_endpoint: self.mesh.sick_endpoint.clone(),
            history: self.traffic.history.clone(),
            lines: self.feed.as_ref().map(|feed| feed.lines.clone()).unwrap_or_default(),
            leases_left: status.as_ref().map_or(0, |s| s.leases.len()),
            returned: sick.clone().count() > 0
                && sick.clone().all(|e| !e.ejected && e.weight == e.weight_configured),
            interrupted: self.interrupted,
        })
    }
}
