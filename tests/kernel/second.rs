//! A second process on a TAP that one has already.

use super::fetch;
use super::namespace::{Namespace, turn};

#[test]
fn a_second_server_on_a_tap_is_refused() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let first = namespace.server("http");
    for command in ["server", "client"] {
        let second = namespace.start(command, &["--profile", "tap"]);
        let line = "lastack: --profile tap: interface lastack0 is there already, and another process uses \
                    it: end that process, or name another interface in a profile of your own\n";
        assert_eq!(second.refusal(), (Some(1), line.to_owned()), "{command}");
    }
    // the first one has not noticed
    fetch(&namespace, "198.18.0.2", 1_000);
    first.stop();
    // and its end lets another one in
    let third = namespace.server("http");
    fetch(&namespace, "198.18.0.2", 1_000);
    third.stop();
}
