//! The link: two directions, each a queue of frames on their way.

use super::dice::Dice;
use super::observer::Observer;
use crate::port::{Capabilities, Port, PortStats, RxChecksum, RxFrame, TxOffload};
use crate::time::{Clock, Instant, nanos};
use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// A burst of losses: once it has begun, frames are lost until it ends (Gilbert and Elliott).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst {
    /// Chance that one begins at a frame, in millionths.
    pub begins: u32,
    /// Chance that it ends at a frame, in millionths.
    pub ends: u32,
}

/// What a direction of the link does to frames. Chances are in millionths, for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Time on the way.
    pub delay: Duration,
    /// More time on the way, evenly between zero and this. Alone it reorders nothing: a frame that
    /// would overtake waits.
    pub jitter: Duration,
    /// Bits a second; 0 = no limit.
    pub rate: u64,
    /// Octets that wait for their turn at that rate before more are dropped; 0 = no limit.
    pub buffer: u64,
    /// Chance to be lost.
    pub loss: u32,
    /// Losses that come together.
    pub burst: Burst,
    /// Chance to arrive twice.
    pub duplication: u32,
    /// Chance to be held back for up to `reorder_delay`, so that others overtake.
    pub reordering: u32,
    /// How long at most.
    pub reorder_delay: Duration,
    /// Chance that one bit is turned over.
    pub corruption: u32,
    /// The longest frame that gets through, in octets with the Ethernet header.
    pub max_frame: usize,
}

impl Default for LinkConfig {
    /// A link that takes a millisecond and does nothing else.
    fn default() -> Self {
        LinkConfig {
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            rate: 0,
            buffer: 0,
            loss: 0,
            burst: Burst::default(),
            duplication: 0,
            reordering: 0,
            reorder_delay: Duration::from_millis(5),
            corruption: 0,
            max_frame: 1_518,
        }
    }
}

/// What a direction of the link has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Frames that were sent into it.
    pub sent: u64,
    /// Frames that came out of it.
    pub delivered: u64,
    /// Frames lost by chance.
    pub lost: u64,
    /// Frames lost because the buffer was full.
    pub overflowed: u64,
    /// Frames lost because they were too long.
    pub too_long: u64,
    /// Frames that arrived twice.
    pub duplicated: u64,
    /// Frames that were held back.
    pub reordered: u64,
    /// Frames with a bit turned over.
    pub corrupted: u64,
}

struct Direction {
    config: LinkConfig,
    dice: Dice,
    in_burst: bool,
    /// Frames on their way, by arrival and then by the order in which they were sent.
    on_the_way: BTreeMap<(Instant, u64), Vec<u8>>,
    sequence: u64,
    /// When the sender's last bit is on the wire.
    busy_until: Instant,
    /// No frame that is not held back arrives before this.
    not_before: Instant,
    stats: LinkStats,
}

impl Direction {
    fn new(config: LinkConfig, seed: u64) -> Self {
        Direction {
            config,
            dice: Dice::new(seed),
            in_burst: false,
            on_the_way: BTreeMap::new(),
            sequence: 0,
            busy_until: Instant::ZERO,
            not_before: Instant::ZERO,
            stats: LinkStats::default(),
        }
    }

    fn send(&mut self, frame: &[u8], now: Instant) {
        let LinkConfig { delay, jitter, rate, buffer, loss, burst, .. } = self.config;
        let LinkConfig { duplication, reordering, reorder_delay, corruption, max_frame, .. } =
            self.config;
        self.stats.sent += 1;
        if frame.len() > max_frame {
            self.stats.too_long += 1;
            return;
        }
        let mut leaves = now.max(self.busy_until);
        if rate > 0 {
            let waiting = leaves.nanos_since(now).saturating_mul(rate) / 8_000_000_000;
            if buffer > 0 && waiting + frame.len() as u64 > buffer {
                self.stats.overflowed += 1;
                return;
            }
            leaves = leaves.plus_nanos(frame.len() as u64 * 8_000_000_000 / rate);
            self.busy_until = leaves;
        }
        let turn = if self.in_burst { burst.ends } else { burst.begins };
        self.in_burst ^= self.dice.chance(turn);
        if self.in_burst || self.dice.chance(loss) {
            self.stats.lost += 1;
            return;
        }
        let mut bytes = frame.to_vec();
        if self.dice.chance(corruption) {
            let bit = self.dice.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.stats.corrupted += 1;
        }
        let mut arrives = leaves + delay;
        if self.dice.chance(reordering) {
            arrives = arrives.plus_nanos(self.dice.below(nanos(reorder_delay)) + 1);
            self.stats.reordered += 1;
        } else {
            arrives = arrives.plus_nanos(self.dice.below(nanos(jitter))).max(self.not_before);
            self.not_before = arrives;
        }
        if self.dice.chance(duplication) {
            let later = arrives.plus_nanos(self.dice.below(nanos(reorder_delay)) + 1);
            self.deliver(bytes.clone(), later);
            self.stats.duplicated += 1;
        }
        self.deliver(bytes, arrives);
    }

