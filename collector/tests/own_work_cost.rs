//! What a resync costs with tracing: a rough bound here, the figure in the bench `trace`.

#[path = "../benches/trace/resync.rs"]
mod resync;

#[test]
#[expect(clippy::print_stdout, reason = "the figure that was found")]
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
