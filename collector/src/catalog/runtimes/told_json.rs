//! What is worth keeping of the JSON that a runtime tells.
//!
//! In: JSON text. Out: the items of a list, the labels that are asked for, times. Never here: memory for
//! what is not asked for, be it 10,000 labels.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Listed, MAX_CONTAINERS};
use crate::catalog::{LabelSelection, RuntimeContainer, runtime_container::told_text};

/// Containers out of a JSON list. An item that `read` cannot read, has an id that is none, or has the id
/// of one before, is left out, and no other with it.
pub(super) fn read_list(
    text: &str,
    mut read: impl FnMut(&RawValue) -> Option<RuntimeContainer>,
) -> Result<Listed, serde_json::Error> {
    let mut gathering = Gathering::default();
    each_item(text, |item| gathering.add(|| read(item)))?;
    Ok(gathering.listed)
}

/// Gives each entry of a JSON object to a function.
pub fn each_entry(text: &str, read: impl FnMut(&str, &RawValue)) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    Entries(read).deserialize(&mut json)?;
    json.end()
}

/// Gives each item of a JSON list to a function.
pub fn each_item(text: &str, read: impl FnMut(&RawValue)) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    Items(read).deserialize(&mut json)?;
    json.end()
}

/// The first text in a list that is fit; empty when there is none. A list can have millions.
pub(super) fn first_text(list: Option<&RawValue>, is_fit: impl Fn(&str) -> bool) -> String {
    let mut first = None;
    if let Some(list) = list {
        let look = |item: &RawValue| {
            if first.is_none()
                && let Ok(Text(text)) = serde_json::from_str(item.get())
                && is_fit(&text)
            {
                first = Some(told_text(&text));
            }
        };
        // What cannot be read ends it: what was found before stays.
        drop(each_item(list.get(), look));
    }
    first.unwrap_or_default()
}

#[derive(Default)]
struct Gathering {
    listed: Listed,
    ids: std::collections::HashSet<String>,
}

impl Gathering {
    fn add(&mut self, read: impl FnOnce() -> Option<RuntimeContainer>) {
        let container = (self.listed.containers.len() < MAX_CONTAINERS)
            .then(read)
            .flatten()
            .filter(|container| is_id(&container.id) && self.ids.insert(container.id.clone()));
        match container {
            Some(container) => self.listed.containers.push(container),
            None => self.listed.left_out += 1,
        }
    }
}

/// Whether a text can be a container's id. It becomes part of a path that is asked for.
pub(crate) fn is_id(text: &str) -> bool {
    const MAX_ID: usize = 256;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= MAX_ID && !text.starts_with('.') && text.bytes().all(fits)
}

/// Labels that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Those that have a known key, or are chosen; of two with one key the last. Their values are
    /// bounded.
    pub fn read(
        raw: Option<&RawValue>,
        known: &[&str],
        chosen: &LabelSelection,
    ) -> Result<Self, serde_json::Error> {
        let mut labels = BTreeMap::new();
        let is_wanted = |key: &str| {
            known.contains(&key)
                || chosen.container.iter().any(|chosen| chosen == key)
                || chosen.pod.iter().any(|chosen| chosen == key)
        };
        if let Some(raw) = raw {
            let keep = |key: &str, value: &RawValue| {
                if is_wanted(key) {
                    // A value that is no text is none.
                    match serde_json::from_str::<Text<'_>>(value.get()) {
                        Ok(Text(value)) => labels.insert(key.to_owned(), told_text(&value)),
                        Err(_) => labels.remove(key),
                    };
                }
            };
            Entries(keep).deserialize(&mut serde_json::Deserializer::from_str(raw.get()))?;
        }
        Ok(Self(labels))
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The value of one, empty when there is none.
    pub(super) fn text(&self, key: &str) -> String {
        self.0.get(key).cloned().unwrap_or_default()
    }
}

/// A text, copied only when it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Gives each item of a list to a function; `null` has none.
struct Items<F>(F);

impl<'de, F: FnMut(&'de RawValue)> DeserializeSeed<'de> for Items<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

/// Gives each entry of an object to a function; `null` has none.
struct Entries<F>(F);

impl<'de, F: FnMut(&str, &'de RawValue)> DeserializeSeed<'de> for Entries<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = entries.next_key()? {
            let value: &RawValue = entries.next_value()?;
            (self.0)(&key, value);
        }
        Ok(())
    }
}

