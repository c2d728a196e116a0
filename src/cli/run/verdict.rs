//! Was that a run at all? One in which every connection or every request failed is not.

use super::rig::Drained;
use crate::app::workload::{CloseBy, Trouble};
use crate::cli::load_args::{LoadArgs, Workload};
use crate::engine::Error;
use crate::measure::Report;
use crate::measure::report::{Connections, Requests, RunError};
use core::net::SocketAddr;

/// Why the run of this report failed; `None` if something of it succeeded, or nothing was due in it.
/// `trouble` is why the latest connection failed.
pub fn of(
    report: &Report,
    load: &LoadArgs,
    remote: Option<SocketAddr>,
    trouble: Option<Trouble>,
    drained: Drained,
) -> Option<RunError> {
    let server = remote.map_or_else(|| "the server".to_owned(), |remote| remote.to_string());
    let latest = trouble.map_or_else(String::new, |error| format!(", the latest one: {error}"));
    let Connections { opened, established, failed, reset, .. } = report.connections;
    let Requests { completed, not_started, refused, .. } = report.requests;
    if opened > 0 && established == 0 {
        return Some(no_connection(report, &server, trouble));
    }
    let asks = matches!(load.workload, Workload::Crr | Workload::Rr | Workload::Http);
    if asks && completed == 0 && (report.bytes.sent > 0 || not_started > 0) {
        let why = match (drained.silence, trouble) {
            (Some(silence), _) => format!("none came for {:.1} s", silence.as_secs_f64()),
            (None, Some(error)) => format!("the latest connection: {error}"),
            (None, None) => format!("{established} connections were established"),
        };
        let message = format!("{server} answered no request: {why}");
        return Some(RunError::new("no_response", message));
    }
    if completed > 0 && refused == completed {
        let message = format!("{server} answered all {completed} requests with an error");
        return Some(RunError::new("error_responses", message));
    }
    let asked_for = if load.close() == CloseBy::Reset { reset } else { 0 };
    let lost = failed + reset - asked_for;
    // those that were cut off by our own limit had not failed yet
    let cut_off = drained.given_up > 0 && drained.silence.is_none();
    if opened > 0 && lost >= opened && !cut_off {
        let message = match opened {
            1 => format!("the only connection to {server} failed{latest}"),
            _ => format!("all {opened} connections to {server} failed{latest}"),
        };
        return Some(RunError::new("connections_lost", message));
    }
    None
}

