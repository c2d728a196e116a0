//! Texts that people read, kept in files so that a change of one is seen.

use std::path::Path;

/// Is this the text that is kept under the name? With `LASTACK_KEEP=1` it is from now on.
#[track_caller]
pub fn is_kept(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts").join(name);
    if std::env::var_os("LASTACK_KEEP").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(&file, text).expect("the text is written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = text.lines().zip(kept.lines()).position(|(a, b)| a != b);
    assert!(
        text == kept,
        "{name} differs from line {} on; if that is right, run the test with LASTACK_KEEP=1",
        differs.unwrap_or(text.lines().count().min(kept.lines().count())) + 1
    );
}
