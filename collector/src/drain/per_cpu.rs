//! Something of each CPU.

/// Something of each CPU that a batch has come from.
#[derive(Clone, Debug)]
pub struct PerCpu<T>(Vec<T>);

/// More CPUs than the kernel can be built for: a number that is no CPU's takes no memory.
const MAX_CPUS: usize = 1 << 13;

impl<T> Default for PerCpu<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<T> for PerCpu<T> {
    fn from_iter<I: IntoIterator<Item = T>>(of: I) -> Self {
        Self(of.into_iter().take(MAX_CPUS).collect())
    }
}

impl<T: Default> PerCpu<T> {
    /// That of a CPU, if there is one.
    #[must_use]
    pub fn get(&self, cpu: u32) -> Option<&T> {
        self.0.get(cpu as usize)
    }

    /// That of a CPU, made if it has none; `None` where that is no number of a CPU.
    pub fn of(&mut self, cpu: u32) -> Option<&mut T> {
        let cpu = cpu as usize;
        if cpu >= MAX_CPUS {
            return None;
        }
        if cpu >= self.0.len() {
            self.0.resize_with(cpu + 1, T::default);
        }
        self.0.get_mut(cpu)
    }
}
