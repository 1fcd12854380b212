//! Type information of a kernel with next to nothing in it.

use collector::host::btf::KernelBtf;

use crate::expect_seed;

/// `enum` of BTF's kinds that are used here.
const INT: u32 = 1;
const PTR: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const CONST: u32 = 10;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;

/// A member: name, type, offset in bits.
type Member<'a> = (&'a str, u32, u32);

/// A file under construction.
struct Btf {
    types: Vec<u8>,
    strings: Vec<u8>,
    last: u32,
}

impl Btf {
    fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            last: 0,
        }
    }

    fn words(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().copied().flat_map(u32::to_le_bytes));
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let offset = u32::try_from(self.strings.len()).expect("few names");
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        offset
    }

    /// Adds a type: what its last word is depends on its kind, and what follows it on its items.
    fn add(&mut self, kind: u32, name: &str, size_or_type: u32, items: &[Vec<u32>]) -> u32 {
        let name = self.name(name);
        let count = u32::try_from(items.len()).expect("few items");
        self.words(&[name, kind << 24 | count, size_or_type]);
        for item in items {
            self.words(item);
        }
        self.last += 1;
        self.last
    }

    fn int(&mut self, name: &str, size: u32) -> u32 {
        let id = self.add(INT, name, size, &[]);
        self.words(&[size * 8]);
        id
    }

    fn structure(&mut self, kind: u32, name: &str, size: u32, members: &[Member<'_>]) -> u32 {
        let items: Vec<_> = members
            .iter()
            .map(|(name, of, bits)| vec![self.name(name), *of, *bits])
            .collect();
        self.add(kind, name, size, &items)
    }

    fn prototype(&mut self, parameters: &[u32]) -> u32 {
        let items: Vec<_> = parameters.iter().map(|of| vec![0, *of]).collect();
        self.add(FUNC_PROTO, "", 0, &items)
    }

    fn file(&self) -> Vec<u8> {
        const HEADER: u32 = 24;
        let length = |of: &Vec<u8>| u32::try_from(of.len()).expect("a small file");
        let (types, strings) = (length(&self.types), length(&self.strings));
        let mut file = [&[0x9f, 0xeb, 1, 0], HEADER.to_le_bytes().as_slice()].concat();
        for word in [0, types, types, strings] {
            file.extend(word.to_le_bytes());
        }
        [file, self.types.clone(), self.strings.clone()].concat()
    }
}

/// Structs with members of members, unnamed ones and typedefs; a tracepoint, a function, an enum.
fn kernel() -> Btf {
    let mut btf = Btf::new();
    let int = btf.int("int", 4);
    let bool_ = btf.int("bool", 1);
    let long = btf.int("unsigned long long", 8);
    let u64_ = btf.add(TYPEDEF, "u64", long, &[]);
    let void = btf.add(PTR, "", 0, &[]);
    let sched_info = btf.structure(
        STRUCT,
        "sched_info",
        24,
        &[("last_arrival", u64_, 64), ("last_queued", u64_, 128)],
    );
    let entity = btf.structure(STRUCT, "sched_entity", 16, &[("cfs_rq", void, 64)]);
    let state = btf.structure(UNION, "", 4, &[("__state", int, 0), ("saved", int, 0)]);
    let unnamed = btf.structure(STRUCT, "", 8, &[("", state, 0), ("flags", int, 32)]);
    let task = btf.structure(
        STRUCT,
        "task_struct",
        96,
        &[
            ("", unnamed, 0),
            ("pid", int, 64),
            ("tgid", int, 96),
            ("sched_info", sched_info, 128),
            ("se", entity, 320),
            ("cgroups", void, 448),
        ],
    );
    btf.structure(STRUCT, "cgroup", 16, &[("kn", void, 64)]);
    btf.structure(STRUCT, "request", 16, &[("__data_len", int, 96)]);
    let pointer = btf.add(PTR, "", task, &[]);
    let constant = btf.add(CONST, "", task, &[]);
    let to_constant = btf.add(PTR, "", constant, &[]);
    let prototype = btf.prototype(&[void, bool_, pointer, to_constant]);
    let function = btf.add(PTR, "", prototype, &[]);
    btf.add(TYPEDEF, "btf_trace_sched_switch", function, &[]);
    let kill = btf.prototype(&[pointer]);
    btf.add(FUNC, "oom_kill_process", kill, &[]);
    let enumerator = |btf: &mut Btf, name, value| vec![btf.name(name), value];
    let items = [
        enumerator(&mut btf, "REQ_OP_READ", 0),
        enumerator(&mut btf, "REQ_OP_WRITE", 1),
    ];
    btf.add(ENUM, "req_op", 4, &items);
    let items = [enumerator(&mut btf, "cpu_cgrp_id", 1)];
    btf.add(ENUM, "cgroup_subsys_id", 4, &items);
    btf
}

#[test]
fn the_seed_of_a_kernels_types_answers() {
    let file = kernel().file();
    let btf = KernelBtf::from_bytes(&file).expect("a good file");
    for (structure, path, offset) in [
        ("task_struct", "__state", 0),
        ("task_struct", "flags", 4),
        ("task_struct", "sched_info.last_queued", 32),
        ("task_struct", "se.cfs_rq", 48),
        ("cgroup", "kn", 8),
        ("request", "__data_len", 12),
    ] {
        assert_eq!(
            btf.offset(structure, path),
            Ok(offset),
            "{structure}.{path}"
        );
    }
    assert_eq!(
        btf.tracepoint("sched_switch").expect("a tracepoint"),
        ["bool", "task_struct*", "task_struct*"]
    );
    assert_eq!(
        btf.function("oom_kill_process").expect("a function"),
        ["task_struct*"]
    );
    assert_eq!(btf.enumerator(&["req_op"], "REQ_OP_WRITE"), Ok(1));
    expect_seed("btf_file", "kernel", &file);
}

#[test]
fn the_seed_of_types_in_a_circle_is_read() {
    let mut btf = Btf::new();
    let int = btf.int("int", 4);
    // Each is the next one's type, or its own.
    let (first, second) = (int + 1, int + 2);
    btf.structure(STRUCT, "task_struct", 8, &[("", second, 0), ("", first, 0)]);
    btf.add(TYPEDEF, "", second, &[]);
    btf.add(PTR, "", second + 1, &[]);
    btf.add(TYPEDEF, "btf_trace_sched_switch", second + 1, &[]);
    let file = btf.file();
    assert!(KernelBtf::from_bytes(&file).is_ok());
    expect_seed("btf_file", "circle", &file);

    // In itself twice, without a name: as many ways to a member as 2 to the power of the depth.
    let mut btf = Btf::new();
    let itself = btf.last + 1;
    let unnamed = [("", itself, 0), ("", itself, 64)];
    btf.structure(STRUCT, "task_struct", 16, &unnamed);
    expect_seed("btf_file", "doubling", &btf.file());
}

#[test]
fn the_seed_of_members_beyond_their_struct_is_read() {
    let mut btf = Btf::new();
    let int = btf.int("int", 4);
    let entity = btf.structure(STRUCT, "sched_entity", 8, &[("cfs_rq", int, 32)]);
    let members = [("flags", int, 32), ("pid", int, 64), ("se", entity, 32)];
    btf.structure(STRUCT, "task_struct", 8, &members);
    expect_seed("btf_file", "beyond", &btf.file());
}
