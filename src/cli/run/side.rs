//! One side of a run as its counters tell it: the sums over its engines.

use super::engines::Gauges;
use super::lcores::Switch;
use crate::measure::rate::{Totals, per_second, ratio};
use crate::measure::report::{
    Bytes, Connections, Cycles, LoopbackSide, Packets, Requests, Side, Syn, TimeLeft, TimeWait,
};
use crate::port::dpdk::EthDev;
use crate::tcp::Counters;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The engines of one side.
#[derive(Clone)]
pub struct SideGauges {
    /// `client` or `server`.
    pub name: &'static str,
    /// Its engines.
    pub engines: Vec<Gauges>,
    /// Its port.
    pub device: EthDev,
    /// How often the link of its port went down.
    pub link_downs: Arc<AtomicU64>,
    /// Descriptors of each queue.
    pub descriptors: u16,
    /// The lcores that poll them, once they have their places.
    pub lcores: Vec<u32>,
    /// The switches of their loops, likewise; one if both sides are polled by one loop.
    pub switches: Vec<Arc<Switch>>,
}

/// The totals of a measured window, and its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// What happened in it.
    pub totals: Totals,
    /// How long it was.
    pub span: Duration,
    /// It began after the warm-up; a run that ended before has the window of its warm-up.
    pub warm: bool,
}

impl Window {
    /// Nanoseconds of a turn of the loop on average.
    pub fn turn_ns(&self, tsc_hz: u64) -> f64 {
        ratio(self.totals.total_cycles, self.totals.turns) * 1e9 / tsc_hz as f64
    }
}

impl SideGauges {
    /// The sum over its engines.
    pub fn sum(&self, of: impl Fn(&Gauges) -> u64) -> u64 {
        self.engines.iter().map(of).sum()
    }

    /// Running totals, now.
    pub fn totals(&self) -> Totals {
        self.engines.iter().fold(Totals::default(), |sum, engine| {
            let Gauges { tally, metrics, cycles, .. } = engine;
            sum.plus(&Totals {
                connections: tally.established.get(),
                requests: tally.requests.get(),
                bytes_sent: tally.bytes_sent.get(),
                bytes_received: tally.bytes_received.get(),
                packets_rx: metrics.rx_packets.get(),
                packets_tx: metrics.tx_packets.get(),
                retransmitted: metrics.tcp.retrans_segs.get(),
                busy_cycles: cycles.busy.get(),
                total_cycles: cycles.total.get(),
                turns: cycles.polls.get(),
            })
        })
    }

    /// Connections that have not ended.
    pub fn open_now(&self) -> u64 {
        self.sum(|engine| engine.tally.open_now.get())
    }

    /// Lets the high-water marks begin anew; the engines are at rest.
    pub fn lower_peaks(&self) {
        for Gauges { tally, metrics, .. } in &self.engines {
            tally.peak.set(tally.open_now.get());
            metrics.time_wait_peak.set(metrics.time_wait.get());
            metrics.syn_cache_peak.set(metrics.syn_cache.get());
        }
    }

    /// Connections, for a report.
    fn connections(&self, window: &Window) -> Connections {
        Connections {
            opened: self.sum(|engine| engine.tally.opened.get()),
            established: self.sum(|engine| engine.tally.established.get()),
            closed: self.sum(|engine| engine.tally.closed.get()),
            failed: self.sum(|engine| engine.tally.failed.get()),
            reset: self.sum(|engine| engine.tally.reset.get()),
            closed_by_peer: self.sum(|engine| engine.tally.closed_by_peer.get()),
            per_s: per_second(window.totals.connections, window.span),
            peak: self.sum(|engine| engine.tally.peak.get()),
        }
    }

    /// Requests, for a report.
    fn requests(&self, window: &Window) -> Requests {
        let refused = self.sum(|engine| engine.tally.refused.get());
        let unanswered = self.sum(|engine| engine.tally.unanswered.get());
        let timed_out = self.sum(|engine| engine.tally.timed_out.get());
        let counted = Requests { refused, unanswered, timed_out, ..Requests::default() };
        let Requests { completed, per_s, .. } =
            Requests::of(&self.totals(), &window.totals, window.span);
        Requests { completed, per_s, ..counted }
    }

    /// Payload, for a report.
    fn bytes(&self, window: &Window) -> Bytes {
        Bytes::of(&self.totals(), &window.totals, window.span)
    }

    /// What the engines did, for a report. `port_drops` are those that ports counted.
    fn side(&self, window: &Window, tsc_hz: u64, port_drops: &BTreeMap<String, u64>) -> Side {
        let mut drops = self.drops();
        drops.extend(port_drops.clone());
        Side {
            packets: Packets::of(&self.totals(), &window.totals, window.span),
            cycles: Cycles::of(&window.totals, tsc_hz),
            time_wait: self.time_wait(),
            syn: self.syn(),
            link_downs: self.link_downs.load(Ordering::Relaxed),
            handled: self.handled(),
            drops,
            tcp: self.tcp(),
        }
    }

