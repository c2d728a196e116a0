//! The program itself, end to end over ring ports: no NIC, no privilege, hugepages only if there are
//! some.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
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
    let report =
        serde_json::from_slice(&output.stdout).expect("the standard output is the result alone");
    if let Err(why) = against_the_schema(&report) {
        panic!("{arguments}: {why}");
    }
    report
}

/// Every result is as docs/result.schema.json says.
fn against_the_schema(report: &Value) -> Result<(), String> {
    let schema = serde_json::from_str(include_str!("../docs/result.schema.json")).unwrap();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("result.schema.json", schema).unwrap();
    let index = compiler.compile("result.schema.json", &mut schemas).unwrap();
    schemas.validate(report, index).map_err(|error| error.to_string())
}

/// The schema is one that a wrong result fails.
#[test]
fn a_result_that_lacks_something_is_not_as_the_schema_says() {
    let whole = report("loopback --workload rr --rate 1k --duration 500ms --stats-period 200ms");
    let without = |path: &str| {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut report = whole.clone();
        let parent = report.pointer_mut(parent).and_then(Value::as_object_mut).expect(path);
        parent.remove(key).expect(path);
        report
    };
    for path in [
        "/schema",
        "/latency",
        "/errors",
        "/connections/peak",
        "/service/p99_9",
        "/client",
        "/server/tcp",
        "/client/cycles/busy",
        "/server/time_wait/rst_ignored",
        "/intervals/0/p99",
    ] {
        assert!(against_the_schema(&without(path)).is_err(), "{path}");
    }
    let mut other = whole.clone();
    other["schema"] = 2.into();
    assert!(against_the_schema(&other).is_err());
    other["schema"] = 1.into();
    other["dpdk"] = 22.11.into();
    assert!(against_the_schema(&other).is_err());
    other.as_object_mut().unwrap().remove("dpdk"); // of a build without it, or an older one
    assert_eq!(against_the_schema(&other), Ok(()));
    let mut more = whole.clone();
    more["more"] = "may stand beside".into();
    assert!(against_the_schema(&more).is_ok());
    // the result of one side, as `server` and `client` write it
    let mut one = whole["client"].as_object().unwrap().clone();
    for (key, value) in whole.as_object().unwrap() {
        if key != "client" && key != "server" {
            one.entry(key).or_insert(value.clone());
        }
    }
    one["command"] = "client".into();
    assert_eq!(against_the_schema(&one.clone().into()), Ok(()));
    one.remove("tcp");
    assert!(against_the_schema(&one.into()).is_err());
}

