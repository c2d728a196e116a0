//! What a seed stands for: the path, the habits of both ends, and what goes wrong.

use core::time::Duration;
use lastack::engine::Config;
use lastack::net::address::Interface;
use lastack::port::sim::{Burst, Dice, LinkConfig};
use lastack::tcp::KeepAlive;
use lastack::tcp::congestion::Algorithm;
use lastack::wire::MacAddr;

/// What goes wrong beside what the path does to frames, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing gets through for a while.
    Outage {
        at: Duration,
        lasts: Duration,
    },
    /// Nothing gets through any more.
    BlackHole {
        at: Duration,
    },
    /// The server is gone, and another takes its place that knows of nothing.
    Crash {
        at: Duration,
    },
    /// One end has another Ethernet address from then on, and tells nobody.
    Move {
        at: Duration,
        end: usize,
    },
    /// One end aborts when it has received so many octets.
    Abort {
        end: usize,
        after: usize,
    },
}

/// How an application behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Octets to send.
    pub stream: usize,
    /// Octets that it takes from one callback.
    pub gulp: usize,
    /// Closes when the peer has closed, and not when all is sent.
    pub closes_last: bool,
}

/// Connections beside the one that counts, whose ends write all they can and never read.
#[derive(Clone, Copy, Debug)]
pub struct Hoarders {
    pub count: usize,
    /// When they go, at the latest; they go when the connection that counts has ended.
    pub leave_at: Option<Duration>,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    pub ipv6: bool,
    pub there: LinkConfig,
    pub back: LinkConfig,
    pub fault: Fault,
    pub manners: [Manner; 2],
    pub hoarders: Hoarders,
    pub configs: [Config; 2],
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut ms = |most: u64| Duration::from_millis(dice.below(most + 1));
        let (at, lasts) = (ms(2_000), ms(20_000));
        let (end, after) = (dice.below(2) as usize, dice.below(40_000) as usize);
        let fault = match dice.below(12) {
            0 | 1 => Fault::Outage { at, lasts },
            2 => Fault::BlackHole { at },
            3 => Fault::Crash { at },
            4 => Fault::Abort { end, after },
            _ => Fault::None,
        };
        let narrow = dice.chance(150_000);
        let there = path(&mut dice, narrow);
        let back = path(&mut dice, narrow);
        let closes_last = dice.below(4) as usize; // 2 and 3: nobody waits for the other
        let manners = [0, 1].map(|end| Manner {
            stream: stream(&mut dice),
            gulp: if dice.chance(200_000) { 1 + dice.below(3_000) as usize } else { usize::MAX },
            closes_last: end == closes_last,
        });
        let mut configs = [1, 2].map(|host| config(&mut dice, host, seed, narrow, fault));
        let ipv6 = dice.chance(250_000);
        let hoarders = hoarders(&mut dice, &mut configs);
        Plan { seed, ipv6, there, back, fault, manners, hoarders, configs }
    }

    /// A seed in which one end moves to another Ethernet address and the other has to find it. Paths
    /// lose little: three questions in a row are not lost by chance.
    pub fn with_a_move(seed: u64) -> Self {
        let mut plan = Plan::new(seed);
        let mut dice = Dice::new(seed ^ 0x6d6f_7665);
        let at = Duration::from_micros(20_000 + dice.below(200_000));
        plan.fault = Fault::Move { at, end: dice.below(2) as usize };
        for path in [&mut plan.there, &mut plan.back] {
            path.loss = path.loss.min(10_000);
            path.burst = Burst::default();
            path.corruption = path.corruption.min(1_000);
        }
        for (end, config) in plan.configs.iter_mut().enumerate() {
            config.interface.neighbours.clear();
            // long enough that the move falls into it
            plan.manners[end].stream = 30_000 + dice.below(120_000) as usize;
        }
        plan.hoarders = Hoarders { count: 0, leave_at: None };
        plan
    }

    pub fn address(&self, host: u8, port: u16) -> String {
        let host =
            if self.ipv6 { format!("[2001:db8::{host}]") } else { format!("198.18.0.{host}") };
        format!("{host}:{port}")
    }
}

/// Some that stay, in memory that has a share for one more; or some that take all the memory there is,
/// and leave.
fn hoarders(dice: &mut Dice, configs: &mut [Config; 2]) -> Hoarders {
    let (count, bytes, leave_at) = match dice.below(20) {
        0 => (1 + dice.below(6), 1 << 18, None),
        1 => (4 + dice.below(5), 1 << 16, Some(Duration::from_millis(dice.below(20_000)))),
        _ => return Hoarders { count: 0, leave_at: None },
    };
    for config in configs {
        config.limits.buffer_bytes = bytes;
    }
    Hoarders { count: count as usize, leave_at }
}

