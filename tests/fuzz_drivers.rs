//! The drivers of the fuzz targets, on inputs that once found something (`fuzz/regressions`) and on
//! random ones, so that they hold without a fuzzer too.

#[path = "../fuzz/drivers/congestion.rs"]
mod congestion;
#[path = "../fuzz/drivers/engine.rs"]
mod engine;
#[path = "../fuzz/drivers/input.rs"]
mod input;
#[path = "../fuzz/drivers/options.rs"]
mod options;
#[path = "../fuzz/drivers/peer.rs"]
mod peer;
#[path = "../fuzz/drivers/scoreboard.rs"]
mod scoreboard;
#[path = "../fuzz/drivers/segments.rs"]
mod segments;
#[path = "../fuzz/drivers/watch.rs"]
mod watch;

use proptest::prelude::*;
use std::path::Path;

type Driver = (&'static str, fn(&[u8]));

const DRIVERS: [Driver; 5] = [
    ("congestion", congestion::run),
    ("engine", engine::run),
    ("options", options::run),
    ("scoreboard", scoreboard::run),
    ("segments", segments::run),
];

#[test]
fn what_once_failed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
    for (name, run) in DRIVERS {
        let Ok(inputs) = std::fs::read_dir(root.join(name)) else { continue };
        for input in inputs {
            let path = input.expect("a directory that can be read").path();
            println!("{}", path.display());
            run(&std::fs::read(path).expect("a file that can be read"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_inputs(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
        for (_, run) in DRIVERS {
            run(&bytes);
        }
    }
}
