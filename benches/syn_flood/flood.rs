//! A port that sends SYNs beside what its owner sends.

use crate::syns::Syns;
use lastack::port::dpdk::Tsc;
use lastack::port::{Capabilities, Port, PortStats, RxFrame, TxOffload};

/// A port that sends SYNs at a rate beside what its owner sends.
pub struct Flooded<P> {
    port: P,
    syns: Syns,
    clock: Tsc,
    /// Nanoseconds between SYNs, and when the next one is due.
    gap: u64,
    due: u64,
}

/// SYNs that are sent at once, at most: what is due and finds no time is left out.
const AT_ONCE: u64 = 32;

impl<P: Port> Flooded<P> {
    pub fn new(port: P, syns: Syns) -> Self {
        Flooded { port, syns, clock: Tsc::new(), gap: 0, due: 0 }
    }

    /// From now on so many a second; 0 = none.
    pub fn set_rate(&mut self, rate: u64) {
        self.gap = 1_000_000_000_u64.checked_div(rate).unwrap_or(0);
        self.due = self.clock.now().nanos();
    }
}

impl<P: Port> Port for Flooded<P> {
    fn rx_burst(&mut self) -> usize {
        self.port.rx_burst()
    }

    fn rx_frame(&self, index: usize) -> RxFrame<'_> {
        self.port.rx_frame(index)
    }

    fn rx_answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        self.port.rx_answer(index, longest, write)
    }

    fn tx_room(&mut self) -> Option<&mut [u8]> {
        self.port.tx_room()
    }

    fn tx_commit(&mut self, len: usize, offload: TxOffload) {
        self.port.tx_commit(len, offload);
    }

    fn tx_flush(&mut self) {
        if self.gap > 0 {
            let now = self.clock.now().nanos();
            self.due = self.due.max(now.saturating_sub(AT_ONCE * self.gap));
            while self.due <= now {
                let Some(room) = self.port.tx_room() else { break };
                let len = self.syns.write(room);
                self.port.tx_commit(len, TxOffload::None);
                self.due += self.gap;
            }
        }
        self.port.tx_flush();
    }

    fn tx_waiting(&self) -> usize {
        self.port.tx_waiting()
    }

    fn capabilities(&self) -> Capabilities {
        self.port.capabilities()
    }

    fn stats(&self) -> PortStats {
        self.port.stats()
    }
}
