//! Runtimes that no Debian package has, stood for by servers of their documented APIs.
//!
//! What answers here is not CRI-O, Garden, ECS or Kata: it is what their public documentation says that
//! they answer, and each file says which. The cgroups are real, at the paths that those runtimes give
//! them, with a process in each.

pub(crate) mod broken;
pub(crate) mod cri;
mod cri_service;
mod crio;
pub(crate) mod docker;
mod ecs;
mod garden;
pub(crate) mod http;
mod kata;
pub(crate) mod witness;

use std::process::{Child, Stdio};

use collector_tests::cgroup::TestCgroup;

/// Containers of a runtime that is not there: cgroups, those above them, and a process in each.
pub(crate) struct Occupied {
    children: Vec<Child>,
    /// In the order in which they were made.
    cgroups: Vec<TestCgroup>,
}

impl Occupied {
    /// At paths from the root of the hierarchies. What is above them is made where it is missing, and is
    /// gone when this is dropped.
    pub(crate) fn at(paths: &[impl AsRef<str>]) -> Self {
        let mut occupied = Self {
            children: Vec::new(),
            cgroups: Vec::new(),
        };
        for path in paths {
            let path = path.as_ref();
            let ends = path.match_indices('/').skip(1).map(|(end, _)| end);
            for end in ends.chain([path.len()]) {
                occupied.cgroups.extend(TestCgroup::at(&path[..end]));
            }
            let innermost = occupied.cgroups.last().filter(|last| last.path == path);
            let innermost = innermost.unwrap_or_else(|| panic!("{path} is there already"));
            let child = innermost
                .workload_to_its_end(&["brief", "20", "--alive", "600000"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            occupied.children.push(child);
        }
        occupied
    }

    /// The process in one of them, by its number.
    pub(crate) fn pid(&self, number: usize) -> u32 {
        self.children[number].id()
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
        while let Some(innermost) = self.cgroups.pop() {
            innermost.remove();
        }
    }
}

/// Whether a call of HTTP or of the CRI only reads: what a test asserts of all that were made.
pub(crate) fn only_reads(call: &str) -> bool {
    let reading = ["GET ", "HEAD ", "List", "Get", "Version", "Status", "list_"];
    let ends = ["Status", "_stats", "runtime_config"];
    let begins_so = |starts: &[&str]| starts.iter().any(|start| call.starts_with(start));
    begins_so(&reading) || (ends.iter().any(|end| call.ends_with(end)) && !begins_so(&["update"]))
}
