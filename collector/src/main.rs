//! The `cgscope` command.

use std::process::ExitCode;

use clap::Parser as _;
use collector::daemon::{cli::Cli, execute};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => execute(cli),
        Err(error) => {
            // Help and version arrive this way too. Nothing can be done when not even the message
            // can be written.
            let printed = error.print();
            if error.use_stderr() || printed.is_err() {
                ExitCode::from(64)
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}
