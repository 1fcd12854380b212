//! The metrics of all shims of this host together.
//!
//! In: the families of each sandbox. Out: families that have one kind and one help wherever they come from,
//! of at most so many points. Never here: which pod a sandbox is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    metrics::Kind,
    points::{Point, PointFamily},
};

/// What all shims tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KataMetrics {
    /// The ids of the sandboxes whose shims were read, in order.
    pub sandboxes: Vec<String>,
    /// By name.
    pub families: Vec<KataFamily>,
    /// Lines that are not among them: not understood, of another kind than the same metric of others, or
    /// too many.
    pub left_out: u64,
}

/// A metric of one shim or more.
#[derive(Clone, Debug, PartialEq)]
pub struct KataFamily {
    /// Its name, of which no other's samples have one.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What it is, in the words of the first shim; empty when that has none.
    pub help: String,
    /// Where its points are.
    parts: Vec<FamilyPart>,
}

/// A family of one sandbox.
#[derive(Clone, Debug, PartialEq)]
struct FamilyPart {
    /// The position of the sandbox.
    sandbox: usize,
    families: Arc<[PointFamily]>,
    /// The position among these.
    position: usize,
}

/// What one shim tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SandboxMetrics {
    /// Its families.
    pub families: Arc<[PointFamily]>,
    /// Lines that are not among them.
    pub left_out: u64,
}

/// The most that all points together may weigh: some hundred sandboxes' worth, and 32 MiB of text.
pub const MAX_WEIGHT: usize = 65_536;

impl SandboxMetrics {
    /// With no more than weighs so much; the rest is counted. What is left, and its weight.
    #[must_use]
    pub fn within(self, mut room: usize) -> (Self, usize) {
        let all = room;
        let weight = self.families.iter().map(PointFamily::weight).sum();
        if weight <= room {
            return (self, weight);
        }
        let Self {
            families,
            mut left_out,
        } = self;
        let fits = |family: &&PointFamily| {
            let weight = family.weight();
            let has_room = weight <= room;
            if has_room {
                room -= weight;
            } else {
                left_out += family.points.len() as u64;
            }
            has_room
        };
        let families = families.iter().filter(fits).cloned().collect();
        (Self { families, left_out }, all - room)
    }
}

impl KataFamily {
    /// Its points, by sandbox, each with the position of that.
    pub fn by_sandbox(&self) -> impl Iterator<Item = (usize, &[Point])> {
        self.parts.iter().filter_map(|part| {
            let family = part.families.get(part.position)?;
            Some((part.sandbox, family.points.as_slice()))
        })
    }
}

impl KataMetrics {
    /// Of sandboxes by their ids.
    #[must_use]
    pub fn of(all: &BTreeMap<String, SandboxMetrics>) -> Self {
        let mut left_out: u64 = all.values().map(|of| of.left_out).sum();
        let taken = taken(all);
        let mut families: BTreeMap<&str, KataFamily> = BTreeMap::new();
        let mut room = MAX_WEIGHT;
        for (sandbox, metrics) in all.values().enumerate() {
            for (position, family) in metrics.families.iter().enumerate() {
                let weight = family.weight();
                if !taken.contains(&(family.name.as_str(), family.kind)) || weight > room {
                    left_out += family.points.len() as u64;
                    continue;
                }
                room -= weight;
                let merged = families.entry(&family.name).or_insert_with(|| KataFamily {
                    name: family.name.clone(),
                    kind: family.kind,
                    help: family.help.clone(),
                    parts: Vec::new(),
                });
                merged.parts.push(FamilyPart {
                    sandbox,
                    families: Arc::clone(&metrics.families),
                    position,
                });
            }
        }
        Self {
            sandboxes: all.keys().cloned().collect(),
            families: families.into_values().collect(),
            left_out,
        }
    }
}

/// The names and kinds that most sandboxes agree on, and of which no two have samples of one name. One
/// sandbox can spoil nothing that two others tell.
fn taken(all: &BTreeMap<String, SandboxMetrics>) -> HashSet<(&str, Kind)> {
    let mut votes: HashMap<(&str, Kind), usize> = HashMap::new();
    for family in all.values().flat_map(|of| of.families.iter()) {
        *votes.entry((&family.name, family.kind)).or_default() += 1;
    }
    let mut by_votes: Vec<_> = votes.into_iter().collect();
    by_votes.sort_unstable_by_key(|((name, kind), votes)| {
        (std::cmp::Reverse(*votes), *name, kind.name())
    });
    let mut names: HashSet<String> = HashSet::new();
    by_votes
        .into_iter()
        .map(|(of, _)| of)
        .filter(|(name, kind)| {
            let claims = claims(name, *kind);
            let is_free = claims.iter().all(|name| !names.contains(name));
            if is_free {
                names.extend(claims);
            }
            is_free
        })
        .collect()
}

