//! The process: configuration, wiring, clock, shutdown, the view of itself.
//!
//! In: flags, environment, a file. Out: an exit code. The only stage that reads the clock, starts
//! threads and decides when the others work. Never here: how anything is measured or encoded.

pub mod cli;

pub mod config;

pub mod exit;

pub mod lock;

pub mod logging;

pub mod clock;

//pub mod rotation;

//pub mod doctor;

//pub mod run;
