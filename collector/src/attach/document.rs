//! `docs/kernels.md`, printed from the table of requirements.

use std::fmt::{self, Write as _};

use super::requirements::{
    BUILT_WITH, FLOOR, Hook, Need, Part, REQUIREMENTS, Requirements, TASK_CGROUP, TASK_CGROUP_V1,
    TASK_CGROUP_V2, Way, release,
};
use crate::host::layout::{Field, Since};

const INTRODUCTION: &str = "\
# Kernels

Generated from `collector/src/attach/requirements.rs` and `collector/src/host/layout.rs` by `cargo xtask
docs`: edit those.

cgscope asks the running kernel where its fields are and what its tracepoints pass (BTF), and never compares
versions: a kernel that took a change over earlier, or was built otherwise, is served as it is. What it does not
give is off, or done without, and `cgscope doctor` says what and why. The releases and commits below are those that
made a difference.
";

const POLICY: &str = "
## What is supported

**Supported** means: `cargo xtask vm` runs every test that compares cgscope's numbers with the kernel's own there
before a release, and a difference is a bug. It runs Debian's cloud kernels in virtual machines:

* kernels 5.10, 6.1, 6.12 and 7.2, on x86-64;
* cgroup v1, v1 and v2 together (hybrid), and v2.

Other kernels since the minimum above should work, as nothing depends on a version: what they do not give is off with its
reason. A report with the output of `cgscope doctor --json` is welcome. aarch64 is not run. Kernels before the
minimum are not supported; 5.8 and 5.9 lack what empties a silent
CPU's batch, and before 5.8 nothing loads.

## A kernel without type information of its own

`--btf FILE` takes the type information (BTF) from a file: raw BTF, made from the `vmlinux` of the very kernel that runs with
`pahole --btf_encode_detached FILE vmlinux`, or taken from an archive such as BTFHub. Typed programs cannot be attached there, so
the same programs are entered through raw tracepoints and read each field by a call of a helper: a context switch then
costs about as much as with `runqlat`, four to five times as much as otherwise. The entry of a function cannot be had.

A file of another kernel would give wrong numbers, so before it is used a program reads the task, cgroup, hierarchy and
run queue of the process that asks through the file's offsets, and what it reads is compared with what the kernel says by
other means; where the kernel has type information of its own too, every field's place is compared with that. A difference turns
every signal off and is named. What a running task does not show is trusted: the fields of a block request and of the OOM
killer's control, how block operations are numbered, since when a bandwidth limit keeps a `cfs_rq` from running, and, in cgroup
v2, whose queue it is. A file of a kernel that differs in nothing else is not found out.
";

/// The whole document.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    // Writing to a `String` cannot fail, so the result carries nothing.
    let written = write_floor(&mut text).and_then(|()| {
        REQUIREMENTS
            .iter()
            .try_for_each(|of| write_signal(&mut text, of))
    });
    debug_assert!(written.is_ok(), "writing to a string");
    text + POLICY
}

fn write_floor(text: &mut String) -> fmt::Result {
    let minimum = minimum(None.into_iter());
    writeln!(text, "\n## What every signal needs\n")?;
    writeln!(
        text,
        "Linux {}.{}, built with {}.\n",
        minimum.0,
        minimum.1,
        code_list(&BUILT_WITH)
    )?;
    writeln!(text, "| what | since | without it |\n|---|---|---|")?;
    for floor in &FLOOR {
        writeln!(
            text,
            "| {} | {} | {} |",
            floor.what,
            since(Some(floor.since)),
            floor.without
        )?;
    }
    Ok(())
}

