//! What tracing our own work costs: nothing when off, hardly anything in a resync. The figures are in the bench
//! `trace`.
#![expect(unsafe_code, reason = "an allocator is unsafe by its interface")]

mod counting;
#[path = "../benches/trace/resync.rs"]
mod resync;

use std::sync::Arc;

use counting::ALLOCATIONS;

use collector::{
    catalog::ContainerRef,
    daemon::work_tracer::work_tracer,
    export::otlp::{Bounds, Outbox, Outboxes, WhenFull},
    trace::own::{Action, Beginning, LoopTracer, Object, ObjectName, Steps, names::span},
};

/// What is allocated for one object, all steps of it.
fn allocations(tracer: &LoopTracer) -> u64 {
    let object = || Object {
        id: "4f1e".to_owned(),
        name: ObjectName {
            namespace: String::new(),
            name: "web".to_owned(),
        },
    };
    let before = ALLOCATIONS.get();
    let processing = tracer.begin(Beginning::now("event"), object);
    let step = processing.step(Action::AddUpdate);
    drop(step.call(span::INSPECT));
    drop(Steps::<ContainerRef>::one(&step).children(span::TELL_PIPELINE));
    drop(step);
    processing.succeed();
    ALLOCATIONS.get() - before
}

#[test]
fn what_is_off_or_not_sampled_allocates_nothing() {
    let tracer = |ratio| {
        let outbox = Arc::new(Outbox::new(Bounds {
            items: 100,
            bytes: 1 << 20,
            when_full: WhenFull::DropNew,
        }));
        let otlp = Outboxes {
            traces: Some(outbox),
            ..Outboxes::default()
        };
        work_tracer(ratio, &otlp).of_loop(|| "test".to_owned(), Vec::new)
    };
    assert_eq!(allocations(&LoopTracer::default()), 0);
    let never = tracer(0.0);
    // The first has its thread's source of random numbers made.
    allocations(&never);
    assert_eq!(allocations(&never), 0);
    assert!(allocations(&tracer(1.0)) > 0, "they are counted");
}

#[test]
fn a_resync_of_500_containers_costs_hardly_more_with_one_in_a_hundred_traced() {
    // A build without optimization on a busy machine: three tries, and five times what is promised.
    let found = (0..3).any(|_| {
        let costs = resync::compare(0.01, 3, 5);
        println!("{costs:?}: {:.4}", costs.ratio());
        assert!(costs.spans > 0, "nothing was traced");
        costs.ratio() <= 1.25
    });
    assert!(found, "tracing costs more than a quarter of a resync");
}