/// A time as runtimes written in Go tell it, with any offset; none for the year 1, which stands for none
/// there.
#[must_use]
pub fn told_time(text: &str) -> Option<SystemTime> {
    let (utc, ahead) = if let Some(utc) = text.strip_suffix(['Z', 'z']) {
        (utc, 0)
    } else {
        // A date has dashes too: the offset is what is behind the time of the day.
        let (local, offset) = text.split_at_checked(text.rfind(['+', '-'])?)?;
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        let number = |text: &str| text.parse::<u8>().ok().map(i64::from);
        let seconds = number(hours)? * 3600 + number(minutes)? * 60;
        let is_ahead = offset.starts_with('+');
        (local, if is_ahead { seconds } else { -seconds })
    };
    let time = humantime::parse_rfc3339(&format!("{utc}Z")).ok()?;
    let offset = Duration::from_secs(ahead.unsigned_abs());
    let time = if ahead < 0 {
        time.checked_add(offset)
    } else {
        time.checked_sub(offset)
    };
    time.filter(|time| *time > SystemTime::UNIX_EPOCH)
}

/// A time as seconds since 1970, and the nanoseconds where they are told.
pub(super) fn told_epoch(seconds: i64, nanoseconds: Option<u64>) -> Option<SystemTime> {
    let since = match nanoseconds {
        Some(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
        _ => Duration::from_secs(seconds.try_into().ok().filter(|seconds| *seconds > 0)?),
    };
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn item(item: &RawValue) -> Option<RuntimeContainer> {
        Some(RuntimeContainer {
            id: serde_json::from_str(item.get()).ok()?,
            ..RuntimeContainer::default()
        })
    }

    #[test]
    fn one_item_that_is_not_understood_costs_no_other() {
        let listed = read_list(r#"["a", 1, "b", "a", "../x", "", {"c": []}]"#, item).unwrap();
        let ids: Vec<_> = listed.containers.iter().map(|of| of.id.as_str()).collect();
        assert_eq!((ids, listed.left_out), (vec!["a", "b"], 5));
        assert_eq!(read_list("null", item).unwrap(), Listed::default());
        for text in ["", "{}", "[\"a\"", "[\"a\"] 1", "\"a\"", "[\"\\q\"]"] {
            assert!(read_list(text, item).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_has_a_most_containers() {
        let ids: Vec<_> = (0..MAX_CONTAINERS + 3).map(|id| id.to_string()).collect();
        let text = serde_json::to_string(&ids).unwrap();
        let listed = read_list(&text, item).unwrap();
        assert_eq!(
            (listed.containers.len(), listed.left_out),
            (MAX_CONTAINERS, 3)
        );
    }

    #[test]
    fn only_labels_that_are_asked_for_are_kept() {
        let mut text = (0..10_000)
            .map(|label| format!("\"label{label}\":\"{}\"", "x".repeat(100)))
            .collect::<Vec<_>>();
        text.push(format!("\"team\":\"{}\"", "y".repeat(1 << 20)));
        text.push("\"kno\\u0077n\":\"first\",\"known\":\"la\\u0073t\",\"pod\":null".to_owned());
        let chosen = LabelSelection {
            container: vec!["team".to_owned()],
            pod: vec!["pod".to_owned()],
        };
        let raw = raw(&format!("{{{}}}", text.join(",")));
        let labels = Labels::read(Some(&raw), &["known", "absent"], &chosen).unwrap();
        assert_eq!(labels.0.len(), 2);
        assert_eq!(labels.text("known"), "last");
        assert_eq!(labels.get("team").unwrap().len(), 512);
        assert_eq!(labels.get("pod"), None);
        let none = Labels::read(None, &["known"], &chosen).unwrap();
        assert_eq!(none.text("known"), "");
    }

    #[test]
    fn labels_that_are_no_object_are_not_understood() {
        let chosen = LabelSelection::default();
        assert!(Labels::read(Some(&raw("[]")), &[], &chosen).is_err());
        assert!(Labels::read(Some(&raw("null")), &[], &chosen).is_ok());
    }

    #[test]
    fn times_have_nanoseconds_and_offsets() {
        let at = |seconds, nanoseconds| {
            Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
        };
        let utc = at(1_795_292_954, 183_455_285);
        assert_eq!(told_time("2026-11-21T20:29:14.183455285Z"), utc);
        assert_eq!(told_time("2026-11-21T22:29:14.183455285+02:00"), utc);
        assert_eq!(told_time("2026-11-21T14:59:14.183455285-05:30"), utc);
        assert_eq!(told_time("2026-11-21T20:29:14Z"), at(1_795_292_954, 0));
        for none in [
            "0001-01-01T00:00:00Z",
            "",
            "Z",
            "2026-11-21",
            "2026-11-21T20:29:14+é",
            "2026-11-21T20:29:14+9999999999999999:00",
        ] {
            assert_eq!(told_time(none), None, "{none}");
        }
        assert_eq!(told_epoch(-62_135_596_800, None), None);
        assert_eq!(told_epoch(5, Some(5_000_000_001)), at(5, 1));
        assert_eq!(told_epoch(5, None), at(5, 0));
    }
}
