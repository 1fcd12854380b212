//! Reading the shims of this host, again and again.
//!
//! In: the host's sockets of shims. Out: what they last told, together. A shim that fails keeps what it told
//! before for a few rounds, costs nobody else's answer, and is asked last in the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use super::{
    merged::{KataMetrics, MAX_WEIGHT, SandboxMetrics},
    points::points,
    shim::{Shim, shims},
};
use crate::{catalog::runtimes::CallError, error_chain};

/// What was read of all shims.
#[derive(Debug, Default)]
pub struct ShimReadings {
    sandboxes: BTreeMap<String, Kept>,
    round: u64,
    errors: [u64; CallError::NAMES.len()],
}

/// What is known of one shim.
#[derive(Debug, Default)]
struct Kept {
    last: Option<SandboxMetrics>,
    /// How much of the room for all it takes.
    weight: usize,
    /// The round in which it told that.
    answered: u64,
    /// The round in which it was asked last.
    asked: u64,
}

/// What became of reading the shims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KataReadings {
    /// What they told.
    pub metrics: Arc<KataMetrics>,
    /// Shims that answered in the last round.
    pub answered: usize,
    /// Calls that failed, in the order of [`CallError::NAMES`].
    pub errors: [u64; CallError::NAMES.len()],
}

/// The most shims that are asked at a time.
const AT_ONCE: usize = 8;

/// How many rounds an answer is kept of a shim that does not answer any more.
const KEPT_ROUNDS: u64 = 3;

impl ShimReadings {
    /// Asks all shims once; those last that did not answer the last time. None is asked after `time`: it
    /// is among the first of the next round.
    pub async fn read(&mut self, host_root: &Path, time: Duration) {
        let mut shims = shims(host_root);
        let there: BTreeSet<_> = shims.iter().map(|shim| shim.sandbox.clone()).collect();
        self.sandboxes.retain(|sandbox, _| there.contains(sandbox));
        shims.sort_by_key(|shim| {
            let kept = self.sandboxes.get(&shim.sandbox);
            kept.map(|kept| (kept.answered < kept.asked, kept.asked))
        });
        self.round += 1;
        let end = Instant::now() + time;
        let mut waiting = shims.into_iter();
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && Instant::now() < end
                && let Some(shim) = waiting.next()
            {
                let kept = self.sandboxes.entry(shim.sandbox.clone()).or_default();
                kept.asked = self.round;
                asked.spawn(ask(shim));
            }
            // Each has a time of its own in which it ends.
            match asked.join_next().await {
                Some(Ok((sandbox, answer))) => self.take(sandbox, answer),
                Some(Err(_ended)) => {}
                None => break,
            }
        }
        for kept in self.sandboxes.values_mut() {
            if self.round - kept.answered > KEPT_ROUNDS {
                kept.last = None;
                kept.weight = 0;
            }
        }
    }

    fn take(&mut self, sandbox: String, answer: Result<SandboxMetrics, CallError>) {
        match answer {
            Ok(metrics) => {
                let others = self.sandboxes.iter().filter(|(of, _)| **of != sandbox);
                let taken: usize = others.map(|(_, kept)| kept.weight).sum();
                let (metrics, weight) = metrics.within(MAX_WEIGHT.saturating_sub(taken));
                let kept = self.sandboxes.entry(sandbox).or_default();
                kept.weight = weight;
                kept.last = Some(metrics);
                kept.answered = self.round;
            }
            Err(error) => {
                let names = CallError::NAMES.iter();
                for (count, name) in self.errors.iter_mut().zip(names) {
                    *count += u64::from(*name == error.name());
                }
                tracing::debug!("no metrics of a sandbox of Kata: {}", error_chain(&error));
            }
        }
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> KataReadings {
        let told = self.sandboxes.iter().filter_map(|(sandbox, kept)| {
            let metrics = kept.last.clone()?;
            Some((sandbox.clone(), metrics))
        });
        let answered = |kept: &&Kept| kept.answered == self.round && self.round > 0;
        KataReadings {
            metrics: Arc::new(KataMetrics::of(&told.collect())),
            answered: self.sandboxes.values().filter(answered).count(),
            errors: self.errors,
        }
    }
}

