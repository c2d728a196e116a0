use super::*;
use crate::cli::hugepages::Wanted;

/// A machine made of files, which goes when the test is over.
pub(super) struct Fake(pub(super) Machine);

impl Fake {
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root =
            std::env::temp_dir().join(format!("lastack-doctor-{name}-{}", std::process::id()));
        for (file, text) in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        Fake(Machine { root, interfaces: Vec::new() })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.root);
    }
}

pub(super) fn told(findings: &[Finding], word: &str) -> Finding {
    findings.iter().find(|finding| finding.what.contains(word)).cloned().expect(word)
}

#[test]
fn a_machine_that_is_as_it_should_be() {
    let fake = Fake::new(
        "good",
        &[
            ("sys/devices/system/cpu/isolated", "1-3\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1\n"),
            ("proc/cpuinfo", "processor: 0\nflags\t\t: fpu constant_tsc nonstop_tsc\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n"),
        ],
    );
    let findings = fake.0.findings(&[1, 2, 3]);
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
    let ring = Profile::load("ring").unwrap();
    let findings = [vec![fake.0.memory(&ring, 2)], fake.0.for_roles(&ring, &[&ring.server], &[])];
    let findings = findings.concat();
    assert_eq!(findings.len(), 1, "a ring needs nothing but memory");
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
}

#[test]
fn each_finding_has_a_remedy() {
    let fake = Fake::new(
        "bad",
        &[
            ("sys/devices/system/cpu/isolated", "\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
            ("proc/cpuinfo", "flags : fpu\n"),
        ],
    );
    let findings = fake.0.findings(&[0, 1]);
    for (word, remedy) in [
        ("isolated", "isolcpus=1"),
        ("powersave", "cpupower"),
        ("share a core", "-l CORE,CORE"),
        ("time stamp counter", "constant_tsc"),
        ("hugepages", "nr_hugepages"),
    ] {
        let finding = told(&findings, word);
        assert_eq!(finding.level, Level::Note, "{finding}");
        assert!(finding.remedy.as_deref().unwrap().contains(remedy), "{finding}");
    }
    assert_eq!(told(&fake.0.findings(&[0]), "one processor").level, Level::Note);
}

#[test]
fn a_profile_that_cannot_run() {
    let mut profile = Profile::load("ring").unwrap();
    profile.eal.hugepages = Wanted::Yes;
    profile.device.kind = Kind::Probed;
    profile.server.device = Some("3b:00.0".to_owned());
    profile.client.device = Some("3b:00.0".to_owned());
    let free = "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let fake = Fake::new("pci", &[(free, "3\n")]);
    let memory = fake.0.memory(&profile, 1);
    assert!(memory.what.contains("hugepages are needed, 6 MB are free"), "{memory}");
    assert_eq!(memory.level, Level::Missing);
    let mut may_do_without = profile.clone();
    may_do_without.eal.hugepages = Wanted::Auto;
    let memory = fake.0.memory(&may_do_without, 1);
    assert!(memory.what.contains("ordinary pages are used"), "{memory}");
    assert_eq!(memory.level, Level::Note);
    let look = || fake.0.for_roles(&profile, &[&profile.server, &profile.client], &[]);
    let findings = look();
    assert_eq!(findings.len(), 1, "the device of both is the same: {findings:?}");
    assert_eq!(told(&findings, "0000:3b:00.0: there is no such device").level, Level::Missing);

    let device = fake.0.root.join("sys/bus/pci/devices/0000:3b:00.0");
    fs::create_dir_all(&device).unwrap();
    fs::write(device.join("class"), "0x010601\n").unwrap();
    assert_eq!(told(&look(), "no network card: its class is 0x010601").level, Level::Missing);
    fs::write(device.join("class"), "0x020000\n").unwrap();
    let bound_to = |driver: &str| {
        let _ = fs::remove_file(device.join("driver"));
        std::os::unix::fs::symlink(format!("../../drivers/{driver}"), device.join("driver"))
            .unwrap();
        look()
    };
    for driver in ["ixgbe", "virtio-pci"] {
        let finding = told(&bound_to(driver), &format!("bound to {driver}"));
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.remedy.unwrap().starts_with("dpdk-devbind.py -b vfio-pci 0000:3b:00.0"));
    }
    let findings = bound_to("vfio-pci");
    assert_eq!(told(&findings, "bound to vfio-pci").level, Level::Good);
    assert_eq!(told(&findings, "no IOMMU").level, Level::Missing);
    fs::create_dir_all(fake.0.root.join("sys/kernel/iommu_groups/0")).unwrap();
    assert!(!bound_to("vfio-pci").iter().any(|finding| finding.what.contains("IOMMU")));
}

