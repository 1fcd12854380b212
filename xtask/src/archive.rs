//! Debian's archive, asked through an apt whose settings, lists and sources are its own.
//!
//! In: suites. Out: packages, whose signatures apt has verified against Debian's keys. The machine's
//! own apt is asked where the archive is, and stays as it is.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::setup::platform::Platform;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A part of Debian's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) archive: Archive,
}

/// Debian has two archives, each under its own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archive {
    Main,
    Security,
}

/// A package that an archive offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) package: String,
    pub(crate) version: String,
}

/// Packages of one version that together make a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) version: String,
    pub(crate) packages: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct PrivateApt {
    folder: PathBuf,
    configuration: PathBuf,
}

/// Where this machine gets Debian's packages from.
#[derive(Debug, PartialEq, Eq)]
struct Addresses {
    main: String,
    security: String,
}

impl Suite {
    /// Debian 12's.
    pub(crate) const BOOKWORM: [Self; 3] = [
        Self::main("bookworm"),
        Self::main("bookworm-updates"),
        Self::security("bookworm-security"),
    ];

    pub(crate) const fn main(name: &'static str) -> Self {
        Self {
            name,
            archive: Archive::Main,
        }
    }

    pub(crate) const fn security(name: &'static str) -> Self {
        Self {
            name,
            archive: Archive::Security,
        }
    }
}

impl PrivateApt {
    /// An apt that lives in `folder` and knows the packages of `suites` for an architecture, by Debian's
    /// name for it.
    pub(crate) fn open(
        folder: &Path,
        suites: &[Suite],
        architecture: &str,
    ) -> anyhow::Result<Self> {
        if !Path::new(KEYRING).exists() {
            bail!("Debian's keys are not here ({KEYRING}): install debian-archive-keyring");
        }
        let addresses = Addresses::of_this_machine()?;
        for part in ["state/lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let sources = folder.join("sources.list");
        write(&sources, &addresses.sources(suites, architecture))?;
        let configuration = folder.join("apt.conf");
        write(
            &configuration,
            &configuration_text(folder, &sources, architecture),
        )?;
        let apt = Self {
            folder: folder.to_owned(),
            configuration,
        };
        apt.run("apt-get", &["update", "--error-on=any"])?;
        Ok(apt)
    }

    /// The packages whose names begin with `prefix`, in all their versions.
    pub(crate) fn offers(&self, prefix: &str) -> anyhow::Result<Vec<Offer>> {
        let names = self.run("apt-cache", &["pkgnames", prefix])?;
        let mut arguments = vec!["show"];
        arguments.extend(names.lines());
        if arguments.len() == 1 {
            return Ok(Vec::new());
        }
        Ok(parse_offers(&self.run("apt-cache", &arguments)?))
    }

    /// Unpacks a candidate's packages into `root`; nothing is installed.
    pub(crate) fn unpack(&self, candidate: &Candidate, root: &Path) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(&self.folder).context("cannot make a folder")?;
        let wanted: Vec<String> = candidate
            .packages
            .iter()
            .map(|package| format!("{package}={}", candidate.version))
            .collect();
        let mut arguments = vec!["download"];
        arguments.extend(wanted.iter().map(String::as_str));
        let mut command = self.command("apt-get", &arguments);
        checked(command.current_dir(folder.path()))?;

        let entries = fs::read_dir(folder.path()).context("cannot list what was downloaded")?;
        for entry in entries {
            let package = entry.context("cannot list what was downloaded")?.path();
            checked(Command::new("dpkg").arg("-x").arg(&package).arg(root))?;
        }
        Ok(())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        checked(&mut self.command(program, arguments))
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-qq", "-c"])
            .arg(&self.configuration)
            .args(arguments)
            .env("LC_ALL", "C");
        command
    }
}

/// What differs from the machine's own settings, of which a proxy's address must stay.
fn configuration_text(folder: &Path, sources: &Path, architecture: &str) -> String {
    let folder = folder.display();
    let sources = sources.display();
    // apt's own user cannot enter folders that belong to a person alone.
    format!(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear DPkg::Post-Invoke;\n\
         Dir::State \"{folder}/state\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Etc::sourcelist \"{sources}\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         Dir::Etc::preferences \"-\";\n\
         Dir::Etc::preferencesparts \"-\";\n\
         APT::Architecture \"{architecture}\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::AllowInsecureRepositories \"false\";\n\
         Acquire::AllowDowngradeToInsecureRepositories \"false\";\n"
    )
}

