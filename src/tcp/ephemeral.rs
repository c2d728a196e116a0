//! Ephemeral ports: RFC 6056 §3.3.3, the simple hash-based selection.

/// The first ephemeral port (RFC 6056 §3.2 and Linux' default range).
pub const FIRST: u16 = 32_768;
/// The number of ephemeral ports.
pub const COUNT: u32 = 65_535 - FIRST as u32 + 1;

/// Candidate ports for one destination, best first: `offset` is the keyed hash of the addresses and
/// the remote port, `next` the counter of the engine, which goes up by one with each candidate used.
///
/// The iterator ends after each port has come up once.
pub fn candidates(offset: u32, next: u32) -> impl Iterator<Item = u16> {
    (0..COUNT).map(move |step| {
        let index = offset.wrapping_add(next).wrapping_add(step) % COUNT;
        FIRST + index as u16
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_port_comes_up_once() {
        let seen: HashSet<u16> = candidates(0xdead_beef, 17).collect();
        assert_eq!(seen.len(), COUNT as usize);
        assert!(seen.iter().all(|port| *port >= FIRST));
    }

    #[test]
    fn the_counter_moves_to_the_next_port() {
        let first = candidates(5, 0).next().unwrap();
        let second = candidates(5, 1).next().unwrap();
        assert_eq!(second, first + 1);
    }
}
