//! Connections that are opened and held: idle, or with as many octets as get through, either way.

use super::load::{CloseBy, Load, Stage};
use super::{FILLER, Workload, rest};
use crate::app::per_connection::PerConnection;
use crate::app::tally::Ending;
use crate::engine::{App, ConnId, Io, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;

/// Connections that one poll begins, or closes at the end, at most.
const CONNECTIONS_PER_POLL: usize = 64;
/// Handshakes, and closings at the end, that are under way at a time: no more than rings have room for.
const UNDER_WAY: u32 = 512;

/// A connection that the server ends after so long was held for a while; before, the place rests.
const WHILE: Duration = rest::MOST;

/// Which way octets go, as the client sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// None are sent: the workload `connect`.
    #[default]
    Idle,
    /// To the server.
    Send,
    /// From the server, which begins by itself.
    Receive,
    /// Both.
    Both,
}

impl Direction {
    /// Does the client send?
    pub const fn sends(self) -> bool {
        matches!(self, Direction::Send | Direction::Both)
    }
}

/// Where a connection is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Not in use.
    #[default]
    Free,
    /// SYN sent at `at`.
    Connecting,
    /// Held.
    Open,
    /// We closed our direction at `at`.
    Closing,
    /// Counted as failed before its end came.
    GivenUp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    step: Step,
    /// How often the place of the connection had failed in a row.
    failures: u8,
    /// It brought octets, was held for a while, or was closed by us.
    was_of_use: bool,
    conn: Option<ConnId>,
    at: Instant,
}

impl Flow {
    /// Closes our direction, or all of it.
    fn close(&mut self, by: CloseBy, stack: &mut Stack, now: Instant) {
        (self.step, self.at, self.was_of_use) = (Step::Closing, now, true);
        if let Some(conn) = self.conn {
            let reset = by == CloseBy::Reset;
            let _ = if reset { stack.abort(conn) } else { stack.shutdown(conn) };
        }
    }
}

/// The workloads `connect` and `stream`.
#[derive(Debug)]
pub struct Stream {
    load: Load,
    flows: PerConnection<Flow>,
    /// Handshakes and closings that are under way.
    under_way: u32,
    /// The next flow to close at the end.
    sweep: usize,
    /// Until when connections are held, the one that was opened first before the others.
    held: VecDeque<(Instant, ConnId)>,
}

impl Stream {
    fn connect(&mut self, stack: &mut Stack, now: Instant) {
        if self.load.is_complete() {
            return self.load.pass_over(now);
        }
        if stack.is_output_blocked() {
            return self.load.blocked(now);
        }
        for _ in 0..CONNECTIONS_PER_POLL {
            if self.under_way >= UNDER_WAY || !self.load.may_connect(now) {
                return self.load.refused(now);
            }
            if self.load.next_start(now).is_none() {
                return;
            }
            match self.load.connect(stack, 0) {
                Ok((conn, failures)) => {
                    let flow = self.flows.start(conn);
                    (flow.step, flow.conn) = (Step::Connecting, Some(conn));
                    (flow.at, flow.failures) = (now, failures);
                    self.under_way += 1;
                    self.load.tally.opened();
                }
                Err(error) => return self.load.not_begun(error, now),
            }
        }
    }

    /// Writes until the send buffer is full.
    fn fill(&mut self, io: &mut Io<'_>) {
        if !self.load.config.direction.sends() || !self.load.is_running() {
            return;
        }
        loop {
            let taken = io.write(&FILLER);
            self.load.tally.bytes_sent.add(taken as u64);
            if taken < FILLER.len() {
                return;
            }
        }
    }

    /// Closes what has been held for its time, a few each poll.
    fn close_due(&mut self, now: Instant, stack: &mut Stack) {
        for _ in 0..CONNECTIONS_PER_POLL {
            let Some(&(until, conn)) = self.held.front() else { return };
            let flow = self.flows.of(conn);
            if flow.step != Step::Open || flow.conn != Some(conn) {
                self.held.pop_front(); // it has ended before
                continue;
            }
            if until > now || self.under_way >= UNDER_WAY {
                return;
            }
            self.held.pop_front();
            self.under_way += 1;
            flow.close(self.load.config.close, stack, now);
        }
    }

