//! The signals that end cgscope: SIGTERM, SIGINT, and SIGHUP unless whoever started it had it ignored.
//!
//! The first ends it in good order: what was seen is recorded, what waits is sent. Should something of that
//! hang, the next ends it at once.
#![expect(
    unsafe_code,
    reason = "a handler that ends the process is set and run in no other way"
)]

use std::io;

use procfs::process::Process;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// These signals, once they no longer do what they do by default.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` where it is ignored, as `nohup` has it.
    hangup: Option<Signal>,
}

impl StopSignals {
    /// Within a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let hangup = (!is_hangup_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Waits for one of them. What waits for something else besides can begin anew.
    pub async fn received(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }

    /// From here on the next ends the process at once, also where it is the first of its namespace, for whom no
    /// signal does anything by default.
    pub fn end_at_once(self) {
        let handler = leave as extern "C" fn(libc::c_int);
        for number in [libc::SIGTERM, libc::SIGINT] {
            // SAFETY: the handler calls nothing that may not be called while anything is interrupted.
            let previous = unsafe { libc::signal(number, handler as libc::sighandler_t) };
            if previous == libc::SIG_ERR {
                tracing::debug!("signal {number}: {}", io::Error::last_os_error());
            }
        }
    }
}

/// As a shell tells of a process that a signal ended.
const BY_SIGNAL: libc::c_int = 128;

extern "C" fn leave(number: libc::c_int) {
    // SAFETY: it is among what a handler may call, and nothing follows it.
    unsafe { libc::_exit(BY_SIGNAL + number) }
}

fn is_hangup_ignored() -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & (1 << (libc::SIGHUP - 1)) != 0)
}
