//! Which modules a virtual machine needs, in the order in which they can be inserted.
//!
//! In: `depmod`'s lists. Out: files, and what this kernel does not have. Never here: a file read.

use std::path::Path;

/// A module that the tests' virtual machine wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) name: &'static str,
    /// How it is inserted.
    pub(crate) options: &'static str,
    /// Without it nothing can run.
    pub(crate) required: bool,
}

pub(crate) const WANTED: [Wanted; 9] = [
    // The disk that files lie on.
    Wanted::required("virtio_pci", ""),
    Wanted::required("virtio_blk", ""),
    Wanted::required("ext4", ""),
    // Disks whose completion time a test sets, made by the test through configfs.
    Wanted::required("configfs", ""),
    Wanted::required("null_blk", "nr_devices=0"),
    // Containers' file systems.
    Wanted::required("overlay", ""),
    // Talking to a host that is not there. The tests that need these fail without; the others run.
    Wanted::optional("vsock_loopback"),
    Wanted::optional("vhost_vsock"),
    Wanted::optional("vsock_diag"),
];

/// A module's file, from the folder of modules, and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Insertion {
    pub(crate) file: String,
    pub(crate) options: &'static str,
}

impl Wanted {
    const fn required(name: &'static str, options: &'static str) -> Self {
        Self {
            name,
            options,
            required: true,
        }
    }

    const fn optional(name: &'static str) -> Self {
        Self {
            name,
            options: "",
            required: false,
        }
    }
}

/// Every wanted module after those that it needs, and those that this kernel lacks.
///
/// `dependencies` is `modules.dep`: a line per module, `file: file file …`, of which the last must be
/// inserted first. What `builtin` lists is there already.
pub(crate) fn insertions(
    dependencies: &str,
    builtin: &str,
    wanted: &[Wanted],
) -> (Vec<Insertion>, Vec<Wanted>) {
    let mut order: Vec<Insertion> = Vec::new();
    let mut absent = Vec::new();
    for &module in wanted {
        if builtin.lines().any(|file| name_of(file) == module.name) {
            continue;
        }
        let line = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| name_of(file) == module.name);
        let Some((file, needs)) = line else {
            absent.push(module);
            continue;
        };
        let needed = needs.split_whitespace().rev().map(|file| (file, ""));
        for (file, options) in needed.chain([(file, module.options)]) {
            if !order.iter().any(|known| known.file == file) {
                order.push(Insertion {
                    file: file.to_owned(),
                    options,
                });
            }
        }
    }
    (order, absent)
}

/// `virtio_blk` of `kernel/drivers/block/virtio-blk.ko.xz`.
fn name_of(file: &str) -> String {
    let name = Path::new(file.trim())
        .file_name()
        .map(|name| name.to_string_lossy().replace('-', "_"))
        .unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "\
        kernel/virtio/virtio.ko:\n\
        kernel/virtio/virtio_ring.ko: kernel/virtio/virtio.ko\n\
        kernel/virtio/virtio_pci.ko.xz: kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko\n\
        kernel/block/virtio-blk.ko: kernel/virtio/virtio_ring.ko kernel/virtio/virtio.ko\n\
        kernel/block/null_blk.ko: kernel/fs/configfs.ko\n\
        kernel/fs/configfs.ko:\n";

    fn files(wanted: &[Wanted], builtin: &str) -> (Vec<String>, Vec<&'static str>) {
        let (order, absent) = insertions(DEPENDENCIES, builtin, wanted);
        (
            order.into_iter().map(|insertion| insertion.file).collect(),
            absent.iter().map(|module| module.name).collect(),
        )
    }

    #[test]
    fn what_a_module_needs_comes_before_it_and_only_once() {
        let wanted = [
            Wanted::required("virtio_pci", ""),
            Wanted::required("virtio_blk", ""),
        ];
        let (order, absent) = files(&wanted, "");
        assert_eq!(
            order,
            [
                "kernel/virtio/virtio.ko",
                "kernel/virtio/virtio_ring.ko",
                "kernel/virtio/virtio_pci.ko.xz",
                "kernel/block/virtio-blk.ko",
            ]
        );
        assert!(absent.is_empty());
    }

    #[test]
    fn what_is_built_in_is_not_inserted_and_what_is_nowhere_is_said() {
        let wanted = [
            Wanted::required("ext4", ""),
            Wanted::optional("vsock_loopback"),
        ];
        let (order, absent) = files(&wanted, "kernel/fs/ext4/ext4.ko\n");
        assert!(order.is_empty());
        assert_eq!(absent, ["vsock_loopback"]);
    }

    #[test]
    fn options_belong_to_the_module_and_not_to_what_it_needs() {
        let wanted = [Wanted::required("null_blk", "nr_devices=0")];
        let (order, _) = insertions(DEPENDENCIES, "", &wanted);
        let options: Vec<_> = order.iter().map(|insertion| insertion.options).collect();
        assert_eq!(options, ["", "nr_devices=0"]);
    }
}
