//! Which sandbox has a context id: as the virtual machine's monitor was started.
//!
//! In: the processes of this host. Out: a sandbox's id, or nothing. Never here: a guess. Kata starts QEMU with the id in
//! its name and the CID among its devices; what says so must have the device open, and be the only one that does.

use std::{
    collections::HashMap,
    fs::{self, DirEntry},
    path::Path,
};

use crate::catalog::runtimes::told_json::is_id;

/// How QEMU's processes are called. What else runs here is not looked into: to read how a process was started can
/// take as long as whatever its memory is mapped from.
const MONITORS: [&str; 2] = ["qemu", "kvm"];

/// What a process has open that gives a virtual machine its CID.
const DEVICE: &str = "/dev/vhost-vsock";

/// The most processes that are looked at.
const MAX_PROCESSES: usize = 100_000;

/// The most descriptors of one that are.
const MAX_DESCRIPTORS: usize = 4_096;

/// The sandboxes of all virtual machines that have a CID, in the processes below `proc`; `None` where two are said to
/// have the same.
pub(super) fn sandboxes(proc: &Path) -> HashMap<u32, Option<String>> {
    let mut found: HashMap<u32, Option<String>> = HashMap::new();
    let processes = fs::read_dir(proc).into_iter().flatten();
    for entry in processes.filter_map(Result::ok).take(MAX_PROCESSES) {
        let Some((cid, sandbox)) = sandbox_of(&entry) else {
            continue;
        };
        let known = found.entry(cid).or_insert_with(|| Some(sandbox.clone()));
        known.take_if(|known| *known != sandbox);
    }
    found
}

/// What a process is the monitor of, if it is one's.
fn sandbox_of(entry: &DirEntry) -> Option<(u32, String)> {
    let name = entry.file_name();
    let is_process = name.to_str()?.bytes().all(|byte| byte.is_ascii_digit());
    let comm = is_process.then(|| fs::read_to_string(entry.path().join("comm")).ok())??;
    // A program that is wrapped begins with a dot.
    let comm = comm.trim_start_matches('.');
    let is_monitor = MONITORS.iter().any(|name| comm.starts_with(name));
    let line = is_monitor.then(|| fs::read(entry.path().join("cmdline")).ok())??;
    let said = said(&line)?;
    has_device(&entry.path()).then_some(said)
}

/// The CID that a command line gives to a guest, and the sandbox that it is of.
fn said(line: &[u8]) -> Option<(u32, String)> {
    let words: Vec<&str> = line
        .split(|byte| *byte == 0)
        .map(|word| std::str::from_utf8(word).unwrap_or_default())
        .collect();
    let values = |option: &'static str| {
        let pairs = words.windows(2).filter(move |pair| pair[0] == option);
        pairs.map(|pair| pair[1])
    };
    let mut sockets = values("-device").filter(|device| device.starts_with("vhost-vsock"));
    let cid = sockets.next()?.split(',').find_map(|property| {
        let cid = property.strip_prefix("guest-cid=")?;
        cid.parse().ok()
    })?;
    let name = values("-name").next()?;
    let id = name.split(',').next()?.strip_prefix("sandbox-")?;
    is_id(id).then(|| (cid, id.to_owned()))
}

fn has_device(process: &Path) -> bool {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten();
    descriptors
        .take(MAX_DESCRIPTORS)
        .filter_map(Result::ok)
        .any(|of| fs::read_link(of.path()).is_ok_and(|to| to == Path::new(DEVICE)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn process(proc: &Path, pid: &str, words: &[&str], open: &str) {
        let folder = proc.join(pid);
        fs::create_dir_all(folder.join("fd")).unwrap();
        let line: String = words.iter().flat_map(|word| [word, "\0"]).collect();
        fs::write(folder.join("cmdline"), line).unwrap();
        fs::write(folder.join("comm"), "qemu-system-x86\n").unwrap();
        symlink("/dev/null", folder.join("fd/0")).unwrap();
        symlink(open, folder.join("fd/3")).unwrap();
    }

    fn qemu<'a>(name: &'a str, device: &'a str) -> [&'a str; 7] {
        [
            "/usr/bin/qemu-system-x86_64",
            "-name",
            name,
            "-machine",
            "q35",
            "-device",
            device,
        ]
    }

    #[test]
    fn the_sandbox_of_a_cid_is_the_one_whose_monitor_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path();
        let device =
            "vhost-vsock-pci,disable-modern=false,vhostfd=3,id=vsock-7,guest-cid=7,romfile=";
        process(
            proc,
            "10",
            &qemu("sandbox-abc,debug-threads=on", device),
            DEVICE,
        );
        let other = "vhost-vsock-pci,guest-cid=77";
        process(proc, "11", &qemu("sandbox-def", other), DEVICE);
        process(
            proc,
            "12",
            &qemu("sandbox-nobody", "virtio-net,guest-cid=8"),
            DEVICE,
        );
        // Anybody can be called so.
        let forged = "vhost-vsock-pci,guest-cid=9";
        process(proc, "13", &qemu("sandbox-forged", forged), "/dev/null");
        process(
            proc,
            "14",
            &qemu("sandbox-../up", "vhost-vsock-pci,guest-cid=5"),
            DEVICE,
        );
        fs::create_dir(proc.join("sys")).unwrap();
        let of = |cid| sandboxes(proc).remove(&cid).flatten();
        assert_eq!(of(7).as_deref(), Some("abc"));
        assert_eq!(of(77).as_deref(), Some("def"));
        for cid in [1, 2, 5, 8, 9] {
            assert_eq!(of(cid), None, "{cid}");
        }
        fs::write(proc.join("10/comm"), "sh\n").unwrap();
        assert_eq!(of(7), None, "it is another program");
        // Two that say they have it: neither is believed.
        process(proc, "15", &qemu("sandbox-ghi", other), DEVICE);
        assert_eq!(of(77), None);
    }
}
