//! How values are written in the catalog's documents.

use std::time::SystemTime;

pub(super) fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Since the epoch, to the millisecond: no clock here is read more exactly.
pub(super) fn seconds(time: SystemTime) -> f64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are far below 2^53"
    )]
    let milliseconds = since.as_millis() as f64;
    milliseconds / 1000.0
}
