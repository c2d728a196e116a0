//! What the prompt shows of ports, as testpmd does.

use super::side::SideGauges;
use crate::cli::prompt::{Of, PortPart};
use crate::port::dpdk::EthDev;
use core::fmt::Write;

/// The ports of the sides that are asked for.
///
/// # Errors
/// If there is no such port.
fn ports<'a>(
    sides: impl Iterator<Item = &'a SideGauges>,
    of: Of,
) -> Result<Vec<(&'static str, &'a EthDev)>, String> {
    let all: Vec<_> = sides.map(|side| (side.name, &side.device)).collect();
    let Of::Port(id) = of else { return Ok(all) };
    let one: Vec<_> = all.iter().copied().filter(|(_, port)| port.port_id() == id).collect();
    if one.is_empty() {
        let known: Vec<String> = all.iter().map(|(_, port)| port.port_id().to_string()).collect();
        return Err(format!("no port {id}: {} or all is expected", known.join(", ")));
    }
    Ok(one)
}

/// `show port ...`
pub fn show<'a>(
    sides: impl Iterator<Item = &'a SideGauges>,
    part: PortPart,
    of: Of,
) -> Result<String, String> {
    let mut out = String::new();
    for (side, port) in ports(sides, of)? {
        let (id, name) = (port.port_id(), port.name());
        // a string takes all that is written
        let _ = match part {
            PortPart::Summary => {
                let (info, link) = (port.info(), port.link());
                let up = if link.up { "up" } else { "down" };
                let mac = crate::wire::MacAddr(port.mac());
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
                writeln!(
                    out,
                    "port {id} {name} ({side})\n  RX-packets {:<14} RX-missed {:<10} RX-bytes {}\n  \
                     RX-errors  {:<14} RX-nombuf {:<10}\n  TX-packets {:<14} TX-errors {:<10} TX-bytes {}",
                    stats.rx_packets,
                    stats.rx_missed,
                    stats.rx_bytes,
                    stats.rx_errors,
                    stats.rx_no_buffer,
                    stats.tx_packets,
                    stats.tx_errors,
                    stats.tx_bytes
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
        crate::wire::MacAddr(port.mac()),
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
pub fn clear<'a>(sides: impl Iterator<Item = &'a SideGauges>, of: Of) -> Result<(), String> {
    ports(sides, of)?.iter().for_each(|(_, port)| port.clear_stats());
    Ok(())
}
