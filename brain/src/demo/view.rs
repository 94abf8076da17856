//! The live view: what users see, where the traffic goes, what the brain sees, thinks and does.
//!
//! On a terminal one block that is drawn again; elsewhere plain lines, so that a log reads well.

use std::time::Duration;

use console::Term;
use owo_colors::{OwoColorize, Stream};
use protocol::snapshot::{EndpointStatus, Health, ProxyStatus};

use super::DemoArgs;
use super::fault::SICK_SERVICE;
use super::feed::Line;
use super::mesh::{Brain, Mesh};
use super::traffic::Traffic;

/// Lines of the brain's doings that are kept on screen.
const DOINGS: usize = 12;
/// Seconds of failures drawn as bars.
const BARS: u64 = 60;
/// Seconds that "now" means.
const NOW: Duration = Duration::from_secs(3);
/// Without a terminal, the numbers are said this often.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Draws one run.
pub struct View {
    term: Term,
    title: String,
    live: bool,
    drawn: usize,
    said: usize,
    next_numbers: Duration,
    doings: Vec<String>,
}

impl View {
    /// A view for a run of `args`, with or without the brain.
    pub fn new(args: &DemoArgs, brain: Brain) -> Self {
        let term = Term::stdout();
        let fault = args.fault.name();
        let who = match brain {
            Brain::On => format!("brain on, {:?}", args.mode).to_lowercase(),
            Brain::Off => "brain off".to_owned(),
        };
        let live = term.is_term() && !args.once;
        let title = format!("lightsout demo · {fault} · {who}");
        Self { term, title, live, drawn: 0, said: 0, next_numbers: Duration::ZERO, doings: Vec::new() }
    }

    /// One line of the narrator.
    pub fn say(&mut self, text: &str) {
        if self.live {
            self.doings.push(format!("{}  {text}", "··".dimmed()));
        } else {
            self.print(&format!("[demo] {text}"));
        }
    }

    /// Where the parts can be reached.
    pub fn introduce(&mut self, mesh: &Mesh) {
        self.say(&format!("{} · front door {}", self.title.clone(), mesh.front_door));
        if let Some(api) = &mesh.api {
            self.say(&format!("ask the brain: lightsout status --url {api}"));
        }
    }

    /// Draws the run as it stands.
    pub async fn draw(&mut self, mesh: &Mesh, traffic: &Traffic, lines: &[Line]) {
        let fresh: Vec<String> = lines.iter().skip(self.said).filter_map(sentence).collect();
        self.said = lines.len();
        let clock = traffic.began.elapsed();
        if self.live {
            self.doings.extend(fresh.into_iter().map(|text| format!("{} {text}", stopwatch(clock))));
            let status = status_of(&mesh.cart_admin).await;
            self.redraw(&self.block(mesh, traffic, clock, status.as_ref()));
            return;
        }
        for text in fresh {
            self.print(&format!("[{}] {text}", stopwatch(clock)));
        }
        if clock >= self.next_numbers {
            self.next_numbers = clock + SAY_EVERY;
            self.print(&format!("[{}] {}", stopwatch(clock), numbers(traffic, clock)));
        }
    }

    /// Leaves the last picture standing.
    pub fn finish(&mut self) {
        self.drawn = 0;
    }

    fn block(
        &self,
        mesh: &Mesh,
        traffic: &Traffic,
        clock: Duration,
        status: Option<&ProxyStatus>,
    ) -> Vec<String> {
        let bold = |text: &str| text.if_supports_color(Stream::Stdout, |t| t.bold()).to_string();
        let mut block = vec![String::new(), format!("{}   {}", bold(&self.title), stopwatch(clock))];
        block.push(format!("  users   {}", numbers(traffic, clock)));
        block.push(format!("  trouble {}  (failed or slow a second, last minute)", bars(traffic, clock)));
        block.push(bold(&format!("  {SICK_SERVICE}")));
        let endpoints = status.into_iter().flat_map(|s| &s.services).flat_map(|s| &s.endpoints);
        block.extend(endpoints.map(|e| endpoint_line(e, &mesh.sick_endpoint)));
        block.push(bold("  the brain"));
        let first = self.doings.len().saturating_sub(DOINGS);
        block.extend(self.doings[first..].iter().map(|doing| format!("    {doing}")));
        block
    }

