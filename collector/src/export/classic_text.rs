//! Turns `OpenMetrics` text into Prometheus text 0.0.4 while it is being written.
//!
//! In: what the `OpenMetrics` encoder writes. Out: the older format. Sample lines are alike in both, so
//! only lines that start with `#` are held back and rewritten: a counter is declared under the name
//! with `_total`, an info as the gauge that it is, and units and the end mark are left out.

use std::fmt::{self, Write};

use super::{catalog, labels, peers};

/// Writes to `out` what was meant for an `OpenMetrics` reader.
#[derive(Debug)]
pub(super) struct ClassicText<'a, W> {
    out: &'a mut W,
    /// The comment line that is being written, if one is.
    comment: Option<String>,
    /// The help text of the family whose type is still to come.
    help: String,
    line_start: bool,
}

impl<'a, W: Write> ClassicText<'a, W> {
    pub(super) const fn new(out: &'a mut W) -> Self {
        Self {
            out,
            comment: None,
            help: String::new(),
            line_start: true,
        }
    }

    fn write_line_part(&mut self, part: &str) -> fmt::Result {
        if self.line_start && part.starts_with('#') {
            self.comment = Some(String::new());
        }
        self.line_start = part.ends_with('\n');
        match &mut self.comment {
            None => self.out.write_str(part),
            Some(comment) => {
                comment.push_str(part);
                if self.line_start {
                    let comment = self.comment.take().unwrap_or_default();
                    return self.rewrite(comment.trim_end_matches('\n'));
                }
                Ok(())
            }
        }
    }

    /// The help comes before the type, and its name depends on it.
    fn rewrite(&mut self, comment: &str) -> fmt::Result {
        if let Some(help) = comment.strip_prefix("# HELP ") {
            let (_, help) = help.split_once(' ').unwrap_or_default();
            help.clone_into(&mut self.help);
        } else if let Some((name, kind)) = comment
            .strip_prefix("# TYPE ")
            .and_then(|line| line.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                // As which the encoder has to write it.
                "unknown" if peers::is_bare_counter(name) => ("", "counter"),
                "unknown" => ("", "untyped"),
                // In this format a label `quantile` is a summary's, and `promtool` complains of one
                // on a gauge.
                "gauge" if has_quantiles(name) => ("", "untyped"),
                other => ("", other),
            };
            for part in ["# HELP ", name, suffix, " ", &self.help, "\n"] {
                self.out.write_str(part)?;
            }
            for part in ["# TYPE ", name, suffix, " ", kind, "\n"] {
                self.out.write_str(part)?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for ClassicText<'_, W> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Label values have their newlines escaped, so one is always the end of a line; and the
        // encoder writes no line behind it in one go, which makes the loop below one round.
        if self.comment.is_none() && !(self.line_start && text.starts_with('#')) {
            self.line_start = text.ends_with('\n');
            return self.out.write_str(text);
        }
        text.split_inclusive('\n')
            .try_for_each(|part| self.write_line_part(part))
    }
}

fn has_quantiles(name: &str) -> bool {
    catalog::named(name).is_some_and(|family| {
        family
            .labels
            .iter()
            .any(|label| label.name == labels::QUANTILE.name)
    })
}
