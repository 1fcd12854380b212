//! The fuzzer's binary seeds, written from the types of the records.
//!
//! A seed that no longer decodes would lead the fuzzer nowhere, and say nothing. So these are made
//! here, and a change of a record fails this test until they are made anew.

mod btf;
mod ring;

use std::{env, fs, path::Path};

/// Set to anything, the seeds are written instead of compared.
const WRITE: &str = "CGSCOPE_WRITE_SEEDS";

/// Compares a seed in the tree with what it should be.
fn expect_seed(target: &str, name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/seeds")
        .join(target)
        .join(name);
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the seeds' folder");
        fs::write(&path, bytes).expect("a seed");
    }
    let found = fs::read(&path).unwrap_or_default();
    assert!(
        found == bytes,
        "{} is not what the records are now: run `{WRITE}=1 cargo test -p collector-tests --test \
         seeds`, and commit what it writes",
        path.display()
    );
}
