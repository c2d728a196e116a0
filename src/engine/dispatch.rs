//! The engine: the stack with its application, driven by frames and the clock.

use super::app::{App, Io};
use super::config::{Config, ConfigError};
use super::demux::Unclaimed;
use super::flow_table::Kind;
use super::frame::Checksums;
use super::receive::{BATCH, Staged};
use super::stack::{Mark, Stack, context};
use crate::port::{Frames, RxChecksum, RxFrame, TxOffload};
use crate::tcp::buffer::CHUNK_BYTES;
use crate::tcp::{Arrival, Flag};
use crate::time::Instant;
use crate::wire::tcp::Segment;
use core::hint::black_box;
use core::ops::{Deref, DerefMut};

/// One engine: a TCP endpoint with an application on top. It is one value: it owns all its state,
/// starts no thread, reads no clock, and does nothing but when it is called.
///
/// ```text
/// input(frame, now)   what arrived                       poll(now)         time has passed
/// output()            what to send, until it is None     next_deadline()   when to poll at the latest
/// ```
///
/// What is due at a time comes out at that time, however often it is polled: if it is polled at
/// [`next_deadline`](Self::next_deadline), nothing is ever late. All calls for connections are those
/// of [`Stack`], which an engine dereferences to.
pub struct Engine<A> {
    stack: Stack,
    app: A,
    scratch: Box<[u8]>,
    frame: Box<[u8]>,
}

impl<A> Deref for Engine<A> {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl<A> DerefMut for Engine<A> {
    fn deref_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }
}

impl<A: App> Engine<A> {
    /// An engine with nothing open.
    ///
    /// # Errors
    /// The first setting of `config` that it cannot run with.
    pub fn new(config: Config, app: A) -> Result<Self, ConfigError> {
        let frame = vec![0; usize::from(config.interface.mtu) + 18].into_boxed_slice();
        let scratch = vec![0; CHUNK_BYTES].into_boxed_slice();
        Ok(Engine { stack: Stack::new(config)?, app, scratch, frame })
    }

    /// The application.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// The application, to change it between two polls.
    pub fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, for calls from outside of a callback.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// The application and the stack together.
    pub fn parts(&mut self) -> (&mut A, &mut Stack) {
        (&mut self.app, &mut self.stack)
    }

    /// A frame arrived, from its Ethernet header on, without the frame check sequence.
    pub fn input(&mut self, frame: &[u8], now: Instant) {
        let frames = &mut [RxFrame { bytes: frame, checksum: RxChecksum::Unknown }];
        self.input_burst(1, &mut frames[..], now);
    }

    /// A burst of `count` frames arrived, at most 65,536. Some may be answered in their own buffers.
    pub fn input_burst<F: Frames + ?Sized>(&mut self, count: usize, frames: &mut F, now: Instant) {
        assert!(count <= 1 << 16, "a burst of {count} frames");
        self.stack.set_now(now);
        if self.stack.presence.is_waiting() {
            return self.stack.check_burst(count, frames);
        }
        self.stack.arrived += count;
        let mut staged = [Staged::default(); BATCH];
        for first in (0..count).step_by(BATCH) {
            let mut segments = 0;
            for index in first..count.min(first + BATCH) {
                let slot = &mut staged[segments];
                slot.index = index as u16;
                segments += usize::from(self.stack.stage(frames.frame(index), slot).is_some());
            }
            let batch = &mut staged[..segments];
            // nothing else in this loop, so that as many lines as can be are on their way at a time
            let table = &self.stack.table;
            let touched = batch.iter().fold(0, |lines, s| lines ^ table.touch(s.hash));
            black_box(touched);
            for segment in &mut *batch {
                segment.found = self.stack.look_up(&segment.tuple, segment.hash);
            }
            for segment in &*batch {
                self.segment_arrives(segment, frames);
            }
            let refused = core::mem::take(&mut self.stack.not_for_tcp);
            self.stack.metrics.handled.tcp.add((segments - refused) as u64);
        }
    }

    /// Time has passed: fires what is due, and gives the application its turn. Returns how many
    /// timers of connections fired, entries in TIME-WAIT expired and half-open connections were due.
    pub fn poll(&mut self, now: Instant) -> usize {
        self.stack.set_now(now);
        self.stack.take_requests();
        if self.stack.presence.is_due(now) {
            self.stack.poll_presence();
        }
        if self.stack.presence.is_waiting() {
            return 0; // RFC 5227 §2.1.1: nothing is sent from an address before it is ours
        }
        self.stack.poll_neighbours();
        let stack = &mut self.stack;
        let fired =
            stack.expire_connections() + stack.expire_time_wait() + stack.expire_half_open();
        self.wake_for_memory();
        self.app.on_poll(&mut self.stack);
        self.settle();
        fired
    }

    /// The next frame to send, or `None` if there is none now.
    pub fn output(&mut self) -> Option<&[u8]> {
        let free = self.stack.next_free_frame(&mut self.frame);
        let next = || self.stack.next_frame(&mut self.frame, Checksums::Software);
        let (len, _) = free.or_else(next)?;
        self.settle_failures();
        Some(&self.frame[..len])
    }

