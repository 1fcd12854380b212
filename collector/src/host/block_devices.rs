//! The names of the machine's disks.
//!
//! Asked anew each time: numbers are reused when disks come and go, and a remembered name could be
//! another disk's by now.

use std::{fs, path::Path};

/// Where the kernel links each disk's number to its name.
const LINKS: &str = "/sys/dev/block";

/// The kernel's name of a disk as in `/proc/diskstats`; `major:minor` when the kernel has no such
/// disk (any more). No two disks have the same.
#[must_use]
pub fn name(major: u32, minor: u32) -> String {
    name_in(Path::new(LINKS), major, minor)
}

fn name_in(links: &Path, major: u32, minor: u32) -> String {
    let number = format!("{major}:{minor}");
    fs::read_link(links.join(&number))
        .ok()
        .and_then(|target| name_in_link(&target))
        .unwrap_or(number)
}

/// The name of the disk that a link leads to.
#[must_use]
pub fn name_in_link(target: &Path) -> Option<String> {
    let name = target.file_name()?.to_string_lossy();
    // In sysfs `!` stands for the `/` of a name such as `cciss/c0d0`.
    Some(name.replace('!', "/"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_disk_has_the_last_part_of_its_link_as_name() {
        let links = tempfile::tempdir().expect("a temporary folder");
        let link = |number: &str, target: &str| {
            symlink(target, links.path().join(number)).expect("a link");
        };
        link(
            "8:0",
            "../../devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda",
        );
        link(
            "104:0",
            "../../devices/pci0000:00/0000:05:00.0/block/cciss!c0d0",
        );
        let name = |major, minor| name_in(links.path(), major, minor);
        assert_eq!(name(8, 0), "sda");
        assert_eq!(name(104, 0), "cciss/c0d0");
    }

    #[test]
    fn a_disk_without_a_link_has_its_number_as_name() {
        let links = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(name_in(links.path(), 259, 3), "259:3");
    }
}