impl Addresses {
    fn of_this_machine() -> anyhow::Result<Self> {
        let codename = Platform::read()?.codename().to_owned();
        let targets = checked(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
        ]))?;
        Self::parse(&targets, &codename).with_context(|| {
            format!(
                "this machine's own sources do not name Debian's archive of its release \
                 (`{codename}`), so it is not known where to get kernels: add that line to \
                 /etc/apt/sources.list"
            )
        })
    }

    fn parse(targets: &str, codename: &str) -> Option<Self> {
        if codename.is_empty() {
            return None;
        }
        let of = |release: &str| {
            targets
                .lines()
                .filter_map(|line| line.rsplit_once(' '))
                .find(|&(_, named)| named == release)
                .map(|(address, _)| address.trim_end_matches('/').to_owned())
        };
        let main = of(codename)?;
        // Mirrors keep the two beside each other.
        let security =
            of(&format!("{codename}-security")).unwrap_or_else(|| format!("{main}-security"));
        Some(Self { main, security })
    }

    fn sources(&self, suites: &[Suite], architecture: &str) -> String {
        suites.iter().fold(String::new(), |mut text, suite| {
            let address = match suite.archive {
                Archive::Main => &self.main,
                Archive::Security => &self.security,
            };
            let name = suite.name;
            writeln!(
                text,
                "deb [arch={architecture} target=Packages signed-by={KEYRING}] {address} {name} main"
            )
            .expect("a String takes all");
            text
        })
    }
}

fn parse_offers(stanzas: &str) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut package = None;
    for line in stanzas.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            package = Some(name.to_owned());
        } else if let Some(version) = line.strip_prefix("Version: ")
            && let Some(package) = package.take()
        {
            offers.push(Offer {
                package,
                version: version.to_owned(),
            });
        }
    }
    offers
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A folder for what is fetched, outside the repository.
pub(crate) fn cache(name: &str) -> anyhow::Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where things can be kept")?;
    let folder = cache.join("cgscope").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A folder in the cache for what is not whole yet; gone when this is dropped.
pub(crate) fn workplace(cache: &Path) -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("fetching-")
        .tempdir_in(cache)
        .context("cannot make a folder in the cache")
}

/// Gives what is whole its final name in the cache, unless another run was faster.
pub(crate) fn keep(unpacked: &Path, root: &Path) -> anyhow::Result<()> {
    let renamed = fs::rename(unpacked, root);
    if renamed.is_err() && root.exists() {
        return Ok(());
    }
    renamed.with_context(|| format!("cannot keep it as {}", root.display()))
}

/// Runs a command that says something only when it fails; its output.
pub(crate) fn checked(command: &mut Command) -> anyhow::Result<String> {
    let shown = crate::workspace::show(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "https://other.example/apt cloud-sdk-bookworm\n\
        http://mirror.example/debian/ bookworm\n\
        http://mirror.example/debian/ bookworm-updates\n\
        http://security.example/debian-security/ bookworm-security\n";

    #[test]
    fn other_suites_lie_where_the_machines_own_do() {
        let addresses = Addresses::parse(TARGETS, "bookworm").expect("Debian's archive");
        let suites = [
            Suite {
                name: "sid",
                archive: Archive::Main,
            },
            Suite {
                name: "bullseye-security",
                archive: Archive::Security,
            },
        ];
        let sources = addresses.sources(&suites, "amd64");
        assert!(sources.contains("] http://mirror.example/debian sid main\n"));
        assert!(
            sources.contains("] http://security.example/debian-security bullseye-security main\n")
        );
        assert_eq!(sources.matches("signed-by=").count(), 2, "{sources}");
    }

    #[test]
    fn the_security_archive_is_beside_the_main_one_when_it_is_not_named() {
        let addresses = Addresses::parse("http://mirror.example/debian/ bookworm\n", "bookworm");
        assert_eq!(
            addresses.expect("Debian's archive").security,
            "http://mirror.example/debian-security"
        );
    }

    #[test]
    fn without_its_own_release_the_archive_is_not_guessed() {
        assert_eq!(Addresses::parse(TARGETS, "trixie"), None);
        assert_eq!(Addresses::parse(TARGETS, ""), None);
    }

    #[test]
    fn every_version_of_a_package_is_an_offer() {
        let stanzas = "Package: a\nVersion: 1\nDepends: b\n\nPackage: a\nVersion: 2\n";
        let offers = parse_offers(stanzas);
        let versions: Vec<_> = offers.iter().map(|offer| offer.version.as_str()).collect();
        assert_eq!(versions, ["1", "2"]);
    }
}
