//! To come.

pub mod rotation;
