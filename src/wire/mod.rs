//! Zero-copy views and writers of what is on the wire.
//!
//! A `parse` checks once and gives a value whose fields are read without a further check; it never
//! panics, whatever the bytes are. A `write` fills in the front of a buffer and says how many octets
//! it took; it panics only if the buffer is shorter than what the value needs, which is the caller's
//! mistake and never the peer's. Nothing here has state.
//!
//! ```
//! use lastack::wire::{ethernet::{self, Ethernet}, ipv4::Ipv4, tcp::Segment};
//!
//! fn payload_of(frame: &[u8]) -> Result<&[u8], lastack::wire::Malformed> {
//!     let ethernet = Ethernet::parse(frame)?;
//!     assert_eq!(ethernet.ethertype, ethernet::ETHERTYPE_IPV4);
//!     let packet = Ipv4::parse(ethernet.payload)?;
//!     Ok(Segment::parse(packet.payload)?.payload)
//! }
//! assert!(payload_of(&[]).is_err());
//! ```

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod mld;
pub mod options;
pub mod quote;
pub mod seq;
pub mod summary;
pub mod tcp;
pub mod udp;

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

#[cfg(test)]
mod tests;

/// Declares the reasons with their counter names and words, so that no list can miss one.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $words:literal,)+) => {
        /// Why bytes are not what they claim to be. One variant for each reason, to count by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Malformed {
            $($(#[$doc])* $variant,)+
        }

        impl Malformed {
            /// Every reason, in the order of the layers.
            pub const ALL: &'static [Malformed] = &[$(Malformed::$variant,)+];

            /// The name of the reason as counters show it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Malformed::$variant => stringify!($variant),)+
                }
            }

            const fn words(self) -> &'static str {
                match self {
                    $(Malformed::$variant => $words,)+
                }
            }
        }
    };
}

reasons! {
    /// The frame ends within its Ethernet header or VLAN tag.
    ShortFrame = "frame shorter than its Ethernet header",
    /// The ARP message ends early.
    ShortArp = "ARP message shorter than 28 octets",
    /// ARP for something else than IPv4 over Ethernet.
    ArpNotEthernetIpv4 = "ARP message is not for IPv4 over Ethernet",
    /// An ARP operation other than request and reply.
    ArpOperation = "ARP operation is neither request nor reply",
    /// The packet ends within its IPv4 header.
    ShortIpv4 = "packet shorter than its IPv4 header",
    /// The version field of an IPv4 packet is not 4.
    Ipv4Version = "IP version is not 4",
    /// The IPv4 header length is below 20 octets.
    Ipv4HeaderLength = "IPv4 header length below 20 octets",
    /// The IPv4 total length is below the header length or beyond the frame.
    Ipv4TotalLength = "IPv4 total length does not fit the header or the frame",
    /// The packet ends within its IPv6 header.
    ShortIpv6 = "packet shorter than its IPv6 header",
    /// The version field of an IPv6 packet is not 6.
    Ipv6Version = "IP version is not 6",
    /// The IPv6 payload length goes beyond the frame.
    Ipv6PayloadLength = "IPv6 payload length goes beyond the frame",
    /// An extension header is cut off, is out of its place, or there are too many of them.
    Ipv6Extension = "IPv6 extension header cut off, misplaced or one too many",
    /// An option that RFC 8200 §4.2 says to discard the packet for.
    Ipv6Option = "IPv6 option that is unknown and must not be skipped",
    /// A routing header with segments left (RFC 5095, RFC 8200 §4.4).
    Ipv6Routing = "IPv6 routing header with segments left",
    /// The segment ends within the fixed TCP header.
    ShortTcp = "segment shorter than a TCP header",
    /// The TCP data offset is below 5 or beyond the segment.
    TcpDataOffset = "TCP data offset below 5 or beyond the segment",
    /// The segment ends farther into its frame than 65,535 octets.
    LongFrame = "TCP segment beyond the first 65,535 octets of its frame",
    /// The datagram ends within its UDP header, or its length field does not fit.
    UdpLength = "UDP datagram shorter than its header or its length field",
    /// The ICMP message ends early.
    ShortIcmpv4 = "ICMP message too short for its type",
    /// The ICMPv6 message ends early.
    ShortIcmpv6 = "ICMPv6 message too short for its type",
    /// A neighbour message with a code, target or option that RFC 4861 §7.1 rules out.
    NeighbourMessage = "neighbour discovery message breaks RFC 4861",
    /// The packet that an ICMP error quotes ends before its ports and sequence number.
    ShortQuote = "quoted packet of an ICMP error too short to judge",
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl core::error::Error for Malformed {}

/// The protocol number of ICMP for IPv4 (RFC 792).
pub const PROTOCOL_ICMPV4: u8 = 1;
/// The protocol number of TCP (RFC 9293).
pub const PROTOCOL_TCP: u8 = 6;
/// The protocol number of UDP (RFC 768).
pub const PROTOCOL_UDP: u8 = 17;
/// The protocol number of ICMP for IPv6 (RFC 4443).
pub const PROTOCOL_ICMPV6: u8 = 58;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Every station on the link.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// No address: what an ARP request says of its target.
    pub const ZERO: MacAddr = MacAddr([0; 6]);

    /// Is this a group address (broadcast included)?
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Can this be the address of one station? A group cannot, and zero is no address: neither is ever
    /// the source of a frame (IEEE 802.3 §3.2.3).
    #[inline]
    pub const fn is_individual(self) -> bool {
        let [a, b, c, d, e, g] = self.0;
        let octets = u64::from_le_bytes([a, b, c, d, e, g, 0, 0]);
        octets & 1 == 0 && octets != 0
    }

    /// The group address that an IPv6 multicast packet is sent to (RFC 2464 §7).
    pub const fn for_ipv6_multicast(group: Ipv6Addr) -> MacAddr {
        let [.., a, b, c, d] = group.octets();
        MacAddr([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMacAddr;

impl fmt::Display for NotAMacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an Ethernet address: six pairs of hex digits, as in 02:00:00:00:00:01")
    }
}

impl core::error::Error for NotAMacAddr {}

impl FromStr for MacAddr {
    type Err = NotAMacAddr;

    fn from_str(text: &str) -> Result<Self, NotAMacAddr> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(NotAMacAddr)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(NotAMacAddr);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAMacAddr)?;
        }
        if parts.next().is_some() { Err(NotAMacAddr) } else { Ok(MacAddr(octets)) }
    }
}
