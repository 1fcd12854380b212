//! Prints `docs/kernels.md`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(collector::attach::document::markdown().as_bytes())
}