    fn deliver(&mut self, bytes: Vec<u8>, at: Instant) {
        self.sequence += 1;
        self.on_the_way.insert((at, self.sequence), bytes);
    }

    fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (&(at, sequence), _) = self.on_the_way.first_key_value()?;
        if at > now {
            return None;
        }
        self.stats.delivered += 1;
        self.on_the_way.remove(&(at, sequence))
    }
}

/// What a port does with frames before they are on the link.
#[derive(Clone, Copy, Debug, Default)]
struct Ring {
    /// Frames that it holds; `None` = each is on the link at once.
    places: Option<usize>,
    /// Nothing leaves it.
    stuck: bool,
}

struct Shared {
    now: Cell<Instant>,
    /// Of the first port and of the second.
    rings: [Cell<Ring>; 2],
    /// From the first port to the second, and back.
    directions: [RefCell<Direction>; 2],
    observer: RefCell<Option<Observer>>,
}

/// The link between two [`SimPort`]s.
#[derive(Clone)]
pub struct Link(Rc<Shared>);

impl Link {
    /// A link with one configuration for each direction, from the first port to the second and
    /// back, and its two ports. The clock is at zero.
    pub fn new(there: LinkConfig, back: LinkConfig, seed: u64) -> (Link, SimPort, SimPort) {
        let mut dice = Dice::new(seed);
        let mut direction = |config| RefCell::new(Direction::new(config, dice.bits()));
        let directions = [direction(there), direction(back)];
        let shared = Rc::new(Shared {
            now: Cell::new(Instant::ZERO),
            rings: Default::default(),
            directions,
            observer: RefCell::new(None),
        });
        let port = |end| SimPort::new(Rc::clone(&shared), end);
        let ports = (port(0), port(1));
        (Link(shared), ports.0, ports.1)
    }

    /// From now on an observer looks at every frame.
    pub fn observe(&self) {
        *self.0.observer.borrow_mut() = Some(Observer::new());
    }

    /// The observer, if there is one, no longer on the wire.
    pub fn take_observer(&self) -> Option<Observer> {
        self.0.observer.borrow_mut().take()
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// Moves the clock to `now`, if that is forward.
    pub fn set_now(&self, now: Instant) {
        self.0.now.set(self.now().max(now));
    }

    /// A clock for the engines at the ends.
    pub fn clock(&self) -> SimClock {
        SimClock(Rc::clone(&self.0))
    }

    /// When the next frame arrives at either end.
    pub fn next_arrival(&self) -> Option<Instant> {
        let first = |direction: &RefCell<Direction>| {
            direction.borrow().on_the_way.first_key_value().map(|(&(at, _), _)| at)
        };
        self.0.directions.iter().filter_map(first).min()
    }

    /// Frames on their way.
    pub fn on_the_way(&self) -> usize {
        self.0.directions.iter().map(|direction| direction.borrow().on_the_way.len()).sum()
    }

    /// Changes what a direction does from now on: 0 is from the first port to the second.
    ///
    /// # Panics
    /// If `direction` is neither 0 nor 1.
    pub fn reconfigure(&self, direction: usize, config: LinkConfig) {
        self.0.directions[direction].borrow_mut().config = config;
    }

    /// Gives a port a transmit ring of so many frames; `None` = no ring. At each instant of the clock as
    /// many frames leave it as it has places.
    ///
    /// # Panics
    /// If `end` is neither 0 nor 1.
    pub fn set_ring(&self, end: usize, places: Option<usize>) {
        let ring = &self.0.rings[end];
        ring.set(Ring { places, ..ring.get() });
    }

    /// From now on the ring of a port does not move, or does again.
    ///
    /// # Panics
    /// If `end` is neither 0 nor 1.
    pub fn set_stuck(&self, end: usize, stuck: Stuck) {
        let ring = &self.0.rings[end];
        ring.set(Ring { stuck: stuck == Stuck::Yes, ..ring.get() });
    }

    /// What a direction has done.
    ///
    /// # Panics
    /// If `direction` is neither 0 nor 1.
    pub fn stats(&self, direction: usize) -> LinkStats {
        self.0.directions[direction].borrow().stats
    }
}

/// Does a transmit ring stand still?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// Yes: the device sends nothing.
    Yes,
    /// No.
    No,
}