    fn redraw(&mut self, block: &[String]) {
        // A terminal that is gone or refuses to move its cursor is no reason to stop the mesh.
        let _ = self.term.clear_last_lines(self.drawn);
        let width = usize::from(self.term.size().1).max(40);
        for line in block {
            let _ = self.term.write_line(&console::truncate_str(line, width, "…"));
        }
        self.drawn = block.len();
    }

    fn print(&self, line: &str) {
        let _ = self.term.write_line(line);
    }
}

/// `GET /status` of a proxy; `None` when it does not answer, which the next look will tell.
pub async fn status_of(admin: &str) -> Option<ProxyStatus> {
    let response = reqwest::get(format!("{admin}/status")).await.ok()?;
    response.json().await.ok()
}

fn numbers(traffic: &Traffic, clock: Duration) -> String {
    let now = traffic.history.between(clock.saturating_sub(NOW), clock);
    let percent = |n: u64| 100.0 * n as f64 / now.requests.max(1) as f64;
    format!(
        "{:>4.0} rps   failed {:>4.1} %   slow {:>4.1} %   p50 {:>3.0} ms   p99 {:>4.0} ms",
        now.requests as f64 / NOW.as_secs_f64(),
        percent(now.failed),
        percent(now.slow),
        now.quantile_ms(0.5),
        now.quantile_ms(0.99),
    )
}

fn bars(traffic: &Traffic, clock: Duration) -> String {
    const HEIGHTS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let first = clock.as_secs().saturating_sub(BARS);
    let second = |s: u64| traffic.history.between(Duration::from_secs(s), Duration::from_secs(s + 1)).bad();
    let height = |bad: u64| HEIGHTS[usize::try_from(bad.div_ceil(3)).unwrap_or(8).min(8)];
    (first..clock.as_secs()).map(|s| height(second(s))).collect()
}

fn endpoint_line(endpoint: &EndpointStatus, sick: &str) -> String {
    let id = endpoint.endpoint.as_str();
    let share =
        if endpoint.ejected { "ejected".to_owned() } else { format!("weight {:>3}", endpoint.weight) };
    let health = match endpoint.health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        Health::Unknown => "unchecked",
    };
    let text = format!("    {id:<22} {share:<11} {:>3} in flight   check: {health}", endpoint.in_flight);
    let changed = endpoint.ejected || endpoint.weight != endpoint.weight_configured;
    match (changed, id == sick) {
        (true, _) => text.if_supports_color(Stream::Stdout, |t| t.yellow()).to_string(),
        (false, true) => format!("{text}   ◂ the one that falls sick"),
        (false, false) => text,
    }
}

fn stopwatch(clock: Duration) -> String {
    format!("{:02}:{:04.1}", clock.as_secs() / 60, (clock.as_millis() % 60_000) as f64 / 1e3)
}

/// What a record means to somebody watching; `None` for those that only prove.
fn sentence(line: &Line) -> Option<String> {
    let action = line.action.as_deref().unwrap_or_default();
    Some(match line.kind.as_str() {
        "incident_opened" => format!("sees     {}", line.text("/incident/summary")),
        "incident_updated" => format!("thinks   {}", line.text("/incident/summary")),
        "proposal" => {
            format!("proposes {} ({})", line.text("/proposal/action/kind/type"), line.text("/proposal/id"))
        }
        "verdict" => format!("guard    {}: {}", line.text("/judgement/verdict"), line.text("/judgement/why")),
        "decision" => format!("person   {}: {}", line.text("/decision"), line.text("/reason")),
        "intent" => format!("does     {action}: {}", line.text("/action/reason")),
        "receipt" => format!("proxy    {} took {action}", line.text("/proxy")),
        "refusal" => {
            format!("proxy    {} refused {action}: {}", line.text("/proxy"), line.text("/refusal/detail"))
        }
        "renewed" => format!("keeps    {action}"),
        "effect" => format!("checks   {action} {}: {}", line.text("/effect/kind"), line.text("/effect/why")),
        "undo" => format!("lets go  {action}: {}", line.text("/why")),
        "action_ended" => format!("ended    {action}: {}", line.text("/why")),
        "incident_closed" => format!("closes   {}: {}", line.text("/incident/id"), line.text("/why")),
        _ => return None,
    })
}
