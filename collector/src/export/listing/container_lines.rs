//! One container as lines for people.

use serde_json::Value;

use super::ContainerDocument;
use crate::catalog::path_text::path_text;

/// A line for each thing that is known, in the order of the document.
#[must_use]
pub fn container_lines(document: &ContainerDocument) -> String {
    let mut lines = Vec::new();
    // Strings, numbers and lists of them cannot fail to serialize.
    let value = serde_json::to_value(document).unwrap_or_default();
    for part in ["container", "reading", "interfaces", "pids", "errors"] {
        if let Some(value) = value.get(part) {
            flatten("", value, part, &mut lines);
        }
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let lines = lines
        .into_iter()
        .map(|(name, value)| format!("{name:width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// A line for each value, named by its keys; a list of plain values is one line.
fn flatten(above: &str, value: &Value, key: &str, lines: &mut Vec<(String, String)>) {
    // The main parts need no name, as their keys are different.
    let is_part = matches!(key, "container" | "reading" | "names");
    let name = match (above, is_part && (above.is_empty() || value.is_object())) {
        (above, true) => above.to_owned(),
        ("", false) => key.to_owned(),
        (above, false) => format!("{above}.{key}"),
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&name, value, key, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&name, item, &index.to_string(), lines);
            }
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(in_words).collect();
            lines.push((fit(&name), items.join(" ")));
        }
        plain => lines.push((fit(&name), in_words(plain))),
    }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => fit(text),
        other => other.to_string(),
    }
}

/// The document can come from anyone who listens there: its text is made fit for a terminal again.
fn fit(text: &str) -> String {
    path_text(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_is_known_is_a_line() {
        let document: ContainerDocument = serde_json::from_str(
            r#"{"schema":1,"taken_seconds":1.5,
                "container":{"id":"c0ffee","runtime":"docker","names":{"name":"we\u001b[2Jb"},
                             "runtime_state":"running","labels":{"team":"shop"}},
                "reading":{"how":"running","cpu_seconds":1.5},
                "interfaces":[{"name":"eth0","received_bytes":1,"sent_bytes":2,
                               "received_packets":3,"sent_packets":4}],
                "pids":[42,43],"errors":{"open files":"denied"}}"#,
        )
        .unwrap();
        let text = container_lines(&document);
        for (name, value) in [
            ("id", "c0ffee"),
            ("runtime", "docker"),
            ("labels.team", "shop"),
            ("cpu_seconds", "1.5"),
            ("interfaces.0.sent_bytes", "2"),
            ("pids", "42 43"),
            ("errors.open files", "denied"),
        ] {
            let is_there =
                |line: &str| line.starts_with(name) && line.ends_with(&format!("  {value}"));
            assert!(text.lines().any(is_there), "{name} {value} not in\n{text}");
        }
        assert!(!text.contains('\x1b'), "{text}");
    }
}
