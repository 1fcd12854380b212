//! The kernels that cgscope is proven on, and which of Debian's packages hold them.
//!
//! In: what an archive offers. Out: packages to try, the newest first. Never here: a download.

use crate::archive::{Candidate, Offer, Suite};

/// A series of kernels that is supported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The series, as people name it.
    pub(crate) series: &'static str,
    /// Where Debian keeps it.
    pub(crate) suites: &'static [Suite],
    packaging: Packaging,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packaging {
    /// Image and modules in one package, `linux-image-*`.
    Whole,
    /// Image, modules and their lists each in a package of their own, since Debian's Linux 6.19.
    Parts,
}

/// The oldest that has what the programs need, Debian's stable releases since, and the newest there is.
pub(crate) const KERNELS: [Kernel; 4] = [
    Kernel {
        series: "5.10",
        suites: &[
            Suite::main("bullseye"),
            Suite::security("bullseye-security"),
        ],
        packaging: Packaging::Whole,
    },
    Kernel {
        series: "6.1",
        suites: &Suite::BOOKWORM,
        packaging: Packaging::Whole,
    },
    Kernel {
        series: "6.12",
        suites: &Suite::BOOKWORM,
        packaging: Packaging::Whole,
    },
    Kernel {
        series: "7.2",
        suites: &[Suite::main("sid")],
        packaging: Packaging::Parts,
    },
];

/// Debian's kernels for virtual machines: few drivers, BTF, and quick to boot.
const FLAVOR: &str = "-cloud-amd64";

impl Kernel {
    /// What the names of its image packages begin with, whatever the version.
    pub(crate) fn image_prefix(&self) -> &'static str {
        match self.packaging {
            Packaging::Whole => "linux-image-",
            Packaging::Parts => "linux-binary-",
        }
    }

    /// Its suites, for people.
    pub(crate) fn suite_names(&self) -> String {
        let names: Vec<_> = self.suites.iter().map(|suite| suite.name).collect();
        names.join(", ")
    }

    /// Every way to get this kernel, the newest version first.
    ///
    /// An archive may name packages that it no longer holds, so there is more than one to try. The
    /// signed image and the unsigned one are the same kernel.
    pub(crate) fn candidates(&self, offers: &[Offer]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = offers
            .iter()
            .filter_map(|offer| {
                let release = self.release(&offer.package)?;
                let mut packages = vec![offer.package.clone()];
                if self.packaging == Packaging::Parts {
                    packages.push(format!("linux-modules-{release}{FLAVOR}"));
                    packages.push(format!("linux-base-{release}{FLAVOR}"));
                }
                Some(Candidate {
                    version: offer.version.clone(),
                    packages,
                })
            })
            .collect();
        candidates.sort_by(|a, b| {
            let newest_first = version_numbers(&b.version).cmp(&version_numbers(&a.version));
            newest_first.then_with(|| a.packages[0].len().cmp(&b.packages[0].len()))
        });
        candidates.dedup();
        candidates
    }

    /// `6.1.0-56` of `linux-image-6.1.0-56-cloud-amd64-unsigned`, when it is of this series.
    fn release<'name>(&self, package: &'name str) -> Option<&'name str> {
        let name = package.strip_prefix(self.image_prefix())?;
        let name = name.strip_prefix("unsigned-").unwrap_or(name);
        let name = name.strip_suffix("-unsigned").unwrap_or(name);
        let release = name.strip_suffix(FLAVOR)?;
        let after = release.strip_prefix(self.series)?;
        after.starts_with('.').then_some(release)
    }
}

/// The numbers of a version, which order the versions of one series.
fn version_numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(pairs: &[(&str, &str)]) -> Vec<Offer> {
        pairs
            .iter()
            .map(|&(package, version)| Offer {
                package: package.into(),
                version: version.into(),
            })
            .collect()
    }

    fn of_series(series: &str) -> &'static Kernel {
        let found = KERNELS.iter().find(|kernel| kernel.series == series);
        found.expect("a supported series")
    }

    fn first_packages(series: &str, pairs: &[(&str, &str)]) -> Vec<String> {
        of_series(series)
            .candidates(&offers(pairs))
            .into_iter()
            .map(|candidate| candidate.packages[0].clone())
            .collect()
    }

    #[test]
    fn the_newest_version_comes_first_and_its_signed_image_before_the_unsigned() {
        let found = first_packages(
            "5.10",
            &[
                ("linux-image-5.10.0-9-cloud-amd64", "5.10.70-1"),
                ("linux-image-5.10.0-46-cloud-amd64-unsigned", "5.10.262-1"),
                ("linux-image-5.10.0-46-cloud-amd64", "5.10.262-1"),
            ],
        );
        assert_eq!(
            found,
            [
                "linux-image-5.10.0-46-cloud-amd64",
                "linux-image-5.10.0-46-cloud-amd64-unsigned",
                "linux-image-5.10.0-9-cloud-amd64",
            ]
        );
    }

    #[test]
    fn other_series_flavors_and_debug_packages_are_left_alone() {
        let offered = [
            ("linux-image-6.12.9+deb12-cloud-amd64", "6.12.9-1~deb12u1"),
            ("linux-image-6.1.0-50-amd64", "6.1.170-1"),
            ("linux-image-6.1.0-50-cloud-amd64-dbg", "6.1.170-1"),
            ("linux-image-6.1-cloud-amd64", "6.1.170-1"),
            ("linux-headers-6.1.0-50-cloud-amd64", "6.1.170-1"),
        ];
        assert_eq!(first_packages("6.1", &offered), [""; 0]);
        assert_eq!(first_packages("6.12", &offered), [offered[0].0]);
    }

    #[test]
    fn a_kernel_in_parts_is_fetched_whole() {
        let kernel = of_series("7.2");
        let offered = offers(&[("linux-binary-unsigned-7.2.13+deb14-cloud-amd64", "7.2.13-1")]);
        assert_eq!(
            kernel.candidates(&offered),
            [Candidate {
                version: "7.2.13-1".into(),
                packages: vec![
                    "linux-binary-unsigned-7.2.13+deb14-cloud-amd64".into(),
                    "linux-modules-7.2.13+deb14-cloud-amd64".into(),
                    "linux-base-7.2.13+deb14-cloud-amd64".into(),
                ],
            }]
        );
    }
}
