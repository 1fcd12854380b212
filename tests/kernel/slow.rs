//! When a slow wait ended, and who had the CPU meanwhile, against a clock that the waiter reads itself.

use std::{
    path::Path,
    process::{Child, Output},
    time::{Duration, SystemTime},
};

use collector::{
    catalog::Recognizer,
    drain::{Batch, Event, Sink},
    reconcile::{
        Pipeline, PipelineSettings,
        slow::{SlowAbove, SlowSample, SlowThresholds},
        snapshot::ExemplarOf,
    },
    window::BatchOutcome,
};
use collector_tests::{
    cgroup::{TestCgroup, mounts},
    is_emulated, note,
    observe::{Observation, Settings},
};

/// A pipeline, and what it found slow.
struct Watcher {
    pipeline: Pipeline,
    slow: Vec<SlowSample>,
}

impl Sink for Watcher {
    fn batch(&mut self, batch: &Batch<'_>) -> BatchOutcome {
        self.pipeline.batch(batch)
    }

    fn event(&mut self, event: &Event<'_>) -> BatchOutcome {
        self.pipeline.event(event)
    }
}

impl Watcher {
    fn new(runqueue: SlowAbove) -> Self {
        let settings = PipelineSettings {
            mounts: &mounts(),
            recognizer: Recognizer::new(Path::new("/")),
            // Completions are filtered.
            operations: Vec::new(),
            max_cgroups: 10_000,
            retention: Duration::from_mins(5),
        };
        let mut pipeline = Pipeline::new(settings, SystemTime::now());
        pipeline.watch_slow(SlowThresholds {
            runqueue,
            block_io: SlowAbove::Off,
        });
        Self {
            pipeline,
            slow: Vec::new(),
        }
    }

    fn watch(self) -> Observation<Self> {
        Observation::of(Settings::default(), self, |watcher| {
            let mut slow = watcher.pipeline.take_slow();
            watcher.slow.append(&mut slow.samples);
        })
    }

    /// The slow samples of the row at a path.
    fn slow_of(&mut self, path: &str) -> Vec<SlowSample> {
        let scrape = self.pipeline.scrape();
        let mut rows = scrape.cgroups.iter().zip(&scrape.lives);
        let (_, life) = rows
            .find(|(row, _)| row.identity.path == path)
            .expect("it was seen");
        let owner = life.as_ref().expect("a row of its own").owner;
        let of_owner = self.slow.iter().filter(|slow| slow.owner == owner);
        of_owner.cloned().collect()
    }
}

/// Between which moments the waiter did not run, or slept.
fn gaps(waiter: Child) -> Vec<[Duration; 2]> {
    let Output { status, stdout, .. } = waiter.wait_with_output().expect("it ends");
    assert!(status.success(), "{status}");
    let text = String::from_utf8(stdout).expect("numbers");
    let moments = |line: &str| {
        let (from, to) = line.split_once(' ').expect("two numbers");
        [from, to].map(|ns| Duration::from_nanos(ns.parse().expect("a number")))
    };
    text.lines().map(moments).collect()
}

/// How much later than a slow sample's end the waiter read its clock next, µs, of each sample; and of how many
/// it did so too early or a millisecond late.
fn compare(slow: &[SlowSample], gaps: &[[Duration; 2]]) -> (Vec<i128>, usize) {
    let signed = |time: Duration| i128::try_from(time.as_nanos()).expect("less than centuries");
    let mut off = 0;
    let mut late: Vec<i128> = slow
        .iter()
        .map(|slow| {
            let ended = slow.ended.0;
            let nearest = gaps.iter().min_by_key(|[_, to]| to.abs_diff(ended));
            let [_, read] = nearest.expect("the waiter waited");
            let late = signed(*read) - signed(ended);
            // It read its clock after the wait, which may have ended earlier than told by as much as told.
            let is_early = late + signed(slow.within) < 0;
            off += usize::from(is_early || late.abs() > 1_000_000);
            late / 1_000
        })
        .collect();
    late.sort_unstable();
    (late, off)
}

