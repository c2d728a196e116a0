//! The server for requests of a fixed size: answers each with a response of a fixed size, and closes
//! after the one whose request ends in a full stop.

use super::load::Shape;
use super::{End, LAST, send_filler};
use crate::app::no_delay;
use crate::app::per_connection::PerConnection;
use crate::app::tally::{Ending, Tally};
use crate::engine::{App, Io};
use crate::tcp::CloseReason;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Service {
    /// Octets of the request that is arriving.
    got: u32,
    /// The request after which to close was there, or the peer has closed its direction.
    ends: bool,
    /// Octets of responses still to be sent.
    unsent: u64,
}

impl Service {
    /// Takes the octets of a request, or of several, or of a part of one. Returns how many requests
    /// are complete.
    #[inline]
    fn take(&mut self, data: &[u8], shape: &Shape) -> usize {
        let octets = self.got as usize + data.len();
        let size = shape.request_size as usize;
        // Small messages come one at a time, and a division costs more than the rest of this.
        let (requests, rest) = match octets {
            n if n < size => (0, n),
            n if n == size => (1, 0),
            n => (n / size, n % size),
        };
        self.got = rest as u32;
        if requests > 0 && !self.ends {
            // The last octet of the last request that is complete.
            self.ends = data[data.len() - rest - 1] == LAST;
            self.unsent += requests as u64 * u64::from(shape.response_size);
            return requests;
        }
        0
    }

    /// Is it our turn to close?
    #[inline]
    fn is_over(&self) -> bool {
        self.unsent == 0 && self.ends
    }
}

/// The server of the workloads `crr` and `rr`.
#[derive(Debug)]
pub struct Responder {
    shape: Shape,
    tally: Arc<Tally>,
    services: PerConnection<Service>,
}

impl Responder {
    /// A server for up to `max_connections`, that counts into `tally`.
    pub fn new(shape: Shape, tally: Arc<Tally>, max_connections: u32) -> Self {
        Responder { shape, tally, services: PerConnection::new(max_connections) }
    }

    #[inline]
    fn send(&mut self, io: &mut Io<'_>) {
        let service = self.services.of(io.conn());
        let before = service.unsent;
        service.unsent = send_filler(before, End::Plain, |bytes| io.write(bytes));
        self.tally.bytes_sent.add(before - service.unsent);
        if service.is_over() {
            io.close();
        }
    }
}

impl App for Responder {
    fn on_open(&mut self, io: &mut Io<'_>) {
        no_delay(io);
        self.tally.accepted();
        self.services.start(io.conn());
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        self.tally.bytes_received.add(data.len() as u64);
        let requests = self.services.of(io.conn()).take(data, &self.shape);
        if requests > 0 {
            self.tally.requests.add(requests as u64);
            self.send(io);
        }
        data.len()
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.send(io);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let service = self.services.of(io.conn());
        service.ends = true;
        if service.is_over() {
            io.close();
        }
    }

    fn on_closed(&mut self, _io: &mut Io<'_>, reason: CloseReason) {
        self.tally.ended(Ending::of_established(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPE: Shape = Shape { request_size: 10, response_size: 3 };

    #[test]
    fn closes_after_the_response_to_the_request_that_says_so() {
        let mut service = Service::default();
        assert_eq!(service.take(b"xxxxxxxxxxxxxxxxxxx", &SHAPE), 1);
        assert!(!service.ends);
        assert_eq!(service.take(b".", &SHAPE), 1);
        assert!(service.ends && !service.is_over(), "the responses are not sent yet");
        service.unsent = 0;
        assert!(service.is_over());
        assert_eq!(service.take(&[b'x'; 100], &SHAPE), 0, "nothing comes after the last request");
        assert!(service.is_over());
    }

    proptest! {
        /// However the octets arrive, the same requests come out, and the same one is the last.
        #[test]
        fn splits_change_nothing(
            requests in 1_usize..100,
            closes in any::<bool>(),
            pieces in proptest::collection::vec(0_usize..50, 1..60),
        ) {
            let mut stream = vec![b'x'; requests * 10];
            if closes { stream[requests * 10 - 1] = LAST; }
            let mut service = Service::default();
            let (mut rest, mut got, mut turn) = (&stream[..], 0, 0);
            while !rest.is_empty() {
                prop_assert!(!service.ends);
                let (piece, later) = rest.split_at(pieces[turn % pieces.len()].max(1).min(rest.len()));
                got += service.take(piece, &SHAPE);
                (rest, turn) = (later, turn + 1);
            }
            prop_assert_eq!((got, service.unsent as usize, service.got), (requests, requests * 3, 0));
            prop_assert_eq!(service.ends, closes);
        }
    }
}
