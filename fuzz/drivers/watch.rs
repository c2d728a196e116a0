//! What leaves the engine, held against what it was told: rules that bind a TCP whatever its peer
//! does. Each compares with the most that the peer can have allowed, so a segment of the peer's
//! counts even if the engine was right to drop it.

use super::peer::{PEER_ISS, octet};
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::Segment;

/// A peer's octet farther than this from those before it was in no window.
const FARTHEST: usize = 1 << 21;
/// The MSS of a SYN that states none, the larger one (RFC 9293 §3.7.1), and the least that a peer
/// can bring the engine to.
const DEFAULT_MSS: usize = 1_220;
const SMALLEST_MSS: usize = 64;

/// The application's octet at `place` of its stream.
pub fn written(place: u32) -> u8 {
    octet(SeqNumber::new(place.wrapping_add(0x5bd1_e995)))
}

/// See the module.
#[derive(Default)]
pub struct Watch {
    /// Look at nothing: with cookies an ACK that is replayed begins the same stream again.
    pub off: bool,
    /// Is what the peer sends one stream that begins at [`PEER_ISS`]? Else only the engine's own
    /// octets can be checked.
    pub one_stream: bool,
    /// Of the engine's present incarnation: its ISS, octets sent so far, the place of its FIN.
    iss: Option<SeqNumber>,
    sent: u32,
    fin: Option<u32>,
    /// Its last ACK, right edge and timestamp, and how far its window is shifted.
    acked: Option<SeqNumber>,
    edge: Option<SeqNumber>,
    stamp: Option<u32>,
    pub scale: u8,
    /// What the peer can have allowed: the right edge of its windows, its largest MSS and shift, SACK.
    room: Option<SeqNumber>,
    peer_scale: u8,
    mss: usize,
    sack: bool,
    /// Which of the peer's octets were sent, how many of them without a gap, and where its FINs were.
    had: Vec<bool>,
    contiguous: usize,
    fins: Vec<usize>,
}

impl Watch {
    /// The peer sends a segment; `nxt` is the first sequence number that the engine has not sent.
    pub fn peer_sends(&mut self, segment: &Segment<'_>, payload: &[u8], nxt: SeqNumber) {
        let flags = segment.flags;
        if flags.syn() {
            let mss = segment.options.mss.map_or(DEFAULT_MSS, usize::from);
            self.mss = self.mss.max(mss).max(SMALLEST_MSS);
            self.sack |= segment.options.sack_permitted;
            let shift = segment.options.window_scale.unwrap_or(0);
            self.peer_scale = self.peer_scale.max(shift.min(14)); // RFC 7323 §2.3
        }
        if flags.ack()
            && self.iss.is_some_and(|iss| iss.before(segment.ack))
            && segment.ack.at_or_before(nxt)
        {
            let edge = segment.ack + (u32::from(segment.window) << self.peer_scale);
            self.room = Some(self.room.map_or(edge, |room| room.later(edge)));
        }
        let data = segment.seq + u32::from(flags.syn());
        let Ok(place) = usize::try_from((PEER_ISS + 1).steps_to(data)) else { return };
        if place > self.contiguous + FARTHEST {
            return;
        }
        let end = place + payload.len();
        self.had.resize(self.had.len().max(end), false);
        self.had[place..end].fill(true);
        while self.had.get(self.contiguous) == Some(&true) {
            self.contiguous += 1;
        }
        if flags.fin() {
            self.fins.push(end);
        }
    }

    /// The engine sends a segment that is no RST.
    pub fn engine_sends(&mut self, segment: &Segment<'_>) {
        if self.off {
            return;
        }
        if segment.flags.syn() {
            self.syn(segment);
        } else if let Some(iss) = self.iss {
            self.sequence(segment, iss);
            self.acknowledgment(segment);
        }
    }

