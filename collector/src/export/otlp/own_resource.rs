//! What cgscope says of itself and its host.
//!
//! The detectors of OpenTelemetry's SDK are not used: the one for the environment does not decode values, and
//! the one for telemetry names an SDK, which nothing here comes from.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use super::OwnResource;

/// The most that is read of a file with one line.
const MAX_LINE: u64 = 256;

impl OwnResource {
    /// Looks at the host below `host_root`. What the environment says, `told`, goes before what is found.
    #[must_use]
    pub fn detect(host_root: &Path, told: &[(String, String)]) -> Self {
        let host = |path: &str| line_of(&host_root.join(path));
        // The kernel's name for it may be a container's own.
        let name = host("etc/hostname").or_else(|| line_of("/proc/sys/kernel/hostname".as_ref()));
        let found = [
            ("service.name", Some("cgscope".to_owned())),
            (
                "service.version",
                Some(env!("CARGO_PKG_VERSION").to_owned()),
            ),
            (
                "service.instance.id",
                line_of("/proc/sys/kernel/random/uuid".as_ref()),
            ),
            ("host.name", name),
            ("host.id", host("etc/machine-id")),
            ("os.type", Some("linux".to_owned())),
        ];
        let is_told = |key: &str| told.iter().any(|(known, _)| known == key);
        let found = found.into_iter().filter(|(key, _)| !is_told(key));
        let found = found.filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Self {
            attributes: found.chain(told.iter().cloned()).collect(),
        }
    }
}

/// The first line of a file, if it says anything.
fn line_of(path: &Path) -> Option<String> {
    // Opening a pipe may wait for ever.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(MAX_LINE).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_before_what_is_found_and_nothing_is_said_twice() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/hostname"), "node-7\n").unwrap();
        fs::write(root.path().join("etc/machine-id"), "\n").unwrap();
        let told = [("service.name", "mine"), ("deployment.environment", "test")];
        let told = told.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let own = OwnResource::detect(root.path(), &told);
        let values = |wanted: &str| -> Vec<_> {
            let of = own.attributes.iter().filter(|(key, _)| key == wanted);
            of.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(values("service.name"), ["mine"]);
        assert_eq!(values("deployment.environment"), ["test"]);
        assert_eq!(values("host.name"), ["node-7"]);
        assert_eq!(values("host.id"), [""; 0], "an empty file says nothing");
        assert_eq!(values("service.instance.id")[0].len(), 36);
        assert_eq!(values("os.type"), ["linux"]);
    }
}
