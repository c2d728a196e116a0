//! One HTTP connection without I/O.
//!
//! ```text
//!          head complete            response sent, persistent, body skipped
//! Head ────────────────▶ Responding ──────────────────────────────────────▶ Head
//!  └─ cannot be parsed ──────▲  │ response sent, not persistent
//!                               ▼
//!                           Lingering: what still comes is discarded (RFC 9112 §9.6)
//! ```

use super::request::{self, Head, MAX_HEAD};
use super::response::{Response, Status};

/// Octets that are thrown away after the last response before the connection is aborted.
const MAX_LINGER: u64 = 1 << 20;
/// Octets that a head and the start of its body are gathered into, for one write.
const GATHER: usize = 4 * 1024;

/// Where a session writes to.
pub trait Sink {
    /// Takes as many of `bytes` as there is room for; less than all means that the session is told
    /// by [`Session::resume`] when there is room again.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// A response was written to its last octet.
    fn answered(&mut self);
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// It goes on.
    GoOn,
    /// It is to be closed; nothing was left unread.
    Close,
    /// Our direction is to be closed; what the peer still sends is discarded.
    Shutdown,
    /// The peer has sent too much that nobody wants.
    Abort,
}

/// What the sessions of an engine share: a buffer for what is written in one go, and the memory for heads
/// that have arrived in part.
#[derive(Debug)]
pub struct Scratch {
    gather: Vec<u8>,
    /// Octets that half heads have reserved, and how many they may.
    held: usize,
    most_held: usize,
}

impl Scratch {
    /// Reserves the buffer; half heads have as much memory as they want.
    pub fn new() -> Self {
        Scratch { gather: Vec::with_capacity(GATHER), held: 0, most_held: usize::MAX }
    }

    /// Lets all half heads together have so many octets.
    #[must_use]
    pub fn with_half_heads(mut self, octets: usize) -> Self {
        self.most_held = octets;
        self
    }

    /// Octets that half heads have reserved.
    pub fn held(&self) -> usize {
        self.held
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Waiting for a head, once the body of the request before it is skipped.
    #[default]
    Head,
    /// Sending a response, of which `sent` octets, head included, are gone.
    Responding { response: Response, sent: u64 },
    /// All is answered; `discarded` octets came since.
    Lingering { discarded: u64 },
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A request.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body, which is skipped.
    Body,
    /// Room to write.
    Room,
    /// The peer's end of a connection that is over.
    End,
}

/// One HTTP connection.
#[derive(Debug, Default)]
pub struct Session {
    phase: Phase,
    /// Octets of a request body that are still to be skipped.
    skip: u64,
    /// The beginning of a head whose rest has not come; without memory until a head is split.
    partial: Vec<u8>,
    /// The peer will send no more.
    peer_closed: bool,
    /// Has [`Next::Close`] or [`Next::Shutdown`] been said?
    ended: bool,
    half_heads: u32,
}

impl Session {
    /// Takes input. Returns how many octets of `data` were used (the rest is to be given again, once
    /// [`wants_input`](Self::wants_input)), and what becomes of the connection.
    pub fn input(
        &mut self,
        data: &[u8],
        scratch: &mut Scratch,
        out: &mut impl Sink,
    ) -> (usize, Next) {
        let mut used = 0;
        loop {
            match self.phase {
                Phase::Responding { .. } => {
                    if !self.send(scratch, out) {
                        return (used, Next::GoOn);
                    }
                }
                Phase::Lingering { discarded } => {
                    let more = (data.len() - used) as u64;
                    self.skip = self.skip.saturating_sub(more);
                    self.phase = Phase::Lingering { discarded: discarded + more };
                    let enough = discarded + more > MAX_LINGER;
                    return (data.len(), if enough { Next::Abort } else { self.settle() });
                }
                Phase::Head => {
                    let skipped = self.skip.min((data.len() - used) as u64);
                    self.skip -= skipped;
                    used += skipped as usize;
                    if used == data.len() {
                        return (used, Next::GoOn);
                    }
                    used += self.head(&data[used..], scratch);
                }
            }
        }
    }

    /// There is room to write again. If the session then [`wants_input`](Self::wants_input), it is
    /// to be given what was kept, or to be [`settle`](Self::settle)d if nothing was.
    pub fn resume(&mut self, scratch: &mut Scratch, out: &mut impl Sink) {
        if matches!(self.phase, Phase::Responding { .. }) {
            self.send(scratch, out);
        }
    }

    /// The peer has closed its direction, after all its data was used.
    pub fn peer_closed(&mut self) -> Next {
        self.peer_closed = true;
        self.settle()
    }

    /// Would input be used, rather than kept until a response is sent?
    pub fn wants_input(&self) -> bool {
        !matches!(self.phase, Phase::Responding { .. })
    }

    /// What becomes of the connection now that no input waits.
    pub fn settle(&mut self) -> Next {
        let next = match self.phase {
            Phase::Responding { .. } => Next::GoOn,
            Phase::Head | Phase::Lingering { .. } if self.peer_closed => Next::Close,
            Phase::Head => Next::GoOn,
            // More of the request may be on its way, and would be answered by a RST that can take
            // the response with it (RFC 9112 §9.6).
            Phase::Lingering { .. } if self.ended => Next::GoOn,
            Phase::Lingering { .. } if self.skip > 0 => Next::Shutdown,
            Phase::Lingering { .. } => Next::Close,
        };
        self.ended |= next != Next::GoOn;
        next
    }

