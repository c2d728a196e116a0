//! Requests and responses over connections that stay.
//!
//! Each connection has a *seat* for its life, numbered from 0 and attached to it as its user value.
//! The seat remembers when the requests under way were due and sent, in a ring as long as the
//! pipeline is deep.

use super::load::{CloseBy, Load, LoadConfig, Stage};
use super::{End, Workload, send_filler};
use crate::app::no_delay;
use crate::app::tally::Ending;
use crate::engine::{App, ConnId, Io, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;
use std::collections::VecDeque;

/// Connections that one poll begins, or closes at the end, at most.
const CONNECTIONS_PER_POLL: usize = 64;
/// Requests of an open loop that one poll begins at most.
const STARTS_PER_POLL: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Nobody has the seat.
    #[default]
    Empty,
    /// SYN sent at `since`.
    Connecting,
    /// Requests go out.
    Open,
    /// All requests of this connection are answered; the server closes first.
    Answered,
    /// We closed at `since`.
    Closing,
    /// Something came that was not agreed on.
    Astray,
    /// Counted as failed before its end came.
    GivenUp,
}

/// A request under way.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    intended: Instant,
    sent: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    step: Step,
    conn: Option<ConnId>,
    since: Instant,
    /// Requests begun on this connection.
    begun: u32,
    /// Requests under way, and where in the ring the oldest is.
    under_way: u16,
    oldest: u16,
    /// Octets of the response that is arriving, still to come.
    awaited: u32,
    /// Octets of requests still to be sent.
    unsent: u64,
    /// On the list of seats with a free place in their pipeline.
    listed: bool,
}

/// All seats with their rings.
#[derive(Debug)]
struct Seats {
    seats: Vec<Seat>,
    rings: Vec<Sent>,
    depth: u16,
    /// Requests of one connection.
    limit: u32,
    request_size: u32,
    response_size: u32,
}

impl Seats {
    fn new(config: &LoadConfig) -> Self {
        let count = config.connections as usize;
        Seats {
            seats: vec![Seat::default(); count],
            rings: vec![Sent::default(); count * usize::from(config.pipeline)],
            depth: config.pipeline,
            limit: config.requests_per_connection.unwrap_or(u32::MAX),
            request_size: config.shape.request_size,
            response_size: config.shape.response_size,
        }
    }

    fn take(&mut self, number: usize, conn: ConnId, now: Instant) {
        let listed = self.seats[number].listed;
        self.seats[number] = Seat {
            step: Step::Connecting,
            conn: Some(conn),
            since: now,
            awaited: self.response_size,
            listed,
            ..Seat::default()
        };
    }

    /// Can the seat begin a request?
    fn has_place(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        seat.step == Step::Open && seat.under_way < self.depth && seat.begun < self.limit
    }

    /// Begins a request; its octets are `unsent` then.
    #[inline]
    fn begin(&mut self, number: usize, intended: Instant, now: Instant) {
        let seat = &mut self.seats[number];
        let at = (seat.oldest + seat.under_way) % self.depth;
        self.rings[number * usize::from(self.depth) + usize::from(at)] =
            Sent { intended, sent: now };
        seat.under_way += 1;
        seat.begun = seat.begun.saturating_add(1);
        seat.unsent += u64::from(self.request_size);
    }

    /// Takes octets of responses and hands out each request that they complete. `false` says that
    /// there were more octets than requests under way to answer.
    #[inline]
    fn arrive(&mut self, number: usize, octets: usize, mut answered: impl FnMut(Sent)) -> bool {
        let seat = &mut self.seats[number];
        let mut octets = octets;
        while octets > 0 {
            if seat.under_way == 0 {
                return false;
            }
            let part = octets.min(seat.awaited as usize);
            octets -= part;
            seat.awaited -= part as u32;
            if seat.awaited == 0 {
                let ring = number * usize::from(self.depth);
                answered(self.rings[ring + usize::from(seat.oldest)]);
                seat.oldest = if seat.oldest + 1 == self.depth { 0 } else { seat.oldest + 1 };
                seat.under_way -= 1;
                seat.awaited = self.response_size;
            }
        }
        true
    }

    /// Has the connection made all its requests and had all answers?
    fn is_done(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        seat.step == Step::Open && seat.under_way == 0 && seat.begun >= self.limit
    }
}

/// The workload.
#[derive(Debug)]
pub struct Rr {
    load: Load,
    seats: Seats,
    /// Seats that nobody has.
    empty: Vec<u32>,
    /// Seats that may have a place in their pipeline, for an open loop.
    places: VecDeque<u32>,
    /// The next seat to close at the end.
    sweep: usize,
}

