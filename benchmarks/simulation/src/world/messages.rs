//! What goes to and fro: windows and statuses to the brains, commands to the proxies, and each brain's turn.

use ::brain::domain::{Command, Outcome as Answer, Refusal, Reply};

use super::{MAX_WAITING, START_MS, World};
use crate::brain::Dies;
use crate::network::{Message, is_in_time, is_status_in_time};
use crate::plan::Fault;
use crate::{hostile, traffic};

impl World {
    /// One window of each proxy to each brain; each brain asks each proxy how it is.
    pub(super) fn telemetry(&mut self) {
        let wall_ms = START_MS + self.now_ms;
        for n in 0..self.proxies.len() {
            if self.proxies[n].down_until_ms > self.now_ms {
                continue;
            }
            let mut window =
                traffic::window(&self.plan, &mut self.proxies[n], self.now_ms, wall_ms, &mut self.rng);
            let lies = self.plan.hostile.iter().any(|((a, b), p)| *p == n && (*a..*b).contains(&self.now_ms));
            if lies {
                hostile::falsify(&mut window, &mut self.rng);
                self.net.count(Fault::HostileWindow);
            }
            for brain in 0..self.brains.len() {
                let Some(life) = self.brains[brain].life.as_ref().map(|life| life.number) else { continue };
                let window = Box::new(window.clone());
                self.net.send(self.now_ms, brain, n, Message::Window { brain, window });
                let poll = Message::Poll { brain, life, proxy: n, sent_ms: self.now_ms };
                self.net.send(self.now_ms, brain, n, poll);
            }
        }
    }

    pub(super) async fn deliver(&mut self) {
        while let Some((at_ms, message)) = self.net.arrived(self.now_ms) {
            match message {
                Message::Window { brain, window } => {
                    if let Some(life) = &mut self.brains[brain].life {
                        life.windows.push(*window);
                    }
                }
                Message::Command { brain, life, ticket, command, sent_ms } => {
                    let n = self.proxy_of(&command.proxy);
                    let outcome = self.carry_out(n, &command).await;
                    if is_in_time(sent_ms, at_ms) {
                        let reply = Message::Reply { brain, life, ticket, command, outcome };
                        self.net.send(self.now_ms, brain, n, reply);
                    }
                }
                Message::Reply { brain, life, ticket, command, outcome } => {
                    self.replied(brain, life, ticket, *command, outcome);
                }
                Message::Poll { brain, life, proxy, sent_ms } => {
                    let down = self.proxies[proxy].down_until_ms > self.now_ms;
                    if !down && is_status_in_time(sent_ms, at_ms) {
                        let status = Box::new(self.proxies[proxy].status());
                        self.net.send(self.now_ms, brain, proxy, Message::Status { brain, life, status });
                    }
                }
                Message::Status { brain, life, status } => {
                    let wall_ms = self.wall_ms(brain);
                    let living = self.brains[brain].life.as_mut().filter(|l| l.number == life);
                    if let Some(living) = living {
                        living.statuses.insert(status.proxy.to_string(), (wall_ms, *status));
                    }
                }
            }
        }
    }

    fn proxy_of(&self, name: &str) -> usize {
        self.proxies.iter().position(|p| p.name == name).unwrap_or(0)
    }

    async fn carry_out(&mut self, n: usize, command: &Command) -> Answer {
        let proxy = &self.proxies[n];
        if proxy.down_until_ms > self.now_ms {
            let detail = "connection refused".to_owned();
            return Answer::Refused(Refusal { status: 0, detail });
        }
        let before = proxy.view();
        let wall_ms = START_MS + self.now_ms + proxy.clock_off_ms;
        let outcome = proxy.obey(command, wall_ms).await;
        let views = (&before, &proxy.view());
        self.seen.obeyed(&proxy.name, command, &outcome, views, &mut self.findings);
        outcome
    }

    fn replied(&mut self, brain: usize, life: u64, ticket: u64, command: Command, outcome: Answer) {
        let at_ms = self.wall_ms(brain);
        let Some(living) = self.brains[brain].life.as_mut().filter(|l| l.number == life) else { return };
        let Some(lane) = living.lanes.get_mut(&command.proxy) else { return };
        if lane.under_way.as_ref().is_some_and(|(t, ..)| *t == ticket) {
            lane.under_way = None;
            living.replies.push(Reply { command, at_ms, outcome });
        }
    }

    /// One turn of a brain, and what it sends.
    pub(super) fn think(&mut self, before_ms: i64, brain: usize) {
        let wall_ms = self.wall_ms(brain);
        let due = |(at, b, _): &&(i64, usize, i64)| before_ms < *at && *at <= self.now_ms && *b == brain;
        let dead_ms = self.plan.crashes.iter().find(due).map(|(_, _, dead_ms)| *dead_ms);
        let dies = if dead_ms.is_some() { self.death() } else { Dies::Not };
        let dead_ms = dead_ms.unwrap_or(0);
        let slot = &mut self.brains[brain];
        let Some(life) = &mut slot.life else { return };
        let done = life.step(&mut slot.store, wall_ms, dies);
        slot.log.read(&slot.store, &life.newest_ms, &mut self.findings);
        for command in done.commands {
            slot.log.sent(&command, &mut self.findings);
            let lane = life.lanes.entry(command.proxy.clone()).or_default();
            if lane.waiting.len() < MAX_WAITING {
                lane.waiting.push_back(command);
            } else {
                life.replies.push(unheard(command, wall_ms));
            }
        }
        self.send_lanes(brain);
        if let Some(why) = done.died {
            self.findings.check("chain", !why.starts_with("panic"), || why.clone());
            self.brains[brain].life = None;
            self.brains[brain].dead_until_ms = self.now_ms + dead_ms;
            self.net.count(Fault::BrainCrash);
        }
    }

    fn death(&mut self) -> Dies {
        match self.rng.u8(0..4) {
            0 => Dies::BeforeWriting,
            1 => Dies::AfterWriting,
            _ => Dies::AfterSending(self.rng.usize(0..4)),
        }
    }

    fn send_lanes(&mut self, brain: usize) {
        let (now_ms, wall_ms) = (self.now_ms, self.wall_ms(brain));
        let Some(mut life) = self.brains[brain].life.take() else { return };
        for lane in life.lanes.values_mut() {
            if lane.under_way.as_ref().is_some_and(|(_, _, sent_ms)| !is_in_time(*sent_ms, now_ms))
                && let Some((_, command, _)) = lane.under_way.take()
            {
                life.replies.push(unheard(command, wall_ms));
            }
            if lane.under_way.is_none()
                && let Some(command) = lane.waiting.pop_front()
            {
                let ticket = life.next_ticket;
                life.next_ticket += 1;
                let n = self.proxies.iter().position(|p| p.name == command.proxy).unwrap_or(0);
                let boxed = Box::new(command.clone());
                lane.under_way = Some((ticket, command, now_ms));
                let message =
                    Message::Command { brain, life: life.number, ticket, command: boxed, sent_ms: now_ms };
                self.net.send(now_ms, brain, n, message);
            }
        }
        self.brains[brain].life = Some(life);
    }
}

fn unheard(command: Command, at_ms: i64) -> Reply {
    let detail = "no answer in time".to_owned();
    let outcome = Answer::Refused(Refusal { status: 0, detail });
    Reply { command, at_ms, outcome }
}
