use super::*;

/// A machine made of files, which goes when the test is over.
struct Fake(Machine);

impl Fake {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root =
            std::env::temp_dir().join(format!("lastack-doctor-{name}-{}", std::process::id()));
        for (file, text) in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        Fake(Machine { root })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.root);
    }
}

fn told(findings: &[Finding], word: &str) -> Finding {
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
    let findings = fake.0.for_profile(&ring);
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
    let findings = fake.0.for_profile(&profile);
    assert_eq!(told(&findings, "hugepages are needed, 6 MB are free").level, Level::Missing);
    assert_eq!(told(&findings, "0000:3b:00.0: there is no such device").level, Level::Missing);

    let device = fake.0.root.join("sys/bus/pci/devices/0000:3b:00.0");
    fs::create_dir_all(&device).unwrap();
    let bound_to = |driver: &str| {
        let _ = fs::remove_file(device.join("driver"));
        std::os::unix::fs::symlink(format!("../../drivers/{driver}"), device.join("driver"))
            .unwrap();
        fake.0.for_profile(&profile)
    };
    let finding = told(&bound_to("ixgbe"), "bound to ixgbe");
    assert!(finding.remedy.unwrap().starts_with("dpdk-devbind.py -b vfio-pci 0000:3b:00.0"));
    let findings = bound_to("vfio-pci");
    assert_eq!(told(&findings, "bound to vfio-pci").level, Level::Good);
    assert_eq!(told(&findings, "no IOMMU").level, Level::Missing);
    fs::create_dir_all(fake.0.root.join("sys/kernel/iommu_groups/0")).unwrap();
    assert!(!bound_to("vfio-pci").iter().any(|finding| finding.what.contains("IOMMU")));
}
