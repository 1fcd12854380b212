//! Programs of another release of Debian than this machine's.
//!
//! In: a suite and a package. Out: a folder outside the repository with what the package has. Nothing is
//! installed, and nothing that it depends on comes with it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::archive::{self, Candidate, PrivateApt, Suite};

/// A package that is unpacked and not installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignPackage {
    /// Its folder's name in the cache.
    pub(crate) cache: &'static str,
    pub(crate) suite: Suite,
    pub(crate) package: &'static str,
    /// Others of the same source, and so of the same version.
    pub(crate) with: &'static [&'static str],
}

impl ForeignPackage {
    /// Where it is once it has been fetched.
    pub(crate) fn root(&self) -> anyhow::Result<PathBuf> {
        Ok(archive::cache(self.cache)?.join("root"))
    }

    /// Fetches it. Only what is whole gets its final name.
    pub(crate) fn fetch(&self) -> anyhow::Result<()> {
        let Self { package, suite, .. } = *self;
        println!("fetching {package} from Debian's {}", suite.name);
        let root = self.root()?;
        let cache = root.parent().context("a folder in the cache")?;
        let work = archive::workplace(cache)?;
        let apt = PrivateApt::open(work.path(), &[suite], "amd64")?;
        let offers = apt.offers(package)?;
        let Some(offer) = offers.iter().find(|offer| offer.package == package) else {
            bail!("Debian's {} has no package {package}", suite.name);
        };
        let packages = [package].into_iter().chain(self.with.iter().copied());
        let candidate = Candidate {
            version: offer.version.clone(),
            packages: packages.map(str::to_owned).collect(),
        };
        let unpacked = work.path().join("root");
        apt.unpack(&candidate, &unpacked)?;
        println!("fetched {package} {}", candidate.version);
        archive::keep(&unpacked, &root)
    }
}
