//! The names of the machine's disks, and which of them are made of others.
//!
//! Asked anew each time: numbers are reused when disks come and go, and a remembered name could be
//! another disk's by now.

use std::{collections::HashSet, fs, path::Path};

use super::cgroupfs::parse::DeviceNumber;

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

/// The names of all disks.
#[must_use]
pub fn names() -> Vec<(DeviceNumber, String)> {
    let links = fs::read_dir(LINKS).into_iter().flatten().flatten();
    let named = links.filter_map(|link| {
        let number = DeviceNumber::parse(link.file_name().as_encoded_bytes()).ok()?;
        Some((number, name_in_link(&fs::read_link(link.path()).ok()?)?))
    });
    named.collect()
}

/// The name of the disk that a link leads to.
#[must_use]
pub fn name_in_link(target: &Path) -> Option<String> {
    let name = target.file_name()?.to_string_lossy();
    // In sysfs `!` stands for the `/` of a name such as `cciss/c0d0`.
    Some(name.replace('!', "/"))
}

/// Disks that are made of others, as those of LVM, RAID and encryption are: what is done to them is done to
/// those.
#[must_use]
pub fn stacked() -> HashSet<DeviceNumber> {
    stacked_in(Path::new(LINKS))
}

fn stacked_in(links: &Path) -> HashSet<DeviceNumber> {
    let is_stacked = |link: &fs::DirEntry| {
        let slaves = fs::read_dir(link.path().join("slaves"));
        slaves.is_ok_and(|mut slaves| slaves.next().is_some())
    };
    fs::read_dir(links)
        .into_iter()
        .flatten()
        .flatten()
        .filter(is_stacked)
        .filter_map(|link| DeviceNumber::parse(link.file_name().as_encoded_bytes()).ok())
        .collect()
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
    fn a_disk_that_is_made_of_others_is_told_by_its_slaves() {
        let links = tempfile::tempdir().expect("a temporary folder");
        for (number, slaves) in [
            ("8:0", &[][..]),
            ("253:0", &["sda"]),
            ("9:1", &["sdb", "sdc"]),
        ] {
            let disk = links.path().join(number).join("slaves");
            fs::create_dir_all(&disk).expect("a folder");
            for slave in slaves {
                fs::create_dir(disk.join(slave)).expect("a slave");
            }
        }
        // A partition has no such folder.
        fs::create_dir(links.path().join("8:1")).expect("a folder");
        let number = |major, minor| DeviceNumber { major, minor };
        assert_eq!(
            stacked_in(links.path()),
            HashSet::from([number(253, 0), number(9, 1)])
        );
        assert!(stacked_in(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn a_disk_without_a_link_has_its_number_as_name() {
        let links = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(name_in(links.path(), 259, 3), "259:3");
    }
}
