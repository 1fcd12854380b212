//! The archive format that the kernel unpacks into its first file system ("newc").
//!
//! In: files. Out: bytes. Owners are root and times are zero, so that the same files give the same bytes.

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;

#[derive(Debug, Default, Clone)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: usize,
    directories: BTreeSet<String>,
}

impl Archive {
    /// A directory and those that it is in. Paths have no leading slash.
    pub(crate) fn directory(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let directory = &path[..end];
            if !directory.is_empty() && self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY, &[]);
            }
        }
    }

    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, REGULAR | permissions, content);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        self.bytes.extend_from_slice(b"070701");
        let fields = [
            self.entries,
            mode as usize,
            0, // user
            0, // group
            1, // links
            0, // time
            content.len(),
            0, // device
            0,
            0, // what a device file stands for
            0,
            path.len() + 1,
            0, // checksum, unused
        ];
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Names and contents end at multiples of four bytes.
    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    /// What `cpio` reads from the archive.
    fn listed(archive: Archive) -> String {
        let mut cpio = Command::new("busybox")
            .args(["cpio", "-tv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("busybox starts");
        let mut stdin = cpio.stdin.take().expect("its input");
        stdin.write_all(&archive.finish()).expect("it reads");
        drop(stdin);
        let output = cpio.wait_with_output().expect("it ends");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    }

    #[test]
    fn another_cpio_reads_files_and_directories() {
        let mut archive = Archive::default();
        archive.file("a/b/odd", 0o755, b"five!");
        archive.file("a/b/empty", 0o644, b"");
        archive.directory("a/b/c");
        let listed = listed(archive);
        let lines: Vec<Vec<&str>> = listed
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let starts: Vec<_> = lines
            .iter()
            .map(|words| (words[0], *words.last().expect("a name")))
            .collect();
        assert_eq!(
            starts,
            [
                ("drwxr-xr-x", "a"),
                ("drwxr-xr-x", "a/b"),
                ("-rwxr-xr-x", "a/b/odd"),
                ("-rw-r--r--", "a/b/empty"),
                ("drwxr-xr-x", "a/b/c"),
            ],
            "{listed}"
        );
    }
}
