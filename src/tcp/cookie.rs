//! SYN cookies (RFC 4987 §3.6): a handshake that is kept nowhere but in our initial sequence number
//! and, where the peer has timestamps, in the low bits of ours.
//!
//! ```text
//!   initial sequence number             timestamp
//!   ┌───────────┬──────────────┐        ┌────────────────────┬─────┬──────┬───────┐
//!   │ class (3) │ MAC (29)     │        │ our clock, ms (26) │ ECN │ SACK │ shift │
//!   └───────────┴──────────────┘        └────────────────────┴─────┴──────┴───────┘
//!    masked       SipHash-2-4 of 4-tuple,     the shift of the peer's windows: 4 bits, 15 = none
//!                 their ISN, slot, class
//! ```
//!
//! Time is cut into slots of 64 s, each with a key of its own that is derived from the secret. A cookie
//! is taken in its slot and in the next one: it lives for 64 to 128 s. Whoever guesses one needs 2^28
//! ACKs on average. What the timestamp carries is not authenticated: a peer that changes it deceives
//! nobody but itself.

use super::half_open::Handshake;
use super::tuple::Tuple;
use crate::siphash::Sip;
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;
use core::hash::Hasher;
use core::time::Duration;
use siphasher::sip::SipHasher24;

/// Length of a slot in seconds.
pub const SLOT_S: u64 = 64;
/// Bits of the sequence number that are the MAC.
const MAC_BITS: u32 = 29;
const MAC_MASK: u32 = (1 << MAC_BITS) - 1;
/// Bits of the timestamp that carry options.
const OPTION_BITS: u32 = 6;
const OPTION_MASK: u32 = (1 << OPTION_BITS) - 1;
const NO_SCALE: u32 = 0xf;
const SACK: u32 = 1 << 4;
const ECN: u32 = 1 << 5;

/// The MSS that a class stands for, over IPv4: common ones, rounded down so that no peer gets more
/// than it asked for.
pub const CLASSES_V4: [u16; 8] = [64, 536, 1_220, 1_360, 1_400, 1_440, 1_460, 8_960];
/// The same over IPv6.
pub const CLASSES_V6: [u16; 8] = [64, 1_220, 1_280, 1_360, 1_380, 1_420, 1_440, 8_940];

/// The secret behind cookies. Hosts that share it, and have clocks that agree to some seconds, take
/// each other's cookies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret {
    /// Random octets.
    pub key: [u8; 16],
    /// The time of day at the zero of the engine's clock, since 1970: the same for all that share
    /// the secret, and of no importance if nobody does.
    pub epoch: Duration,
}

impl core::fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CookieSecret(..)")
    }
}

/// The keys of this slot and of the one before.
#[derive(Clone, Copy)]
pub struct Cookies {
    secret: CookieSecret,
    /// When the next slot begins.
    turns_at: Instant,
    keys: [Key; 2],
}

/// The key of a slot.
#[derive(Clone, Copy, Default)]
struct Key {
    mac: (u64, u64),
    /// Hides the class, so that sequence numbers look alike (RFC 6528 §3). It has to be no secret:
    /// whoever finds it out learns what MSS a peer has.
    mask: u64,
}

impl Cookies {
    /// The cookies of a secret, at `now`.
    pub fn new(secret: CookieSecret, now: Instant) -> Self {
        let mut cookies = Cookies { secret, turns_at: Instant::ZERO, keys: [Key::default(); 2] };
        cookies.new_keys(now);
        cookies
    }

    /// Once a poll or so: new keys if a new slot has begun.
    #[inline]
    pub fn turn(&mut self, now: Instant) {
        if now >= self.turns_at {
            self.new_keys(now);
        }
    }

    #[cold]
    fn new_keys(&mut self, now: Instant) {
        const SLOT_NS: u64 = SLOT_S * 1_000_000_000;
        let today = self.secret.epoch.as_nanos() as u64 + now.nanos();
        let slot = today / SLOT_NS;
        self.keys = [slot, slot.wrapping_sub(1)].map(|slot| self.key_of(slot));
        self.turns_at = now.plus_nanos(SLOT_NS - today % SLOT_NS);
    }

    fn key_of(&self, slot: u64) -> Key {
        let part = |which: u8| {
            let mut hasher = SipHasher24::new_with_key(&self.secret.key);
            hasher.write_u64(slot);
            hasher.write_u8(which);
            hasher.finish()
        };
        Key { mac: (part(0), part(1)), mask: part(2) | 1 }
    }

    /// The initial sequence number that answers a SYN.
    #[inline]
    pub fn bake(&self, tuple: &Tuple, handshake: &Handshake) -> SeqNumber {
        let class = class_of(handshake.mss, tuple.is_v4());
        SeqNumber::new(Message::new(tuple, handshake.irs).cookie(&self.keys[0], class))
    }

