//! An observer on the wire: it sees each frame as it is sent and as it is delivered, knows from that
//! what each end can know, and notes what no TCP may do.
//!
//! It keeps the state of one connection for each pair of ports; a SYN with another sequence number
//! begins the next one.
//! What is damaged on the way counts as sent and not as delivered.

use crate::time::Instant;
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{PROTOCOL_TCP, checksum};
use core::mem;
use core::net::IpAddr;
use std::collections::BTreeMap;

/// What is known of one end.
#[derive(Debug, Default)]
struct End {
    /// Its initial sequence number.
    iss: Option<SeqNumber>,
    /// The octets that it has sent, from `iss + 1` on, and where its FIN is.
    octets: Vec<u8>,
    fin: Option<SeqNumber>,
    /// What its SYN has offered.
    scale: Option<u8>,
    mss: u16,
    timestamps: bool,
    sack: bool,
    ecn: bool,
    /// Which of the peer's octets have been delivered to it, `peer's iss + 1` first, and the FIN.
    delivered: Vec<bool>,
    contiguous: usize,
    /// The farthest that it may send: the largest ACK plus window that was delivered to it.
    may_send_to: Option<SeqNumber>,
    /// The farthest that it has allowed, and the last ACK and timestamp that it has sent.
    allowed: Option<SeqNumber>,
    acked: Option<SeqNumber>,
    stamp: Option<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Observer {
    /// The connection of the last segment, between these ports, and all others.
    ends: [End; 2],
    ports: (u16, u16),
    others: BTreeMap<(u16, u16), [End; 2]>,
    segments: [u64; 2],
    violations: Vec<String>,
}

/// A segment of a frame whose checksums are right.
struct Seen<'a> {
    segment: Segment<'a>,
    ecn: u8,
}

fn parse(frame: &[u8]) -> Option<Seen<'_>> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let (src, dst, protocol, ecn, payload): (IpAddr, IpAddr, u8, u8, &[u8]) =
        if let Ok(packet) = Ipv4::parse(ethernet.payload) {
            if !packet.checksum_ok() {
                return None;
            }
            (packet.src.into(), packet.dst.into(), packet.protocol, packet.ecn(), packet.payload)
        } else {
            let packet = Ipv6::parse(ethernet.payload).ok()?;
            (packet.src.into(), packet.dst.into(), packet.protocol, packet.ecn(), packet.payload)
        };
    if protocol != PROTOCOL_TCP || !checksum::tcp_ok(src, dst, payload) {
        return None;
    }
    Some(Seen { segment: Segment::parse(payload).ok()?, ecn })
}

impl End {
    /// The octet at `seq` as a place in `octets`.
    fn place(&self, seq: SeqNumber) -> Option<usize> {
        usize::try_from((self.iss? + 1).steps_to(seq)).ok()
    }

    /// The point up to which all of the peer's octets were delivered to this end.
    fn received_to(&self, peer: &End) -> Option<SeqNumber> {
        Some(peer.iss? + 1 + self.contiguous as u32)
    }
}

impl Observer {
    /// Nothing has been seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What no TCP may do and was done, a line each.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// TCP segments that an end has sent.
    pub fn segments(&self, end: usize) -> u64 {
        self.segments[end]
    }

    /// Goes on with the connection of this segment, whichever end has sent it.
    fn select(&mut self, segment: &Segment<'_>) {
        let (here, there) = (segment.src_port, segment.dst_port);
        let ports = (here.min(there), here.max(there));
        if ports != self.ports {
            let known = self.others.remove(&ports).unwrap_or_default();
            let last = mem::replace(&mut self.ends, known);
            self.others.insert(mem::replace(&mut self.ports, ports), last);
        }
    }

    /// An end sends a frame.
    pub fn sent(&mut self, end: usize, frame: &[u8], now: Instant) {
        let Some(Seen { segment, ecn }) = parse(frame) else { return };
        self.segments[end] += 1;
        self.select(&segment);
        let mut faults = Vec::new();
        if segment.flags.syn() {
            self.note_syn_sent(end, &segment, ecn, &mut faults);
        } else if !segment.flags.rst() {
            self.note_segment_sent(end, &segment, ecn, &mut faults);
        }
        let Segment { seq, ack, flags, window, options, payload, .. } = &segment;
        let (seq, ack, len) = (seq.value(), ack.value(), payload.len());
        for fault in faults {
            self.violations.push(format!(
                "{now:?}, end {end}: {fault}: <SEQ={seq}><ACK={ack}><CTL={flags:?}> {len} octets, \
                 window {window}, {options:?}"
            ));
        }
    }

    fn note_syn_sent(
        &mut self,
        end: usize,
        syn: &Segment<'_>,
        ecn: u8,
        faults: &mut Vec<&'static str>,
    ) {
        if ecn != 0 {
            faults.push("a SYN is ECT"); // RFC 3168 §6.1.1
        }
        if self.ends[end].iss != Some(syn.seq) {
            self.ends[end] = End { iss: Some(syn.seq), ..End::default() };
            if !syn.flags.ack() {
                self.ends[1 - end] = End::default();
            }
        }
        let me = &mut self.ends[end];
        me.scale = syn.options.window_scale;
        me.mss = syn.options.mss.unwrap_or(536);
        me.timestamps = syn.options.timestamps.is_some();
        me.sack = syn.options.sack_permitted;
        me.ecn |= syn.flags.ece(); // a SYN that is sent again asks no more, but may have been heard
        me.stamp = syn.options.timestamps.map(|ts| ts.value);
        if syn.flags.ack() {
            me.allowed = Some(syn.ack + u32::from(syn.window));
            me.acked = Some(syn.ack);
        }
    }

