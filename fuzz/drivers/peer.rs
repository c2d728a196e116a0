//! An engine with handles, and a peer that may send it anything.

use super::input::Input;
use super::watch::{Watch, written};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use lastack::engine::{Config, ConnId, ConnectOptions, Engine, ListenOptions, ListenerId, Sockets};
use lastack::net::address::Interface;
use lastack::tcp::congestion::Algorithm;
use lastack::tcp::{KeepAlive, State, SynCookies};
use lastack::time::Instant;
use lastack::wire::ethernet::{self, Ethernet};
use lastack::wire::ipv4::{Ipv4, Ipv4Header};
use lastack::wire::ipv6::{Ipv6, Ipv6Header};
use lastack::wire::options::Options;
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::{Flags, Segment};
use lastack::wire::{MacAddr, PROTOCOL_TCP, checksum};

pub const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const MTU: usize = 1_500;
/// The port from which the application connects; others connect to 80.
const CONNECTED: u16 = 5_000;
/// The peer's octets count from here: where sequence numbers wrap.
pub const PEER_ISS: SeqNumber = SeqNumber::new(u32::MAX - 700);
/// Frames that one step can bring about, with a thousand segments' worth of memory.
const MOST_FRAMES: usize = 4_000;

/// The peer's octet at `seq`.
pub fn octet(seq: SeqNumber) -> u8 {
    (seq.value().wrapping_mul(2_654_435_761) >> 24) as u8
}

/// See the module.
pub struct Peer {
    pub engine: Engine<Sockets>,
    pub listener: Option<ListenerId>,
    pub handles: Vec<ConnId>,
    pub now: Instant,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Of the segments that came out: the first sequence number that has not, and the last ACK.
    pub nxt: SeqNumber,
    pub una: SeqNumber,
    pub acked: SeqNumber,
    /// The engine's last timestamp, and the one before.
    pub stamp: u32,
    pub older_stamp: u32,
    /// Octets that the application has read from its last connection, and has written to it.
    pub read: u32,
    written: u32,
    pub watch: Watch,
}

impl Peer {
    /// An engine whose habits are drawn from `input`; it listens.
    pub fn new(input: &mut Input<'_>) -> Self {
        let ipv6 = input.flip();
        let addresses = ["198.18.0.1/24", "2001:db8::1/64"].map(|cidr| cidr.parse().unwrap());
        let mut interface = Interface::new(OUR_MAC, addresses.to_vec());
        let peers: [IpAddr; 2] = ["198.18.0.2", "2001:db8::2"].map(|ip| ip.parse().unwrap());
        interface.neighbours = peers.map(|ip| (ip, PEER_MAC)).to_vec();
        let mut config = Config::new(interface, [7; 32]);
        config.limits.max_connections = 4;
        config.limits.max_time_wait = 4;
        config.limits.buffer_bytes = 1 << 16;
        config.limits.reassembly_segments = 16;
        config.limits.recoveries = 2;
        config.limits.neighbours = 8;
        let habits = input.u8();
        let tcp = &mut config.tcp;
        tcp.timestamps = habits & 1 != 0;
        tcp.sack = habits & 2 == 0;
        tcp.window_scale = habits & 4 == 0;
        tcp.ecn = habits & 8 != 0;
        tcp.pacing = habits & 16 != 0;
        tcp.nodelay = habits & 32 != 0;
        tcp.rfc1337 = habits & 64 == 0;
        if habits & 128 != 0 {
            tcp.keep_alive = Some(KeepAlive {
                idle: Duration::from_secs(10),
                interval: Duration::from_secs(1),
                count: 3,
            });
            tcp.user_timeout = Some(Duration::from_secs(60));
        }
        tcp.msl = Duration::from_secs(1);
        tcp.send_buffer = 20_000;
        tcp.receive_buffer = 20_000;
        tcp.receive_window = 5_000;
        tcp.fin_wait_2 = Duration::from_secs(2);
        let epoch = input.u16();
        if epoch & 1 != 0 {
            tcp.congestion = Algorithm::NewReno;
        }
        if epoch & 2 != 0 {
            // windows that cannot be announced to the octet
            (tcp.receive_buffer, tcp.receive_window) = (700_001, 30_001);
        }
        if epoch & 4 != 0 {
            tcp.quick_acks = 0;
        }
        if epoch & 8 != 0 {
            // one connection may take all the memory there is
            tcp.send_buffer = 1 << 20;
            (tcp.receive_buffer, tcp.receive_window) = (1 << 20, 1 << 18);
            config.limits.reassembly_segments = 64;
        }
        if epoch & 16 != 0 {
            tcp.hystart = false;
            tcp.initial_window = 2;
        }
        if epoch & 32 != 0 {
            tcp.mss = Some(88);
        }
        if epoch & 64 != 0 {
            config.limits.syn_cache = 1;
        }
        if epoch & 128 != 0 {
            tcp.syn_cookies = SynCookies::Always;
        }
        let mut engine = Engine::new(config, Sockets).unwrap();
        let now = Instant::from_millis(u64::from(epoch) << 16);
        engine.poll(now);
        let (local, remote) = if ipv6 {
            ("[2001:db8::1]:80", "[2001:db8::2]:40000")
        } else {
            ("198.18.0.1:80", "198.18.0.2:40000")
        };
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        let listener = engine.listen(local, ListenOptions::default()).ok();
        let zero = SeqNumber::default();
        let mut watch = Watch::default();
        watch.off = epoch & 192 != 0;
        Peer {
            engine,
            listener,
            handles: Vec::new(),
            now,
            local,
            remote,
            nxt: zero,
            una: zero,
            acked: PEER_ISS,
            stamp: 0,
            older_stamp: 0,
            read: 0,
            written: 0,
            watch,
        }
    }

