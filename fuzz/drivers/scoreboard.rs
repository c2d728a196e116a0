//! The SACK scoreboard beside a list of octets.

use super::input::Input;
use lastack::tcp::scoreboard::{Mark, Newest, Scoreboard};
use lastack::wire::seq::SeqNumber;

const UNA: SeqNumber = SeqNumber::new(u32::MAX - 1_000);
const OCTETS: u32 = 2_048;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut board = Scoreboard::new(UNA);
    let mut model = vec![Mark::Sent; OCTETS as usize];
    let mut newest = Newest::default();
    let mut una = 0u32;
    let mut now = 0u32;
    while !input.is_empty() {
        let a = u32::from(input.u16()) % OCTETS;
        let b = (a + 1 + u32::from(input.u8())).min(OCTETS);
        let mut paint = |from: u32, to: u32, mark: Mark, over_sacked: bool| {
            for known in &mut model[from.max(una).min(to) as usize..to as usize] {
                if over_sacked || *known != Mark::Sacked {
                    *known = mark;
                }
            }
        };
        match input.below(12) {
            0..=4 => {
                let before = board.sacked();
                let delivered = board.sack(UNA + a, UNA + b);
                newest.once = delivered.newest.once.or(newest.once);
                newest.again = delivered.newest.again.or(newest.again);
                assert_eq!(board.sacked(), before + delivered.octets);
                // a full board takes nothing
                if delivered.octets > 0 {
                    paint(a, b, Mark::Sacked, true);
                }
            }
            5 => {
                una = una.max(a / 4);
                board.advance(UNA + una);
            }
            6 => {
                board.lose(UNA + a, UNA + b);
                if board.iter().count() + 8 > lastack::tcp::scoreboard::RANGES {
                    return; // it may have been full
                }
                paint(a, b, Mark::Lost, false);
            }
            7 | 8 => {
                if let Some((start, end)) = board.next_lost() {
                    let end = end.earlier(start + 1 + u32::from(input.u8()));
                    let before = board.lost();
                    board.sent_again(start, end, UNA + OCTETS, now);
                    assert!(board.lost() < before, "it was lost no more");
                    for (start, end, mark) in board.iter() {
                        if mark == Mark::SentAgain {
                            let at = |point| UNA.steps_to(point) as u32;
                            paint(at(start), at(end), Mark::SentAgain, false);
                        }
                    }
                }
            }
            9 => {
                let (rtt, window) = (u32::from(input.u8()), u32::from(input.u8()));
                let before = board.lost();
                let (lost, _) = board.detect(&newest, now, rtt, window);
                assert_eq!(board.lost(), before + lost);
                for (start, end, mark) in board.iter() {
                    if mark == Mark::Lost {
                        let at = |point| UNA.steps_to(point) as u32;
                        paint(at(start), at(end), Mark::Lost, false);
                    }
                }
            }
            10 => now = now.wrapping_add(input.small()),
            _ if input.flip() => {
                board.unlose();
                for known in &mut model {
                    if *known == Mark::Lost {
                        *known = Mark::Sent;
                    }
                }
            }
            _ => {
                board.unsack();
                for known in &mut model {
                    if *known == Mark::Sacked {
                        *known = Mark::Sent;
                    }
                }
            }
        }
        agree(&board, &model, una);
    }
}

fn agree(board: &Scoreboard, model: &[Mark], una: u32) {
    let mut point = UNA + una;
    for (start, end, mark) in board.iter() {
        assert_eq!(start, point, "side by side");
        assert!(start.before(end));
        let at = |point| UNA.steps_to(point) as usize;
        for known in &model[at(start)..at(end).min(model.len())] {
            assert_eq!(*known, mark, "{start:?} to {end:?}");
        }
        point = end;
    }
    let count = |mark| model[una as usize..].iter().filter(|known| **known == mark).count() as u32;
    assert_eq!((board.sacked(), board.lost()), (count(Mark::Sacked), count(Mark::Lost)));
}
