//! Stores of TIME-WAIT entries: that of the engine, and what could be in its place. All keep the same
//! entries, so that only the order of deadlines is kept in different ways.

use lastack::engine::time_waits::Family;
use lastack::engine::{Config, Engine, Sockets};
use lastack::net::address::Interface;
use lastack::tcp::Tuple;
use lastack::tcp::time_wait::{Addresses, Farewell, TimeWait};
use lastack::time::Instant;
use lastack::timer::Progress;
use lastack::wire::MacAddr;
use lastack::wire::seq::SeqNumber;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where entries wait. Nothing here knows how many there are but their capacity.
pub trait Store {
    /// Can entries be restarted and forgotten one by one?
    const EDITS: bool = true;
    /// Enters the entry of a 4-tuple that waits until `until`; its key.
    fn enter(&mut self, farewell: &Farewell, now: Instant, until: Instant) -> u32;
    /// Lets it wait until then instead. Only called with `EDITS`.
    fn restart(&mut self, key: u32, now: Instant, until: Instant);
    /// Takes it out before its time. Only called with `EDITS`.
    fn forget(&mut self, key: u32);
    /// Takes out what is due, looking at `budget` entries at most, and gives its keys, since there is
    /// a table of connections that has to be told of each. May there be more?
    fn expire(&mut self, now: Instant, budget: usize, due: &mut Vec<u32>) -> bool;
}

/// The end of the n-th connection: each has a 4-tuple of its own up to 2^31.
pub fn farewell(n: u32, ipv6: bool) -> Farewell {
    let (host, port) = (n >> 15, 1_024 + (n & 0x7fff) as u16);
    let address = |host: u32| -> IpAddr {
        if ipv6 {
            Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(host)).into()
        } else {
            Ipv4Addr::from(0xc612_0000 + host).into()
        }
    };
    let (local, remote) =
        (SocketAddr::new(address(1), 80), SocketAddr::new(address(host + 2), port));
    Farewell {
        tuple: Tuple::new(local, remote),
        snd_nxt: SeqNumber::new(n),
        rcv_nxt: SeqNumber::new(!n),
        window: 1_000,
        scale: 7,
        ts_recent: Some(n),
    }
}

/// The engine's: 2^20 ns ticks, a hashed wheel, lazy restart.
pub struct Wheel<A>(Family<A>);

impl<A: Addresses> Wheel<A> {
    pub fn new(capacity: u32, now: Instant) -> Self {
        Wheel(Family::new(capacity, now))
    }
}

impl<A: Addresses> Store for Wheel<A> {
    #[inline]
    fn enter(&mut self, farewell: &Farewell, now: Instant, until: Instant) -> u32 {
        self.0.enter(farewell, now, until).expect("within the capacity")
    }

    #[inline]
    fn restart(&mut self, key: u32, now: Instant, until: Instant) {
        self.0.restart(key, now, until);
    }

    #[inline]
    fn forget(&mut self, key: u32) {
        self.0.remove(key);
    }

    #[inline]
    fn expire(&mut self, now: Instant, budget: usize, due: &mut Vec<u32>) -> bool {
        self.0.expire_all(now, budget, due, |_, _| {}) == Progress::MoreDue
    }
}

/// The whole stack: the store, the flow table, hashes and counters.
pub struct Stack(Engine<Sockets>);

impl Stack {
    pub fn new(capacity: u32) -> Self {
        let mut engine = Engine::new(config(capacity), Sockets).expect("a sound configuration");
        engine.poll(Instant::ZERO);
        Stack(engine)
    }

    /// Octets of an entry as the stack reports them, over IPv4 and IPv6.
    pub fn bytes_per_entry(&self) -> (usize, usize) {
        self.0.time_wait_bytes_per_entry()
    }
}

/// A host of 198.18.0.0/15 and 2001:db8::/64 with room for so many entries.
pub fn config(capacity: u32) -> Config {
    let addresses =
        ["198.18.0.1/15", "2001:db8::1/64"].map(|cidr| cidr.parse().expect("a network"));
    let interface = Interface::new(MacAddr([2, 0, 0, 0, 0, 1]), addresses.to_vec());
    let mut config = Config::new(interface, [7; 32]);
    config.limits.max_connections = 64;
    config.limits.max_time_wait = capacity;
    config.limits.buffer_bytes = 1 << 20;
    config
}

impl Store for Stack {
    const EDITS: bool = false;

    #[inline]
    fn enter(&mut self, farewell: &Farewell, _: Instant, until: Instant) -> u32 {
        self.0.adopt_time_wait(farewell, until).expect("a new 4-tuple");
        0
    }

    fn restart(&mut self, _: u32, _: Instant, _: Instant) {}

    fn forget(&mut self, _: u32) {}

    #[inline]
    fn expire(&mut self, now: Instant, _: usize, due: &mut Vec<u32>) -> bool {
        let expired = self.0.poll(now);
        due.resize(expired, 0);
        expired > 0
    }
}

/// Entries by key; those that are free form a list through `deadline`.
struct Slab<A> {
    entries: Vec<TimeWait<A>>,
    free: u32,
}

impl<A: Addresses> Slab<A> {
    fn new(capacity: u32) -> Self {
        Slab { entries: Vec::with_capacity(capacity as usize), free: 0 }
    }

