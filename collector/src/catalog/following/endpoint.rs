//! One place where a runtime may be, as a collector that is there when the runtime is.
//!
//! In: a [`Connector`], and whom to hand the client to. Out: the offers of a runtime that answers. A place
//! at which nobody answers is tried less and less often, until something new is there.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::mpsc, time::Instant};

use super::{Tally, lookups::RosterLookups};
use crate::catalog::{
    Flavor, RuntimeMetadata,
    provider::{
        Unavailable,
        collectors::{Collectors, Offer, Ranked},
        discovery::Factory,
        retry::{Delays, Outlook, Retries},
    },
    runtimes::{Call, Connector, RuntimeClient},
};

/// One place where a runtime may be.
pub struct EndpointFactory {
    id: String,
    connector: Arc<dyn Connector>,
    tally: Arc<Tally>,
    /// Who follows it.
    follower: mpsc::Sender<Arc<dyn RuntimeClient>>,
    lookups: RosterLookups,
    patience: Mutex<Patience>,
}

impl std::fmt::Debug for EndpointFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointFactory")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// When the next try is.
#[derive(Debug)]
struct Patience {
    /// What was there when it was last tried.
    tried: Option<Identity>,
    retries: Retries,
    /// When it was last connected to.
    connected: Option<Instant>,
}

/// A socket, as long as it is the same.
type Identity = (u64, u64, i64);

/// One that is lost sooner than this is tried again as one that was never there: later and later.
const STABLE: Duration = Duration::from_secs(30);

/// How good an endpoint's runtime is at looking up containers: this host itself is better.
const PRIORITY: u8 = 10;

impl EndpointFactory {
    /// Of a connector; who follows the runtime is handed its client.
    #[must_use]
    pub fn new(
        connector: Arc<dyn Connector>,
        tally: Arc<Tally>,
        follower: mpsc::Sender<Arc<dyn RuntimeClient>>,
        lookups: RosterLookups,
    ) -> Self {
        Self {
            id: connector.endpoint().to_string(),
            connector,
            tally,
            follower,
            lookups,
            patience: Mutex::new(Patience {
                tried: None,
                retries: Retries::new(Delays::default()),
                connected: None,
            }),
        }
    }

    /// What is at the address; `None` for a URL, and where nothing is.
    fn identity(&self) -> Option<Identity> {
        let address = &self.connector.endpoint().address;
        let metadata = fs::metadata(address).ok()?;
        Some((metadata.dev(), metadata.ino(), metadata.ctime_nsec()))
    }

    /// Refuses a try that comes too early.
    fn be_patient(&self) -> Result<(), Unavailable> {
        let address = &self.connector.endpoint().address;
        let identity = self.identity();
        if address.starts_with('/') && identity.is_none() {
            return Err(Unavailable::not_yet(format!(
                "there is no socket {address}"
            )));
        }
        let mut patience = self.patience();
        if patience.tried != identity {
            patience.tried = identity;
            patience.retries = Retries::new(Delays::default());
            patience.connected = None;
        }
        // It is asked for again because it was lost.
        if let Some(connected) = patience.connected.take() {
            if connected.elapsed() >= STABLE {
                patience.retries.succeeded();
            } else {
                let why = Unavailable::not_yet("it answered, and was lost at once");
                patience.retries.failed(Instant::now(), &why);
            }
        }
        match patience.retries.outlook(Instant::now()) {
            Outlook::Due => Ok(()),
            Outlook::NotYet { reason, .. } => Err(Unavailable::NotYet { reason }),
            Outlook::Never { reason } => Err(self.not_with_this(Unavailable::Never { reason })),
        }
    }

    /// What a socket will never be, the next one at its place can.
    fn not_with_this(&self, why: Unavailable) -> Unavailable {
        match why {
            Unavailable::Never { reason } if self.connector.endpoint().address.starts_with('/') => {
                Unavailable::NotYet { reason }
            }
            why => why,
        }
    }

    fn patience(&self) -> std::sync::MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offers(&self, client: &Arc<dyn RuntimeClient>) -> Vec<Offer> {
        let runtime = client.runtime();
        let lookups = Arc::new(self.lookups.of(runtime));
        [Flavor::Default, Flavor::Kata]
            .into_iter()
            .map(|flavor| Offer {
                runtime: RuntimeMetadata { runtime, flavor },
                collectors: Collectors {
                    container_of_pid: Some(Ranked::new(
                        PRIORITY,
                        Arc::<RosterLookups>::clone(&lookups),
                    )),
                    container_of_pod_name: Some(Ranked::new(
                        PRIORITY,
                        Arc::<RosterLookups>::clone(&lookups),
                    )),
                    ..Arc::clone(client).collectors(PRIORITY)
                },
            })
            .collect()
    }
}

#[async_trait]
impl Factory for EndpointFactory {
    fn id(&self) -> &str {
        &self.id
    }

    async fn build(&self) -> Result<Vec<Offer>, Unavailable> {
        self.be_patient()?;
        self.tally.count(Call::Connect);
        let client = self.connector.connect().await.map_err(|failed| {
            self.patience().retries.failed(Instant::now(), &failed.why);
            self.tally.unavailable(&failed);
            self.not_with_this(failed.why)
        })?;
        let offers = self.offers(&client);
        // The follower takes one at a time, and asks for no other before it has lost that.
        self.follower
            .try_send(client)
            .map_err(|_full| Unavailable::not_yet("it is being followed still"))?;
        self.patience().connected = Some(Instant::now());
        Ok(offers)
    }
}
