//! The running kernel's own description of its types (BTF).
//!
//! The only place that knows the BTF crate. A question that BTF does not answer is data
//! ([`Missing`]), not an error: another kernel answers it differently.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use btf_rs::{Btf, Type};

/// Where the kernel shows its BTF.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The parsed types. Large (tens of MiB): ask, then drop.
pub struct KernelBtf {
    btf: Btf,
}

/// BTF could not be had at all.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// There is no such file.
    #[error("there is no kernel type information: {path} does not exist")]
    Absent {
        /// What was looked for.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the kernel type information in {path}")]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The type information is a part of the file, or should be.
    #[error(
        "{path} is an ELF file and not raw BTF; take it out with `objcopy --dump-section .BTF=OUT {path}`"
    )]
    Elf {
        /// What was read.
        path: PathBuf,
    },
    /// The file is not BTF.
    #[error("cannot use {path} as kernel type information")]
    Unusable {
        /// What was read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: btf_rs::Error,
    },
}

/// What BTF was asked for and does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl Missing {
    /// A field that no BTF was asked for, as when there is no BTF.
    pub(crate) fn field_not_asked_for(symbol: &str) -> Self {
        Self(format!("known place for {symbol}"))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this kernel has no {}", self.0)
    }
}

/// What a tracepoint or function passes: the name of each argument's type, `*` for each pointer.
pub type Prototype = Vec<String>;

/// A larger file is none of a kernel: those of distributions have some 5 MiB.
const MAX_BYTES: u64 = 256 << 20;

/// What a `vmlinux` begins with.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// How deep a chain of typedefs, qualifiers and unnamed members may be. Real ones stay below 10.
const MAX_DEPTH: u32 = 32;

/// How many members are looked at for one question. Real structs have hundreds; but unnamed ones can
/// contain themselves, and then there is no end.
const MAX_MEMBERS: usize = 1 << 16;

impl fmt::Debug for KernelBtf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelBtf").finish_non_exhaustive()
    }
}

