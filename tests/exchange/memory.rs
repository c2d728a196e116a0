//! Buffer memory that is shared: what one connection may hold, and who is told when some is free.

use crate::*;
use lastack::engine::{Config, Error};
use lastack::wire::options::Options;

/// Little memory: 32 chunks of 2,048 octets, of which writes leave six.
fn small() -> Config {
    let mut config = plain();
    config.limits.buffer_bytes = 1 << 16;
    config.tcp.send_buffer = 1 << 16;
    config.tcp.receive_buffer = 1 << 15;
    config.tcp.receive_window = 1 << 15;
    config
}

/// The peer connects from this port and never opens its window.
fn connects_shut(tcp: &mut Exchange, port: u16) {
    tcp.use_remote_port(port);
    tcp.receives(syn().seq(300).mss(1_460).win(0));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).win(0));
    tcp.accepts();
}

/// Connections of peers that never read, which hold all that they are given.
fn hoard(tcp: &mut Exchange, ports: core::ops::Range<u16>) {
    for port in ports {
        connects_shut(tcp, port);
        let conn = tcp.conn();
        while tcp.engine.write(conn, &[1; 1_000]).is_ok() {}
        agrees(tcp);
    }
}

/// A handle is writable exactly if a write takes something.
fn agrees(tcp: &mut Exchange) {
    let conn = tcp.conn();
    let writable = tcp.engine.readiness(conn).unwrap().writable;
    let room = tcp.engine.write(conn, b"x");
    assert_eq!(writable, room == Ok(1), "{room:?}");
    assert!(writable || room == Err(Error::WouldBlock), "{room:?}");
    assert_eq!(tcp.engine.stuck(), None);
}

fn clear_ready(tcp: &mut Exchange) {
    while tcp.engine.next_ready().is_some() {}
}

/// A write that finds no memory, with nothing in flight whose ACK could tell of room.
#[test]
fn a_writer_is_told_of_memory_that_another_has_freed() {
    let mut tcp = Exchange::listening(small());
    hoard(&mut tcp, 1_000..1_006);
    tcp.use_remote_port(2_000).handshake();
    let victim = tcp.conn();
    assert_eq!(tcp.engine.write(victim, b"answer"), Err(Error::WouldBlock));
    assert!(!tcp.engine.readiness(victim).unwrap().writable);
    assert_eq!(tcp.engine.unacked(victim), Ok(0));
    assert_eq!(tcp.engine.stuck(), None);
    assert!(tcp.counters().send_no_memory.get() > 0);
    clear_ready(&mut tcp);
    // the peer of a hoarder has gone
    tcp.use_remote_port(1_000).receives(rst().seq(301));
    tcp.at(0);
    let told: Vec<_> = core::iter::from_fn(|| tcp.engine.next_ready()).collect();
    assert!(told.contains(&victim), "{told:?}");
    tcp.use_remote_port(2_000);
    assert!(tcp.engine.readiness(victim).unwrap().writable);
    tcp.write("answer");
    tcp.sends(data("answer").seq(101).ack(301));
}

/// The same for one that the peer has closed already: it would stay in CLOSE-WAIT for ever.
#[test]
fn a_writer_in_close_wait_is_told_too() {
    let mut tcp = Exchange::listening(small());
    hoard(&mut tcp, 1_000..1_006);
    tcp.use_remote_port(2_000).handshake();
    let victim = tcp.conn();
    tcp.receives(fin().seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302));
    assert_eq!(tcp.engine.write(victim, b"answer"), Err(Error::WouldBlock));
    assert_eq!(tcp.engine.stuck(), None);
    clear_ready(&mut tcp);
    // the application gives a hoarder up
    tcp.use_remote_port(1_001);
    let hoarder = tcp.conn();
    tcp.engine.abort(hoarder).unwrap();
    tcp.sends(rst_ack().seq(101).ack(301));
    tcp.at(0);
    let told: Vec<_> = core::iter::from_fn(|| tcp.engine.next_ready()).collect();
    assert!(told.contains(&victim), "{told:?}");
    tcp.use_remote_port(2_000).write("answer");
    tcp.sends(data("answer").seq(101).ack(302));
}

/// An ACK that would give room in the send buffer, while others have taken the memory meanwhile.
#[test]
fn an_ack_that_finds_no_memory_is_not_the_last_chance() {
    let mut config = small();
    config.tcp.send_buffer = 2_048;
    let mut tcp = Exchange::listening(config);
    tcp.use_remote_port(2_000).handshake();
    let victim = tcp.conn();
    assert_eq!(tcp.engine.write(victim, &[1; 3_000]), Ok(2_048));
    tcp.sends(data([1; 1_460]).without_psh().seq(101).ack(301));
    hoard(&mut tcp, 1_000..1_030);
    clear_ready(&mut tcp);
    tcp.use_remote_port(2_000).receives(ack().seq(301).ack(1_561));
    let rest = tcp.sent_segments();
    assert_eq!(rest.len(), 1);
    tcp.receives(ack().seq(301).ack(2_149));
    hoard(&mut tcp, 1_030..1_032); // what that has freed is gone at once
    tcp.use_remote_port(2_000);
    agrees(&mut tcp);
    for port in 1_000..1_008 {
        tcp.use_remote_port(port).receives(rst().seq(301));
    }
    tcp.use_remote_port(2_000).at(0);
    let told: Vec<_> = core::iter::from_fn(|| tcp.engine.next_ready()).collect();
    assert!(told.contains(&victim), "{told:?}");
    assert!(tcp.engine.readiness(victim).unwrap().writable);
}

