//! The seats of connections, and the requests under way on each, which are answered in their order.

use super::super::dialogue::{Answer, Dialogue};
use super::super::load::LoadConfig;
use crate::engine::ConnId;
use crate::time::Instant;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// Nobody has the seat.
    #[default]
    Empty,
    /// SYN sent at `since`.
    Connecting,
    /// Requests go out.
    Open,
    /// All that this connection will answer is answered, since `since`; the server closes first.
    Answered,
    /// We closed at `since`.
    Closing,
    /// Something came that was not agreed on, or did not come; why is told.
    Astray,
    /// Counted as failed before its end came.
    GivenUp,
}

/// A request under way, or one that is to be sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    pub intended: Instant,
    /// When it was sent for the first time.
    pub sent: Instant,
}

/// A request that is to be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    pub request: Sent,
    /// The server may have carried it out before: it is sent again once.
    pub repeated: bool,
}

#[derive(Debug, Default)]
pub struct Seat<R> {
    pub step: Step,
    /// How often the place of the connection had failed in a row.
    pub failures: u8,
    /// The server has said that it will close, or has closed, unasked.
    pub announced: bool,
    /// On the list of seats with a free place in their pipeline.
    pub listed: bool,
    pub conn: Option<ConnId>,
    pub since: Instant,
    /// Requests begun on this connection.
    pub begun: u32,
    /// Requests under way, and where in the ring the oldest is.
    pub under_way: u16,
    oldest: u16,
    /// Those of them that are sent for the second time.
    repeated: u16,
    /// Requests that this connection has begun for the second time.
    begun_again: u16,
    /// What has arrived of a response.
    pub reading: R,
    /// Octets of requests still to be sent.
    pub unsent: u64,
}

impl<R> Seat<R> {
    /// Has the server answered a request on this connection?
    pub fn was_of_use(&self) -> bool {
        self.begun > u32::from(self.under_way)
    }
}

/// All seats with their rings.
#[derive(Debug)]
pub struct Seats<D: Dialogue> {
    pub seats: Vec<Seat<D::Reading>>,
    rings: Vec<Sent>,
    /// Of each place of the rings: is the request in it sent for the second time? Looked at only where a
    /// seat has such.
    repeated: Vec<bool>,
    depth: u16,
    /// Requests of one connection.
    limit: u32,
    pub dialogue: D,
}

impl<D: Dialogue> Seats<D> {
    pub fn new(config: &LoadConfig) -> Self {
        let count = config.connections as usize;
        let places = count * usize::from(config.pipeline);
        Seats {
            seats: core::iter::repeat_with(Seat::default).take(count).collect(),
            rings: vec![Sent::default(); places],
            repeated: vec![false; places],
            depth: config.pipeline,
            limit: config.requests_per_connection.unwrap_or(u32::MAX),
            dialogue: D::new(config),
        }
    }

    pub fn take(&mut self, number: usize, conn: ConnId, failures: u8, now: Instant) {
        let listed = self.seats[number].listed;
        self.seats[number] = Seat {
            step: Step::Connecting,
            conn: Some(conn),
            failures,
            since: now,
            listed,
            ..Seat::default()
        };
    }

    /// Can the seat begin a request?
    pub fn has_place(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        seat.step == Step::Open
            && seat.under_way < self.depth
            && seat.begun < self.limit
            // RFC 9112 §9.3.2: behind one that is sent again nothing is, before the first answer
            && (seat.repeated == 0 || seat.was_of_use())
    }

    /// Can the seat, which has a place, begin this request? One that must not fail again goes to the
    /// beginning of a connection, which may be near its end later; it takes as many as another can leave.
    pub fn takes(&self, number: usize, again: &Again) -> bool {
        let seat = &self.seats[number];
        !again.repeated
            || seat.begun == u32::from(seat.begun_again) && seat.begun_again < self.depth
    }

    /// Begins a request; its octets are `unsent` then.
    #[inline]
    pub fn begin(&mut self, number: usize, request: Sent) {
        let seat = &mut self.seats[number];
        let at = (seat.oldest + seat.under_way) % self.depth;
        self.rings[number * usize::from(self.depth) + usize::from(at)] = request;
        seat.under_way += 1;
        seat.begun = seat.begun.saturating_add(1);
        seat.unsent += u64::from(self.dialogue.request_len(seat.begun >= self.limit));
    }