#[test]
fn a_card_by_the_name_of_the_kernel() {
    let fake = Fake::new("card", &[("sys/class/net/eth1/mtu", "1500\n")]);
    let card = fake.0.root.join("sys/class/net/eth1/device");
    std::os::unix::fs::symlink("../../../0000:3b:00.0", card).unwrap();
    let profile = Profile::load("pci").unwrap().with_device(Some("eth1")).unwrap();
    let finding = told(&fake.0.for_roles(&profile, &[&profile.server], &[]), "PCI address");
    assert_eq!(finding.level, Level::Missing);
    assert!(finding.remedy.unwrap().starts_with("name it 0000:3b:00.0"));
    let profile = Profile::load("pci").unwrap().with_device(Some("net_null0")).unwrap();
    let findings = fake.0.for_roles(&profile, &[&profile.server], &[]);
    assert_eq!(told(&findings, "net_null0: not looked at").level, Level::Note);
}

/// `veth0`, as an `Interface` and in /sys.
fn with_interface(name: &str, change: impl FnOnce(&mut Interface)) -> Fake {
    let mac = "0a:00:00:00:00:01";
    let mut fake = Fake::new(
        name,
        &[
            ("proc/self/status", "CapEff:\t000001ffffffffff\n"),
            ("sys/class/net/veth0/address", &format!("{mac}\n")),
            ("sys/class/net/veth0/mtu", "1500\n"),
        ],
    );
    let mut interface = Interface {
        name: "veth0".to_owned(),
        up: true,
        carrier: true,
        mac: Some(mac.to_owned()),
        addresses: Vec::new(),
    };
    change(&mut interface);
    fake.0.interfaces = vec![interface];
    fake
}

fn looks(fake: &Fake, profile: &str, change: impl FnOnce(&mut Profile)) -> Vec<Finding> {
    let mut profile = Profile::load(profile).unwrap().with_device(Some("veth0")).unwrap();
    change(&mut profile);
    fake.0.for_roles(&profile, &[&profile.server], &profile.server.addresses)
}

#[test]
fn an_interface_that_can_be_used() {
    let link_local = "fe80::1".parse().unwrap();
    let fake = with_interface("interface", |veth0| veth0.addresses.push(link_local));
    for profile in ["af_packet", "af_xdp"] {
        let findings = looks(&fake, profile, |_| ());
        assert_eq!(told(&findings, "interface veth0 is up").level, Level::Good);
        assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
    }
}

#[test]
fn interfaces_that_cannot_be_used() {
    let absent = with_interface("absent", |veth0| veth0.name = "veth7".to_owned());
    let down = with_interface("down", |veth0| veth0.up = false);
    let good = with_interface("mtu", |_| ());
    for profile in ["af_packet", "af_xdp"] {
        let finding = told(&looks(&absent, profile, |_| ()), "no interface veth0");
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.remedy.unwrap().contains("ip -br link"));
        let finding = told(&looks(&down, profile, |_| ()), "interface veth0 is down");
        assert_eq!(finding.level, Level::Missing);
        assert_eq!(finding.remedy.unwrap(), "ip link set veth0 up (as root)");
        let large = looks(&good, profile, |profile| profile.device.mtu = 1_501);
        let finding = told(&large, "veth0 has an MTU of 1500, the profile wants 1501");
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.remedy.unwrap().starts_with("ip link set veth0 mtu 1501"));
    }
    // /sys of another network namespace tells nothing of this one
    let other = with_interface("other", |veth0| veth0.mac = Some("0a:00:00:00:00:02".to_owned()));
    let findings = looks(&other, "af_packet", |profile| profile.device.mtu = 9_000);
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
}

