//! The face of handles: two engines in one process, non-blocking sockets, and a clock of our own.
//!
//! `cargo run --no-default-features --example sockets`

use lastack::engine::{Closing, Config, ConnectOptions, Engine, Error, ListenOptions, Sockets};
use lastack::net::address::Interface;
use lastack::time::Instant;
use lastack::wire::MacAddr;
use std::error::Error as StdError;

type Host = Engine<Sockets>;

fn host(n: u8) -> Result<Host, Box<dyn StdError>> {
    let address = format!("198.18.0.{n}/24").parse()?;
    let interface = Interface::new(MacAddr([2, 0, 0, 0, 0, n]), vec![address]);
    // on a real network the seed must be unpredictable
    Ok(Engine::new(Config::new(interface, [n; 32]), Sockets)?)
}

/// Carries frames back and forth at time `now` until neither side has more to say.
fn exchange(a: &mut Host, b: &mut Host, now: Instant) {
    a.poll(now);
    b.poll(now);
    loop {
        let mut quiet = true;
        while let Some(frame) = a.output() {
            b.input(frame, now);
            quiet = false;
        }
        while let Some(frame) = b.output() {
            a.input(frame, now);
            quiet = false;
        }
        if quiet {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let (mut client, mut server) = (host(1)?, host(2)?);
    let mut now = Instant::from_millis(1);

    let listener = server.listen("198.18.0.2:7".parse()?, ListenOptions::default())?;
    let calling = client.connect("198.18.0.2:7".parse()?, ConnectOptions::default())?;
    assert_eq!(client.status(calling), Err(Error::InProgress));
    exchange(&mut client, &mut server, now); // ARP and the handshake
    assert_eq!(client.status(calling), Ok(()));
    let called = server.accept(listener)?;
    println!("established: {:?}", server.addresses(called)?);

    client.write(calling, b"how are you?")?;
    exchange(&mut client, &mut server, now);
    let mut bytes = [0; 64];
    let len = server.read(called, &mut bytes)?;
    println!("the server reads {:?}", String::from_utf8_lossy(&bytes[..len]));
    assert_eq!(server.read(called, &mut bytes), Err(Error::WouldBlock));

    server.write(called, b"well, thank you")?;
    assert_eq!(server.close(called)?, Closing::Done); // what was written is still delivered
    exchange(&mut client, &mut server, now);
    let len = client.read(calling, &mut bytes)?;
    println!("the client reads {:?}", String::from_utf8_lossy(&bytes[..len]));
    assert_eq!(client.read(calling, &mut bytes)?, 0); // and then the end of the stream
    client.close(calling)?;
    exchange(&mut client, &mut server, now);
    println!("in TIME-WAIT at the server, which closed first: {}", server.time_wait());

    // nothing is left to arrive: from here on only the clock moves
    while let Some(next) = server.next_deadline().into_iter().chain(client.next_deadline()).min() {
        now = now.max(next);
        exchange(&mut client, &mut server, now);
        if server.time_wait() == 0 {
            break;
        }
    }
    println!("2·MSL are over at {now:?}: {} entries left", server.time_wait());
    Ok(())
}
