//! The workload http against nginx, over a TAP: keep-alive, a server that closes after so many
//! requests, chunks, errors, and a new connection for each request.

use super::count;
use super::namespace::{KERNEL_V4, Namespace, Running, turn};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Octets of the file that is asked for.
const SIZE: u64 = 10_000;
/// Requests after which nginx closes a connection.
const KEPT: u64 = 100;

/// Starts nginx in the namespace, with files of its own. `None`, and a line, if there is none.
fn start(namespace: &Namespace) -> Option<Running> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let Some(nginx) = places.map(|place| place.join("nginx")).find(|file| file.is_file()) else {
        eprintln!("skipped: nginx is not installed");
        return None;
    };
    let home = namespace.directory();
    fs::create_dir_all(home.join("www")).unwrap();
    fs::write(home.join("www/file.txt"), "0123456789".repeat(SIZE as usize / 10)).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", home.join(kind).display()))
        .concat();
    let home_path = home.display();
    let config = format!(
        "daemon off; master_process off; pid {home_path}/nginx.pid;\n\
         error_log {home_path}/nginx.log; events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests {KEPT}; {temporary}\n\
         gzip on; gzip_types text/plain; gzip_min_length 1; default_type text/plain;\n\
         server {{ listen [::]:80 ipv6only=off; root {home_path}/www; }} }}\n"
    );
    let file = home.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let log = home.join("nginx.log");
    let arguments = ["-c", utf8(&file), "-e", utf8(&log)];
    let running = Running::spawn(&mut namespace.command(utf8(&nginx), &arguments));
    namespace.wait_for("nginx to listen", || namespace.output("ss", &["-Hltn"]).contains(":80 "));
    Some(running)
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn nginx_answers_every_request() {
    let Some(_turn) = turn() else { return };
    if start(&Namespace::new()).is_none() {
        return;
    }
    let load = |options: &[&str]| -> Value {
        // A namespace of its own: where nginx closed first the kernel keeps the 4-tuples in TIME-WAIT, and
        // the next client, whose timestamps begin anew, would meet them.
        let namespace = Namespace::new();
        let _nginx = start(&namespace).expect("nginx is installed");
        let address = format!("{KERNEL_V4}:80");
        // The TAP gets its address after the client has begun: the question for its neighbour may have to
        // be asked again after a second, and so may the first SYNs.
        let common = ["--workload", "http", "--connections", "16", "--duration", "4s"];
        let connect =
            if options.contains(&"--connect") { vec![] } else { vec!["--connect", &address] };
        let arguments = [&common[..], &connect, options].concat();
        let running = namespace.lastack("client", &arguments);
        // a run of which every request is answered with an error has failed
        let report = if options.contains(&"/nothing") { running.fails().0 } else { running.end() };
        assert!(count(&report, "/requests/completed") > 200, "{options:?} {report}");
        let failed = count(&report, "/connections/failed") + count(&report, "/connections/reset");
        assert_eq!(failed, 0, "{options:?}");
        report
    };
    let requests = |report: &Value| count(report, "/requests/completed");

    for address in ["198.18.0.1:80", "[2001:db8::1]:80"] {
        let kept = load(&["--path", "/file.txt", "--connect", address]);
        assert_eq!(count(&kept, "/errors"), 0);
        assert!(count(&kept, "/bytes/received") > SIZE * requests(&kept));
        let closed = count(&kept, "/connections/closed");
        let rounds = requests(&kept) / KEPT;
        assert!((rounds..=rounds + 16).contains(&closed), "{closed} of {}", requests(&kept));
        assert_eq!(count(&kept, "/service/count"), requests(&kept));
    }

    // nginx closes after so many, with more on their way to it: they are asked for again
    let deep = load(&["--path", "/file.txt", "--pipeline", "4"]);
    assert_eq!(count(&deep, "/errors"), 0, "{deep}");
    assert_eq!(count(&deep, "/requests/unanswered"), 0);
    assert!(count(&deep, "/connections/closed_by_peer") >= 2, "{deep}");
    assert_eq!(count(&deep, "/service/count"), requests(&deep));

    let piped =
        load(&["--path", "/file.txt", "--requests-per-connection", "10", "--pipeline", "5"]);
    assert_eq!(count(&piped, "/errors"), 0);

    let chunked = load(&["--path", "/file.txt", "--header", "Accept-Encoding: gzip"]);
    assert_eq!(count(&chunked, "/errors"), 0);
    let each = count(&chunked, "/bytes/received") / requests(&chunked);
    assert!(each < 1_000, "{each} octets for each, compressed and in chunks");

    let once = load(&["--path", "/file.txt", "--requests-per-connection", "1"]);
    let closed = count(&once, "/connections/closed");
    assert!((requests(&once)..=requests(&once) + 16).contains(&closed), "{closed}");

    let refused = load(&["--path", "/nothing", "--close", "client"]);
    assert_eq!(count(&refused, "/requests/refused"), requests(&refused));
    assert_eq!(count(&refused, "/errors"), requests(&refused));
}