/// No connection was established: as far as it is known, why.
fn no_connection(report: &Report, server: &str, trouble: Option<Trouble>) -> RunError {
    let side = report.client.as_ref().map(|client| &client.side).or(report.side.as_ref());
    let count = |name: &str| side.and_then(|side| side.tcp.get(name)).copied().unwrap_or(0);
    let (heard, sent) = (count("InSegs"), count("OutSegs"));
    if heard == 0 && sent > 0 {
        return RunError::new("no_answer", format!("no answer from {server} to {sent} SYNs"));
    }
    let why = match trouble {
        // given up at the end of the run, before it was given up by itself
        None | Some(Trouble::Connection(Error::Aborted | Error::TimedOut)) if sent == 0 => {
            ": no neighbour answered for it (ARP, neighbour discovery)".to_owned()
        }
        None => String::new(),
        Some(error) => format!(": {error}"),
    };
    RunError::new("no_connection", format!("no connection to {server} was established{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use crate::cli::{Request, parse};
    use core::time::Duration;

    fn load(options: &str) -> LoadArgs {
        let line = format!("lastack loopback {options}");
        match parse(line.split_whitespace().map(Into::into)) {
            Ok(Request::Run(_, command)) => match *command {
                Command::Loopback(loopback) => loopback.load,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// A report of so many connections (opened, established, failed, reset) and requests (completed,
    /// refused, not started); 100 octets were sent on each that was established.
    fn report(connections: [u64; 4], requests: [u64; 3]) -> Report {
        let mut report = Report::blank();
        let of = &mut report.connections;
        [of.opened, of.established, of.failed, of.reset] = connections;
        let of = &mut report.requests;
        [of.completed, of.refused, of.not_started] = requests;
        report.bytes.sent = report.connections.established * 100;
        report
    }

    fn said(options: &str, report: &Report, trouble: Option<Error>, drained: Drained) -> String {
        let remote = "198.18.0.2:80".parse().ok();
        let error = of(report, &load(options), remote, trouble.map(Trouble::Connection), drained);
        error.map_or_else(String::new, |RunError { kind, message }| format!("{kind}: {message}"))
    }

    #[test]
    fn a_run_without_anything_good_has_failed() {
        let (rr, connect) = ("--workload rr", "--workload connect");
        let none = Drained::default();
        let gone = Drained { silence: Some(Duration::from_secs(4)), given_up: 1 };
        let cut = Drained { silence: None, given_up: 5 };
        for (options, counts, trouble, drained, told) in [
            (rr, ([5, 5, 0, 0], [9, 0, 0]), None, none, ""),
            (
                rr,
                ([5, 5, 0, 0], [0, 0, 7]),
                None,
                none,
                "no_response: 198.18.0.2:80 answered no request: 5 connections were established",
            ),
            (
                rr,
                ([5, 5, 0, 0], [0, 0, 0]),
                None,
                gone,
                "no_response: 198.18.0.2:80 answered no request: none came for 4.0 s",
            ),
            (
                rr,
                ([5, 5, 5, 0], [0, 0, 0]),
                Some(Error::TimedOut),
                none,
                "no_response: 198.18.0.2:80 answered no request: the latest connection: connection timed out: the peer did not answer",
            ),
            (rr, ([0, 0, 0, 0], [0, 0, 0]), None, none, ""),
            (
                rr,
                ([1, 1, 0, 0], [4, 4, 0]),
                None,
                none,
                "error_responses: 198.18.0.2:80 answered all 4 requests with an error",
            ),
            (rr, ([1, 1, 0, 0], [4, 3, 0]), None, none, ""),
            (
                rr,
                ([2, 2, 0, 2], [4, 0, 0]),
                None,
                none,
                "connections_lost: all 2 connections to 198.18.0.2:80 failed",
            ),
            (
                rr,
                ([1, 1, 1, 0], [4, 0, 0]),
                Some(Error::Aborted),
                gone,
                "connections_lost: the only connection to 198.18.0.2:80 failed, the latest one: connection aborted by this side",
            ),
            (rr, ([5, 5, 0, 5], [4, 0, 0]), None, cut, ""),
            (rr, ([3, 3, 0, 2], [4, 0, 0]), None, none, ""),
            (
                connect,
                ([5, 0, 5, 0], [0, 0, 0]),
                Some(Error::Refused),
                none,
                "no_connection: no connection to 198.18.0.2:80 was established: connection refused: nothing listens at that address and port",
            ),
            (
                connect,
                ([5, 0, 0, 0], [0, 0, 0]),
                Some(Error::Aborted),
                none,
                "no_connection: no connection to 198.18.0.2:80 was established: no neighbour answered for it (ARP, neighbour discovery)",
            ),
            (connect, ([5, 5, 0, 0], [0, 0, 0]), None, none, ""),
            ("--workload connect --close reset", ([5, 5, 0, 5], [0, 0, 0]), None, none, ""),
        ] {
            let (connections, requests) = counts;
            let report = report(connections, requests);
            assert_eq!(said(options, &report, trouble, drained), told, "{options} {counts:?}");
        }
        let mut silent = report([5, 0, 5, 0], [0, 0, 0]);
        silent.side.as_mut().unwrap().tcp.insert("OutSegs".to_owned(), 15);
        let told = "no_answer: no answer from 198.18.0.2:80 to 15 SYNs";
        assert_eq!(said(rr, &silent, Some(Error::TimedOut), none), told);
    }
}