#[test]
fn interfaces_that_are_used_otherwise() {
    let fake = with_interface("shared", |veth0| {
        veth0.carrier = false;
        veth0.addresses.push("198.18.0.2".parse().unwrap());
    });
    fs::create_dir_all(fake.0.root.join("sys/class/net/veth0/queues/rx-1")).unwrap();
    let packet = looks(&fake, "af_packet", |_| ());
    for (word, remedy) in [
        ("no carrier", "ip link set PEER up"),
        ("198.18.0.2 is the kernel's too", "ip addr del 198.18.0.2/24 dev veth0"),
    ] {
        let finding = told(&packet, word);
        assert_eq!(finding.level, Level::Note);
        assert!(finding.remedy.as_deref().unwrap().contains(remedy), "{finding}");
    }
    let xdp = looks(&fake, "af_xdp", |_| ());
    for (word, remedy) in [
        ("the kernel has 198.18.0.2 on veth0", "ip addr flush dev veth0"),
        ("several receive queues", "ethtool -L veth0 combined 1"),
    ] {
        let finding = told(&xdp, word);
        assert_eq!(finding.level, Level::Note);
        assert!(finding.remedy.as_deref().unwrap().contains(remedy), "{finding}");
    }
}

/// What is for us is not addressed to the kernel, so it forwards it if it may.
#[test]
fn a_kernel_that_forwards() {
    let ipv4 = "proc/sys/net/ipv4/conf/veth0/forwarding";
    let ipv6 = "proc/sys/net/ipv6/conf/all/forwarding";
    let fake = with_interface("forwards", |_| ());
    let set = |file: &str, value: &str| {
        let file = fake.0.root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, value).unwrap();
    };
    set(ipv4, "0\n");
    set(ipv6, "0\n");
    set("proc/sys/net/ipv4/conf/eth7/forwarding", "1\n");
    let findings = looks(&fake, "af_packet", |_| ());
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
    for (file, family) in [(ipv4, "IPv4"), (ipv6, "IPv6")] {
        set(file, "1\n");
        let findings = looks(&fake, "af_packet", |_| ());
        let finding = told(&findings, &format!("forwards {family}"));
        assert_eq!(finding.level, Level::Note);
        let key = file.strip_prefix("proc/sys/").unwrap().replace('/', ".");
        assert_eq!(finding.remedy.unwrap(), format!("sysctl -w {key}=0 (as root)"));
        let others = findings.iter().filter(|finding| finding.level != Level::Good).count();
        assert_eq!(others, 1, "{findings:?}");
        // what an XDP program takes never gets as far
        let findings = looks(&fake, "af_xdp", |_| ());
        assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
        set(file, "0\n");
    }
    // an address that is not used is not forwarded for
    set(ipv6, "1\n");
    let findings = looks(&fake, "af_packet", |profile| profile.server.addresses.truncate(1));
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
}

