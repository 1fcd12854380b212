//! How the kernel enters a program on a tracepoint, and what its arguments are there.
//!
//! Each of these programs has two entries with one body. The typed one (`tp_btf`) is for kernels with
//! type information of their own: the verifier tracks the arguments as pointers into kernel types. The raw
//! one (`raw_tp`) is for kernels without: the same arguments in the same order, but numbers to the
//! verifier. The daemon loads one of the two. Which of them the body is in is a constant where it is
//! inlined, so neither entry carries anything of the other's.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    programs::{BtfTracePointContext, RawTracePointContext},
};

use crate::kernel_types::{Access, KernelPointer};

/// Puts a body on a tracepoint, with both entries:
/// `on_tracepoint!("name", typed_entry, raw_entry, body)`, where the raw entry is called like the typed
/// one and `_raw`.
macro_rules! on_tracepoint {
    ($(#[$doc:meta])* $tracepoint:tt, $typed:ident, $raw:ident, $body:expr) => {
        $(#[$doc])*
        #[aya_ebpf::macros::btf_tracepoint(function = $tracepoint)]
        pub fn $typed(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body(&$crate::entry::Arguments::typed(&ctx))
        }

        $(#[$doc])*
        #[aya_ebpf::macros::raw_tracepoint(tracepoint = $tracepoint)]
        pub fn $raw(ctx: aya_ebpf::programs::RawTracePointContext) -> i32 {
            $body(&$crate::entry::Arguments::raw(&ctx))
        }
    };
}

pub(crate) use on_tracepoint;

/// What a tracepoint passes.
#[derive(Clone, Copy)]
pub struct Arguments {
    /// As the kernel lays them out for both entries: one `u64` for each.
    first: *const u64,
    access: Access,
}

impl Arguments {
    /// Of a typed entry.
    #[inline(always)]
    pub fn typed(ctx: &BtfTracePointContext) -> Self {
        Self {
            first: ctx.as_ptr().cast(),
            access: Access::Tracked,
        }
    }

    /// Of a raw entry.
    #[inline(always)]
    pub fn raw(ctx: &RawTracePointContext) -> Self {
        Self {
            first: ctx.as_ptr().cast(),
            access: Access::Probed,
        }
    }

    /// The `index`th argument, a number of at most 32 bits.
    #[inline(always)]
    pub fn number(&self, index: usize) -> u32 {
        self.register(index) as u32
    }

    /// The `index`th argument, a pointer to a kernel object.
    #[inline(always)]
    pub fn pointer(&self, index: usize) -> KernelPointer {
        KernelPointer::new(self.register(index) as *const c_void, self.access)
    }

    /// The `index`th argument, a pointer to text, for a helper that checks it itself.
    #[inline(always)]
    pub fn text(&self, index: usize) -> *const c_void {
        self.register(index) as *const c_void
    }

    #[inline(always)]
    fn register(&self, index: usize) -> u64 {
        // SAFETY: the context has one `u64` for each argument, and the verifier checks that the
        // tracepoint has this one.
        unsafe { *self.first.wrapping_add(index) }
    }
}