/// `--version` and the result name the same DPDK, `-V` only the program.
#[test]
fn dpdk_is_named() {
    let said = |option: &str| String::from_utf8(lastack(option).stdout).unwrap();
    let own = concat!("lastack ", env!("CARGO_PKG_VERSION"));
    assert_eq!(said("-V"), format!("{own}\n"));
    let report = report("loopback --workload rr --duration 200ms --stats-period 0");
    let dpdk = report["dpdk"].as_str().expect("the version of DPDK");
    assert!(dpdk.starts_with(|first: char| first.is_ascii_digit()) && dpdk.contains('.'), "{dpdk}");
    let version = said("--version");
    // another may be loaded than the one that was built against, and then both are told
    assert!(version.starts_with(&format!("{own}, DPDK {dpdk}")), "{version}");
    assert_eq!(version.lines().count(), 1, "{version}");
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn crr_ends_every_connection_and_the_server_has_the_time_wait() {
    let report = report("loopback --workload crr --duration 1s --stats-period 0");
    let closed = count(&report, "/connections/closed");
    assert!(closed > 100, "{closed}");
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
    assert!(requests > 100, "{requests}");
    assert_eq!(count(&report, "/server/requests/completed"), requests);
}

#[test]
fn connect_opens_and_holds() {
    let report =
        report("loopback --workload connect --connections 3000 --duration 1s --stats-period 0");
    for path in ["/connections/opened", "/connections/peak", "/connections/closed"] {
        assert_eq!(count(&report, path), 3_000, "{path}");
    }
    assert_eq!(count(&report, "/server/connections/peak"), 3_000);
    assert_eq!((count(&report, "/connect/count"), count(&report, "/errors")), (3_000, 0));
    assert_eq!(count(&report, "/requests/completed"), 0);
}

/// A rate and a number of connections together: so many are open as the rate opens in the time that each
/// is held.
#[test]
fn connections_are_held_for_their_time() {
    let run = "loopback --workload connect --connections 1k --rate 2k --hold 200ms --duration 1200ms \
               --stats-period 0 --record off";
    let report = report(run);
    let opened = count(&report, "/connections/opened");
    let due = 2_000.0 * report["duration_s"].as_f64().unwrap();
    let begun = (opened + count(&report, "/requests/not_started")) as f64;
    assert!((due * 0.85..due * 1.25 + 400.0).contains(&begun), "{begun} of {due}");
    assert_eq!(count(&report, "/connections/closed"), opened);
    let peak = count(&report, "/connections/peak");
    assert!((380..=1_000).contains(&peak), "{peak}");
    assert_eq!(count(&report, "/server/connections/closed"), opened);
    for path in ["/connect/count", "/close/count", "/errors"] {
        assert_eq!(count(&report, path), 0, "{path}");
    }
}

/// When all connections are there, a rate has nothing more to do.
#[test]
fn a_rate_of_connections_that_stay_ends_with_the_last() {
    let run =
        "loopback --workload connect --connections 500 --rate 5k --duration 3s --stats-period 0";
    let report = report(run);
    assert_eq!(count(&report, "/connections/opened"), 500);
    assert_eq!(count(&report, "/requests/not_started"), 0);
    assert_eq!(count(&report, "/behind/count"), 500);
    let overhead = |name| report["overhead"][name].as_f64().unwrap();
    for figure in ["clock_ns", "record_ns", "idle_turn_ns", "turn_ns"] {
        assert!((0.5..1e6).contains(&overhead(figure)), "{figure} {}", overhead(figure));
    }
}

/// Rates and connections grow from nothing: the first of four quarters does an eighth of a quarter's.
#[test]
fn a_ramp_is_climbed() {
    let ramp = 1.2;
    let run = "loopback --duration 2s --stats-period 300ms --ramp 1200ms";
    for options in ["--workload rr --rate 8k", "--workload connect --connections 4000"] {
        let report = report(&format!("{run} {options}"));
        let open_loop = options.contains("rr");
        // what may have been begun by a time of the run, which engines begin a little before it is counted
        let due = |seconds: f64| {
            let (climbing, after) = (seconds.min(ramp), (seconds - ramp).max(0.0));
            match open_loop {
                true => 8_000.0 * (climbing * climbing / (2.0 * ramp) + after),
                false => 4_000.0 * climbing / ramp,
            }
        };
        let (mut done, mut all) = (0.0, Vec::new());
        for row in report["intervals"].as_array().unwrap() {
            let figure = |name: &str| row[name].as_f64().unwrap();
            let rate = figure("requests_per_s") * f64::from(u8::from(open_loop));
            let rate = if open_loop { rate } else { figure("connections_per_s") };
            done += rate * figure("span_s");
            all.push((figure("end_s"), done));
            assert!(done <= due(figure("end_s") + 0.2), "{options}: {all:?}");
        }
        assert_eq!(count(&report, "/errors"), 0);
        let done = match open_loop {
            true => count(&report, "/requests/completed") + count(&report, "/requests/not_started"),
            false => count(&report, "/connections/established"),
        };
        let wanted = due(report["duration_s"].as_f64().unwrap());
        assert!(done as f64 >= wanted * 0.98, "{options}: {done} of {wanted}");
    }
}

#[test]
fn streams_go_where_they_are_told() {
    for (direction, sends, receives) in
        [("send", true, false), ("receive", false, true), ("both", true, true)]
    {
        let report = report(&format!(
            "loopback --workload stream --direction {direction} --connections 2 --duration 500ms \
             --stats-period 0"
        ));
        let bytes = |path| count(&report, path) > 1_000_000;
        assert_eq!((bytes("/bytes/sent"), bytes("/bytes/received")), (sends, receives));
        assert_eq!(count(&report, "/connections/closed"), 2, "{direction}");
        assert_eq!(count(&report, "/errors"), 0, "{direction}");
        // all that was sent has been received, when all is over
        let (client, server) = (&report["client"]["bytes"], &report["server"]["bytes"]);
        assert_eq!(client["sent"], server["received"], "{direction}");
        assert_eq!(client["received"], server["sent"], "{direction}");
    }
}

#[test]
fn http_is_spoken_on_both_sides() {
    let base = "loopback --workload http --duration 500ms --stats-period 0 --connections 8";
    let kept = report(&format!("{base} --path /bytes/1000 --pipeline 2"));
    let requests = count(&kept, "/requests/completed");
    assert!(requests > 100, "{requests}");
    assert_eq!((count(&kept, "/connections/opened"), count(&kept, "/errors")), (8, 0));
    assert_eq!(count(&kept, "/server/requests/completed"), requests);
    assert!(count(&kept, "/bytes/received") > 1_000 * requests);
    let nothing = format!("{base} --path /nothing --requests-per-connection 1 --json -");
    let output = lastack(&format!("--file-prefix=lastack-test -- {nothing}"));
    assert_eq!(output.status.code(), Some(1), "no request was answered as it should be");
    let refused: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(against_the_schema(&refused), Ok(()));
    assert_eq!(refused["error"]["kind"], "error_responses");
    let told = String::from_utf8_lossy(&output.stderr);
    let line = format!("lastack: {}", refused["error"]["message"].as_str().unwrap());
    assert_eq!(told.lines().last(), Some(line.as_str()));
    let requests = count(&refused, "/requests/completed");
    assert_eq!(count(&refused, "/requests/refused"), requests);
    assert_eq!(count(&refused, "/errors"), requests);
    // the latest connections may have been stopped before their request
    let idle = count(&refused, "/connections/closed") - requests;
    assert!(idle <= 8, "{idle}");
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
    // all that was due after the warm-up, however long a stall has made the run
    let due = 2_000.0 * report["duration_s"].as_f64().unwrap();
    let waited = count(&report, "/requests/not_started");
    let (least, most) = (due * 0.85, due * 1.15 + 400.0);
    assert!(
        ((least as u64).saturating_sub(waited)..most as u64).contains(&latency),
        "{latency} of {due}"
    );
    assert_eq!(latency, service);
    let p50 = |name: &str| count(&report, &format!("/{name}/p50"));
    assert!(p50("latency") >= p50("service"), "waiting is a part of latency");
    assert!(count(&report, "/requests/completed") > latency, "the warm-up is counted apart");
    assert!(plot.lines().last().unwrap().starts_with("#[Buckets"));
}

#[test]
fn a_criterion_that_is_missed_is_an_exit_status() {
    let run = |expect: &str| {
        let command = "loopback --workload rr --duration 300ms --stats-period 0 --json -";
        lastack(&format!("--file-prefix=lastack-test -- {command} {expect}"))
    };
    let met = "--expect errors==0 --expect service.p50<1s --expect server.cycles.busy<=100%";
    assert!(run(met).status.success());
    let missed = run("--expect errors==0 --expect service.p99<1ns --expect connect.count>1G");
    assert_eq!(missed.status.code(), Some(3));
    let messages = String::from_utf8_lossy(&missed.stderr);
    let last = messages.lines().last().unwrap();
    assert_eq!(last, "lastack: missed: service.p99<1ns, connect.count>1G");
    assert!(messages.lines().any(|line| line.starts_with("expect      errors==0: 0, met")));
    let report: Value = serde_json::from_slice(&missed.stdout).unwrap();
    assert_eq!(report["expect"][0]["met"], true);
    assert_eq!(report["expect"][1]["met"], false);
    assert_eq!(report["expect"][1]["value"].as_f64(), report["service"]["p99"].as_f64());
}

/// Rates over time stand in the result, in a file of values, and as a log of histograms; together they
/// say what the whole says.
#[test]
fn intervals_add_up_to_the_whole() {
    let directory = std::env::temp_dir().join(format!("lastack-intervals-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (hlog, csv) = (directory.join("run.hlog"), directory.join("run.csv"));
    let report = report(&format!(
        "loopback --workload rr --rate 2k --duration 1100ms --warmup 200ms --stats-period 250ms \
         --hlog {} --csv {}",
        hlog.display(),
        csv.display()
    ));
    let (log, values) = (std::fs::read(&hlog).unwrap(), std::fs::read_to_string(&csv).unwrap());
    std::fs::remove_dir_all(&directory).unwrap();

    let rows = report["intervals"].as_array().unwrap();
    // a stall makes an interval longer, and then there are fewer
    assert!((2..=5).contains(&rows.len()), "{rows:?}");
    assert_eq!(values.lines().count(), rows.len() + 1);
    assert!(values.starts_with("end_s,span_s,connections_per_s"));
    let of_row = |row: &Value, name: &str| row[name].as_f64().unwrap();
    let done: f64 =
        rows.iter().map(|row| of_row(row, "requests_per_s") * of_row(row, "span_s")).sum();
    let completed = count(&report, "/requests/completed") as f64;
    assert!((completed * 0.7..=completed * 1.01).contains(&done), "{done} of {completed}");
    let (mut counts, mut longest) = ([0, 0], 0);
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.expect("the log can be read") else { continue };
        let octets = STANDARD.decode(interval.encoded_histogram()).unwrap();
        let read: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut octets.as_slice()).unwrap();
        let tag = interval.tag().unwrap();
        match tag.as_str() {
            "latency" => counts[0] += read.len(),
            "service" => {
                counts[1] += read.len();
                longest = longest.max(read.max());
            }
            _ => {}
        }
    }
    assert_eq!(counts, [count(&report, "/latency/count"), count(&report, "/service/count")]);
    assert_eq!(longest, count(&report, "/service/max"));
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

#[test]
fn the_doctor_looks_at_this_machine() {
    let well = lastack("doctor --profile ring");
    let shown = String::from_utf8_lossy(&well.stdout).into_owned();
    assert!(well.status.success() && well.stderr.is_empty(), "{shown}");
    assert!(shown.starts_with("machine\n") && shown.contains("\nprofile ring\n"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("processor")), "{shown}");
    let all = lastack("doctor");
    let shown = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(all.status.success(), "{shown}");
    for profile in ["ring", "tap", "af_packet", "af_xdp", "memif", "pci"] {
        assert!(shown.contains(&format!("profile {profile}\n")), "{shown}");
    }
    let file = std::env::temp_dir().join(format!("lastack-doctor-{}.toml", std::process::id()));
    let ring = std::fs::read_to_string("dpdk-config/tap.toml").unwrap();
    let pci = ring
        .replace("kind = \"vdev\"", "kind = \"probed\"")
        .replace("net_tap0,iface=lastack0", "ffff:ff:1f.7");
    std::fs::write(&file, pci).unwrap();
    let ill = lastack(&format!("doctor --profile {}", file.display()));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ill.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&ill.stdout).into_owned();
    assert!(shown.contains("MISSING ffff:ff:1f.7: there is no such device"), "{shown}");
    let told = String::from_utf8_lossy(&ill.stderr);
    assert_eq!(told, "lastack: profile tap cannot run here: 1 missing, see above\n");
}

#[test]
fn cookies_make_all_connections() {
    let run = "loopback --workload crr --client-addresses 198.19.0.0/20 --duration 1s --stats-period 0 \
               --syn-cookies";
    let report = report(&format!("{run} always"));
    let closed = count(&report, "/connections/closed");
    assert!(closed > 100, "{closed}");
    assert_eq!(count(&report, "/connections/failed") + count(&report, "/connections/reset"), 0);
    assert_eq!(count(&report, "/server/syn/cookies_sent"), count(&report, "/server/syn/received"));
    assert_eq!(count(&report, "/server/syn/cookies_accepted"), closed);
    assert_eq!(count(&report, "/server/syn/cookies_rejected"), 0);
    assert_eq!(count(&report, "/server/syn/cache_peak"), 0);
    assert_eq!(count(&report, "/server/tcp/SyncookiesRecv"), closed);
}