#[test]
fn privileges_are_named() {
    let lacks = |profile: &str, set: u64| {
        let fake = Fake::new("caps", &[("proc/self/status", &format!("CapEff:\t{set:016x}\n"))]);
        fake.0.for_roles(&Profile::load(profile).unwrap(), &[], &[]).remove(0)
    };
    let (admin, raw, sys_admin, bpf) = (1 << 12, 1 << 13, 1 << 21, 1 << 39);
    for (profile, set, what) in [
        ("tap", raw | sys_admin | bpf, "a TAP needs CAP_NET_ADMIN"),
        ("af_packet", admin, "af_packet needs CAP_NET_RAW"),
        ("af_packet", 0, "af_packet needs CAP_NET_RAW and CAP_NET_ADMIN"),
        ("af_xdp", admin | raw, "af_xdp needs CAP_BPF"),
        ("af_xdp", bpf, "af_xdp needs CAP_NET_RAW and CAP_NET_ADMIN"),
    ] {
        let finding = lacks(profile, set);
        assert_eq!((finding.level, finding.what.as_str()), (Level::Missing, what));
        assert_eq!(finding.remedy.unwrap(), "run as root (sudo)");
    }
    for (profile, set) in [
        ("af_packet", admin | raw),
        ("af_xdp", admin | raw | bpf),
        ("af_xdp", admin | raw | sys_admin),
    ] {
        assert_eq!(lacks(profile, set).level, Level::Good, "{profile} {set:x}");
    }
}

#[test]
fn a_tap_wants_its_device() {
    let caps = ("proc/self/status", "CapEff:\t000001ffffffffff\n");
    let look = |fake: &Fake| fake.0.for_roles(&Profile::load("tap").unwrap(), &[], &[]).remove(0);
    let finding = look(&Fake::new("no-tun", &[caps]));
    assert_eq!(finding.level, Level::Missing);
    assert_eq!(
        finding.what,
        "/dev/net/tun cannot be opened (No such file or directory (os error 2))"
    );
    assert_eq!(finding.remedy.unwrap(), "modprobe tun, or give the container the device");
    let finding = look(&Fake::new("tun", &[caps, ("dev/net/tun", "")]));
    assert_eq!(finding.level, Level::Good);
}

#[test]
#[cfg(feature = "dpdk")]
fn processors_of_engines() {
    let topology = "topology/thread_siblings_list";
    let cpu = |n: u32| format!("sys/devices/system/cpu/cpu{n}/{topology}");
    let fake = Fake::new(
        "engines",
        &[
            (&cpu(0), "0,2\n"),
            (&cpu(1), "1,3\n"),
            ("proc/cpuinfo", "flags\t\t: fpu constant_tsc nonstop_tsc\n"),
        ],
    );
    for apart in [&[0, 1][..], &[0], &[1], &[0, 1, 2], &[]] {
        assert_eq!(fake.0.for_engines(apart, apart.len()), [], "{apart:?}");
    }
    let finding = told(&fake.0.for_engines(&[0, 2], 2), "processors 0,2 share a core");
    assert_eq!(finding.level, Level::Note);
    fs::write(fake.0.root.join("proc/cpuinfo"), "flags : fpu\n").unwrap();
    assert_eq!(told(&fake.0.for_engines(&[0], 1), "time stamp counter").level, Level::Note);
}

#[test]
fn the_loopback_interface_is_found() {
    let found = interfaces();
    let lo = found.iter().find(|interface| interface.name == "lo").expect("every namespace has it");
    assert_eq!(lo.mac.as_deref(), Some("00:00:00:00:00:00"));
    assert_eq!(found.iter().filter(|interface| interface.name == "lo").count(), 1);
}

#[test]
fn a_tap_that_another_process_holds_cannot_be_used() {
    let tap = Profile::load("tap").unwrap();
    let with = |carrier| {
        let mut fake = Fake::new("tap-in-use", &[]);
        fake.0.interfaces.push(Interface {
            name: "lastack0".to_owned(),
            up: true,
            carrier,
            mac: None,
            addresses: Vec::new(),
        });
        let findings = fake.0.for_roles(&tap, &[&tap.server], &[]);
        findings.into_iter().find(|finding| finding.what.contains("another process uses it"))
    };
    assert_eq!(with(true).map(|finding| finding.level), Some(Level::Missing));
    assert_eq!(with(false), None, "one that was made to stay");
}