/// However many never read, the next one is served at a good rate.
#[test]
fn hoarders_leave_a_share_to_others() {
    let mut config = plain();
    config.limits.buffer_bytes = 1 << 20;
    config.tcp.send_buffer = 1 << 18;
    let mut tcp = Exchange::listening(config);
    hoard(&mut tcp, 1_000..1_040);
    assert_eq!(tcp.counters().memory_pressures.get(), 1);
    assert!(tcp.counters().send_share.get() >= 36);
    tcp.use_remote_port(2_000).handshake();
    let (victim, mut seq, body) = (tcp.conn(), 101, [2; 8_192]);
    for _ in 0..20 {
        assert_eq!(tcp.engine.write(victim, &body), Ok(body.len()), "its share is free again");
        let mut left = body.len() as u32;
        while left > 0 {
            let sent: u32 = tcp.sent_segments().iter().map(|s| s.payload.len() as u32).sum();
            assert!(sent > 0, "{left} octets wait");
            (seq, left) = (seq + sent, left - sent);
            tcp.receives(ack().seq(301).ack(seq));
        }
    }
}

/// With memory in plenty a single connection has its whole buffers.
#[test]
fn without_hoarders_there_is_no_share() {
    let mut config = plain();
    config.limits.buffer_bytes = 1 << 21;
    let mut tcp = Exchange::listening(config);
    connects_shut(&mut tcp, 1_000);
    let conn = tcp.conn();
    assert_eq!(tcp.engine.write(conn, &vec![1; 1 << 21]), Ok(1 << 20));
    assert_eq!(tcp.counters().memory_pressures.get(), 0);
    assert_eq!(tcp.counters().send_share.get(), 0);
}

/// What the application does not read is bounded by the share, the right edge never moves left, and
/// what is dropped is taken later.
#[test]
fn unread_octets_are_bounded_by_the_share() {
    let mut tcp = Exchange::listening(small());
    hoard(&mut tcp, 1_000..1_003);
    tcp.use_remote_port(2_000).handshake();
    let (mut seq, mut edge) = (301, 0);
    let mut dropped = false;
    for _ in 0..20 {
        tcp.receives(data([3; 1_460]).seq(seq).ack(101));
        for answer in tcp.sent_segments() {
            let announced = answer.ack + u32::from(answer.window.unwrap());
            assert!(announced >= edge, "the right edge has moved left");
            edge = announced;
            dropped |= answer.ack == seq;
        }
        if dropped {
            break;
        }
        seq += 1_460;
    }
    assert!(dropped, "its share ends");
    assert_eq!(tcp.counters().rcvq_drop.get(), 1);
    let conn = tcp.conn();
    let unread = tcp.engine.unread(conn).unwrap();
    assert!((2_048..=8_192).contains(&unread), "{unread} octets are unread");
    while tcp.read().is_ok() {}
    tcp.sent_segments();
    tcp.receives(data([3; 1_460]).seq(seq).ack(101));
    assert_eq!(tcp.engine.unread(conn), Ok(1_460));
    tcp.sent_segments();
}

/// A window that scarce memory keeps smaller than a segment grows again when memory is free, though
/// nothing arrives.
#[test]
fn a_window_opens_when_memory_is_free() {
    let mut config = small();
    config.interface.mtu = 9_000;
    let mut tcp = Exchange::listening(config);
    hoard(&mut tcp, 1_000..1_003);
    tcp.use_remote_port(2_000);
    tcp.receives(syn().seq(300).mss(8_960));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    let mut window = u16::MAX;
    for segment in 0..3 {
        tcp.receives(data([4; 8_960]).seq(301 + segment * 8_960).ack(101));
        while tcp.read().is_ok() {}
        window = tcp.sent_segments().last().and_then(|last| last.window).unwrap_or(window);
    }
    assert!(window < 8_960, "the peer has no room for a segment: {window}");
    assert_eq!(tcp.engine.stuck(), None);
    assert!(tcp.counters().receive_share.get() > 0);
    tcp.use_remote_port(1_000).receives(rst().seq(301));
    tcp.use_remote_port(2_000).at(0);
    let update = tcp.sent_segments();
    assert!(update.last().is_some_and(|ack| ack.window >= Some(17_920)), "{update:?}");
}

/// Single octets out of order on many connections do not take the descriptors of the next.
#[test]
fn descriptors_are_shared() {
    let mut config = plain();
    config.limits.reassembly_segments = 256;
    config.tcp.sack = true;
    let mut tcp = Exchange::listening(config);
    let connect = |tcp: &mut Exchange, port| {
        tcp.use_remote_port(port);
        tcp.receives(syn().seq(300).mss(1_460).options(Options {
            mss: Some(1_460),
            sack_permitted: true,
            ..Options::default()
        }));
        tcp.sent_segments();
        tcp.receives(ack().seq(301).ack(101));
        tcp.accepts();
    };
    for port in 1_000..1_010 {
        connect(&mut tcp, port);
        for octet in 0..200 {
            tcp.receives(data([5]).seq(303 + 2 * octet).ack(101));
        }
        tcp.sent_segments();
    }
    assert!(tcp.counters().ofo_share.get() > 1_000);
    let (_, held) = tcp.engine.memory_in_use();
    connect(&mut tcp, 2_000);
    for octet in 0..4 {
        tcp.receives(data([6]).seq(303 + 2 * octet).ack(101));
    }
    tcp.sent_segments();
    assert_eq!(tcp.engine.memory_in_use().1, held + 4, "all that it brought is kept");
    for seq in [304, 306, 308, 301, 302] {
        tcp.receives(data([6]).seq(seq).ack(101));
    }
    assert_eq!(tcp.sent_segments().last().unwrap().ack, 310);
    tcp.reads([6; 9]);
}