async fn ask(shim: Shim) -> (String, Result<SandboxMetrics, CallError>) {
    let answer = shim.metrics().await.map(|metrics| {
        let (families, left_out) = points(metrics);
        SandboxMetrics {
            families: families.into(),
            left_out,
        }
    });
    (shim.sandbox, answer)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
        task::JoinHandle,
    };

    use super::{
        super::{points::PointFamily, shim::short_address},
        *,
    };

    /// A shim that answers every request with a text; without one it takes requests and says nothing.
    pub(crate) struct FakeShim(JoinHandle<()>);

    impl FakeShim {
        /// Of a sandbox of the host whose `/` is there.
        pub(crate) fn start(host_root: &Path, sandbox: &str, text: Option<&str>) -> Self {
            let directory = host_root.join("run/vc/sbs").join(sandbox);
            fs::create_dir_all(&directory).unwrap();
            let opened = fs::File::open(&directory).unwrap();
            let listener = UnixListener::bind(short_address(&opened)).unwrap();
            let text = text.map(str::to_owned);
            Self(tokio::spawn(async move {
                let mut open = Vec::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut request = [0; 1024];
                    let length = stream.read(&mut request).await.unwrap_or_default();
                    assert!(request[..length].starts_with(b"GET /metrics HTTP/1.1\r\n"));
                    if let Some(text) = &text {
                        let head =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                        drop(
                            stream
                                .write_all(&[head.as_bytes(), text.as_bytes()].concat())
                                .await,
                        );
                    }
                    open.push(stream);
                }
            }))
        }

        /// Ends it; its socket stays, as that of a shim that was killed.
        pub(crate) fn stop(self) {
            self.0.abort();
        }
    }

    const TIME: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_shim_that_fails_keeps_its_last_answer_for_a_while_and_one_that_is_gone_does_not() {
        let host = tempfile::tempdir().unwrap();
        let mut readings = ShimReadings::default();
        readings.read(host.path(), TIME).await;
        assert_eq!(readings.known(), KataReadings::default());

        let one = FakeShim::start(host.path(), "one", Some("kata_x 1\n"));
        let two = FakeShim::start(host.path(), "two", Some("kata_x 2\n"));
        readings.read(host.path(), TIME).await;
        let known = readings.known();
        assert_eq!(known.metrics.sandboxes, ["one", "two"]);
        assert_eq!((known.answered, known.errors), (2, [0; 6]));

        one.stop();
        two.stop();
        fs::remove_dir_all(host.path().join("run/vc/sbs/two")).unwrap();
        for round in 1..=KEPT_ROUNDS {
            readings.read(host.path(), TIME).await;
            let known = readings.known();
            assert_eq!(known.metrics.sandboxes, ["one"], "in round {round}");
            assert_eq!((known.answered, known.errors[0]), (0, round));
        }
        readings.read(host.path(), TIME).await;
        assert_eq!(readings.known().metrics.sandboxes, [""; 0]);
    }

    #[tokio::test]
    async fn no_more_is_kept_of_all_shims_than_there_is_room_for() {
        let host = tempfile::tempdir().unwrap();
        let lines = (0..4_096).map(|number| format!("kata_x{{n=\"{number}\"}} 1\n"));
        let text = lines.collect::<Vec<_>>().concat();
        let names = (0..18).map(|number| format!("{number:02}"));
        let shims = names.map(|name| FakeShim::start(host.path(), &name, Some(&text)));
        let _shims: Vec<_> = shims.collect();
        let mut readings = ShimReadings::default();
        for _ in 0..2 {
            readings.read(host.path(), TIME).await;
            let kept = readings
                .sandboxes
                .values()
                .filter_map(|kept| kept.last.as_ref());
            let weight =
                |of: &SandboxMetrics| of.families.iter().map(PointFamily::weight).sum::<usize>();
            assert_eq!(kept.map(weight).sum::<usize>(), MAX_WEIGHT);
            let known = readings.known();
            assert_eq!((known.answered, known.metrics.left_out), (18, 2 * 4_096));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shims_that_hang_do_not_keep_the_others_from_being_read_each_round() {
        let host = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3 * AT_ONCE)
            .map(|number| format!("a{number}"))
            .collect();
        let hanging = names
            .iter()
            .map(|name| FakeShim::start(host.path(), name, None));
        let _hanging: Vec<_> = hanging.collect();
        let _well = FakeShim::start(host.path(), "well", Some("kata_x 1\n"));
        let mut readings = ShimReadings::default();
        let short = Duration::from_secs(1);
        // At first nobody knows which they are: each round asks some of them.
        for _ in 0..5 {
            readings.read(host.path(), short).await;
        }
        for _ in 0..5 {
            let start = Instant::now();
            readings.read(host.path(), short).await;
            assert!(start.elapsed() < Duration::from_secs(4));
            assert_eq!(readings.known().answered, 1);
        }
    }
}
