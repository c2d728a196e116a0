//! Two connections over small pools, each against a map from point to octet.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CHUNKS: u32 = 8;
const SEGMENTS: u32 = 7;

#[derive(Clone, Debug)]
enum Step {
    /// A segment at this distance from `rcv_nxt`.
    Insert {
        ahead: i64,
        len: usize,
        fin: bool,
    },
    Take,
    /// Read from where it lies, at most so many octets at a time.
    Runs(usize),
    /// Octets arrive in order and pass by the queue.
    Pass(u32),
    /// The application reads what was taken.
    Read,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let ahead = prop_oneof![-20i64..60, -2_000i64..9_000];
    let len = prop_oneof![0usize..12, 0usize..3_000];
    let step = prop_oneof![
        12 => (ahead, len, prop::bool::weighted(0.06))
            .prop_map(|(ahead, len, fin)| Step::Insert { ahead, len, fin }),
        1 => Just(Step::Take),
        1 => (1usize..3_000).prop_map(Step::Runs),
        1 => prop_oneof![0u32..30, 0u32..3_000].prop_map(Step::Pass),
        1 => Just(Step::Read),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec((any::<bool>(), step), 1..80)
}

/// A connection, and what the map says about it. Points are counted from the first `rcv_nxt`.
struct Side {
    queue: Reassembly,
    taken: Chain,
    origin: SeqNumber,
    rcv_nxt: i64,
    held: BTreeMap<i64, u8>,
    fin: Option<i64>,
    finished: bool,
}

struct World {
    segments: ReassemblyPool,
    bytes: Pool,
    limits: Limits,
    arrivals: u8,
}

impl World {
    fn pools(&mut self) -> Pools<'_> {
        Pools { segments: &mut self.segments, bytes: &mut self.bytes }
    }
}

impl Side {
    fn new(origin: u32) -> Self {
        Side {
            queue: Reassembly::new(),
            taken: Chain::new(),
            origin: SeqNumber::new(origin),
            rcv_nxt: 0,
            held: BTreeMap::new(),
            fin: None,
            finished: false,
        }
    }

    fn seq(&self, point: i64) -> SeqNumber {
        self.origin + point as u32
    }

    fn point(&self, seq: SeqNumber) -> i64 {
        i64::from(self.origin.steps_to(seq))
    }

    /// What the queue holds in fact: its octets, and where its FIN is.
    fn actual(&self, world: &mut World) -> (BTreeMap<i64, u8>, Option<i64>) {
        let (mut octets, mut fin, mut end) = (BTreeMap::new(), None, i64::MIN);
        let mut link = self.queue.first;
        while link != 0 {
            let segment = world.segments.at_mut(link);
            let start = self.origin.steps_to(segment.start).into();
            assert!(end <= start && fin.is_none(), "out of order or overlapping");
            let mut bytes = vec![0; segment.octets.len() as usize];
            assert_eq!(segment.octets.copy_at(&world.bytes, 0, &mut bytes), bytes.len());
            assert!(!bytes.is_empty() || segment.fin);
            octets.extend((start..).zip(bytes));
            end = self.origin.steps_to(segment.data_end()).into();
            fin = segment.fin.then_some(end);
            link = segment.next;
        }
        (octets, fin)
    }

