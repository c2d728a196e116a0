//! What one connection may hold of the memory that all connections share (docs/memory.md).
//!
//! ```text
//!   free:  all ─────────────── half ─────────────── a quarter ─────────── none
//!   share:      no bound        │  falls with the     │  only a little each:
//!                               │  square of what is  │  the reserve of those
//!                               │  left above a       │  that hold little
//!                               │  quarter            │
//! ```
//!
//! While half of the memory is free, only the buffer sizes of the configuration count. From there on a
//! connection that holds more than its share gets nothing new, and nothing that it holds is taken from
//! it. So the memory that connections which never read have filled always leaves a part for the others.

use super::buffer::Pool;
use super::config::Config;
use super::connection::{Arrival, Connection, Context, Flag, RECEIVE_RESERVE};

/// Chunks that a connection may hold in each direction even if others hold most of the memory.
pub(super) const LEAST_CHUNKS: u32 = 4;
/// Descriptors of out-of-order segments that a connection may hold even then.
pub(super) const LEAST_SEGMENTS: u32 = 16;

/// Is so little free that shares bind?
#[inline]
pub(super) fn is_scarce(total: u32, free: u32) -> bool {
    free < total / 2
}

/// How many of `total` units one connection may hold while `free` of them are free; at least `least`
/// of them, but for the last eighth, and never none.
pub(super) fn share(total: u32, free: u32, least: u32) -> u32 {
    if !is_scarce(total, free) {
        return u32::MAX;
    }
    let reserve = total / 4;
    let common = u64::from(free.saturating_sub(reserve));
    let falling = (common * common / (16 * u64::from(reserve.max(1)))) as u32;
    let kept = match free {
        free if free > reserve / 2 => least,
        free if free > reserve / 4 => least / 2,
        _ => least / 4,
    };
    falling.max(kept).max(1)
}

impl Connection {
    /// Octets that may be unacknowledged and unsent: the send buffer, or the share of the memory.
    #[inline]
    fn send_limit(&self, config: &Config, pool: &Pool) -> u32 {
        config.send_buffer.min(pool.share_bytes())
    }

    /// Octets that a write would take now.
    #[inline]
    pub fn write_room(&self, config: &Config, pool: &Pool) -> u32 {
        // what a segment that is being delivered may need is not for writing
        let free = pool.available().saturating_sub(RECEIVE_RESERVE);
        let memory = Pool::bytes_of(free);
        self.send_limit(config, pool).saturating_sub(self.send.len()).min(memory)
    }

    /// Is there room that is worth a writer's while: is half of what it may hold free?
    pub(crate) fn has_room_again(&self, config: &Config, pool: &Pool) -> bool {
        self.send.len() <= self.send_limit(config, pool) / 2 && self.write_room(config, pool) > 0
    }

    /// What a writer waits for has become less: it is told of the room, or waits for memory.
    pub(super) fn offer_room(&mut self, cx: &Context<'_>, arrival: &mut Arrival<'_>) {
        arrival.writable = self.has_room_again(cx.config, cx.pool);
        if arrival.writable {
            self.take(Flag::WantsRoom);
        } else {
            arrival.lacks_memory = self.send.len() <= cx.config.send_buffer / 2;
        }
    }

    /// A write was cut short: counts why.
    #[cold]
    pub(super) fn refuse_room(&mut self, cx: &mut Context<'_>) {
        self.set(Flag::WantsRoom);
        if self.send.len() >= cx.config.send_buffer {
            return; // its own buffer is full
        }
        if self.send.len() >= cx.pool.share_bytes() {
            cx.counters.send_share.bump();
        } else {
            cx.counters.send_no_memory.bump();
        }
        note_pressure(cx);
    }

    /// Is a writer waiting for memory, that of others or more of the share, and not only for the peer?
    pub fn waits_to_write(&self, config: &Config) -> bool {
        self.is(Flag::WantsRoom)
            && self.state.may_send()
            && !self.is(Flag::FinQueued)
            && self.send.len() < config.send_buffer
    }

    /// Memory has become free: is a writer that waits for it to be told?
    pub fn take_room(&mut self, config: &Config, pool: &Pool) -> bool {
        self.waits_to_write(config)
            && self.has_room_again(config, pool)
            && self.take(Flag::WantsRoom)
    }

    /// Octets that may be unread now: what the window has grown to, or the share of the memory.
    #[inline]
    pub(super) fn receive_limit_now(&self, config: &Config, pool: &Pool) -> u32 {
        self.receive_limit(config).min(pool.share_bytes())
    }

    /// Is the announced window so small for want of memory that the peer may wait for a larger one?
    pub fn window_is_held_down(&self, config: &Config, pool: &Pool) -> bool {
        let wanted = self.receive_limit(config);
        let worth = (2 * u32::from(self.mss)).min(wanted / 2).max(1);
        self.state.may_receive()
            && !self.is(Flag::Released)
            && self.receive_window() < worth
            && pool.share_bytes() < wanted
            && wanted.saturating_sub(self.receive.len()) >= worth
    }

    /// Does the application have more unread than its share has room for beside `more` octets? What
    /// comes while nothing is unread may be read at once and is always looked at.
    #[inline]
    pub(super) fn holds_its_share_unread(&self, pool: &Pool, more: usize) -> bool {
        pool.is_scarce()
            && !self.receive.is_empty()
            && self.receive.len() as usize + more > pool.share_bytes() as usize
    }
}

/// Counts that the memory has become scarce, once until it is plentiful again.
#[cold]
pub(super) fn note_pressure(cx: &mut Context<'_>) {
    if cx.pool.is_scarce() && cx.pool.enters_pressure() {
        cx.counters.memory_pressures.bump();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_with_what_is_free() {
        for total in [1, 4, 32, 64, 512, 65_536, 524_288] {
            let shares: Vec<u32> = (0..=total.min(70_000))
                .map(|step| {
                    (u64::from(step) * u64::from(total) / u64::from(total.min(70_000))) as u32
                })
                .map(|free| share(total, free, 4))
                .collect();
            assert!(shares.is_sorted(), "of {total}");
            assert!(shares[0] >= 1, "of {total}");
            assert_eq!(*shares.last().unwrap(), u32::MAX, "of {total}");
        }
    }

    /// Takes of 524,288 chunks (1 GiB) what each of `hoarders` may have of 512 (1 MiB).
    fn free_beside(hoarders: u32) -> u32 {
        let total = 524_288;
        (0..hoarders).fold(total, |free, _| {
            let mut held = 0;
            while held < 512.min(share(total, free - held, LEAST_CHUNKS)) && held < free {
                held += 1;
            }
            free - held
        })
    }

    #[test]
    fn hoarders_leave_something_to_others() {
        let total = 524_288;
        for (hoarders, least) in [(1, 512), (500, 512), (1_024, 12), (10_000, 4), (30_000, 2)] {
            let free = free_beside(hoarders);
            let left = share(total, free, LEAST_CHUNKS);
            assert!(left >= least, "{hoarders} hoarders leave {left} of {free}");
            assert!(free > total / 32, "{hoarders} hoarders leave {free}");
        }
    }
}
