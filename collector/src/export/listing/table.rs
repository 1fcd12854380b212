//! The catalog as a table for people.

use super::{CatalogDocument, CgroupEntry, ReadingEntry, SourceEntry, StateEntry};
use crate::catalog::path_text::path_text;

const HEADS: [&str; 9] = [
    "STATE",
    "GENERATION",
    "ID",
    "NAME",
    "RUNTIME",
    "AGE",
    "CPU",
    "MEMORY",
    "LAST READING",
];

/// A longer cell is not cut, but the others of its column do not become wider for it: anyone can make a
/// cgroup with a long name.
const MAX_ALIGNED: usize = 120;

/// A container whose name is not known is named by so much of its id, as runtimes do.
const SHORT_ID: usize = 12;

/// What is not known.
const UNKNOWN: &str = "-";

/// A line for each cgroup, below one of heads, and one that says how many there are and who knows them.
#[must_use]
pub fn table(document: &CatalogDocument) -> String {
    let rows: Vec<[String; 9]> = document
        .cgroups
        .iter()
        .map(|cgroup| row(cgroup, document.taken_seconds))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count().min(MAX_ALIGNED))
            .fold(HEADS[column].len(), usize::max)
    };
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = line(&HEADS, &widths);
    for row in &rows {
        text.push_str(&line(&row.each_ref().map(String::as_str), &widths));
    }
    text.push_str(&last_line(document));
    text
}

fn line(cells: &[&str; 9], widths: &[usize; 9]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    format!("{}\n", padded.join("  ").trim_end())
}

fn last_line(document: &CatalogDocument) -> String {
    let source = match document.source {
        SourceEntry::Daemon => "daemon",
        SourceEntry::Walk => "walk",
    };
    let left_out = match document.left_out {
        0 => String::new(),
        more => format!(" and {more} that are not listed"),
    };
    format!(
        "{} cgroups{left_out}, source: {source}\n",
        document.cgroups.len()
    )
}

fn row(cgroup: &CgroupEntry, now: f64) -> [String; 9] {
    let container = cgroup.container.as_ref();
    let reading = cgroup.last_reading.as_ref();
    let name = cgroup
        .names
        .as_ref()
        .and_then(|names| names.name.clone())
        .or_else(|| Some(container?.id.as_ref()?.chars().take(SHORT_ID).collect()));
    let runtime = container.and_then(|container| container.runtime.clone());
    let or_unknown = |cell: Option<String>| cell.unwrap_or_else(|| UNKNOWN.to_owned());
    [
        match cgroup.state {
            StateEntry::Running => "running",
            StateEntry::Exited => "exited",
        }
        .to_owned(),
        cgroup.generation.to_string(),
        // A document can come from anyone who listens there: its text is made fit for a terminal again.
        path_text(cgroup.path.as_bytes()),
        or_unknown(name.map(|name| path_text(name.as_bytes()))),
        or_unknown(runtime.map(|runtime| path_text(runtime.as_bytes()))),
        or_unknown(cgroup.start_time_seconds.map(|start| age(now - start))),
        or_unknown(
            reading
                .and_then(|reading| reading.cpu_seconds)
                .map(|cpu| format!("{cpu:.3}s")),
        ),
        or_unknown(reading.and_then(memory)),
        or_unknown(reading.map(|reading| when(reading, now))),
    ]
}

fn memory(reading: &ReadingEntry) -> Option<String> {
    let usage = reading.memory_usage_bytes.map(bytes);
    let peak = reading
        .memory_peak_bytes
        .map(|peak| format!("peak {}", bytes(peak)));
    let known: Vec<String> = usage.into_iter().chain(peak).collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn when(reading: &ReadingEntry, now: f64) -> String {
    let how = path_text(reading.how.as_bytes()).replace('_', " ");
    match reading.time_seconds {
        Some(time) => format!("{how}, {} ago", age(now - time)),
        None => how,
    }
}

fn age(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float ends at the bounds; the clock can have been set back"
    )]
    let seconds = seconds as u64;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // What would be shown as 1024.0 is one of the next.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1}{unit}")
}
