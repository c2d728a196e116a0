//! Keeps `docs/rfc.md` true: what it names exists, and what the code cites is on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/rfc.md")).expect("docs/rfc.md")
}

/// The rows with four columns: RFC, rule, code, tests.
fn rows(page: &str) -> Vec<[String; 4]> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let table = page.lines().filter(|line| line.starts_with('|') && !line.contains("---"));
    table
        .filter_map(|line| <[String; 4]>::try_from(cells(line)).ok())
        .filter(|row| row[0] != "RFC")
        .collect()
}

/// Each `RFC 1234` in a text.
fn cited(text: &str) -> BTreeSet<String> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    let each = text.match_indices("RFC ").map(|(at, _)| digits(&text[at + 4..]));
    each.filter(|number| !number.is_empty()).map(|number| format!("RFC {number}")).collect()
}

/// What a cell names: a file in backticks, and the names behind it; several are parted by `;`.
fn named(cell: &str) -> Vec<(String, Vec<String>)> {
    let parts = cell.split(';').map(str::trim);
    parts
        .map(|part| {
            let mut halves = part.splitn(3, '`').skip(1);
            let file = halves.next().unwrap_or_default().to_owned();
            let names = halves.next().unwrap_or_default().split(',');
            (file, names.map(|name| name.trim().to_owned()).collect())
        })
        .collect()
}

/// Does a source text have a function, type, constant or field of this name?
fn defines(text: &str, name: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "const", "static", "impl"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let ends = |rest: &str| !rest.starts_with(is_word);
    let after =
        |mark: String| text.match_indices(&mark).any(|(at, mark)| ends(&text[at + mark.len()..]));
    kinds.iter().any(|kind| after(format!("{kind} {name}")))
        || text.contains(&format!("pub {name}:"))
}

fn is_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let before = &text[..at];
    before.rfind("#[test]").is_some_and(|test| !before[test..].contains("\nfn "))
}

#[test]
fn every_row_names_code_that_cites_it_and_tests_that_exist() {
    let page = page();
    let rows = rows(&page);
    assert!(rows.len() > 80, "the tables were read: {} rows", rows.len());
    let mut faults = Vec::new();
    for [rfc, rule, code, tests] in &rows {
        let mut fault = |text: String| faults.push(format!("{rfc}, {rule}: {text}"));
        let read = |file: &str| fs::read_to_string(root().join(file)).ok();
        let numbers = cited(rfc);
        if numbers.len() != 1 {
            fault("one RFC a row".to_owned());
        }
        for (file, names) in named(code) {
            let Some(text) = read(&file) else {
                fault(format!("no file {file:?}"));
                continue;
            };
            if !numbers.iter().all(|number| cited(&text).contains(number)) {
                fault(format!("{file} does not cite it"));
            }
            for name in names.iter().filter(|name| !defines(&text, name)) {
                fault(format!("{file} has no {name:?}"));
            }
        }
        for (file, names) in named(tests) {
            let Some(text) = read(&file) else {
                fault(format!("no file {file:?}"));
                continue;
            };
            for name in names.iter().filter(|name| !is_test(&text, name)) {
                fault(format!("{file} has no test {name:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_rfc_that_the_code_cites_is_on_the_page() {
    let known = cited(&page());
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 50, "the sources were read");
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let missing: Vec<_> = cited(&text).difference(&known).cloned().collect();
        assert!(missing.is_empty(), "{} cites {missing:?}", file.display());
    }
}

#[test]
fn the_checker_sees_what_is_missing() {
    assert!(!defines("fn judge_all() {}", "judge"));
    assert!(defines("pub(super) fn judge(&self) {}", "judge"));
    assert!(!is_test("fn helper() {}\n", "helper"));
    assert!(!is_test("#[test]\nfn other() {}\nfn helper() {}\n", "helper"));
    assert!(is_test("#[test]\nfn other() {}\n", "other"));
}
