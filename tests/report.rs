//! `report`, end to end: results of real runs over ring ports, their table, pictures, values, and what
//! is told of files that are none.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lastack-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lastack(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lastack"))
        .args(arguments.split_whitespace())
        .output()
        .expect("the program starts")
}

#[track_caller]
fn done(arguments: &str) -> (String, String) {
    let output = lastack(arguments);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments}: {told}");
    (shown, told)
}

/// A short run with its result and its log.
fn run(folder: &Folder, name: &str, options: &str) {
    let (json, hlog) = (folder.file(&format!("{name}.json")), folder.file(&format!("{name}.hlog")));
    done(&format!(
        "--file-prefix=lastack-report -- loopback --workload rr --duration 1s \
         --stats-period 200ms --json {json} --hlog {hlog} {options}"
    ));
}

fn is_svg(file: &str, words: &[&str]) {
    let text = std::fs::read_to_string(file).unwrap();
    let tree = roxmltree::Document::parse(&text).expect("well-formed XML");
    let root = tree.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    let lines = tree.descendants().filter(|node| node.has_tag_name("polyline")).count();
    assert!(lines >= 2, "{lines} lines");
    let texts: Vec<String> = tree
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text().map(|text| text.trim().to_owned()))
        .collect();
    for word in words {
        assert!(texts.iter().any(|text| text.contains(word)), "no {word} in {texts:?}");
    }
}

fn is_png(file: &Path) {
    let decoder = png::Decoder::new(std::fs::File::open(file).unwrap());
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (1_200, 1_280));
    let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks(3).collect();
    for line in [[0, 114, 178], [213, 94, 0]] {
        assert!(colours.contains(&line[..]), "a line of each run is drawn");
    }
}

#[test]
fn two_runs_in_one_picture_and_one_table() {
    let folder = Folder::new("compare");
    run(&folder, "slow", "--rate 1k");
    run(&folder, "fast", "--rate 4k --arrival poisson");
    let files = ["slow.json", "slow.hlog", "fast.json", "fast.hlog"].map(|name| folder.file(name));
    let [svg, png, csv] = ["all.svg", "all.png", "all.csv"].map(|name| folder.file(name));
    let (table, told) =
        done(&format!("report {} --svg {svg} --png {png} --csv {csv}", files.join(" ")));
    assert!(table.lines().next().unwrap().ends_with("fast"), "{table}");
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
    let result = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(folder.file(name)).unwrap()).unwrap()
    };
    let rate = |name: &str| result(name)["requests"]["per_s"].as_f64().unwrap();
    let times = rate("fast.json") / rate("slow.json");
    assert!(row("requests /s").ends_with(&format!(" (x{times:.2})")), "{table}");
    assert!(row("latency p99.9 ").contains("(x"), "{table}");
    assert!(told.is_empty(), "{told}");
    is_svg(
        &svg,
        &["slow", "fast", "99.9 %", "latency: percentiles", "requests answered in a second"],
    );
    is_png(Path::new(&png));
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.lines().all(|line| line.split(',').count() == 4), "{csv}");

    let hgrm = folder.file("both.hgrm");
    let (merged, _) = done(&format!("report --merge {} --hgrm {hgrm}", files.join(" ")));
    assert!(merged.lines().next().unwrap().ends_with("2 hosts"), "{merged}");
    let total = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.contains("Total count")).unwrap();
        line.trim_end_matches(']').rsplit(' ').next().unwrap().parse().unwrap()
    };
    let told = std::fs::read_to_string(&hgrm).unwrap();
    let count = |name: &str| result(name)["latency"]["count"].as_u64().unwrap();
    assert_eq!(total(&told), count("slow.json") + count("fast.json"));
    // what was written is read again
    let (again, _) = done(&format!("report {hgrm} --svg {svg} --kind latency"));
    assert!(again.contains("both"), "{again}");
}

#[test]
fn a_closed_loop_has_no_latency_to_draw_and_it_is_said_why() {
    let folder = Folder::new("closed");
    run(&folder, "open", "--rate 1k");
    run(&folder, "closed", "");
    let files = ["open.json", "closed.json"].map(|name| folder.file(name)).join(" ");
    let svg = folder.file("both.svg");
    let (_, told) = done(&format!("report {files} --svg {svg}"));
    let expected = "lastack: closed tells no latency: a closed loop has service times only; \
                    --kind service compares them\n";
    assert_eq!(told, expected);
    let (_, told) = done(&format!("report {files} --svg {svg} --kind service"));
    assert!(told.is_empty(), "{told}");
    is_svg(&svg, &["closed (percentiles of the result only)", "service: percentiles"]);
}