/// Octets to send: few as a rule, so that there is time for many seeds.
fn stream(dice: &mut Dice) -> usize {
    let most = if dice.chance(100_000) { 600_000 } else { 60_000 };
    dice.below(most) as usize
}

fn path(dice: &mut Dice, narrow: bool) -> LinkConfig {
    let some = |dice: &mut Dice, of: u32, most: u64| {
        if dice.chance(of) { dice.below(most) as u32 } else { 0 }
    };
    let limited = dice.chance(300_000);
    LinkConfig {
        delay: Duration::from_micros(dice.below(30_000)),
        jitter: Duration::from_micros(dice.below(3_000)),
        rate: if limited { 1_000_000 + dice.below(100_000_000) } else { 0 },
        buffer: if limited { 8_000 + dice.below(100_000) } else { 0 },
        loss: some(dice, 600_000, 150_000),
        burst: Burst { begins: some(dice, 100_000, 20_000), ends: 700_000 },
        duplication: some(dice, 300_000, 100_000),
        reordering: some(dice, 400_000, 150_000),
        reorder_delay: Duration::from_millis(1 + dice.below(30)),
        corruption: some(dice, 200_000, 20_000),
        max_frame: if narrow { 800 } else { 1_518 },
    }
}

fn config(dice: &mut Dice, host: u8, seed: u64, narrow: bool, fault: Fault) -> Config {
    let mac = |host| MacAddr([2, 0, 0, 0, 0, host]);
    let addresses = [format!("198.18.0.{host}/24"), format!("2001:db8::{host}/64")];
    let addresses = addresses.map(|cidr| cidr.parse().unwrap());
    let mut interface = Interface::new(mac(host), addresses.to_vec());
    // known from the start: three questions in a row may well be lost on these paths
    let peer = 3 - host;
    interface.neighbours = [format!("198.18.0.{peer}"), format!("2001:db8::{peer}")]
        .map(|ip| (ip.parse().unwrap(), mac(peer)))
        .to_vec();
    let mut secret = [host; 32];
    secret[..8].copy_from_slice(&seed.to_le_bytes());
    let mut config = Config::new(interface, secret);
    config.limits.max_connections = 16;
    config.limits.max_time_wait = 16;
    config.limits.buffer_bytes = if dice.chance(100_000) { 1 << 17 } else { 1 << 20 };
    config.limits.reassembly_segments = if dice.chance(100_000) { 4 } else { 1_024 };
    config.limits.recoveries = 1;
    let tcp = &mut config.tcp;
    tcp.sack = dice.chance(750_000);
    tcp.timestamps = dice.chance(750_000);
    tcp.window_scale = dice.chance(750_000);
    tcp.ecn = dice.chance(250_000);
    tcp.hystart = dice.chance(500_000);
    tcp.pacing = dice.chance(200_000);
    tcp.nodelay = dice.chance(300_000);
    tcp.congestion = Algorithm::ALL[dice.below(2) as usize];
    tcp.initial_window = 1 + dice.below(10) as u8;
    tcp.quick_acks = dice.below(17) as u8;
    tcp.delayed_ack = Duration::from_millis(dice.below(200));
    tcp.rto_min = Duration::from_millis([1, 10, 200][dice.below(3) as usize]);
    tcp.rto_max = Duration::from_secs(60);
    // so that no path is so bad that nothing gets through by mere chance
    (tcp.syn_retries, tcp.synack_retries, tcp.data_retries) = (15, 15, 30);
    tcp.send_buffer = 4_096 << dice.below(8);
    tcp.receive_buffer = 4_096 << dice.below(8);
    tcp.receive_window = tcp.receive_buffer.min(2_048 << dice.below(6));
    tcp.mss = match dice.below(4) {
        0 => Some(200 + dice.below(500) as u16),
        _ if narrow => Some(700),
        _ => None,
    };
    if !matches!(fault, Fault::None | Fault::Outage { .. }) {
        // an end that has nothing to send would never learn that the other is gone
        let (idle, interval) = (Duration::from_secs(30), Duration::from_secs(5));
        tcp.keep_alive = Some(KeepAlive { idle, interval, count: 5 });
    }
    config
}