    fn insert(&mut self, world: &mut World, ahead: i64, len: usize, fin: bool) {
        world.arrivals = world.arrivals.wrapping_add(1);
        // Each arrival has octets of its own, so that it shows whose were kept.
        let payload = vec![world.arrivals; len];
        let from = self.rcv_nxt + ahead;
        let (limits, rcv_nxt, seq) = (world.limits, self.seq(self.rcv_nxt), self.seq(from));
        let result = self.queue.insert(world.pools(), &limits, rcv_nxt, seq, &payload, fin);

        let (actual, actual_fin) = self.actual(world);
        let end = from + len as i64;
        let begin = from.max(self.rcv_nxt);
        let new: Vec<i64> = (begin..end).filter(|point| !self.held.contains_key(point)).collect();
        let fin_new = fin && end >= self.rcv_nxt && self.fin != Some(end);
        let kept = new.iter().take_while(|point| actual.contains_key(point)).count() as u32;
        let left_out = new.len() > kept as usize;
        self.held.extend(new.iter().take(kept as usize).map(|&point| (point, world.arrivals)));
        assert_eq!(actual, self.held, "a first part of what was new, and nothing else");
        let fin_kept = actual_fin != self.fin;
        if fin_kept {
            assert!(fin_new && !left_out && actual_fin == Some(end));
            self.fin = actual_fin;
        }
        match result {
            Inserted::Kept { octets } => {
                assert_eq!(octets, kept);
                assert!(octets > 0 || fin_kept);
            }
            Inserted::Duplicate => assert!(kept == 0 && !left_out && !fin_new),
            Inserted::Dropped(reason) => {
                assert!(kept == 0 && !fin_kept && (left_out || fin_new));
                let held = self.held.len() as u32;
                let last = self.held.last_key_value().map(|(&point, _)| point);
                match reason {
                    DropReason::TooManyOctets => assert_eq!(held, limits.octets),
                    DropReason::TooManySegments => {
                        assert_eq!(self.queue.count(&world.segments), limits.segments);
                    }
                    DropReason::NoSegment => assert_eq!(world.segments.available(), 0),
                    DropReason::NoChunk => assert_eq!(world.bytes.available(), 0),
                    DropReason::BeyondFin => assert!(
                        self.fin.is_some_and(|fin| end > fin || fin_new)
                            || fin && last.is_some_and(|last| last >= end)
                    ),
                }
            }
        }
        assert!(self.held.len() as u32 <= limits.octets);
        assert!(self.queue.count(&world.segments) <= limits.segments);
        if kept > 0 || fin_kept || result == Inserted::Duplicate && end > begin {
            let recent = self.queue.recent_blocks(&world.segments, None);
            let (start, stop) = recent.iter().next().expect("just touched");
            let (start, stop) = (self.point(start), self.point(stop));
            assert!(start < stop && start <= end && from <= stop, "{start}..{stop}");
        }
    }

    /// The octets in order, as the map has them.
    fn expected(&self) -> Vec<u8> {
        (self.rcv_nxt..).map_while(|point| self.held.get(&point).copied()).collect()
    }

    /// Moves `rcv_nxt` over octets, and the FIN if there is one.
    fn pass(&mut self, octets: i64, fin: bool) {
        self.rcv_nxt += octets;
        if fin {
            assert_eq!(self.fin, Some(self.rcv_nxt));
            self.finished = true;
            self.rcv_nxt += 1;
            self.fin = None;
        }
        self.held = self.held.split_off(&self.rcv_nxt);
    }

    fn take(&mut self, world: &mut World) {
        let before = self.taken.len();
        let expected = self.expected();
        let rcv_nxt = self.seq(self.rcv_nxt);
        let mut into = core::mem::take(&mut self.taken);
        let taken = self.queue.take_in_order(world.pools(), rcv_nxt, &mut into);
        let mut bytes = vec![0; taken.octets as usize];
        assert_eq!(into.copy_at(&world.bytes, before, &mut bytes), bytes.len());
        assert_eq!(into.len(), before + taken.octets);
        assert_eq!(bytes, expected[..bytes.len()]);
        if bytes.len() < expected.len() {
            assert_eq!(world.bytes.available(), 0);
        } else {
            assert_eq!(taken.fin, self.fin == Some(self.rcv_nxt + expected.len() as i64));
        }
        self.taken = into;
        self.pass(taken.octets.into(), taken.fin);
    }

    fn runs(&mut self, world: &mut World, at_most: usize) {
        loop {
            let expected = self.expected();
            let rcv_nxt = self.seq(self.rcv_nxt);
            match self.queue.next_run(world.pools(), rcv_nxt) {
                Run::Octets(run) => {
                    assert!(!run.is_empty());
                    let used = &run[..run.len().min(at_most)];
                    assert_eq!(*used, expected[..used.len()]);
                    self.pass(used.len() as i64, false);
                }
                Run::Fin => self.pass(0, true),
                Run::Missing => {
                    assert!(expected.is_empty() && self.fin != Some(self.rcv_nxt));
                    return;
                }
            }
        }
    }

