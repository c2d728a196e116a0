//! TCP options: MSS, window scale, SACK-permitted, SACK and timestamps.
//!
//! Reading is as lenient as other stacks are (RFC 9293 §3.1, MUST-6 and MUST-7): an unknown option
//! is skipped by its length, one with a wrong length is not taken, and a length that makes no sense
//! ends the reading. Of a repeated option the last counts.

use core::fmt;

use super::seq::SeqNumber;

/// Octets that all options of a segment have room in.
pub const MAX_LEN: usize = 40;
/// The largest window scale (RFC 7323 §2.3).
pub const MAX_WINDOW_SCALE: u8 = 14;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// `NOP NOP TIMESTAMPS 10`: how nearly every segment after the handshake begins (RFC 7323 app. A).
const ALIGNED_TIMESTAMPS: u32 = u32::from_be_bytes([NOP, NOP, TIMESTAMPS, 10]);

/// The timestamps option (RFC 7323 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the clock value of the other side that this echoes. Means something with ACK only.
    pub echo: u32,
}

/// The blocks of a SACK option (RFC 2018 §3), at most four, in the order of the option.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SackBlocks {
    // Blocks from `len` on are always zero, so that equality can be derived.
    blocks: [(SeqNumber, SeqNumber); Self::MAX],
    len: u8,
}

impl SackBlocks {
    /// The most blocks that fit into an option.
    pub const MAX: usize = 4;
    /// No block.
    pub const EMPTY: SackBlocks =
        SackBlocks { blocks: [(SeqNumber::new(0), SeqNumber::new(0)); Self::MAX], len: 0 };

    /// Appends the block of octets from `start` up to, but without, `end`. False if there are four
    /// already.
    pub fn push(&mut self, start: SeqNumber, end: SeqNumber) -> bool {
        let Some(block) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *block = (start, end);
        self.len += 1;
        true
    }

    /// The blocks, first to last.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SeqNumber, SeqNumber)> + '_ {
        self.as_slice().iter().copied()
    }

    /// The blocks, first to last.
    #[inline]
    pub fn as_slice(&self) -> &[(SeqNumber, SeqNumber)] {
        &self.blocks[..self.len().min(Self::MAX)]
    }

    /// How many blocks there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Is there none?
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The options of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size, as sent: 0 is for the receiver to judge.
    pub mss: Option<u16>,
    /// Window scale. Reading gives at most [`MAX_WINDOW_SCALE`], as RFC 7323 §2.3 demands.
    pub window_scale: Option<u8>,
    /// May SACK be used towards the sender (RFC 2018 §2)?
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks. Of those that do not fit beside the other options the last are not written.
    pub sack: SackBlocks,
}

const _: () = assert!(size_of::<Options>() <= 56);

impl Options {
    /// No options.
    pub const NONE: Options = Options {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        sack: SackBlocks::EMPTY,
    };

