//! What the tests share.

pub mod observe;

pub mod switching;
