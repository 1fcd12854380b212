//! The labels that all series of a cgroup have.
//!
//! In: an identity. Out: the same labels for each of its many series, encoded once.

use std::fmt;

use prometheus_client::encoding::{
    EncodeLabelSet, LabelSetEncoder,
    prometheus_protobuf::prometheus_data_model::{LabelPair, Metric},
};
use prost::Message as _;

use super::{label_sets::encode_pair, labels::CGROUP};
use crate::catalog::{Identity, Names};

/// The six labels of a cgroup.
#[derive(Clone, Debug)]
pub(super) enum CgroupLabels {
    /// For a format that is text.
    Text {
        /// Up to the name of the last label, `id="…",name="…",…,container`. The text formats repeat it on
        /// each of a histogram's lines: to escape six values anew for every line adds 40 % to the time of
        /// a scrape.
        rendered: String,
        /// The value of the last label.
        last: String,
    },
    /// For protobuf.
    Message {
        /// Stands for them, until [`FamilyMessage`](super::family_message::FamilyMessage) puts them there.
        mark: String,
        /// The fields of a `Metric` that are these labels.
        bytes: Vec<u8>,
    },
}

impl CgroupLabels {
    /// For a format that takes text.
    pub(super) fn text(identity: &Identity) -> Self {
        let [first @ .., last] = values(identity);
        let [first_names @ .., last_name] = &CGROUP;
        let mut rendered = String::new();
        for (label, value) in first_names.iter().zip(first) {
            rendered.push_str(label.name);
            rendered.push_str("=\"");
            push_escaped(&mut rendered, value);
            rendered.push_str("\",");
        }
        rendered.push_str(last_name.name);
        Self::Text {
            rendered,
            last: last.clone(),
        }
    }

    /// For protobuf; `position` is that of the cgroup among those that are encoded.
    pub(super) fn message(identity: &Identity, position: usize) -> Self {
        let label = CGROUP
            .iter()
            .zip(values(identity))
            .map(|(label, value)| LabelPair {
                name: label.name.to_owned(),
                value: value.clone(),
            })
            .collect();
        let metric = Metric {
            label,
            ..Metric::default()
        };
        Self::Message {
            mark: position.to_string(),
            bytes: metric.encode_to_vec(),
        }
    }

    /// The fields of a `Metric` that are these labels; none where they are text.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text { .. } => &[],
            Self::Message { bytes, .. } => bytes,
        }
    }
}

/// The values of [`CGROUP`].
const fn values(identity: &Identity) -> [&String; CGROUP.len()] {
    let Identity {
        path,
        names,
        container: _,
        told: _,
        cgroup_version: _,
        generation: _,
        started: _,
        is_found: _,
    } = identity;
    let Names {
        name,
        image,
        namespace,
        pod,
        container,
    } = names;
    [path, name, image, namespace, pod, container]
}

impl EncodeLabelSet for &CgroupLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        match self {
            // The encoder writes a label's name as it stands and escapes only the value, so all but
            // the last value can pass as the name.
            CgroupLabels::Text { rendered, last } => encode_pair(encoder, rendered, &last.as_str()),
            CgroupLabels::Message { mark, .. } => encode_pair(encoder, "", &mark.as_str()),
        }
    }
}

/// Escapes as both text formats want it: backslash, quote, newline.
pub(super) fn push_escaped(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}
