//! One virtual machine, from its boot to its end.
//!
//! In: a kernel, its first file system, a cgroup mode. Out: what its console said, and why it was
//! ended early if it was. It has two CPUs, no network, and does not outlive this.

use std::{
    collections::VecDeque,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    Mode,
    cache::{Unpacked, with_system_programs},
    console::Console,
    death::{Cause, Death, Fatal},
    emulator::Emulator,
};
use crate::{archive::checked, lines::lines_of, outcomes::shortened};

/// Three times what a run takes.
const TIME_LIMIT: Duration = Duration::from_mins(9);

/// What a dying kernel has left to say is said in this time.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Room for the tests' files; the disk's file here has holes.
const DISK_BYTES: u64 = 512 << 20;

/// How much of what a machine said last is kept of one that dies.
const LAST_LINES: usize = 12;

/// How a machine's life went.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) console: Console,
    pub(crate) seconds: u64,
    pub(crate) cut_short: Option<Death>,
    /// How it died before it was booted again.
    pub(crate) earlier: Vec<Death>,
}

impl Life {
    /// It was booted again, with the tests that had not passed.
    pub(crate) fn continue_with(&mut self, later: Self) {
        let Self {
            console,
            seconds,
            cut_short,
            earlier,
        } = later;
        self.console.continue_with(console);
        self.seconds += seconds;
        self.earlier.extend(self.cut_short.take());
        self.earlier.extend(earlier);
        self.cut_short = cut_short;
    }
}

/// A process that ends with this.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs it to its end. What it says is shown here with `title` before each line, but for what tests say that
/// pass: the whole is in `log`.
pub(crate) fn run(
    emulator: &Emulator,
    kernel: &Unpacked,
    initramfs: &Path,
    mode: Mode,
    folder: &Path,
    title: &str,
    log: &Path,
) -> anyhow::Result<Life> {
    let unwritten = || format!("cannot write {}", log.display());
    let mut whole = File::create(log).with_context(unwritten)?;
    let disk = make_disk(folder)?;
    let mut command = qemu(emulator, kernel, initramfs, mode, &disk);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    let output = child.stdout.take().context("QEMU has no output")?;
    let mut qemu = Qemu(child);
    let start = Instant::now();
    let lines = lines_of(output);

    let mut console = Console::default();
    let mut deadline = start + TIME_LIMIT;
    let mut is_dying = false;
    let mut last_lines = VecDeque::with_capacity(LAST_LINES);
    let why = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(Ok(line)) => {
                let line = plain(&line);
                let line_with_time = format!("{:>3} s: {line}", start.elapsed().as_secs());
                writeln!(whole, "{line_with_time}").with_context(unwritten)?;
                console.line(&line);
                if !console.is_aside() {
                    println!("[{title}] {line_with_time}");
                }
                if last_lines.len() == LAST_LINES {
                    last_lines.pop_front();
                }
                last_lines.push_back(shortened(&line_with_time));
                if !is_dying && console.fatal.is_some() {
                    is_dying = true;
                    deadline = Instant::now() + LAST_WORDS;
                }
            }
            Ok(Err(error)) => break Some(format!("its console cannot be read: {error}")),
            Err(RecvTimeoutError::Disconnected) => {
                let status = qemu.0.wait().context("cannot wait for QEMU")?;
                let why = format!("the machine went off before it was done (QEMU: {status})");
                break (!console.done).then_some(why);
            }
            Err(RecvTimeoutError::Timeout) => {
                break Some(format!("not done after {} s", start.elapsed().as_secs()));
            }
        }
    };
    let fatal = fatal(&console, why);
    Ok(Life {
        console,
        seconds: start.elapsed().as_secs(),
        cut_short: fatal.map(|Fatal { why, cause }| Death {
            why,
            cause,
            last_lines: last_lines.into(),
        }),
        earlier: Vec::new(),
    })
}

/// What a machine died of: what its kernel said of that comes before what was `seen` of it here.
fn fatal(console: &Console, seen: Option<String>) -> Option<Fatal> {
    let seen = seen.map(|why| {
        let cause = Cause::Host;
        let quoted = console.quoted.clone();
        quoted.unwrap_or(Fatal { why, cause })
    });
    console.fatal.clone().or(seen)
}

/// An empty disk with a file system.
fn make_disk(folder: &Path) -> anyhow::Result<PathBuf> {
    let disk = folder.join("disk");
    File::create(&disk)
        .and_then(|file| file.set_len(DISK_BYTES))
        .with_context(|| format!("cannot make {}", disk.display()))?;
    checked(
        Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4"])
            .arg(&disk)
            .env("PATH", with_system_programs()),
    )?;
    Ok(disk)
}

fn qemu(
    emulator: &Emulator,
    kernel: &Unpacked,
    initramfs: &Path,
    mode: Mode,
    disk: &Path,
) -> Command {
    let mut command = emulator.command();
    command
        // Software emulation: the same wherever it runs, within another virtual machine too.
        .args(["-accel", "tcg,thread=multi", "-cpu", "max"])
        .args(["-smp", "2", "-m", "1G"])
        .args(["-nographic", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-drive")
        // The guest's flushes are its own matter: the file is thrown away.
        .arg(format!(
            "file={},format=raw,if=virtio,cache=unsafe",
            disk.display()
        ))
        .arg("-append")
        .arg(format!(
            // The check of the timer counts interrupts in a loop of set length: where the host stands still
            // meanwhile, the kernel takes the timer for broken and panics.
            "console=ttyS0 quiet loglevel=3 panic=-1 oops=panic random.trust_cpu=on tsc=reliable \
             no_timer_check rcupdate.rcu_cpu_stall_timeout=90 cgscope.cgroup={}",
            mode.name()
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

/// A line without its end and without a terminal's control sequences.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // `ESC c`, or `ESC [` up to a letter.
            if rest.next() == Some('[') {
                let _letter = rest.find(char::is_ascii_alphabetic);
            }
        } else if !c.is_control() || c == '\t' {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_goes_off_died_of_what_its_kernel_said_and_else_of_its_host() {
        const SHOWN: &str = "vm: begin kernel\ntest a ... ok\nsuccesses:\n---- a stdout ----\n";
        let cause = |said: &str, seen: Option<&str>| {
            let mut console = Console::default();
            said.lines().for_each(|line| console.line(line));
            fatal(&console, seen.map(str::to_owned)).map(|fatal| fatal.cause)
        };
        let panic = format!("{SHOWN}Kernel panic - not syncing: Fatal exception\n");
        let off = Some("it went off");
        assert_eq!(
            cause("vm: begin kernel\nOops: 0002", off),
            Some(Cause::Kernel)
        );
        assert_eq!(cause(SHOWN, off), Some(Cause::Host));
        // In the middle of what a test printed.
        assert_eq!(cause(&panic, off), Some(Cause::Kernel));
        // There it was what the test printed.
        assert_eq!(cause(&panic, None), None);
        let ended = format!("{panic}vm: end kernel 0\n");
        assert_eq!(cause(&ended, off), Some(Cause::Host));
    }

    #[test]
    fn control_sequences_are_not_text() {
        assert_eq!(
            plain(b"\x1bc\x1b[?7l\x1b[2Jtest a ... ok\r\n"),
            "test a ... ok"
        );
        assert_eq!(plain(b"vm: done\r\n"), "vm: done");
    }
}
