//! TCP segments (RFC 9293 §3.1).

use core::fmt;
use core::ops::BitOr;

use super::Malformed;
use super::options::Options;
use super::seq::SeqNumber;

/// Octets of a header without options.
pub const HEADER_LEN: usize = 20;
/// Octets of the longest header.
pub const MAX_HEADER_LEN: usize = 60;

/// The control bits of a segment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// None at all.
    pub const NONE: Flags = Flags(0);
    /// The sender has no more data.
    pub const FIN: Flags = Flags(1);
    /// Synchronise sequence numbers.
    pub const SYN: Flags = Flags(2);
    /// Reset the connection.
    pub const RST: Flags = Flags(4);
    /// Push.
    pub const PSH: Flags = Flags(8);
    /// The acknowledgement field counts.
    pub const ACK: Flags = Flags(16);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(32);
    /// ECN echo (RFC 3168).
    pub const ECE: Flags = Flags(64);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Flags = Flags(128);

    const NAMES: [(Flags, &'static str); 8] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::ACK, "ACK"),
        (Flags::URG, "URG"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];

    /// Are all of `other` set?
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Is any of `other` set?
    #[inline]
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those of `other`.
    #[inline]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These but not those of `other`.
    #[inline]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Is FIN set?
    #[inline]
    pub const fn fin(self) -> bool {
        self.contains(Flags::FIN)
    }

    /// Is SYN set?
    #[inline]
    pub const fn syn(self) -> bool {
        self.contains(Flags::SYN)
    }

    /// Is RST set?
    #[inline]
    pub const fn rst(self) -> bool {
        self.contains(Flags::RST)
    }

    /// Is PSH set?
    #[inline]
    pub const fn psh(self) -> bool {
        self.contains(Flags::PSH)
    }

    /// Is ACK set?
    #[inline]
    pub const fn ack(self) -> bool {
        self.contains(Flags::ACK)
    }

    /// Is URG set?
    #[inline]
    pub const fn urg(self) -> bool {
        self.contains(Flags::URG)
    }

    /// Is ECE set?
    #[inline]
    pub const fn ece(self) -> bool {
        self.contains(Flags::ECE)
    }

    /// Is CWR set?
    #[inline]
    pub const fn cwr(self) -> bool {
        self.contains(Flags::CWR)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        self.with(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Flags::NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        let Some((_, first)) = names.next() else { return f.write_str("-") };
        f.write_str(first)?;
        names.try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

/// A segment in host order, with its payload borrowed from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first octet, or of the SYN.
    pub seq: SeqNumber,
    /// Acknowledgement number; counts only with [`Flags::ACK`].
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: Flags,
    /// The window field, not scaled.
    pub window: u16,
    /// Urgent pointer; counts only with [`Flags::URG`].
    pub urgent: u16,
    /// Options.
    pub options: Options,
    /// Data.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// A segment of zeros without options and payload.
    pub const EMPTY: Segment<'static> = Segment {
        src_port: 0,
        dst_port: 0,
        seq: SeqNumber::new(0),
        ack: SeqNumber::new(0),
        flags: Flags::NONE,
        window: 0,
        urgent: 0,
        options: Options::NONE,
        payload: &[],
    };

    /// Reads a segment: the whole payload of an IP packet. The checksum is not looked at
    /// (see [`tcp_ok`](super::checksum::tcp_ok)).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut segment = Segment::EMPTY;
        segment.read(bytes, Self::header_len_in(bytes)?);
        Ok(segment)
    }

    /// Octets of the header that a segment begins with, its options included.
    #[inline]
    pub fn header_len_in(bytes: &[u8]) -> Result<usize, Malformed> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortTcp)?;
        let len = usize::from(header[12] >> 4) * 4;
        if len < HEADER_LEN || len > bytes.len() {
            return Err(Malformed::TcpDataOffset);
        }
        Ok(len)
    }

    /// As [`parse`](Self::parse), of a segment whose header is known to be so long, and into an
    /// [`EMPTY`](Self::EMPTY) one. It is written where it is wanted, field by field: a copy of it all
    /// would wait for each of them.
    ///
    /// # Panics
    /// If the segment is shorter than that, or `header_len` than 20.
    #[inline]
    pub fn read(&mut self, bytes: &'a [u8], header_len: usize) {
        let (header, payload) = bytes.split_at(header_len);
        let (header, options) =
            header.split_first_chunk::<HEADER_LEN>().expect("a header of 20 octets or more");
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        self.src_port = half(0);
        self.dst_port = half(2);
        self.seq = SeqNumber::new(word(4));
        self.ack = SeqNumber::new(word(8));
        self.flags = Flags(header[13]);
        self.window = half(14);
        self.urgent = half(18);
        self.options.read(options);
        self.payload = payload;
    }

    /// What the segment takes of the sequence space (SEG.LEN): its payload, SYN and FIN.
    #[inline]
    pub const fn seq_len(&self) -> u32 {
        self.payload.len() as u32 + self.flags.syn() as u32 + self.flags.fin() as u32
    }

    /// The sequence number after all that the segment takes.
    #[inline]
    pub fn end(&self) -> SeqNumber {
        self.seq + self.seq_len()
    }

    /// Octets of the header with its options: a multiple of 4 from 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// The partial sum of the header, with 0 in the checksum field, that
    /// [`write_header`](Self::write_header) writes. It comes from the fields, since reading back
    /// what was just written waits for it to get there.
    #[inline]
    pub fn header_sum(&self) -> u32 {
        let words = |number: u32| (number >> 16) + (number & 0xffff);
        let offset = (self.header_len() as u32 / 4) << 12;
        u32::from(self.src_port)
            + u32::from(self.dst_port)
            + words(self.seq.value())
            + words(self.ack.value())
            + (offset | u32::from(self.flags.0))
            + u32::from(self.window)
            + u32::from(self.urgent)
            + self.options.sum()
    }

    /// Writes the header with its options and 0 in the checksum field, and returns its length. The
    /// payload is not written.
    ///
    /// # Panics
    /// If `out` is shorter than [`header_len`](Self::header_len).
    #[inline]
    pub fn write_header(&self, out: &mut [u8]) -> usize {
        let (fixed, rest) =
            out.split_first_chunk_mut::<HEADER_LEN>().expect("room for a TCP header");
        let len = HEADER_LEN + self.options.write(rest);
        fixed[..2].copy_from_slice(&self.src_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.seq.value().to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ack.value().to_be_bytes());
        fixed[12] = (len as u8 / 4) << 4;
        fixed[13] = self.flags.0;
        fixed[14..16].copy_from_slice(&self.window.to_be_bytes());
        fixed[16..18].copy_from_slice(&[0, 0]);
        fixed[18..].copy_from_slice(&self.urgent.to_be_bytes());
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::options::Timestamps;

    /// HTTP data as Linux sends it: PSH ACK, timestamps, three octets.
    const DATA: [u8; 35] = [
        0xc3, 0x50, 0x00, 0x50, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x80, 0x18, 0x01,
        0xf6, 0xab, 0xcd, 0x00, 0x00, 0x01, 0x01, 0x08, 0x0a, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00,
        0x00, 0x09, b'G', b'E', b'T',
    ];

    #[test]
    fn reads_and_writes_a_known_segment() {
        let segment = Segment::parse(&DATA).unwrap();
        assert_eq!((segment.src_port, segment.dst_port), (50_000, 80));
        assert_eq!(segment.seq, SeqNumber::new(0x1122_3344));
        assert_eq!(segment.ack, SeqNumber::new(0x5566_7788));
        assert_eq!(segment.flags, Flags::PSH | Flags::ACK);
        assert_eq!((segment.window, segment.urgent), (502, 0));
        assert_eq!(segment.options.timestamps, Some(Timestamps { value: 7, echo: 9 }));
        assert_eq!(segment.payload, b"GET");
        assert_eq!(segment.end(), SeqNumber::new(0x1122_3347));

        let mut out = [0xee; 60];
        assert_eq!(segment.write_header(&mut out), 32);
        assert_eq!(
            (&out[..16], &out[16..18], &out[18..32]),
            (&DATA[..16], &[0, 0][..], &DATA[18..32])
        );
    }

    #[test]
    fn syn_and_fin_take_a_number_each() {
        let mut segment = Segment::parse(&DATA).unwrap();
        for (flags, len) in [
            (Flags::ACK, 3),
            (Flags::SYN, 4),
            (Flags::FIN | Flags::ACK, 4),
            (Flags::SYN | Flags::FIN, 5),
        ] {
            segment.flags = flags;
            assert_eq!(segment.seq_len(), len, "{flags:?}");
        }
        segment.seq = SeqNumber::new(u32::MAX);
        assert_eq!(segment.end(), SeqNumber::new(4));
    }

    #[test]
    fn every_check_has_its_name() {
        assert_eq!(Segment::parse(&DATA[..19]), Err(Malformed::ShortTcp));
        assert_eq!(Segment::parse(&DATA[..31]), Err(Malformed::TcpDataOffset));
        assert!(Segment::parse(&DATA[..32]).is_ok());
        for offset in [0x00, 0x40, 0x90] {
            let mut bad = DATA;
            bad[12] = offset;
            assert_eq!(Segment::parse(&bad), Err(Malformed::TcpDataOffset), "{offset:#x}");
        }
    }

    #[test]
    fn flags_say_their_names() {
        assert_eq!(format!("{:?}", Flags::SYN | Flags::ACK), "SYN ACK");
        assert_eq!(format!("{:?}", Flags::default()), "-");
        let all = Flags(0xff);
        assert!(all.fin() && all.syn() && all.rst() && all.psh());
        assert!(all.ack() && all.urg() && all.ece() && all.cwr());
        assert_eq!(all.without(Flags::ACK).0, 0xef);
        assert!(Flags::ACK.intersects(Flags::ACK | Flags::SYN));
        assert!(!Flags::ACK.contains(Flags::ACK | Flags::SYN));
    }
}
