//! What a process says, line by line, for who does not wait for it for ever.

use std::{
    io::{self, BufRead as _, BufReader},
    sync::mpsc::{self, Receiver},
    thread,
};

/// Lines that wait for their reader; when there are more, who writes them waits.
const UNREAD_LINES: usize = 1024;

/// Lines as they come, with their ends, from a thread of their own, so that waiting for one can end.
pub(crate) fn lines_of(reader: impl io::Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(UNREAD_LINES);
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = Vec::new();
            let read = reader.read_until(b'\n', &mut line);
            let is_end = matches!(read, Ok(0));
            let is_last = read.is_err();
            if is_end || sender.send(read.map(|_| line)).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}