    /// Reads the option octets of a header. Whatever they are, it makes the best of them.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut options = Options::NONE;
        options.read(bytes);
        options
    }

    /// As [`parse`](Self::parse), into options of which there is none yet.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let word = |octets: [u8; 4]| u32::from_be_bytes(octets);
        if let Ok(&[k0, k1, k2, k3, v0, v1, v2, v3, e0, e1, e2, e3]) = <&[u8; 12]>::try_from(bytes)
            && word([k0, k1, k2, k3]) == ALIGNED_TIMESTAMPS
        {
            let (value, echo) = (word([v0, v1, v2, v3]), word([e0, e1, e2, e3]));
            self.timestamps = Some(Timestamps { value, echo });
            return;
        }
        // the SYN of most clients: MSS, SACK permitted, timestamps, NOP, window scale
        if let Ok(
            &[
                MSS,
                4,
                m0,
                m1,
                SACK_PERMITTED,
                2,
                TIMESTAMPS,
                10,
                v0,
                v1,
                v2,
                v3,
                e0,
                e1,
                e2,
                e3,
                NOP,
                WINDOW_SCALE,
                3,
                shift,
            ],
        ) = <&[u8; 20]>::try_from(bytes)
        {
            let (value, echo) = (word([v0, v1, v2, v3]), word([e0, e1, e2, e3]));
            self.mss = Some(u16::from_be_bytes([m0, m1]));
            self.window_scale = Some(shift.min(MAX_WINDOW_SCALE));
            self.sack_permitted = true;
            self.timestamps = Some(Timestamps { value, echo });
            return;
        }
        self.read_any(bytes);
    }

    fn read_any(&mut self, mut bytes: &[u8]) {
        while let [kind, rest @ ..] = bytes {
            match *kind {
                END => break,
                NOP => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(&len) = rest.first() else { break };
            let Some((option, next)) = bytes.split_at_checked(usize::from(len)) else { break };
            let Some((_, data)) = option.split_first_chunk::<2>() else { break };
            self.take(*kind, data);
            bytes = next;
        }
    }

    /// Takes one option in, unless its length is not that of its kind.
    fn take(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
            (SACK_PERMITTED, &[]) => self.sack_permitted = true,
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo: u32::from_be_bytes([e, f, g, h]),
                });
            }
            (SACK, data) => {
                let (blocks, []) = data.as_chunks::<8>() else { return };
                self.sack = SackBlocks::EMPTY;
                for &[a, b, c, d, e, f, g, h] in blocks {
                    self.sack.push(
                        SeqNumber::new(u32::from_be_bytes([a, b, c, d])),
                        SeqNumber::new(u32::from_be_bytes([e, f, g, h])),
                    );
                }
            }
            _ => {}
        }
    }

    /// Octets of all but the SACK option, with padding.
    #[inline]
    const fn len_without_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        // Timestamps take 10 octets: SACK-permitted uses the 2 that padding would.
        let timestamps = if self.timestamps.is_some() { 12 } else { 0 };
        let sack_permitted = if self.sack_permitted && timestamps == 0 { 4 } else { 0 };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        mss + timestamps + sack_permitted + window_scale
    }

    /// How many SACK blocks have room beside the other options.
    #[inline]
    pub const fn sack_room(&self) -> usize {
        (MAX_LEN - 4 - self.len_without_sack()) / 8
    }

    /// Octets that the options take when written, padding included: a multiple of 4, at most
    /// [`MAX_LEN`].
    #[inline]
    pub fn len(&self) -> usize {
        let others = self.len_without_sack();
        if self.sack.is_empty() {
            return others;
        }
        others + 4 + 8 * self.sack.len().min(self.sack_room())
    }

    /// Is there no option at all?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The partial sum of what [`write`](Self::write) writes (see [`checksum`](super::checksum)).
    #[inline]
    pub fn sum(&self) -> u32 {
        let words = |number: u32| (number >> 16) + (number & 0xffff);
        let pair = |high: u8, low: u8| u32::from(high) << 8 | u32::from(low);
        let mut sum = 0;
        if let Some(mss) = self.mss {
            sum += pair(MSS, 4) + u32::from(mss);
        }
        let permitted = if self.sack_permitted { pair(SACK_PERMITTED, 2) } else { pair(NOP, NOP) };
        if let Some(Timestamps { value, echo }) = self.timestamps {
            sum += permitted + pair(TIMESTAMPS, 10) + words(value) + words(echo);
        } else if self.sack_permitted {
            sum += pair(NOP, NOP) + permitted;
        }
        if let Some(shift) = self.window_scale {
            sum += pair(NOP, WINDOW_SCALE) + pair(3, shift);
        }
        if !self.sack.is_empty() {
            let blocks = &self.sack.as_slice()[..self.sack.len().min(self.sack_room())];
            sum += pair(NOP, NOP) + pair(SACK, 2 + 8 * blocks.len() as u8);
            for (start, end) in blocks {
                sum += words(start.value()) + words(end.value());
            }
        }
        sum
    }

    /// Writes the options and returns their length, [`len`](Self::len).
    ///
    /// # Panics
    /// If `out` is shorter than that.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> usize {
        match *self {
            Options {
                mss: None,
                window_scale: None,
                sack_permitted: false,
                timestamps,
                sack: SackBlocks { len: 0, .. },
            } => match timestamps {
                None => 0,
                Some(timestamps) => {
                    write_timestamps(&mut out[..12], ALIGNED_TIMESTAMPS, timestamps);
                    12
                }
            },
            // the SYN and the SYN-ACK of most
            Options {
                mss: Some(mss),
                window_scale: Some(shift),
                sack_permitted: true,
                timestamps: Some(timestamps),
                sack: SackBlocks { len: 0, .. },
            } => {
                let out = &mut out[..20];
                let [a, b] = mss.to_be_bytes();
                out[..4].copy_from_slice(&[MSS, 4, a, b]);
                let head = u32::from_be_bytes([SACK_PERMITTED, 2, TIMESTAMPS, 10]);
                write_timestamps(&mut out[4..16], head, timestamps);
                out[16..].copy_from_slice(&[NOP, WINDOW_SCALE, 3, shift]);
                20
            }
            _ => self.write_any(out),
        }
    }

    fn write_any(&self, out: &mut [u8]) -> usize {
        let Options { mss, window_scale, sack_permitted, timestamps, sack } = self;
        let len = self.len();
        let mut rest = &mut out[..len];
        if let Some(mss) = mss {
            let [a, b] = mss.to_be_bytes();
            rest = put(rest, [MSS, 4, a, b]);
        }
        match (timestamps, sack_permitted) {
            (Some(timestamps), permitted) => {
                let head = if *permitted {
                    u32::from_be_bytes([SACK_PERMITTED, 2, TIMESTAMPS, 10])
                } else {
                    ALIGNED_TIMESTAMPS
                };
                let (here, next) = rest.split_at_mut(12);
                write_timestamps(here, head, *timestamps);
                rest = next;
            }
            (None, true) => rest = put(rest, [NOP, NOP, SACK_PERMITTED, 2]),
            (None, false) => {}
        }
        if let Some(shift) = window_scale {
            rest = put(rest, [NOP, WINDOW_SCALE, 3, *shift]);
        }
        if !sack.is_empty() {
            let room = self.sack_room();
            let blocks = &sack.as_slice()[..sack.len().min(room)];
            rest = put(rest, [NOP, NOP, SACK, 2 + 8 * blocks.len() as u8]);
            for (start, end) in blocks {
                rest = put(rest, start.value().to_be_bytes());
                rest = put(rest, end.value().to_be_bytes());
            }
        }
        debug_assert!(rest.is_empty(), "len() is what is written");
        len
    }
}

