//! Lines of spans for a program that reads them when it likes.
//!
//! In: spans. Out: lines, written by a thread of its own, and why no more can be. Never here: a wait of the runtime that
//! reads guests; who gives waits for room, and its guest with it.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::dump::line_of;
use crate::export::otlp::Parcel as _;

/// Lines that wait to be written: a frame may become some MiB of them.
const MAX_LINES: usize = 4;

/// Takes spans to be written.
#[derive(Debug)]
pub struct Printer {
    lines: mpsc::Sender<Line>,
    waiting: Arc<AtomicU64>,
}

/// What becomes of them.
#[derive(Debug)]
pub struct Printing {
    ended: oneshot::Receiver<io::Error>,
    waiting: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Line {
    text: String,
    spans: u64,
}

impl Printer {
    /// Writes there, until all that can give are gone.
    pub fn start(mut to: Box<dyn Write + Send>) -> io::Result<(Self, Printing)> {
        let (lines, mut waiting_lines) = mpsc::channel::<Line>(MAX_LINES);
        let (failed, ended) = oneshot::channel();
        let waiting = Arc::new(AtomicU64::new(0));
        let written = Arc::clone(&waiting);
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                while let Some(line) = waiting_lines.blocking_recv() {
                    let done = to.write_all(line.text.as_bytes());
                    if let Err(error) = done.and_then(|()| to.flush()) {
                        // Nobody may wait for it any more.
                        drop(failed.send(error));
                        return;
                    }
                    written.fetch_sub(line.spans, Ordering::Relaxed);
                }
            })?;
        let printing = Printing {
            ended,
            waiting: Arc::clone(&waiting),
        };
        Ok((Self { lines, waiting }, printing))
    }

    /// Waits until there is room for these; for ever, once nothing can be written.
    pub(super) async fn print(&self, spans: &ResourceSpans) {
        let count = spans.items();
        self.waiting.fetch_add(count, Ordering::Relaxed);
        match self.lines.reserve().await {
            Ok(room) => room.send(Line {
                text: line_of(spans),
                spans: count,
            }),
            Err(_closed) => std::future::pending().await,
        }
    }
}

impl Printing {
    /// Waits until something cannot be written.
    pub async fn failed(&mut self) -> io::Error {
        match (&mut self.ended).await {
            Ok(error) => error,
            // It has written everything.
            Err(_ended) => std::future::pending().await,
        }
    }

    /// Waits until everything is written, but no longer than so; how many spans are not.
    pub async fn finish(self, most: Duration) -> io::Result<u64> {
        match timeout(most, self.ended).await {
            Ok(Ok(error)) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(self.waiting.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc as threads};

    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// More lines than a test lets through.
    const MAY: usize = 32;

    fn spans(name: usize) -> ResourceSpans {
        ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![Span {
                    name: name.to_string(),
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    }

    /// Like a pipe: it takes a line when it is told to, and fails when nobody can tell it any more.
    struct Pipe {
        may: threads::Receiver<()>,
        page: Arc<Mutex<String>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let may = self.may.recv();
            may.map_err(|_gone| io::Error::from(io::ErrorKind::BrokenPipe))?;
            let text = std::str::from_utf8(bytes).unwrap();
            self.page.lock().unwrap().push_str(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn who_gives_waits_while_nobody_reads_and_no_span_is_lost() {
        let (let_it, may) = threads::sync_channel(MAY);
        let page = Arc::default();
        let pipe = Pipe {
            may,
            page: Arc::clone(&page),
        };
        let (printer, printing) = Printer::start(Box::new(pipe)).unwrap();
        let giving = tokio::spawn(async move {
            for name in 0..20 {
                printer.print(&spans(name)).await;
            }
        });
        // The runtime works on.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!giving.is_finished());
        let waiting = printing.waiting.load(Ordering::Relaxed);
        assert!(waiting <= MAX_LINES as u64 + 2, "{waiting}");
        for _ in 0..20 {
            let_it.send(()).unwrap();
        }
        giving.await.unwrap();
        assert_eq!(printing.finish(SOON).await.unwrap(), 0);
        let names: Vec<String> = page
            .lock()
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|of| of["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"].clone())
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        let expected: Vec<String> = (0..20).map(|name| name.to_string()).collect();
        assert_eq!(names, expected);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_told_and_what_is_not_written_at_the_end_is_counted() {
        let start = || {
            let (let_it, may) = threads::sync_channel(MAY);
            let page = Arc::default();
            let (printer, printing) = Printer::start(Box::new(Pipe { may, page })).unwrap();
            (let_it, printer, printing)
        };
        let (let_it, printer, mut printing) = start();
        printer.print(&spans(1)).await;
        drop(let_it);
        let told = timeout(SOON, printing.failed()).await.unwrap();
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);

        let (let_it, printer, printing) = start();
        printer.print(&spans(1)).await;
        printer.print(&spans(2)).await;
        drop(printer);
        let left = printing.finish(Duration::from_millis(50)).await;
        assert_eq!(left.unwrap(), 2);
        drop(let_it);
    }
}
