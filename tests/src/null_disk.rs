//! A disk that completes every request after a set time: the ground truth for block I/O.

use std::{fs, path::PathBuf, time::Duration};

/// A disk of the `null_blk` module; gone when this is dropped.
#[derive(Debug)]
pub struct NullDisk {
    directory: PathBuf,
    name: String,
}

impl NullDisk {
    /// Makes one. It forgets what is written to it.
    #[must_use]
    pub fn new(name: &str, completion: Duration) -> Self {
        let root = PathBuf::from("/sys/kernel/config/nullb");
        assert!(
            root.exists(),
            "{} is missing: the module null_blk is not loaded, or configfs not mounted",
            root.display()
        );
        let directory = root.join(name);
        fs::create_dir(&directory).expect("a null disk can be made");
        let disk = Self {
            directory,
            name: name.to_owned(),
        };
        // In mebibytes; then completions by a timer, and its time.
        disk.set("size", 64);
        disk.set("irqmode", 2);
        disk.set("completion_nsec", completion.as_nanos());
        disk.set("power", 1);
        disk
    }

    fn set(&self, attribute: &str, value: u128) {
        let file = self.directory.join(attribute);
        fs::write(&file, value.to_string())
            .unwrap_or_else(|error| panic!("cannot set {}: {error}", file.display()));
    }

    /// Its device file.
    #[must_use]
    pub fn path(&self) -> String {
        // Older kernels name it by its number, newer ones as its directory.
        let index = fs::read_to_string(self.directory.join("index")).unwrap_or_default();
        let names = [self.name.clone(), format!("nullb{}", index.trim())];
        let paths = names.map(|name| format!("/dev/{name}"));
        paths
            .into_iter()
            .find(|path| fs::exists(path).unwrap_or(false))
            .expect("the kernel makes a device file")
    }
}

impl Drop for NullDisk {
    fn drop(&mut self) {
        drop(fs::write(self.directory.join("power"), "0"));
        drop(fs::remove_dir(&self.directory));
    }
}
