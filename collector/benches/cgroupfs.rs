//! What it takes to read a cgroup: the text alone, and on this host's kernel, in every hierarchy, with
//! files kept open and without. Run as root: it makes a cgroup of its own.

use std::{fs, hint::black_box, path::Path, path::PathBuf, sync::Arc, thread, time::Duration};

use collector::host::{
    cgroup_mounts::CgroupMounts,
    cgroupfs::{
        CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots, Presence,
        ReadContext, Wanted,
        parse::{flat_keyed, parse_u64, pressure_shares},
    },
};
use criterion::{Criterion, criterion_group, criterion_main};

/// A cgroup in every hierarchy, without processes.
struct OwnCgroup {
    mounts: CgroupMounts,
    path: String,
    directories: Vec<PathBuf>,
}

impl OwnCgroup {
    fn make() -> Self {
        let mounts = CgroupMounts::read(Path::new("/"), Path::new("/sys/fs/cgroup"))
            .expect("cgroups are mounted");
        let path = format!("/cgscope-bench-{}", std::process::id());
        let mut cgroup = Self {
            directories: Vec::new(),
            path,
            mounts,
        };
        for hierarchy in &cgroup.mounts.hierarchies {
            let directory = hierarchy.mount_point.join(&cgroup.path[1..]);
            fs::create_dir(&directory).expect("root can make a cgroup");
            cgroup.directories.push(directory);
        }
        cgroup
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            for _ in 0..100 {
                if fs::remove_dir(directory).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn text(criterion: &mut Criterion) {
    let dump = include_str!("../src/host/cgroupfs/fixtures/v2-7.2.txt");
    let of = |name: &str| {
        let begin = dump.find(&format!("== {name}\n")).expect("a file") + name.len() + 4;
        let end = dump[begin..]
            .find("== ")
            .map_or(dump.len(), |end| begin + end);
        &dump.as_bytes()[begin..end]
    };
    let (stat, pressure) = (of("memory.stat"), of("cpu.pressure"));
    criterion.bench_function("text of memory.stat", |bencher| {
        bencher.iter(|| {
            flat_keyed(black_box(stat))
                .flatten()
                .filter_map(|entry| parse_u64(entry.value).ok())
                .fold(0, u64::wrapping_add)
        });
    });
    criterion.bench_function("text of cpu.pressure", |bencher| {
        bencher.iter(|| pressure_shares(black_box(pressure)).count());
    });
}

fn readings(criterion: &mut Criterion) {
    let cgroup = OwnCgroup::make();
    let roots = Arc::new(HierarchyRoots::open(&cgroup.mounts));
    let reader = |budget: &DescriptorBudget| {
        CgroupReader::new(ControllerDirs::at(&roots, cgroup.path.as_bytes()), budget)
    };
    for (what, budget) in [
        ("files kept open", DescriptorBudget::new(100, 100)),
        ("directories kept open", DescriptorBudget::new(100, 0)),
        ("nothing kept open", DescriptorBudget::new(0, 0)),
    ] {
        for (group, wanted) in [
            ("CPU", Wanted::CPU),
            ("usage", Wanted::USAGE),
            (
                "usage without memory.stat",
                Wanted::USAGE.without(Wanted::MEMORY_STAT),
            ),
            ("everything", Wanted::ALL),
        ] {
            let mut reader = reader(&budget);
            let mut context = ReadContext::default();
            let mut statistics = CgroupStatistics::default();
            for _ in 0..3 {
                reader.read(wanted, &mut context, &mut statistics);
            }
            let before = (context.account.system_calls, context.account.files);
            reader.read(wanted, &mut context, &mut statistics);
            let calls = context.account.system_calls - before.0;
            let files = context.account.files - before.1;
            let name = format!("{group}, {what} ({files} files, {calls} calls)");
            criterion.bench_function(&name, |bencher| {
                bencher.iter(|| {
                    let outcome = reader.read(wanted, &mut context, &mut statistics);
                    assert_eq!(outcome.presence, Presence::There);
                });
            });
        }
    }
    // A cgroup that is seen for the first and last time.
    let budget = DescriptorBudget::new(100, 100);
    let mut context = ReadContext::default();
    reader(&budget).read(Wanted::LAST, &mut context, &mut CgroupStatistics::default());
    let before = context.account.system_calls;
    reader(&budget).read(Wanted::LAST, &mut context, &mut CgroupStatistics::default());
    let calls = context.account.system_calls - before;
    criterion.bench_function(
        &format!("first and last reading ({calls} calls)"),
        |bencher| {
            bencher.iter(|| {
                let mut statistics = CgroupStatistics::default();
                reader(&budget).read(Wanted::LAST, &mut context, &mut statistics)
            });
        },
    );
}

criterion_group!(benches, text, readings);
criterion_main!(benches);
