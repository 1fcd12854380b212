//! The catalog as a table for people.

use super::{
    CatalogDocument, CgroupEntry, ElsewhereEntry, ReadingEntry, RuntimeEntry, SourceEntry,
    StateEntry, names::NamesEntry,
};
use crate::catalog::path_text::path_text;

const HEADS: [&str; COLUMNS] = [
    "STATE",
    "GENERATION",
    "ID",
    "NAME",
    "IMAGE",
    "POD",
    "RUNTIME",
    "AGE",
    "CPU",
    "MEMORY",
    "LAST READING",
];

const COLUMNS: usize = 11;

/// Columns that are there only where something is in them: without a container's runtime nothing ever is.
const OPTIONAL: [&str; 2] = ["IMAGE", "POD"];

/// A longer cell is not cut, but the others of its column do not become wider for it: anyone can make a
/// cgroup with a long name.
const MAX_ALIGNED: usize = 120;

/// A container whose name is not known is named by so much of its id, as runtimes do.
const SHORT_ID: usize = 12;

/// What is not known.
const UNKNOWN: &str = "-";

/// A line for each cgroup, below one of heads; one for each container without a cgroup, and for each
/// runtime; and one that says how many cgroups there are and who knows them.
#[must_use]
pub fn table(document: &CatalogDocument) -> String {
    let now = document.taken_seconds;
    let rows: Vec<[String; COLUMNS]> = document
        .cgroups
        .iter()
        .map(|cgroup| row(cgroup, now))
        .collect();
    // Nothing where the column is left out.
    let width = |column: usize| {
        let head = HEADS[column];
        let is_empty = || rows.iter().all(|row| row[column] == UNKNOWN);
        if OPTIONAL.contains(&head) && is_empty() {
            return None;
        }
        let cells = rows.iter().map(|row| row[column].chars().count());
        Some(cells.fold(head.len(), |width, cell| width.max(cell.min(MAX_ALIGNED))))
    };
    let widths: [Option<usize>; COLUMNS] = std::array::from_fn(width);
    let mut text = line(&HEADS, &widths);
    for row in &rows {
        text.push_str(&line(&row.each_ref().map(String::as_str), &widths));
    }
    let elsewhere = document.containers_elsewhere.iter();
    text.extend(elsewhere.map(|container| elsewhere_line(container, now)));
    let runtimes = document.runtimes.iter();
    text.extend(runtimes.map(|runtime| runtime_line(runtime, now)));
    text.push_str(&last_line(document));
    text
}

fn line(cells: &[&str; COLUMNS], widths: &[Option<usize>; COLUMNS]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .filter_map(|(cell, width)| width.map(|width| format!("{cell:width$}")))
        .collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// `exited container without a cgroup here: web, image busybox, in pod shop/web-0/web, of docker, exit code 1`
fn elsewhere_line(container: &ElsewhereEntry, now: f64) -> String {
    let told = &container.told;
    let state = told
        .runtime_state
        .as_deref()
        .map_or_else(String::new, |state| format!("{} ", clean(state)));
    let names = container.names.as_ref();
    let name = names.and_then(|names| names.name.as_deref()).map(clean);
    let parts = [
        Some(name.unwrap_or_else(|| clean(&short(&container.id)))),
        names.and_then(image).map(|image| format!("image {image}")),
        names.and_then(pod).map(|pod| format!("in pod {pod}")),
        container
            .runtime
            .as_deref()
            .map(|runtime| format!("of {}", clean(runtime))),
        container
            .flavor
            .as_deref()
            .map(|flavor| format!("in {}", clean(flavor))),
        told.exit_code.map(|code| format!("exit code {code}")),
        told.process_exit_time_seconds
            .map(|exit| format!("ended {} ago", age(now - exit))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(
        "{state}container without a cgroup here: {}\n",
        parts.join(", ")
    )
}

/// `runtime docker 20.10.24 at docker=/run/docker.sock, answers for 3m12s`
fn runtime_line(runtime: &RuntimeEntry, now: f64) -> String {
    let RuntimeEntry {
        protocol,
        address,
        runtime,
        version,
        since_seconds,
        last_error,
        last_error_time_seconds,
    } = runtime;
    let place = format!("{}={}", clean(protocol), clean(address));
    let who: Vec<String> = [runtime, version]
        .into_iter()
        .flatten()
        .map(|word| clean(word))
        .collect();
    let state = match (who.is_empty(), since_seconds) {
        (true, _) => format!("runtime {place}: nobody answers"),
        (false, None) => format!("runtime {} at {place}", who.join(" ")),
        (false, Some(since)) => {
            let answers = age(now - since);
            format!(
                "runtime {} at {place}, answers for {answers}",
                who.join(" ")
            )
        }
    };
    let error = match (last_error, last_error_time_seconds) {
        (None, _) => String::new(),
        (Some(error), None) => format!("; last error: {}", clean(error)),
        (Some(error), Some(time)) => {
            format!("; last error {} ago: {}", age(now - time), clean(error))
        }
    };
    format!("{state}{error}\n")
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

fn row(cgroup: &CgroupEntry, now: f64) -> [String; COLUMNS] {
    let container = cgroup.container.as_ref();
    let reading = cgroup.last_reading.as_ref();
    let names = cgroup.names.as_ref();
    let name = names
        .and_then(|names| names.name.clone())
        .or_else(|| Some(short(container?.id.as_ref()?)));
    let runtime = container.and_then(|container| container.runtime.as_deref());
    let or_unknown = |cell: Option<String>| cell.unwrap_or_else(|| UNKNOWN.to_owned());
    [
        match cgroup.state {
            StateEntry::Running => "running",
            StateEntry::Exited => "exited",
        }
        .to_owned(),
        cgroup.generation.to_string(),
        clean(&cgroup.path),
        or_unknown(name.map(|name| clean(&name))),
        or_unknown(names.and_then(image)),
        or_unknown(names.and_then(pod)),
        or_unknown(runtime.map(clean)),
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

/// A document can come from anyone who listens there: its text is made fit for a terminal again.
fn clean(text: &str) -> String {
    path_text(text.as_bytes())
}

fn short(id: &str) -> String {
    id.chars().take(SHORT_ID).collect()
}

fn image(names: &NamesEntry) -> Option<String> {
    names.image.as_deref().map(clean)
}

/// `namespace/pod/container`, of one that is in a pod.
fn pod(names: &NamesEntry) -> Option<String> {
    names.pod.as_ref()?;
    let parts = [&names.namespace, &names.pod, &names.container];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|part| clean(part))
        .collect();
    Some(parts.join("/"))
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
