use super::*;
use core::net::Ipv4Addr;
use proptest::prelude::*;

const ANSWER: Claim = Claim::Answer { replace: true };
const OVERHEARD: Claim = Claim::Overheard { replace: true };

fn at(millis: u64) -> Instant {
    Instant::from_millis(1_000_000 + millis)
}

fn ip(host: u8) -> IpAddr {
    Ipv4Addr::new(198, 18, 0, host).into()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn cache(limit: usize) -> Neighbours {
    Neighbours::new(NeighbourConfig { limit, ..NeighbourConfig::default() })
}

fn state(cache: &Neighbours, addr: IpAddr, now: Instant) -> Option<(Option<MacAddr>, State)> {
    cache.iter(now).find(|(ip, ..)| *ip == addr).map(|(_, mac, state)| (mac, state))
}

/// Resolves, asks and answers.
fn reachable(cache: &mut Neighbours, host: u8, now: Instant) -> NeighbourId {
    let Resolution::Pending(id) = cache.resolve(ip(host), now) else { panic!("known before") };
    assert_eq!(cache.poll(now), Some(Event::Ask { ip: ip(host), to: None }));
    assert_eq!(cache.learn(ip(host), Some(mac(host)), now, ANSWER), Learned::Resolved(id));
    id
}

#[test]
fn asks_once_a_second_and_gives_up_after_three() {
    let mut cache = cache(4);
    assert_eq!(cache.next_deadline(), None);
    let Resolution::Pending(id) = cache.resolve(ip(2), at(0)) else { panic!() };
    let ask = Some(Event::Ask { ip: ip(2), to: None });
    assert_eq!(cache.next_deadline(), Some(at(0)));
    for second in 0..3 {
        let now = at(1000 * second);
        assert_eq!(cache.poll(now), ask);
        assert_eq!(cache.poll(now), None);
        assert_eq!(cache.resolve(ip(2), at(1000 * second + 500)), Resolution::Pending(id));
        assert_eq!(cache.poll(at(1000 * second + 999)), None, "not sooner for being wanted");
        assert_eq!(cache.next_deadline(), Some(at(1000 * second + 1000)));
    }
    assert_eq!(cache.poll(at(3000)), Some(Event::Unreachable { id, ip: ip(2) }));
    assert_eq!((cache.poll(at(3000)), cache.next_deadline()), (None, None));
    // The hold-down.
    assert_eq!(cache.resolve(ip(2), at(5999)), Resolution::Unreachable(id));
    assert_eq!(cache.poll(at(5999)), None);
    assert_eq!(cache.resolve(ip(2), at(6000)), Resolution::Pending(id));
    assert_eq!(cache.poll(at(6000)), ask);
    assert_eq!(cache.counters().asked, 4);
    assert_eq!(cache.counters().unreachable, 1);
    // An answer helps at any time.
    assert_eq!(cache.learn(ip(2), Some(mac(2)), at(6001), ANSWER), Learned::Resolved(id));
    assert_eq!(cache.resolve(ip(2), at(6002)), Resolution::Resolved(mac(2), id));
    assert_eq!((cache.poll(at(7000)), cache.next_deadline()), (None, None));
}

#[test]
fn a_stale_neighbour_is_probed_when_used_and_only_then() {
    let mut cache = cache(4);
    let id = reachable(&mut cache, 2, at(0));
    assert_eq!(cache.mac(id, at(29_999)), Some(mac(2)));
    assert_eq!((cache.poll(at(29_999)), cache.next_deadline()), (None, None));
    assert_eq!(state(&cache, ip(2), at(30_000)), Some((Some(mac(2)), State::Stale)));
    assert_eq!(cache.poll(at(30_000)), None, "nobody has used it");
    assert_eq!(cache.mac(id, at(40_000)), Some(mac(2)));
    // RFC 4861 §7.3.3: TCP has five seconds to confirm it.
    assert_eq!(state(&cache, ip(2), at(40_000)), Some((Some(mac(2)), State::Delay)));
    assert!(cache.wants_proof());
    assert_eq!((cache.poll(at(44_999)), cache.next_deadline()), (None, Some(at(45_000))));
    // To the station itself first, then to all; sent to until that starts.
    for second in 45..48 {
        let ask = Event::Ask { ip: ip(2), to: Some(mac(2)) };
        assert_eq!(cache.poll(at(1000 * second)), Some(ask));
        assert_eq!(cache.mac(id, at(1000 * second + 1)), Some(mac(2)));
    }
    for second in 48..51 {
        assert_eq!(cache.poll(at(1000 * second)), Some(Event::Ask { ip: ip(2), to: None }));
        assert_eq!(cache.mac(id, at(1000 * second + 1)), None);
    }
    assert_eq!(cache.poll(at(51_000)), Some(Event::Unreachable { id, ip: ip(2) }));
    assert!(!cache.wants_proof());
}

#[test]
fn progress_of_tcp_confirms() {
    let mut cache = cache(4);
    let id = reachable(&mut cache, 2, at(0));
    assert!(!cache.wants_proof(), "it has just answered");
    assert_eq!(cache.mac(id, at(30_000)), Some(mac(2)));
    assert!(cache.wants_proof());
    cache.confirm(id, at(34_000)); // in DELAY
    assert!(!cache.wants_proof());
    assert_eq!((cache.poll(at(63_000)), cache.next_deadline()), (None, None));
    assert_eq!(cache.mac(id, at(64_000)), Some(mac(2)));
    assert!(cache.poll(at(69_000)).is_some());
    cache.confirm(id, at(69_100)); // while it is probed
    assert_eq!((cache.poll(at(80_000)), cache.next_deadline()), (None, None));
    assert_eq!(state(&cache, ip(2), at(80_000)), Some((Some(mac(2)), State::Reachable)));

    // It says nothing of a neighbour without a station.
    let Resolution::Pending(unknown) = cache.resolve(ip(3), at(80_000)) else { panic!() };
    cache.confirm(unknown, at(80_000));
    assert_eq!(cache.mac(unknown, at(80_000)), None);
}

#[test]
fn time_outs_of_tcp_doubt() {
    let ask = |to| Some(Event::Ask { ip: ip(2), to });
    // One alone says nothing of a neighbour that has answered not long ago.
    let mut one = cache(4);
    let id = reachable(&mut one, 2, at(0));
    one.doubt(id, 1, at(10_000));
    assert_eq!((one.poll(at(10_000)), one.wants_proof()), (None, false));
    one.doubt(id, 2, at(12_000));
    assert_eq!(one.mac(id, at(12_000)), Some(mac(2)), "sent to until it has not answered");
    assert_eq!(one.poll(at(12_000)), ask(Some(mac(2))));
    one.doubt(id, 3, at(12_100));
    assert_eq!(one.poll(at(12_100)), None, "no sooner for being doubted again");
    assert_eq!(one.learn(ip(2), Some(mac(2)), at(12_200), ANSWER), Learned::Known(id));
    assert_eq!((one.poll(at(20_000)), one.next_deadline()), (None, None));
    // A stale one is doubted by the first, in use or not.
    for used in [false, true] {
        let mut cache = cache(4);
        let id = reachable(&mut cache, 2, at(0));
        if used {
            cache.mac(id, at(31_000));
        }
        cache.doubt(id, 1, at(32_000));
        for second in 32..35 {
            assert_eq!(cache.poll(at(second * 1_000)), ask(Some(mac(2))));
        }
        assert_eq!(cache.poll(at(35_000)), ask(None));
        assert_eq!(cache.learn(ip(2), Some(mac(9)), at(35_001), ANSWER), Learned::Resolved(id));
        assert_eq!(cache.mac(id, at(35_001)), Some(mac(9)), "the same handle, another station");
    }
    // A permanent one is not.
    let mut fixed = cache(4);
    let id = fixed.add_permanent(ip(2), mac(2), at(0)).unwrap();
    fixed.doubt(id, 9, at(1));
    fixed.doubt_all(at(1));
    fixed.confirm(id, at(1));
    assert_eq!((fixed.poll(at(1)), fixed.wants_proof()), (None, false));
    assert_eq!(state(&fixed, ip(2), at(1)), Some((Some(mac(2)), State::Permanent)));
}

#[test]
fn a_link_that_was_down_leaves_no_neighbour_sure() {
    let mut cache = cache(4);
    let id = reachable(&mut cache, 2, at(0));
    let Resolution::Pending(gone) = cache.resolve(ip(3), at(0)) else { panic!() };
    for second in 0..4 {
        cache.poll(at(second * 1_000));
    }
    assert_eq!(cache.resolve(ip(3), at(3_500)), Resolution::Unreachable(gone));
    cache.doubt_all(at(3_600));
    assert_eq!(state(&cache, ip(2), at(3_600)), Some((Some(mac(2)), State::Stale)));
    assert_eq!(cache.resolve(ip(3), at(3_600)), Resolution::Pending(gone), "asked again at once");
    cache.doubt(id, 1, at(4_000));
    assert_eq!(state(&cache, ip(2), at(4_000)), Some((Some(mac(2)), State::Probing)));
}

#[test]
fn claims_by_rfc_826_and_rfc_4861() {
    use Learned::{Known, Nothing, Updated};
    let keep = Claim::Answer { replace: false };
    let hint = Claim::Overheard { replace: false };
    let (old, new) = (Some(mac(2)), Some(mac(9)));
    type Case = (Claim, Option<MacAddr>, fn(NeighbourId) -> Learned, Option<MacAddr>, State);
    // From reachable: what the claim is, what comes of it, station and state after it.
    let cases: [Case; 10] = [
        (ANSWER, old, Known, old, State::Reachable),
        (ANSWER, new, Updated, new, State::Reachable),
        (ANSWER, None, Known, old, State::Reachable),
        (keep, old, Known, old, State::Reachable),
        (keep, new, Known, old, State::Stale),
        (hint, old, Known, old, State::Reachable),
        (hint, new, Known, old, State::Stale),
        (OVERHEARD, new, Updated, new, State::Stale),
        (Claim::Question, old, Known, old, State::Reachable),
        (Claim::Question, new, Updated, new, State::Stale),
    ];
    for (claim, told, outcome, station, after) in cases {
        let mut cache = cache(4);
        let id = reachable(&mut cache, 2, at(0));
        assert_eq!(cache.learn(ip(2), told, at(10), claim), outcome(id), "{claim:?} {told:?}");
        assert_eq!(state(&cache, ip(2), at(10)), Some((station, after)), "{claim:?} {told:?}");
        assert_eq!(cache.counters().changed, u64::from(outcome(id) == Updated(id)));
    }
    // From unknown: only who asks for us is worth an entry.
    for (claim, told, makes) in [
        (ANSWER, new, false),
        (OVERHEARD, new, false),
        (Claim::Question, None, false),
        (Claim::Question, Some(MacAddr::BROADCAST), false),
        (Claim::Question, Some(MacAddr::ZERO), false),
        (Claim::Question, new, true),
    ] {
        let mut cache = cache(4);
        let learned = cache.learn(ip(2), told, at(0), claim);
        assert_eq!(learned != Nothing, makes, "{claim:?} {told:?}");
        let expected = makes.then_some((new, State::Stale));
        assert_eq!(state(&cache, ip(2), at(0)), expected);
    }
    // From incomplete: whatever tells a station resolves it.
    for claim in [ANSWER, keep, hint, OVERHEARD, Claim::Question] {
        let mut cache = cache(4);
        let Resolution::Pending(id) = cache.resolve(ip(2), at(0)) else { panic!() };
        assert_eq!(cache.learn(ip(2), None, at(0), claim), Nothing);
        assert_eq!(cache.learn(ip(2), new, at(0), claim), Learned::Resolved(id));
        assert_eq!(cache.mac(id, at(0)), new);
    }
}

#[test]
fn permanent_entries_stay_as_they_are() {
    let mut cache = cache(2);
    let id = cache.add_permanent(ip(2), mac(2), at(0)).unwrap();
    assert_eq!(cache.learn(ip(2), Some(mac(9)), at(1), ANSWER), Learned::Known(id));
    assert_eq!(cache.mac(id, at(1_000_000_000)), Some(mac(2)));
    assert_eq!(cache.poll(at(1_000_000_000)), None);
    for host in 3..100 {
        let now = at(1_000_000_000 + 2000 * u64::from(host));
        assert!(matches!(cache.resolve(ip(host), now), Resolution::Pending(_)));
    }
    assert_eq!(cache.mac(id, at(2_000_000_000)), Some(mac(2)));
    assert_eq!(cache.counters().evicted, 96);
    // A learned entry can be made permanent, keeping its handle.
    let Resolution::Pending(other) = cache.resolve(ip(99), at(2_000_000_000)) else { panic!() };
    assert_eq!(cache.add_permanent(ip(99), mac(99), at(2_000_000_000)), Some(other));
    while let Some(event) = cache.poll(at(2_000_000_000)) {
        assert!(!matches!(event, Event::Ask { ip: asked, .. } if asked == ip(99)));
    }
    assert_eq!(cache.next_deadline(), None);
    assert_eq!(cache.add_permanent(ip(100), mac(100), at(3_000_000_000)), None);
    assert_eq!(cache.counters().full, 1);
    assert!(cache.remove(ip(2)) && !cache.remove(ip(2)));
    assert_eq!(cache.mac(id, at(3_000_000_000)), None, "a handle on nothing");
}

#[test]
fn the_least_recently_used_goes_first() {
    let mut cache = cache(3);
    let ids = [2, 3, 4].map(|host| reachable(&mut cache, host, at(u64::from(host))));
    assert_eq!(cache.resolve(ip(5), at(100)), Resolution::Full, "all are in use");
    assert_eq!(cache.counters().full, 1);
    cache.mac(ids[0], at(2000));
    cache.mac(ids[2], at(2100));
    let Resolution::Pending(fifth) = cache.resolve(ip(5), at(2200)) else { panic!() };
    assert_eq!(cache.mac(ids[1], at(2200)), None, "3 was used least recently");
    assert_eq!(fifth.slot(), ids[1].slot());
    assert_ne!(fifth, ids[1], "the old handle does not find the new entry");
    // One without a station goes before those with, though used later.
    assert!(matches!(cache.resolve(ip(6), at(5000)), Resolution::Pending(_)));
    assert_eq!(state(&cache, ip(5), at(5000)), None);
    assert!(cache.mac(ids[0], at(5000)).is_some() && cache.mac(ids[2], at(5000)).is_some());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Resolve(u8),
    Use(u8),
    Learn(u8, u8, u8),
    Confirm(u8),
    Doubt(u8, u8),
    DoubtAll,
    Remove(u8),
    Permanent(u8),
    Poll,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..24).prop_map(Step::Resolve),
        2 => (0u8..24).prop_map(Step::Use),
        4 => (0u8..24, 0u8..5, 0u8..3).prop_map(|(h, c, m)| Step::Learn(h, c, m)),
        1 => (0u8..24).prop_map(Step::Confirm),
        2 => (0u8..24, 1u8..4).prop_map(|(h, n)| Step::Doubt(h, n)),
        1 => Just(Step::DoubtAll),
        1 => (0u8..24).prop_map(Step::Remove),
        1 => (0u8..24).prop_map(Step::Permanent),
        4 => Just(Step::Poll),
        3 => (0u16..4000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn limits_hold_whatever_happens(limit in 1usize..9, steps in proptest::collection::vec(step(), 0..200)) {
        let mut cache = cache(limit);
        let capacity = cache.by_ip.capacity();
        let mut now = at(0);
        let mut handles: HashMap<u8, NeighbourId> = HashMap::new();
        let mut last_asked: HashMap<IpAddr, Instant> = HashMap::new();
        for step in steps {
            match step {
                Step::Resolve(host) => match cache.resolve(ip(host), now) {
                    Resolution::Resolved(_, id) => { handles.insert(host, id); }
                    Resolution::Pending(id) => {
                        prop_assert!(cache.next_deadline().is_some());
                        handles.insert(host, id);
                    }
                    Resolution::Unreachable(_) => {}
                    Resolution::Full => prop_assert_eq!(cache.len(), limit),
                },
                Step::Use(host) => {
                    if let Some(&id) = handles.get(&host)
                        && cache.mac(id, now).is_some()
                    {
                        prop_assert_eq!(cache.entries[id.slot()].ip, ip(host));
                    }
                }
                Step::Learn(host, claim, station) => {
                    let replace = claim % 2 == 0;
                    let claim = match claim {
                        0 | 1 => Claim::Answer { replace },
                        2 | 3 => Claim::Overheard { replace },
                        _ => Claim::Question,
                    };
                    let station = (station > 0).then(|| mac(host ^ (station << 6)));
                    cache.learn(ip(host), station, now, claim);
                }
                Step::Confirm(host) => {
                    if let Some(&id) = handles.get(&host) { cache.confirm(id, now); }
                }
                Step::Doubt(host, timeouts) => {
                    if let Some(&id) = handles.get(&host) { cache.doubt(id, timeouts, now); }
                }
                Step::DoubtAll => cache.doubt_all(now),
                Step::Remove(host) => { cache.remove(ip(host)); last_asked.remove(&ip(host)); }
                Step::Permanent(host) => { cache.add_permanent(ip(host), mac(host), now); }
                Step::Poll => {
                    for asked in 0.. {
                        prop_assert!(asked <= limit, "poll ends");
                        match cache.poll(now) {
                            Some(Event::Ask { ip, .. }) => { last_asked.insert(ip, now); }
                            Some(Event::Unreachable { .. }) => {}
                            None => break,
                        }
                    }
                    prop_assert!(cache.next_deadline().is_none_or(|deadline| deadline > now));
                }
                Step::Wait(millis) => now = now + Duration::from_millis(u64::from(millis)),
            }
            prop_assert!(cache.len() <= limit);
            prop_assert_eq!(cache.iter(now).count(), cache.len());
            prop_assert_eq!(cache.by_ip.capacity(), capacity, "nothing is allocated later");
            let is_delayed = |entry: &Entry| matches!(entry.phase, Phase::Delay(..));
            let delayed = cache.entries.iter().filter(|entry| is_delayed(entry)).count();
            let probing = |entry: &&Entry| matches!(entry.phase, Phase::Probing(..));
            let probed = cache.entries.iter().filter(probing).count();
            prop_assert_eq!(cache.unsure, delayed + probed);
            for (slot, entry) in cache.entries.iter().enumerate() {
                prop_assert_eq!(is_delayed(entry), cache.delayed.contains(slot));
            }
            // The list of what asks is in order, and nothing that asks is missing from it.
            let asks = cache.entries.iter().enumerate().filter(|(_, entry)| {
                entry.live && matches!(entry.phase, Phase::Probing(..) | Phase::Incomplete(_))
            });
            for (slot, entry) in asks {
                prop_assert!(cache.asking.contains(slot));
                let first = cache.next_deadline().unwrap();
                prop_assert!(first <= entry.due.max(now));
            }
        }
    }

    #[test]
    fn no_neighbour_is_asked_twice_a_second(
        uses in proptest::collection::vec((0u16..900, proptest::option::of(2u8..4)), 1..60)
    ) {
        let mut cache = cache(4);
        let mut now = at(0);
        let mut last: Option<Instant> = None;
        for (wait, flip) in uses {
            now = now + Duration::from_millis(u64::from(wait));
            if let Some(station) = flip {
                cache.learn(ip(2), Some(mac(station)), now, OVERHEARD);
            }
            cache.resolve(ip(2), now);
            while let Some(event) = cache.poll(now) {
                if matches!(event, Event::Ask { .. }) {
                    prop_assert!(last.is_none_or(|last| now.since(last) >= Duration::from_secs(1)));
                    last = Some(now);
                }
            }
        }
        prop_assert!(last.is_some());
    }
}
