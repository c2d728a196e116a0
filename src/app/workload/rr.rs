//! Requests and responses over connections that stay, in any [`Dialogue`].
//!
//! Each connection has a *seat* for its life, numbered from 0 and attached to it as its user value.
//! The seat remembers when the requests under way were due and sent, in a ring as long as the
//! pipeline is deep.
//!
//! A server may close whenever it likes (RFC 9112 §9.5). If it has said so, what it has not answered is
//! sent again on another connection; if it has not, only what the dialogue
//! [may repeat](Dialogue::may_repeat) is, and once (§9.3.1), and only if the connection had answered
//! something; it is not pipelined then before the first answer (§9.3.2). A request keeps the time that it was to start, and the time that it was sent first.

mod seats;

use super::Workload;
use super::dialogue::{Dialogue, Fixed, Progress};
use super::load::{CLOSE_GRACE, CloseBy, Load, Stage};
use super::trouble::Trouble;
use crate::app::deadlines::Deadlines;
use crate::app::no_delay;
use crate::app::tally::Ending;
use crate::engine::{App, ConnId, Error, Io, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;
use core::time::Duration;
use seats::{Again, Seats, Sent, Step};
use std::collections::VecDeque;

/// Connections that one poll begins, or closes at the end, at most.
const CONNECTIONS_PER_POLL: usize = 64;
/// Requests of an open loop that one poll begins at most.
const STARTS_PER_POLL: usize = 256;

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
    /// Requests that are to be sent again, before any others.
    again: VecDeque<Again>,
    /// Of seats: when a request has taken too long, or a server that was asked to close.
    deadlines: Deadlines,
    /// The next seat to close at the end.
    sweep: usize,
}

impl<D: Dialogue> Standing<D> {
    /// Opens connections until there are as many as asked for.
    fn connect(&mut self, stack: &mut Stack, now: Instant) {
        for _ in 0..CONNECTIONS_PER_POLL {
            let Some(&number) = self.empty.last() else { return };
            if stack.is_output_blocked() || !self.load.may_connect(now) {
                return;
            }
            let (conn, failures) = match self.load.connect(stack, number.into()) {
                Ok(begun) => begun,
                Err(error) => return self.load.not_begun(error, now),
            };
            self.empty.pop();
            self.seats.take(number as usize, conn, failures, now);
            self.load.tally.opened();
        }
    }

