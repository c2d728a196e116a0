//! Echo (RFC 862): every octet goes back.

use super::tally::{Ending, Tally};
use crate::engine::{App, Io};
use crate::tcp::CloseReason;
use std::sync::Arc;

/// The echo server. What the send buffer has no room for stays unread, so a peer that does not read
/// closes its own window.
#[derive(Debug, Default)]
pub struct Echo {
    tally: Arc<Tally>,
}

impl Echo {
    /// An echo server that counts into `tally`.
    pub fn new(tally: Arc<Tally>) -> Self {
        Echo { tally }
    }
}

impl App for Echo {
    fn on_open(&mut self, _io: &mut Io<'_>) {
        self.tally.accepted();
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let taken = io.write(data);
        self.tally.bytes_received.add(taken as u64);
        self.tally.bytes_sent.add(taken as u64);
        taken
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        io.redeliver();
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    fn on_closed(&mut self, _io: &mut Io<'_>, reason: CloseReason) {
        self.tally.ended(Ending::of_established(reason));
    }
}
