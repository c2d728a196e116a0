//! The server for requests of a fixed size: answers each with a response of a fixed size.

use super::load::{CloseBy, Shape};
use super::send_filler;
use crate::app::per_connection::PerConnection;
use crate::app::tally::{Ending, Tally};
use crate::engine::{App, Io};
use crate::tcp::CloseReason;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Service {
    /// Octets of the request that is arriving.
    got: u32,
    /// Requests that were read to their last octet.
    requests: u32,
    /// Octets of responses still to be sent.
    unsent: u64,
    /// The peer has closed its direction.
    peer_closed: bool,
}

impl Service {
    /// Takes the octets of a request, or of several, or of a part of one. Returns how many requests
    /// are complete.
    #[inline]
    fn take(&mut self, octets: usize, shape: &Shape) -> u32 {
        let octets = self.got as usize + octets;
        let size = shape.request_size as usize;
        // Small messages come one at a time, and a division costs more than the rest of this.
        let (requests, rest) = match octets {
            n if n < size => (0, n),
            n if n == size => (1, 0),
            n => (n / size, n % size),
        };
        let left = shape.requests_per_connection.map_or(u32::MAX, |limit| limit - self.requests);
        let requests = u32::try_from(requests).unwrap_or(u32::MAX).min(left);
        self.got = rest as u32;
        self.requests = self.requests.saturating_add(requests);
        self.unsent += u64::from(requests) * u64::from(shape.response_size);
        requests
    }

    /// Is it our turn to close?
    #[inline]
    fn is_over(&self, shape: &Shape) -> bool {
        let answered = shape.close == CloseBy::Server
            && shape.requests_per_connection.is_some_and(|limit| self.requests >= limit);
        self.unsent == 0 && (answered || self.peer_closed)
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
        service.unsent = send_filler(before, |bytes| io.write(bytes));
        self.tally.bytes_sent.add(before - service.unsent);
        if service.is_over(&self.shape) {
            io.close();
        }
    }
}

impl App for Responder {
    fn on_open(&mut self, io: &mut Io<'_>) {
        self.tally.accepted();
        self.services.start(io.conn());
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        self.tally.bytes_received.add(data.len() as u64);
        let requests = self.services.of(io.conn()).take(data.len(), &self.shape);
        if requests > 0 {
            self.tally.requests.add(requests.into());
            self.send(io);
        }
        data.len()
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.send(io);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let service = self.services.of(io.conn());
        service.peer_closed = true;
        if service.is_over(&self.shape) {
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

    fn shape(requests_per_connection: Option<u32>, close: CloseBy) -> Shape {
        Shape { request_size: 10, response_size: 3, requests_per_connection, close }
    }

    #[test]
    fn closes_after_the_last_response_if_it_is_the_one_to_close() {
        for (close, over) in [(CloseBy::Server, true), (CloseBy::Client, false)] {
            let shape = shape(Some(2), close);
            let mut service = Service::default();
            assert_eq!(service.take(19, &shape), 1);
            assert_eq!(service.take(1, &shape), 1);
            assert!(!service.is_over(&shape), "the responses are not sent yet");
            service.unsent = 0;
            assert_eq!(service.is_over(&shape), over);
            assert_eq!(service.take(100, &shape), 0, "no more than was agreed on");
            service.peer_closed = true;
            assert!(service.is_over(&shape));
        }
    }

    proptest! {
        /// However the octets arrive, the same requests come out.
        #[test]
        fn splits_change_nothing(pieces in proptest::collection::vec(0_usize..50, 0..60)) {
            let shape = shape(None, CloseBy::Server);
            let mut service = Service::default();
            let requests: u32 = pieces.iter().map(|&octets| service.take(octets, &shape)).sum();
            let total: usize = pieces.iter().sum();
            prop_assert_eq!(requests as usize, total / 10);
            prop_assert_eq!(service.unsent as usize, total / 10 * 3);
            prop_assert_eq!(service.got as usize, total % 10);
        }
    }
}