    /// Writes the next frame to send into `room`, at least the MTU and 18 octets; returns its length
    /// and what the port still has to do. `tcp_checksum_offload`: may the port be asked to fill in
    /// checksums?
    pub fn output_into(
        &mut self,
        room: &mut [u8],
        tcp_checksum_offload: bool,
    ) -> Option<(usize, TxOffload)> {
        let checksums =
            if tcp_checksum_offload { Checksums::Offloaded } else { Checksums::Software };
        if let Some(written) = self.stack.next_free_frame(room) {
            return Some(written);
        }
        // Assembled here and copied once: checksums read back what was just written, and on the
        // other core's cold lines such a read waits for the write to get there.
        let (len, offload) = self.stack.next_frame(&mut self.frame, checksums)?;
        room[..len].copy_from_slice(&self.frame[..len]);
        Some((len, offload))
    }

    /// When to call [`poll`](Self::poll) at the latest, if nothing arrives before; `None` if there is
    /// nothing to wait for. The time of the last call if there is something to send; but while the port
    /// has no room, who owns it knows when it has some again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let stack = &self.stack;
        if (stack.has_output() && !stack.output_blocked)
            || !stack.to_tell.is_empty()
            || stack.has_memory_for_waiting()
        {
            return Some(stack.now);
        }
        if stack.presence.is_waiting() {
            return stack.presence.next_deadline().map(|at| at.max(stack.now));
        }
        let timer = stack.next_timer();
        let app = self.app.next_deadline();
        timer.into_iter().chain(app).min().map(|at| at.max(stack.now))
    }

    fn segment_arrives<F: Frames + ?Sized>(&mut self, staged: &Staged, frames: &mut F) {
        let stack = &mut self.stack;
        let frame = frames.frame(usize::from(staged.index));
        let Some((bytes, header_len)) = stack.header_of(staged, frame) else { return };
        let mut segment = Segment::EMPTY;
        segment.read(bytes, header_len);
        // an earlier segment of the burst may have changed what there is for this one
        let found = match staged.found {
            Some(found) if stack.is_still(found, staged) => Some(found),
            _ => stack.look_up(&staged.tuple, staged.hash),
        };
        // the connection that there is for it, or that it has just made
        let connection = match found {
            Some((Kind::Connection, index)) => {
                // without room one ACK later says the same
                if stack.conns[index].tcp.is(Flag::AckEach) && !stack.control.is_pressed() {
                    stack.send_ack_of_its_own(index);
                }
                Some(index)
            }
            Some((Kind::SynCache, index)) => stack.half_open_arrives(index, staged, &segment),
            Some((kind, index)) => stack.time_wait_arrives(kind, index, staged, &segment),
            None => match stack.no_connection(staged, &segment) {
                Unclaimed::Done => None,
                Unclaimed::Connection(index) => Some(index),
                Unclaimed::Cookie(handshake) => {
                    return stack.send_cookie(staged, &handshake, frames);
                }
            },
        };
        let Some(index) = connection else { return };
        let progress = stack.neighbours.wants_proof().then(|| stack.conns[index].tcp.progress());
        let mut cx = context!(stack);
        cx.congestion_experienced = staged.congestion;
        let arrival = stack.conns[index].tcp.on_segment(&mut cx, &segment);
        if let Some(before) = progress {
            stack.confirm_neighbour(index, before);
        }
        self.carry_out(index, &arrival);
    }

    /// Does what the arrival of a segment asks for, and tells the application.
    fn carry_out(&mut self, index: u32, arrival: &Arrival<'_>) {
        if let Some(seq) = arrival.reset {
            self.stack.reset_for(index, seq);
        }
        if arrival.opened {
            self.opened(index);
        }
        if let Some(ahead) = arrival.urgent
            && self.is_open(index)
        {
            let stack = &mut self.stack;
            self.app.on_urgent(&mut Io { stack, index }, ahead);
        }
        if !arrival.deliver.is_empty() {
            self.deliver(index, arrival.deliver);
        }
        if arrival.readable || self.stack.conns[index].is(Mark::Redeliver) {
            self.redeliver(index);
        }
        if arrival.writable {
            self.tell_writable(index);
        }
        if arrival.lacks_memory {
            self.stack.wait_for_memory(index);
        }
        if arrival.peer_closed {
            self.stack.conns[index].mark(Mark::TellPeerClosed);
        }
        self.tell_peer_closed(index);
        if arrival.time_wait && self.stack.conns[index].ended.is_none() {
            self.stack.enter_time_wait(index);
        }
        if let Some(reason) = arrival.ended {
            self.stack.finish(index, reason);
        }
        if self.stack.conns[index].ended.is_none() {
            self.stack.set_dirty(index);
            self.stack.sync_timer(index);
        }
        self.settle_failures();
    }

    /// May the application still be called for this connection?
    fn is_open(&self, index: u32) -> bool {
        let block = &self.stack.conns[index];
        block.ended.is_none() && !block.tcp.is(Flag::Released)
    }

    /// There is room for what the application wants to write.
    pub(super) fn tell_writable(&mut self, index: u32) {
        if self.is_open(index) {
            let stack = &mut self.stack;
            self.app.on_writable(&mut Io { stack, index });
            self.redeliver_if_asked(index);
        }
    }

    fn opened(&mut self, index: u32) {
        let block = &self.stack.conns[index];
        let passive = !block.tcp.is(Flag::Active);
        if passive && A::HANDLES {
            let conn = self.stack.id_of(index);
            let listener = self.stack.conns[index].listener;
            match self.stack.listeners.at(listener) {
                Some(listener) => listener.ready.push_back(conn),
                None => self.stack.close_at(index), // nobody listens any more
            }
        } else {
            self.stack.leave_backlog(index);
        }
        let stack = &mut self.stack;
        self.app.on_open(&mut Io { stack, index });
    }

    fn deliver(&mut self, index: u32, data: &[u8]) {
        if !self.is_open(index) {
            return;
        }
        let stack = &mut self.stack;
        if !stack.conns[index].tcp.receive.is_empty() {
            let mut cx = context!(stack);
            stack.conns[index].tcp.keep_unread(&mut cx, data);
            return self.redeliver(index);
        }
        let consumed = self.app.on_data(&mut Io { stack, index }, data).min(data.len());
        if consumed < data.len() && self.is_open(index) {
            let stack = &mut self.stack;
            let mut cx = context!(stack);
            stack.conns[index].tcp.keep_unread(&mut cx, &data[consumed..]);
        }
        self.redeliver_if_asked(index);
    }

    fn redeliver_if_asked(&mut self, index: u32) {
        if self.stack.conns[index].unmark(Mark::Redeliver) {
            self.redeliver(index);
        }
    }

    /// Offers the application what was kept, until it takes no more.
    fn redeliver(&mut self, index: u32) {
        self.stack.conns[index].unmark(Mark::Redeliver);
        while self.is_open(index) {
            let (stack, scratch) = (&mut self.stack, &mut self.scratch);
            let run = stack.conns[index].tcp.receive.front(&stack.pool);
            let len = run.len();
            if len == 0 {
                break;
            }
            scratch[..len].copy_from_slice(run);
            let data = &scratch[..len];
            stack.offered = Some((index, len as u32));
            let consumed = self.app.on_data(&mut Io { stack, index }, data).min(len);
            self.stack.offered = None;
            if consumed == 0 || !self.is_open(index) {
                break;
            }
            let stack = &mut self.stack;
            let mut cx = context!(stack);
            stack.conns[index].tcp.consume_unread(&mut cx, consumed as u32);
            stack.note_small_window(index);
            stack.set_dirty(index);
        }
        self.tell_peer_closed(index);
    }

    /// The peer's FIN is news once everything before it has been read.
    fn tell_peer_closed(&mut self, index: u32) {
        let block = &mut self.stack.conns[index];
        let all_read = block.tcp.receive.is_empty() || A::HANDLES;
        if !block.is(Mark::TellPeerClosed) || !all_read {
            return;
        }
        block.unmark(Mark::TellPeerClosed);
        if self.is_open(index) {
            let stack = &mut self.stack;
            self.app.on_peer_closed(&mut Io { stack, index });
        }
    }

    #[inline]
    fn settle_failures(&mut self) {
        if !self.stack.to_tell.is_empty() {
            self.settle();
        }
    }

    /// Tells the application what happened outside of its callbacks, and frees what is over.
    fn settle(&mut self) {
        while let Some((index, generation)) = self.stack.to_tell.pop_front() {
            let Some(block) = self.stack.conns.get_mut(index) else { continue };
            if block.generation != generation {
                continue;
            }
            let known = block.tcp.is(Flag::Active) || block.tcp.is(Flag::WasEstablished);
            let Some(reason) = block.ended else {
                self.redeliver_if_asked(index);
                continue;
            };
            if !block.is(Mark::ToldClosed) {
                block.mark(Mark::ToldClosed);
                if known {
                    let stack = &mut self.stack;
                    self.app.on_closed(&mut Io { stack, index }, reason);
                }
            }
            let owned = A::HANDLES && known && !self.stack.conns[index].tcp.is(Flag::Released);
            if !owned {
                self.stack.free(index);
            }
        }
    }
}

impl Stack {
    /// Does what the flow table had for a segment before the burst still hold?
    #[inline]
    fn is_still(&self, found: (Kind, u32), staged: &Staged) -> bool {
        match found {
            (Kind::Connection, index) => self
                .conns
                .get(index)
                .is_some_and(|block| !block.is(Mark::Detached) && block.tcp.tuple == staged.tuple),
            (Kind::SynCache, index) => self.syn_cache.is_for(index, &staged.tuple),
            _ => false, // rare enough to look it up again
        }
    }
}
