//! The kernel programs on the running kernel, against what the kernel itself counts.

mod loss;
