//! A state for each connection of an engine, indexed by the connection's dense number.

use crate::engine::ConnId;

/// Octets that an application may keep for each connection: what is reserved before a run is added up
/// with it.
pub const PER_CONNECTION_BYTES: usize = 256;

/// States by [`ConnId::index`].
///
/// Room for all is reserved at the start and touched only as it is used, so nothing is allocated
/// when a connection opens.
#[derive(Debug)]
pub struct PerConnection<T> {
    states: Vec<T>,
}

impl<T: Default> PerConnection<T> {
    /// Room for `max_connections` states.
    pub fn new(max_connections: u32) -> Self {
        const { assert!(size_of::<T>() <= PER_CONNECTION_BYTES, "it is not added up") };
        PerConnection { states: Vec::with_capacity(max_connections as usize) }
    }

    /// Starts the state of a new connection afresh.
    pub fn start(&mut self, conn: ConnId) -> &mut T {
        let index = conn.index as usize;
        if index >= self.states.len() {
            self.states.resize_with(index + 1, T::default);
        } else {
            self.states[index] = T::default();
        }
        &mut self.states[index]
    }

    /// The state of a connection that was started.
    ///
    /// # Panics
    /// If it never was.
    #[inline]
    pub fn of(&mut self, conn: ConnId) -> &mut T {
        &mut self.states[conn.index as usize]
    }

    /// The states of all connections there ever were.
    pub fn all(&mut self) -> &mut [T] {
        &mut self.states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_used_again_starts_afresh() {
        let mut states = PerConnection::<u32>::new(8);
        let conn = |index, generation| ConnId { index, generation };
        *states.start(conn(5, 0)) = 7;
        *states.start(conn(2, 0)) = 3;
        assert_eq!((*states.of(conn(5, 0)), *states.of(conn(2, 0))), (7, 3));
        assert_eq!(*states.start(conn(5, 1)), 0);
    }
}
