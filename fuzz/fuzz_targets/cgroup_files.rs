//! What the kernel says in text of mounts, processes, cgroups, programs and disks: names in it are
//! chosen by others, yet they become bounded text, identities of a known form and places below the
//! folder that was asked for.
//!
//! The input is a `mountinfo`, a line `--`, and a `cgroup` file; the other parsers are given all of it.
#![no_main]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use collector::{
    catalog::{Container, Identity, Recognizer, cgroup_path::recognize, path_text::path_text},
    host::{
        block_devices::name_in_link, cgroup_mounts::CgroupMounts, membership,
        program_cost::ProgramCounters,
    },
};
use libfuzzer_sys::fuzz_target;

const SEPARATOR: &[u8] = b"\n--\n";

const HOST_ROOT: &str = "/host";

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

fuzz_target!(|input: &[u8]| {
    mounts(input);
    path(input);
    if let Ok(text) = std::str::from_utf8(input) {
        let counters = ProgramCounters::parse(text);
        assert!(counters == ProgramCounters::default() || text.contains(':'));
    }
    if let Some(name) = name_in_link(Path::new(OsStr::from_bytes(input))) {
        // An invalid byte becomes a character of three.
        assert!(!name.is_empty() && name.len() <= 3 * input.len());
    }
});

fn mounts(input: &[u8]) {
    let at = input
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR);
    let (mountinfo, memberships) = at.map_or((input, &b"0::/\n"[..]), |at| {
        (&input[..at], &input[at + SEPARATOR.len()..])
    });
    let parse = |mountinfo: &[u8]| {
        let (host_root, cgroup_root) = (Path::new(HOST_ROOT), Path::new(CGROUP_ROOT));
        CgroupMounts::parse(mountinfo, memberships, host_root, cgroup_root)
    };
    let members = membership::parse(memberships);
    let mounts = parse(mountinfo);
    if let Ok(mounts) = &mounts {
        assert!(!mounts.hierarchies.is_empty());
        for (index, hierarchy) in mounts.hierarchies.iter().enumerate() {
            let place = &hierarchy.mount_point;
            assert!(place.starts_with(CGROUP_ROOT) || place.starts_with(HOST_ROOT));
            assert!(members.iter().any(|of| of.hierarchy == hierarchy.id));
            let others = &mounts.hierarchies[..index];
            assert!(others.iter().all(|other| other.id != hierarchy.id));
        }
        let attributed = mounts.attributed();
        assert!(attributed.len() <= 4 && attributed.len() <= mounts.hierarchies.len());
        for wanted in [mounts.v2(), mounts.task_hierarchy()].into_iter().flatten() {
            assert!(attributed.contains(&wanted));
        }
    }
    // A mount of another kind hides nothing, however it is called.
    let odd = [b"1 1 0:1 / /\xff - tmpfs x rw\n", mountinfo].concat();
    assert_eq!(
        parse(&odd).map(|of| of.hierarchies).ok(),
        mounts.map(|of| of.hierarchies).ok()
    );
}

fn path(path: &[u8]) {
    let text = path_text(path);
    assert!(text.len() <= Identity::MAX_PATH);
    assert!(!text.chars().any(char::is_control), "{text:?}");

    let recognition = recognize(path);
    if let Some(Container { id, pod_uid, .. }) = &recognition.container {
        // Of most runtimes 64 digits; Garden's and Fargate's are names.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(id.len() <= 255 && id.bytes().all(is_plain), "{id}");
        assert!(matches!(pod_uid.len(), 0 | 32 | 36), "{pod_uid}");
        assert!(pod_uid.is_ascii(), "{pod_uid}");
        assert!(!(id.is_empty() && pod_uid.is_empty()));
    }
    // Without a containerd to ask, a candidate is nobody's.
    let recognizer = Recognizer::new(Path::new("/nonexistent"));
    assert_eq!(recognizer.container(path), recognition.container);
}
