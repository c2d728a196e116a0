//! One engine with handles, a clock that the test moves, and the test as the peer.
//!
//! Whole frames go in and come out, built and checked with the `wire` module: Ethernet and IP
//! addresses, ports and checksums of every frame are looked at, and a frame that no test asked for
//! fails the test. When an [`Exchange`] ends it closes what is left, lets all timers run out, and
//! demands that nothing remains.

use super::segment::Seg;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use lastack::engine::{
    Closing, Config, ConnId, ConnectOptions, Engine, Error, ListenOptions, ListenerId, Sockets,
};
use lastack::net::address::Interface;
use lastack::port::{RxChecksum, RxFrame};
use lastack::tcp::{Counters, State};
use lastack::time::Instant;
use lastack::wire::ethernet::{self, Ethernet};
use lastack::wire::ipv4::{Ipv4, Ipv4Header};
use lastack::wire::ipv6::{Ipv6, Ipv6Header};
use lastack::wire::options::SackBlocks;
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::{Flags, Segment};
use lastack::wire::{MacAddr, PROTOCOL_TCP, checksum};
use std::collections::{BTreeMap, VecDeque};

pub const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
/// What our initial sequence number is called in every test.
pub const OUR_ISS: u32 = 100;
/// The window of a peer's segment that says nothing else.
const PEER_WINDOW: u16 = 64_000;
/// The clock starts here: on no boundary of a tick, a millisecond or a second.
pub const START: Instant = Instant::from_nanos(10_000_123_457);

/// How the engine is driven while time passes.
#[derive(Clone, Copy, Debug)]
pub enum Rhythm {
    /// Only when it asked to be: at each `next_deadline()`.
    Deadlines,
    /// Every millisecond, whatever it asked for.
    EveryMillisecond,
}

/// Runs a test in both rhythms: what is due at t comes out at t in either.
pub fn at_any_rhythm(test: impl Fn(Rhythm)) {
    test(Rhythm::Deadlines);
    test(Rhythm::EveryMillisecond);
}

