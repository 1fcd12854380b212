//! What a reading costs once it is in its stride: no allocation.

use super::Tree;
use crate::host::cgroupfs::{Wanted, cpu::CpuStatistics};

#[test]
fn readings_reuse_what_the_first_ones_made() {
    let tree = Tree::dumped(include_str!("../fixtures/v1-5.10.txt"));
    let mut reading = tree.reading();
    reading.read(Wanted::ALL);
    reading.read(Wanted::ALL);
    let place = |cpu: &CpuStatistics| cpu.per_cpu_usage_ns.as_ptr();
    let buffers = (
        reading.context.buffer.as_ptr(),
        place(reading.statistics.cpu.as_ref().unwrap()),
        reading.statistics.io.as_ref().unwrap().devices.as_ptr(),
    );
    tree.write(
        "cpu,cpuacct/pod/box/cpuacct.usage_percpu",
        b"31049719 4865533112 \n",
    );
    reading.read(Wanted::ALL);
    let cpu = reading.statistics.cpu.as_ref().unwrap();
    assert_eq!(cpu.per_cpu_usage_ns, [31_049_719, 4_865_533_112]);
    assert_eq!(
        buffers,
        (
            reading.context.buffer.as_ptr(),
            place(cpu),
            reading.statistics.io.as_ref().unwrap().devices.as_ptr(),
        )
    );
}

#[test]
fn names_of_unknown_keys_are_kept_once() {
    let tree = Tree::v2(&[("cpu.stat", b"new_a 1\nnew_b 2\n")]);
    let mut reading = tree.reading();
    let names = |reading: &super::TreeReading| {
        let other = &reading.statistics.cpu.as_ref().unwrap().other;
        other
            .iter()
            .map(|(name, value)| (name.as_ptr(), name.to_owned(), value))
            .collect::<Vec<_>>()
    };
    reading.read(Wanted::CPU);
    let first = names(&reading);
    tree.write("unified/pod/box/cpu.stat", b"new_b 3\nnew_a 4\nnew_c 5\n");
    reading.read(Wanted::CPU);
    let second = names(&reading);
    assert_eq!(second.len(), 3);
    assert_eq!((second[0].0, second[0].2), (first[1].0, 3));
    assert_eq!((second[1].0, second[1].2), (first[0].0, 4));
    tree.write("unified/pod/box/cpu.stat", b"new_c 6\n");
    reading.read(Wanted::CPU);
    let third = names(&reading);
    assert_eq!(third, [(second[2].0, "new_c".to_owned(), 6)]);
}
