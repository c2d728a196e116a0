//! Requests and responses over connections that stay, in any [`Dialogue`].
//!
//! Each connection has a *seat* for its life, numbered from 0 and attached to it as its user value.
//! The seat remembers when the requests under way were due and sent, in a ring as long as the
//! pipeline is deep.

use super::Workload;
use super::dialogue::{Answer, Dialogue, Fixed};
use super::load::{CloseBy, Load, LoadConfig, Stage};
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

#[derive(Debug, Default)]
struct Seat<R> {
    step: Step,
    conn: Option<ConnId>,
    since: Instant,
    /// Requests begun on this connection.
    begun: u32,
    /// Requests under way, and where in the ring the oldest is.
    under_way: u16,
    oldest: u16,
    /// What has arrived of a response.
    reading: R,
    /// Octets of requests still to be sent.
    unsent: u64,
    /// On the list of seats with a free place in their pipeline.
    listed: bool,
}

/// All seats with their rings.
#[derive(Debug)]
struct Seats<D: Dialogue> {
    seats: Vec<Seat<D::Reading>>,
    rings: Vec<Sent>,
    depth: u16,
    /// Requests of one connection.
    limit: u32,
    dialogue: D,
}

impl<D: Dialogue> Seats<D> {
    fn new(config: &LoadConfig) -> Self {
        let count = config.connections as usize;
        Seats {
            seats: core::iter::repeat_with(Seat::default).take(count).collect(),
            rings: vec![Sent::default(); count * usize::from(config.pipeline)],
            depth: config.pipeline,
            limit: config.requests_per_connection.unwrap_or(u32::MAX),
            dialogue: D::new(config),
        }
    }

    fn take(&mut self, number: usize, conn: ConnId, now: Instant) {
        let listed = self.seats[number].listed;
        self.seats[number] = Seat {
            step: Step::Connecting,
            conn: Some(conn),
            since: now,
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
        seat.unsent += u64::from(self.dialogue.request_len(seat.begun >= self.limit));
    }

    /// Offers what is still to be sent; returns how much was taken.
    #[inline]
    fn send(&mut self, number: usize, write: impl FnMut(&[u8]) -> usize) -> u64 {
        let seat = &mut self.seats[number];
        let before = seat.unsent;
        // with its last request begun, what is to be sent ends with that
        seat.unsent = self.dialogue.send(before, seat.begun >= self.limit, write);
        before - seat.unsent
    }

    /// Takes octets of responses and hands out each request that they complete, and its answer. `false`
    /// says that they were not what was agreed on.
    #[inline]
    fn arrive(
        &mut self,
        number: usize,
        data: &[u8],
        mut answered: impl FnMut(Sent, Answer),
    ) -> bool {
        let (depth, limit) = (self.depth, self.limit);
        let ring = &self.rings[number * usize::from(depth)..][..usize::from(depth)];
        let Seat { reading, oldest, under_way, begun, .. } = &mut self.seats[number];
        self.dialogue.read(reading, data, *under_way, |answer| {
            answered(ring[usize::from(*oldest)], answer);
            *oldest = if *oldest + 1 == depth { 0 } else { *oldest + 1 };
            *under_way -= 1;
            if answer.last {
                *begun = limit; // no more will be answered
            }
        })
    }

    /// The server has closed: the request that this completes, if it does.
    fn ended(&mut self, number: usize) -> Option<(Sent, Answer)> {
        let Seat { reading, oldest, under_way, begun, .. } = &mut self.seats[number];
        let answer = self.dialogue.ended(reading).filter(|_| *under_way > 0)?;
        let sent = self.rings[number * usize::from(self.depth) + usize::from(*oldest)];
        *oldest = (*oldest + 1) % self.depth;
        *under_way -= 1;
        *begun = self.limit;
        Some((sent, answer))
    }

    /// Has the connection made all its requests and had all answers?
    fn is_done(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        seat.step == Step::Open && seat.under_way == 0 && seat.begun >= self.limit
    }
}

/// The workload `rr`.
pub type Rr = Standing<Fixed>;

/// Requests and responses over connections that stay.
#[derive(Debug)]
pub struct Standing<D: Dialogue> {
    load: Load,
    seats: Seats<D>,
    /// Seats that nobody has.
    empty: Vec<u32>,
    /// Seats that may have a place in their pipeline, for an open loop.
    places: VecDeque<u32>,
    /// The next seat to close at the end.
    sweep: usize,
}

impl<D: Dialogue> Standing<D> {
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
            let Some(&number) = self.places.front() else { return self.load.blocked(now) };
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
        let taken = self.seats.send(number, write);
        self.load.tally.bytes_sent.add(taken);
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

impl<D: Dialogue> Workload for Standing<D> {
    fn new(load: Load, _max_connections: u32) -> Self {
        let connections = load.config.connections;
        Standing {
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

    fn load_mut(&mut self) -> &mut Load {
        &mut self.load
    }
}

impl<D: Dialogue> App for Standing<D> {
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
        let agreed = self.seats.arrive(number, data, |request, answer| {
            load.answered(request.intended, request.sent, now);
            load.judged(answer.good);
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
        let (number, now) = (io.user() as usize, io.now());
        if let Some((request, answer)) = self.seats.ended(number) {
            self.load.answered(request.intended, request.sent, now);
            self.load.judged(answer.good);
            if self.seats.is_done(number) {
                self.seats.seats[number].step = Step::Answered;
            }
        }
        let seat = &mut self.seats.seats[number];
        match seat.step {
            Step::Answered => (seat.step, seat.since) = (Step::Closing, now),
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
            self.empty.push(number as u32);
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

    use proptest::prelude::*;

    fn seats(pipeline: u16, limit: Option<u32>) -> Seats<Fixed> {
        let mut seats = Seats::new(&LoadConfig {
            connections: 3,
            pipeline,
            shape: Shape { request_size: 10, response_size: 4 },
            requests_per_connection: limit,
            ..LoadConfig::new("198.18.0.2:80".parse().unwrap())
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
        assert!(seats.arrive(1, &[0; 4], |_, _| {}) && seats.has_place(1));
        seats.begin(1, Instant::ZERO, Instant::ZERO);
        assert!(
            seats.arrive(1, &[0; 4], |_, _| {}) && !seats.has_place(1),
            "three requests are the limit"
        );
        assert!(!seats.is_done(1));
        assert!(seats.arrive(1, &[0; 4], |_, _| {}) && seats.is_done(1));
        assert!(!seats.arrive(1, &[0], |_, _| {}), "nothing was asked");
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
                let due = usize::from(seats.seats[1].under_way) * 4 - seats.seats[1].reading as usize;
                let octets = [0; 30];
                let data = &octets[..piece.min(due)];
                prop_assert!(seats.arrive(1, data, |sent, _| got.push(sent.intended.nanos())));
            }
            prop_assert!(got.iter().copied().eq(1..=got.len() as u64));
            prop_assert_eq!(asked - got.len() as u64, u64::from(seats.seats[1].under_way));
        }
    }
}