impl Rr {
    /// Opens connections until there are as many as asked for.
    fn connect(&mut self, stack: &mut Stack, now: Instant) {
        for _ in 0..CONNECTIONS_PER_POLL {
            let Some(&number) = self.empty.last() else { return };
            if !self.load.may_connect(now) {
                return;
            }
            let conn = match self.load.connect(stack, number.into()) {
                Ok(conn) => conn,
                Err(error) => return self.load.not_begun(error, now),
            };
            self.empty.pop();
            self.seats.take(number as usize, conn, now);
            self.load.tally.opened();
        }
    }

    /// Begins what the schedule has due.
    fn follow_schedule(&mut self, stack: &mut Stack, now: Instant) {
        for _ in 0..STARTS_PER_POLL {
            let Some(&number) = self.places.front() else { return };
            let at = number as usize;
            if !self.seats.has_place(at) {
                self.places.pop_front();
                self.seats.seats[at].listed = false;
                continue;
            }
            let Some(intended) = self.load.next_start(now) else { return };
            self.seats.begin(at, intended, now);
            let Some(conn) = self.seats.seats[at].conn else { return };
            self.send(at, |bytes| stack.write(conn, bytes).unwrap_or(0));
            // To the back, so that all connections have their turn.
            self.places.rotate_left(1);
        }
    }

    /// Puts the seat on the list if it can begin a request.
    fn list(&mut self, number: usize) {
        if self.seats.has_place(number) && !self.seats.seats[number].listed {
            self.seats.seats[number].listed = true;
            self.places.push_back(number as u32);
        }
    }

    #[inline]
    fn send(&mut self, number: usize, write: impl FnMut(&[u8]) -> usize) {
        let seat = &mut self.seats.seats[number];
        let before = seat.unsent;
        // With its last request begun, the last octet to be sent is that of the last request.
        let last = seat.begun >= self.seats.limit && self.load.config.close == CloseBy::Server;
        let end = if last { End::Last } else { End::Plain };
        seat.unsent = send_filler(before, end, write);
        self.load.tally.bytes_sent.add(before - seat.unsent);
    }

    /// Fills the pipeline (closed loop), or offers its places to the schedule (open loop).
    #[inline]
    fn refill(&mut self, number: usize, io: &mut Io<'_>) {
        if !self.load.is_running() {
            return;
        }
        if self.load.is_open_loop() {
            return self.list(number);
        }
        let now = io.now();
        while self.seats.has_place(number) {
            self.seats.begin(number, now, now);
        }
        self.send(number, |bytes| io.write(bytes));
    }

    /// Closes connections that have nothing under way, a few each poll.
    fn close_idle(&mut self, stack: &mut Stack, now: Instant) {
        for _ in 0..CONNECTIONS_PER_POLL.min(self.seats.seats.len()) {
            self.sweep = (self.sweep + 1) % self.seats.seats.len();
            let seat = &mut self.seats.seats[self.sweep];
            if seat.step == Step::Open
                && seat.under_way == 0
                && let Some(conn) = seat.conn
            {
                (seat.step, seat.since) = (Step::Closing, now);
                let _ = stack.close(conn);
            }
        }
    }

    fn abort_all(&mut self, stack: &mut Stack) {
        for seat in &mut self.seats.seats {
            if seat.step != Step::Empty
                && let Some(conn) = seat.conn.take()
            {
                seat.step = Step::Astray;
                if stack.abort(conn).is_err() {
                    // Closed already: the stack brings it to its end, which is too late for us.
                    seat.step = Step::GivenUp;
                    self.load.given_up();
                }
            }
        }
    }
}

impl Workload for Rr {
    fn new(load: Load, _max_connections: u32) -> Self {
        let connections = load.config.connections;
        Rr {
            seats: Seats::new(&load.config),
            empty: (0..connections).rev().collect(),
            places: VecDeque::with_capacity(connections as usize),
            load,
            sweep: 0,
        }
    }

    fn load(&self) -> &Load {
        &self.load
    }
}

