//! The forms that cgroup files have, from bytes to values.
//!
//! In: the bytes of one file. Out: its values, or why a piece of it is none. Never here: which file
//! it is, a system call, an allocation, or a panic, whatever the bytes are.

mod device_table;
mod id_list;
mod keyed;
mod number;
mod pressure;

pub use device_table::{DeviceNumber, DeviceRow, device_rows};
pub use id_list::{IdRange, id_ranges};
pub use keyed::{Entry, Malformed, flat_keyed, nested_keyed};
pub use number::{Limit, Reason, parse_i64, parse_limit, parse_u64};
pub use pressure::{Pressure, PressureLine, PressureShare, Stall, pressure_shares};