fn write_signal(text: &mut String, of: &Requirements) -> fmt::Result {
    let (major, minor) = minimum(must_haves(of).map(oldest));
    let signal = of.signal.name();
    writeln!(text, "\n## `{signal}`: {}\n", of.question)?;
    write!(text, "* Minimum: Linux {major}.{minor}")?;
    if !of.built_with.is_empty() {
        write!(text, ", built with {}", code_list(of.built_with))?;
    }
    let (major, minor) = minimum(of.parts.iter().map(complete));
    writeln!(text, "\n* With nothing lost: since {major}.{minor}\n")?;
    writeln!(
        text,
        "| what | from | since | what is lost in this way |\n|---|---|---|---|"
    )?;
    for part in of.parts {
        for (rank, way) in part.ways.iter().enumerate() {
            let lacks = way.lacks.unwrap_or("");
            let from = from(way);
            let gives = if rank == 0 { gives(part) } else { "or".into() };
            writeln!(
                text,
                "| {gives} | {from} | {} | {lacks} |",
                since(way.since)
            )?;
        }
    }
    write_fields(text, of)
}

/// Every field that the signal may read.
fn write_fields(text: &mut String, of: &Requirements) -> fmt::Result {
    let needs = of.needs.iter().chain(
        of.parts
            .iter()
            .flat_map(|part| part.ways)
            .flat_map(|way| way.needs),
    );
    let mut symbols: Vec<&str> = Vec::new();
    for need in needs {
        match need {
            Need::Field(symbol) => symbols.push(symbol),
            Need::TaskCgroup => {
                symbols.extend(TASK_CGROUP);
                symbols.extend(TASK_CGROUP_V2);
                symbols.extend(TASK_CGROUP_V1);
            }
            Need::BlockOperations => {}
        }
    }
    let mut fields: Vec<String> = Vec::new();
    for field in symbols.into_iter().filter_map(Field::of) {
        let places = field.places.iter().map(|place| match place.since {
            Some(since) => format!(
                "`{place}` (since {}, commit {})",
                since.release, since.commit
            ),
            None => format!("`{place}`"),
        });
        let words = places.collect::<Vec<_>>().join(" or ");
        if !fields.contains(&words) {
            fields.push(words);
        }
    }
    writeln!(text, "\nFields: {}.", fields.join(", "))
}

fn gives(part: &Part) -> String {
    if !part.optional {
        return part.gives.to_owned();
    }
    if part.built_with.is_empty() {
        return format!("{} (optional)", part.gives);
    }
    let options = code_list(part.built_with);
    format!("{} (optional; {options})", part.gives)
}

/// The hook with what it must pass, or the field.
fn from(way: &Way) -> String {
    let Some(program) = way.program else {
        return way.from.to_owned();
    };
    let arguments = program.arguments.join(", ").replace('|', " or ");
    match program.hook {
        Hook::FunctionEntry(name) => format!("`fentry` of `{name}({arguments}, …)`"),
        Hook::Tracepoint(name) if name == way.from => {
            format!("tracepoint `{name}({arguments}, …)`")
        }
        Hook::Tracepoint(name) => format!("tracepoint `{name}({arguments}, …)`: {}", way.from),
    }
}

/// The parts that a signal must have.
fn must_haves(of: &Requirements) -> impl Iterator<Item = &'static Part> {
    of.parts.iter().filter(|part| !part.optional)
}

/// The oldest kernel that has a part in some way.
fn oldest(part: &Part) -> (u32, u32) {
    let releases = part
        .ways
        .iter()
        .map(|way| way.since.map_or((0, 0), release));
    releases.min().unwrap_or((0, 0))
}

/// The oldest kernel that has a part with nothing lost.
fn complete(part: &Part) -> (u32, u32) {
    oldest_of(part.ways.iter().filter(|way| way.lacks.is_none()))
}

fn oldest_of(ways: impl Iterator<Item = &'static Way>) -> (u32, u32) {
    let releases = ways.map(|way| way.since.map_or((0, 0), release));
    releases.min().unwrap_or((0, 0))
}

/// The oldest kernel that has all of this, and what all programs need.
fn minimum(parts: impl Iterator<Item = (u32, u32)>) -> (u32, u32) {
    let floor = FLOOR.iter().filter(|floor| !floor.optional);
    let releases = parts.chain(floor.map(|floor| release(floor.since)));
    releases.max().unwrap_or((0, 0))
}

fn since(of: Option<Since>) -> String {
    of.map_or_else(String::new, |Since { release, commit }| {
        format!("{release} (commit {commit})")
    })
}

fn code_list(of: &[&str]) -> String {
    let quoted: Vec<_> = of.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