    /// Begins a request that was sent before.
    pub fn begin_again(&mut self, number: usize, again: Again) {
        let seat = &mut self.seats[number];
        if again.repeated {
            let at = (seat.oldest + seat.under_way) % self.depth;
            self.repeated[number * usize::from(self.depth) + usize::from(at)] = true;
            seat.repeated += 1;
            seat.begun_again += 1;
        }
        self.begin(number, again.request);
    }

    /// Offers what is still to be sent; returns how much was taken.
    #[inline]
    pub fn send(&mut self, number: usize, write: impl FnMut(&[u8]) -> usize) -> u64 {
        let seat = &mut self.seats[number];
        let before = seat.unsent;
        // with its last request begun, what is to be sent ends with that
        seat.unsent = self.dialogue.send(before, seat.begun >= self.limit, write);
        before - seat.unsent
    }

    /// Takes octets of responses and hands out each request that they complete, and its answer.
    ///
    /// # Errors
    /// How they are not what was agreed on.
    #[inline]
    pub fn arrive(
        &mut self,
        number: usize,
        data: &[u8],
        mut answered: impl FnMut(Sent, Answer),
    ) -> Result<(), &'static str> {
        let (depth, limit) = (self.depth, self.limit);
        let from = number * usize::from(depth);
        let ring = &self.rings[from..][..usize::from(depth)];
        let repeats = &mut self.repeated[from..][..usize::from(depth)];
        let Seat { reading, oldest, under_way, begun, repeated, announced, .. } =
            &mut self.seats[number];
        self.dialogue.read(reading, data, *under_way, |answer| {
            answered(ring[usize::from(*oldest)], answer);
            if *repeated > 0 && core::mem::take(&mut repeats[usize::from(*oldest)]) {
                *repeated -= 1;
            }
            *oldest = if *oldest + 1 == depth { 0 } else { *oldest + 1 };
            *under_way -= 1;
            if answer.last {
                // no more will be answered; our own last request has asked for that
                *announced = *begun < limit || *under_way > 0;
                *begun = limit;
            }
        })
    }

    /// The server has closed: the request that this completes, if it does.
    pub fn ended(&mut self, number: usize) -> Option<(Sent, Answer)> {
        if self.seats[number].under_way == 0 {
            return None;
        }
        let answer = self.dialogue.ended(&mut self.seats[number].reading)?;
        let (request, _) = self.take_oldest(number)?;
        let seat = &mut self.seats[number];
        seat.announced = seat.begun < self.limit || seat.under_way > 0;
        seat.begun = self.limit;
        Some((request, answer))
    }

    /// Takes the oldest request under way from its seat without an answer, and says whether it was sent
    /// twice.
    pub fn take_oldest(&mut self, number: usize) -> Option<(Sent, bool)> {
        let seat = &mut self.seats[number];
        if seat.under_way == 0 {
            return None;
        }
        let place = number * usize::from(self.depth) + usize::from(seat.oldest);
        let repeated = core::mem::take(&mut self.repeated[place]);
        seat.repeated -= u16::from(repeated);
        seat.oldest = (seat.oldest + 1) % self.depth;
        seat.under_way -= 1;
        seat.begun -= 1; // here it is as if it had not been
        Some((self.rings[place], repeated))
    }

    /// When the first of the requests under way on a seat was sent.
    pub fn first_sent(&self, number: usize) -> Option<Instant> {
        let seat = &self.seats[number];
        let from = number * usize::from(self.depth);
        let place = |nth: u16| from + usize::from((seat.oldest + nth) % self.depth);
        (0..seat.under_way).map(|nth| self.rings[place(nth)].sent).min()
    }

    /// Has the connection had all the answers that it will have?
    #[inline]
    pub fn is_done(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        seat.step == Step::Open
            && seat.begun >= self.limit
            && (seat.under_way == 0 || seat.announced)
    }
}

#[cfg(test)]
mod tests;