    /// Closes what is held, a few each poll: our direction, and the other when the peer has closed it,
    /// so that what is on its way from there is received.
    fn close_some(&mut self, stack: &mut Stack, now: Instant) {
        let by = self.load.config.close;
        let flows = self.flows.all();
        for _ in 0..CONNECTIONS_PER_POLL.min(flows.len()) {
            if self.under_way >= UNDER_WAY {
                return;
            }
            self.sweep = (self.sweep + 1) % flows.len();
            let flow = &mut flows[self.sweep];
            if flow.step == Step::Open {
                self.under_way += 1;
                flow.close(by, stack, now);
            }
        }
    }

    fn abort_all(&mut self, stack: &mut Stack) {
        for flow in self.flows.all() {
            if flow.step != Step::Free
                && let Some(conn) = flow.conn.take()
            {
                self.under_way += u32::from(flow.step == Step::Open);
                flow.step = Step::Connecting; // not as it should have ended
                if stack.abort(conn).is_err() {
                    flow.step = Step::GivenUp;
                    self.under_way -= 1;
                    self.load.given_up();
                }
            }
        }
    }
}

impl Workload for Stream {
    fn new(mut load: Load, max_connections: u32) -> Self {
        if load.config.hold.is_none() {
            load.keep_connections();
        }
        let held = load.config.hold.map_or(0, |_| load.config.connections as usize);
        Stream {
            load,
            flows: PerConnection::new(max_connections),
            under_way: 0,
            sweep: 0,
            held: VecDeque::with_capacity(held),
        }
    }

    fn load(&self) -> &Load {
        &self.load
    }

    fn load_mut(&mut self) -> &mut Load {
        &mut self.load
    }
}

impl App for Stream {
    fn on_poll(&mut self, stack: &mut Stack) {
        let now = stack.now();
        match self.load.tick(now) {
            Stage::Running => {
                self.close_due(now, stack);
                self.connect(stack, now);
            }
            Stage::Draining => {
                self.held.clear();
                self.close_some(stack, now);
            }
            Stage::Overdue => self.abort_all(stack),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let tally = &self.load.tally;
        let idle = tally.open_now.get() < u64::from(self.load.config.connections);
        let due = self.held.front().map(|&(until, _)| until);
        self.load.next_deadline(idle).into_iter().chain(due).min()
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        let flow = self.flows.of(io.conn());
        self.load.established(flow.at, io.now());
        flow.step = Step::Open;
        self.under_way -= 1;
        if let Some(hold) = self.load.config.hold {
            self.held.push_back((io.now() + hold, io.conn()));
        }
        self.fill(io);
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        self.flows.of(io.conn()).was_of_use = true;
        self.load.tally.bytes_received.add(data.len() as u64);
        data.len()
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.fill(io);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let flow = self.flows.of(io.conn());
        if flow.step == Step::Open {
            flow.was_of_use |= io.now().since(flow.at) >= WHILE;
            (flow.step, flow.at) = (Step::Closing, io.now());
            self.under_way += 1;
            self.load.tally.closed_by_peer.bump();
        }
        io.close();
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let flow = self.flows.of(io.conn());
        let step = core::mem::take(&mut flow.step);
        self.under_way -= u32::from(matches!(step, Step::Connecting | Step::Closing));
        let long = step == Step::Open && io.now().since(flow.at) >= WHILE;
        let (was_of_use, failures) = (flow.was_of_use || long, flow.failures);
        let ending = match (step, Ending::of_established(reason)) {
            (Step::GivenUp, _) => return,
            (Step::Free | Step::Connecting, _) => Ending::Failed,
            (Step::Closing, Ending::Orderly) => {
                self.load.closed(flow.at, io.now());
                Ending::Orderly
            }
            (_, ending) => ending,
        };
        self.load.ended(ending, Some(reason));
        self.load.free_place(failures, was_of_use, io.now());
    }
}
