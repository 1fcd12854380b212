//! How many CPUs this machine has.

use std::{fs, path::Path};

use super::cgroupfs::parse::id_ranges;

/// Where the kernel lists those that are online.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// How many are online; `None` if the kernel does not say.
#[must_use]
pub fn count() -> Option<u64> {
    count_in(Path::new(ONLINE))
}

fn count_in(list: &Path) -> Option<u64> {
    let bytes = fs::read(list).ok()?;
    id_ranges(&bytes).try_fold(0, |sum, range| Some(sum + range.ok()?.count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_counts_and_a_part_of_a_list_is_no_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("online");
        for (text, expected) in [
            ("0\n", Some(1)),
            ("0-3,8,10-11\n", Some(7)),
            ("0-3,8", None),
            ("x\n", None),
        ] {
            fs::write(&list, text).expect("a file");
            assert_eq!(count_in(&list), expected, "{text:?}");
        }
        assert_eq!(count_in(&folder.path().join("none")), None);
        assert!(count() >= Some(1), "this machine has one");
    }
}
