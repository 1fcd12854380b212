//! Which collectors there are, and for each runtime and capability the best of them.
//!
//! The best changes as collectors come and go: who asks looks it up each time, and does not keep it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::collectors::{Collectors, Offer, Ranked};
use crate::catalog::RuntimeMetadata;

/// The collectors that there are.
#[derive(Debug)]
pub struct Registry {
    /// What each offers, by its id, in the order in which they came.
    offers: Mutex<Vec<(String, Vec<Offer>)>>,
    effective: watch::Sender<Arc<Effective>>,
}

/// The best collectors by runtime and capability.
#[derive(Debug, Default, PartialEq)]
pub struct Effective {
    by_runtime: BTreeMap<RuntimeMetadata, Collectors>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            offers: Mutex::default(),
            effective: watch::Sender::new(Arc::default()),
        }
    }
}

impl Registry {
    /// Adds a collector, or changes what it offers. It takes the place of another in what it is better at;
    /// of one that is as good it does not.
    pub fn add(&self, id: &str, offers: Vec<Offer>) {
        self.change(|known| match known.iter_mut().find(|(of, _)| of == id) {
            Some((_, before)) => *before = offers,
            None => known.push((id.to_owned(), offers)),
        });
    }

    /// Takes a collector away. Whether it was there.
    pub fn withdraw(&self, id: &str) -> bool {
        let mut was_there = false;
        self.change(|known| {
            let before = known.len();
            known.retain(|(of, _)| of != id);
            was_there = known.len() < before;
        });
        was_there
    }

    /// The best collectors now.
    #[must_use]
    pub fn effective(&self) -> Arc<Effective> {
        Arc::clone(&self.effective.borrow())
    }

    /// Tells when the best collectors change, and not when one comes or goes that is not among them.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Effective>> {
        self.effective.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(String, Vec<Offer>)>)) {
        // Held until watchers are told: changes are told in their order.
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut offers);
        let best = Effective::of(&offers);
        self.effective.send_if_modified(|effective| {
            let is_new = **effective != best;
            if is_new {
                *effective = Arc::new(best);
            }
            is_new
        });
    }
}

impl Effective {
    /// The best of these, of equals the first.
    fn of(offers: &[(String, Vec<Offer>)]) -> Self {
        let mut by_runtime: BTreeMap<_, Collectors> = BTreeMap::new();
        let offers = offers.iter().flat_map(|(_, offers)| offers);
        for offer in offers.filter(|offer| !offer.collectors.is_empty()) {
            let best = by_runtime.entry(offer.runtime).or_default();
            best.take_better(&offer.collectors);
        }
        Self { by_runtime }
    }

    /// The runtimes of which something can be told, and who is to be asked.
    pub fn iter(&self) -> impl Iterator<Item = (RuntimeMetadata, &Collectors)> {
        self.by_runtime
            .iter()
            .map(|(runtime, best)| (*runtime, best))
    }

    /// Who is to be asked about the containers of a runtime.
    #[must_use]
    pub fn of_runtime(&self, runtime: RuntimeMetadata) -> Option<&Collectors> {
        self.by_runtime.get(&runtime)
    }

    /// The best collectors of all runtimes for one capability, each once, in the order of their
    /// priorities; of equals in the order of the runtimes.
    pub fn in_order<'a, T: ?Sized + 'a>(
        &'a self,
        pick: impl Fn(&'a Collectors) -> Option<&'a Ranked<T>>,
    ) -> Vec<Arc<T>> {
        let mut ranked: Vec<&Ranked<T>> = self.by_runtime.values().filter_map(pick).collect();
        ranked.sort_by_key(|ranked| ranked.priority);
        let mut seen = BTreeSet::new();
        ranked.retain(|ranked| seen.insert(Arc::as_ptr(&ranked.collector).cast::<()>()));
        ranked
            .into_iter()
            .map(|ranked| Arc::clone(&ranked.collector))
            .collect()
    }
}
