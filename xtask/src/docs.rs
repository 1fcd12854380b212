//! The documents in `docs/` that are generated from tables in the daemon.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};

use crate::workspace;

/// A document, and the table that it is printed from.
struct Document {
    /// In the repository.
    path: &'static str,
    /// The example of the daemon's package that prints it.
    example: &'static str,
    /// What it is printed from, for people.
    table: &'static str,
}

const DOCUMENTS: [Document; 2] = [
    Document {
        path: "docs/metrics.md",
        example: "metrics_doc",
        table: "the metric catalog",
    },
    Document {
        path: "docs/kernels.md",
        example: "kernels_doc",
        table: "the table of requirements",
    },
];

pub(crate) fn generate() -> anyhow::Result<()> {
    for document in &DOCUMENTS {
        let path = document.path();
        let text = document.print()?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

pub(crate) fn check() -> anyhow::Result<()> {
    DOCUMENTS.iter().try_for_each(Document::check)
}

impl Document {
    fn path(&self) -> PathBuf {
        workspace::root().join(self.path)
    }

    fn check(&self) -> anyhow::Result<()> {
        let path = self.path();
        let wanted = self.print()?;
        let found =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(line) = first_difference(&wanted, &found) else {
            println!("{} is up to date", path.display());
            return Ok(());
        };
        bail!(
            "{}:{line} is not what {} says: run `cargo xtask docs` and commit the result",
            path.display(),
            self.table
        )
    }

    fn print(&self) -> anyhow::Result<String> {
        let mut command = workspace::cargo("run");
        command.args([
            "--quiet",
            "--package",
            "collector",
            "--example",
            self.example,
        ]);
        let shown = workspace::show(&command);
        let output = command
            .output()
            .with_context(|| format!("cannot start `{shown}`"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{shown}` failed ({})\n{said}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed invalid UTF-8"))
    }
}

/// The number of the first line that differs, from 1.
fn first_difference(wanted: &str, found: &str) -> Option<usize> {
    if wanted == found {
        return None;
    }
    let common = wanted
        .lines()
        .zip(found.lines())
        .take_while(|(wanted, found)| wanted == found);
    Some(common.count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_differing_line_is_named_also_past_the_end_of_the_shorter_text() {
        assert_eq!(first_difference("a\nb\nc\n", "a\nx\nc\n"), Some(2));
        assert_eq!(first_difference("a\nb\n", "a\n"), Some(2));
        assert_eq!(first_difference("a\n", ""), Some(1));
        assert_eq!(first_difference("a\n", "a"), Some(2));
    }
}
