//! Containers that have ended.

use super::*;

#[test]
fn a_container_that_ended_before_it_was_compared_is_compared_with_its_last_figures() {
    let mut comparer = Comparer::new(2);
    let mut events = all(4);
    events.cpu_ns /= 2;
    events.bytes /= 2;
    events.operations /= 2;
    events.kills = 3;
    let ratios = comparer.end(&[(events, all(4)), (all(4), all(4))], SETTLED);
    for quantity in [
        DriftQuantity::CpuTime,
        DriftQuantity::Bytes,
        DriftQuantity::Operations,
    ] {
        near(ratio(&ratios, quantity), (0.5, 0.25));
    }
    near(ratio(&ratios, DriftQuantity::OomKills), (0.25, 0.125));
}

#[test]
fn of_a_container_that_was_compared_its_last_figures_are_what_came_since() {
    let mut comparer = Comparer::new(1);
    let mut broken = all(1);
    broken.cpu_ns /= 2;
    comparer.pass(&[(broken, all(1))]);
    let mut events = broken;
    events.cpu_ns += 4_000 * MS;
    let ratios = comparer.end(&[(events, all(2))], SETTLED);
    // What was found while it was there, 2 s of 4 s, is told beside it: now they are 8 s.
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.25));
}

#[test]
fn short_lives_are_added_up_until_they_are_enough() {
    let mut comparer = Comparer::new(19);
    // By chance one has a little more, and one a little less; but all lack a tenth.
    let sides: Vec<_> = (0..19)
        .map(|number| (cpu(if number % 2 == 0 { 80 } else { 100 }), cpu(100)))
        .collect();
    assert_eq!(
        ratio(&comparer.end(&sides, SETTLED), DriftQuantity::CpuTime),
        None
    );
    let ratios = comparer.end(&[(cpu(100), cpu(100))], SETTLED);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.1, 0.1));
    for _ in 0..5 {
        let ratios = comparer.pass(&[]);
        near(ratio(&ratios, DriftQuantity::CpuTime), (0.1, 0.1));
    }
    assert_eq!(ratio(&comparer.pass(&[]), DriftQuantity::CpuTime), None);
}

#[test]
fn a_reading_right_after_the_end_may_lack_a_tick_and_no_more() {
    let mut comparer = Comparer::new(1);
    let ended = [(cpu(2_500), cpu(2_480))];
    let just_after = Ktime(ENDED.0 + Duration::from_micros(50));
    let ratios = comparer.end(&ended, just_after);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.004, 0.004));
    let mut comparer = Comparer::new(1);
    let ratios = comparer.end(&ended, Ktime(ENDED.0 + LAST_SLICE));
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.008, 0.008));
    // Events that lack something are not explained by it.
    let mut comparer = Comparer::new(1);
    let ratios = comparer.end(&[(cpu(2_450), cpu(2_500))], just_after);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.02, 0.02));
}

#[test]
fn what_is_written_back_after_the_end_is_no_drift_but_what_events_lack_is() {
    let mut comparer = Comparer::new(1);
    let ratios = comparer.end(&[(all(2), all(1))], SETTLED);
    near(ratio(&ratios, DriftQuantity::Bytes), (0.0, 0.0));
    near(ratio(&ratios, DriftQuantity::Operations), (0.0, 0.0));
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    let mut comparer = Comparer::new(1);
    let ratios = comparer.end(&[(all(1), all(2))], SETTLED);
    near(ratio(&ratios, DriftQuantity::Bytes), (0.5, 0.5));
}

#[test]
fn what_was_read_before_the_end_is_not_compared_with_what_came_until_then() {
    let mut comparer = Comparer::new(1);
    let before = Ktime(Duration::from_millis(49_999));
    assert_eq!(comparer.end(&[(all(2), all(1))], before), []);
}