    /// The application connects to the peer.
    pub fn connect(&mut self) {
        self.local.set_port(CONNECTED);
        self.remote.set_port(80);
        let options = ConnectOptions { local: Some(self.local), ..ConnectOptions::default() };
        self.handles.extend(self.engine.connect(self.remote, options));
        self.drain();
    }

    pub fn accept(&mut self) {
        if let Some(listener) = self.listener {
            let before = self.handles.len();
            self.handles.extend(self.engine.accept(listener));
            if self.handles.len() > before {
                (self.read, self.written) = (0, 0); // another connection, from the first octet on
            }
        }
    }

    /// Has the last connection seen the peer's SYN, and can no other SYN follow it?
    pub fn is_synchronized(&self) -> bool {
        let state = |conn: &ConnId| self.engine.info(*conn).map(|info| info.state);
        self.engine.connections() > 0
            && self.handles.last().is_some_and(|conn| state(conn).is_ok_and(takes_no_syn))
    }

    /// A frame arrives.
    pub fn frame(&mut self, frame: &[u8]) {
        self.engine.input(frame, self.now);
        self.drain();
    }

    /// A segment of the peer's arrives, in a frame that is right in all else.
    pub fn segment(&mut self, seq: SeqNumber, ack: SeqNumber, said: &Said, payload: &[u8]) {
        let segment = Segment {
            src_port: self.remote.port(),
            dst_port: self.local.port(),
            seq,
            ack,
            flags: said.flags,
            window: said.window,
            urgent: said.urgent,
            options: said.options,
            payload: &[],
        };
        self.watch.peer_sends(&segment, payload, self.nxt);
        let mut bytes = vec![0; 60 + payload.len()];
        let header_len = segment.write_header(&mut bytes);
        bytes.truncate(header_len + payload.len());
        bytes[header_len..].copy_from_slice(payload);
        self.tcp(&mut bytes, said.ecn);
    }