/// A file that is of no use is told, and the rest is shown; a sum is not made without it.
#[test]
fn one_bad_file_does_not_take_the_report_with_it() {
    let folder = Folder::new("one-bad");
    let text = serde_json::to_string(&lastack::measure::Report::blank()).unwrap();
    let [good, bad] = ["good.json", "bad.json"].map(|name| folder.file(name));
    std::fs::write(&good, &text).unwrap();
    std::fs::write(&bad, "{").unwrap();
    let output = lastack(&format!("report {good} {bad}"));
    let (shown, told) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let why =
        format!("{bad}: it is no result of --json: EOF while parsing an object at line 1 column 1");
    assert_eq!(
        told,
        format!("lastack: {why}; it is left out\nlastack: 1 of 2 files are left out, see above\n")
    );
    assert!(shown.lines().next().unwrap().ends_with("good"), "{shown}");
    assert_eq!(output.status.code(), Some(1));
    is_refusal(&lastack(&format!("report --merge {good} {bad}")), &why);
}

/// Our own distribution of a run without answers, a log whose tags are another program's, and what wrk2
/// writes.
#[test]
fn files_without_times_and_files_of_others_are_read() {
    let folder = Folder::new("others");
    let empty = folder.file("empty.hgrm");
    let mut none = Vec::new();
    lastack::measure::Histogram::new().write_hgrm("latency", &mut none).unwrap();
    std::fs::write(&empty, &none).unwrap();
    let output = lastack(&format!("report {empty}"));
    let told = String::from_utf8_lossy(&output.stderr);
    let lines =
        "lastack: empty: nothing was recorded\nlastack: these files tell of no time and no rate\n";
    assert_eq!((output.status.code(), told.as_ref()), (Some(1), lines));

    run(&folder, "own", "--rate 1k");
    let log = std::fs::read_to_string(folder.file("own.hlog")).unwrap();
    let tagged = folder.file("tagged.hlog");
    let log = log.replace("Tag=latency", "Tag=get").replace("Tag=service", "Tag=put");
    let own: Vec<&str> = log
        .lines()
        .filter(|line| !["Tag=connect", "Tag=close"].iter().any(|tag| line.starts_with(tag)))
        .collect();
    std::fs::write(&tagged, own.join("\r\n") + "\r\n").unwrap();
    let wrk2 = folder.file("wrk2.hgrm");
    let table = "# f\u{fc}r M\u{fc}ller\n  Detailed Percentile spectrum:\n       Value   Percentile   TotalCount \
                 1/(1-Percentile)\n\n       1.000     0.000000            1         1.00\n       2.000     \
                 0.500000            5         2.00\n       9.000     1.000000           10          inf\n";
    let latin: Vec<u8> = table.chars().map(|c| c as u8).collect();
    std::fs::write(&wrk2, latin).unwrap();
    let svg = folder.file("all.svg");
    let (shown, told) =
        done(&format!("report {empty} {tagged} {} {wrk2} --svg {svg}", folder.file("own.json")));
    assert!(shown.lines().next().unwrap().contains("tagged get  "), "{shown}");
    assert!(shown.contains("tagged put") && shown.contains("latency p99.9"), "{shown}");
    assert!(told.contains("lastack: empty: nothing was recorded\n"), "{told}");
    is_svg(&svg, &["tagged get", "wrk2", "latency: percentiles"]);
}

#[test]
fn a_distribution_is_titled_by_what_it_is_of() {
    let folder = Folder::new("titled");
    for (name, options, kind) in [("open", "--rate 1k", "latency"), ("closed", "", "service")] {
        let (hgrm, svg) =
            (folder.file(&format!("{name}.hgrm")), folder.file(&format!("{name}.svg")));
        run(&folder, name, &format!("{options} --hgrm {hgrm}"));
        done(&format!("report {hgrm} --svg {svg}"));
        is_svg(&svg, &[&format!("{kind}: percentiles")]);
        let text = std::fs::read_to_string(&hgrm).unwrap().replace("#[Kind", "#[Sort");
        std::fs::write(&hgrm, text).unwrap();
        done(&format!("report {hgrm} --svg {svg}"));
        is_svg(&svg, &["times: percentiles"]);
    }
    let files = ["open", "closed"].map(|name| folder.file(&format!("{name}.hlog"))).join(" ");
    let line = "--merge: open is an open loop and closed is a closed loop: runs of one load are expected, at \
                the same time";
    is_refusal(&lastack(&format!("report --merge {files}")), line);
}

