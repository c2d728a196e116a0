//! Devices on the PCI bus: are they there, and may DPDK have them?

use super::{Finding, Machine, good, missing, note};
use std::fs;
use std::path::Path;

/// How the class of a network controller begins.
const NETWORK: &str = "0x02";

/// The address of a device on the PCI bus with its domain, if it is one; what follows a comma is left
/// out.
fn address(device: &str) -> Option<String> {
    let address = device.split(',').next()?;
    let parts: Vec<&str> = address.split([':', '.']).collect();
    let hex = |part: &&str| u32::from_str_radix(part, 16).is_ok();
    match parts.len() {
        4 if parts.iter().all(hex) => Some(address.to_owned()),
        3 if parts.iter().all(hex) => Some(format!("0000:{address}")),
        _ => None,
    }
}

/// The device with the whole of its address, as DPDK names its port; as it is if it has none.
pub fn full(device: &str) -> String {
    let arguments = device.find(',').map_or("", |comma| &device[comma..]);
    address(device).map_or_else(|| device.to_owned(), |full| full + arguments)
}

impl Machine {
    /// A device on the PCI bus, if that is what the name says.
    pub(super) fn pci(&self, device: &str) -> Vec<Finding> {
        let Some(full) = address(device) else {
            return vec![self.no_address(device)];
        };
        let place = self.root.join("sys/bus/pci/devices").join(&full);
        if !place.exists() {
            return vec![missing(
                format!("{full}: there is no such device"),
                "lspci -D lists them; dpdk-devbind.py --status those that DPDK knows",
            )];
        }
        let class = self.read(&format!("sys/bus/pci/devices/{full}/class"));
        if let Some(class) = class.filter(|class| !class.starts_with(NETWORK)) {
            return vec![missing(
                format!("{full} is no network card: its class is {class}"),
                "lspci -D | grep -i ethernet lists them",
            )];
        }
        let driver = fs::read_link(place.join("driver")).ok();
        let name = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let bound = name.as_deref().unwrap_or("none");
        // drivers that DPDK takes a device from, and those that it shares one with
        const OURS: [&str; 7] = [
            "vfio-pci",
            "uio_pci_generic",
            "igb_uio",
            "mlx4_core",
            "mlx5_core",
            "mana",
            "hv_netvsc",
        ];
        let mut findings = vec![if OURS.contains(&bound) {
            good(format!("{full} is bound to {bound}"))
        } else {
            missing(
                format!("{full} is bound to {bound}, which DPDK cannot share it with"),
                format!("dpdk-devbind.py -b vfio-pci {full} (as root; it leaves the kernel)"),
            )
        }];
        let groups = fs::read_dir(self.root.join("sys/kernel/iommu_groups"));
        let iommu = groups.is_ok_and(|mut groups| groups.next().is_some());
        let unsafe_mode = self.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
        if bound == "vfio-pci" && !iommu && unsafe_mode.as_deref() != Some("Y") {
            findings.push(missing(
                "there is no IOMMU for vfio-pci",
                "boot with intel_iommu=on iommu=pt (AMD: amd_iommu=on), or echo Y > \
                 /sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
            ));
        }
        findings
    }

    /// A device that is called otherwise: an interface of the kernel by mistake, or what a `--vdev`
    /// makes.
    fn no_address(&self, device: &str) -> Finding {
        let card = fs::read_link(self.root.join("sys/class/net").join(device).join("device")).ok();
        let card = card.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        match card.as_deref().and_then(address) {
            Some(address) => missing(
                format!("{device} is what the kernel calls it, its PCI address is needed"),
                format!(
                    "name it {address}, after: dpdk-devbind.py -b vfio-pci {address} (as root)"
                ),
            ),
            None => note(
                format!("{device}: not looked at, it is no PCI address"),
                "name a PCI device as 0000:3b:00.0",
            ),
        }
    }
}