    /// What it waits for.
    #[inline]
    pub fn waits(&self) -> Waits {
        match self.phase {
            Phase::Responding { .. } => Waits::Room,
            Phase::Lingering { .. } => Waits::End,
            Phase::Head if self.skip > 0 => Waits::Body,
            Phase::Head if self.partial.is_empty() => Waits::Request,
            Phase::Head => Waits::Head,
        }
    }

    /// Heads that began in part, to tell one from the next.
    pub fn half_heads(&self) -> u32 {
        self.half_heads
    }

    /// The rest of a head did not come in time (RFC 9110 §15.5.9): answers, and says what becomes of the
    /// connection.
    pub fn give_up(&mut self, scratch: &mut Scratch, out: &mut impl Sink) -> Next {
        self.forget_head(scratch);
        self.judge(Head::Hopeless(Response::error(Status::RequestTimeout)));
        if self.send(scratch, out) { self.settle() } else { Next::GoOn }
    }

    /// Gives back the memory of a head that arrived in part.
    pub fn forget_head(&mut self, scratch: &mut Scratch) {
        scratch.held -= self.partial.capacity();
        self.partial = Vec::new();
    }

    /// Keeps the beginning of a head; `false` if there is no memory for it.
    fn keep(&mut self, part: &[u8], scratch: &mut Scratch) -> bool {
        let before = self.partial.capacity();
        let after = (self.partial.len() + part.len()).next_power_of_two().max(256);
        if after > before {
            if scratch.held + after - before > scratch.most_held {
                return false;
            }
            self.partial.reserve_exact(after - self.partial.len());
            scratch.held += self.partial.capacity() - before;
        }
        self.half_heads = self.half_heads.wrapping_add(u32::from(self.partial.is_empty()));
        self.partial.extend_from_slice(part);
        true
    }

    /// Reads a head, or a part of one, and returns the octets used.
    fn head(&mut self, data: &[u8], scratch: &mut Scratch) -> usize {
        if self.partial.is_empty() {
            // RFC 9112 §2.2: empty lines before a request line are ignored.
            let blank = data.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
            if blank > 0 {
                return blank;
            }
            let within = &data[..data.len().min(MAX_HEAD)];
            return match request::parse(within) {
                Head::Partial => match request::too_long(within) {
                    Some(response) => self.judge(Head::Hopeless(response)),
                    None => self.keep_or_refuse(within, scratch),
                },
                head => self.judge(head),
            };
        }
        let before = self.partial.len();
        let more = &data[..data.len().min(MAX_HEAD - before)];
        if !self.keep(more, scratch) {
            self.forget_head(scratch);
            return self.judge(Head::Hopeless(Response::error(Status::Unavailable)));
        }
        // A head ends with a line, so that there is no use in looking before one does.
        let mut head = match more.contains(&b'\n') {
            true => request::parse(&self.partial),
            false => Head::Partial,
        };
        if head == Head::Partial {
            match request::too_long(&self.partial) {
                Some(response) => head = Head::Hopeless(response),
                None => return more.len(),
            }
        }
        self.forget_head(scratch);
        self.judge(head).saturating_sub(before)
    }

    /// Keeps the beginning of a head, or refuses the request for want of memory.
    fn keep_or_refuse(&mut self, part: &[u8], scratch: &mut Scratch) -> usize {
        if self.keep(part, scratch) {
            return part.len();
        }
        self.judge(Head::Hopeless(Response::error(Status::Unavailable)))
    }

    /// Carries out a judgement on a head that has its end, or will not be waited for. Returns its length.
    fn judge(&mut self, head: Head) -> usize {
        let (len, skip, response) = match head {
            Head::Complete { len, body, response } => (len, body, response),
            Head::Hopeless(response) => (0, u64::MAX, response),
            Head::Partial => return 0,
        };
        self.skip = skip;
        self.phase = Phase::Responding { response, sent: 0 };
        len
    }

    /// Sends what there is room for; true if the response is complete.
    fn send(&mut self, Scratch { gather, .. }: &mut Scratch, out: &mut impl Sink) -> bool {
        let Phase::Responding { response, mut sent } = self.phase else { return true };
        gather.clear();
        response.write_head(gather);
        let head_len = gather.len() as u64;
        let total = head_len + response.body_len();
        while sent < total {
            let taken;
            let offered;
            if sent < head_len {
                let room = GATHER - gather.len();
                let body = response.body_from(0);
                gather.extend_from_slice(&body[..body.len().min(room)]);
                offered = &gather[sent as usize..];
                taken = out.write(offered);
            } else {
                offered = response.body_from(sent - head_len);
                taken = out.write(offered);
            }
            sent += taken as u64;
            if taken < offered.len() {
                self.phase = Phase::Responding { response, sent };
                return false;
            }
        }
        out.answered();
        self.phase = match response.keeps_connection() {
            true => Phase::Head,
            false => Phase::Lingering { discarded: 0 },
        };
        true
    }
}
