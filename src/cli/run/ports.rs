//! What the prompt shows of ports, as testpmd does.

use super::setup::our_mac;
use super::side::SideGauges;
use crate::cli::prompt::{Of, PortPart};
use crate::port::dpdk::EthDev;
use core::fmt::Write;
use core::sync::atomic::Ordering;
use std::collections::BTreeMap;

/// What the engines of a port had counted when its counters were cleared, by the port's id. Those of
/// the device begin at 0 then; ours do not.
pub type Cleared = BTreeMap<u16, Own>;

/// What the engines of a port have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Frames and octets, received and sent.
    totals: [u64; 4],
    handled: BTreeMap<String, u64>,
    drops: BTreeMap<String, u64>,
}

impl Own {
    fn of(side: &SideGauges) -> Self {
        Own {
            totals: [
                side.sum(|engine| engine.metrics.rx_packets.get()),
                side.sum(|engine| engine.metrics.rx_bytes.get()),
                side.sum(|engine| engine.metrics.tx_packets.get()),
                side.sum(|engine| engine.metrics.tx_bytes.get()),
            ],
            handled: side.handled(),
            drops: side.drops(),
        }
    }

    /// Without what had been counted before.
    fn since(mut self, before: Option<&Own>) -> Self {
        let Some(before) = before else { return self };
        for (now, before) in self.totals.iter_mut().zip(before.totals) {
            *now = now.saturating_sub(before);
        }
        for (now, before) in
            [(&mut self.handled, &before.handled), (&mut self.drops, &before.drops)]
        {
            for (name, count) in now {
                *count = count.saturating_sub(before.get(name).copied().unwrap_or(0));
            }
        }
        self
    }
}

/// What the device has counted, or, where it counts nothing (as `net_ring` no octets), we.
fn counted(of_device: u64, own: u64) -> u64 {
    if of_device == 0 { own } else { of_device }
}

/// Those that are not 0, each with its name.
fn named(counts: &BTreeMap<String, u64>) -> String {
    let named: Vec<String> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if named.is_empty() { "nothing".to_owned() } else { named.join("  ") }
}

/// The ports of the sides that are asked for.
///
/// # Errors
/// If there is no such port.
fn ports<'a>(
    sides: impl Iterator<Item = &'a SideGauges>,
    of: Of,
) -> Result<Vec<&'a SideGauges>, String> {
    let all: Vec<_> = sides.collect();
    let Of::Port(id) = of else { return Ok(all) };
    let one: Vec<_> = all.iter().copied().filter(|side| side.device.port_id() == id).collect();
    if one.is_empty() {
        let known: Vec<String> = all.iter().map(|side| side.device.port_id().to_string()).collect();
        return Err(format!("no port {id}: {} or all is expected", known.join(", ")));
    }
    Ok(one)
}

/// `show port ...`
pub fn show<'a>(
    sides: impl Iterator<Item = &'a SideGauges>,
    part: PortPart,
    of: Of,
    cleared: &Cleared,
) -> Result<String, String> {
    let mut out = String::new();
    for gauges in ports(sides, of)? {
        let (side, port) = (gauges.name, &gauges.device);
        let (id, name) = (port.port_id(), port.name());
        // a string takes all that is written
        let _ = match part {
            PortPart::Summary => {
                let (info, link) = (port.info(), port.link());
                let up = if link.up { "up" } else { "down" };
                let mac = our_mac(port);
                writeln!(
                    out,
                    "port {id} {name} ({side})  {mac}  driver {}  link {up}  MTU {}",
                    info.driver,
                    port.mtu()
                )
            }
            PortPart::Info => out.write_str(&info(side, port)),
            PortPart::Stats => {
                let stats = port.device_stats();
                let own = Own::of(gauges).since(cleared.get(&id));
                let [rx_packets, rx_bytes, tx_packets, tx_bytes] = own.totals;
                writeln!(
                    out,
                    "port {id} {name} ({side})\n  RX-packets {:<14} RX-missed {:<10} RX-bytes {}\n  \
                     RX-errors  {:<14} RX-nombuf {:<10}\n  TX-packets {:<14} TX-errors {:<10} TX-bytes {}\n  \
                     link-downs {}\n  handled    {}\n  dropped    {}",
                    counted(stats.rx_packets, rx_packets),
                    stats.rx_missed,
                    counted(stats.rx_bytes, rx_bytes),
                    stats.rx_errors,
                    stats.rx_no_buffer,
                    counted(stats.tx_packets, tx_packets),
                    stats.tx_errors,
                    counted(stats.tx_bytes, tx_bytes),
                    gauges.link_downs.load(Ordering::Relaxed),
                    named(&own.handled),
                    named(&own.drops),
                )
            }
            PortPart::Xstats => {
                let _ = writeln!(out, "port {id} {name} ({side})");
                port.xstats()
                    .iter()
                    .try_for_each(|(name, count)| writeln!(out, "  {name}: {count}"))
            }
        };
    }
    Ok(out)
}

