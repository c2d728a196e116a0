//! Packets to us that nothing here takes: UDP, and protocols that we do not know. Each is counted, and
//! answered with an ICMP error while the limit of all errors lets it.

use super::stack::Stack;
use crate::net::unreachable::{Missing, for_ipv4, for_ipv6};
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::udp::Udp;
use crate::wire::{Malformed, PROTOCOL_UDP};
use core::net::IpAddr;

/// "No next header": an IPv6 packet that ends here, as its sender meant it to (RFC 8200 §4.7).
const NO_NEXT_HEADER: u8 = 59;

impl Stack {
    /// An IPv4 packet for us that is neither TCP nor ICMP, and no fragment. Always `None`: it takes no
    /// further part in the burst.
    #[cold]
    pub(super) fn unknown_ipv4<T>(
        &mut self,
        packet: &Ipv4<'_>,
        ethernet: &Ethernet<'_>,
    ) -> Option<T> {
        let Ipv4 { src, dst, protocol, payload, .. } = *packet;
        let missing = self.missing_for(src.into(), dst.into(), protocol, payload)?;
        if self.take_error_token() {
            let (to, whole) = (ethernet.src, ethernet.payload);
            self.send_answer(&for_ipv4(missing, to, packet, whole, self.mtu));
        }
        None
    }

    /// The same for IPv6.
    #[cold]
    pub(super) fn unknown_ipv6<T>(
        &mut self,
        packet: &Ipv6<'_>,
        ethernet: &Ethernet<'_>,
    ) -> Option<T> {
        let Ipv6 { src, dst, protocol, payload, .. } = *packet;
        let missing = self.missing_for(src.into(), dst.into(), protocol, payload)?;
        if protocol != NO_NEXT_HEADER && self.take_error_token() {
            let (to, whole) = (ethernet.src, ethernet.payload);
            self.send_answer(&for_ipv6(missing, to, packet, whole));
        }
        None
    }

    /// What a packet asks for that is not here, counted. `None`, and counted by its reason, if it may
    /// not be answered.
    fn missing_for(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        protocol: u8,
        payload: &[u8],
    ) -> Option<Missing> {
        let drops = &self.metrics.drops;
        if !self.routes.is_possible_source(src) {
            drops.bad_source.bump(); // RFC 1122 §3.2.2: no error to what is not one host
            return None;
        }
        if protocol != PROTOCOL_UDP {
            drops.protocol.bump();
            return Some(Missing::Protocol);
        }
        let parsed: Result<_, Malformed> = Udp::parse(payload);
        match parsed {
            Err(malformed) => self.drop_malformed(malformed),
            Ok(datagram) if !datagram.checksum_ok(src, dst) => {
                drops.checksum.bump();
                None
            }
            Ok(_) => {
                self.metrics.handled.udp.bump();
                Some(Missing::Port)
            }
        }
    }

    /// May another ICMP error be sent now? If not, that is counted.
    fn take_error_token(&mut self) -> bool {
        let granted = self.error_limit.take(self.now);
        if !granted {
            self.metrics.drops.icmp_limited.bump();
        }
        granted
    }
}
