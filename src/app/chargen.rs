//! Character generator (RFC 864): lines of printable characters until the peer closes.
//!
//! The pattern is the one that RFC 864 recommends: 72 of the 95 printable characters on a line, each
//! line one further on in the ring. It repeats after [`PERIOD`] octets.

use super::per_connection::PerConnection;
use super::tally::{Ending, Tally};
use crate::engine::{App, Io};
use crate::tcp::CloseReason;
use std::sync::Arc;

/// Printable ASCII characters, space to tilde.
const PRINTABLE: usize = 95;
/// Characters on a line, without its CR LF.
const LINE: usize = 72;
/// Octets after which the pattern repeats.
pub const PERIOD: usize = PRINTABLE * (LINE + 2);
/// Periods that one write offers at most.
const COPIES: usize = 4;

static PATTERN: [u8; PERIOD * COPIES] = {
    let mut pattern = [0; PERIOD * COPIES];
    let mut at = 0;
    while at < pattern.len() {
        pattern[at] = octet(at);
        at += 1;
    }
    pattern
};

/// The octet at offset `at` of the stream.
pub const fn octet(at: usize) -> u8 {
    let at = at % PERIOD;
    let (line, column) = (at / (LINE + 2), at % (LINE + 2));
    match column {
        LINE => b'\r',
        c if c > LINE => b'\n',
        _ => b' ' + ((line + column) % PRINTABLE) as u8,
    }
}

/// The character generator.
#[derive(Debug)]
pub struct Chargen {
    tally: Arc<Tally>,
    /// Offset into the period of what comes next.
    offsets: PerConnection<u16>,
}

const _: () = assert!(PERIOD <= u16::MAX as usize);

impl Chargen {
    /// A generator for up to `max_connections`, that counts into `tally`.
    pub fn new(tally: Arc<Tally>, max_connections: u32) -> Self {
        Chargen { tally, offsets: PerConnection::new(max_connections) }
    }

    /// Writes until the send buffer is full.
    fn fill(&mut self, io: &mut Io<'_>) {
        let offset = self.offsets.of(io.conn());
        loop {
            let rest = &PATTERN[usize::from(*offset)..];
            let taken = io.write(rest);
            self.tally.bytes_sent.add(taken as u64);
            *offset = ((usize::from(*offset) + taken) % PERIOD) as u16;
            if taken < rest.len() {
                return;
            }
        }
    }
}

impl App for Chargen {
    fn on_open(&mut self, io: &mut Io<'_>) {
        self.tally.accepted();
        self.offsets.start(io.conn());
        self.fill(io);
    }

    fn on_data(&mut self, _io: &mut Io<'_>, data: &[u8]) -> usize {
        self.tally.bytes_received.add(data.len() as u64);
        data.len()
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.fill(io);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    fn on_closed(&mut self, _io: &mut Io<'_>, reason: CloseReason) {
        self.tally.ended(Ending::of_established(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_rfc() {
        let text = core::str::from_utf8(&PATTERN).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), PRINTABLE * COPIES);
        assert!(lines.iter().all(|line| line.len() == 72));
        assert!(lines[0].starts_with(" !\"#") && lines[1].starts_with("!\"#$"));
        assert!(lines[94].starts_with("~ !"));
        assert_eq!(lines[0], lines[95]);
    }
}
