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

/// A buffer that the sessions of an engine share, for what is written in one go.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// Reserves the buffer.
    pub fn new() -> Self {
        Scratch(Vec::with_capacity(GATHER))
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
                    used += self.head(&data[used..]);
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

    /// Reads a head, or a part of one, and returns the octets used.
    fn head(&mut self, data: &[u8]) -> usize {
        if self.partial.is_empty() {
            // RFC 9112 §2.2: empty lines before a request line are ignored.
            let blank = data.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
            if blank > 0 {
                return blank;
            }
            let within = &data[..data.len().min(MAX_HEAD)];
            return match request::parse(within) {
                Head::Partial if within.len() < MAX_HEAD => {
                    self.partial.extend_from_slice(within);
                    within.len()
                }
                head => self.judge(head),
            };
        }
        let before = self.partial.len();
        let more = &data[..data.len().min(MAX_HEAD - before)];
        self.partial.extend_from_slice(more);
        // A head ends with a line, so that there is no use in looking before one does.
        let head = match more.contains(&b'\n') {
            true => request::parse(&self.partial),
            false => Head::Partial,
        };
        if head == Head::Partial && self.partial.len() < MAX_HEAD {
            return more.len();
        }
        self.partial.clear();
        self.judge(head).saturating_sub(before)
    }

    /// Carries out a judgement on a head that is complete, or as long as one may be. Returns its
    /// length.
    fn judge(&mut self, head: Head) -> usize {
        let (len, skip, response) = match head {
            Head::Complete { len, body, response } => (len, body, response),
            Head::Hopeless(response) => (0, u64::MAX, response),
            Head::Partial => (0, u64::MAX, Response::error(Status::FieldsTooLarge)),
        };
        self.skip = skip;
        self.phase = Phase::Responding { response, sent: 0 };
        len
    }

    /// Sends what there is room for; true if the response is complete.
    fn send(&mut self, Scratch(gather): &mut Scratch, out: &mut impl Sink) -> bool {
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
