//! What it costs to trace our own work: to process one container of an event, and a resync of 500.

mod resync;

use std::{hint::black_box, sync::Arc};

use collector::{
    daemon::work_tracer::work_tracer,
    export::otlp::{Bounds, Outbox, Outboxes, OwnResource, WhenFull},
    trace::own::{Action, Beginning, LoopTracer, Object, ObjectName, names::span},
};
use criterion::{Criterion, criterion_group, criterion_main};

fn tracer(ratio: f64) -> LoopTracer {
    // What finds no room is counted and dropped: a collector that is not there, the worst there is.
    let outbox = Arc::new(Outbox::new(Bounds {
        items: 2_048,
        bytes: 4 << 20,
        when_full: WhenFull::DropNew,
    }));
    let otlp = Outboxes {
        own: Arc::new(OwnResource {
            attributes: vec![("service.name".to_owned(), "cgscope".to_owned())],
        }),
        metrics: None,
        traces: Some(outbox),
    };
    work_tracer(ratio, &otlp).of_loop(|| "docker=/run/docker.sock".to_owned(), Vec::new)
}

/// All that tracing adds to one container: a root, what is done, and two parts of it.
fn one_object(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trace/object");
    let object = Object {
        id: "4f1e".repeat(16),
        name: ObjectName {
            namespace: String::new(),
            name: "web-1".to_owned(),
        },
    };
    let sides = [
        ("off", LoopTracer::default()),
        ("1%", tracer(0.01)),
        ("100%", tracer(1.0)),
    ];
    for (name, tracer) in sides {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let beginning = Beginning::now("event");
                let processing = black_box(&tracer).begin(beginning, || object.clone());
                let step = processing.step(Action::AddUpdate);
                drop(step.call(span::INSPECT));
                drop(step.child(span::TELL_PIPELINE));
                drop(step);
                processing.succeed();
            });
        });
    }
    group.finish();
}

/// Both sides in turn, which criterion does not do.
#[expect(clippy::print_stdout, reason = "a figure is what a bench is for")]
fn whole_resync(_: &mut Criterion) {
    for ratio in [0.01, 1.0] {
        let costs = resync::compare(ratio, 10, 20);
        println!(
            "trace/resync of 500 containers: {:?} without, {:?} with {ratio} sampled ({} spans): {:.4}",
            costs.off,
            costs.on,
            costs.spans,
            costs.ratio()
        );
    }
}

criterion_group!(benches, one_object, whole_resync);
criterion_main!(benches);