    fn check(&self, world: &mut World) {
        let (mut points, fin) = self.actual(world);
        assert_eq!(self.queue.octets() as usize, points.len());
        points.extend(fin.map(|fin| (fin, 0)));
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for &point in points.keys() {
            match ranges.last_mut() {
                Some((_, end)) if *end == point => *end += 1,
                _ => ranges.push((point, point + 1)),
            }
        }
        let blocks = self.queue.blocks(&world.segments);
        let blocks = blocks.map(|(start, end)| (self.point(start), self.point(end)));
        assert!(blocks.eq(ranges));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_a_map(
        steps in steps(),
        octets in prop_oneof![Just(40u32), Just(5_000), Just(1 << 20)],
        segments in 1u32..8,
        origin in prop_oneof![Just(0u32), Just(u32::MAX - 3_000), any::<u32>()],
    ) {
        let mut world = World {
            segments: ReassemblyPool::new(SEGMENTS),
            bytes: Pool::new(CHUNKS),
            limits: Limits { octets, segments },
            arrivals: 0,
        };
        let mut sides = [Side::new(origin), Side::new(!origin)];
        for (which, step) in steps {
            let side = &mut sides[usize::from(which)];
            match step {
                Step::Insert { ahead, len, fin } if !side.finished => {
                    side.insert(&mut world, ahead, len, fin);
                }
                Step::Insert { .. } => {}
                Step::Take => side.take(&mut world),
                Step::Runs(at_most) => side.runs(&mut world, at_most),
                Step::Pass(octets) => {
                    let until = side.fin.unwrap_or(i64::MAX);
                    let octets = i64::from(octets).min(until - side.rcv_nxt);
                    side.pass(octets, false);
                    side.runs(&mut world, usize::MAX);
                }
                Step::Read => {
                    let mut out = vec![0; side.taken.len() as usize];
                    side.taken.read(&mut world.bytes, &mut out);
                }
                Step::Clear => {
                    side.queue.clear(world.pools());
                    side.held.clear();
                    side.fin = None;
                }
            }
            sides[usize::from(which)].check(&mut world);
        }
        for side in &mut sides {
            side.check(&mut world);
            prop_assert_eq!(side.actual(&mut world).0, side.held.clone());
            side.queue.clear(world.pools());
            side.taken.clear(&mut world.bytes);
            prop_assert!(side.queue.is_empty() && side.queue.octets() == 0);
        }
        prop_assert_eq!((world.segments.in_use(), world.bytes.in_use()), (0, 0), "lost");
    }
}

#[test]
fn a_burst_behind_a_loss_is_one_segment() {
    let (mut segments, mut bytes) = (ReassemblyPool::new(4), Pool::new(100));
    let limits = Limits { octets: 100_000, segments: 1 };
    let mut queue = Reassembly::new();
    let rcv_nxt = SeqNumber::new(u32::MAX - 5_000);
    for n in 1..20u32 {
        let pools = Pools { segments: &mut segments, bytes: &mut bytes };
        let payload = [n as u8; 1448];
        let kept = queue.insert(pools, &limits, rcv_nxt, rcv_nxt + n * 1448, &payload, n == 19);
        assert_eq!(kept, Inserted::Kept { octets: 1448 });
    }
    let block = (rcv_nxt + 1448, rcv_nxt + 20 * 1448 + 1);
    assert_eq!(queue.blocks(&segments).collect::<Vec<_>>(), [block]);
    assert_eq!(queue.recent_blocks(&segments, None).as_slice(), [block]);
    assert_eq!(segments.in_use(), 1);

    // The lost one arrives and is delivered from where it lies: all the rest follows.
    let mut chain = Chain::new();
    let pools = Pools { segments: &mut segments, bytes: &mut bytes };
    let taken = queue.take_in_order(pools, rcv_nxt + 1448, &mut chain);
    assert_eq!(taken, Taken { octets: 19 * 1448, fin: true });
    assert!(queue.is_empty());
    assert_eq!(segments.in_use(), 0);
    chain.clear(&mut bytes);
    assert_eq!(bytes.in_use(), 0);
}

#[test]
fn a_fin_fixes_the_end_of_the_stream() {
    let (mut segments, mut bytes) = (ReassemblyPool::new(4), Pool::new(4));
    let limits = Limits { octets: 100, segments: 4 };
    let mut queue = Reassembly::new();
    let rcv_nxt = SeqNumber::new(7);
    let mut insert = |ahead: u32, payload: &[u8], fin| {
        let pools = Pools { segments: &mut segments, bytes: &mut bytes };
        queue.insert(pools, &limits, rcv_nxt, rcv_nxt + ahead, payload, fin)
    };
    let beyond = Inserted::Dropped(DropReason::BeyondFin);
    assert_eq!(insert(10, b"", true), Inserted::Kept { octets: 0 });
    assert_eq!(insert(10, b"", true), Inserted::Duplicate);
    assert_eq!(insert(10, b"x", false), beyond);
    assert_eq!(insert(5, b"", true), beyond);
    assert_eq!(insert(12, b"", true), beyond);
    assert_eq!(insert(8, b"abcd", false), Inserted::Kept { octets: 2 });
    assert_eq!(insert(8, b"ab", true), Inserted::Duplicate);
}
