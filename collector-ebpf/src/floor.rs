//! What does a program on `sched_switch` cost that does nothing?
//!
//! The floor of the cost ladder that `cargo xtask bench` prints. The daemon never loads it.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

#[btf_tracepoint(function = "sched_switch")]
pub fn sched_floor(_ctx: BtfTracePointContext) -> i32 {
    0
}
