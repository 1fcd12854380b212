//! A file of kernel type information, from its bytes to all that is asked of it: every question has an
//! answer or none, in bounded time and memory, and an offset is one within the struct.
#![no_main]

use btf_rs::{Btf, Type};
use collector::host::{btf::KernelBtf, support::KernelTypes};
use libfuzzer_sys::fuzz_target;

/// Members of the structs that the seeds have.
const MEMBERS: [(&str, &str); 6] = [
    ("task_struct", "pid"),
    ("task_struct", "cgroups"),
    ("task_struct", "sched_info.last_queued"),
    ("task_struct", "se.cfs_rq"),
    ("cgroup", "kn"),
    ("request", "__data_len"),
];

fuzz_target!(|bytes: &[u8]| {
    let (Ok(btf), Ok(types)) = (KernelBtf::from_bytes(bytes), Btf::from_bytes(bytes)) else {
        return;
    };
    let known = KernelTypes::ask(&btf);
    for (symbol, offset) in known.layout.known() {
        assert_eq!(known.layout.offset(symbol), Ok(offset));
    }
    for (structure, path) in MEMBERS {
        if let Ok(offset) = btf.offset(structure, path) {
            let size = largest(&types, structure);
            assert!(offset < size, "{structure}.{path} at {offset} of {size}");
        }
    }
});

/// The size of the largest struct or union of a name.
fn largest(types: &Btf, name: &str) -> u64 {
    let of_name = types.resolve_types_by_name(name).unwrap_or_default();
    let sizes = of_name.iter().filter_map(|of| match of {
        Type::Struct(of) | Type::Union(of) => Some(of.size() as u64),
        _ => None,
    });
    sizes.max().unwrap_or(0)
}
