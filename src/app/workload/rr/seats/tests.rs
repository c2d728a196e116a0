use super::*;
use crate::app::workload::Shape;
use crate::app::workload::dialogue::Fixed;

use proptest::prelude::*;

fn seats(pipeline: u16, limit: Option<u32>) -> Seats<Fixed> {
    let mut seats = Seats::new(&LoadConfig {
        connections: 3,
        pipeline,
        shape: Shape { request_size: 10, response_size: 4 },
        requests_per_connection: limit,
        ..LoadConfig::new("198.18.0.2:80".parse().unwrap())
    });
    seats.take(1, ConnId { index: 7, generation: 0 }, 0, Instant::ZERO);
    seats.seats[1].step = Step::Open;
    seats
}

fn due(millis: u64) -> Sent {
    Sent { intended: Instant::from_millis(millis), sent: Instant::from_millis(millis) }
}

#[test]
fn a_connection_is_done_when_its_last_request_is_answered() {
    let mut seats = seats(2, Some(3));
    for at in 1..=2 {
        seats.begin(1, due(at));
    }
    assert!(!seats.has_place(1), "the pipeline is full");
    assert_eq!(seats.seats[1].unsent, 20);
    assert!(seats.arrive(1, &[0; 4], |_, _| {}).is_ok() && seats.has_place(1));
    seats.begin(1, due(0));
    assert!(
        seats.arrive(1, &[0; 4], |_, _| {}).is_ok() && !seats.has_place(1),
        "three requests are the limit"
    );
    assert!(!seats.is_done(1));
    assert!(seats.arrive(1, &[0; 4], |_, _| {}).is_ok() && seats.is_done(1));
    assert!(seats.arrive(1, &[0], |_, _| {}).is_err(), "nothing was asked");
}

proptest! {
    /// Answers come back to the requests in their order, however octets arrive.
    #[test]
    fn answers_match_their_requests(depth in 1_u16..9, pieces in proptest::collection::vec(1_usize..30, 1..100)) {
        let mut seats = seats(depth, None);
        let (mut asked, mut got) = (0_u64, Vec::new());
        for piece in pieces {
            while seats.has_place(1) {
                asked += 1;
                seats.begin(1, Sent { intended: Instant::from_nanos(asked), sent: Instant::FAR });
            }
            let due = usize::from(seats.seats[1].under_way) * 4 - seats.seats[1].reading as usize;
            let octets = [0; 30];
            let data = &octets[..piece.min(due)];
            prop_assert!(seats.arrive(1, data, |sent, _| got.push(sent.intended.nanos())).is_ok());
        }
        prop_assert!(got.iter().copied().eq(1..=got.len() as u64));
        prop_assert_eq!(asked - got.len() as u64, u64::from(seats.seats[1].under_way));
    }
}
