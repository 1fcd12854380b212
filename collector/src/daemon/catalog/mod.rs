//! `cgscope catalog`: which containers and cgroups there are and were, and what was last read of each.

mod ask;

mod walk;

mod watch;

use std::io::{self, Write as _};

pub(super) use self::ask::ask;
use super::{config::Config, exit::Failure};
use crate::{
    error_chain,
    export::listing::{CatalogDocument, table},
};

/// Asks the daemon, or where none answers, looks itself; and prints.
#[expect(clippy::print_stderr, reason = "why it is not the daemon's catalog")]
pub fn catalog(config: &Config, json: bool, watch: bool) -> Result<(), Failure> {
    if watch {
        return watch::watch(config.listen, json);
    }
    let (document, text) = match ask(config.listen) {
        Ok((document, text)) => (document, text),
        Err(error) => {
            eprintln!(
                "cgscope: {}; the cgroups are read here instead, and those that are gone are missing",
                error_chain(&error)
            );
            let document = CatalogDocument::of(walk::walk_all(config)?);
            let text = document
                .encode()
                .map_err(|error| Failure::internal(&error))?;
            (document, text)
        }
    };
    if json {
        print(&text)
    } else {
        print(table(&document).as_bytes())
    }
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        // Who reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(cannot_write(&error)),
        Ok(()) => Ok(()),
    }
}

fn cannot_write(error: &io::Error) -> Failure {
    Failure::Unavailable(format!(
        "cannot write the catalog to standard output: {error}"
    ))
}
