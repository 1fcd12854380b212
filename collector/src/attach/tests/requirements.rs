//! The table is whole: what it names is asked of the kernel, and known to the programs.

use std::collections::BTreeSet;

use collector_common::signal::Signal;

use crate::{
    attach::requirements::{
        self, Hook, Need, Part, REQUIREMENTS, TASK_CGROUP, TASK_CGROUP_V1, TASK_CGROUP_V2, Way,
    },
    host::{
        layout::Field,
        support::{FUNCTIONS, TRACEPOINTS},
    },
};

fn parts() -> impl Iterator<Item = &'static Part> {
    REQUIREMENTS.iter().flat_map(|of| of.parts)
}

fn ways() -> impl Iterator<Item = &'static Way> {
    parts().flat_map(|part| part.ways)
}

#[test]
fn every_signal_has_its_row_and_every_part_a_way() {
    for signal in Signal::ALL {
        assert_eq!(requirements::of(signal).signal, signal);
    }
    assert!(parts().all(|part| !part.ways.is_empty()));
}

#[test]
fn every_field_and_hook_is_one_that_the_kernel_is_asked_about() {
    let needs = REQUIREMENTS.iter().flat_map(|of| of.needs);
    let mut symbols: Vec<&str> = [&TASK_CGROUP[..], &TASK_CGROUP_V1, &TASK_CGROUP_V2].concat();
    symbols.extend(
        needs
            .chain(ways().flat_map(|way| way.needs))
            .filter_map(|need| match need {
                Need::Field(symbol) => Some(*symbol),
                Need::TaskCgroup | Need::BlockOperations => None,
            }),
    );
    for symbol in symbols {
        assert!(Field::of(symbol).is_some(), "{symbol}");
    }
    let programs: Vec<_> = ways().filter_map(|way| way.program).collect();
    let hooks: BTreeSet<&str> = programs
        .iter()
        .map(|program| match program.hook {
            Hook::Tracepoint(name) | Hook::FunctionEntry(name) => name,
        })
        .collect();
    assert_eq!(hooks, TRACEPOINTS.into_iter().chain(FUNCTIONS).collect());
}

#[test]
fn a_newer_way_goes_before_an_older_one() {
    for part in parts() {
        let releases: Vec<_> = part
            .ways
            .iter()
            .map(|way| way.since.map(requirements::release))
            .collect();
        assert!(releases.is_sorted_by(|a, b| a >= b), "{}", part.gives);
    }
}

#[test]
fn a_field_is_looked_for_in_its_newest_place_first() {
    for field in &crate::host::layout::FIELDS {
        let releases: Vec<_> = field
            .places
            .iter()
            .map(|place| place.since.map(requirements::release))
            .collect();
        assert!(releases.is_sorted_by(|a, b| a >= b), "{}", field.symbol);
    }
}
