//! Connections that wait for buffer memory, and how they are woken when some is free.
//!
//! A connection joins the list when a write was cut short for want of memory, or when scarce memory
//! keeps its window nearly shut. It is on the list at most once, and whatever frees memory wakes it: the
//! list is looked at once a poll, from its front, in turns that find room for none only once for each
//! amount of memory that is free.

use super::app::App;
use super::dispatch::Engine;
use super::stack::{Mark, Stack, context};
use std::collections::VecDeque;

/// Connections of the list that one poll looks at.
const BUDGET: usize = 16;

/// The list, oldest first.
pub(super) struct MemoryWaits {
    list: VecDeque<u32>,
    limit: usize,
    /// With so many chunks free none of the list can go on. A share only grows with what is free.
    useless: u32,
    /// Connections looked at in a row that could not go on, and the fewest chunks free meanwhile.
    in_vain: usize,
    fewest: u32,
}

impl MemoryWaits {
    pub fn new(limit: u32) -> Self {
        let limit = limit as usize;
        let list = VecDeque::with_capacity(limit);
        MemoryWaits { list, limit, useless: 0, in_vain: 0, fewest: u32::MAX }
    }

    fn begin_turn(&mut self) {
        (self.in_vain, self.fewest) = (0, u32::MAX);
    }
}

/// What a look at a connection of the list has led to.
enum Look {
    /// Its writer is to be told of room.
    Tell(u32),
    /// It still waits, or has gone.
    Next,
}

impl Stack {
    /// After a write of the application: does the rest wait for memory?
    #[inline]
    pub(super) fn note_refusal(&mut self, index: u32) {
        if self.conns[index].tcp.waits_to_write(&self.config) {
            self.wait_for_memory(index);
        }
    }

    /// After a read or an ACK: does scarce memory keep the window nearly shut?
    #[inline]
    pub(super) fn note_small_window(&mut self, index: u32) {
        if self.pool.is_scarce() {
            self.look_at_window(index);
        }
    }

    #[cold]
    fn look_at_window(&mut self, index: u32) {
        let block = &self.conns[index];
        if !block.is(Mark::AwaitsMemory) && block.tcp.window_is_held_down(&self.config, &self.pool)
        {
            self.metrics.tcp.receive_share.bump();
            self.wait_for_memory(index);
        }
    }

    /// Puts a connection on the list, unless it is there.
    #[cold]
    pub(super) fn wait_for_memory(&mut self, index: u32) {
        let waits = &mut self.memory_waits;
        waits.useless = waits.useless.min(self.pool.available());
        waits.begin_turn();
        if self.conns[index].is(Mark::AwaitsMemory) {
            return;
        }
        if waits.list.len() >= waits.limit {
            // entries of connections that have gone give way
            let conns = &mut self.conns;
            let is_first =
                |at: &u32| conns.get_mut(*at).is_some_and(|b| b.unmark(Mark::AwaitsMemory));
            waits.list.retain(is_first);
            waits.list.iter().for_each(|&at| self.conns[at].mark(Mark::AwaitsMemory));
        }
        self.conns[index].mark(Mark::AwaitsMemory);
        waits.list.push_back(index);
    }

    /// Is a connection on the list? For the check of [`stuck`](Stack::stuck).
    pub(super) fn is_listed_for_memory(&self, index: u32) -> bool {
        self.memory_waits.list.contains(&index)
    }

    /// Can a connection that waits for memory perhaps go on?
    #[inline]
    pub(super) fn has_memory_for_waiting(&self) -> bool {
        !self.memory_waits.list.is_empty() && self.pool.available() > self.memory_waits.useless
    }

    /// Looks at the first of the list.
    fn look_at_waiting(&mut self) -> Look {
        let free = self.pool.available();
        let Some(index) = self.memory_waits.list.pop_front() else { return Look::Next };
        let Some(block) = self.conns.get_mut(index) else { return Look::Next };
        if !block.unmark(Mark::AwaitsMemory) || block.ended.is_some() {
            return Look::Next;
        }
        let cx = context!(self);
        let held_down = block.tcp.window_is_held_down(cx.config, cx.pool);
        if block.tcp.take_room(cx.config, cx.pool) {
            self.memory_waits.begin_turn();
            return Look::Tell(index);
        }
        block.tcp.announce_room(&cx);
        let waits_on = block.tcp.waits_to_write(cx.config)
            || (held_down && !block.tcp.is(crate::tcp::Flag::AckNow));
        self.set_dirty(index);
        if waits_on {
            self.conns[index].mark(Mark::AwaitsMemory);
            let waits = &mut self.memory_waits;
            waits.list.push_back(index);
            waits.in_vain += 1;
            waits.fewest = waits.fewest.min(free);
            if waits.in_vain >= waits.list.len() {
                waits.useless = waits.fewest;
                waits.begin_turn();
            }
        }
        Look::Next
    }
}

impl<A: App> Engine<A> {
    /// Memory may have become free: wakes some of those that wait for it.
    #[inline]
    pub(super) fn wake_for_memory(&mut self) {
        self.stack_mut().pool.leave_pressure();
        if self.stack().has_memory_for_waiting() {
            self.wake_waiting_for_memory();
        }
    }

    #[cold]
    fn wake_waiting_for_memory(&mut self) {
        for _ in 0..BUDGET {
            if !self.stack().has_memory_for_waiting() {
                break;
            }
            if let Look::Tell(index) = self.stack_mut().look_at_waiting() {
                self.tell_writable(index);
            }
        }
    }
}