    /// TCP's counters by name.
    pub fn tcp(&self) -> BTreeMap<String, u64> {
        by_name(self.engines.iter().flat_map(|engine| engine.metrics.tcp.iter()))
    }

    /// Frames that were handled, by kind.
    pub fn handled(&self) -> BTreeMap<String, u64> {
        by_name(self.engines.iter().flat_map(|engine| engine.metrics.handled.iter()))
    }

    /// Frames that engines dropped, by reason.
    pub fn drops(&self) -> BTreeMap<String, u64> {
        by_name(self.engines.iter().flat_map(|engine| engine.metrics.drops.iter()))
    }

    /// All of it, for a report of two sides.
    pub fn whole(
        &self,
        window: &Window,
        tsc_hz: u64,
        drops: &BTreeMap<String, u64>,
    ) -> LoopbackSide {
        LoopbackSide {
            connections: self.connections(window),
            requests: self.requests(window),
            bytes: self.bytes(window),
            side: self.side(window, tsc_hz, drops),
        }
    }

    /// TIME-WAIT, for a report.
    pub fn time_wait(&self) -> TimeWait {
        let first = self.engines.first();
        let (ipv4, ipv6) = first.map_or((0, 0), |engine| engine.time_wait_bytes);
        let lag = |engine: &Gauges| engine.metrics.time_wait_lag.quantile_ns(0.99);
        TimeWait {
            policy: first.map(|engine| engine.metrics.in_force.time_wait()).unwrap_or_default(),
            current: self.sum(|engine| engine.metrics.time_wait.get()),
            peak: self.sum(|engine| engine.metrics.time_wait_peak.get()),
            entered: self.sum(|engine| engine.metrics.tcp.tw_entered.get()),
            expired: self.sum(|engine| engine.metrics.tcp.tw_expired.get()),
            reused: self.sum(|engine| engine.metrics.tcp.tw_reused.get()),
            recycled: self.sum(|engine| engine.metrics.tcp.tw_recycled.get()),
            rst_ignored: self.sum(|engine| engine.metrics.tcp.tw_rst_ignored.get()),
            fin_reacked: self.sum(|engine| engine.metrics.tcp.tw_fin_reacked.get()),
            bytes_per_entry: ipv4 as u64,
            bytes_per_entry_ipv6: ipv6 as u64,
            backlog: self.sum(|engine| engine.metrics.time_wait_left.overdue(engine.clock.now())),
            lag_p99: self.engines.iter().map(lag).max().unwrap_or(0),
            lag_max: self
                .engines
                .iter()
                .map(|engine| engine.metrics.time_wait_lag.max_ns())
                .max()
                .unwrap_or(0),
            left: self.time_left(),
        }
    }

    /// Half-open connections, for a report.
    pub fn syn(&self) -> Syn {
        let first = self.engines.first();
        let (ipv4, ipv6) = first.map_or((0, 0), |engine| engine.syn_cache_bytes);
        let tcp = |of: fn(&Counters) -> u64| self.sum(|engine| of(&engine.metrics.tcp));
        Syn {
            mode: first.map(|engine| engine.metrics.in_force.syn_cookies()).unwrap_or_default(),
            received: tcp(|tcp| tcp.syn_received.get()),
            cookies_sent: tcp(|tcp| tcp.cookies_sent.get()),
            cookies_accepted: tcp(|tcp| tcp.cookies_received.get()),
            cookies_rejected: tcp(|tcp| tcp.cookies_failed.get()),
            cache_current: self.sum(|engine| engine.metrics.syn_cache.get()),
            cache_peak: self.sum(|engine| engine.metrics.syn_cache_peak.get()),
            cache_overflow: tcp(|tcp| tcp.full_do_cookies.get() + tcp.full_drop.get()),
            cookies_active: self.sum(|engine| engine.metrics.syn_cookies_active.get()),
            limited: tcp(|tcp| tcp.syn_limited.get()),
            bytes_per_entry: ipv4 as u64,
            bytes_per_entry_ipv6: ipv6 as u64,
        }
    }

    /// Entries in TIME-WAIT by the time that they have left; nothing if there are none.
    fn time_left(&self) -> Vec<TimeLeft> {
        let edges = [1, 5, 15, 30, 60, 120, 240].map(Duration::from_secs);
        let mut rows: Vec<TimeLeft> = edges
            .iter()
            .map(|edge| Some(edge.as_secs_f64()))
            .chain([None])
            .map(|below_s| TimeLeft { below_s, entries: 0 })
            .collect();
        for engine in &self.engines {
            let left = engine.metrics.time_wait_left.left(engine.clock.now(), &edges);
            rows.iter_mut().zip(left).for_each(|(row, entries)| row.entries += entries);
        }
        rows.truncate(rows.iter().rposition(|row| row.entries > 0).map_or(0, |last| last + 1));
        rows
    }
}

/// The sums of counters that have the same name.
fn by_name(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counts {
        *sums.entry(name.to_owned()).or_default() += count;
    }
    sums
}