    /// Octets of a segment arrive; ports and checksum are made to fit.
    pub fn tcp(&mut self, bytes: &mut [u8], ecn: u8) {
        if bytes.len() >= 20 {
            bytes[..2].copy_from_slice(&self.remote.port().to_be_bytes());
            bytes[2..4].copy_from_slice(&self.local.port().to_be_bytes());
            bytes[16..18].fill(0);
            let (src, dst) = (self.remote.ip(), self.local.ip());
            let pseudo = checksum::pseudo(src, dst, PROTOCOL_TCP, bytes.len());
            let sum = checksum::finish(pseudo + checksum::sum(bytes));
            bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        }
        let frame = self.packet(PROTOCOL_TCP, ecn, bytes);
        self.frame(&frame);
    }

    /// A packet of the peer's, as a frame.
    pub fn packet(&self, protocol: u8, ecn: u8, payload: &[u8]) -> Vec<u8> {
        let v4 = self.remote.is_ipv4();
        let ethertype = if v4 { ethernet::ETHERTYPE_IPV4 } else { ethernet::ETHERTYPE_IPV6 };
        let mut frame = vec![0; 58 + payload.len()];
        let mut len = ethernet::write_header(&mut frame, OUR_MAC, PEER_MAC, None, ethertype);
        len += match (self.remote.ip(), self.local.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                Ipv4Header { src, dst, protocol, ttl: 64, tos: ecn, ident: 0, dont_fragment: true }
                    .write(&mut frame[len..], payload.len())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ipv6Header {
                src,
                dst,
                next_header: protocol,
                hop_limit: 64,
                traffic_class: ecn,
                flow_label: 0,
            }
            .write(&mut frame[len..], payload.len()),
            _ => unreachable!("both ends are of one family"),
        };
        frame[len..len + payload.len()].copy_from_slice(payload);
        frame.truncate(len + payload.len());
        frame
    }

