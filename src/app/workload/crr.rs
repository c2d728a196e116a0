//! Connect, request, response, close: a new connection for each request.

use super::load::{CLOSE_GRACE, CloseBy, Load, Stage};
use super::trouble::Trouble;
use super::{End, Workload, send_filler};
use crate::app::deadlines::Deadlines;
use crate::app::no_delay;
use crate::app::per_connection::PerConnection;
use crate::app::tally::Ending;
use crate::engine::{App, ConnId, Error, Io, Stack};
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
    /// Response complete at `at`; the server closes first.
    Answered,
    /// We closed at `at`.
    Closing,
    /// Something came that was not agreed on, or did not come; why is told.
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
    /// Octets of the response still to come; 0 as well if it is not waited for any more.
    awaited: u32,
    /// How often the place of the connection had failed in a row.
    failures: u8,
}

/// The workload.
#[derive(Debug)]
pub struct Crr {
    load: Load,
    /// How a request ends.
    end: End,
    visits: PerConnection<Visit>,
    /// When a request has taken too long, or a server that was asked to close.
    deadlines: Deadlines,
}

impl Crr {
    fn connect(&mut self, stack: &mut Stack, intended: Instant) -> bool {
        let now = stack.now();
        match self.load.connect(stack, 0) {
            Ok((conn, failures)) => {
                let visit = self.visits.start(conn);
                visit.step = Step::Connecting;
                visit.conn = Some(conn);
                (visit.intended, visit.at, visit.failures) = (intended, now, failures);
                visit.awaited = self.load.config.shape.response_size;
                self.load.tally.opened();
                if let Some(time) = self.load.config.request_timeout {
                    self.deadlines.set(conn.index, now + time);
                }
                true
            }
            Err(error) => {
                self.load.not_begun(error, now);
                self.load.lost(intended);
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

    fn abort_all(&mut self, stack: &mut Stack, now: Instant) {
        for visit in self.visits.all() {
            if visit.step != Step::Free
                && let Some(conn) = visit.conn.take()
            {
                self.load.tell(match visit.step {
                    Step::Connecting => Trouble::Connection(Error::TimedOut),
                    Step::Requesting => Trouble::Silence(now.since(visit.at)),
                    _ => Trouble::Connection(Error::Aborted),
                });
                visit.step = Step::Astray;
                if stack.abort(conn).is_err() {
                    // Closed already: the stack brings it to its end, which is too late for us.
                    visit.step = Step::GivenUp;
                    self.load.ended(Ending::Failed, None);
                }
            }
        }
    }

    /// The deadline of a connection has passed.
    #[cold]
    fn overdue(&mut self, index: u32, stack: &mut Stack, now: Instant) {
        let Some(visit) = self.visits.all().get_mut(index as usize) else { return };
        let Some(conn) = visit.conn else { return };
        match (visit.step, self.load.config.request_timeout) {
            (Step::Answered, _) => {
                (visit.step, visit.at) = (Step::Closing, now);
                let _ = stack.close(conn);
            }
            (Step::Connecting | Step::Requesting, Some(time)) => {
                (visit.step, visit.awaited) = (Step::Astray, 0);
                self.load.timed_out(visit.intended, now);
                self.load.tell(Trouble::Silence(time));
                let _ = stack.abort(conn);
            }
            _ => {}
        }
    }
}

impl Workload for Crr {
    fn new(load: Load, max_connections: u32) -> Self {
        let server_closes = load.config.close == CloseBy::Server;
        let end = if server_closes { End::Last } else { End::Plain };
        let deadlines = Deadlines::new(max_connections);
        Crr { load, end, visits: PerConnection::new(max_connections), deadlines }
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
        let stage = self.load.tick(now);
        self.deadlines.expire(now);
        while let Some(index) = self.deadlines.pop() {
            self.overdue(index, stack, now);
        }
        match stage {
            Stage::Running => {}
            Stage::Draining => return,
            Stage::Overdue => return self.abort_all(stack, now),
        }
        if stack.is_output_blocked() {
            return self.load.blocked(now); // what is late waits here, not as a SYN in a queue
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
        self.load.next_deadline(idle).into_iter().chain(self.deadlines.next()).min()
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        no_delay(io);
        let now = io.now();
        let visit = self.visits.of(io.conn());
        self.load.established(visit.at, now);
        (visit.step, visit.at) = (Step::Requesting, now);
        visit.unsent = self.load.config.shape.request_size;
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
            self.load.tell(Trouble::NoResponse("octets that were not asked for"));
            io.abort();
            return data.len();
        }
        visit.awaited -= data.len() as u32;
        if visit.awaited == 0 {
            self.load.answered(visit.intended, visit.at, now);
            match self.load.config.close {
                CloseBy::Server => {
                    (visit.step, visit.at) = (Step::Answered, now);
                    self.deadlines.set(io.conn().index, now + CLOSE_GRACE);
                }
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
            _ => {
                visit.step = Step::Astray;
                let of = self.load.config.shape.response_size;
                self.load.tell(match of - visit.awaited {
                    0 => Trouble::NoAnswer,
                    got => Trouble::CutShort(got.into(), Some(of.into())),
                });
            }
        }
        io.close();
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let now = io.now();
        self.deadlines.clear(io.conn().index);
        let visit = self.visits.of(io.conn());
        let step = core::mem::take(&mut visit.step);
        if visit.awaited > 0 {
            self.load.lost(visit.intended);
        }
        if step == Step::GivenUp {
            return;
        }
        let was_of_use = matches!(step, Step::Answered | Step::Closing);
        let (ending, reason) = match (step, Ending::of_established(reason)) {
            (Step::Astray, _) => (Ending::Failed, None),
            (Step::Free | Step::Connecting | Step::GivenUp, _) => (Ending::Failed, Some(reason)),
            (Step::Closing, Ending::Orderly) => {
                self.load.closed(visit.at, now);
                (Ending::Orderly, None)
            }
            (Step::Requesting | Step::Answered, Ending::Orderly) => (Ending::Failed, Some(reason)),
            (_, ending) => (ending, Some(reason)),
        };
        self.load.ended(ending, reason);
        self.load.free_place(visit.failures, was_of_use, now);
    }
}
