//! What the prompt shows of what engines tell: connections as `ss -ti` has them, neighbours, routes.

use crate::cli::prompt::STATES;
use crate::engine::{Listed, TcpInfo, Told};
use crate::measure::histogram::human_duration;
use crate::net::neighbour::State;
use core::fmt::Write;

/// Lines for what an engine of the side `name` told.
pub fn show(name: &str, told: &Told) -> String {
    let mut out = String::new();
    // a string takes all that is written
    match told {
        Told::Connections(listed, more) => {
            let shown = listed.len();
            let more = if *more { ", and there are more: limit N shows them" } else { "" };
            let _ = writeln!(out, "{name}: {shown} connections{more}");
            listed.iter().for_each(|listed| connection(&mut out, listed));
        }
        Told::Neighbours(list) => {
            let _ = writeln!(out, "{name}");
            for (ip, station, state) in list {
                let station = station.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
                let _ = writeln!(out, "  {ip:<40} {station:<18} {}", word(*state));
            }
        }
        Told::Routes(hops) => {
            let _ = writeln!(out, "{name}");
            for hop in hops {
                let _ = match hop.via {
                    None => writeln!(out, "  {} on the link", hop.to),
                    Some(via) => writeln!(out, "  {} by way of {via}", hop.to),
                };
            }
        }
    }
    out
}

const fn word(state: State) -> &'static str {
    match state {
        State::Permanent => "permanent",
        State::Reachable => "reachable",
        State::Stale => "stale",
        State::Delay => "to be asked",
        State::Probing => "asked again",
        State::Incomplete => "asked",
        State::Unreachable => "does not answer",
    }
}

fn connection(out: &mut String, listed: &Listed) {
    let Listed { local, remote, info } = listed;
    let state = STATES.iter().find(|(_, state)| *state == info.state).map_or("-", |(name, _)| name);
    let unsent = info.unacked + info.notsent_bytes;
    let _ = writeln!(out, "  {state:<12} {:>8} {unsent:>8}  {local} {remote}", info.unread);
    let TcpInfo { rtt, rttvar, rto, snd_mss, snd_cwnd, snd_ssthresh, unacked, .. } = *info;
    let _ = write!(out, "     ");
    for (is, name) in [
        (info.timestamps, "ts"),
        (info.sack, "sack"),
        (info.ecn, "ecn"),
        (info.recovering, "recovering"),
    ] {
        let _ = if is { write!(out, " {name}") } else { Ok(()) };
    }
    if let Some((theirs, ours)) = info.window_scale {
        let _ = write!(out, " wscale:{theirs},{ours}");
    }
    let (rtt, rttvar, rto) = (human_duration(rtt), human_duration(rttvar), human_duration(rto));
    let _ = write!(out, " rto:{rto} rtt:{rtt}/{rttvar} mss:{snd_mss} cwnd:{snd_cwnd}");
    if snd_ssthresh != u32::MAX {
        let _ = write!(out, " ssthresh:{snd_ssthresh}");
    }
    let _ = write!(out, " unacked:{unacked} snd_wnd:{} rcv_wnd:{}", info.snd_wnd, info.rcv_wnd);
    for (count, name) in [
        (info.notsent_bytes, "notsent"),
        (info.reassembly_bytes, "out_of_order"),
        (info.sacked, "sacked"),
        (info.lost, "lost"),
        (info.retransmits.into(), "retrans"),
        (info.backoff.into(), "backoff"),
        (info.probes.into(), "probes"),
    ] {
        let _ = if count > 0 { write!(out, " {name}:{count}") } else { Ok(()) };
    }
    out.push('\n');
}