#[test]
fn what_is_no_result_is_told_in_one_line() {
    let folder = Folder::new("wrong");
    let text = folder.file("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    let json = folder.file("run.json");
    std::fs::write(&json, "{\"schema\": 1}").unwrap();
    let none = folder.file("none.json");
    for (arguments, line) in [
        (
            format!("report {none}"),
            format!("{none}: cannot be read: No such file or directory (os error 2)"),
        ),
        (
            format!("report {text}"),
            format!(
                "{text}: a result of --json, a log of --hlog or a distribution of --hgrm is expected"
            ),
        ),
        (
            format!("report {json}"),
            format!(
                "{json}: it is no result of --json: missing field `version` at line 1 column 13"
            ),
        ),
    ] {
        let output = lastack(&arguments);
        is_refusal(&output, &line);
    }
}

#[track_caller]
fn is_refusal(output: &Output, line: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told, format!("lastack: {line}\n"));
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(output.stdout.is_empty());
}

/// If one of the files cannot be made, none is, and those that are read stay.
#[test]
fn nothing_is_written_if_anything_is_wrong() {
    let folder = Folder::new("refused");
    let text = serde_json::to_string(&lastack::measure::Report::blank()).unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let file = folder.file(&format!("{name}.json"));
        std::fs::write(&file, &text).unwrap();
        file
    });
    let [svg, png, csv, hgrm] =
        ["all.svg", "all.png", "all.csv", "all.hgrm"].map(|name| folder.file(name));
    let gone = folder.file("none/all");
    let not_there = "cannot be written: No such file or directory (os error 2)";
    let all = format!("report {one} {two} --csv {csv}");
    let twice = "--csv names the same file, another is expected";
    for (arguments, line) in [
        (
            format!("{all} --svg {svg} --hgrm {hgrm}"),
            format!("--hgrm {hgrm}: one run is expected; --merge makes one of several"),
        ),
        (
            format!("report {one} --csv {csv} --hgrm {hgrm} --kind connect"),
            format!("--hgrm {hgrm}: one has no log (--hlog) of its connect"),
        ),
        (
            format!("{all} --merge"),
            "one: percentiles cannot be added; the log of --hlog is needed to merge".to_owned(),
        ),
        (
            format!("{all} --svg {svg} --png {svg}"),
            format!("--png {svg}: a name that ends with .png is expected"),
        ),
        (
            format!("{all} --svg {png}"),
            format!("--svg {png}: a name that ends with .svg is expected"),
        ),
        (format!("{all} --svg {gone}.svg"), format!("--svg {gone}.svg: {not_there}")),
        (format!("{all} --png {gone}.png"), format!("--png {gone}.png: {not_there}")),
        (format!("{all} --hgrm {gone}"), format!("--hgrm {gone}: {not_there}")),
        (format!("{all} --hgrm {csv}"), format!("--hgrm {csv}: {twice}")),
        (
            format!("report {one} {two} --csv {two}"),
            format!("--csv {two}: this file is read, another is expected"),
        ),
        (format!("{all} --svg -"), "--svg -: the name of a file is expected".to_owned()),
        (format!("{all} {one}"), format!("{one}: given twice, once is expected")),
        (
            format!("{all} {gone}"),
            format!("{gone}: cannot be read: No such file or directory (os error 2)"),
        ),
    ] {
        is_refusal(&lastack(&arguments), &line);
        for file in [&svg, &png, &csv, &hgrm] {
            assert!(!Path::new(file).exists(), "{arguments}: {file}");
        }
        assert_eq!(std::fs::read_to_string(&two).unwrap(), text, "{arguments}");
    }
    let output = lastack(&format!("{all} --svg {svg}"));
    let told = String::from_utf8_lossy(&output.stderr);
    let last = format!("lastack: --svg {svg}: there is no service and no rate over time to draw");
    assert_eq!((output.status.code(), told.lines().last()), (Some(1), Some(last.as_str())));
}
