//! Stub.
use super::LossReason;
/// Stub.
#[derive(Clone, Debug, Default)]
pub struct BatchOutcome { /// r
 pub recorded: u64, /// f
 pub filtered: u64, lost: [u64; 6] }
impl BatchOutcome {
    /// All recorded.
    #[must_use]
    pub fn all_recorded(events: u64) -> Self { Self { recorded: events, ..Self::default() } }
    /// add
    pub fn add(&mut self, other: &Self) { self.recorded += other.recorded; self.filtered += other.filtered; for (a,b) in self.lost.iter_mut().zip(other.lost) { *a += b; } }
    /// lose
    pub fn lose(&mut self, reason: LossReason, n: u64) { self.lost[LossReason::ALL.iter().position(|r| *r==reason).unwrap()] += n; }
    /// lost
    pub fn lost(&self, reason: LossReason) -> u64 { self.lost[LossReason::ALL.iter().position(|r| *r==reason).unwrap()] }
}
