use super::*;
use proptest::prelude::*;

const UNA: SeqNumber = SeqNumber::new(u32::MAX - 2_000);

fn at(octet: u32) -> SeqNumber {
    UNA + octet
}

fn board() -> Scoreboard {
    Scoreboard::new(UNA)
}

fn ranges(board: &Scoreboard) -> Vec<(u32, u32, Mark)> {
    let offset = |point: SeqNumber| UNA.steps_to(point) as u32;
    board.iter().map(|(start, end, mark)| (offset(start), offset(end), mark)).collect()
}

#[test]
fn blocks_join_and_leave_holes() {
    let mut board = board();
    assert_eq!(board.sack(at(1_000), at(2_000)).octets, 1_000);
    assert_eq!(board.sack(at(3_000), at(4_000)).octets, 1_000);
    assert_eq!(board.sack(at(1_500), at(3_000)).octets, 1_000);
    assert_eq!(board.sack(at(1_000), at(4_000)).octets, 0);
    assert_eq!(ranges(&board), [(0, 1_000, Mark::Sent), (1_000, 4_000, Mark::Sacked)]);
    assert_eq!((board.sacked(), board.highest()), (3_000, at(4_000)));
    assert_eq!(board.advance(at(1_000)).octets, 1_000);
    assert!(board.is_reneged(), "the ACK should have gone further");
    assert_eq!(board.advance(at(5_000)).octets, 1_000);
    assert!(board.is_empty());
}

/// RFC 8985 §6.2: without reordering what lies below a delivered one is lost at once.
#[test]
fn what_was_overtaken_is_lost_after_the_window() {
    let mut board = board();
    let newest = board.sack(at(1_000), at(2_000)).newest;
    assert_eq!(newest, Newest { once: Some(at(2_000)), again: None });
    assert_eq!(board.detect(&newest, 5_000, 20_000, 300), (0, Some(300)));
    assert_eq!(board.detect(&newest, 5_299, 20_000, 300), (0, Some(1)));
    assert_eq!(board.detect(&newest, 5_300, 20_000, 300), (1_000, None));
    assert_eq!(board.next_lost(), Some((at(0), at(1_000))));
}

#[test]
fn a_lost_retransmission_is_found_by_what_left_later() {
    let mut board = board();
    let newest = board.sack(at(1_000), at(2_000)).newest;
    assert_eq!(board.detect(&newest, 0, 20_000, 0), (1_000, None));
    board.sent_again(at(0), at(1_000), at(5_000), 100);
    // left before the retransmission: says nothing of it
    let newest = board.sack(at(4_000), at(5_000)).newest;
    assert_eq!(board.detect(&newest, 19_000, 20_000, 0), (2_000, None));
    // left after it
    let newest = board.sack(at(5_000), at(6_000)).newest;
    assert_eq!(board.detect(&newest, 20_099, 20_000, 0), (0, Some(1)));
    assert_eq!(board.detect(&newest, 20_100, 20_000, 0), (1_000, None));
}

#[test]
fn reordering_is_noticed_for_what_was_sent_once() {
    let mut board = board();
    assert!(!board.sack(at(1_000), at(2_000)).reordered);
    assert!(board.advance(at(1_000)).reordered);
    let mut board = self::board();
    board.sack(at(1_000), at(2_000));
    board.lose(at(0), at(1_000));
    board.sent_again(at(0), at(1_000), at(2_000), 7);
    let delivered = board.advance(at(2_000));
    assert!(!delivered.reordered);
    let again = Again { nxt: at(2_000), at_us: 7, end: at(1_000) };
    assert_eq!(delivered.newest, Newest { once: None, again: Some(again) });
}

#[test]
fn an_attack_of_holes_is_bounded() {
    let mut board = board();
    for hole in 0..10_000 {
        board.sack(at(2 * hole + 1), at(2 * hole + 2));
    }
    assert!(usize::from(board.len) <= RANGES - SPARE + 2);
    board.lose(at(0), at(20_000));
    assert_eq!(board.lost() + board.sacked(), 20_000);
    while let Some((start, _)) = board.next_lost() {
        board.sent_again(start, start + 1, at(20_000), start.value());
    }
    assert_eq!(board.lost(), 0);
}

/// What one octet is known as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Sent,
    Lost,
    Again(u32),
    Sacked,
}

#[derive(Clone, Debug)]
enum Step {
    Sack(u32, u32),
    Advance(u32),
    Lose(u32, u32),
    SendLost(u32),
    Unlose,
    Unsack,
    Detect(u32, u32),
}

const OCTETS: u32 = 3_000;

