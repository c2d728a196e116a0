//! Shared memory between two processes of ours, of which one goes and another comes.

use super::count;
use super::namespace::{Lastack, Namespace, turn};

/// Requests of the last line are those of the last moment.
fn is_served(client: &Lastack) -> bool {
    let messages = client.messages();
    let last = messages.lines().rfind(|line| line.contains(" req/s "));
    last.and_then(|line| line.split_once(" req/s ")?.1.split_whitespace().next())
        .is_some_and(|number| number != "0")
}

/// net_memif as a client connects when its device is started, and never again by itself.
#[test]
fn a_client_goes_on_with_a_server_that_was_killed_and_started_again() {
    let Some(_turn) = turn() else { return };
    let survived = (0..5).any(|_| goes_on().is_some());
    assert!(survived, "the driver crashed five times");
}

/// `None` if the driver has crashed.
fn goes_on() -> Option<()> {
    let namespace = Namespace::new();
    let server = || {
        let server = namespace.start("server", &["--profile", "memif", "--app", "http"]);
        namespace.wait_for("the server", || server.messages().contains("http at port "));
        server
    };
    let mut serving = server();
    let load = ["--profile", "memif", "--workload", "http", "--connections", "4"];
    let client = namespace.start("client", &[&load[..], &["--duration", "5m"]].concat());
    let until = |what: &str, done: &dyn Fn() -> bool| {
        namespace.wait_for(what, || done() || client.has_crashed());
        (!client.has_crashed()).then_some(())
    };
    until("answers", &|| is_served(&client))?;
    for times in 1..=2 {
        let told = |what: &str| client.messages().matches(what).count() == times;
        let line = "lastack: client: the link of net_memif0 is ";
        serving.kill();
        until("a line that the link is down", &|| told(&format!("{line}down: nothing arrives")))?;
        until("silence", &|| !is_served(&client))?;
        serving = server();
        until("a line that the link is up", &|| told(&format!("{line}up again, after ")))?;
        until("answers of the new server", &|| is_served(&client))?;
    }
    let report = client.stop();
    assert_eq!(count(&report, "/link_downs"), 2, "{report}");
    let report = serving.stop();
    assert!(count(&report, "/requests/completed") > 0, "{report}");
    Some(())
}
