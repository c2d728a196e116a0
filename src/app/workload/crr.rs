//! Connect, request, response, close: a new connection for each request.

use super::load::{CloseBy, Load, Stage};
use super::{End, Workload, send_filler};
use crate::app::no_delay;
use crate::app::per_connection::PerConnection;
use crate::app::tally::Ending;
use crate::engine::{App, ConnId, Io, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;

/// Connections that one poll begins at most, so that it stays short.
const OPENS_PER_POLL: usize = 64;

/// Where a connection is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Not in use.
    #[default]
    Free,
    /// SYN sent at `at`.
    Connecting,
    /// Request sent at `at`.
    Requesting,
    /// Response complete; the server closes first.
    Answered,
    /// We closed at `at`.
    Closing,
    /// Something came that was not agreed on.
    Astray,
    /// Counted as failed before its end came.
    GivenUp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Visit {
    step: Step,
    conn: Option<ConnId>,
    /// When the request was to start.
    intended: Instant,
    /// When the step began.
    at: Instant,
    /// Octets of the request still to be sent.
    unsent: u32,
    /// Octets of the response still to come.
    awaited: u32,
}

/// The workload.
#[derive(Debug)]
pub struct Crr {
    load: Load,
    /// How a request ends.
    end: End,
    visits: PerConnection<Visit>,
}

impl Crr {
    fn connect(&mut self, stack: &mut Stack, intended: Instant) -> bool {
        let now = stack.now();
        match self.load.connect(stack, 0) {
            Ok(conn) => {
                let visit = self.visits.start(conn);
                visit.step = Step::Connecting;
                visit.conn = Some(conn);
                (visit.intended, visit.at) = (intended, now);
                self.load.tally.opened();
                true
            }
            Err(error) => {
                self.load.not_begun(error, now);
                false
            }
        }
    }

    fn send(&mut self, io: &mut Io<'_>) {
        let visit = self.visits.of(io.conn());
        let before = visit.unsent;
        visit.unsent = send_filler(before.into(), self.end, |bytes| io.write(bytes)) as u32;
        self.load.tally.bytes_sent.add(u64::from(before - visit.unsent));
    }

    fn abort_all(&mut self, stack: &mut Stack) {
        for visit in self.visits.all() {
            if visit.step != Step::Free
                && let Some(conn) = visit.conn.take()
            {
                visit.step = Step::Astray;
                if stack.abort(conn).is_err() {
                    // Closed already: the stack brings it to its end, which is too late for us.
                    visit.step = Step::GivenUp;
                    self.load.given_up();
                }
            }
        }
    }
}

impl Workload for Crr {
    fn new(load: Load, max_connections: u32) -> Self {
        let server_closes = load.config.close == CloseBy::Server;
        let end = if server_closes { End::Last } else { End::Plain };
        Crr { load, end, visits: PerConnection::new(max_connections) }
    }

    fn load(&self) -> &Load {
        &self.load
    }

    fn load_mut(&mut self) -> &mut Load {
        &mut self.load
    }
}

impl App for Crr {
    fn on_poll(&mut self, stack: &mut Stack) {
        let now = stack.now();
        match self.load.tick(now) {
            Stage::Running => {}
            Stage::Draining => return,
            Stage::Overdue => return self.abort_all(stack),
        }
        for _ in 0..OPENS_PER_POLL {
            if !self.load.may_connect(now) {
                return self.load.refused(now);
            }
            let Some(intended) = self.load.next_start(now) else { return };
            if !self.connect(stack, intended) {
                return;
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let tally = &self.load.tally;
        let idle = tally.open_now.get() < u64::from(self.load.config.connections);
        self.load.next_deadline(idle)
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        no_delay(io);
        let now = io.now();
        let visit = self.visits.of(io.conn());
        self.load.established(visit.at, now);
        (visit.step, visit.at) = (Step::Requesting, now);
        visit.unsent = self.load.config.shape.request_size;
        visit.awaited = self.load.config.shape.response_size;
        self.send(io);
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.send(io);
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let now = io.now();
        self.load.tally.bytes_received.add(data.len() as u64);
        let visit = self.visits.of(io.conn());
        if data.len() > visit.awaited as usize || visit.step != Step::Requesting {
            visit.step = Step::Astray;
            io.abort();
            return data.len();
        }
        visit.awaited -= data.len() as u32;
        if visit.awaited == 0 {
            self.load.answered(visit.intended, visit.at, now);
            match self.load.config.close {
                CloseBy::Server => visit.step = Step::Answered,
                CloseBy::Client => {
                    (visit.step, visit.at) = (Step::Closing, now);
                    io.close();
                }
                CloseBy::Reset => {
                    (visit.step, visit.at) = (Step::Closing, now);
                    io.abort();
                }
            }
        }
        data.len()
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let visit = self.visits.of(io.conn());
        match visit.step {
            Step::Answered => (visit.step, visit.at) = (Step::Closing, io.now()),
            Step::Closing => return,
            // The response was cut short.
            _ => visit.step = Step::Astray,
        }
        io.close();
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let now = io.now();
        let visit = self.visits.of(io.conn());
        let step = core::mem::take(&mut visit.step);
        if step == Step::GivenUp {
            return;
        }
        let ending = match (step, Ending::of_established(reason)) {
            (Step::Free | Step::Connecting | Step::Astray | Step::GivenUp, _) => Ending::Failed,
            (Step::Closing, Ending::Orderly) => {
                self.load.closed(visit.at, now);
                Ending::Orderly
            }
            (Step::Requesting | Step::Answered, Ending::Orderly) => Ending::Failed,
            (_, ending) => ending,
        };
        self.load.ended(ending, reason);
    }
}