    /// What a SYN and its cookie agreed on, if the ACK brings one of ours back that is still good.
    /// The peer's last timestamp is that of the ACK.
    #[inline]
    pub fn take(&self, tuple: &Tuple, ack: &Segment<'_>) -> Option<Handshake> {
        let (irs, iss) = (ack.seq - 1, ack.ack - 1);
        let message = Message::new(tuple, irs);
        let class = self.keys.iter().find_map(|key| message.class_in(iss.value(), key));
        let classes = if tuple.is_v4() { &CLASSES_V4 } else { &CLASSES_V6 };
        let bits = ack.options.timestamps.map(|ts| ts.echo & OPTION_MASK);
        let shift = bits.map_or(NO_SCALE, |bits| bits & NO_SCALE);
        Some(Handshake {
            irs,
            iss,
            window: ack.window,
            mss: classes[class? as usize],
            window_scale: (shift != NO_SCALE).then_some(shift as u8),
            sack: bits.is_some_and(|bits| bits & SACK != 0),
            ts_recent: ack.options.timestamps.map(|ts| ts.value),
            ecn: bits.is_some_and(|bits| bits & ECN != 0),
        })
    }
}

/// Leaves of what a SYN asks for what fits into a cookie: without timestamps the rest is not agreed on.
#[inline]
pub fn keep_what_fits(handshake: &mut Handshake) {
    if handshake.ts_recent.is_none() {
        handshake.window_scale = None;
        handshake.sack = false;
        handshake.ecn = false;
    }
}

/// Our timestamp for a SYN-ACK with a cookie: the clock, put back by less than 128 ms, with the options
/// in its low bits.
#[inline]
pub fn timestamp(clock: u32, handshake: &Handshake) -> u32 {
    let shift = handshake.window_scale.map_or(NO_SCALE, u32::from);
    let sack = if handshake.sack { SACK } else { 0 };
    let ecn = if handshake.ecn { ECN } else { 0 };
    let stamped = clock & !OPTION_MASK | shift | sack | ecn;
    // later timestamps of ours must not be earlier than this one (RFC 7323 §5.4)
    if (stamped.wrapping_sub(clock) as i32) > 0 {
        stamped.wrapping_sub(1 << OPTION_BITS)
    } else {
        stamped
    }
}

/// The largest class whose MSS is no larger.
#[inline]
fn class_of(mss: u16, ipv4: bool) -> u32 {
    let classes = if ipv4 { &CLASSES_V4 } else { &CLASSES_V6 };
    let no_larger = classes.iter().filter(|&&of_class| of_class <= mss).count() as u32;
    no_larger.saturating_sub(1)
}

/// What a cookie is made of, but for the key and the class.
struct Message {
    /// The ports and their ISN.
    head: u64,
    /// The addresses: one word over IPv4, four over IPv6.
    addresses: [u64; 4],
    ipv4: bool,
}

impl Message {
    #[inline]
    fn new(tuple: &Tuple, irs: SeqNumber) -> Self {
        let (local, remote) = (tuple.local, tuple.remote);
        let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
        let ipv4 = tuple.is_v4();
        let addresses = if ipv4 {
            [u64::from(local.v4_bits()) << 32 | u64::from(remote.v4_bits()), 0, 0, 0]
        } else {
            let (local, remote) = (local.bits(), remote.bits());
            [(local >> 64) as u64, local as u64, (remote >> 64) as u64, remote as u64]
        };
        Message { head: ports << 32 | u64::from(irs.value()), addresses, ipv4 }
    }

    /// What is laid over the class: the highest bits of a product.
    #[inline]
    fn mask(&self, key: &Key) -> u32 {
        let [a, b, c, d] = self.addresses;
        let folded = self.head ^ (a ^ b.rotate_left(16) ^ c ^ d.rotate_left(32)).rotate_left(24);
        (folded.wrapping_mul(key.mask) >> 61) as u32
    }

    /// The cookie for a class: SipHash-2-4 of the ports, the ISN, the addresses and the class.
    #[inline]
    fn cookie(&self, key: &Key, class: u32) -> u32 {
        let mut sip = Sip::<2, 4>::new(key.mac.0, key.mac.1);
        sip.word(self.head);
        let words = if self.ipv4 { 1 } else { 4 };
        self.addresses[..words].iter().for_each(|&word| sip.word(word));
        let octets = 8 + 8 * words as u64 + 1;
        sip.word(u64::from(class) | octets << 56);
        (class ^ self.mask(key)) << MAC_BITS | sip.finish() as u32 & MAC_MASK
    }

    /// The class that a cookie says, if it is one of this message and this key.
    #[inline]
    fn class_in(&self, cookie: u32, key: &Key) -> Option<u32> {
        let class = cookie >> MAC_BITS ^ self.mask(key);
        (self.cookie(key, class) == cookie).then_some(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::half_open::Handshake;
    use crate::wire::options::Options;
    use crate::wire::tcp::Flags;
    use core::net::SocketAddr;
    use proptest::prelude::*;

    fn tuple(v6: bool, n: u32, port: u16) -> Tuple {
        let address = |last: u32| -> core::net::IpAddr {
            if v6 {
                core::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(last)).into()
            } else {
                core::net::Ipv4Addr::from(0xc612_0000 + last).into()
            }
        };
        Tuple::new(SocketAddr::new(address(1), 80), SocketAddr::new(address(n), port))
    }

    fn handshake(irs: u32, mss: u16) -> Handshake {
        Handshake {
            irs: SeqNumber::new(irs),
            iss: SeqNumber::default(),
            window: 1_000,
            mss,
            window_scale: None,
            sack: false,
            ts_recent: None,
            ecn: false,
        }
    }

    fn ack(irs: u32, cookie: SeqNumber) -> Segment<'static> {
        Segment {
            src_port: 1,
            dst_port: 80,
            seq: SeqNumber::new(irs) + 1,
            ack: cookie + 1,
            flags: Flags::ACK,
            window: 1_000,
            urgent: 0,
            options: Options::NONE,
            payload: &[],
        }
    }