fn step() -> impl Strategy<Value = Step> {
    let span = || (0..OCTETS, 1..400u32).prop_map(|(a, len)| (a, (a + len).min(OCTETS)));
    prop_oneof![
        8 => span().prop_map(|(a, b)| Step::Sack(a, b)),
        2 => (0..OCTETS).prop_map(Step::Advance),
        1 => span().prop_map(|(a, b)| Step::Lose(a, b)),
        6 => (1..200u32).prop_map(Step::SendLost),
        1 => Just(Step::Unlose),
        1 => Just(Step::Unsack),
        4 => (0..50u32, 0..50u32).prop_map(|(rtt, window)| Step::Detect(rtt, window)),
    ]
}

/// One entry for each octet, and the same rules: slow and plain.
struct Model {
    octets: Vec<Known>,
    una: u32,
}

impl Model {
    fn count(&self, is: impl Fn(&Known) -> bool) -> u32 {
        self.octets[self.una as usize..].iter().filter(|known| is(known)).count() as u32
    }

    fn paint(&mut self, start: u32, end: u32, change: impl Fn(Known) -> Known) {
        for octet in &mut self.octets[start.max(self.una).min(end) as usize..end as usize] {
            *octet = change(*octet);
        }
    }
}

proptest! {
    /// Whatever happens, the scoreboard knows of each octet what a list of octets knows.
    #[test]
    fn is_a_list_of_octets(steps in prop::collection::vec(step(), 1..200)) {
        let mut board = board();
        let mut model = Model { octets: vec![Known::Sent; OCTETS as usize], una: 0 };
        let mut newest = Newest::default();
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as u32 * 10;
            let not_sacked = |model: &Model, a: u32, b: u32| {
                let from = a.max(model.una).min(b) as usize;
                model.octets[from..b as usize].iter().filter(|k| **k != Known::Sacked).count() as u32
            };
            match step {
                Step::Sack(a, b) => {
                    let news = not_sacked(&model, a, b);
                    let delivered = board.sack(at(a), at(b));
                    prop_assert_eq!(delivered.octets, news);
                    newest.once = delivered.newest.once.or(newest.once);
                    newest.again = delivered.newest.again.or(newest.again);
                    model.paint(a, b, |_| Known::Sacked);
                }
                Step::Advance(to) => {
                    let to = to.max(model.una);
                    let news = not_sacked(&model, model.una, to);
                    prop_assert_eq!(board.advance(at(to)).octets, news);
                    model.una = to;
                }
                Step::Lose(a, b) => {
                    board.lose(at(a), at(b));
                    model.paint(a, b, |k| if k == Known::Sacked { k } else { Known::Lost });
                }
                Step::SendLost(len) => {
                    let first = model.octets[model.una as usize..].iter().position(|k| *k == Known::Lost);
                    let first = first.map(|offset| model.una + offset as u32);
                    prop_assert_eq!(board.next_lost().map(|(start, _)| start), first.map(at));
                    let Some((start, end)) = board.next_lost() else { continue };
                    let end = end.earlier(start + len);
                    board.sent_again(start, end, at(OCTETS), now);
                    let offset = |point| UNA.steps_to(point) as u32;
                    model.paint(offset(start), offset(end), |_| Known::Again(now));
                }
                Step::Unlose => {
                    board.unlose();
                    model.paint(0, OCTETS, |k| if k == Known::Lost { Known::Sent } else { k });
                }
                Step::Unsack => {
                    board.unsack();
                    model.paint(0, OCTETS, |k| if k == Known::Sacked { Known::Sent } else { k });
                }
                Step::Detect(rtt, window) => {
                    let before = board.lost();
                    let (lost, _) = board.detect(&newest, now, rtt, window);
                    prop_assert_eq!(board.lost(), before + lost);
                    for (start, end, mark) in board.iter() {
                        if mark == Mark::Lost {
                            let offset = |point| UNA.steps_to(point) as u32;
                            model.paint(offset(start), offset(end), |_| Known::Lost);
                        }
                    }
                }
            }
            prop_assert_eq!(board.sacked(), model.count(|k| *k == Known::Sacked));
            prop_assert_eq!(board.lost(), model.count(|k| *k == Known::Lost));
            let mut point = at(model.una);
            for (start, end, mark) in board.iter() {
                prop_assert_eq!(start, point, "side by side");
                prop_assert!(start.before(end));
                point = end;
                let offset = |point| UNA.steps_to(point) as usize;
                for known in &model.octets[offset(start)..offset(end)] {
                    let same = matches!(
                        (mark, known),
                        (Mark::Sent, Known::Sent)
                            | (Mark::Lost, Known::Lost)
                            | (Mark::Sacked, Known::Sacked)
                            | (Mark::SentAgain, Known::Again(_))
                    );
                    prop_assert!(same, "{mark:?} and {known:?}");
                }
            }
            for known in &model.octets[(UNA.steps_to(point) as usize).min(OCTETS as usize)..] {
                prop_assert_eq!(*known, Known::Sent, "behind what is kept");
            }
        }
    }
}