    #[inline]
    fn put(&mut self, entry: TimeWait<A>) -> u32 {
        match self.free.checked_sub(1) {
            Some(key) => {
                self.free = self.entries[key as usize].deadline;
                self.entries[key as usize] = entry;
                key
            }
            None => {
                assert!(self.entries.len() < self.entries.capacity(), "within the capacity");
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        }
    }

    #[inline]
    fn take(&mut self, key: u32) {
        self.entries[key as usize].deadline = self.free;
        self.free = key + 1;
    }
}

/// Deadlines of these baselines: the same ticks.
fn tick(at: Instant) -> u32 {
    (at.nanos() >> 20) as u32
}

const NONE: u32 = u32::MAX;

/// A list in order of arrival for each interval: as long as 2·MSL is a constant nothing is simpler.
/// There are two here, for the two intervals of this benchmark; a true one would need as many as
/// there are values of MSL, and does not know what to do when MSL changes.
pub struct Fifo<A> {
    slab: Slab<A>,
    /// `[next, previous]` of each key.
    links: Box<[[u32; 2]]>,
    /// First and last of the lists for short and for long intervals.
    ends: [[u32; 2]; 2],
}

impl<A: Addresses> Fifo<A> {
    pub fn new(capacity: u32) -> Self {
        let links = vec![[0; 2]; capacity as usize].into_boxed_slice();
        Fifo { slab: Slab::new(capacity), links, ends: [[NONE; 2]; 2] }
    }

    #[inline]
    fn append(&mut self, key: u32, list: usize) {
        let last = self.ends[list][1];
        self.links[key as usize] = [NONE, last];
        match last {
            NONE => self.ends[list][0] = key,
            last => self.links[last as usize][0] = key,
        }
        self.ends[list][1] = key;
    }

    #[inline]
    fn unlink(&mut self, key: u32) {
        let [next, previous] = self.links[key as usize];
        match previous {
            NONE => {
                let list = usize::from(self.ends[1][0] == key);
                self.ends[list][0] = next;
            }
            previous => self.links[previous as usize][0] = next,
        }
        match next {
            NONE => {
                let list = usize::from(self.ends[1][1] == key);
                self.ends[list][1] = previous;
            }
            next => self.links[next as usize][1] = previous,
        }
    }
}

/// Which list an interval belongs to.
fn list_for(now: Instant, until: Instant) -> usize {
    usize::from(until.nanos_since(now) > 1_000_000_000)
}

impl<A: Addresses> Store for Fifo<A> {
    #[inline]
    fn enter(&mut self, farewell: &Farewell, now: Instant, until: Instant) -> u32 {
        let key = self.slab.put(TimeWait::new(farewell, now, tick(until)));
        self.append(key, list_for(now, until));
        key
    }

    #[inline]
    fn restart(&mut self, key: u32, now: Instant, until: Instant) {
        self.slab.entries[key as usize].deadline = tick(until);
        self.unlink(key);
        self.append(key, list_for(now, until));
    }

    #[inline]
    fn forget(&mut self, key: u32) {
        self.unlink(key);
        self.slab.take(key);
    }

    #[inline]
    fn expire(&mut self, now: Instant, budget: usize, due: &mut Vec<u32>) -> bool {
        let now = tick(now);
        for list in 0..2 {
            while let key = self.ends[list][0]
                && key != NONE
                && self.slab.entries[key as usize].deadline < now
            {
                if due.len() == budget {
                    return true;
                }
                let next = self.links[key as usize][0];
                self.ends[list][0] = next;
                match next {
                    NONE => self.ends[list][1] = NONE,
                    next => self.links[next as usize][1] = NONE,
                }
                self.slab.take(key);
                due.push(key);
            }
        }
        false
    }
}

/// A tree by deadline and key (a `BTreeMap` without values), as from a text book.
pub struct Tree<A> {
    slab: Slab<A>,
    order: BTreeSet<(u32, u32)>,
}

impl<A: Addresses> Tree<A> {
    pub fn new(capacity: u32) -> Self {
        Tree { slab: Slab::new(capacity), order: BTreeSet::new() }
    }
}

impl<A: Addresses> Store for Tree<A> {
    #[inline]
    fn enter(&mut self, farewell: &Farewell, now: Instant, until: Instant) -> u32 {
        let key = self.slab.put(TimeWait::new(farewell, now, tick(until)));
        self.order.insert((tick(until), key));
        key
    }

    #[inline]
    fn restart(&mut self, key: u32, _: Instant, until: Instant) {
        let deadline = &mut self.slab.entries[key as usize].deadline;
        self.order.remove(&(*deadline, key));
        *deadline = tick(until);
        self.order.insert((tick(until), key));
    }

    #[inline]
    fn forget(&mut self, key: u32) {
        self.order.remove(&(self.slab.entries[key as usize].deadline, key));
        self.slab.take(key);
    }

    #[inline]
    fn expire(&mut self, now: Instant, budget: usize, due: &mut Vec<u32>) -> bool {
        let now = tick(now);
        while let Some(&(deadline, key)) = self.order.first()
            && deadline < now
        {
            if due.len() == budget {
                return true;
            }
            self.order.pop_first();
            self.slab.take(key);
            due.push(key);
        }
        false
    }
}