/// The virtual clock of a link.
#[derive(Clone)]
pub struct SimClock(Rc<Shared>);

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn cycles(&self) -> u64 {
        0
    }

    fn at(&self, _: u64) -> Instant {
        self.now()
    }

    fn hz(&self) -> u64 {
        0
    }
}

/// One end of a link.
pub struct SimPort {
    shared: Rc<Shared>,
    /// Which direction this end sends into; it receives from the other.
    end: usize,
    burst: Vec<Vec<u8>>,
    room: Vec<u8>,
    /// Frames that are not on the link yet.
    ring: VecDeque<Vec<u8>>,
    /// How many have left the ring at this instant.
    left_at: (Instant, usize),
    stats: PortStats,
}

/// Frames that a burst brings at most.
const BURST: usize = 32;
/// The longest frame that a port takes, in octets: what a link does with it is its own affair.
const ROOM: usize = 9_018;

impl SimPort {
    fn new(shared: Rc<Shared>, end: usize) -> Self {
        let burst = Vec::with_capacity(BURST);
        let (room, ring, left_at) = (vec![0; ROOM], VecDeque::new(), (Instant::ZERO, 0));
        SimPort { shared, end, burst, room, ring, left_at, stats: PortStats::default() }
    }

    /// Is there room in the ring for another frame?
    fn has_room(&self) -> bool {
        self.shared.rings[self.end].get().places.is_none_or(|places| self.ring.len() < places)
    }

    /// Puts a frame into the ring, or on the link if there is none.
    fn take(&mut self, frame: &[u8]) {
        if self.shared.rings[self.end].get().places.is_some() {
            self.ring.push_back(frame.to_vec());
        } else {
            self.send(frame);
        }
    }

    fn send(&mut self, frame: &[u8]) {
        self.stats.tx_packets += 1;
        self.stats.tx_bytes += frame.len() as u64;
        let now = self.shared.now.get();
        if let Some(observer) = self.shared.observer.borrow_mut().as_mut() {
            observer.sent(self.end, frame, now);
        }
        self.shared.directions[self.end].borrow_mut().send(frame, now);
    }
}

impl Port for SimPort {
    fn rx_burst(&mut self) -> usize {
        self.burst.clear();
        let now = self.shared.now.get();
        let mut from = self.shared.directions[1 - self.end].borrow_mut();
        while self.burst.len() < BURST {
            let Some(frame) = from.receive(now) else { break };
            self.stats.rx_packets += 1;
            self.stats.rx_bytes += frame.len() as u64;
            if let Some(observer) = self.shared.observer.borrow_mut().as_mut() {
                observer.delivered(self.end, &frame);
            }
            self.burst.push(frame);
        }
        self.burst.len()
    }

    fn rx_frame(&self, index: usize) -> RxFrame<'_> {
        RxFrame { bytes: &self.burst[index], checksum: RxChecksum::Unknown }
    }

    fn rx_answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let mut frame = core::mem::take(&mut self.burst[index]);
        assert!(!frame.is_empty(), "frame {index} was answered before");
        if !self.has_room() {
            self.burst[index] = frame;
            return false;
        }
        frame.resize(longest.max(frame.len()), 0xee);
        let len = write(&mut frame);
        self.take(&frame[..len]);
        true
    }

    fn tx_room(&mut self) -> Option<&mut [u8]> {
        if !self.has_room() {
            self.tx_flush();
        }
        self.has_room().then_some(&mut self.room[..])
    }

    fn tx_commit(&mut self, len: usize, offload: TxOffload) {
        assert_eq!(offload, TxOffload::None, "the simulated port has no offloads");
        let room = core::mem::take(&mut self.room);
        if self.has_room() {
            self.take(&room[..len]);
        } else {
            self.stats.tx_dropped += 1;
        }
        self.room = room;
    }

    fn tx_flush(&mut self) {
        let (ring, now) = (self.shared.rings[self.end].get(), self.shared.now.get());
        if self.left_at.0 != now {
            self.left_at = (now, 0);
        }
        while !ring.stuck
            && ring.places.is_none_or(|places| self.left_at.1 < places)
            && let Some(frame) = self.ring.pop_front()
        {
            self.left_at.1 += 1;
            self.send(&frame);
        }
    }

    fn tx_waiting(&self) -> usize {
        self.ring.len()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { tx_tcp_checksum: false, max_frame: ROOM }
    }

    fn stats(&self) -> PortStats {
        self.stats
    }
}
