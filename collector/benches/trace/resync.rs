//! What a resync of many containers costs, traced and not: from the bytes of a runtime's answer to the names of
//! the cgroups.
//!
//! Docker's client asks a server of this process, whose threads do not count: the time is that of the one thread
//! that follows runtimes. Both sides take turns.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use collector::{
    catalog::{
        ContainerRef, Informant, LabelSelection, Names, News, Recognizer, RuntimeContainer,
        following::{Audience, RetryPolicy, Session, SessionTimes, Tally, Unnamed},
        runtimes::{Connector as _, Endpoint, Protocol, docker::DockerConnector},
    },
    daemon::{state::State, work_tracer::work_tracer},
    export::otlp::{Bounds, Outbox, Outboxes, OwnResource, WhenFull},
    host::{
        CgroupId, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroup_walk::Walk,
        cgroupfs::{CgroupVersion, Wanted},
        clock::Ktime,
    },
    reconcile::{
        Pipeline, PipelineSettings,
        readings::{ReadingSettings, Readings, StandInVersions},
    },
    trace::own::{LoopTracer, Steps, WorkTracer},
    window::{Backend, BackendSettings},
};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::{Notify, mpsc};

/// As many containers as a busy host has.
const CONTAINERS: usize = 500;

const VERSION: &str =
    r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux"}"#;

/// What one resync took of the thread, in the middle of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Without tracing.
    pub(crate) off: Duration,
    /// With it.
    pub(crate) on: Duration,
    /// Spans that were made.
    pub(crate) spans: u64,
}

impl Costs {
    /// What tracing makes of it.
    pub(crate) fn ratio(&self) -> f64 {
        self.on.as_secs_f64() / self.off.as_secs_f64()
    }
}