impl KernelBtf {
    /// Reads and parses a BTF file.
    pub fn load(path: &Path) -> Result<Self, BtfError> {
        let bytes = read(path).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::NotFound => BtfError::Absent { path },
                _ => BtfError::Unreadable { path, source },
            }
        })?;
        if bytes.starts_with(ELF_MAGIC) {
            let path = path.to_owned();
            return Err(BtfError::Elf { path });
        }
        Self::from_bytes(&bytes).map_err(|source| BtfError::Unusable {
            path: path.to_owned(),
            source,
        })
    }

    /// Parses the bytes of a BTF file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, btf_rs::Error> {
        Btf::from_bytes(bytes).map(|btf| Self { btf })
    }

    /// Offset in bytes of a member, `a.b.c` being a member of a member. Members of unnamed structs
    /// and unions count as the outer's own, as in C.
    pub fn offset(&self, structure: &str, path: &str) -> Result<u64, Missing> {
        let missing = || Missing(format!("{structure}.{path}"));
        let mut found = None;
        // A name can stand for several types (a driver may have its own `struct request`): take the
        // one that has the member, and none if two disagree.
        for candidate in self
            .btf
            .resolve_types_by_name(structure)
            .unwrap_or_default()
        {
            let (Type::Struct(_) | Type::Union(_)) = &candidate else {
                continue;
            };
            match (self.path_offset(&candidate, path), found) {
                (Some(offset), Some(other)) if offset != other => {
                    return Err(Missing(format!("single {structure}.{path}")));
                }
                (Some(offset), _) => found = Some(offset),
                (None, _) => {}
            }
        }
        found.ok_or_else(missing)
    }

    fn path_offset(&self, outer: &Type, path: &str) -> Option<u64> {
        let (Type::Struct(layout) | Type::Union(layout)) = outer else {
            return None;
        };
        let mut current = outer.clone();
        let mut offset = 0;
        let mut budget = MAX_MEMBERS;
        for name in path.split('.') {
            let (member_offset, member_type) = self.member(&current, name, 0, &mut budget)?;
            offset += member_offset;
            current = member_type;
        }
        // The kernel sees to this in its own types; a file may come from elsewhere.
        (offset < layout.size() as u64).then_some(offset)
    }

    /// Offset and type of a direct member, looking through unnamed ones.
    fn member(
        &self,
        outer: &Type,
        name: &str,
        depth: u32,
        budget: &mut usize,
    ) -> Option<(u64, Type)> {
        let (Type::Struct(layout) | Type::Union(layout)) = outer else {
            return None;
        };
        if depth > MAX_DEPTH {
            return None;
        }
        *budget = budget.saturating_sub(layout.members.len());
        for member in &layout.members {
            if *budget == 0 {
                return None;
            }
            let member_name = self.btf.resolve_name(member).ok()?;
            if member_name != name && !member_name.is_empty() {
                continue;
            }
            let member_type = self.strip(self.btf.resolve_chained_type(member).ok()?)?;
            let bits = member.bit_offset();
            if member_name.is_empty() {
                if let Some((inner, found)) = self.member(&member_type, name, depth + 1, budget) {
                    return Some((u64::from(bits / 8) + inner, found));
                }
            } else if bits % 8 == 0 && member.bitfield_size().unwrap_or(0) == 0 {
                return Some((u64::from(bits / 8), member_type));
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn strip(&self, mut of: Type) -> Option<Type> {
        for _ in 0..MAX_DEPTH {
            let transparent = match &of {
                Type::Typedef(_) => true,
                other => is_qualifier(other),
            };
            if !transparent {
                return Some(of);
            }
            of = self.btf.resolve_chained_type(of.as_btf_type()?).ok()?;
        }
        None
    }

    /// The value of an enumerator, whatever the enum is called (names of enums change, those of
    /// enumerators rarely).
    pub fn enumerator(&self, enums: &[&str], name: &str) -> Result<u64, Missing> {
        for candidate in enums
            .iter()
            .flat_map(|of| self.btf.resolve_types_by_name(of).unwrap_or_default())
        {
            if let Type::Enum(of) = candidate {
                for member in &of.members {
                    if self
                        .btf
                        .resolve_name(member)
                        .is_ok_and(|found| found == name)
                    {
                        return Ok(u64::from(member.val()));
                    }
                }
            }
        }
        Err(Missing(format!("enumerator {name}")))
    }

    /// What a tracepoint passes to a program, from its `btf_trace_` typedef.
    pub fn tracepoint(&self, name: &str) -> Result<Prototype, Missing> {
        let missing = || Missing(format!("tracepoint {name}"));
        for candidate in self
            .btf
            .resolve_types_by_name(&format!("btf_trace_{name}"))
            .unwrap_or_default()
        {
            if let Some(Type::Ptr(pointer)) = self.strip(candidate)
                && let Ok(Type::FuncProto(prototype)) = self.btf.resolve_chained_type(&pointer)
            {
                // The first parameter is the tracepoint's own data, which programs do not get.
                return Ok(self.parameters(&prototype).skip(1).collect());
            }
        }
        Err(missing())
    }

    /// What a function takes.
    pub fn function(&self, name: &str) -> Result<Prototype, Missing> {
        for candidate in self.btf.resolve_types_by_name(name).unwrap_or_default() {
            if let Type::Func(function) = candidate
                && let Ok(Type::FuncProto(prototype)) = self.btf.resolve_chained_type(&function)
            {
                return Ok(self.parameters(&prototype).collect());
            }
        }
        Err(Missing(format!("function {name}")))
    }

    fn parameters<'a>(
        &'a self,
        prototype: &'a btf_rs::FuncProto,
    ) -> impl Iterator<Item = String> + 'a {
        prototype.parameters.iter().map(|parameter| {
            self.btf
                .resolve_chained_type(parameter)
                .map_or_else(|_| "?".to_owned(), |of| self.type_name(of))
        })
    }

    fn type_name(&self, mut of: Type) -> String {
        let mut stars = String::new();
        for _ in 0..MAX_DEPTH {
            match &of {
                Type::Ptr(_) => stars.push('*'),
                Type::Void => return format!("void{stars}"),
                other if is_qualifier(other) => {}
                named => {
                    let name = named
                        .as_btf_type()
                        .and_then(|of| self.btf.resolve_name(of).ok())
                        .unwrap_or_default();
                    return format!("{name}{stars}");
                }
            }
            // A chain that ends without a type ends in `void`.
            let inner = of
                .as_btf_type()
                .and_then(|inner| self.btf.resolve_chained_type(inner).ok());
            match inner {
                Some(next) => of = next,
                None => return format!("void{stars}"),
            }
        }
        "?".to_owned()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A device or a pipe may have no end, and opening a pipe may wait for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it has over 256 MiB"));
    }
    Ok(bytes)
}

