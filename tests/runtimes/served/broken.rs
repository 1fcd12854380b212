//! Answers that do not end, are too long, or are no text: what a broken runtime may do.

use std::{io::Write, os::unix::net::UnixListener, thread, time::Duration};

use super::{
    docker::writing,
    http::{Http, stream},
};

/// A socket that takes connections, and never says anything.
pub(crate) struct Silent {
    listener: UnixListener,
    folder: tempfile::TempDir,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("silent.sock")).unwrap();
        Self { listener, folder }
    }

    pub(crate) fn endpoint(&self, protocol: &str) -> String {
        // The kernel takes the connections; nobody ever asks for them.
        assert!(self.listener.local_addr().is_ok());
        format!("{protocol}={}/silent.sock", self.folder.path().display())
    }
}

/// The head of an answer with so long a body.
fn head(to: &mut dyn Write, length: usize) -> std::io::Result<()> {
    write!(
        to,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A byte now and then, of what would be a fine list.
pub(crate) fn slow() -> Http {
    writing(|to| {
        head(to, 4096)?;
        for _ in 0..4096 {
            to.write_all(b" ")?;
            to.flush()?;
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    })
}

/// 100 MiB of a list that has no end, with its length said, or in chunks.
pub(crate) fn huge(chunked: bool) -> Http {
    const COUNT: usize = 100;
    writing(move |to| {
        let part = [b"[\"", "x".repeat((1 << 20) - 4).as_bytes(), b"\","].concat();
        if chunked {
            stream(to)?;
        } else {
            head(to, COUNT * part.len())?;
        }
        for _ in 0..COUNT {
            if chunked {
                write!(to, "{:x}\r\n", part.len())?;
            }
            to.write_all(&part)?;
            if chunked {
                to.write_all(b"\r\n")?;
            }
        }
        Ok(())
    })
}

/// A list whose names are not UTF-8.
pub(crate) fn not_text() -> Http {
    writing(|to| {
        let body = [
            br#"[{"Id":""#.as_slice(),
            &[0xff, 0xfe, 0xc0],
            br#"","Names":["/x"],"Image":"y","State":"running"}]"#,
        ]
        .concat();
        head(to, body.len())?;
        to.write_all(&body)
    })
}
