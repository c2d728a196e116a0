//! What kinds of ports take of the kernel: privileges and its devices.

use super::{Finding, Machine, good, missing};
use crate::cli::profile::Need;
use std::fs::File;

/// A capability of Linux: its number and its name.
type Capability = (u32, &'static str);

const NET_ADMIN: Capability = (12, "CAP_NET_ADMIN");
const NET_RAW: Capability = (13, "CAP_NET_RAW");
/// CAP_BPF is a part of CAP_SYS_ADMIN.
const SYS_ADMIN: Capability = (21, "CAP_SYS_ADMIN");
const BPF: Capability = (39, "CAP_BPF");

impl Machine {
    /// Is there what it takes?
    pub(super) fn need(&self, need: Need) -> Finding {
        let (port, capabilities, good_news): (_, &[Capability], _) = match need {
            Need::Tap => ("a TAP", &[NET_ADMIN], "a TAP device may be made"),
            // NET_ADMIN: DPDK sets address and promiscuity of a port when it starts it
            Need::Packet => {
                ("af_packet", &[NET_RAW, NET_ADMIN], "an AF_PACKET socket may be opened")
            }
            Need::Xdp => {
                ("af_xdp", &[NET_RAW, NET_ADMIN, BPF], "an XDP program may be put on an interface")
            }
        };
        let lacking: Vec<&str> = capabilities
            .iter()
            .filter(|(number, _)| !self.may(*number))
            .map(|(_, name)| *name)
            .collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(" and ");
            return missing(format!("{port} needs {lacking}"), "run as root (sudo)");
        }
        if need == Need::Tap {
            let tun = self.root.join("dev/net/tun");
            if let Err(error) = File::options().read(true).write(true).open(tun) {
                return missing(
                    format!("/dev/net/tun cannot be opened ({error})"),
                    "modprobe tun, or give the container the device",
                );
            }
        }
        good(good_news)
    }

    /// Has this process the capability? Yes if that cannot be found out.
    fn may(&self, number: u32) -> bool {
        let status = self.read("proc/self/status").unwrap_or_default();
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        let has = |set: u64, number: u32| set & 1 << number != 0;
        effective.is_none_or(|set| has(set, number) || number == BPF.0 && has(set, SYS_ADMIN.0))
    }
}
