//! Listeners: who may have an address, and how many may wait.

use crate::*;
use lastack::engine::{Error, Filter, ListenOptions, Question, Request, Told};
use lastack::tcp::{State, SynCookies};

const EXCLUSIVE: ListenOptions =
    ListenOptions { backlog: 16, reuse_address: false, msl: None, syn_cookies: None };

#[test]
fn one_listener_to_an_address() {
    let mut tcp = Exchange::listening(plain());
    let again = tcp.engine.listen(tcp.local, ListenOptions::default());
    assert_eq!(again, Err(Error::AddressInUse));
    // all addresses is another address, and the exact one has the say
    let all = tcp.engine.listen("0.0.0.0:80".parse().unwrap(), ListenOptions::default()).unwrap();
    tcp.handshake();
    assert_eq!(tcp.engine.accept(all), Err(Error::WouldBlock));
    tcp.engine.unlisten(all).unwrap();
    assert_eq!(tcp.engine.unlisten(all), Err(Error::BadHandle));
}

#[test]
fn reuse_address_is_about_time_wait() {
    let mut tcp = Exchange::established(plain());
    let listener = tcp.listener.take().unwrap();
    tcp.engine.unlisten(listener).unwrap();
    assert_eq!(tcp.engine.listen(tcp.local, EXCLUSIVE), Err(Error::AddressInUse), "alive");
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
    assert_eq!(tcp.engine.listen(tcp.local, EXCLUSIVE), Err(Error::AddressInUse), "TIME-WAIT");
    let reused = tcp.engine.listen(tcp.local, ListenOptions::default()).unwrap();
    tcp.engine.unlisten(reused).unwrap();
    tcp.at(60_002);
    tcp.listen(EXCLUSIVE).unwrap();
}

#[test]
fn a_listener_needs_an_address_of_ours() {
    let mut tcp = Exchange::new(plain());
    let mut listen = |address: &str| {
        tcp.engine.listen(address.parse().unwrap(), ListenOptions::default()).map(|_| ())
    };
    assert_eq!(listen("198.18.0.9:80"), Err(Error::AddressNotAvailable));
    assert_eq!(listen("198.18.0.1:0"), Err(Error::Invalid));
}

/// A full backlog drops the SYN: the peer sends it again, and there may be room then.
#[test]
fn backlog() {
    let mut tcp = Exchange::new(plain());
    let syn_cookies = Some(SynCookies::Off);
    let options = ListenOptions { backlog: 1, syn_cookies, ..ListenOptions::default() };
    let listener = tcp.listen(options).unwrap();
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    let (first, mut second) = (tcp.remote, tcp.remote);
    second.set_port(40_001);
    tcp.remote = second;
    tcp.receives(syn().seq(300));
    tcp.sends_nothing();
    let counters = tcp.counters();
    assert_eq!((counters.listen_overflows.get(), counters.listen_drops.get()), (1, 1));
    // established, but not accepted: it still counts
    tcp.remote = first;
    tcp.receives(ack().seq(301).ack(101));
    tcp.remote = second;
    tcp.receives(syn().seq(300));
    tcp.sends_nothing();
    assert_eq!(tcp.engine.acceptable(listener), 1);
    tcp.accepts();
    tcp.next_incarnation();
    tcp.handshake();
}

/// What nobody accepted is reset when the listener goes.
#[test]
fn unlisten() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    let listener = tcp.listener.take().unwrap();
    tcp.engine.unlisten(listener).unwrap();
    tcp.sends(rst_ack().seq(101).ack(301));
    tcp.only_time_wait(0);
    assert_eq!(tcp.engine.accept(listener), Err(Error::BadHandle));
}

/// The listener goes in the middle of a handshake: nobody is there to accept.
#[test]
fn unlisten_during_a_handshake() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    let listener = tcp.listener.take().unwrap();
    tcp.engine.unlisten(listener).unwrap();
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(rst().seq(101));
    tcp.only_time_wait(0);
}

#[test]
fn the_limit_of_connections() {
    let mut config = plain();
    config.limits.max_connections = 1;
    let mut tcp = Exchange::established(config);
    let first = tcp.remote;
    tcp.remote.set_port(40_001);
    tcp.receives(syn().seq(300));
    tcp.sends_nothing();
    assert_eq!(tcp.counters().listen_drops.get(), 1);
    let connect = tcp.engine.connect("198.18.0.2:80".parse().unwrap(), Default::default());
    assert_eq!(connect, Err(Error::NoBuffers));
    tcp.remote = first; // and the one that there is goes on
    tcp.write("x");
    tcp.sends(data("x").seq(101).ack(301));
}

/// What another thread asks about connections, neighbours and routes is told with the next poll.
#[test]
fn questions_are_answered() {
    let mut tcp = Exchange::established(plain());
    let ask = |tcp: &mut Exchange, question| {
        tcp.engine.mailbox().send(Request::Tell(question)).unwrap();
        tcp.engine.poll(tcp.now());
        tcp.engine.mailbox().answer().expect("an answer")
    };
    let all = Filter { state: None, peer: None, limit: 10 };
    let Told::Connections(listed, more) = ask(&mut tcp, Question::Connections(all)) else {
        panic!("connections")
    };
    assert_eq!((listed.len(), more), (1, false));
    assert_eq!((listed[0].local, listed[0].remote), (tcp.local, tcp.remote));
    assert_eq!(listed[0].info.state, State::Established);
    for (filter, found) in [
        (Filter { state: Some(State::Established), ..all }, 1),
        (Filter { state: Some(State::CloseWait), ..all }, 0),
        (Filter { peer: Some(tcp.remote.ip()), ..all }, 1),
        (Filter { peer: Some([198, 18, 0, 77].into()), ..all }, 0),
    ] {
        let Told::Connections(listed, _) = ask(&mut tcp, Question::Connections(filter)) else {
            panic!("connections")
        };
        assert_eq!(listed.len(), found, "{filter:?}");
    }
    let Told::Neighbours(neighbours) = ask(&mut tcp, Question::Neighbours) else {
        panic!("neighbours")
    };
    assert!(neighbours.iter().any(|(ip, mac, _)| *ip == tcp.remote.ip() && *mac == Some(PEER_MAC)));
    let Told::Routes(routes) = ask(&mut tcp, Question::Routes) else { panic!("routes") };
    assert!(routes.iter().any(|hop| hop.to.contains(tcp.remote.ip()) && hop.via.is_none()));
    // answers that nobody takes do not pile up
    for _ in 0..20 {
        tcp.engine.mailbox().send(Request::Tell(Question::Routes)).unwrap();
        tcp.engine.poll(tcp.now());
    }
    let kept = std::iter::from_fn(|| tcp.engine.mailbox().answer()).count();
    assert_eq!(kept, 4);
}