fn put(out: &mut [u8], octets: [u8; 4]) -> &mut [u8] {
    let (here, rest) = out.split_at_mut(4);
    here.copy_from_slice(&octets);
    rest
}

#[inline]
fn write_timestamps(out: &mut [u8], head: u32, timestamps: Timestamps) {
    let out = &mut out[..12];
    out[..4].copy_from_slice(&head.to_be_bytes());
    out[4..8].copy_from_slice(&timestamps.value.to_be_bytes());
    out[8..].copy_from_slice(&timestamps.echo.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TS: Timestamps = Timestamps { value: 0x0102_0304, echo: 0x0506_0708 };

    fn written(options: &Options) -> Vec<u8> {
        let mut out = [0xee; MAX_LEN];
        let len = options.write(&mut out);
        assert_eq!(len, options.len());
        assert_eq!(len % 4, 0);
        out[..len].to_vec()
    }

    fn read_any(bytes: &[u8]) -> Options {
        let mut options = Options::NONE;
        options.read_any(bytes);
        options
    }

    fn blocks(count: u32) -> SackBlocks {
        let mut sack = SackBlocks::EMPTY;
        for i in 0..count {
            assert!(sack.push(SeqNumber::new(100 * i), SeqNumber::new(100 * i + 50)));
        }
        sack
    }

    /// The two orders that are read at once are read as the others are.
    #[test]
    fn what_is_common_is_read_as_what_is_not() {
        let mut syn = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
        for shift in [0, 7, 14, 15, 255] {
            syn[19] = shift;
            assert_eq!(Options::parse(&syn), read_any(&syn));
            assert!(Options::parse(&syn).timestamps.is_some());
        }
        for at in 0..syn.len() {
            let mut odd = syn;
            odd[at] ^= 1;
            assert_eq!(Options::parse(&odd), read_any(&odd), "{at}");
        }
        let stamps = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Options::parse(&stamps), read_any(&stamps));
    }

    #[test]
    fn the_layouts_that_every_stack_sends() {
        let syn = Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(TS),
            ..Options::NONE
        };
        let bytes = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
        assert_eq!(written(&syn), bytes);
        assert_eq!(Options::parse(&bytes), syn);

        let data = Options { timestamps: Some(TS), ..Options::NONE };
        let bytes = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(written(&data), bytes);
        assert_eq!(Options::parse(&bytes), data);
        assert_eq!(read_any(&bytes), data, "the fast way agrees with the long one");

        let plain = Options { sack_permitted: true, ..Options::NONE };
        assert_eq!(written(&plain), [1, 1, 4, 2]);
        assert!(written(&Options::NONE).is_empty() && Options::NONE.is_empty());
    }

    #[test]
    fn sack_blocks_give_way_to_other_options() {
        let mut options = Options { sack: blocks(4), ..Options::NONE };
        assert_eq!((options.sack_room(), options.len()), (4, 36));
        assert_eq!(Options::parse(&written(&options)), options);
        options.timestamps = Some(TS);
        assert_eq!((options.sack_room(), options.len()), (3, 40));
        let read = Options::parse(&written(&options));
        assert_eq!(read.sack, blocks(3));
        options.mss = Some(1);
        options.window_scale = Some(1);
        assert_eq!((options.sack_room(), options.len()), (2, 40));
        assert_eq!(Options::parse(&written(&options)).sack, blocks(2));
        assert!(!blocks(4).push(SeqNumber::new(1), SeqNumber::new(2)));
    }

    #[test]
    fn odd_options_are_skipped_or_end_the_reading() {
        let mss = Options { mss: Some(536), ..Options::NONE };
        let table: [(&[u8], Options, &str); 12] = [
            (&[254, 4, 9, 9, 2, 4, 2, 24], mss, "an unknown one is skipped"),
            (&[1, 1, 1, 2, 4, 2, 24], mss, "padding before"),
            (&[2, 4, 2, 24, 0, 3, 3, 7], mss, "nothing after the end"),
            (&[2, 4, 2, 24, 3, 0, 3, 7], mss, "length 0 ends"),
            (&[2, 4, 2, 24, 3, 1, 3, 7], mss, "length 1 ends"),
            (&[2, 4, 2, 24, 8, 10, 0, 0], mss, "cut off"),
            (&[2, 4, 2, 24, 8], mss, "no length"),
            (&[2, 3, 9, 2, 4, 2, 24], mss, "MSS of 3 octets is not taken"),
            (&[2, 4, 9, 9, 2, 4, 2, 24], mss, "the last counts"),
            (&[5, 9, 0, 0, 0, 0, 0, 0, 0, 2, 4, 2, 24], mss, "half a SACK block"),
            (&[3, 3, 15], Options { window_scale: Some(14), ..Options::NONE }, "RFC 7323 §2.3"),
            (&[3, 3, 0], Options { window_scale: Some(0), ..Options::NONE }, "scale 0 is a scale"),
        ];
        for (bytes, expected, why) in table {
            assert_eq!(Options::parse(bytes), expected, "{why}");
        }
    }
}
