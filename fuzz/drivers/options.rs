//! Any octets as TCP options: they are read without complaint, and what was read, written and read
//! again is the same.

use lastack::wire::options::{MAX_LEN, Options};
use lastack::wire::tcp::Segment;

pub fn run(bytes: &[u8]) {
    let read = Options::parse(bytes);
    let bytes = &bytes[..bytes.len().min(MAX_LEN)];
    // the way of a segment: padded to a word with what ends the list
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    let mut segment = vec![0u8; 20];
    segment[12] = (((20 + padded.len()) / 4) << 4) as u8;
    segment.extend_from_slice(&padded);
    let parsed = Segment::parse(&segment).expect("a header as long as it says").options;
    if bytes.len() == padded.len() {
        assert_eq!(parsed, Options::parse(bytes));
    }
    // a NOP in front takes the general way of reading, if there was a fast one
    let mut slow = vec![1u8];
    slow.extend_from_slice(&padded);
    assert_eq!(Options::parse(&slow), parsed);
    let mut out = [0; 60];
    let len = Segment { options: read, ..parsed_segment() }.write_header(&mut out);
    assert!(len <= 60);
    let again = Segment::parse(&out[..len]).expect("what we write can be read").options;
    let kept = again.sack.len();
    assert_eq!(again.sack.as_slice(), &read.sack.as_slice()[..kept], "the first blocks stay");
    let same = Options { sack: read.sack, ..again };
    assert_eq!(same, read);
}

fn parsed_segment() -> Segment<'static> {
    const HEADER: [u8; 20] = {
        let mut header = [0; 20];
        header[12] = 5 << 4;
        header
    };
    Segment::parse(&HEADER).expect("a header")
}