/// Whether a type only qualifies another.
fn is_qualifier(of: &Type) -> bool {
    matches!(
        of,
        Type::Volatile(_) | Type::Const(_) | Type::Restrict(_) | Type::TypeTag(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_told_from_one_that_is_not_btf() {
        let absent = KernelBtf::load(Path::new("/nonexistent/vmlinux")).unwrap_err();
        assert!(matches!(absent, BtfError::Absent { .. }), "{absent}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"not BTF at all").unwrap();
        let unusable = KernelBtf::load(file.path()).unwrap_err();
        assert!(matches!(unusable, BtfError::Unusable { .. }), "{unusable}");
        std::fs::write(file.path(), b"\x7fELF and so on").unwrap();
        let elf = KernelBtf::load(file.path()).unwrap_err();
        assert!(elf.to_string().contains("objcopy"), "{elf}");
        for nothing_to_read in ["/", "/dev/zero"] {
            let unreadable = KernelBtf::load(Path::new(nothing_to_read)).unwrap_err();
            assert!(
                matches!(unreadable, BtfError::Unreadable { .. }),
                "{unreadable}"
            );
        }
    }

    /// The fuzzer's: see `tests/seeds/btf.rs`.
    fn seed(name: &str) -> KernelBtf {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/btf_file");
        KernelBtf::load(&Path::new(folder).join(name)).unwrap()
    }

    #[test]
    fn types_that_contain_themselves_are_given_up() {
        for name in ["circle", "doubling"] {
            let began = std::time::Instant::now();
            assert!(seed(name).offset("task_struct", "pid").is_err());
            // Without a bound it takes minutes.
            assert!(began.elapsed().as_secs() < 10, "{name}");
        }
    }

    #[test]
    fn an_offset_is_within_its_struct() {
        let btf = seed("beyond");
        assert_eq!(btf.offset("task_struct", "flags"), Ok(4));
        assert!(btf.offset("task_struct", "pid").is_err());
        assert!(btf.offset("task_struct", "se.cfs_rq").is_err());
    }

    #[test]
    fn the_running_kernel_answers() {
        let Ok(btf) = KernelBtf::load(Path::new(KERNEL_BTF)) else {
            // The tests on the real kernel fail without it; this one has nothing to ask.
            return;
        };
        assert!(btf.offset("task_struct", "pid").unwrap() > 0);
        let whole = btf.offset("task_struct", "sched_info").unwrap();
        let inner = btf.offset("sched_info", "last_queued").unwrap();
        assert_eq!(
            btf.offset("task_struct", "sched_info.last_queued").unwrap(),
            whole + inner
        );
        assert_eq!(
            btf.offset("task_struct", "no_such_member")
                .unwrap_err()
                .to_string(),
            "this kernel has no task_struct.no_such_member"
        );
        let arguments = btf.tracepoint("sched_switch").unwrap();
        assert_eq!(arguments[..3], ["bool", "task_struct*", "task_struct*"]);
        assert!(btf.tracepoint("no_such_tracepoint").is_err());
        assert_eq!(
            btf.enumerator(&["req_op", "req_opf"], "REQ_OP_WRITE"),
            Ok(1)
        );
    }
}
