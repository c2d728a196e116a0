//! Between a workload and whoever runs it: switches, and what is recorded.

use crate::measure::Histogram;
use crate::measure::report::KINDS;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crossbeam_queue::ArrayQueue;

/// The switches between a workload and whoever runs it.
#[derive(Debug)]
pub struct Control {
    pub(super) stop: AtomicBool,
    pub(super) finished: AtomicBool,
    /// What is under way need not be waited for any longer.
    pub(super) given_up: AtomicBool,
    /// Somebody wants what was recorded, and has left something to go on recording in; or another rate.
    pub(super) wanted: AtomicBool,
    /// The rate that is wanted, as bits; 0 = none.
    pub(super) rate: AtomicU64,
    pub(super) spare: ArrayQueue<Box<Measured>>,
    pub(super) recorded: ArrayQueue<Box<Measured>>,
}

impl Default for Control {
    fn default() -> Self {
        Control {
            stop: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            rate: AtomicU64::new(0),
            spare: ArrayQueue::new(1),
            recorded: ArrayQueue::new(1),
        }
    }
}

impl Control {
    /// Asks the workload to come to an end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Takes back that it shall end and that it has.
    pub(super) fn begin_anew(&self) {
        self.stop.store(false, Ordering::Relaxed);
        self.given_up.store(false, Ordering::Relaxed);
        self.finished.store(false, Ordering::Release);
    }

    /// Lets a workload that was [stopped](Self::stop) abort what is still under way.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Has it come to its end? Then no connection is left.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Asks for what was recorded since the last time; the workload goes on in `empty`, which comes
    /// back if it was asked before and has not answered.
    pub fn ask(&self, empty: Box<Measured>) -> Option<Box<Measured>> {
        let refused = self.spare.push(empty).err();
        self.wanted.store(true, Ordering::Release);
        refused
    }

    /// Sets the arrivals in a second of an open loop; its schedule begins anew. A closed loop has none.
    pub fn set_rate(&self, per_second: f64) {
        self.rate.store(per_second.to_bits(), Ordering::Relaxed);
        self.wanted.store(true, Ordering::Release);
    }

    /// What was asked for, once it is there.
    pub fn answer(&self) -> Option<Box<Measured>> {
        self.recorded.pop()
    }
}

/// The histograms of a client.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Intended start to the last octet of the response; open loop only.
    pub latency: Histogram,
    /// Request sent to the last octet of the response.
    pub service: Histogram,
    /// SYN sent to established.
    pub connect: Histogram,
    /// Our FIN to the final state.
    pub close: Histogram,
    /// Intended start, or when a connection was free for it, to the start: what the client itself came
    /// late; open loop only.
    pub behind: Histogram,
    /// Intended start to the end of the waiting, of requests that were not answered. In an open loop these
    /// are in `latency` too, which would have been no less.
    pub unanswered: Histogram,
}

impl Measured {
    /// The histograms by the [kind](KINDS) of time.
    pub fn by_kind(&self) -> [(&'static str, &Histogram); 4] {
        let [latency, service, connect, close] = KINDS;
        [
            (latency, &self.latency),
            (service, &self.service),
            (connect, &self.connect),
            (close, &self.close),
        ]
    }

    /// What says most of requests: in an open loop `latency`, in a closed one `service`.
    pub fn of_requests(&self, open_loop: bool) -> &Histogram {
        if open_loop { &self.latency } else { &self.service }
    }

    /// Forgets all that was recorded.
    pub fn clear(&mut self) {
        let Measured { latency, service, connect, close, behind, unanswered } = self;
        [latency, service, connect, close, behind, unanswered]
            .into_iter()
            .for_each(Histogram::clear);
    }

    /// Takes away what was recorded `before`, which is a part of it.
    pub fn subtract(&mut self, before: &Measured) {
        let Measured { latency, service, connect, close, behind, unanswered } = before;
        self.latency.subtract(latency);
        self.service.subtract(service);
        self.connect.subtract(connect);
        self.close.subtract(close);
        self.behind.subtract(behind);
        self.unanswered.subtract(unanswered);
    }

    /// Adds what another client recorded.
    pub fn merge(&mut self, other: &Measured) {
        let Measured { latency, service, connect, close, behind, unanswered } = other;
        self.latency.merge(latency);
        self.service.merge(service);
        self.connect.merge(connect);
        self.close.merge(close);
        self.behind.merge(behind);
        self.unanswered.merge(unanswered);
    }
}
