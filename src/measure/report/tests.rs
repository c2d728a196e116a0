use super::*;
use serde_json::Value;

fn side() -> Side {
    Side {
        drops: BTreeMap::from([("checksum".to_owned(), 1)]),
        tcp: BTreeMap::from([("RetransSegs".to_owned(), 2)]),
        ..Side::default()
    }
}

fn report() -> Report {
    Report {
        command: "client".to_owned(),
        workload: "crr".to_owned(),
        profile: "ring".to_owned(),
        cores: 1,
        duration_s: 5.0,
        pacing: Pacing::Open,
        side: Some(side()),
        ..Report::blank()
    }
}

#[track_caller]
fn has(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object.get(key).is_some(), "{key} is missing in {object}");
    }
}

const TOP: &[&str] = &[
    "schema",
    "version",
    "command",
    "workload",
    "profile",
    "cores",
    "duration_s",
    "loop",
    "connections",
    "requests",
    "bytes",
    "latency",
    "service",
    "connect",
    "close",
    "errors",
];
const SIDE: &[&str] = &["packets", "cycles", "time_wait", "syn", "handled", "drops", "tcp"];

fn has_side_keys(object: &Value) {
    has(object, SIDE);
    has(&object["packets"], &["rx", "tx", "rx_per_s", "tx_per_s"]);
    has(&object["cycles"], &["tsc_hz", "busy", "per_packet", "per_request", "per_connection"]);
    has(
        &object["time_wait"],
        &[
            "current",
            "peak",
            "entered",
            "expired",
            "reused",
            "recycled",
            "rst_ignored",
            "fin_reacked",
            "bytes_per_entry",
        ],
    );
    has(
        &object["syn"],
        &[
            "received",
            "cookies_sent",
            "cookies_accepted",
            "cookies_rejected",
            "cache_current",
            "cache_overflow",
        ],
    );
    assert_eq!(object["drops"]["checksum"], 1);
    assert_eq!(object["tcp"]["RetransSegs"], 2);
}

#[test]
fn keys_of_one_side() {
    let value = serde_json::to_value(report()).unwrap();
    has(&value, TOP);
    has_side_keys(&value);
    assert_eq!(value["schema"], 1);
    assert_eq!(value["loop"], "open");
    has(
        &value["connections"],
        &["opened", "established", "closed", "failed", "reset", "per_s", "peak"],
    );
    has(&value["requests"], &["completed", "per_s"]);
    has(&value["bytes"], &["sent", "received", "sent_per_s", "received_per_s"]);
    for histogram in ["latency", "service", "connect", "close"] {
        has(
            &value[histogram],
            &["count", "min", "mean", "p50", "p90", "p99", "p99_9", "p99_99", "max"],
        );
    }
    assert!(value.get("client").is_none() && value.get("server").is_none());
}

#[test]
fn keys_of_both_sides() {
    let sides = LoopbackSide { side: side(), ..LoopbackSide::default() };
    let both = Report {
        side: None,
        client: Some(sides.clone()),
        server: Some(sides),
        latency: None,
        pacing: Pacing::Closed,
        ..report()
    };
    let value = serde_json::to_value(both).unwrap();
    has(&value, TOP);
    assert!(value["latency"].is_null(), "a closed loop has no latency from intended starts");
    assert!(value.get("packets").is_none());
    for name in ["client", "server"] {
        has_side_keys(&value[name]);
        has(&value[name], &["connections", "requests", "bytes"]);
    }
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let mut one = report();
    one.connections.opened = 7;
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), one);
    let both = Report { client: Some(LoopbackSide::default()), side: None, ..one };
    let text = serde_json::to_string(&both).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), both);
}

/// Beside the fixed keys: results that were saved before there was one are read as well.
#[test]
fn dpdk_is_named_where_there_is_one() {
    let with = Report { dpdk: Some("22.11.4".to_owned()), ..report() };
    let mut value = serde_json::to_value(&with).unwrap();
    assert_eq!(value["dpdk"], "22.11.4");
    value.as_object_mut().unwrap().remove("dpdk");
    let without: Report = serde_json::from_value(value).unwrap();
    assert_eq!(without, Report { dpdk: None, ..with });
    assert!(serde_json::to_value(&without).unwrap().get("dpdk").is_none());
    assert_eq!(report().dpdk.is_some(), cfg!(feature = "dpdk"));
}

#[test]
fn cycles_are_of_the_window() {
    let window = Totals {
        connections: 10,
        requests: 20,
        packets_rx: 30,
        packets_tx: 70,
        busy_cycles: 1_000,
        total_cycles: 4_000,
        ..Totals::default()
    };
    let cycles = Cycles::of(&window, 2_600_000_000);
    assert_eq!((cycles.busy, cycles.per_packet), (0.25, 10.0));
    assert_eq!((cycles.per_request, cycles.per_connection), (50.0, 100.0));
    assert_eq!(Cycles::of(&Totals::default(), 1).per_request, 0.0);
}
