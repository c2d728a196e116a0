//! Devices on the PCI bus: are they there, and may DPDK have them?

use super::{Finding, Machine, good, missing, note};
use std::fs;
use std::path::Path;

impl Machine {
    /// A device on the PCI bus, if that is what the name says.
    pub(super) fn pci(&self, device: &str) -> Vec<Finding> {
        let address = device.split(',').next().unwrap_or(device);
        let parts: Vec<&str> = address.split([':', '.']).collect();
        let hex = |part: &&str| u32::from_str_radix(part, 16).is_ok();
        let full = match parts.len() {
            4 if parts.iter().all(hex) => address.to_owned(),
            3 if parts.iter().all(hex) => format!("0000:{address}"),
            _ => {
                return vec![note(
                    format!("{device}: not looked at, it is no PCI address"),
                    "name a PCI device as 0000:3b:00.0",
                )];
            }
        };
        let place = self.root.join("sys/bus/pci/devices").join(&full);
        if !place.exists() {
            return vec![missing(
                format!("{full}: there is no such device"),
                "lspci -D lists them; dpdk-devbind.py --status those that DPDK knows",
            )];
        }
        let driver = fs::read_link(place.join("driver")).ok();
        let name = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let bound = name.as_deref().unwrap_or("none");
        // drivers that DPDK takes a device from, and those that it shares one with
        const OURS: [&str; 8] = [
            "vfio-pci",
            "uio_pci_generic",
            "igb_uio",
            "mlx4_core",
            "mlx5_core",
            "virtio-pci",
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
}
