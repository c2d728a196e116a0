//! Drives an engine over a port: one turn of the loop after the other.

use super::app::App;
use super::dispatch::Engine;
use super::pressure::Outlet;
use crate::port::Port;
use crate::tcp::Counter;
use crate::time::Clock;
use std::sync::Arc;

/// How many cycles went into what, readable from another thread.
#[derive(Debug, Default)]
pub struct Cycles {
    /// Cycles in turns that received, sent or fired something.
    pub busy: Counter,
    /// All cycles from the end of the first turn to the end of the last, what the thread did between
    /// turns included.
    pub total: Counter,
    /// Turns of the loop.
    pub polls: Counter,
}

/// An engine on its port.
pub struct Runner<P, A, C> {
    port: P,
    engine: Engine<A>,
    clock: C,
    cycles: Arc<Cycles>,
    offload: bool,
    /// When the last turn ended.
    turn_ended: u64,
}

impl<P: Port, A: App, C: Clock> Runner<P, A, C> {
    /// Puts an engine on a port.
    pub fn new(port: P, engine: Engine<A>, clock: C) -> Self {
        let offload = port.capabilities().tx_tcp_checksum;
        let turn_ended = clock.cycles();
        Runner { port, engine, clock, cycles: Arc::default(), offload, turn_ended }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<A> {
        &self.engine
    }

    /// The engine, between two turns.
    pub fn engine_mut(&mut self) -> &mut Engine<A> {
        &mut self.engine
    }

    /// The port.
    pub fn port(&self) -> &P {
        &self.port
    }

    /// The port, between two turns.
    pub fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// The clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// The cycles, to be read from another thread.
    pub fn cycles(&self) -> &Arc<Cycles> {
        &self.cycles
    }

    /// Gives the parts back.
    pub fn into_parts(self) -> (P, Engine<A>) {
        (self.port, self.engine)
    }

    /// One turn: receive a burst, run the protocol, fire timers, send. True if there was anything to
    /// do.
    pub fn poll_once(&mut self) -> bool {
        let began = self.clock.cycles();
        let now = self.clock.at(began);
        let (port, engine) = (&mut self.port, &mut self.engine);
        let received = port.rx_burst();
        if received > 0 {
            engine.input_burst(received, port, now);
        }
        let fired = engine.poll(now);
        let mut sent = 0;
        let outlet = loop {
            let Some(room) = port.tx_room() else { break Outlet::Blocked };
            let Some((len, offload)) = engine.output_into(room, self.offload) else {
                break Outlet::Open;
            };
            port.tx_commit(len, offload);
            sent += 1;
        };
        port.tx_flush();
        engine.note_output(outlet, port.tx_waiting());
        let worked = received + sent + fired > 0;
        let ended = self.clock.cycles();
        self.cycles.total.add(ended.wrapping_sub(self.turn_ended));
        self.turn_ended = ended;
        self.cycles.polls.bump();
        if worked {
            self.cycles.busy.add(ended.wrapping_sub(began));
        }
        worked
    }
}