    fn note_segment_sent(
        &mut self,
        end: usize,
        segment: &Segment<'_>,
        ecn: u8,
        faults: &mut Vec<&'static str>,
    ) {
        let (me, peer) = pair(&mut self.ends, end);
        let Some(place) = me.place(segment.seq) else {
            // a keep-alive probe lies one before
            return;
        };
        let len = segment.payload.len();
        let seq_end = segment.seq + len as u32 + u32::from(segment.flags.fin());
        let new_octets = place + len > me.octets.len();
        if let Some(edge) = me.may_send_to
            && seq_end.after(edge)
            && !(seq_end == edge + 1 && segment.seq_len() == 1)
        {
            faults.push("beyond the window");
        }
        for (offset, &octet) in segment.payload.iter().enumerate() {
            match me.octets.get(place + offset) {
                Some(&before) if before != octet => {
                    faults.push("sent again with another octet");
                    break;
                }
                Some(_) => {}
                None if place + offset == me.octets.len() => me.octets.push(octet),
                None => {
                    faults.push("a gap in what is sent");
                    break;
                }
            }
        }
        let after_payload = segment.seq + len as u32;
        match me.fin {
            Some(fin) if after_payload.after(fin) && len > 0 => faults.push("behind its own FIN"),
            Some(fin) if segment.flags.fin() && after_payload != fin => faults.push("another FIN"),
            None if segment.flags.fin() => me.fin = Some(after_payload),
            _ => {}
        }
        if len > 0 && len > usize::from(peer.mss) {
            faults.push("longer than the MSS");
        }
        let both = |mine: bool, theirs: bool| mine && theirs;
        if both(me.timestamps, peer.timestamps) != segment.options.timestamps.is_some() {
            faults.push("timestamps do not agree with the handshake"); // RFC 7323 §3.2
        }
        if let (Some(last), Some(ts)) = (me.stamp, segment.options.timestamps)
            && (ts.value.wrapping_sub(last) as i32) < 0
        {
            faults.push("its clock goes back");
        }
        me.stamp = segment.options.timestamps.map(|ts| ts.value);
        let ect = both(me.ecn, peer.ecn) && new_octets;
        if ecn != 0 && !ect {
            faults.push("ECT on what is not new data of an ECN connection"); // RFC 3168 §6.1.5
        }
        acknowledgment(me, peer, segment, faults);
    }

    /// A frame is delivered to an end.
    pub fn delivered(&mut self, end: usize, frame: &[u8]) {
        let Some(Seen { segment, .. }) = parse(frame) else { return };
        self.select(&segment);
        let (me, peer) = pair(&mut self.ends, end);
        if segment.flags.rst() || peer.iss.is_none() {
            return;
        }
        let window = if segment.flags.syn() {
            segment.window.into()
        } else {
            let scale = if me.scale.is_some() { peer.scale.unwrap_or(0).min(14) } else { 0 };
            u32::from(segment.window) << scale
        };
        if segment.flags.contains(Flags::ACK) && me.place(segment.ack).is_some() {
            let edge = segment.ack + window;
            me.may_send_to = Some(me.may_send_to.map_or(edge, |known| known.later(edge)));
        }
        let data = if segment.flags.syn() { segment.seq + 1 } else { segment.seq };
        let Some(place) = peer.place(data) else { return };
        let octets = segment.payload.len() + usize::from(segment.flags.fin());
        if place > 1 << 30 {
            return;
        }
        if me.delivered.len() < place + octets {
            me.delivered.resize(place + octets, false);
        }
        me.delivered[place..place + octets].fill(true);
        while me.delivered.get(me.contiguous) == Some(&true) {
            me.contiguous += 1;
        }
    }
}

fn pair(ends: &mut [End; 2], end: usize) -> (&mut End, &End) {
    let (left, right) = ends.split_at_mut(1);
    if end == 0 { (&mut left[0], &right[0]) } else { (&mut right[0], &left[0]) }
}

/// What an end says of what it has received.
fn acknowledgment(me: &mut End, peer: &End, segment: &Segment<'_>, faults: &mut Vec<&'static str>) {
    let (Some(received), true) = (me.received_to(peer), segment.flags.ack()) else { return };
    if segment.ack.after(received) {
        faults.push("acknowledges what it has not received");
    }
    if me.acked.is_some_and(|before| segment.ack.before(before)) {
        faults.push("takes an ACK back");
    }
    me.acked = Some(segment.ack);
    let scale = if peer.scale.is_some() { me.scale.unwrap_or(0).min(14) } else { 0 };
    let edge = segment.ack + (u32::from(segment.window) << scale);
    if me.allowed.is_some_and(|before| edge.before(before)) {
        faults.push("shrinks its window"); // RFC 9293 §3.8.6
    }
    me.allowed = Some(edge);
    let blocks = segment.options.sack.as_slice();
    let agreed = me.sack && peer.sack;
    if !blocks.is_empty() && !agreed {
        faults.push("SACK blocks without leave"); // RFC 2018 §2
    }
    for (index, &(start, end)) in blocks.iter().enumerate() {
        let places = (peer.place(start), peer.place(end));
        let known = matches!(places, (Some(from), Some(to))
            if from < to && me.delivered.get(from..to).is_some_and(|octets| octets.iter().all(|&o| o)));
        if !known {
            faults.push("a SACK block of what it does not have");
        }
        // RFC 2883 §4: the first may report what arrived twice
        if index > 0 && start.at_or_before(segment.ack) {
            faults.push("a SACK block below the ACK");
        }
    }
}

#[cfg(test)]
mod tests;