#[test]
fn a_slow_wait_has_the_time_at_which_it_ended_and_whose_task_had_the_cpu() {
    let least = Duration::from_millis(2);
    let observation = Watcher::new(SlowAbove::Time(least)).watch();
    let [hog, waiter] = [TestCgroup::container(), TestCgroup::container()];
    hog.favor();
    waiter.favor();
    let start = |cgroup: &TestCgroup, work: &[&str]| {
        let workload = cgroup.workload_to_its_end(work).spawn();
        workload.expect("the workload starts")
    };
    let busy = start(&hog, &["busy", "0", "1", "3000"]);
    let gaps = gaps(start(&waiter, &["gaps", "0", "3000"]));
    assert!(busy.wait_with_output().expect("it ends").status.success());
    let mut watcher = observation.finish_sink();

    let (began, ended) = (gaps[0][0], gaps[gaps.len() - 1][1]);
    let mut slow = watcher.slow_of(&waiter.path);
    slow.retain(|slow| slow.ended.0.saturating_sub(slow.took) >= began && slow.ended.0 <= ended);
    // How many there are is up to the scheduler: some for each of its slices.
    assert!(
        slow.len() > 20,
        "{} slow waits, {} gaps",
        slow.len(),
        gaps.len()
    );
    for sample in &slow {
        assert!(
            sample.took > least && sample.throttled.is_zero(),
            "{sample:?}"
        );
        assert_eq!(sample.of, ExemplarOf::RunqueueLatency);
    }
    // Each gap that is long enough is a slow wait; a few are made of several waits, or stolen.
    let long = gaps
        .iter()
        .filter(|[from, to]| to.saturating_sub(*from) > least * 2);
    assert!(slow.len() * 10 > long.count() * 9, "{}", slow.len());

    let by_hog = slow.iter().filter(|slow| {
        let meanwhile = slow.meanwhile.as_ref();
        meanwhile.is_some_and(|of| of.who.path == hog.path && of.had * 2 > slow.took)
    });
    let by_hog = by_hog.count();
    // Kernel threads and the daemon's own come in between now and then.
    assert!(by_hog * 10 > slow.len() * 8, "{by_hog} of {}", slow.len());

    let (late, off) = compare(&slow, &gaps);
    let within = slow.iter().map(|slow| slow.within).max();
    note(&format!(
        "of {} slow waits the waiter's clock is {} us later in the median, {} to {} us; the hog had the CPU in \
         {by_hog}; at most within {within:?}; {off} are off",
        slow.len(),
        late[late.len() / 2],
        late[0],
        late[late.len() - 1],
    ));
    if !is_emulated() {
        assert!(late[late.len() / 2].abs() < 200, "{late:?}");
        assert!(off * 20 <= slow.len(), "{off} of {}: {late:?}", slow.len());
    }
}

#[test]
fn a_wait_after_a_wakeup_has_the_time_at_which_it_ended_on_an_idle_cpu_too() {
    let observation = Watcher::new(SlowAbove::Time(Duration::ZERO)).watch();
    let waiter = TestCgroup::container();
    waiter.favor();
    let sleeper = waiter.workload_to_its_end(&["gaps", "1", "3000", "--sleep", "20"]);
    let gaps = gaps({ sleeper }.spawn().expect("the workload starts"));
    let mut watcher = observation.finish_sink();

    let (began, ended) = (gaps[0][0], gaps[gaps.len() - 1][1]);
    let mut slow = watcher.slow_of(&waiter.path);
    slow.retain(|slow| slow.ended.0 > began && slow.ended.0 <= ended);
    assert!(slow.len() > 20, "{} of {}", slow.len(), gaps.len());
    let idle = slow.iter().filter(|slow| slow.meanwhile.is_none()).count();
    let (late, off) = compare(&slow, &gaps);
    let within = slow.iter().map(|slow| slow.within).max();
    note(&format!(
        "of {} waits, {idle} of which ended an idle time, the waiter's clock is {} us later in the median, {} to {} \
         us; at most within {within:?}; {off} are off",
        slow.len(),
        late[late.len() / 2],
        late[0],
        late[late.len() - 1],
    ));
    if !is_emulated() {
        assert!(late[late.len() / 2].abs() < 200, "{late:?}");
        assert!(off * 10 <= slow.len(), "{off} of {}: {late:?}", slow.len());
    }
}
