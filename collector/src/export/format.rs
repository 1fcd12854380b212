//! The formats that a scraper can ask for, and which of them it gets.
//!
//! In: the values of `Accept` headers. Out: a [`Format`].

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The default: every scraper understands it.
    PrometheusText,
    /// `OpenMetrics` 1.0.0.
    OpenMetricsText,
    /// `io.prometheus.client.MetricFamily` messages, each behind its length; the only one with native
    /// histograms.
    PrometheusProtobuf,
}

impl Format {
    /// Every one, the default first.
    pub const ALL: [Self; 3] = [
        Self::PrometheusText,
        Self::OpenMetricsText,
        Self::PrometheusProtobuf,
    ];

    /// The `Content-Type` header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetricsText => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::PrometheusProtobuf => {
                "application/vnd.google.protobuf; \
                 proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The format that suits the `Accept` headers best. One that we have not got is passed over; when
    /// none is left, the default is served all the same, as scrapers expect.
    #[must_use]
    pub fn negotiate(accept: &[&str]) -> Self {
        let mut ranges: Vec<MediaRange<'_>> = accept
            .iter()
            .flat_map(|header| header.split(','))
            .take(MAX_RANGES)
            .filter_map(MediaRange::parse)
            .collect();
        // Stable: of two that are wanted alike, the one that is named first.
        ranges.sort_by(|one, other| other.quality.total_cmp(&one.quality));
        let refused = |format: Self| {
            ranges
                .iter()
                .any(|range| range.quality <= 0.0 && range.names(format))
        };
        ranges
            .iter()
            .filter(|range| range.quality > 0.0)
            .find_map(|range| {
                Self::ALL.into_iter().find(|&format| {
                    range.names(format) || (range.covers(format) && !refused(format))
                })
            })
            .unwrap_or(Self::PrometheusText)
    }

    const fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::PrometheusText => ("text", "plain"),
            Self::OpenMetricsText => ("application", "openmetrics-text"),
            Self::PrometheusProtobuf => ("application", "vnd.google.protobuf"),
        }
    }

    /// Whether a range with this parameter can mean the format. Unknown parameters (`charset`,
    /// `escaping`) do not matter: our names need no escaping.
    fn agrees_with(self, name: &str, value: &str) -> bool {
        let wanted = match (self, name) {
            (Self::PrometheusText, "version") => "0.0.4",
            (Self::OpenMetricsText, "version") => "1.0.0",
            (Self::PrometheusProtobuf, "proto") => "io.prometheus.client.MetricFamily",
            (Self::PrometheusProtobuf, "encoding") => "delimited",
            _ => return true,
        };
        value.eq_ignore_ascii_case(wanted)
    }
}

/// Prometheus sends five; more than this is nobody's honest wish.
const MAX_RANGES: usize = 32;

/// One element of an `Accept` header.
#[derive(Clone, Debug)]
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    parameters: &'a str,
    quality: f32,
}

impl<'a> MediaRange<'a> {
    fn parse(range: &'a str) -> Option<Self> {
        let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
        let (kind, subtype) = media_type.trim().split_once('/')?;
        let mut range = Self {
            kind,
            subtype,
            parameters,
            quality: 1.0,
        };
        let quality = range
            .parameters()
            .find(|(name, _)| name == "q")
            .map(|(_, value)| value);
        if let Some(quality) = quality {
            // A weight that is no number is no wish at all.
            range.quality = quality
                .parse()
                .ok()
                .filter(|quality| (0.0..=1.0).contains(quality))?;
        }
        Some(range)
    }

    fn parameters(&self) -> impl Iterator<Item = (String, &'a str)> {
        self.parameters.split(';').filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            Some((
                name.trim().to_ascii_lowercase(),
                value.trim().trim_matches('"'),
            ))
        })
    }

    /// Whether the range means just this format.
    fn names(&self, format: Format) -> bool {
        let (kind, subtype) = format.media_type();
        self.kind.eq_ignore_ascii_case(kind)
            && self.subtype.eq_ignore_ascii_case(subtype)
            && self
                .parameters()
                .all(|(name, value)| format.agrees_with(&name, value))
    }

    /// Whether the range is a wildcard that the format falls under.
    fn covers(&self, format: Format) -> bool {
        let (kind, _) = format.media_type();
        self.subtype == "*" && (self.kind == "*" || self.kind.eq_ignore_ascii_case(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Format::{OpenMetricsText, PrometheusProtobuf, PrometheusText},
        *,
    };

    const PROTOBUF: &str = "application/vnd.google.protobuf;\
                            proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn each_scraper_gets_the_format_that_it_prefers() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
                            application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_2_native = format!(
            "{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,\
             application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        );
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,\
                            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3_native = format!("{PROTOBUF};q=0.7,{prometheus_3}");
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let cases: &[(&str, Format)] = &[
            (prometheus_2, OpenMetricsText),
            (&prometheus_2_native, PrometheusProtobuf),
            (prometheus_3, OpenMetricsText),
            (&prometheus_3_native, PrometheusProtobuf),
            (browser, PrometheusText),
            ("", PrometheusText),
            ("*/*", PrometheusText),
            ("text/*", PrometheusText),
            ("application/*", OpenMetricsText),
            ("text/plain", PrometheusText),
            ("text/plain;version=0.0.4", PrometheusText),
            ("application/openmetrics-text", OpenMetricsText),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"; Charset=UTF-8",
                OpenMetricsText,
            ),
            ("application/vnd.google.protobuf", PrometheusProtobuf),
            // Formats that look like ours and are not.
            ("application/openmetrics-text;version=2.0.0", PrometheusText),
            ("application/openmetrics-text;version=0.0.1", PrometheusText),
            (
                "application/vnd.google.protobuf;encoding=text",
                PrometheusText,
            ),
            (
                "application/vnd.google.protobuf;proto=other.Message",
                PrometheusText,
            ),
            (
                "text/plain;version=1.0.0,application/openmetrics-text;q=0.1",
                OpenMetricsText,
            ),
            // Weights.
            (
                "text/plain;q=0.4, application/openmetrics-text;q=0.5",
                OpenMetricsText,
            ),
            ("text/plain, application/openmetrics-text", PrometheusText),
            ("application/openmetrics-text, text/plain", OpenMetricsText),
            ("application/openmetrics-text;q=0, */*", PrometheusText),
            ("text/plain;q=0, */*;q=0.5", OpenMetricsText),
            ("text/plain;q=0", PrometheusText),
            (
                "application/openmetrics-text;q=much, text/plain;q=0.1",
                PrometheusText,
            ),
            ("application/openmetrics-text;q=NaN", PrometheusText),
            ("application/openmetrics-text;q=7", PrometheusText),
            // Rubbish.
            (",;,=/;;q=,", PrometheusText),
            ("openmetrics", PrometheusText),
        ];
        for (accept, expected) in cases {
            assert_eq!(Format::negotiate(&[accept]), *expected, "Accept: {accept}");
        }
    }

    #[test]
    fn several_accept_headers_count_as_one() {
        let headers = [
            "text/plain;q=0.5",
            "application/openmetrics-text;version=1.0.0",
        ];
        assert_eq!(Format::negotiate(&headers), OpenMetricsText);
    }

    #[test]
    fn an_endless_accept_header_is_cut() {
        let header = "a/b,".repeat(MAX_RANGES) + "application/openmetrics-text";
        assert_eq!(Format::negotiate(&[&header]), PrometheusText);
    }
}
