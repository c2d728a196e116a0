//! The callback face: an echo server and a client as applications, over a simulated link.
//!
//! `cargo run --no-default-features --example echo_callbacks`

use lastack::app::Tally;
use lastack::app::echo::Echo;
use lastack::engine::{App, Config, ConnectOptions, Engine, Io, ListenOptions, Runner};
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig};
use lastack::tcp::CloseReason;
use lastack::wire::MacAddr;
use std::error::Error;
use std::sync::Arc;

/// Sends a line, prints what comes back, and closes.
#[derive(Default)]
struct Shout {
    heard: usize,
    over: bool,
}

const LINE: &[u8] = b"is there anybody?";

impl App for Shout {
    fn on_open(&mut self, io: &mut Io<'_>) {
        println!("{:?} established with {}", io.now(), io.remote_addr());
        io.write(LINE);
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        println!("{:?} the echo says {:?}", io.now(), String::from_utf8_lossy(data));
        self.heard += data.len();
        if self.heard == LINE.len() {
            io.close();
        }
        data.len() // all of it was used; the engine keeps what an application leaves
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        println!("{:?} over: {reason:?}", io.now());
        self.over = true;
    }
}

fn config(n: u8) -> Result<Config, Box<dyn Error>> {
    let address = format!("198.18.0.{n}/24").parse()?;
    let interface = Interface::new(MacAddr([2, 0, 0, 0, 0, n]), vec![address]);
    Ok(Config::new(interface, [n; 32]))
}

fn main() -> Result<(), Box<dyn Error>> {
    // a link that takes a millisecond and loses a tenth of the frames, the same ones every time
    let bad = LinkConfig { loss: 100_000, ..LinkConfig::default() };
    let (link, near, far) = Link::new(bad, bad, 2);
    let client = Engine::new(config(1)?, Shout::default())?;
    let server = Engine::new(config(2)?, Echo::new(Arc::new(Tally::default())))?;
    let mut client = Runner::new(near, client, link.clock());
    let mut server = Runner::new(far, server, link.clock());

    let address = "198.18.0.2:7".parse()?;
    server.engine_mut().listen(address, ListenOptions::default())?;
    client.engine_mut().connect(address, ConnectOptions::default())?;
    while !client.engine().app().over {
        while client.poll_once() | server.poll_once() {}
        // jump to whatever happens next: a frame that arrives or a timer that fires
        let deadlines = [client.engine().next_deadline(), server.engine().next_deadline()];
        match deadlines.into_iter().flatten().chain(link.next_arrival()).min() {
            Some(next) => link.set_now(next),
            None => break,
        }
    }
    println!("frames lost on the way: {}", link.stats(0).lost + link.stats(1).lost);
    Ok(())
}
