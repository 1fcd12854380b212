//! What went over the network of a container: its network namespace's interfaces, as one of its
//! processes sees them.
//!
//! No file of a namespace is kept open, only the directory of a process: an open `net/dev` would keep
//! the namespace, with its interfaces, alive after the container.

use std::str;

use super::{
    cgroupfs::{
        CgroupReader, KernelFile, Permit, ReadContext, Reason,
        parse::{Malformed, parse_u64},
    },
    clock::Ktime,
    process_files::{HeldProcess, ProcessFiles},
};

/// A network namespace, by its inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkNamespace(pub u64);

/// What went over a network namespace's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkStatistics {
    /// When it was read.
    pub at: Ktime,
    /// Which namespace: the containers of a pod share one. `None` if it may not be asked.
    pub namespace: Option<NetworkNamespace>,
    /// Whether it is the host's, so that these are not the container's own numbers.
    pub is_host: Option<bool>,
    /// Each interface, the loopback too.
    pub interfaces: Vec<Interface>,
}

/// An interface and what went over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: InterfaceName,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// Traffic in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with an error.
    pub errors: u64,
    /// Packets dropped.
    pub dropped: u64,
}

/// The name of an interface, which the kernel bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceName {
    text: [u8; Self::MAX_BYTES],
    length: usize,
}

/// Interfaces of one namespace that are kept. A host of many containers has one for each, but a
/// container has a few.
pub const MAX_INTERFACES: usize = 1_024;

impl NetworkNamespace {
    /// The host's, on kernels that number it firmly (6.18 and later).
    const INITIAL: Self = Self(0xEFFF_FFF9);

    pub(super) fn is_initial(self) -> bool {
        self == Self::INITIAL
    }
}

impl InterfaceName {
    /// The kernel's `IFNAMSIZ` less the end of the string.
    const MAX_BYTES: usize = 15;

    /// It, if it is one.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut text = [0; Self::MAX_BYTES];
        text.get_mut(..name.len())?.copy_from_slice(name);
        (!name.is_empty() && str::from_utf8(name).is_ok()).then_some(Self {
            text,
            length: name.len(),
        })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

impl NetworkStatistics {
    /// Of all interfaces but the loopback: what came in and what went out.
    #[must_use]
    pub fn total(&self) -> (Traffic, Traffic) {
        self.interfaces
            .iter()
            .filter(|interface| interface.name.as_str() != "lo")
            .fold(Default::default(), |(received, sent), interface| {
                (interface.received.plus(received), interface.sent.plus(sent))
            })
    }
}

impl Traffic {
    const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            packets: self.packets.saturating_add(other.packets),
            errors: self.errors.saturating_add(other.errors),
            dropped: self.dropped.saturating_add(other.dropped),
        }
    }
}

/// Reads the network of one container.
#[derive(Debug, Default)]
pub struct NetworkReader {
    /// One of its processes, as long as it may be held.
    process: Option<(HeldProcess, Permit)>,
    /// Used again for its process's id.
    pids: Vec<u32>,
}

impl NetworkReader {
    /// Reads it through one of the processes of the container's cgroup. Whether it could be; if not,
    /// because no process is left, the last numbers stay.
    pub fn read(
        &mut self,
        container: &mut CgroupReader,
        files: &ProcessFiles,
        context: &mut ReadContext,
        statistics: &mut Option<NetworkStatistics>,
    ) -> bool {
        if let Some((process, permit)) = self.process.take() {
            if read_of(&process, files, context, statistics).is_ok() {
                self.process = Some((process, permit));
                return true;
            }
            // It has ended, but another may be there.
            process.release(context);
        }
        container.processes(context, &mut self.pids, 1);
        let held = self.pids.first().map(|pid| files.hold(*pid, context));
        let Some(Ok(process)) = held else {
            return false;
        };
        let read = read_of(&process, files, context, statistics).is_ok();
        match container.directory_permit().filter(|_| read) {
            Some(permit) => self.process = Some((process, permit)),
            None => process.release(context),
        }
        read
    }
}

fn read_of(
    process: &HeldProcess,
    files: &ProcessFiles,
    context: &mut ReadContext,
    statistics: &mut Option<NetworkStatistics>,
) -> nix::Result<()> {
    let at = Ktime::now();
    // Each time anew: a runtime's process enters its namespace only after its cgroup.
    let namespace = process.network_namespace(context)?;
    let file = context.open_file(process.as_fd(), KernelFile::NetDev.name())?;
    let length = context.read_in_pieces(&file);
    context.close(file);
    let length = length?;

    let is_host = namespace.and_then(|namespace| files.is_host_network(namespace));
    let statistics = statistics.get_or_insert_with(|| NetworkStatistics {
        at,
        namespace,
        is_host,
        interfaces: Vec::new(),
    });
    statistics.at = at;
    statistics.namespace = namespace;
    statistics.is_host = is_host;
    statistics.interfaces.clear();
    let (bytes, account) = context.content_and_account(length);
    for interface in interfaces(bytes) {
        match interface {
            Ok(_) if statistics.interfaces.len() >= MAX_INTERFACES => account.over_bound += 1,
            Ok(interface) => statistics.interfaces.push(interface),
            Err(Malformed { key, reason }) => {
                account.parse_errors.record(KernelFile::NetDev, key, reason);
            }
        }
    }
    Ok(())
}

/// The interfaces of `/proc/<pid>/net/dev`.
pub fn interfaces(bytes: &[u8]) -> impl Iterator<Item = Result<Interface, Malformed<'_>>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| {
            let (text, terminated) = line
                .strip_suffix(b"\n")
                .map_or((line, false), |text| (text, true));
            // The two lines of the heading have bars instead.
            let colon = text.iter().position(|byte| *byte == b':')?;
            let key = text[..colon].trim_ascii();
            if !terminated {
                return Some(Err(Malformed {
                    key,
                    reason: Reason::Unterminated,
                }));
            }
            Some(interface(key, &text[colon + 1..]).map_err(|reason| Malformed { key, reason }))
        })
}

fn interface(name: &[u8], numbers: &[u8]) -> Result<Interface, Reason> {
    let name = InterfaceName::new(name).ok_or(Reason::MissingName)?;
    let mut words = numbers
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let mut next = || parse_u64(words.next().ok_or(Reason::MissingValue)?);
    let mut direction = || {
        let traffic = Traffic {
            bytes: next()?,
            packets: next()?,
            errors: next()?,
            dropped: next()?,
        };
        // Four kinds of errors follow, which are among the errors.
        for _ in 0..4 {
            next()?;
        }
        Ok(traffic)
    };
    Ok(Interface {
        name,
        received: direction()?,
        sent: direction()?,
    })
}
