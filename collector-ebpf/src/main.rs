//! cgscope's kernel programs.
//!
//! One file per question, each stateless (but for what [`throttle`] must remember): it reads the time
//! stamps that the kernel keeps already, makes a sample or an event of them, and hands it over. [`kernel_types`] is the only reader of
//! kernel structs, [`batch`] and [`emit`] the only writers of the rings.
#![no_std]
#![no_main]

mod entry;
mod kernel_types;

mod batch;
mod emit;

mod clock;

mod block_io;
mod cgroup_life;
mod oom;
mod sched;
mod throttle;

mod type_check;

mod floor;

/// The kernel's verifier rejects a program that can panic, so this is never reached: it exists
/// because `core` asks for it.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the kernel checks before it lets a program call a GPL-only helper.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
