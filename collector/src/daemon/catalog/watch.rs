//! `cgscope catalog --watch`: the catalog again and again, or what changes in it.
//!
//! In: the daemon's catalog, every [`EVERY`]. Out: on a terminal the table in place of the last one, every
//! time; elsewhere the table when something changed, and as JSON a line for each change. It ends when it is
//! told to, or nobody reads. A daemon that goes away is waited for, with the last table left as it is.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{ask::ask, cannot_write};
use crate::{
    daemon::exit::Failure,
    error_chain,
    export::listing::{CatalogDocument, Changes, table},
};

/// How often the daemon is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Clears the screen, and goes to its beginning.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A table in place of the last.
    Screen,
    /// A table below the last, when something changed.
    Tables,
    /// A line for each change.
    Json,
}

/// Watches until SIGINT or SIGTERM comes, or nobody reads.
pub(super) fn watch(listen: SocketAddr, json: bool) -> Result<(), Failure> {
    let form = match (json, io::stdout().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Screen,
        (false, false) => Form::Tables,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(&error))?;
    runtime.block_on(async {
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| Failure::internal(&error))?;
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| Failure::internal(&error))?;
        let (end, ended) = oneshot::channel();
        // In a thread that is not waited for: a daemon that hangs, or a reader that is busy, does not keep
        // anyone from ending this.
        thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || drop(end.send(follow(listen, form))))
            .map_err(|error| Failure::internal(&error))?;
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            ended = ended => ended
                .map_err(|error| Failure::internal(&error))?
                .map_err(|error| cannot_write(&error)),
        }
    })
}

/// Until nobody reads.
#[expect(clippy::print_stderr, reason = "why nothing more is shown")]
fn follow(listen: SocketAddr, form: Form) -> io::Result<()> {
    let mut frames = Frames::new(form);
    let mut is_lost = false;
    loop {
        let due = Instant::now() + EVERY;
        match ask(listen) {
            Ok((document, _)) => {
                is_lost = false;
                match print(&frames.next(&document)?) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    printed => printed?,
                }
            }
            Err(error) if !is_lost => {
                is_lost = true;
                eprintln!("cgscope: {}; it is waited for", error_chain(&error));
            }
            Err(_told_already) => {}
        }
        if is_closed_before(due)? {
            return Ok(());
        }
    }
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text)?;
    output.flush()
}

/// Sleeps until then, or until nobody reads any more: whether that is so.
fn is_closed_before(due: Instant) -> io::Result<bool> {
    let output = io::stdout();
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // No event is waited for but the end, which is always told.
        let mut ends = [PollFd::new(output.as_fd(), PollFlags::empty())];
        let most = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut ends, most) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What is shown of one document after the other.
#[derive(Debug)]
struct Frames {
    form: Form,
    changes: Changes,
    shown: bool,
}

impl Frames {
    fn new(form: Form) -> Self {
        Self {
            form,
            changes: Changes::default(),
            shown: false,
        }
    }

    fn next(&mut self, document: &CatalogDocument) -> io::Result<Vec<u8>> {
        if self.form == Form::Screen {
            return Ok(format!("{CLEAR}{}", table(document)).into_bytes());
        }
        let changes = self.changes.take(document);
        let is_first = !std::mem::replace(&mut self.shown, true);
        let mut text = Vec::new();
        match self.form {
            Form::Screen => {}
            Form::Json => {
                for change in changes {
                    serde_json::to_writer(&mut text, &change)?;
                    text.push(b'\n');
                }
            }
            Form::Tables if is_first => text.extend(table(document).bytes()),
            Form::Tables if changes.is_empty() => {}
            Form::Tables => {
                text.push(b'\n');
                text.extend(table(document).bytes());
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A catalog with a cgroup of this name for a container, of which this was read.
    fn document(name: &str, cpu: f64) -> CatalogDocument {
        let text = format!(
            r#"{{"schema":1,"source":"daemon","version":"9","taken_seconds":{cpu},"hierarchies":[],"cgroups":[{{"path":"/a","state":"running","generation":1,"ids":[],"names":{{"name":"{name}"}},"last_reading":{{"how":"running","cpu_seconds":{cpu}}}}}],"left_out":0}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn shown(frames: &mut Frames, document: &CatalogDocument) -> String {
        String::from_utf8(frames.next(document).unwrap()).unwrap()
    }

    #[test]
    fn on_a_screen_each_table_takes_the_place_of_the_last() {
        let mut frames = Frames::new(Form::Screen);
        for cpu in [1.0, 1.0] {
            let document = document("web", cpu);
            let frame = shown(&mut frames, &document);
            assert_eq!(frame, format!("\x1b[2J\x1b[H{}", table(&document)));
        }
    }

    #[test]
    fn elsewhere_a_table_is_shown_when_something_but_a_reading_changed() {
        let mut frames = Frames::new(Form::Tables);
        let first = document("web", 1.0);
        assert_eq!(shown(&mut frames, &first), table(&first));
        assert_eq!(shown(&mut frames, &document("web", 2.0)), "");
        let renamed = document("shop", 3.0);
        assert_eq!(
            shown(&mut frames, &renamed),
            format!("\n{}", table(&renamed))
        );
    }

    #[test]
    fn as_json_each_change_is_a_line() {
        let mut frames = Frames::new(Form::Json);
        let cgroup = |name: &str| {
            format!(
                r#""cgroup":{{"path":"/a","state":"running","generation":1,"ids":[],"names":{{"name":"{name}"}}}}}}"#
            )
        };
        let line = |event: &str, time: &str, name: &str| {
            format!(
                "{{\"event\":\"{event}\",\"time_seconds\":{time},{}\n",
                cgroup(name)
            )
        };
        assert_eq!(
            shown(&mut frames, &document("web", 1.0)),
            line("added", "1.0", "web")
        );
        assert_eq!(shown(&mut frames, &document("web", 2.0)), "");
        assert_eq!(
            shown(&mut frames, &document("shop", 3.0)),
            line("changed", "3.0", "shop")
        );
        let mut empty = document("", 4.0);
        empty.cgroups.clear();
        assert_eq!(shown(&mut frames, &empty), line("removed", "4.0", "shop"));
        assert_eq!(shown(&mut frames, &empty), "");
    }
}