    fn syn(&mut self, syn: &Segment<'_>) {
        if self.iss != Some(syn.seq) {
            (self.room, self.scale) = (None, 0);
        }
        self.iss = Some(syn.seq);
        (self.sent, self.fin, self.stamp) = (0, None, None);
        let answers = syn.flags.ack();
        self.acked = answers.then_some(syn.ack);
        self.edge = answers.then(|| syn.ack + u32::from(syn.window));
        if answers {
            self.scale = syn.options.window_scale.unwrap_or(0);
        }
    }

    /// What is sent is the application's stream, in order, ended once.
    fn sequence(&mut self, segment: &Segment<'_>, iss: SeqNumber) {
        let len = segment.payload.len() as u32;
        let Ok(place) = u32::try_from((iss + 1).steps_to(segment.seq)) else {
            assert!(len == 0, "octets before the first");
            return; // a keep-alive probe before there was data
        };
        let sent = self.sent + u32::from(self.fin == Some(self.sent));
        assert!(place <= sent, "{place} comes before {sent}");
        for (at, byte) in (place..).zip(segment.payload) {
            assert_eq!(*byte, written(at), "octet {at} of our stream");
        }
        let end = place + len;
        if segment.seq_len() > 0 {
            self.sent = self.sent.max(end);
        }
        if segment.flags.fin() {
            assert_eq!(*self.fin.get_or_insert(end), end, "another FIN");
        }
        assert!(self.fin.is_none_or(|fin| self.sent <= fin), "octets beyond our FIN");
        if !self.one_stream {
            return;
        }
        assert!(segment.payload.len() <= self.mss, "{len} octets are more than the peer's MSS");
        let last = segment.seq + segment.seq_len();
        if let Some(room) = self.room
            && segment.seq_len() > 0
        {
            // one octet, or the FIN, may ask whether the window is still shut
            let asks = segment.seq_len() == 1 && last.at_or_before(room + 1);
            assert!(asks || last.at_or_before(room), "{last:?} lies beyond the window's {room:?}");
        }
    }

    /// What is acknowledged was sent, and neither that nor the window is taken back.
    fn acknowledgment(&mut self, segment: &Segment<'_>) {
        if !self.one_stream {
            return;
        }
        let options = &segment.options;
        if let (Some(ts), Some(last)) = (options.timestamps, self.stamp) {
            assert!(ts.value.wrapping_sub(last) as i32 >= 0, "our clock goes back");
        }
        self.stamp = options.timestamps.map(|ts| ts.value).or(self.stamp);
        if !segment.flags.ack() {
            return;
        }
        let acked = (PEER_ISS + 1).steps_to(segment.ack) as usize;
        let of_fin = acked > 0 && acked <= self.contiguous + 1 && self.fins.contains(&(acked - 1));
        assert!(acked <= self.contiguous || of_fin, "{acked} acknowledged of {}", self.contiguous);
        let edge = segment.ack + (u32::from(segment.window) << self.scale);
        if let (Some(acked), Some(before)) = (self.acked, self.edge) {
            assert!(acked.at_or_before(segment.ack), "an ACK is taken back");
            assert!(before.at_or_before(edge), "the window shrinks by {}", edge.steps_to(before));
        }
        (self.acked, self.edge) = (Some(segment.ack), Some(edge));
        let blocks = options.sack.as_slice();
        assert!(blocks.is_empty() || self.sack, "SACK without leave");
        for (index, &(start, end)) in blocks.iter().enumerate() {
            let place = |seq| usize::try_from((PEER_ISS + 1).steps_to(seq)).ok();
            let (Some(from), Some(to)) = (place(start), place(end)) else {
                panic!("a SACK block of what lies before the stream")
            };
            assert!(from < to, "an empty SACK block");
            // a FIN may wait out of order too
            let had = |at| self.had.get(at) == Some(&true) || self.fins.contains(&at);
            assert!((from..to).all(had), "a SACK block of what was not sent: {from} to {to}");
            // RFC 2883 §4: the first may tell of what arrived twice
            assert!(index == 0 || start.after(segment.ack), "a SACK block below the ACK");
        }
    }

    /// The application has read all of a stream of `read` octets.
    pub fn stream_ends(&self, read: u32) {
        assert!(self.fins.contains(&(read as usize)), "the end of the stream at octet {read}");
    }
}