impl App for Rr {
    fn on_poll(&mut self, stack: &mut Stack) {
        let now = stack.now();
        match self.load.tick(now) {
            Stage::Running => {
                if !self.empty.is_empty() {
                    self.connect(stack, now);
                }
                if self.load.is_open_loop() {
                    self.follow_schedule(stack, now);
                }
            }
            Stage::Draining => self.close_idle(stack, now),
            Stage::Overdue => self.abort_all(stack),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let open = self.load.is_open_loop();
        let idle = !self.empty.is_empty() || (open && !self.places.is_empty());
        self.load.next_deadline(idle)
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        no_delay(io);
        let number = io.user() as usize;
        let seat = &mut self.seats.seats[number];
        self.load.established(seat.since, io.now());
        seat.step = Step::Open;
        self.refill(number, io);
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.send(io.user() as usize, |bytes| io.write(bytes));
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let (number, now) = (io.user() as usize, io.now());
        self.load.tally.bytes_received.add(data.len() as u64);
        let load = &mut self.load;
        let agreed = self.seats.arrive(number, data.len(), |request| {
            load.answered(request.intended, request.sent, now);
        });
        if !agreed {
            self.seats.seats[number].step = Step::Astray;
            io.abort();
        } else if self.seats.is_done(number) {
            let close = self.load.config.close;
            let seat = &mut self.seats.seats[number];
            (seat.step, seat.since) = (Step::Closing, now);
            match close {
                CloseBy::Server => seat.step = Step::Answered,
                CloseBy::Client => io.close(),
                CloseBy::Reset => io.abort(),
            }
        } else {
            self.refill(number, io);
        }
        data.len()
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let seat = &mut self.seats.seats[io.user() as usize];
        match seat.step {
            Step::Answered => (seat.step, seat.since) = (Step::Closing, io.now()),
            Step::Closing => return,
            _ => seat.step = Step::Astray,
        }
        io.close();
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let (number, now) = (io.user() as usize, io.now());
        let seat = &mut self.seats.seats[number];
        let step = core::mem::take(&mut seat.step);
        if step == Step::GivenUp {
            return;
        }
        let ending = match (step, Ending::of_established(reason)) {
            (Step::Empty | Step::Connecting | Step::Astray | Step::GivenUp, _) => Ending::Failed,
            (Step::Closing, Ending::Orderly) => {
                self.load.closed(seat.since, now);
                Ending::Orderly
            }
            (_, Ending::Orderly) => Ending::Failed,
            (_, ending) => ending,
        };
        self.load.ended(ending, reason);
        self.empty.push(number as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::workload::Shape;
    use core::time::Duration;
    use proptest::prelude::*;

    fn seats(pipeline: u16, limit: Option<u32>) -> Seats {
        let mut seats = Seats::new(&LoadConfig {
            remote: "198.18.0.2:80".parse().unwrap(),
            sources: None,
            connections: 3,
            pipeline,
            pace: None,
            shape: Shape { request_size: 10, response_size: 4 },
            requests_per_connection: limit,
            close: CloseBy::Client,
            warmup: Duration::ZERO,
            seed: 0,
        });
        seats.take(1, ConnId { index: 7, generation: 0 }, Instant::ZERO);
        seats.seats[1].step = Step::Open;
        seats
    }

    #[test]
    fn a_connection_is_done_when_its_last_request_is_answered() {
        let mut seats = seats(2, Some(3));
        for at in 1..=2 {
            seats.begin(1, Instant::from_millis(at), Instant::from_millis(at));
        }
        assert!(!seats.has_place(1), "the pipeline is full");
        assert_eq!(seats.seats[1].unsent, 20);
        assert!(seats.arrive(1, 4, |_| {}) && seats.has_place(1));
        seats.begin(1, Instant::ZERO, Instant::ZERO);
        assert!(seats.arrive(1, 4, |_| {}) && !seats.has_place(1), "three requests are the limit");
        assert!(!seats.is_done(1));
        assert!(seats.arrive(1, 4, |_| {}) && seats.is_done(1));
        assert!(!seats.arrive(1, 1, |_| {}), "nothing was asked");
    }

    proptest! {
        /// Answers come back to the requests in their order, however octets arrive.
        #[test]
        fn answers_match_their_requests(depth in 1_u16..9, pieces in proptest::collection::vec(1_usize..30, 1..100)) {
            let mut seats = seats(depth, None);
            let (mut asked, mut got) = (0_u64, Vec::new());
            for piece in pieces {
                while seats.has_place(1) {
                    asked += 1;
                    seats.begin(1, Instant::from_nanos(asked), Instant::FAR);
                }
                let due = usize::from(seats.seats[1].under_way - 1) * 4
                    + seats.seats[1].awaited as usize;
                prop_assert!(seats.arrive(1, piece.min(due), |sent| got.push(sent.intended.nanos())));
            }
            prop_assert!(got.iter().copied().eq(1..=got.len() as u64));
            prop_assert_eq!(asked - got.len() as u64, u64::from(seats.seats[1].under_way));
        }
    }
}
