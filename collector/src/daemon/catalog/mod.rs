//! `cgscope catalog`: which containers and cgroups there are and were, and what was last read of each.

mod ask;

mod walk;

use std::io::{self, Write as _};

use self::ask::{ask, ask_of_one};
use super::{config::Config, exit::Failure};
use crate::{
    error_chain,
    export::listing::{CatalogDocument, container_lines, table},
};

/// Asks the daemon, or where none answers, looks itself; and prints.
#[expect(clippy::print_stderr, reason = "why it is not the daemon's catalog")]
pub fn catalog(config: &Config, json: bool) -> Result<(), Failure> {
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

/// Asks the daemon for one container, and prints what it says.
pub fn container(config: &Config, query: &str, json: bool) -> Result<(), Failure> {
    let answer = ask_of_one(config.listen, query)
        .map_err(|error| Failure::Unavailable(error_chain(&error)))?;
    let Some((document, text)) = answer else {
        return Err(Failure::Unavailable(
            "there is no such container, or more than one is called so; `cgscope catalog` lists all"
                .to_owned(),
        ));
    };
    if json {
        print(&text)
    } else {
        print(container_lines(&document).as_bytes())
    }
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        // Who reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Unavailable(format!(
            "cannot write the catalog to standard output: {error}"
        ))),
        Ok(()) => Ok(()),
    }
}