/// Measures: `rounds` of each side, in turn, of `lists` each.
pub(crate) fn compare(ratio: f64, rounds: usize, lists: usize) -> Costs {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = serve(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let outbox = Arc::new(Outbox::new(Bounds {
        items: 1 << 20,
        bytes: 1 << 28,
        when_full: WhenFull::DropNew,
    }));
    let otlp = Outboxes {
        own: Arc::new(OwnResource {
            attributes: vec![("service.name".to_owned(), "cgscope".to_owned())],
        }),
        metrics: None,
        traces: Some(Arc::clone(&outbox)),
    };
    let tracer = work_tracer(ratio, &otlp);
    let (mut off, mut on) = (Vec::new(), Vec::new());
    // The first round of each warms up.
    for round in 0..=rounds {
        for (tracer, times) in [(WorkTracer::off(), &mut off), (tracer.clone(), &mut on)] {
            let round_times = runtime.block_on(follow(&socket, &tracer, lists));
            if round > 0 {
                times.extend(round_times);
            }
        }
    }
    Costs {
        off: middle(off),
        on: middle(on),
        spans: outbox.account().put,
    }
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Follows the runtime for so many lists: what each took.
async fn follow(socket: &Path, tracer: &WorkTracer, lists: usize) -> Vec<Duration> {
    let endpoint = Endpoint {
        protocol: Protocol::Docker,
        address: socket.to_str().expect("a path in UTF-8").to_owned(),
    };
    let times = SessionTimes {
        relist: Duration::from_millis(1),
        poll: Duration::from_millis(1),
        settle: Duration::from_millis(50),
    };
    let retries = RetryPolicy::default();
    let tracer: LoopTracer = tracer.of_loop(|| endpoint.to_string(), || times.attributes(&retries));
    let connector = DockerConnector::new(endpoint, Arc::new(LabelSelection::default()));
    let client = connector.connect().await.expect("it answers");
    let (_sender, mut asks) = mpsc::channel(1);
    // The first asks about each container alone; the second is not the first to have that.
    let meter = Meter::new(lists + 2);
    let session = Session {
        client,
        informant: Informant {
            rank: 0,
            number: 0,
            user: None,
        },
        audience: &meter,
        tally: &Tally::default(),
        asks: &mut asks,
        times,
        retries,
        tracer,
    };
    tokio::select! {
        error = session.run() => panic!("{error}"),
        () = meter.is_full.notified() => {}
    }
    let told = meter.told();
    told[1..]
        .windows(2)
        .map(|two| two[1].saturating_sub(two[0]))
        .collect()
}

/// The daemon's own audience, and how much time the thread had had after each list.
struct Meter {
    state: State,
    told: Mutex<Vec<Duration>>,
    most: usize,
    is_full: Notify,
}

impl Meter {
    fn new(most: usize) -> Self {
        Self {
            state: state(),
            told: Mutex::default(),
            most,
            is_full: Notify::new(),
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Vec<Duration>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audience for Meter {
    fn tell(
        &self,
        informant: Informant,
        news: News,
        steps: Steps<'_, ContainerRef>,
    ) -> Vec<Arc<RuntimeContainer>> {
        let gone = self.state.tell(informant, news, steps);
        let mut told = self.told();
        told.push(thread_time());
        if told.len() == self.most {
            let names = self.state.pipeline().roster().containers().count();
            assert_eq!(names, CONTAINERS);
            self.is_full.notify_one();
        }
        gone
    }

    fn names_of(&self, key: &ContainerRef) -> Option<Names> {
        self.state.names_of(key)
    }

    fn unnamed(&self, most: usize) -> Vec<Unnamed> {
        self.state.unnamed(most)
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every Linux has it")
        .into()
}

/// A daemon's state that knows the containers' cgroups.
fn state() -> State {
    let mounts = CgroupMounts {
        hierarchies: vec![Hierarchy {
            id: HierarchyId::V2,
            controllers: Vec::new(),
            mount_point: PathBuf::from("/nonexistent"),
            root: "/".into(),
        }],
    };
    let settings = PipelineSettings {
        mounts: &mounts,
        recognizer: Recognizer::new(Path::new("/nonexistent")),
        operations: Vec::new(),
        max_cgroups: 16_384,
        retention: Duration::from_mins(5),
    };
    let mut pipeline = Pipeline::new(settings, SystemTime::now());
    let cgroup = |number: usize| {
        let path = format!("/docker/{}", id(number)).into_bytes();
        (CgroupId(number as u64 + 2), path)
    };
    let walk = Walk {
        cgroups: (0..CONTAINERS).map(cgroup).collect(),
        ..Walk::default()
    };
    let now = (Ktime::now(), SystemTime::now());
    pipeline.sync(HierarchyId::V2, &walk, now.0, now);
    let readings = Readings::new(ReadingSettings {
        interval: Duration::from_secs(10),
        max_entries: 16,
        last: Wanted::ALL,
        versions: StandInVersions {
            cpu: CgroupVersion::V2,
            memory: CgroupVersion::V2,
            io: CgroupVersion::V2,
        },
    });
    State::new(
        pipeline,
        readings,
        Backend::new(BackendSettings::default()),
        Vec::new(),
        PathBuf::from("/nonexistent"),
        Outboxes::default(),
    )
}

fn id(number: usize) -> String {
    format!("{number:064x}")
}

/// Answers as Docker does, on a socket in a folder.
fn serve(folder: &Path) -> PathBuf {
    let socket = folder.join("docker.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let list = Arc::new(list());
    // It ends with the process: it holds only the socket.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let list = Arc::clone(&list);
            thread::spawn(move || answer(stream, &list));
        }
    });
    socket
}

/// Who asked may be gone before the answer's end, which is as good.
fn answer(mut stream: UnixStream, list: &str) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?;
    let body = match path.strip_prefix("/v1.41/") {
        Some(call) if call.starts_with("events") => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).ok()?;
            // Until the other side closes.
            stream.read_exact(&mut [0]).ok()?;
            return Some(());
        }
        Some(call) if call.starts_with("containers/json") => list.to_owned(),
        Some(call) => inspected(call.split('/').nth(1)?),
        None => VERSION.to_owned(),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()
}

/// A list as Docker 20.10 has it, with as much of each as of one on its default network.
fn list() -> String {
    let mut text = "[".to_owned();
    for number in 0..CONTAINERS {
        let comma = if number > 0 { "," } else { "" };
        let id = id(number);
        write!(
            text,
            r#"{comma}{{"Id":"{id}","Names":["/web-{number}"],"Image":"registry.example/shop/web:1.{number}","ImageID":"sha256:{id}","Command":"/usr/bin/web --listen 0.0.0.0:8080","Created":1795292952,"Ports":[{{"IP":"0.0.0.0","PrivatePort":8080,"PublicPort":{number},"Type":"tcp"}}],"Labels":{{"com.docker.compose.project":"shop","com.docker.compose.service":"web","com.docker.compose.container-number":"{number}","com.docker.compose.config-hash":"{id}"}},"State":"running","Status":"Up 2 hours","HostConfig":{{"NetworkMode":"shop_default"}},"NetworkSettings":{{"Networks":{{"shop_default":{{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"{id}","EndpointID":"{id}","Gateway":"172.18.0.1","IPAddress":"172.18.0.2","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"02:42:ac:12:00:02","DriverOpts":null}}}}}},"Mounts":[]}}"#
        )
        .expect("a string takes everything");
    }
    text + "]"
}

fn inspected(id: &str) -> String {
    let number = usize::from_str_radix(id, 16).unwrap_or_default();
    let pid = number + 2;
    format!(
        r#"{{"Id":"{id}","State":{{"Status":"running","Running":true,"Pid":{pid},"ExitCode":0,"StartedAt":"2026-11-21T20:29:14.183455285Z","FinishedAt":"0001-01-01T00:00:00Z"}},"Image":"sha256:{id}","Name":"/web-{number}","RestartCount":0,"HostConfig":{{"NetworkMode":"shop_default","Runtime":"runc"}},"Config":{{"Image":"registry.example/shop/web:1.{number}","Labels":{{"com.docker.compose.project":"shop","com.docker.compose.service":"web"}}}}}}"#
    )
}
