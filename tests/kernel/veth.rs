//! Interfaces of the kernel as ports, by AF_PACKET and AF_XDP: a veth pair of which we have one end
//! and the kernel, or another process of ours, has the other.

use super::namespace::{KERNEL_V4, Lastack, Namespace, turn_with};
use super::{count, fetch, responder};
use std::fs;
use std::sync::MutexGuard;

const PROFILES: [&str; 2] = ["af_packet", "af_xdp"];

fn turn() -> Option<MutexGuard<'static, ()>> {
    turn_with(&["ethtool", "setpriv"])
}

/// `lastack` on an interface.
fn start(namespace: &Namespace, command: &str, profile: &str, extra: &[&str]) -> Lastack {
    let device = if extra.contains(&"--device") { &[][..] } else { &["--device", "veth0"] };
    namespace.start(command, &[&["--profile", profile], device, extra].concat())
}

fn wait_for_http(namespace: &Namespace, server: &Lastack) {
    namespace.wait_for("the server", || server.messages().contains("http at port "));
}

#[test]
fn curl_is_served_over_an_interface() {
    let Some(_turn) = turn() else { return };
    for profile in PROFILES {
        let namespace = Namespace::new();
        namespace.veth();
        namespace.set_up("veth1", KERNEL_V4, "2001:db8::1");
        let server = start(&namespace, "server", profile, &["--app", "http"]);
        wait_for_http(&namespace, &server);
        for host in ["198.18.0.2", "[2001:db8::2]"] {
            fetch(&namespace, host, 1);
            fetch(&namespace, host, 1_000_000);
        }
        let messages = server.messages();
        assert!(messages.contains("veth0 on a veth: ethtool -K PEER tx off"), "{messages}");
        for warning in ["does not", "the kernel's too", "the kernel has", "carrier", "several"] {
            assert!(!messages.contains(warning), "nothing is wrong: {messages}");
        }
        let report = server.stop();
        assert_eq!(count(&report, "/requests/completed"), 4, "{profile}");
        assert_eq!(count(&report, "/connections/closed"), 4, "{profile}");
        assert_eq!(count(&report, "/connections/reset"), 0, "{profile}");
        assert_eq!(count(&report, "/tcp/InCsumErrors"), 0, "{profile}");
        assert_eq!(report["profile"], profile);
        assert_eq!(namespace.tcp_counter("OutRsts"), 0, "{profile}");
    }
}

#[test]
fn a_server_of_the_kernel_is_loaded_over_an_interface() {
    let Some(_turn) = turn() else { return };
    for profile in PROFILES {
        let namespace = Namespace::new();
        namespace.veth();
        // where the profile looks for its server
        namespace.set_up("veth1", "198.18.0.2", "2001:db8::2");
        let _responder = responder::start(&namespace);
        let load = ["--workload", "crr", "--duration", "3s", "--connections", "8"];
        let report = start(&namespace, "client", profile, &load).end();
        let closed = count(&report, "/connections/closed");
        assert!(closed > 500, "{profile}: {report}");
        assert_eq!(count(&report, "/connections/failed"), 0, "{profile}: {report}");
        assert_eq!(count(&report, "/connections/reset"), 0, "{profile}: {report}");
        assert_eq!(count(&report, "/requests/completed"), closed, "{profile}");
        assert_eq!(count(&report, "/tcp/InCsumErrors"), 0, "{profile}");
    }
}

#[test]
fn two_of_us_over_one_wire() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    namespace.output("ip", &["link", "set", "veth1", "addrgenmode", "none", "up"]);
    let server = start(&namespace, "server", "af_xdp", &["--app", "http", "--device", "veth1"]);
    wait_for_http(&namespace, &server);
    let load = ["--workload", "http", "--path", "/bytes/5000", "--duration", "2s"];
    let report = start(&namespace, "client", "af_packet", &load).end();
    let completed = count(&report, "/requests/completed");
    assert!(completed > 500, "{report}");
    assert_eq!(count(&report, "/errors"), 0, "{report}");
    let served = server.stop();
    assert!(count(&served, "/requests/completed") >= completed, "{served}");
    assert_eq!(count(&served, "/tcp/InCsumErrors"), 0, "{served}");
}

/// What cannot be is said in one line before EAL starts, and by doctor.
#[test]
fn what_an_interface_lacks_is_told_before_the_run() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let check = |profile: &str, what: &str, remedy: &str| {
        let (status, told) = start(&namespace, "server", profile, &[]).refusal();
        assert_eq!(told.trim_end(), format!("lastack: --profile {profile}: {what}: {remedy}"));
        assert_eq!(status, Some(1));
        let (status, shown, _) =
            lastack(&namespace, "doctor", &["--profile", profile, "--device", "veth0"]);
        assert_eq!(status, Some(1), "{shown}");
        let lines = format!("MISSING {what}\n          -> {remedy}\n");
        assert!(shown.contains(&lines), "{shown}");
    };
    for profile in PROFILES {
        check(
            profile,
            "there is no interface veth0 in this network namespace",
            "ip -br link lists the interfaces",
        );
    }
    namespace.veth();
    let set = |what: &[&str]| {
        namespace.output("ip", &[&["link", "set", "veth0"], what].concat());
    };
    for profile in PROFILES {
        set(&["down"]);
        check(profile, "interface veth0 is down", "ip link set veth0 up (as root)");
        set(&["up", "mtu", "1400"]);
        check(
            profile,
            "interface veth0 has an MTU of 1400, the profile wants 1500",
            "ip link set veth0 mtu 1500 (as root), or a lower mtu in the profile",
        );
        set(&["mtu", "1500"]);
    }
}

