//! Which cgroups a process is in: `/proc/<pid>/cgroup`.
//!
//! In: the file's bytes. Out: a [`Membership`] per hierarchy. Never here: a text where the kernel has
//! bytes; a cgroup's name is any bytes but `/`, NUL and the end of a line, and whoever may make cgroups
//! chooses it.

use super::HierarchyId;

/// The cgroup of a process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership<'a> {
    /// The hierarchy.
    pub hierarchy: HierarchyId,
    /// What it controls: `cpu`, `name=systemd`. Empty for v2.
    pub controllers: Vec<&'a str>,
    /// The cgroup's path from the hierarchy's root.
    pub path: &'a [u8],
}

/// Reads the lines. One that is not understood passes.
#[must_use]
pub fn parse(lines: &[u8]) -> Vec<Membership<'_>> {
    lines
        .split(|byte| *byte == b'\n')
        .filter_map(Membership::parse)
        .collect()
}

impl<'a> Membership<'a> {
    /// Reads `<hierarchy>:<controllers>:<path>`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let (hierarchy, controllers) = (text()?, text()?);
        Some(Self {
            hierarchy: HierarchyId(hierarchy.parse().ok()?),
            controllers: controllers
                .split(',')
                .filter(|name| !name.is_empty())
                .collect(),
            path: fields.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_has_its_line_and_a_path_is_any_bytes() {
        let lines = b"4:cpu,cpuacct:/a:b\n1:name=systemd:/\xff\n0::/../c (deleted)\n";
        let of = |hierarchy, controllers: &[&'static str], path| Membership {
            hierarchy: HierarchyId(hierarchy),
            controllers: controllers.to_vec(),
            path,
        };
        assert_eq!(
            parse(lines),
            [
                of(4, &["cpu", "cpuacct"], b"/a:b"),
                of(1, &["name=systemd"], b"/\xff"),
                of(0, &[], b"/../c (deleted)"),
            ]
        );
        assert_eq!(parse(b"\n:\n::/\n-1::/\n0:/\n99999999999::/\n"), []);
    }
}
