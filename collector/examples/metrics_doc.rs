//! Prints `docs/metrics.md`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(collector::export::reference::markdown().as_bytes())
}
