//! The stack: connections, tables, timers and addresses of one engine, and what the parts share.

use super::config::{Config, ConfigError, Limits};
use super::control::ControlQueue;
use super::flow_hash::FlowKey;
use super::flow_table::{FlowHash, FlowTable, Kind};
use super::footprint::try_to_reserve;
use super::listener::{ListenerId, Listeners};
use super::mailbox::Mailbox;
use super::memory::MemoryWaits;
use super::metrics::Metrics;
use super::output::Owed;
use super::presence::Presence;
use super::slab::Slab;
use super::syn_cache::SynCache;
use super::syn_limit::SynLimit;
use super::time_waits::{Family, TimeWaits};
use crate::net::frame::Link;
use crate::net::neighbour::{NeighbourConfig, NeighbourId, Neighbours};
use crate::net::route::Routes;
use crate::net::unreachable::ErrorLimit;
use crate::tcp;
use crate::tcp::acceptable::millis;
use crate::tcp::buffer::{CHUNK_BYTES, Pool};
use crate::tcp::cookie::{CookieSecret, Cookies};
use crate::tcp::reassembly::ReassemblyPool;
use crate::tcp::recovery::RecoveryPool;
use crate::tcp::time_wait::{PairV4, PairV6};
use crate::tcp::{CloseReason, Connection, Departures, Tuple};
use crate::time::Instant;
use crate::timer::Wheel;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

/// A handle on a connection, good for its life and never for that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Below [`Limits::max_connections`], and given out again when the connection is gone: an index
    /// into a table of the application's own.
    pub index: u32,
    /// Tells the connections apart that have had this index.
    pub generation: u32,
}

/// Yes-or-no facts that the engine keeps about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Mark {
    /// On the list of connections with something to send.
    Dirty = 1 << 0,
    /// No longer in the flow table: it has ended, or TIME-WAIT answers for it.
    Detached = 1 << 1,
    /// `on_data` is to be called again with what was kept.
    Redeliver = 1 << 2,
    /// The application is to be told of the peer's FIN when it has read all that came before.
    TellPeerClosed = 1 << 3,
    /// The application was told of the end.
    ToldClosed = 1 << 4,
    /// The listener counts it in its backlog.
    InBacklog = 1 << 5,
    /// The wait of SO_LINGER is over.
    LingerOver = 1 << 6,
    /// On the list of connections whose handles are ready.
    ReadyListed = 1 << 7,
    /// Waits for the Ethernet address of its neighbour.
    AwaitsNeighbour = 1 << 8,
    /// On the list of connections that wait for buffer memory.
    AwaitsMemory = 1 << 9,
}

/// A connection with what the engine knows of it.
pub(super) struct Block {
    pub tcp: Connection,
    /// What the application has attached.
    pub user: u64,
    /// When the wheel will look at it; `Instant::FAR` if it is not filed.
    pub filed_at: Instant,
    pub generation: u32,
    pub neighbour: Option<NeighbourId>,
    pub listener: Option<ListenerId>,
    /// SO_LINGER in milliseconds, `u32::MAX` = off.
    pub linger_ms: u32,
    pub ended: Option<CloseReason>,
    marks: u16,
}

impl Block {
    fn new(tcp: Connection, generation: u32, linger_ms: u32) -> Self {
        Block {
            tcp,
            user: 0,
            filed_at: Instant::FAR,
            generation,
            neighbour: None,
            listener: None,
            linger_ms,
            ended: None,
            marks: 0,
        }
    }

    #[inline]
    pub fn is(&self, mark: Mark) -> bool {
        self.marks & mark as u16 != 0
    }

    #[inline]
    pub fn mark(&mut self, mark: Mark) {
        self.marks |= mark as u16;
    }

    /// Clears a mark and says whether it was set.
    #[inline]
    pub fn unmark(&mut self, mark: Mark) -> bool {
        let was = self.is(mark);
        self.marks &= !(mark as u16);
        was
    }
}

