//! A cgroup of a test's own, in every hierarchy of this host.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use collector::host::{
    CgroupKey,
    cgroup_mounts::{CgroupMounts, Hierarchy},
};

use crate::thread_counts::ThreadCounts;

/// A cgroup that is gone with its processes when this is dropped.
#[derive(Debug)]
pub struct TestCgroup {
    /// Its path from each hierarchy's root.
    pub path: String,
    /// The hierarchies of this host.
    pub mounts: CgroupMounts,
}

/// The hierarchies of this host.
#[must_use]
pub fn mounts() -> CgroupMounts {
    CgroupMounts::read(Path::new("/"), Path::new("/sys/fs/cgroup")).expect("cgroups are mounted")
}

/// One that no other of this process has.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl TestCgroup {
    /// Makes one whose name begins with `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::make(format!("/{name}-{}-{}", std::process::id(), number()), true)
    }

    /// Makes one where systemd puts Docker's, so that it is taken for a container.
    #[must_use]
    pub fn container() -> Self {
        let id = u64::from(std::process::id()) << 32 | u64::from(number());
        Self::make(format!("/docker-{id:064x}.scope"), true)
    }

    /// The id of a [`container`](Self::container).
    #[must_use]
    pub fn container_id(&self) -> Option<&str> {
        let name = self.path.strip_prefix("/docker-")?;
        name.strip_suffix(".scope")
    }

    /// Makes one below this, which must not have processes of its own.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self::make(format!("{}/{name}", self.path), true)
    }

    /// As [`child`](Self::child), but in v2 without a controller of its own: its processes are scheduled
    /// as if they were in the nearest cgroup above that has one. In v1 all have those of the hierarchy.
    #[must_use]
    pub fn child_without_controllers(&self, name: &str) -> Self {
        Self::make(format!("{}/{name}", self.path), false)
    }

    /// Makes one at a path of a runtime's choice. `None` if there is one: that is somebody else's.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let is_there = mounts()
            .attributed()
            .iter()
            .any(|hierarchy| hierarchy.mount_point.join(&path[1..]).exists());
        (!is_there).then(|| Self::make(path.to_owned(), true))
    }

    fn make(path: String, controllers: bool) -> Self {
        let cgroup = Self {
            path,
            mounts: mounts(),
        };
        for hierarchy in cgroup.mounts.attributed() {
            let directory = cgroup.directory(hierarchy);
            if controllers && hierarchy.is_v2() {
                // What is not delegated from above stays as it is: the tests ask only for what is
                // there.
                let parent = directory.parent().expect("a cgroup above");
                let subtree = parent.join("cgroup.subtree_control");
                for controller in ["+cpu", "+memory", "+io", "+pids"] {
                    drop(fs::write(&subtree, controller));
                }
            }
            fs::create_dir(directory).expect("a cgroup can be made");
        }
        cgroup
    }

    /// Its directory in a hierarchy.
    #[must_use]
    pub fn directory(&self, hierarchy: &Hierarchy) -> PathBuf {
        hierarchy.mount_point.join(&self.path[1..])
    }

    /// Its id in a hierarchy.
    #[must_use]
    pub fn key(&self, hierarchy: &Hierarchy) -> CgroupKey {
        let inode = fs::metadata(self.directory(hierarchy))
            .expect("it is there")
            .ino();
        CgroupKey::new(hierarchy.id, inode)
    }

    /// Its id where tasks are attributed.
    #[must_use]
    pub fn task_key(&self) -> CgroupKey {
        self.key(self.mounts.task_hierarchy().expect("a hierarchy of tasks"))
    }

    /// Its id where block I/O is attributed.
    #[must_use]
    pub fn block_key(&self) -> CgroupKey {
        self.key(
            self.mounts
                .block_hierarchy()
                .expect("a hierarchy of block I/O"),
        )
    }

    /// Limits its memory.
    pub fn limit_memory(&self, bytes: u64) {
        let hierarchy = self
            .mounts
            .memory_hierarchy()
            .expect("a hierarchy of memory");
        let file = if hierarchy.is_v2() {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        fs::write(self.directory(hierarchy).join(file), bytes.to_string())
            .expect("memory can be limited");
    }

    /// Gives it `quota` of every `period`, both in microseconds.
    pub fn limit_cpu(&self, quota: u32, period: u32) {
        let hierarchy = self.mounts.task_hierarchy().expect("a hierarchy of tasks");
        let directory = self.directory(hierarchy);
        if hierarchy.is_v2() {
            fs::write(directory.join("cpu.max"), format!("{quota} {period}"))
                .expect("the CPU can be limited");
        } else {
            fs::write(directory.join("cpu.cfs_period_us"), period.to_string())
                .expect("the CPU's period can be set");
            fs::write(directory.join("cpu.cfs_quota_us"), quota.to_string())
                .expect("the CPU's quota can be set");
        }
    }

    /// Puts it before whatever else this host runs, as if its CPUs were idle.
    pub fn favor(&self) {
        let hierarchy = self.mounts.task_hierarchy().expect("a hierarchy of tasks");
        let (file, most) = if hierarchy.is_v2() {
            ("cpu.weight", "10000")
        } else {
            ("cpu.shares", "262144")
        };
        fs::write(self.directory(hierarchy).join(file), most).expect("its weight can be set");
    }

    /// CPU time, as its own controller counts it.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        if let Some(v1) = self.mounts.v1_with("cpuacct") {
            let file = self.directory(v1).join("cpuacct.usage");
            if let Ok(text) = fs::read_to_string(file) {
                return Duration::from_nanos(text.trim().parse().expect("nanoseconds"));
            }
        }
        let v2 = self.mounts.v2().expect("v2");
        let stat = fs::read_to_string(self.directory(v2).join("cpu.stat")).expect("cpu.stat");
        let usage = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        Duration::from_micros(usage.expect("usage_usec").parse().expect("microseconds"))
    }

    /// For how long its own CPU limit kept it from running, summed over the CPUs, as its controller
    /// counts it.
    #[must_use]
    pub fn throttled_time(&self) -> Duration {
        let hierarchy = self.mounts.task_hierarchy().expect("a hierarchy of tasks");
        let stat =
            fs::read_to_string(self.directory(hierarchy).join("cpu.stat")).expect("cpu.stat");
        let (name, of) = if hierarchy.is_v2() {
            (
                "throttled_usec ",
                Duration::from_micros as fn(u64) -> Duration,
            )
        } else {
            (
                "throttled_time ",
                Duration::from_nanos as fn(u64) -> Duration,
            )
        };
        let value = stat.lines().find_map(|line| line.strip_prefix(name));
        of(value.expect(name).parse().expect("a number"))
    }

    /// Bytes that it wrote to disks, as its own controller counts them. Absent on v1 hosts whose disks
    /// have no throttling rule: those count nothing.
    #[must_use]
    pub fn written_bytes(&self) -> Option<u64> {
        let hierarchy = self
            .mounts
            .block_hierarchy()
            .expect("a hierarchy of block I/O");
        let directory = self.directory(hierarchy);
        let (file, field) = if hierarchy.is_v2() {
            ("io.stat", "wbytes=")
        } else {
            ("blkio.throttle.io_service_bytes", "Write ")
        };
        let stat = fs::read_to_string(directory.join(file)).ok()?;
        let bytes: Vec<u64> = stat
            .split(field)
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
            .collect();
        let sum = bytes.iter().sum();
        // Newer v1 kernels show the file, and count nothing in it without a rule.
        (!bytes.is_empty() && (hierarchy.is_v2() || sum > 0)).then_some(sum)
    }

    /// A command that runs the workload in this cgroup, which leaves it before it ends.
    #[must_use]
    pub fn workload(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::workload_binary());
        for hierarchy in self.mounts.attributed() {
            command
                .arg("--leave")
                .arg(hierarchy.mount_point.join("cgroup.procs"));
        }
        self.join(command, arguments)
    }

    /// The same, of a workload that ends in it.
    #[must_use]
    pub fn workload_to_its_end(&self, arguments: &[&str]) -> Command {
        self.join(Command::new(crate::workload_binary()), arguments)
    }

    fn join(&self, mut command: Command, arguments: &[&str]) -> Command {
        for hierarchy in self.mounts.attributed() {
            command
                .arg("--join")
                .arg(self.directory(hierarchy).join("cgroup.procs"));
        }
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        command
    }

    /// Runs the workload in this cgroup; what the kernel counted of its threads.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> ThreadCounts {
        let Output { status, stdout, .. } = self
            .workload(arguments)
            .output()
            .expect("the workload starts");
        assert!(status.success(), "the workload failed: {status}");
        ThreadCounts::from_json(&String::from_utf8_lossy(&stdout))
    }

    /// Removes it.
    pub fn remove(&self) {
        for hierarchy in self.mounts.attributed() {
            let directory = self.directory(hierarchy);
            // A process that has just ended can still be on its way out.
            for _ in 0..100 {
                if fs::remove_dir(&directory).is_ok() || !directory.exists() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        self.remove();
    }
}
