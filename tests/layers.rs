//! A lower layer never imports a higher one, and `unsafe` stays where it belongs.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules that it may name beside itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("wire", &[]),
    ("timer", &["time"]),
    ("tcp", &["time", "wire"]),
    ("net", &["time", "wire"]),
    ("port", &["time", "wire"]),
    ("engine", &["time", "wire", "timer", "tcp", "net", "port"]),
    ("app", &["time", "wire", "timer", "tcp", "net", "port", "engine", "measure"]),
    ("measure", &["time", "wire", "timer", "tcp", "net", "port", "engine"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let name = |path: &PathBuf| {
        path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned()
    };
    found.iter().map(|path| (name(path), fs::read_to_string(path).expect("text"))).collect()
}

/// The module that a file belongs to, and whether it is a test.
fn module(file: &str) -> &str {
    file.split(['/', '.']).next().expect("a name")
}

#[test]
fn every_import_points_down() {
    let mut checked = 0;
    for (file, text) in all() {
        let own = module(&file);
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == own) else { continue };
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for named in line.split("crate::").skip(1) {
                let named = named.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                let named = named.unwrap_or_default();
                let macros = named.is_empty() || LAYERS.iter().all(|(name, _)| *name != named);
                let fine = named == own || may.contains(&named) || (macros && named != "cli");
                assert!(fine, "src/{file} names crate::{named}, which lies above {own}");
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} imports were found");
}

#[test]
fn only_the_command_line_names_a_real_port() {
    for (file, text) in all() {
        if !file.starts_with("cli/") && !file.starts_with("port/") {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                assert!(!line.contains("port::dpdk"), "src/{file}: {line}");
                assert!(!line.contains("port::sim"), "src/{file}: {line}");
            }
        }
    }
}

#[test]
fn unsafe_stays_in_the_dpdk_port() {
    for (file, text) in all() {
        let blocks = text.matches("unsafe {").count() + text.matches("unsafe fn").count();
        assert!(blocks == 0 || file.starts_with("port/dpdk/"), "src/{file} has unsafe code");
    }
}

/// Does the name of a function ask something?
fn asks(name: &str) -> bool {
    const QUESTIONS: [&str; 5] = ["is", "has", "may", "can", "was"];
    let mut words = name.split('_');
    words.next().is_some_and(|first| QUESTIONS.contains(&first))
        || name.contains("_is_")
        || name.contains("_was_")
}

/// The name and the parameters of each function of a source text.
fn functions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("fn ").skip(1).filter_map(|rest| {
        let name_ends = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let begins = rest.find('(')?;
        let mut depth = 0;
        let ends = rest[begins..].find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        })?;
        let is_declared = rest[name_ends..].starts_with(['(', '<']);
        is_declared.then_some((&rest[..name_ends], &rest[begins..=begins + ends]))
    })
}

/// Who reads `if x.is_late()` need not look whether something changes.
#[test]
fn a_question_changes_nothing() {
    let mut asked = 0;
    for (file, text) in all() {
        // tests are named after what they show
        let code = text.split("#[cfg(test)]\nmod tests {").next().expect("one part");
        for (name, parameters) in functions(code).filter(|(name, _)| asks(name)) {
            assert!(!parameters.contains("&mut"), "src/{file}: {name} may change something");
            asked += 1;
        }
    }
    assert!(asked > 100, "only {asked} questions were found");
    let found: Vec<_> =
        functions("fn is_one(&mut self, f: fn(u8)) -> bool {} fn two() {}").collect();
    assert_eq!(found, [("is_one", "(&mut self, f: fn(u8))"), ("two", "()")]);
}
