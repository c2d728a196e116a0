//! Discard (RFC 863): what arrives is thrown away.

use super::tally::{Ending, Tally};
use crate::engine::{App, Io};
use crate::tcp::CloseReason;
use std::sync::Arc;

/// The discard server.
#[derive(Debug, Default)]
pub struct Discard {
    tally: Arc<Tally>,
}

impl Discard {
    /// A discard server that counts into `tally`.
    pub fn new(tally: Arc<Tally>) -> Self {
        Discard { tally }
    }
}

impl App for Discard {
    fn on_open(&mut self, _io: &mut Io<'_>) {
        self.tally.accepted();
    }

    fn on_data(&mut self, _io: &mut Io<'_>, data: &[u8]) -> usize {
        self.tally.bytes_received.add(data.len() as u64);
        data.len()
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    fn on_closed(&mut self, _io: &mut Io<'_>, reason: CloseReason) {
        self.tally.ended(Ending::of_established(reason));
    }
}