/// SO_LINGER as a block keeps it: milliseconds, rounded up, `u32::MAX` = off.
pub(super) fn linger_ms(linger: Option<Duration>) -> u32 {
    let ms = |time: Duration| time.as_nanos().div_ceil(1_000_000).min(0xffff_fffe) as u32;
    linger.map_or(u32::MAX, ms)
}

/// The secrets of an engine, one for each purpose.
#[derive(Clone, Copy)]
pub(super) struct Secrets {
    pub flows: FlowKey,
    pub sequence: FlowKey,
    pub timestamps: FlowKey,
    pub ports: FlowKey,
    /// Of SYN cookies, unless one was given.
    cookies: FlowKey,
    sources: FlowKey,
}

impl Secrets {
    fn new(seed: &[u8; 32]) -> Self {
        let word = |at: usize| {
            u64::from_le_bytes(seed[at * 8..at * 8 + 8].try_into().expect("eight octets"))
        };
        let key = |purpose: u64| {
            // the seed keys a hash of the purpose, so that no key tells another
            let root = FlowKey::new(word(0) ^ word(2), word(1) ^ word(3));
            let half = |n: u64| root.hash_v6(word(2).into(), (purpose << 1 | n).into(), 0, 0).0;
            FlowKey::new(half(0), half(1))
        };
        Secrets {
            flows: key(0),
            sequence: key(1),
            timestamps: key(2),
            ports: key(3),
            cookies: key(4),
            sources: key(5),
        }
    }
}

/// One connection slot of the wheel is this long: 2^20 ns, about a millisecond.
const TICK_SHIFT: u32 = 20;
/// Slots of the wheel for connections: a turn of about four seconds.
const WHEEL_SLOTS: u32 = 1 << 12;
/// Timers of connections that one poll looks at.
pub(super) const TIMER_BUDGET: usize = 256;

/// The stack of one engine: all but the application.
///
/// Calls that act on connections are in the files of their faces: handles in `socket`, listeners in
/// `listener`. The time is that of the last [`input`](super::Engine::input) or
/// [`poll`](super::Engine::poll).
pub struct Stack {
    pub(super) now: Instant,
    pub(super) config: tcp::Config,
    pub(super) limits: Limits,
    pub(super) link: Link,
    /// The VLAN that frames must be of.
    pub(super) vlan_id: Option<u16>,
    pub(super) mtu: u16,
    pub(super) secrets: Secrets,
    pub(super) metrics: Arc<Metrics>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) routes: Routes,
    pub(super) neighbours: Neighbours,
    pub(super) presence: Presence,
    pub(super) listeners: Listeners,
    pub(super) table: FlowTable,
    pub(super) conns: Slab<Block>,
    pub(super) wheel: Wheel,
    pub(super) pool: Pool,
    pub(super) reassembly: ReassemblyPool,
    pub(super) recovery: RecoveryPool,
    pub(super) time_waits: TimeWaits,
    pub(super) syn_cache: SynCache,
    pub(super) syn_limit: SynLimit,
    pub(super) cookies: Cookies,
    /// When a cookie was sent last; `FAR` = never.
    pub(super) last_cookie: Instant,
    /// Others may have sent cookies that we take.
    pub(super) shares_cookies: bool,
    pub(super) control: ControlQueue,
    /// The limit of the ICMP errors that we send.
    pub(super) error_limit: ErrorLimit,
    /// Segments of this batch that did not get as far as TCP: they are counted as drops.
    pub(super) not_for_tcp: usize,
    /// Last segments of connections that the queue had no room for.
    pub(super) owed: VecDeque<Owed>,
    /// What the port has not sent yet.
    pub(super) departures: Departures,
    /// The port had no room at the end of the last turn, and something waits to be sent.
    pub(super) output_blocked: bool,
    /// Connections with something to send, in the order in which they came by it.
    pub(super) dirty: VecDeque<u32>,
    /// Connections with something to tell the application.
    pub(super) to_tell: VecDeque<(u32, u32)>,
    /// Connections that wait for their neighbour.
    pub(super) waiting: Vec<(u32, u32)>,
    /// Connections that wait for buffer memory.
    pub(super) memory_waits: MemoryWaits,
    /// Handles that have become ready, each at most once.
    pub(super) ready: VecDeque<(u32, u32)>,
    /// Keys that came out of a wheel.
    pub(super) due: Vec<u32>,
    /// Half-open connections whose SYN-ACK goes out again.
    pub(super) again: Vec<u32>,
    /// Frames that have arrived since the last poll.
    pub(super) arrived: usize,
    /// Entries of TIME-WAIT that began since the last poll.
    pub(super) entered: usize,
    /// Octets at the front of what a connection has kept that its application is being offered
    /// right now, with the connection's index. Closing meanwhile does not leave them unread.
    pub(super) offered: Option<(u32, u32)>,
    pub(super) next_generation: u32,
    pub(super) next_port: u32,
}