    /// Time passes, at the engine's own pace.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..10_000 {
            let Some(at) = self.engine.next_deadline().filter(|at| *at < until) else { break };
            self.now = self.now.max(at);
            self.engine.poll(self.now);
            self.drain();
        }
        self.now = until;
        self.engine.poll(until);
        self.drain();
    }

    /// Something that an application may do.
    pub fn application(&mut self, input: &mut Input<'_>) {
        self.accept();
        let Some(&conn) = self.handles.last() else { return };
        let engine = &mut self.engine;
        match input.below(10) {
            0 | 1 => {
                let len = input.small().min(20_000);
                self.write(len);
            }
            2 | 3 => self.read_all(),
            4 => drop(engine.shutdown(conn)),
            5 => drop(engine.set_nodelay(conn, input.flip())),
            6 => drop(engine.set_cork(conn, input.flip())),
            7 => {
                let octets = [0, 1, 2].map(|n| written(self.written + n));
                self.written += engine.write_urgent(conn, &octets).unwrap_or(0) as u32;
            }
            8 => {
                let linger = [None, Some(Duration::ZERO), Some(Duration::from_secs(2))];
                let _ = engine.set_linger(conn, linger[usize::from(input.below(3))]);
            }
            _ => {
                let _ =
                    if input.flip() { engine.abort(conn) } else { engine.close(conn).map(drop) };
            }
        }
        self.drain();
    }

    /// Writes the next `len` octets of the application's stream, or as many as are taken.
    pub fn write(&mut self, len: u32) {
        let Some(&conn) = self.handles.last() else { return };
        let octets: Vec<u8> = (0..len).map(|n| written(self.written + n)).collect();
        self.written += self.engine.write(conn, &octets).unwrap_or(0) as u32;
    }

    /// Reads what there is; it must be the peer's octets, in order and without a gap.
    pub fn read_all(&mut self) {
        let mut out = [0; 1_000];
        while let Some(&conn) = self.handles.last()
            && let Ok(len) = self.engine.read(conn, &mut out)
        {
            if len == 0 {
                self.watch.stream_ends(self.read);
                break;
            }
            for byte in &out[..len] {
                assert_eq!(*byte, octet(PEER_ISS + 1 + self.read), "octet {}", self.read);
                self.read += 1;
            }
        }
        self.drain();
    }

    /// Takes what comes out: it can be read, its sums are right, it fits, and it comes to an end.
    pub fn drain(&mut self) {
        for _ in 0..MOST_FRAMES {
            let Some(frame) = self.engine.output() else { return };
            let frame = frame.to_vec();
            self.look_at(&frame);
        }
        panic!("it never stops sending");
    }

    fn look_at(&mut self, frame: &[u8]) {
        assert!(frame.len() <= MTU + 18, "{} octets", frame.len());
        let ethernet = Ethernet::parse(frame).unwrap();
        let (src, dst, protocol, payload): (IpAddr, IpAddr, u8, &[u8]) = match ethernet.ethertype {
            ethernet::ETHERTYPE_IPV4 => {
                let packet = Ipv4::parse(ethernet.payload).unwrap();
                assert!(packet.checksum_ok());
                (packet.src.into(), packet.dst.into(), packet.protocol, packet.payload)
            }
            ethernet::ETHERTYPE_IPV6 => {
                let packet = Ipv6::parse(ethernet.payload).unwrap();
                (packet.src.into(), packet.dst.into(), packet.protocol, packet.payload)
            }
            _ => return,
        };
        if protocol != PROTOCOL_TCP {
            return;
        }
        assert!(checksum::tcp_ok(src, dst, payload), "TCP checksum");
        let segment = Segment::parse(payload).unwrap();
        let ours = (segment.src_port, segment.dst_port) == (self.local.port(), self.remote.port());
        if segment.flags.rst() || !ours || dst != self.remote.ip() {
            return;
        }
        let info = self.handles.last().map(|conn| self.engine.info(*conn));
        if let Some(Ok(info)) = info
            && self.local.port() == CONNECTED
            && info.state.is_synchronized()
        {
            self.watch.scale = info.window_scale.map_or(0, |(_, ours)| ours);
        }
        self.watch.engine_sends(&segment);
        let end = segment.seq + segment.seq_len();
        if segment.flags.syn() {
            (self.una, self.nxt) = (segment.seq, end);
        } else if self.nxt.before(end) {
            self.nxt = end;
        }
        if segment.flags.ack() {
            self.acked = segment.ack;
        }
        if let Some(ts) = segment.options.timestamps
            && ts.value != self.stamp
        {
            (self.older_stamp, self.stamp) = (self.stamp, ts.value);
        }
    }

    /// Everything is let go, every timer runs out, and nothing may be left.
    pub fn finish(mut self) {
        if let Some(listener) = self.listener {
            let _ = self.engine.unlisten(listener);
        }
        for conn in core::mem::take(&mut self.handles) {
            let _ = self.engine.abort(conn);
            let _ = self.engine.close(conn);
        }
        self.drain();
        let end = self.now + Duration::from_secs(24 * 3_600);
        for _ in 0..100_000 {
            if self.engine.connections() + self.engine.time_wait() == 0 {
                break;
            }
            let at = self.engine.next_deadline().expect("something waits for nothing");
            assert!(at <= end, "something waits for longer than a day");
            self.now = self.now.max(at);
            self.engine.poll(self.now);
            self.drain();
        }
        let engine = &self.engine;
        assert_eq!((engine.connections(), engine.time_wait()), (0, 0));
        assert_eq!((engine.timers(), engine.memory_in_use()), (0, (0, 0)));
        assert_eq!(engine.recoveries(), 0);
        let metrics = engine.metrics();
        let counted = metrics.handled.sum() + metrics.drops.received();
        assert_eq!(counted, metrics.rx_packets.get(), "each frame once: {metrics:?}");
    }
}

fn takes_no_syn(state: State) -> bool {
    state.is_synchronized() && state != State::TimeWait
}

/// What a segment says beside its numbers.
pub struct Said {
    pub flags: Flags,
    pub window: u16,
    pub urgent: u16,
    pub options: Options,
    pub ecn: u8,
}

impl Said {
    pub fn new(flags: Flags) -> Self {
        Said { flags, window: 20_000, urgent: 0, options: Options::NONE, ecn: 0 }
    }
}
