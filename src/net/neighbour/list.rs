//! Doubly linked lists of slots, by index.

/// No slot.
const NONE: u32 = u32::MAX;

/// Where a slot is in its list.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

/// A list of slots; a slot is in it once or not at all. Memory is made at the start.
#[derive(Clone, Debug)]
pub(super) struct List {
    links: Vec<Option<Link>>,
    first: u32,
    last: u32,
}

impl List {
    /// An empty list with room for the slots below `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        List { links: vec![None; capacity], first: NONE, last: NONE }
    }

    pub(super) fn first(&self) -> Option<usize> {
        (self.first != NONE).then_some(self.first as usize)
    }

    pub(super) fn last(&self) -> Option<usize> {
        (self.last != NONE).then_some(self.last as usize)
    }

    pub(super) fn contains(&self, slot: usize) -> bool {
        self.links[slot].is_some()
    }

    /// Puts `slot` at the front, from wherever it is.
    pub(super) fn move_to_front(&mut self, slot: usize) {
        self.remove(slot);
        self.links[slot] = Some(Link { before: NONE, after: self.first });
        self.join(slot as u32, self.first);
        self.first = slot as u32;
    }

    /// Puts `slot` at the back, from wherever it is.
    pub(super) fn move_to_back(&mut self, slot: usize) {
        self.remove(slot);
        self.links[slot] = Some(Link { before: self.last, after: NONE });
        self.join(self.last, slot as u32);
        self.last = slot as u32;
    }

    /// Takes `slot` out, if it is in.
    pub(super) fn remove(&mut self, slot: usize) {
        if let Some(Link { before, after }) = self.links[slot].take() {
            self.join(before, after);
        }
    }

    /// Makes two slots neighbours, where `NONE` stands for the ends of the list.
    fn join(&mut self, before: u32, after: u32) {
        match self.links.get_mut(before as usize) {
            Some(Some(link)) => link.after = after,
            _ => self.first = after,
        }
        match self.links.get_mut(after as usize) {
            Some(Some(link)) => link.before = before,
            _ => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn behaves_as_a_deque(steps in proptest::collection::vec((0u8..3, 0usize..6), 0..60)) {
            let mut list = List::new(6);
            let mut model = VecDeque::new();
            for (step, slot) in steps {
                model.retain(|&other| other != slot);
                match step {
                    0 => { list.move_to_front(slot); model.push_front(slot); }
                    1 => { list.move_to_back(slot); model.push_back(slot); }
                    _ => list.remove(slot),
                }
                prop_assert_eq!(list.first(), model.front().copied());
                prop_assert_eq!(list.last(), model.back().copied());
                for slot in 0..6 {
                    prop_assert_eq!(list.contains(slot), model.contains(&slot));
                }
            }
            let mut emptied = Vec::new();
            while let Some(slot) = list.first() {
                list.remove(slot);
                emptied.push(slot);
            }
            prop_assert_eq!(emptied, Vec::from(model));
        }
    }
}
