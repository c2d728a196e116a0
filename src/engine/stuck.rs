//! What will wake each connection: the check that none waits for something that never comes.

use super::stack::{Block, ConnId, Mark, Stack};
use crate::tcp::{Flag, State};
use crate::time::Instant;
use std::collections::HashSet;

/// Who is on a list, so that a list with many is not searched for each of them.
struct Listed {
    dirty: HashSet<u32>,
    to_tell: HashSet<(u32, u32)>,
}

impl Stack {
    /// A connection that nothing will wake, and what it waits for in vain; for tests, which ask after
    /// every step. What wakes a connection is a list of the engine's, a timer, a packet that the peer
    /// must send, or a call of an application that is owed nothing.
    pub fn stuck(&self) -> Option<(ConnId, &'static str)> {
        let listed = Listed {
            dirty: self.dirty.iter().copied().collect(),
            to_tell: self.to_tell.iter().copied().collect(),
        };
        self.conns.iter().find_map(|(index, block)| {
            let complaint = self.complaint(index, block, &listed)?;
            Some((self.id_of(index), complaint))
        })
    }

    fn complaint(&self, index: u32, block: &Block, listed: &Listed) -> Option<&'static str> {
        let tcp = &block.tcp;
        let told_later = listed.to_tell.contains(&(index, block.generation));
        if block.ended.is_some() {
            let is_owned = block.is(Mark::ToldClosed) && !tcp.is(Flag::Released);
            return (!told_later && !is_owned)
                .then_some("has ended, and is neither told nor freed");
        }
        let on_its_way = match (block.is(Mark::Dirty), block.is(Mark::AwaitsNeighbour)) {
            (true, _) if !listed.dirty.contains(&index) => {
                return Some("is not on the output list");
            }
            (_, true) if !self.waiting.contains(&(index, block.generation)) => {
                return Some("is not on the list of those that wait for a neighbour");
            }
            (_, true) if self.neighbours.next_deadline().is_none() => {
                return Some("waits for a neighbour that is not asked");
            }
            (dirty, awaits_neighbour) => dirty || awaits_neighbour,
        };
        let deadline = tcp.deadline();
        if block.filed_at > deadline {
            return Some("has a timer that is not filed");
        }
        let retransmits = tcp.retransmit_at != Instant::FAR;
        let unsent = tcp.wants_output() && !tcp.is(Flag::Cork) && !tcp.is(Flag::Paced);
        let outstanding = tcp.snd_una != tcp.snd_max || unsent;
        if outstanding && !on_its_way && !retransmits {
            return Some("has something to send or unacknowledged, and no timer");
        }
        if tcp.is(Flag::AckNow) && !on_its_way {
            return Some("owes an ACK and is not on the output list");
        }
        if tcp.is(Flag::Lingering) && !block.is(Mark::LingerOver) && tcp.life_at == Instant::FAR {
            return Some("lingers without end");
        }
        if tcp.is(Flag::Released) && tcp.life_at == Instant::FAR {
            return Some("has no owner and no bound to its life");
        }
        if block.is(Mark::Redeliver) && !told_later {
            return Some("was asked to deliver again and is not on the list");
        }
        if block.is(Mark::TellPeerClosed) && tcp.receive.is_empty() {
            return Some("has not told that the peer has closed");
        }
        self.complaint_of_memory(index, block, on_its_way)
    }

    fn complaint_of_memory(
        &self,
        index: u32,
        block: &Block,
        on_its_way: bool,
    ) -> Option<&'static str> {
        let (tcp, config, pool) = (&block.tcp, &self.config, &self.pool);
        let waits = block.is(Mark::AwaitsMemory);
        if waits && !self.is_listed_for_memory(index) {
            return Some("is not on the list of those that wait for memory");
        }
        let refused = tcp.is(Flag::WantsRoom)
            && tcp.state().may_send()
            && !tcp.is(Flag::FinQueued)
            && !tcp.is(Flag::Released);
        if refused && tcp.send.is_empty() && !waits {
            return Some("was refused room, and nothing will tell it of room");
        }
        let may_go_on = refused && tcp.has_room_again(config, pool);
        if waits && may_go_on && !self.has_memory_for_waiting() {
            return Some("waits for memory that is free");
        }
        let receives = tcp.state().may_receive() && !tcp.is(Flag::Released);
        let shut = receives && tcp.receive_window() == 0 && tcp.receive.is_empty();
        if shut && !waits && !on_its_way && tcp.ack_at == Instant::FAR {
            return Some("keeps its window shut with nothing unread");
        }
        let unbounded = tcp.state() == State::SynSent && tcp.deadline() == Instant::FAR;
        (unbounded && !on_its_way).then_some("opens without a timer")
    }
}