/// The interface could, the driver cannot.
#[test]
fn an_mtu_above_that_of_the_driver_is_refused() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    for interface in ["veth0", "veth1"] {
        namespace.output("ip", &["link", "set", interface, "mtu", "9000", "up"]);
    }
    let jumbo = fs::read_to_string("dpdk-config/af_packet.toml").expect("the profile");
    let file = namespace.directory().join("jumbo.toml");
    fs::write(&file, jumbo.replace("mtu = 1500", "mtu = 9000")).expect("a profile");
    let file = file.to_str().expect("a path in UTF-8");
    for command in ["server", "client"] {
        let (status, told) = start(&namespace, command, file, &[]).refusal();
        let line =
            "lastack: port net_af_packet0 has an MTU of at most 1500, not 9000: lower the MTU";
        assert_eq!((status, told.lines().last()), (Some(1), Some(line)), "{command}: {told}");
    }
}

/// `lastack` to its end: exit status, standard output, standard error.
fn lastack(
    namespace: &Namespace,
    command: &str,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    run(namespace, &[env!("CARGO_BIN_EXE_lastack")], command, arguments)
}

fn run(
    namespace: &Namespace,
    program: &[&str],
    command: &str,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let arguments = [&program[1..], &[command], arguments].concat();
    let output = namespace.command(program[0], &arguments).output().expect("it starts");
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code(), out, err)
}

#[test]
fn privileges_for_an_interface_are_named() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    for (profile, without, lacking) in [
        ("af_packet", "-net_raw", "af_packet needs CAP_NET_RAW"),
        ("af_packet", "-net_raw,-net_admin", "af_packet needs CAP_NET_RAW and CAP_NET_ADMIN"),
        ("af_xdp", "-net_admin", "af_xdp needs CAP_NET_ADMIN"),
        ("af_xdp", "-bpf,-sys_admin", "af_xdp needs CAP_BPF"),
    ] {
        let bounded = format!("--bounding-set={without}");
        let inherited = format!("--inh-caps={without}");
        let program = ["setpriv", &bounded, &inherited, env!("CARGO_BIN_EXE_lastack")];
        let device = ["--profile", profile, "--device", "veth0"];
        let (status, _, told) = run(&namespace, &program, "server", &device);
        let line = format!("lastack: --profile {profile}: {lacking}: run as root (sudo)");
        assert_eq!((status, told.trim_end()), (Some(1), line.as_str()));
        let (status, shown, _) = run(&namespace, &program, "doctor", &device);
        assert_eq!(status, Some(1), "{shown}");
        assert!(shown.contains(&format!("MISSING {lacking}\n")), "{shown}");
    }
}

/// What does not keep a run from beginning is told once, with what to do.
#[test]
fn what_is_not_as_it_should_be_is_told_at_the_start() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    // The kernel has our address on veth0, whose other end is down; the profile asks for checksums.
    let address = ["addr", "add", "198.18.0.2/24", "dev", "veth0"];
    namespace.output("ip", &address);
    let wants = fs::read_to_string("dpdk-config/af_packet.toml").expect("the profile");
    let wants = wants.replace("checksum_offload = false", "checksum_offload = true");
    let file = namespace.directory().join("wants.toml");
    fs::write(&file, wants).expect("a profile");
    let file = file.to_str().expect("a path in UTF-8");
    let server = start(&namespace, "server", file, &["--duration", "300ms"]);
    let (status, told) = server.refusal();
    assert_eq!(status, Some(0), "{told}");
    for warning in [
        "lastack: interface veth0 has no carrier: set its other end up (ip link set PEER up), or plug it in",
        "lastack: 198.18.0.2 is the kernel's too: its TCP resets our connections: ip addr del \
         198.18.0.2/24 dev veth0 (as root), or another --address",
        "lastack: port net_af_packet0 does not verify and fill in checksums, so the engines do: to ask for \
         none, checksum_offload = false in the profile",
    ] {
        let times = told.lines().filter(|line| *line == warning).count();
        assert_eq!(times, 1, "{warning}\n{told}");
    }
    let (status, shown, _) =
        lastack(&namespace, "doctor", &["--profile", file, "--device", "veth0"]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("note    interface veth0 has no carrier\n"), "{shown}");
}

#[test]
fn doctor_opens_the_port_of_a_profile() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    namespace.set_up("veth1", KERNEL_V4, "2001:db8::1");
    // ordinary pages, also for pci
    let prefix = namespace.file_prefix();
    let ordinary =
        [env!("CARGO_BIN_EXE_lastack"), "--no-huge", "--no-shconf", "-m", "200", &prefix, "--"];
    for (profile, device, lines) in [
        (
            "af_packet",
            Some("veth0"),
            &["driver          net_af_packet", "MTU             1500, 1500 at most", "sent by us"]
                [..],
        ),
        ("af_xdp", Some("veth0"), &["driver          net_af_xdp", "queue pairs     1 at most"]),
        ("tap", None, &["driver          net_tap", "sent by the port", "link            up"]),
        ("memif", None, &["driver          net_memif", "link            down"]),
        ("ring", None, &["(client)", "(server)", "driver          net_ring", "1500, no limit"]),
        (
            "pci",
            Some("net_null0,no-rx=1"),
            &["driver          net_null", "RSS             table of"],
        ),
    ] {
        let device = device.map(|device| ["--device", device]);
        let device = device.as_ref().map_or(&[][..], |device| &device[..]);
        let arguments = [&["--probe", "--profile", profile], device].concat();
        let (status, shown, told) = run(&namespace, &ordinary, "doctor", &arguments);
        assert_eq!(status, Some(0), "{profile}: {shown}{told}");
        for line in lines {
            assert!(shown.contains(line), "{profile}: {line} in {shown}");
        }
    }
}