/// The names that belong to a family: its own, those of its samples, and, of a counter, the one that
/// `OpenMetrics` has for it.
fn claims(name: &str, kind: Kind) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        Kind::Histogram => &["", "_bucket", "_sum", "_count"],
        Kind::Summary => &["", "_sum", "_count"],
        Kind::Counter | Kind::Gauge | Kind::Untyped => &[""],
    };
    let own = suffixes.iter().map(|suffix| format!("{name}{suffix}"));
    own.chain(kind.open_metrics_stem(name).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{metrics::ShimMetrics, points::points};
    use super::*;

    fn merged(texts: &[(&str, &str)]) -> KataMetrics {
        let all = texts.iter().map(|(sandbox, text)| {
            let (families, left_out) = points(ShimMetrics::read(text));
            let metrics = SandboxMetrics {
                families: families.into(),
                left_out,
            };
            ((*sandbox).to_owned(), metrics)
        });
        KataMetrics::of(&all.collect())
    }

    fn samples(count: u32, long: &str) -> String {
        let lines = (0..count).map(|n| format!("kata_x{{n=\"{n}{long}\"}} 1\n"));
        lines.collect::<Vec<_>>().concat()
    }

    /// A family: the name, the kind, and how many points of which sandbox.
    type Shown<'a> = (&'a str, Kind, Vec<(usize, usize)>);

    fn shown(metrics: &KataMetrics) -> Vec<Shown<'_>> {
        let shown = metrics.families.iter().map(|family| {
            let parts = family.by_sandbox().map(|(of, points)| (of, points.len()));
            (family.name.as_str(), family.kind, parts.collect())
        });
        shown.collect()
    }

    #[test]
    fn one_metric_of_several_shims_is_one_family() {
        let text = "# TYPE kata_b gauge\nkata_b{n=\"1\"} 1\nkata_b{n=\"2\"} 1\n# TYPE kata_a counter\nkata_a 1\n";
        let metrics = merged(&[("one", text), ("two", "# TYPE kata_b gauge\nkata_b 1\n")]);
        assert_eq!(metrics.sandboxes, ["one", "two"]);
        assert_eq!(
            shown(&metrics),
            [
                ("kata_a", Kind::Counter, vec![(0, 1)]),
                ("kata_b", Kind::Gauge, vec![(0, 2), (1, 1)]),
            ]
        );
        assert_eq!(metrics.left_out, 0);
    }

    #[test]
    fn a_shim_that_claims_another_kind_is_left_out_and_the_others_are_not() {
        let liar = "# TYPE kata_x counter\nkata_x{a=\"1\"} 1\nkata_x{a=\"2\"} 1\n# TYPE kata_y gauge\nkata_y 1\n";
        let honest = "# TYPE kata_x gauge\nkata_x 1\n";
        let metrics = merged(&[("a-liar", liar), ("b", honest), ("c", honest)]);
        assert_eq!(
            shown(&metrics),
            [
                ("kata_x", Kind::Gauge, vec![(1, 1), (2, 1)]),
                ("kata_y", Kind::Gauge, vec![(0, 1)]),
            ]
        );
        assert_eq!(metrics.left_out, 2);
    }

    #[test]
    fn no_two_families_have_samples_of_one_name() {
        let honest = "# TYPE kata_h histogram\nkata_h_sum 1\nkata_h_count 1\n# TYPE kata_n_total counter\nkata_n_total 1\n";
        let liar = "kata_h_count 7\nkata_h_bucket{a=\"1\"} 7\n# TYPE kata_n gauge\nkata_n 1\n";
        let metrics = merged(&[("a-liar", liar), ("b", honest), ("c", honest)]);
        let names: Vec<_> = shown(&metrics).iter().map(|of| of.0.to_owned()).collect();
        assert_eq!(names, ["kata_h", "kata_n_total"]);
        assert_eq!(metrics.left_out, 3);
    }

    #[test]
    fn all_together_have_a_bound_and_the_rest_is_counted() {
        let text = samples(4_096, "");
        let names: Vec<_> = (0..20).map(|n| format!("{n:02}")).collect();
        let texts: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), text.as_str()))
            .collect();
        let metrics = merged(&texts);
        let points: usize = shown(&metrics)[0].2.iter().map(|of| of.1).sum();
        assert_eq!(points, MAX_WEIGHT);
        assert_eq!(metrics.left_out, 4 * 4_096);
        // Long labels take more room.
        let long = "y".repeat(500);
        let text = samples(3_000, &long);
        let texts: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), text.as_str()))
            .collect();
        let metrics = merged(&texts);
        let points: usize = shown(&metrics)[0].2.iter().map(|of| of.1).sum();
        assert_eq!(points, 10 * 3_000);
    }
}
