//! Kernels that have been fetched, unpacked outside the repository.
//!
//! In: a kernel's name. Out: its image and modules, from the cache or else from Debian's archive.
//! A kernel that is there is used as it is: removing its folder is how to get a newer one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::kernels::Kernel;
use crate::archive::{self, PrivateApt, checked};

/// How many candidates are tried when an archive does not hold what it names.
const MOST_TRIES: usize = 6;

/// A kernel that can be booted.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// As `uname -r` will say.
    pub(crate) release: String,
    /// What a boot loader loads.
    pub(crate) image: PathBuf,
    /// The folder of its modules.
    pub(crate) modules: PathBuf,
}

/// From the cache, or fetched into it.
pub(crate) fn ensure(kernel: &Kernel) -> anyhow::Result<Unpacked> {
    let cache = archive::cache("kernels")?;
    let root = cache.join(kernel.series);
    if !root.exists() {
        fetch(kernel, &cache, &root).with_context(|| {
            format!(
                "no kernel {}: its packages `{}*` come from Debian's suites {} at the address that \
                 this machine's own apt sources name; see whether that mirror has them, or put the \
                 unpacked packages into {}",
                kernel.series,
                kernel.image_prefix(),
                kernel.suite_names(),
                root.display()
            )
        })?;
    }
    Unpacked::find(&root).with_context(|| {
        format!(
            "{} is not a whole kernel: remove it, it will be fetched again",
            root.display()
        )
    })
}

/// Only what is whole gets its final name.
fn fetch(kernel: &Kernel, cache: &Path, root: &Path) -> anyhow::Result<()> {
    println!(
        "vm: fetching kernel {} from Debian's {}",
        kernel.series,
        kernel.suite_names()
    );
    let work = archive::workplace(cache)?;
    let apt = PrivateApt::open(work.path(), kernel.suites, "amd64")?;
    let candidates = kernel.candidates(&apt.offers(kernel.image_prefix())?);
    let mut refused = Vec::new();
    for (number, candidate) in candidates.iter().take(MOST_TRIES).enumerate() {
        let unpacked = work.path().join(format!("root-{number}"));
        match apt.unpack(candidate, &unpacked) {
            Ok(()) => {
                list_modules(&unpacked)?;
                println!(
                    "vm: fetched {} {}",
                    candidate.packages[0], candidate.version
                );
                return archive::keep(&unpacked, root);
            }
            Err(error) => {
                println!("vm: not to be had: {}: {error:#}", candidate.packages[0]);
                refused.push(candidate.packages[0].as_str());
            }
        }
    }
    if refused.is_empty() {
        bail!("the archive has no such package");
    }
    bail!(
        "the archive does not hold what it names: {}",
        refused.join(", ")
    )
}

/// Lets `depmod` write down which module needs which.
fn list_modules(root: &Path) -> anyhow::Result<()> {
    let (lib, usr_lib) = (root.join("lib"), root.join("usr/lib/modules"));
    if !lib.exists() && usr_lib.exists() {
        std::os::unix::fs::symlink("usr/lib", &lib).context("cannot link lib")?;
    }
    let kernel = Unpacked::find(root)?;
    checked(
        Command::new("depmod")
            .arg("--basedir")
            .arg(root)
            .arg(&kernel.release)
            .env("PATH", with_system_programs()),
    )?;
    Ok(())
}

/// A PATH with the programs for administrators, which a person's may lack.
pub(crate) fn with_system_programs() -> std::ffi::OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

impl Unpacked {
    fn find(root: &Path) -> anyhow::Result<Self> {
        let modules = only_entry(&root.join("lib/modules"))?;
        let release = modules
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .context("modules of no release")?;
        let images = [
            root.join("boot").join(format!("vmlinuz-{release}")),
            modules.join("vmlinuz"),
            modules.join("vmlinuz.unsigned"),
        ];
        let image = images
            .into_iter()
            .find(|image| image.exists())
            .with_context(|| format!("{} holds no image of {release}", root.display()))?;
        Ok(Self {
            release,
            image,
            modules,
        })
    }
}

fn only_entry(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot list {}", folder.display()))?;
    match entries.as_slice() {
        [entry] => Ok(entry.path()),
        _ => bail!(
            "{} holds {} kernels, not one",
            folder.display(),
            entries.len()
        ),
    }
}