    /// Begins what the schedule has due, and before that what is to be sent again.
    fn follow_schedule(&mut self, stack: &mut Stack, now: Instant) {
        for _ in 0..STARTS_PER_POLL {
            let Some(&number) = self.places.front() else { return self.load.blocked(now) };
            let at = number as usize;
            if !self.seats.has_place(at) {
                self.places.pop_front();
                self.seats.seats[at].listed = false;
                continue;
            }
            let Some(conn) = self.seats.seats[at].conn else { return };
            if !self.begin_again(at) {
                let Some(intended) = self.load.next_start(now) else { return };
                self.begin(at, intended, now);
            }
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
    fn begin(&mut self, number: usize, intended: Instant, now: Instant) {
        self.seats.begin(number, Sent { intended, sent: now });
        if let Some(time) = self.load.config.request_timeout {
            self.deadlines.set_if_earlier(number as u32, now + time);
        }
    }

    /// Sends the next request again on this seat; `false` if none waits for it.
    #[inline]
    fn begin_again(&mut self, number: usize) -> bool {
        if self.again.is_empty() { false } else { self.next_again(number) }
    }

    #[cold]
    fn next_again(&mut self, number: usize) -> bool {
        let Some(again) = self.again.pop_front_if(|again| self.seats.takes(number, again)) else {
            return false;
        };
        self.seats.begin_again(number, again);
        self.load.wait_for(self.again.len());
        if let Some(time) = self.load.config.request_timeout {
            self.deadlines.set_if_earlier(number as u32, again.request.sent + time);
        }
        true
    }

    #[inline]
    fn send(&mut self, number: usize, write: impl FnMut(&[u8]) -> usize) {
        let taken = self.seats.send(number, write);
        self.load.tally.bytes_sent.add(taken);
    }

    /// Fills the pipeline (closed loop), or offers its places to the schedule (open loop). At the end of a
    /// run what is to be sent again still goes out.
    #[inline]
    fn refill(&mut self, number: usize, io: &mut Io<'_>) {
        if self.load.is_open_loop() && self.load.is_running() {
            return self.list(number);
        }
        let now = io.now();
        while self.seats.has_place(number) {
            if self.begin_again(number) {
                continue;
            }
            if !self.load.is_running() {
                break;
            }
            self.begin(number, now, now);
        }
        self.send(number, |bytes| io.write(bytes));
    }

    /// Closes connections that have nothing under way, a few each poll, unless there is something to send
    /// again.
    fn close_idle(&mut self, stack: &mut Stack, now: Instant) {
        for _ in 0..CONNECTIONS_PER_POLL.min(self.seats.seats.len()) {
            self.sweep = (self.sweep + 1) % self.seats.seats.len();
            let number = self.sweep;
            let seat = &mut self.seats.seats[number];
            if seat.step == Step::Open
                && seat.under_way == 0
                && let Some(conn) = seat.conn
            {
                if self.seats.has_place(number) && self.begin_again(number) {
                    self.send(number, |bytes| stack.write(conn, bytes).unwrap_or(0));
                    continue;
                }
                let seat = &mut self.seats.seats[number];
                (seat.step, seat.since) = (Step::Closing, now);
                let _ = stack.close(conn);
            }
        }
    }

    fn abort_all(&mut self, stack: &mut Stack, now: Instant) {
        while let Some(again) = self.again.pop_front() {
            self.load.lost(again.request.intended);
        }
        self.load.wait_for(0);
        for number in 0..self.seats.seats.len() {
            let seat = &mut self.seats.seats[number];
            if seat.step != Step::Empty
                && let Some(conn) = seat.conn.take()
            {
                let established = seat.step != Step::Connecting;
                seat.step = Step::Astray;
                let silent = self.seats.first_sent(number).map(|sent| now.since(sent));
                self.load.tell(match silent {
                    Some(time) => Trouble::Silence(time),
                    None if established => Trouble::Connection(Error::Aborted),
                    None => Trouble::Connection(Error::TimedOut),
                });
                while let Some((request, _)) = self.seats.take_oldest(number) {
                    self.load.lost(request.intended);
                }
                if stack.abort(conn).is_err() {
                    // Closed already: the stack brings it to its end, which is too late for us.
                    self.seats.seats[number].step = Step::GivenUp;
                    self.load.ended(Ending::Failed, None);
                }
            }
        }
    }

    /// The connection of a seat ends, and not as was announced: what it has not answered is to be sent
    /// again, as far as that may be, and what may not be is lost. Returns how many are lost.
    #[cold]
    fn give_back(&mut self, number: usize) -> u32 {
        let mut lost = 0;
        let seat = &self.seats.seats[number];
        let may_repeat = self.seats.dialogue.may_repeat() && seat.was_of_use();
        let mut begun = self.seats.dialogue.progress(&seat.reading).is_some();
        while let Some((request, repeated)) = self.seats.take_oldest(number) {
            // an answer of which a part has come has been seen to fail
            if may_repeat && !repeated && !core::mem::take(&mut begun) {
                self.again.push_back(Again { request, repeated: true });
            } else {
                self.load.lost(request.intended);
                lost += 1;
            }
        }
        self.drop_unsent(number);
        lost
    }

    /// The server has said that it answers no more on this connection: it has not looked at what it has not
    /// answered (RFC 9112 §9.6), all of which is to be sent again.
    #[cold]
    fn move_on(&mut self, number: usize) {
        while let Some((request, repeated)) = self.seats.take_oldest(number) {
            self.again.push_back(Again { request, repeated });
        }
        self.drop_unsent(number);
    }

    fn drop_unsent(&mut self, number: usize) {
        self.seats.seats[number].unsent = 0;
        self.deadlines.clear(number as u32);
        self.load.wait_for(self.again.len());
    }

    /// All that the connection will answer is answered: it is to be closed.
    fn finish(&mut self, number: usize, io: &mut Io<'_>) {
        let now = io.now();
        if self.seats.seats[number].announced {
            self.load.tally.closed_by_peer.bump();
            self.move_on(number);
        }
        let seat = &mut self.seats.seats[number];
        (seat.step, seat.since) = (Step::Closing, now);
        match self.load.config.close {
            CloseBy::Server => {
                seat.step = Step::Answered;
                self.deadlines.set(number as u32, now + CLOSE_GRACE);
            }
            CloseBy::Client => io.close(),
            CloseBy::Reset => io.abort(),
        }
    }

    /// What has come is no response.
    #[cold]
    fn astray(&mut self, number: usize, fault: &'static str, io: &mut Io<'_>) {
        let seat = &mut self.seats.seats[number];
        if seat.announced {
            return; // it goes on after it has said that it will not
        }
        seat.step = Step::Astray;
        self.load.tell(Trouble::NoResponse(fault));
        if let Some((request, _)) = self.seats.take_oldest(number) {
            self.load.lost(request.intended);
        }
        self.seats.seats[number].reading = D::Reading::default();
        self.give_back(number);
        io.abort();
    }

    /// The server has closed a connection that was open for requests.
    #[cold]
    fn closed_by_server(&mut self, number: usize, now: Instant) {
        let seat = &mut self.seats.seats[number];
        let cut_short = match self.seats.dialogue.progress(&seat.reading) {
            None => None,
            Some(Progress::Head(octets)) => Some(Trouble::CutInHead(octets)),
            Some(Progress::Body(octets, of)) => Some(Trouble::CutShort(octets, of)),
        };
        let was_of_use = seat.was_of_use();
        let lost = self.give_back(number);
        let trouble = match cut_short {
            Some(trouble) => trouble,
            None if lost == 0 => {
                // RFC 9112 §9.5: it may close whenever it likes
                self.load.tally.closed_by_peer.bump();
                let seat = &mut self.seats.seats[number];
                (seat.step, seat.since, seat.announced) = (Step::Closing, now, true);
                return;
            }
            None if was_of_use && self.seats.dialogue.may_repeat() => Trouble::NoAnswerAgain,
            None => Trouble::NoAnswer,
        };
        self.load.tell(trouble);
        self.seats.seats[number].step = Step::Astray;
    }

    /// The deadline of a seat has passed.
    #[cold]
    fn overdue(&mut self, number: usize, stack: &mut Stack, now: Instant) {
        let seat = &mut self.seats.seats[number];
        let Some(conn) = seat.conn else { return };
        match (seat.step, self.load.config.request_timeout) {
            (Step::Answered, _) => {
                (seat.step, seat.since) = (Step::Closing, now);
                let _ = stack.close(conn);
            }
            (Step::Open, Some(time)) => self.time_out(number, conn, time, stack, now),
            _ => {}
        }
    }

    /// Gives up the requests of a seat that have taken too long, and the connection with them, since its
    /// answers come in order.
    fn time_out(
        &mut self,
        number: usize,
        conn: ConnId,
        time: Duration,
        stack: &mut Stack,
        now: Instant,
    ) {
        let Some(first) = self.seats.first_sent(number) else { return };
        if first + time > now {
            return self.deadlines.set(number as u32, first + time);
        }
        let seat = &self.seats.seats[number];
        let may_repeat = self.seats.dialogue.may_repeat() && seat.was_of_use();
        while let Some((request, repeated)) = self.seats.take_oldest(number) {
            if request.sent + time <= now {
                self.load.timed_out(request.intended, now);
            } else if may_repeat && !repeated {
                self.again.push_back(Again { request, repeated: true });
            } else {
                self.load.lost(request.intended);
            }
        }
        self.drop_unsent(number);
        self.load.tell(Trouble::Silence(time));
        self.seats.seats[number].step = Step::Astray;
        let _ = stack.abort(conn);
    }

    /// Looks after deadlines; what waits to be sent again has them too.
    #[inline]
    fn expire(&mut self, stack: &mut Stack, now: Instant) {
        self.deadlines.expire(now);
        while let Some(number) = self.deadlines.pop() {
            self.overdue(number as usize, stack, now);
        }
        if let Some(time) = self.load.config.request_timeout
            && !self.again.is_empty()
        {
            while let Some(again) = self.again.front()
                && again.request.sent + time <= now
            {
                self.load.timed_out(again.request.intended, now);
                self.again.pop_front();
            }
            self.load.wait_for(self.again.len());
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
            again: VecDeque::new(),
            deadlines: Deadlines::new(connections),
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
        let stage = self.load.tick(now);
        self.expire(stack, now);
        match stage {
            Stage::Running => {
                if !self.empty.is_empty() {
                    self.connect(stack, now);
                }
                if self.load.is_open_loop() {
                    self.follow_schedule(stack, now);
                }
            }
            Stage::Draining => {
                if !self.again.is_empty() {
                    self.connect(stack, now);
                }
                self.close_idle(stack, now);
            }
            Stage::Overdue => self.abort_all(stack, now),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let load = &self.load;
        let waiting = load.is_open_loop() && !self.places.is_empty();
        let arrival = match load.next_arrival().filter(|_| waiting) {
            Some(_) if !self.again.is_empty() => Some(Instant::ZERO),
            arrival => arrival,
        };
        let next = load.next_deadline(!self.empty.is_empty() && !load.is_open_loop());
        let opens = load.is_open_loop() && load.is_running() || !self.again.is_empty();
        let connection = (opens && !self.empty.is_empty()).then(|| load.next_connection());
        [next, arrival, connection, self.deadlines.next()].into_iter().flatten().min()
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
        if let Err(fault) = agreed {
            self.astray(number, fault, io);
        } else if self.seats.is_done(number) {
            self.finish(number, io);
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
            if self.seats.seats[number].announced {
                self.load.tally.closed_by_peer.bump();
                self.move_on(number);
            }
            self.seats.seats[number].step = Step::Answered;
        }
        let seat = &mut self.seats.seats[number];
        match seat.step {
            Step::Answered => (seat.step, seat.since) = (Step::Closing, now),
            Step::Closing => return,
            Step::Open => self.closed_by_server(number, now),
            _ => seat.step = Step::Astray,
        }
        io.close();
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let (number, now) = (io.user() as usize, io.now());
        self.deadlines.clear(number as u32);
        let seat = &mut self.seats.seats[number];
        let step = core::mem::take(&mut seat.step);
        if step == Step::GivenUp {
            self.empty.push(number as u32);
            return;
        }
        let (was_of_use, failures) = (seat.was_of_use(), seat.failures);
        // what the server said it would close, or has, ends with a RST if it had more to read
        let announced = seat.announced && matches!(step, Step::Answered | Step::Closing);
        let (ending, reason) = match (step, Ending::of_established(reason)) {
            (Step::Astray, _) => (Ending::Failed, None),
            (Step::Empty | Step::Connecting | Step::GivenUp, _) => (Ending::Failed, Some(reason)),
            (Step::Closing, Ending::Orderly) => {
                self.load.closed(seat.since, now);
                (Ending::Orderly, None)
            }
            (_, Ending::Reset) if announced && reason == CloseReason::Reset => {
                (Ending::Orderly, None)
            }
            (_, Ending::Orderly) => (Ending::Failed, Some(reason)),
            (_, ending) => (ending, Some(reason)),
        };
        self.give_back(number);
        self.load.ended(ending, reason);
        self.load.free_place(failures, was_of_use, now);
        self.empty.push(number as u32);
    }
}
