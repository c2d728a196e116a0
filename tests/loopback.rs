//! The program itself, end to end over ring ports: no NIC, no privilege, hugepages only if there are
//! some.

use serde_json::Value;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// One run at a time: each of them polls on all cores.
static TURN: Mutex<()> = Mutex::new(());

fn lastack(arguments: &str) -> Output {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new(env!("CARGO_BIN_EXE_lastack"))
        .args(arguments.split_whitespace())
        .output()
        .expect("the program starts")
}

#[track_caller]
fn report(arguments: &str) -> Value {
    let output = lastack(&format!("--file-prefix=lastack-test -- {arguments} --json -"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {messages}");
    serde_json::from_slice(&output.stdout).expect("the standard output is the result alone")
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn crr_ends_every_connection_and_the_server_has_the_time_wait() {
    let report = report("loopback --workload crr --duration 1s --stats-period 0");
    let closed = count(&report, "/connections/closed");
    assert!(closed > 1_000, "{closed}");
    assert_eq!(count(&report, "/connections/failed"), 0);
    assert_eq!(count(&report, "/connections/reset"), 0);
    assert_eq!(count(&report, "/connections/opened"), closed);
    assert_eq!(count(&report, "/requests/completed"), closed);
    assert_eq!(count(&report, "/server/connections/closed"), closed);
    assert_eq!(count(&report, "/server/requests/completed"), closed);
    assert_eq!(count(&report, "/server/time_wait/entered"), closed);
    assert_eq!(count(&report, "/client/time_wait/entered"), 0);
    assert_eq!(count(&report, "/connect/count"), closed);
    assert_eq!(count(&report, "/service/count"), closed);
    assert_eq!(count(&report, "/close/count"), closed);
    assert!(report["latency"].is_null() && report["loop"] == "closed");
    assert!(report["server"]["cycles"]["per_connection"].as_f64().unwrap() > 0.0);
    // What one side sent the other has received.
    assert_eq!(count(&report, "/client/packets/tx"), count(&report, "/server/packets/rx"));
    assert_eq!(count(&report, "/client/bytes/sent"), count(&report, "/server/bytes/received"));
}

#[test]
fn rr_keeps_its_connections() {
    let report = report(
        "loopback --workload rr --duration 1s --connections 8 --pipeline 4 --stats-period 0",
    );
    assert_eq!(count(&report, "/connections/opened"), 8);
    assert_eq!(count(&report, "/connections/closed"), 8);
    assert_eq!(count(&report, "/connections/failed"), 0);
    let requests = count(&report, "/requests/completed");
    assert!(requests > 1_000, "{requests}");
    assert_eq!(count(&report, "/server/requests/completed"), requests);
}

#[test]
fn an_open_loop_over_ipv6_tells_latency_and_service() {
    let directory = std::env::temp_dir().join(format!("lastack-loopback-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let hgrm = directory.join("latency.hgrm");
    let report = report(&format!(
        "loopback --workload rr --connect [2001:db8::2]:9000 --rate 2k/s --arrival poisson \
         --duration 1200ms --warmup 200ms --stats-period 0 --hgrm {}",
        hgrm.display()
    ));
    let plot = std::fs::read_to_string(&hgrm).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(report["loop"], "open");
    let (latency, service) = (count(&report, "/latency/count"), count(&report, "/service/count"));
    assert!((1_700..2_300).contains(&latency), "{latency}");
    assert_eq!(latency, service);
    let p50 = |name: &str| count(&report, &format!("/{name}/p50"));
    assert!(p50("latency") >= p50("service"), "waiting is a part of latency");
    assert!(count(&report, "/requests/completed") > latency, "the warm-up is counted apart");
    assert!(plot.lines().last().unwrap().starts_with("#[Buckets"));
}

#[test]
fn one_core_can_poll_both_sides() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new("taskset")
        .args(["-c", "0", env!("CARGO_BIN_EXE_lastack"), "--file-prefix=lastack-test", "--"])
        .args("loopback --duration 1s --stats-period 0 --close client --json -".split(' '))
        .output()
        .expect("taskset is part of util-linux");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        count(&report, "/client/time_wait/entered"),
        count(&report, "/connections/closed"),
        "the client closed first"
    );
}

#[track_caller]
fn refused(arguments: &str, status: i32, line: &str) {
    let output = lastack(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments}");
    assert!(output.stdout.is_empty());
    let messages = String::from_utf8(output.stderr).unwrap();
    assert_eq!(messages.trim_end(), format!("lastack: {line}"), "{arguments}");
}

#[test]
fn what_cannot_be_run_is_refused_in_one_line() {
    for (arguments, line) in [
        (
            "loopback --profile rope",
            "--profile rope: no such profile or file: the profiles are ring, tap, memif",
        ),
        (
            "loopback --profile memif",
            "--profile memif: loopback runs over rings; use --profile ring, or server and client",
        ),
        (
            "server --cores 2 --profile tap",
            "--cores 2: 1 is expected; a port of profile tap is polled by one engine",
        ),
        ("server", "--profile is needed: tap, memif, or a file"),
        (
            "loopback --address 198.18.0.9/24",
            "--address: loopback takes them in pairs, the client's and then the server's",
        ),
        (
            "loopback --connect 198.18.9.9:1",
            "--connect 198.18.9.9:1: an address of the server's side is expected, as 198.18.0.2:9000",
        ),
        (
            "loopback --connections 10 --max-connections 5",
            "--connections 10: --max-connections is 5, at least as many are expected",
        ),
        (
            "loopback --msl 5",
            "--msl 5: a time with its unit is expected, as in 30s, 200ms, 50us or 800ns",
        ),
    ] {
        refused(arguments, 2, line);
    }
    let output = lastack("loopback --json /nowhere/at/all.json");
    assert_eq!(output.status.code(), Some(2));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(messages.starts_with("lastack: --json /nowhere/at/all.json: cannot be written: "));
    let output = lastack("-l 0 -- loopback --address 198.18.0.0/24 --address 198.18.0.2/24");
    assert_eq!(output.status.code(), Some(2));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(messages.contains("address 198.18.0.0/24 cannot be an interface's"), "{messages}");
}