/// An engine's configuration with the options that take no part in most figures switched off, and
/// the RTO of RFC 6298: 1 s.
pub fn plain() -> Config {
    let addresses = ["198.18.0.1/24", "2001:db8::1/64"].map(|cidr| cidr.parse().unwrap());
    let mut interface = Interface::new(OUR_MAC, addresses.to_vec());
    interface.neighbours = vec![(ip("198.18.0.2"), PEER_MAC), (ip("2001:db8::2"), PEER_MAC)];
    let mut config = Config::new(interface, [7; 32]);
    config.limits.max_connections = 64;
    config.limits.max_time_wait = 64;
    config.limits.buffer_bytes = 1 << 22;
    config.limits.reassembly_segments = 256;
    config.limits.neighbours = 16;
    config.tcp.timestamps = false;
    config.tcp.window_scale = false;
    config.tcp.sack = false;
    config.tcp.rto_min = Duration::from_secs(1);
    config
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A frame that the engine sent, and when.
pub struct Sent {
    pub at: Instant,
    pub frame: Vec<u8>,
}

/// See the module.
pub struct Exchange {
    pub engine: Engine<Sockets>,
    /// Our end of the connection that the test is about.
    pub local: SocketAddr,
    /// Its other end.
    pub remote: SocketAddr,
    /// The two ECN bits of the peer's packets, and of the last one of ours.
    pub ecn: u8,
    pub our_ecn: u8,
    /// The Ethernet address that the peer's frames come from, and ours must go to.
    pub peer_mac: MacAddr,
    /// The VLAN that the peer's frames belong to, and ours must.
    pub vlan: Option<u16>,
    pub rhythm: Rhythm,
    pub listener: Option<ListenerId>,
    conn: Option<ConnId>,
    handles: Vec<ConnId>,
    now: Instant,
    /// Our initial sequence number as the stack chose it.
    iss: Option<SeqNumber>,
    /// The same, with the handle, for the peer's other ports.
    others: BTreeMap<u16, (Option<SeqNumber>, Option<ConnId>)>,
    sent: VecDeque<Sent>,
}

impl Exchange {
    pub fn new(config: Config) -> Self {
        let vlan = config.interface.vlan;
        let mut engine = Engine::new(config, Sockets).unwrap();
        engine.poll(START);
        Exchange {
            engine,
            local: "198.18.0.1:80".parse().unwrap(),
            remote: "198.18.0.2:40000".parse().unwrap(),
            ecn: 0,
            our_ecn: 0,
            peer_mac: PEER_MAC,
            vlan,
            rhythm: Rhythm::Deadlines,
            listener: None,
            conn: None,
            handles: Vec::new(),
            now: START,
            iss: None,
            others: BTreeMap::new(),
            sent: VecDeque::new(),
        }
    }

    /// Listens at port 80.
    pub fn listening(config: Config) -> Self {
        let mut tcp = Exchange::new(config);
        tcp.listen(ListenOptions::default()).unwrap();
        tcp
    }

    /// A connection that the peer opened and the application accepted: we are at 101, they at 301.
    pub fn established(config: Config) -> Self {
        let mut tcp = Exchange::listening(config);
        tcp.handshake();
        tcp
    }

    /// The peer opens a connection and the application accepts it.
    pub fn handshake(&mut self) {
        use super::segment::{ack, syn, syn_ack};
        self.receives(syn().seq(300).mss(1_460));
        self.sends(syn_ack().seq(100).ack(301));
        self.receives(ack().seq(301).ack(101));
        self.accepts();
    }

    /// The same, but nobody has accepted it yet.
    pub fn handshake_unaccepted(&mut self) {
        use super::segment::{ack, syn, syn_ack};
        self.receives(syn().seq(300).mss(1_460));
        self.sends(syn_ack().seq(100).ack(301));
        self.receives(ack().seq(301).ack(101));
    }

    pub fn in_rhythm(mut self, rhythm: Rhythm) -> Self {
        self.rhythm = rhythm;
        self
    }

    // what the application does

    pub fn listen(&mut self, options: ListenOptions) -> Result<ListenerId, Error> {
        let listener = self.engine.listen(self.local, options)?;
        self.listener = Some(listener);
        Ok(listener)
    }

    /// Connects from port 5000 to port 80 of the peer.
    pub fn connect(&mut self) -> ConnId {
        self.local.set_port(5_000);
        self.remote.set_port(80);
        let options = ConnectOptions { local: Some(self.local), ..ConnectOptions::default() };
        let conn = self.engine.connect(self.remote, options).unwrap();
        self.owns(conn)
    }

    pub fn accepts(&mut self) -> ConnId {
        let conn = self.engine.accept(self.listener.unwrap()).expect("a connection to accept");
        self.owns(conn)
    }

    /// The handle that the test goes on with.
    pub fn owns(&mut self, conn: ConnId) -> ConnId {
        self.handles.push(conn);
        self.conn = Some(conn);
        conn
    }

    pub fn conn(&self) -> ConnId {
        self.conn.expect("a connection was opened")
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let conn = self.conn();
        assert_eq!(self.engine.write(conn, bytes), Ok(bytes.len()));
    }

    pub fn read(&mut self) -> Result<Vec<u8>, Error> {
        let mut out = [0; 4_096];
        let conn = self.conn();
        self.engine.read(conn, &mut out).map(|len| out[..len].to_vec())
    }

    /// Reads exactly this.
    pub fn reads(&mut self, bytes: impl AsRef<[u8]>) {
        assert_eq!(self.read(), Ok(bytes.as_ref().to_vec()));
    }

    /// Reads the end of the stream.
    pub fn reads_eof(&mut self) {
        assert_eq!(self.read(), Ok(Vec::new()));
    }

    pub fn shutdown(&mut self) {
        let conn = self.conn();
        self.engine.shutdown(conn).unwrap();
    }

    pub fn close(&mut self) -> Closing {
        let conn = self.conn();
        self.engine.close(conn).unwrap()
    }

    // what goes over the wire

    /// The peer sends this.
    pub fn receives(&mut self, segment: Seg) {
        let frame = self.frame_of(&segment);
        self.receives_frame(&frame);
    }

    pub fn receives_frame(&mut self, frame: &[u8]) {
        self.drain();
        self.engine.input(frame, self.now);
        self.drain();
    }

    /// The peer's segments arrive in one burst.
    pub fn receives_burst(&mut self, segments: &[Seg]) {
        self.drain();
        let frames: Vec<_> = segments.iter().map(|segment| self.frame_of(segment)).collect();
        let frame = |bytes| RxFrame { bytes, checksum: RxChecksum::Unknown };
        let mut frames: Vec<_> = frames.iter().map(|bytes| frame(bytes)).collect();
        self.engine.input_burst(frames.len(), &mut frames[..], self.now);
        self.drain();
    }

    /// The next thing that we send is this, at this very time.
    #[track_caller]
    pub fn sends(&mut self, expected: Seg) {
        let sent = self.sent_segment(|| format!("{expected:?}"));
        assert!(expected.is_met_by(&sent), "expected {expected:?}\n      sent {sent:?}");
    }

    #[track_caller]
    pub fn sends_nothing(&mut self) {
        self.drain();
        if let Some(sent) = self.sent.pop_front() {
            let segment = self.parse(&sent.frame);
            self.sent.clear();
            panic!("nothing was expected at {:?}, but we sent {segment:?}", self.elapsed());
        }
    }

    /// The next segment that we send.
    #[track_caller]
    pub fn sent_segment(&mut self, expected: impl Fn() -> String) -> Seg {
        self.drain();
        let Some(sent) = self.sent.pop_front() else {
            panic!("expected {} at {:?}, but we sent nothing", expected(), self.elapsed());
        };
        assert_eq!(sent.at, self.now, "expected now: {}", expected());
        self.parse(&sent.frame).expect("a TCP segment")
    }

    /// All segments that we have sent by now.
    pub fn sent_segments(&mut self) -> Vec<Seg> {
        self.drain();
        let sent: Vec<_> = self.sent.drain(..).collect();
        sent.iter().filter_map(|sent| self.parse(&sent.frame)).collect()
    }

    /// All frames that we have sent by now, whatever they are.
    pub fn sent_frames(&mut self) -> Vec<Vec<u8>> {
        self.drain();
        self.sent.drain(..).map(|sent| sent.frame).collect()
    }

    /// The next frame that we send, whatever it is.
    #[track_caller]
    pub fn sent_frame(&mut self) -> Vec<u8> {
        self.drain();
        self.sent.pop_front().expect("a frame").frame
    }

    /// The same, or `None` if we have sent nothing more.
    pub fn try_sent_frame(&mut self) -> Option<Vec<u8>> {
        self.drain();
        Some(self.sent.pop_front()?.frame)
    }

    // time

    /// Time passes, until `ms` milliseconds after the beginning. What we sent before was to be
    /// looked at before, and until that very time nothing may be sent.
    #[track_caller]
    pub fn at(&mut self, ms: u64) {
        self.at_instant(START + Duration::from_millis(ms));
    }

    #[track_caller]
    pub fn at_instant(&mut self, until: Instant) {
        assert!(until >= self.now, "time goes forward");
        self.sends_nothing();
        match self.rhythm {
            Rhythm::Deadlines => self.run_by_deadlines(until),
            Rhythm::EveryMillisecond => {
                while self.now < until {
                    self.now = (self.now + Duration::from_millis(1)).min(until);
                    self.engine.poll(self.now);
                    self.drain();
                }
            }
        }
        if let Some(early) = self.sent.iter().position(|sent| sent.at < until) {
            let early = self.sent.drain(..).nth(early).expect("it is there");
            let (at, segment) = (early.at.since(START), self.parse(&early.frame));
            panic!(
                "nothing was expected until {:?}, but at {at:?} came {segment:?}",
                self.elapsed()
            );
        }
    }

    /// As [`at`](Self::at), but what is due then may come up to 8 ms late: SYN-ACKs are sent again by a
    /// clock of about a millisecond.
    #[track_caller]
    pub fn about(&mut self, ms: u64) {
        self.at(ms);
        let until = self.now + Duration::from_millis(8);
        while self.now < until {
            let next = self.engine.next_deadline().map_or(until, |at| at.max(self.now).min(until));
            self.now = next.max(self.now + Duration::from_nanos(1));
            self.engine.poll(self.now);
            self.drain();
        }
        self.sent.iter_mut().for_each(|sent| sent.at = until);
    }

    /// Time passes, whatever we send meanwhile.
    pub fn step_to(&mut self, until: Instant) {
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.engine.poll(self.now);
            self.drain();
        }
        self.now = until;
        self.sent.iter_mut().for_each(|sent| sent.at = until);
    }

    fn run_by_deadlines(&mut self, until: Instant) {
        let mut still = 0;
        while let Some(deadline) = self.engine.next_deadline().filter(|at| *at <= until) {
            still = if deadline > self.now { 0 } else { still + 1 };
            assert!(still < 1_000, "time stands still at {:?}", self.elapsed());
            self.now = self.now.max(deadline);
            self.engine.poll(self.now);
            self.drain();
        }
        self.now = until;
        let so_far = self.sent.len();
        self.engine.poll(until);
        self.drain();
        assert_eq!(self.sent.len(), so_far, "something was due at {:?} unasked", self.elapsed());
    }

    /// Every TCP segment that we have to send now, whatever connection it belongs to.
    pub fn sent_segments_now_from_us(&mut self) -> Vec<Seg> {
        self.drain();
        let sent: Vec<Sent> = self.sent.drain(..).collect();
        let ours = self.frames_of_port(sent);
        ours.iter().filter_map(|sent| self.parse(&sent.frame)).collect()
    }

    /// Of these frames those that go to the port of the test's peer.
    fn frames_of_port(&self, sent: Vec<Sent>) -> Vec<Sent> {
        let port = self.remote.port().to_be_bytes();
        let at = ethernet::HEADER_LEN + lastack::wire::ipv4::HEADER_LEN + 2;
        sent.into_iter().filter(|sent| sent.frame[at..at + 2] == port).collect()
    }

    /// The handles of all connections of the test.
    pub fn conns(&self) -> &[ConnId] {
        &self.handles
    }

    /// How many frames have been sent and not been looked at: now they have.
    pub fn sent_segments_now(&mut self) -> usize {
        let sent: Vec<Sent> = self.sent.drain(..).collect();
        sent.iter().filter(|sent| self.parse(&sent.frame).is_some()).count()
    }

    /// What acknowledges our SYN, as it is on the wire.
    pub fn cookie_number(&self) -> Option<u32> {
        self.iss.map(|iss| (iss + 1).value())
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    // what can be asked

    pub fn counters(&self) -> &Counters {
        &self.engine.metrics().tcp
    }

    #[track_caller]
    pub fn is_in(&self, state: State) {
        assert_eq!(self.engine.info(self.conn()).unwrap().state, state);
    }

    /// There is no connection any more, and so many entries in TIME-WAIT.
    #[track_caller]
    pub fn only_time_wait(&mut self, entries: usize) {
        self.sends_nothing();
        assert_eq!((self.engine.connections(), self.engine.time_wait()), (0, entries));
        assert_eq!((self.engine.timers(), self.engine.memory_in_use()), (0, (0, 0)));
    }

    /// Goes on with the peer's connection from this port, or a new one.
    pub fn use_remote_port(&mut self, port: u16) -> &mut Self {
        self.others.insert(self.remote.port(), (self.iss, self.conn));
        self.remote.set_port(port);
        (self.iss, self.conn) = self.others.remove(&port).unwrap_or_default();
        self
    }

    /// The next SYN of ours begins a sequence space of its own.
    pub fn next_incarnation(&mut self) {
        self.iss = None;
    }

    // frames

    fn base(&self) -> u32 {
        self.iss.map_or(0, |iss| iss.value().wrapping_sub(OUR_ISS))
    }

    fn drain(&mut self) {
        while let Some(frame) = self.engine.output() {
            let frame = frame.to_vec();
            self.sent.push_back(Sent { at: self.now, frame });
        }
    }

    /// A segment of the peer's, as a frame.
    pub fn frame_of(&self, segment: &Seg) -> Vec<u8> {
        let Seg { flags, seq, ack, window, options, urgent, payload } = segment;
        let base = self.base();
        let ack = if flags.ack() { ack.wrapping_add(base) } else { *ack };
        let mut options = options.unwrap_or_default();
        let mut sack = SackBlocks::EMPTY;
        for (start, end) in options.sack.iter() {
            sack.push(start + base, end + base);
        }
        options.sack = sack;
        let segment = Segment {
            src_port: self.remote.port(),
            dst_port: self.local.port(),
            seq: SeqNumber::new(*seq),
            ack: SeqNumber::new(ack),
            flags: *flags,
            window: window.unwrap_or(PEER_WINDOW),
            urgent: *urgent,
            options,
            payload,
        };
        let mut bytes = vec![0; 60 + payload.len()];
        let header_len = segment.write_header(&mut bytes);
        bytes[header_len..header_len + payload.len()].copy_from_slice(payload);
        bytes.truncate(header_len + payload.len());
        let (src, dst) = (self.remote.ip(), self.local.ip());
        let pseudo = checksum::pseudo(src, dst, PROTOCOL_TCP, bytes.len());
        let sum = checksum::finish(pseudo + checksum::sum(&bytes));
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        self.packet(PROTOCOL_TCP, &bytes)
    }

    /// An IP packet of the peer's, as a frame.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 58 + payload.len()];
        let v4 = self.remote.is_ipv4();
        let ethertype = if v4 { ethernet::ETHERTYPE_IPV4 } else { ethernet::ETHERTYPE_IPV6 };
        let mut len =
            ethernet::write_header(&mut frame, OUR_MAC, self.peer_mac, self.vlan, ethertype);
        len += match (self.remote.ip(), self.local.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ipv4Header {
                src,
                dst,
                protocol,
                ttl: 64,
                tos: self.ecn,
                ident: 0,
                dont_fragment: true,
            }
            .write(&mut frame[len..], payload.len()),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ipv6Header {
                src,
                dst,
                next_header: protocol,
                hop_limit: 64,
                traffic_class: self.ecn,
                flow_label: 0,
            }
            .write(&mut frame[len..], payload.len()),
            _ => panic!("ends of two families"),
        };
        frame[len..len + payload.len()].copy_from_slice(payload);
        frame.truncate(len + payload.len());
        frame
    }

    /// Checks a frame of ours and gives its segment; `None` if it carries no TCP.
    fn parse(&mut self, frame: &[u8]) -> Option<Seg> {
        let ethernet = Ethernet::parse(frame).unwrap();
        let (src, dst, protocol, payload): (IpAddr, IpAddr, u8, &[u8]) = match ethernet.ethertype {
            ethernet::ETHERTYPE_IPV4 => {
                let packet = Ipv4::parse(ethernet.payload).unwrap();
                assert!(packet.checksum_ok(), "IPv4 checksum");
                self.our_ecn = packet.ecn();
                (packet.src.into(), packet.dst.into(), packet.protocol, packet.payload)
            }
            ethernet::ETHERTYPE_IPV6 => {
                let packet = Ipv6::parse(ethernet.payload).unwrap();
                self.our_ecn = packet.ecn();
                (packet.src.into(), packet.dst.into(), packet.protocol, packet.payload)
            }
            _ => return None,
        };
        if protocol != PROTOCOL_TCP {
            return None;
        }
        assert_eq!((ethernet.src, ethernet.dst), (OUR_MAC, self.peer_mac), "Ethernet addresses");
        assert_eq!(ethernet.vlan_id(), self.vlan, "VLAN");
        assert!(checksum::tcp_ok(src, dst, payload), "TCP checksum");
        let segment = Segment::parse(payload).unwrap();
        let ends = (SocketAddr::new(src, segment.src_port), SocketAddr::new(dst, segment.dst_port));
        assert_eq!(ends, (self.local, self.remote), "the ends of the connection");
        if segment.flags.contains(Flags::SYN) && self.iss.is_none() {
            self.iss = Some(segment.seq);
        }
        Some(Seg {
            flags: segment.flags,
            seq: segment.seq.value().wrapping_sub(self.base()),
            ack: segment.ack.value(),
            window: Some(segment.window),
            options: Some(segment.options),
            urgent: segment.urgent,
            payload: segment.payload.to_vec(),
        })
    }
}

impl Drop for Exchange {
    /// Everything is closed, every timer runs out, and nothing may be left.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.sends_nothing();
        if let Some(listener) = self.listener {
            let _ = self.engine.unlisten(listener);
        }
        for conn in core::mem::take(&mut self.handles) {
            let _ = self.engine.abort(conn); // it may be over already
            let _ = self.engine.close(conn);
        }
        let end = self.now + Duration::from_secs(7_200);
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.engine.poll(self.now);
            self.drain();
            if self.engine.connections() + self.engine.time_wait() + self.sent.len() == 0 {
                break;
            }
            self.sent.clear();
        }
        self.drain();
        self.sent.clear();
        self.only_time_wait(0);
        let metrics = self.engine.metrics();
        assert_eq!((metrics.connections.get(), metrics.time_wait.get()), (0, 0), "gauges");
    }
}
