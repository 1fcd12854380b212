//! Which container a request means.
//!
//! In: the query of a URL. Out: one container's description, or why it is none.

use percent_encoding::percent_decode_str;

use crate::{
    catalog::{details::Which, provider::capability::PodContainer},
    host::CgroupId,
};

const FORMS: &str = "ask for one container: ?name= with its name or id, ?pid=, ?cgroup= with the inode of a \
                     cgroup, ?pod_uid= with &container=, or ?self";

/// Longer ones are nobody's.
const MAX_QUERY: usize = 2_048;

/// Reads a query.
pub(super) fn which(query: &str) -> Result<Which, &'static str> {
    if query.len() > MAX_QUERY {
        return Err("the query is too long for any container");
    }
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (key, value) = pairs.next().ok_or(FORMS)?;
    let value = decoded(value).ok_or("the query is not percent-encoded UTF-8")?;
    let which = match key {
        "name" if !value.is_empty() => Which::Called(value),
        "pid" => Which::OfPid(value.parse().ok().ok_or("pid= wants a number")?),
        "cgroup" => {
            let inode = value.parse().ok().ok_or("cgroup= wants an inode number")?;
            Which::OfCgroup(CgroupId(inode))
        }
        "pod_uid" => {
            let wants_container = "pod_uid= wants &container= behind it";
            let (key, name) = pairs.next().ok_or(wants_container)?;
            let name = (key == "container").then(|| decoded(name)).flatten();
            let name = name.filter(|name| !name.is_empty() && !value.is_empty());
            Which::InPod(PodContainer {
                pod_uid: value,
                name: name.ok_or(wants_container)?,
                is_init: false,
            })
        }
        "self" => Which::Own,
        _ => return Err(FORMS),
    };
    match pairs.next() {
        Some(_) => Err(FORMS),
        None => Ok(which),
    }
}

/// Without its percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_question_is_read() {
        let called = |name: &str| Ok(Which::Called(name.to_owned()));
        assert_eq!(which("name=web"), called("web"));
        assert_eq!(which("name=a%2Fb%20%C3%BC"), called("a/b \u{fc}"));
        assert_eq!(which("pid=42"), Ok(Which::OfPid(42)));
        assert_eq!(which("cgroup=4026"), Ok(Which::OfCgroup(CgroupId(4026))));
        assert_eq!(which("self"), Ok(Which::Own));
        let in_pod = Which::InPod(PodContainer {
            pod_uid: "ab-12".to_owned(),
            name: "web".to_owned(),
            is_init: false,
        });
        assert_eq!(which("pod_uid=ab-12&container=web"), Ok(in_pod));
    }

    #[test]
    fn what_means_no_container_is_refused_and_why_is_told() {
        let long = format!("name={}", "x".repeat(3_000));
        for (query, part) in [
            ("", "?name="),
            ("name=", "?name="),
            ("pid=-1", "a number"),
            ("pid=99999999999", "a number"),
            ("cgroup=x", "inode"),
            ("pod_uid=x", "&container="),
            ("pod_uid=x&name=y", "&container="),
            ("pod_uid=&container=", "&container="),
            ("name=a&pid=2", "?name="),
            ("name=%ff", "percent"),
            (&long, "too long"),
        ] {
            let reason = which(query).unwrap_err();
            assert!(reason.contains(part), "{part:?} not in {reason:?}");
        }
    }
}
