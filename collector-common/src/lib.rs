//! The records that cross cgscope's kernel border, bit for bit.
//!
//! Both sides use these types as they stand: the kernel programs fill them in place, the daemon
//! reads them from ring-buffer bytes. There is no logic here, only layout: fixed-width integers,
//! explicit padding, no `bool`, `enum` or `usize` in the bytes. `zerocopy`'s derives reject implicit
//! padding, and a size assertion follows each record, so a change of layout is a compile error.
//!
//! Two clocks appear, and every field says which it uses:
//! * **ktime**: `CLOCK_MONOTONIC`, what `bpf_ktime_get_ns` returns;
//! * **rq clock**: the run queue's own clock (`rq->clock`), per CPU, comparable only with itself.
#![no_std]

pub mod signal;

pub mod sample;

pub mod event;

pub mod cpu;

pub mod type_check;
