//! One directory during a reading: asks for a file, and hands its text to who knows what it means.

use std::ffi::CStr;

use super::{
    context::ReadContext,
    descriptors::DescriptorBudget,
    directory::{Directory, Fetched},
    files::KernelFile,
    roots::{HierarchyRoots, HugePageSize, Root},
    text::{Complaints, Text},
};

/// A directory to read from.
#[derive(Debug)]
pub(super) struct Source<'r> {
    pub(super) directory: &'r mut Directory,
    pub(super) roots: &'r HierarchyRoots,
    pub(super) root: &'r Root,
    /// Whether files may be kept open.
    pub(super) hold: Option<&'r DescriptorBudget>,
    pub(super) context: &'r mut ReadContext,
    /// Files read so far.
    pub(super) found: u32,
    /// Files that may be there, but could not be read.
    pub(super) failed: u32,
    /// Whether it went meanwhile.
    pub(super) gone: bool,
}

impl Source<'_> {
    /// Reads a file, and says what became of that. Of one that is not there `take` gets an empty text,
    /// and makes its values absent; when the cgroup is gone, or the file could not be read this time, it
    /// is not called, and the last values stay.
    pub(super) fn read(&mut self, file: KernelFile, take: impl FnOnce(Text<'_>)) -> Fetched {
        self.read_named(file, file.name(), take)
    }

    /// Reads a file of one size of huge pages.
    pub(super) fn read_page_size(
        &mut self,
        file: KernelFile,
        size: &HugePageSize,
        take: impl FnOnce(Text<'_>),
    ) {
        if let Some(name) = size.name(file) {
            self.read_named(file, name, take);
        }
    }

    /// How long a tick of v1's CPU times is.
    pub(super) const fn tick_ns(&self) -> u64 {
        self.roots.tick_ns
    }

    fn read_named(
        &mut self,
        file: KernelFile,
        name: &CStr,
        take: impl FnOnce(Text<'_>),
    ) -> Fetched {
        if self.gone {
            return Fetched::Gone;
        }
        let fetched = self
            .directory
            .fetch(self.root, (file, name), self.hold, self.context);
        let bytes = match fetched {
            Fetched::Content(length) => {
                self.found += 1;
                Some(&self.context.buffer[..length])
            }
            Fetched::Absent => None,
            Fetched::Failed => {
                self.failed += 1;
                return fetched;
            }
            Fetched::Gone => {
                self.gone = true;
                return fetched;
            }
        };
        take(Text {
            bytes,
            file,
            complaints: Complaints {
                errors: &mut self.context.account.parse_errors,
                over_bound: &mut self.context.account.over_bound,
                names: &mut self.context.names,
            },
        });
        fetched
    }
}
