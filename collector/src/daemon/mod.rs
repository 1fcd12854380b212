//! The process: configuration, wiring, shutdown, the view of itself.
//!
//! In: flags, environment, a file. Out: an exit code. The only stage that starts threads and decides
//! when the others work. Never here: how anything is measured or encoded.

pub mod cli;

pub mod config;

pub mod exit;

pub mod lock;

pub mod logging;

pub mod lives_thread;

pub mod rotation;

pub mod host_view;

pub mod doctor;

pub mod catalog;

pub mod state;

pub mod cgroup_files;

pub mod last_reader;

pub mod comparison;

pub mod urgency;

pub mod drain_thread;

pub mod reader_thread;

pub mod resync_thread;

pub mod names;

mod own_container;

pub mod container_query;

pub mod runtime_thread;

pub mod work_tracer;

pub mod otlp_thread;

pub mod trace_forwarder;

pub mod source;

pub mod stop_signals;

pub mod run;

use std::process::ExitCode;

use clap::CommandFactory as _;

use self::{
    cli::{Cli, Command, RunArgs},
    config::Config,
    exit::Failure,
};
use crate::error_chain;

/// Does what was typed.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "the last word of a command that failed"
)]
pub fn execute(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Run(args) => prepare(&args)
            .and_then(|config| run::run(&config))
            .map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => {
            prepare(&args.run).and_then(|config| doctor::doctor(&config, args.json))
        }
        Command::Catalog(args) => Config::load(&args.as_run_args())
            .map_err(|error| Failure::Usage(error_chain(&error)))
            .and_then(|config| match args.one.query() {
                Some(query) => catalog::container(&config, &query, args.json),
                None => catalog::catalog(&config, args.json, args.watch),
            })
            .map(|()| ExitCode::SUCCESS),
        Command::TraceForwarder(args) => trace_forwarder::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "cgscope",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("cgscope: {failure}");
        failure.code()
    })
}

/// The configuration, and a log that follows it.
fn prepare(args: &RunArgs) -> Result<Config, Failure> {
    let config = Config::load(args).map_err(|error| Failure::Usage(error_chain(&error)))?;
    logging::start(&config.log)?;
    Ok(config)
}