/// `show config rxtx`
pub fn config_rxtx(side: &SideGauges) -> String {
    let (port, granted) = (&side.device, side.device.granted());
    let by = |port| if port { "by the port" } else { "by us" };
    let burst = side.switches.first().map_or(0, |switch| switch.burst());
    format!(
        "{}\n  port {} {}: {} queue pairs of {} descriptors each way, bursts of {burst} frames\n  \
         checksums: received {}, sent {}  MTU {}\n",
        side.name,
        port.port_id(),
        port.name(),
        side.engines.len(),
        side.descriptors,
        by(granted.rx_checksum),
        by(granted.tx_checksum),
        port.mtu(),
    )
}

/// What a port is and can do.
pub fn info(side: &str, port: &EthDev) -> String {
    let (info, link, granted) = (port.info(), port.link(), port.granted());
    let rss = info.rss.map_or_else(
        || "none".to_owned(),
        |rss| format!("table of {}, key of {} octets", rss.table_size, rss.key_size),
    );
    let most = match info.max_mtu {
        u16::MAX => "no limit".to_owned(),
        most => format!("{most} at most"),
    };
    format!(
        "port {} {} ({side})\n  driver          {}\n  address         {}\n  \
         link            {}, {} Mbit/s, {}\n  MTU             {}, {most}\n  queue pairs     \
         {} at most\n  RSS             {rss}\n  checksums       received {}, sent {}\n",
        port.port_id(),
        port.name(),
        info.driver,
        our_mac(port),
        if link.up { "up" } else { "down" },
        link.speed_mbps,
        if link.full_duplex { "full duplex" } else { "half duplex" },
        port.mtu(),
        info.max_queues,
        if granted.rx_checksum { "by the port" } else { "by us" },
        if granted.tx_checksum { "by the port" } else { "by us" },
    )
}

/// `clear port ...`
pub fn clear<'a>(
    sides: impl Iterator<Item = &'a SideGauges>,
    of: Of,
    cleared: &mut Cleared,
) -> Result<(), String> {
    for side in ports(sides, of)? {
        side.device.clear_stats();
        cleared.insert(side.device.port_id(), Own::of(side));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_before_is_left_out() {
        let counts = |n| BTreeMap::from([("tcp".to_owned(), n), ("arp".to_owned(), 0)]);
        let own =
            |n| Own { totals: [n, 60 * n, 2 * n, 0], handled: counts(n), drops: counts(2 * n) };
        assert_eq!(own(5).since(None), own(5));
        assert_eq!(own(5).since(Some(&own(3))), own(2));
        assert_eq!(named(&own(2).drops), "tcp 4");
        assert_eq!(named(&own(0).drops), "nothing");
        assert_eq!((counted(0, 7), counted(3, 7), counted(0, 0)), (7, 3, 0));
    }
}
