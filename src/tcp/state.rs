//! The eleven states of RFC 9293 §3.3.2 and the arrows between them (its figure 5).

use State as S;
use StateEvent as E;

/// The state of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// No connection.
    #[default]
    Closed,
    /// Waiting for a SYN from anyone.
    Listen,
    /// Our SYN is out.
    SynSent,
    /// Both SYNs have been seen, ours is not yet acknowledged.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We have closed, our FIN is not yet acknowledged.
    FinWait1,
    /// Our FIN is acknowledged, the peer may still send.
    FinWait2,
    /// The peer has closed, we may still send.
    CloseWait,
    /// Both have closed at the same time, our FIN is not yet acknowledged.
    Closing,
    /// The peer closed first, then we did; our FIN is not yet acknowledged.
    LastAck,
    /// Both FINs are acknowledged; old duplicates are given 2·MSL to die.
    TimeWait,
}

/// What moves a connection from state to state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateEvent {
    /// The application asks for an active open.
    OpenActive,
    /// The application asks for a passive open.
    OpenPassive,
    /// The application has nothing more to send.
    Close,
    /// A SYN without ACK arrives.
    SynArrives,
    /// A SYN arrives that acknowledges ours.
    SynAckArrives,
    /// Our SYN is acknowledged.
    SynAcked,
    /// The peer's FIN is next in order.
    FinArrives,
    /// Our FIN is acknowledged.
    FinAcked,
    /// The connection is reset, aborted, or given up.
    Reset,
    /// 2·MSL have passed.
    TimeWaitOver,
}

impl State {
    /// All states, in the order of RFC 9293 §3.3.2.
    pub const ALL: [State; 11] = [
        S::Closed,
        S::Listen,
        S::SynSent,
        S::SynReceived,
        S::Established,
        S::FinWait1,
        S::FinWait2,
        S::CloseWait,
        S::Closing,
        S::LastAck,
        S::TimeWait,
    ];

    /// The arrow that `event` follows from here (RFC 9293 §3.3.2, figure 5), or `None` where the
    /// figure has none.
    pub const fn next(self, event: StateEvent) -> Option<State> {
        Some(match (self, event) {
            (S::Closed, E::OpenActive) => S::SynSent,
            (S::Closed, E::OpenPassive) => S::Listen,
            (S::Listen, E::SynArrives) => S::SynReceived,
            (S::Listen, E::OpenActive) => S::SynSent,
            (S::Listen, E::Close) => S::Closed,
            (S::SynSent, E::SynArrives) => S::SynReceived,
            (S::SynSent, E::SynAckArrives) => S::Established,
            (S::SynSent, E::Close) => S::Closed,
            (S::SynReceived, E::SynAcked) => S::Established,
            (S::SynReceived, E::Close) => S::FinWait1,
            (S::SynReceived, E::FinArrives) => S::CloseWait,
            (S::Established, E::Close) => S::FinWait1,
            (S::Established, E::FinArrives) => S::CloseWait,
            (S::FinWait1, E::FinAcked) => S::FinWait2,
            (S::FinWait1, E::FinArrives) => S::Closing,
            (S::FinWait2, E::FinArrives) => S::TimeWait,
            (S::CloseWait, E::Close) => S::LastAck,
            (S::Closing, E::FinAcked) => S::TimeWait,
            (S::LastAck, E::FinAcked) => S::Closed,
            (S::TimeWait, E::TimeWaitOver) => S::Closed,
            (
                S::SynSent
                | S::SynReceived
                | S::Established
                | S::FinWait1
                | S::FinWait2
                | S::CloseWait
                | S::Closing
                | S::LastAck
                | S::TimeWait,
                E::Reset,
            ) => S::Closed,
            _ => return None,
        })
    }

    /// Have both SYNs been acknowledged (RFC 9293 §3.5: a synchronized state)?
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, S::Closed | S::Listen | S::SynSent | S::SynReceived)
    }

    /// May the application still hand over data to send?
    pub const fn may_send(self) -> bool {
        matches!(self, S::SynSent | S::SynReceived | S::Established | S::CloseWait)
    }

    /// May data of the peer still arrive?
    pub const fn may_receive(self) -> bool {
        matches!(self, S::Established | S::FinWait1 | S::FinWait2)
    }

    /// Is our FIN queued or sent, and not yet acknowledged?
    pub const fn awaits_fin_ack(self) -> bool {
        matches!(self, S::FinWait1 | S::Closing | S::LastAck)
    }

    /// The name that `ss` gives the state.
    pub const fn name(self) -> &'static str {
        match self {
            S::Closed => "CLOSED",
            S::Listen => "LISTEN",
            S::SynSent => "SYN-SENT",
            S::SynReceived => "SYN-RECV",
            S::Established => "ESTAB",
            S::FinWait1 => "FIN-WAIT-1",
            S::FinWait2 => "FIN-WAIT-2",
            S::CloseWait => "CLOSE-WAIT",
            S::Closing => "CLOSING",
            S::LastAck => "LAST-ACK",
            S::TimeWait => "TIME-WAIT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [StateEvent; 10] = [
        E::OpenActive,
        E::OpenPassive,
        E::Close,
        E::SynArrives,
        E::SynAckArrives,
        E::SynAcked,
        E::FinArrives,
        E::FinAcked,
        E::Reset,
        E::TimeWaitOver,
    ];

    #[test]
    fn every_state_is_reached_and_left() {
        for state in State::ALL {
            let reached = State::ALL
                .iter()
                .any(|from| *from != state && EVENTS.iter().any(|e| from.next(*e) == Some(state)));
            let left = EVENTS.iter().any(|e| state.next(*e).is_some_and(|to| to != state));
            assert!(reached && left, "{}", state.name());
        }
    }

    #[test]
    fn only_both_fins_lead_to_time_wait() {
        for state in State::ALL {
            for event in EVENTS {
                if state.next(event) == Some(S::TimeWait) {
                    assert!(matches!(
                        (state, event),
                        (S::FinWait2, E::FinArrives) | (S::Closing, E::FinAcked)
                    ));
                }
            }
        }
    }
}