/// What the connections need of the stack, borrowed beside one of them.
macro_rules! context {
    ($stack:ident) => {
        $crate::tcp::Context {
            now: $stack.now,
            config: &$stack.config,
            pool: &mut $stack.pool,
            reassembly: &mut $stack.reassembly,
            recovery: &mut $stack.recovery,
            counters: &$stack.metrics.tcp,
            departures: &$stack.departures,
            congestion_experienced: false,
        }
    };
}
pub(super) use context;

impl Stack {
    pub(super) fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        try_to_reserve(config.limits.footprint(0))?;
        let Config { interface, tcp, limits, seed, cookie_secret, claim, report_groups } = config;
        let secrets = Secrets::new(&seed);
        let own = CookieSecret { key: secrets.cookies.octets(), epoch: Duration::ZERO };
        let now = Instant::ZERO;
        let mut neighbours = Neighbours::new(NeighbourConfig {
            limit: limits.neighbours,
            ..NeighbourConfig::default()
        });
        for (ip, mac) in &interface.neighbours {
            if neighbours.add_permanent(*ip, *mac, now).is_none() {
                let value = interface.neighbours.len() as u64;
                let highest = limits.neighbours as u64;
                let name = "static neighbours";
                return Err(ConfigError::OutOfRange { name, value, lowest: 0, highest });
            }
        }
        let connections = limits.max_connections as usize;
        let metrics = Metrics::default();
        metrics.in_force.publish(&tcp);
        let routes = Routes::new(&interface);
        Ok(Stack {
            now,
            link: Link::new(&interface),
            vlan_id: interface.vlan.map(|tag| tag & 0xfff),
            mtu: interface.mtu,
            secrets,
            metrics: Arc::new(metrics),
            mailbox: Arc::new(Mailbox::new()),
            presence: Presence::new(claim, report_groups, &interface, &routes, &seed),
            routes,
            neighbours,
            listeners: Listeners::new(),
            table: FlowTable::new(
                connections + limits.max_time_wait as usize + limits.syn_cache as usize,
            ),
            conns: Slab::with_limit(limits.max_connections),
            wheel: Wheel::new(limits.max_connections, TICK_SHIFT, WHEEL_SLOTS, now),
            pool: Pool::new(limits.buffer_bytes.div_ceil(CHUNK_BYTES as u64) as u32),
            reassembly: ReassemblyPool::new(limits.reassembly_segments),
            recovery: RecoveryPool::new(limits.recoveries.min(limits.max_connections)),
            time_waits: TimeWaits::new(limits.max_time_wait, now),
            syn_cache: SynCache::new(limits.syn_cache, now),
            syn_limit: SynLimit::new(secrets.sources),
            cookies: Cookies::new(cookie_secret.unwrap_or(own), now),
            last_cookie: Instant::FAR,
            shares_cookies: cookie_secret.is_some(),
            control: ControlQueue::new(usize::from(interface.mtu) + 18),
            error_limit: ErrorLimit::FULL,
            not_for_tcp: 0,
            owed: VecDeque::new(),
            departures: Departures::default(),
            output_blocked: false,
            dirty: VecDeque::with_capacity(connections),
            to_tell: VecDeque::with_capacity(1_024.min(connections)),
            waiting: Vec::new(),
            memory_waits: MemoryWaits::new(limits.max_connections),
            ready: VecDeque::new(),
            due: Vec::with_capacity(TIMER_BUDGET),
            again: Vec::with_capacity(TIMER_BUDGET),
            arrived: 0,
            entered: 0,
            offered: None,
            next_generation: 1,
            next_port: 0,
            config: tcp,
            limits,
        })
    }

    /// The time: that of the last input or poll.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The clock moves forward, never back.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// What this engine counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The habits of TCP in force.
    pub fn tcp_config(&self) -> &tcp::Config {
        &self.config
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Connections that there are, those that wait for the application to let go included.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Entries in TIME-WAIT.
    pub fn time_wait(&self) -> usize {
        self.time_waits.len()
    }

    /// Octets that one TIME-WAIT entry takes, over IPv4 and over IPv6: the entry, its link in the
    /// wheel and its slot of the flow table, rounded up.
    pub fn time_wait_bytes_per_entry(&self) -> (usize, usize) {
        let slot = self.slot_bytes();
        (Family::<PairV4>::entry_bytes() + slot, Family::<PairV6>::entry_bytes() + slot)
    }

    /// Octets that one half-open connection takes, over IPv4 and over IPv6: as for TIME-WAIT.
    pub fn syn_cache_bytes_per_entry(&self) -> (usize, usize) {
        let ((v4, v6), slot) = (SynCache::entry_bytes(), self.slot_bytes());
        (v4 + slot, v6 + slot)
    }

    /// Octets of the flow table for each entry that it is sized for, rounded up.
    fn slot_bytes(&self) -> usize {
        self.table.memory_bytes().div_ceil(self.table.capacity().max(1))
    }

    /// Timers that are filed.
    pub fn timers(&self) -> usize {
        self.wheel.len()
    }

    /// Chunks of buffer memory, and descriptors of out-of-order segments, that are in use.
    pub fn memory_in_use(&self) -> (u32, u32) {
        (self.pool.in_use(), self.reassembly.in_use())
    }

    /// Connections that keep something because of a loss.
    pub fn recoveries(&self) -> u32 {
        self.recovery.in_use()
    }

    /// The neighbours that are known.
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// The handle of the connection at `index`.
    pub(super) fn id_of(&self, index: u32) -> ConnId {
        ConnId { index, generation: self.conns[index].generation }
    }

    /// The index of a connection that still exists.
    pub(super) fn index_of(&self, conn: ConnId) -> Option<u32> {
        self.conns
            .get(conn.index)
            .is_some_and(|block| block.generation == conn.generation)
            .then_some(conn.index)
    }

    /// The hash of a 4-tuple for the flow table.
    #[inline]
    pub(super) fn hash(&self, tuple: &Tuple) -> FlowHash {
        keyed(&self.secrets.flows, tuple)
    }

    /// Puts a connection on the list of those with something to send.
    #[inline]
    pub(super) fn set_dirty(&mut self, index: u32) {
        let block = &mut self.conns[index];
        if !block.is(Mark::Dirty) && block.tcp.wants_output() {
            block.mark(Mark::Dirty);
            self.dirty.push_back(index);
        }
    }

    /// Makes the wheel look at a connection no later than its earliest timer.
    #[inline]
    pub(super) fn sync_timer(&mut self, index: u32) {
        let block = &mut self.conns[index];
        let deadline = block.tcp.deadline();
        if deadline < block.filed_at {
            self.wheel.restart(index, deadline);
            block.filed_at = deadline;
        }
    }

    /// Takes a connection out of the flow table and the backlog.
    pub(super) fn detach(&mut self, index: u32) {
        let block = &mut self.conns[index];
        if block.is(Mark::Detached) {
            return;
        }
        block.mark(Mark::Detached);
        let tuple = block.tcp.tuple;
        let hash = self.hash(&tuple);
        let removed = self.table.remove(hash, Kind::Connection, index);
        debug_assert!(removed, "a connection that is not detached is in the table");
        self.leave_backlog(index);
    }

    pub(super) fn leave_backlog(&mut self, index: u32) {
        let block = &mut self.conns[index];
        if block.unmark(Mark::InBacklog)
            && let Some(listener) = self.listeners.at(block.listener)
        {
            listener.backlog -= 1;
        }
    }

    /// The connection has ended: it leaves the table, and the application is told.
    pub(super) fn finish(&mut self, index: u32, reason: CloseReason) {
        self.detach(index);
        let block = &mut self.conns[index];
        if block.ended.is_some() {
            return;
        }
        block.ended = Some(reason);
        let counters = &self.metrics.tcp;
        if block.tcp.is(tcp::Flag::WasEstablished) {
            counters.closed.bump();
        } else {
            counters.attempt_fails.bump();
        }
        self.to_tell.push_back((index, block.generation));
    }

    /// Gives the block back. Nothing of the connection is left but, perhaps, its TIME-WAIT entry.
    pub(super) fn free(&mut self, index: u32) {
        self.detach(index);
        self.wheel.stop(index);
        let mut cx = context!(self);
        self.conns[index].tcp.release_memory(&mut cx);
        self.conns.free(index);
        self.metrics.connections.sub(1);
    }

    /// Makes room for a new connection and files it. `None` if a limit is reached.
    pub(super) fn admit(&mut self, tcp: Connection, hash: FlowHash) -> Option<u32> {
        let index = self.insert_block(tcp)?;
        if self.table.insert(hash, Kind::Connection, index).is_err() {
            self.conns.free(index);
            self.metrics.connections.sub(1);
            return None;
        }
        Some(index)
    }

    /// Makes room for a new connection that the flow table does not know yet. `None` at the limit.
    pub(super) fn insert_block(&mut self, tcp: Connection) -> Option<u32> {
        let block = Block::new(tcp, self.next_generation, linger_ms(self.config.linger));
        let index = self.conns.insert(block)?;
        self.next_generation = self.next_generation.wrapping_add(1);
        let metrics = &self.metrics;
        metrics.connections.add(1);
        metrics.connections_peak.raise_to(self.conns.len() as u64);
        Some(index)
    }

    /// Octets of TCP payload that a segment of this family may carry on our link.
    pub(super) fn link_mss(&self, ipv4: bool) -> u16 {
        let headers = if ipv4 { 40 } else { 60 };
        self.mtu.saturating_sub(headers)
    }

    /// What is added to the clock for timestamps to this peer: the same for all connections between
    /// two hosts, so that a later connection has later timestamps (RFC 7323 §7.1, RFC 6191 §2).
    pub(super) fn timestamp_offset(&self, tuple: &Tuple) -> u32 {
        keyed_with(&self.secrets.timestamps, tuple, 0, 0).0 as u32
    }

    /// Our clock of timestamps towards a peer.
    pub(super) fn timestamp_clock(&self, tuple: &Tuple) -> u32 {
        millis(self.now).wrapping_add(self.timestamp_offset(tuple))
    }
}

/// The keyed hash of a 4-tuple.
#[inline]
pub(super) fn keyed(key: &FlowKey, tuple: &Tuple) -> FlowHash {
    keyed_with(key, tuple, tuple.local_port, tuple.remote_port)
}

/// The same with other ports.
#[inline]
fn keyed_with(key: &FlowKey, tuple: &Tuple, local_port: u16, remote_port: u16) -> FlowHash {
    let Tuple { local, remote, .. } = tuple;
    if remote.is_v4() {
        key.hash_v4(local.v4_bits(), remote.v4_bits(), local_port, remote_port)
    } else {
        key.hash_v6(local.bits(), remote.bits(), local_port, remote_port)
    }
}