    fn cookies(key: u8, second: u64) -> Cookies {
        let secret = CookieSecret { key: [key; 16], epoch: Duration::ZERO };
        Cookies::new(secret, Instant::from_millis(second * 1_000))
    }

    proptest! {
        /// A cookie is good for its tuple, its ISN and its time, and for nothing else.
        #[test]
        fn no_cookie_is_good_elsewhere(
            v6: bool, n in 2u32..1 << 16, port in 1u16.., irs: u32, mss in 64u16..10_000,
            second in 0u64..1 << 20, age in 0u64..1_000, wrong in 0..5, by in 1u32..1 << 16,
        ) {
            let (tuple_of, made) = (tuple(v6, n, port), cookies(7, second));
            let cookie = made.bake(&tuple_of, &handshake(irs, mss));
            let mut later = made;
            later.turn(Instant::from_millis((second + age) * 1_000));
            let taken = later.take(&tuple_of, &ack(irs, cookie));
            let slots = (second + age) / SLOT_S - second / SLOT_S;
            prop_assert_eq!(taken.is_some(), slots <= 1);
            if let Some(found) = taken {
                let classes = if v6 { CLASSES_V6 } else { CLASSES_V4 };
                let class = classes.into_iter().rfind(|&class| class <= mss);
                prop_assert_eq!((Some(found.mss), found.irs.value()), (class, irs));
            }
            let elsewhere = match wrong {
                0 => made.take(&tuple(v6, n ^ by, port), &ack(irs, cookie)),
                1 => made.take(&tuple(v6, n, port ^ by as u16), &ack(irs, cookie)),
                2 => made.take(&tuple_of, &ack(irs ^ by, cookie)),
                3 => made.take(&tuple_of, &ack(irs, cookie + by)),
                _ => cookies(8, second).take(&tuple_of, &ack(irs, cookie)),
            };
            // one in 2^28 is good by chance
            prop_assert_eq!(elsewhere, None);
        }
    }

    /// Each bit of a sequence number is one as often as not, and no two bits go together, whatever
    /// the class: 2^16 cookies, within six standard deviations.
    #[test]
    fn the_bits_are_balanced() {
        const COOKIES: u32 = 1 << 16;
        let off = 6.0 * f64::from(COOKIES).sqrt() / 2.0;
        let made = cookies(7, 1_000);
        for mss in [536, 1_460] {
            let mut ones = [0_u32; 32];
            let mut pairs = [[0_u32; 32]; 32];
            for n in 0..COOKIES {
                let told = made.bake(&tuple(false, 2 + n % 251, n as u16), &handshake(n * 7, mss));
                for bit in 0..32 {
                    let one = told.value() >> bit & 1;
                    ones[bit] += one;
                    for (other, count) in pairs[bit].iter_mut().enumerate().take(bit) {
                        *count += one ^ told.value() >> other & 1;
                    }
                }
            }
            let balanced = |count: u32| (f64::from(count) - f64::from(COOKIES) / 2.0).abs() < off;
            for bit in 0..32 {
                assert!(balanced(ones[bit]), "bit {bit}: {}", ones[bit]);
                assert!((0..bit).all(|other| balanced(pairs[bit][other])), "bit {bit} and another");
            }
        }
    }

    #[test]
    fn the_timestamp_carries_options_and_is_never_ahead() {
        for clock in [0, 1, 62, 63, 64, 1_000_000, u32::MAX - 10, u32::MAX] {
            for (window_scale, sack, ecn) in
                [(None, false, false), (Some(0), true, false), (Some(14), true, true)]
            {
                let with =
                    Handshake { window_scale, sack, ecn, ts_recent: Some(5), ..handshake(1, 536) };
                let stamp = timestamp(clock, &with);
                let behind = clock.wrapping_sub(stamp);
                assert!(behind < 128, "{clock} {stamp}");
                let made = cookies(7, 1);
                let tuple = tuple(false, 2, 3);
                let cookie = made.bake(&tuple, &with);
                let mut back = ack(1, cookie);
                back.options.timestamps =
                    Some(crate::wire::options::Timestamps { value: 9, echo: stamp });
                let found = made.take(&tuple, &back).unwrap();
                assert_eq!((found.window_scale, found.sack, found.ecn), (window_scale, sack, ecn));
                assert_eq!(found.ts_recent, Some(9));
            }
        }
    }
}
