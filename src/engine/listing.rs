//! What an engine tells another thread that asks by its [`Mailbox`](super::Mailbox): its connections,
//! its neighbours, its routes.

use super::info::TcpInfo;
use super::stack::{Mark, Stack};
use crate::net::neighbour;
use crate::net::route::Hop;
use crate::tcp::State;
use crate::wire::MacAddr;
use core::net::{IpAddr, SocketAddr};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Connections. The engine looks at all of them until it has found enough, and does nothing else
    /// meanwhile: a few nanoseconds for each.
    Connections(Filter),
    /// Neighbours.
    Neighbours,
    /// Addresses and routes.
    Routes,
}

/// Which connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// With this peer.
    pub peer: Option<IpAddr>,
    /// So many at most.
    pub limit: u32,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// All else.
    pub info: TcpInfo,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Those that were found, and whether there may be more.
    Connections(Vec<Listed>, bool),
    /// Address, station, state.
    Neighbours(Vec<(IpAddr, Option<MacAddr>, neighbour::State)>),
    /// The best route first.
    Routes(Vec<Hop>),
}

impl Stack {
    /// Answers a question.
    #[cold]
    pub(super) fn tell(&self, question: Question) -> Told {
        match question {
            Question::Connections(filter) => self.list(filter),
            Question::Neighbours => Told::Neighbours(self.neighbours.iter(self.now).collect()),
            Question::Routes => Told::Routes(self.routes.iter().collect()),
        }
    }

    fn list(&self, filter: Filter) -> Told {
        let wanted = |index: &u32| {
            let block = &self.conns[*index];
            let tuple = &block.tcp.tuple;
            block.ended.is_none()
                && !block.is(Mark::Detached)
                && filter.state.is_none_or(|state| state == block.tcp.state())
                && filter.peer.is_none_or(|peer| peer == tuple.remote.to_std())
        };
        let mut found = self.conns.indices().filter(wanted);
        let listed = found.by_ref().take(filter.limit as usize).map(|index| {
            let tuple = self.conns[index].tcp.tuple;
            let (local, remote) = (tuple.local_addr(), tuple.remote_addr());
            Listed { local, remote, info: self.info_at(index) }
        });
        let listed: Vec<Listed> = listed.collect();
        let more = found.next().is_some();
        Told::Connections(listed, more)
    }
}
