//! What tracing our own work costs: nothing when off, hardly anything in a resync. The figures are in the bench
//! `trace`.
#![expect(unsafe_code, reason = "an allocator is unsafe by its interface")]

#[path = "../benches/trace/resync.rs"]
mod resync;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use collector::{
    catalog::ContainerRef,
    daemon::work_tracer::work_tracer,
    export::otlp::{Bounds, Outbox, Outboxes, WhenFull},
    trace::own::{Action, Beginning, LoopTracer, Object, ObjectName, Steps, names::span},
};

/// The system's allocator, and how often this thread asked it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's; a thread-local number of plain data is added to.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

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
