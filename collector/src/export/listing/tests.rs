//! The document and the table, to the letter.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{CatalogDocument, Change, ChangeEvent, Changes, Entry, document::MAX_CGROUPS, table};
use crate::{
    catalog::{
        Container, ContainerRef, Identity, Names, Qos, Runtime, RuntimeContainer,
        path_text::path_text,
    },
    host::{CgroupKey, HierarchyId, cgroup_mounts::Hierarchy, clock::Ktime},
    reconcile::{
        Listing,
        listing::{Figures, ListedCgroup, ListedReading, Machine, Origin, OwnContainer},
        snapshot::{KernelReading, LastReading},
    },
};

fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + milliseconds)
}

fn cgroup(path: &str, exited: Option<SystemTime>) -> ListedCgroup {
    ListedCgroup {
        identity: Arc::new(Identity {
            path: path.to_owned(),
            names: Names::default(),
            container: None,
            told: None,
            cgroup_version: 2,
            generation: 1,
            started: at(0),
            is_found: false,
        }),
        keys: vec![CgroupKey::new(HierarchyId::V2, 1)],
        started: Some(at(0)),
        exited,
        reading: None,
    }
}

/// A container that is gone, of which everything is known.
fn gone_container() -> ListedCgroup {
    ListedCgroup {
        identity: Arc::new(Identity {
            path: "/kubepods/burstable/pod1/c0ffee".to_owned(),
            names: Names {
                name: "k8s_web".to_owned(),
                image: "web:1".to_owned(),
                namespace: "shop".to_owned(),
                pod: "web-0".to_owned(),
                container: "web".to_owned(),
            },
            container: Some(Container {
                id: "c0ffee".to_owned(),
                runtime: Runtime::Containerd,
                pod_uid: "pod1".to_owned(),
                qos: Some(Qos::Burstable),
                ..Container::default()
            }),
            told: None,
            cgroup_version: 1,
            generation: 3,
            started: at(250),
            is_found: false,
        }),
        keys: vec![
            CgroupKey::new(HierarchyId(4), 77),
            CgroupKey::new(HierarchyId::V2, 1234),
        ],
        started: Some(at(250)),
        exited: Some(at(101_000)),
        reading: Some(ListedReading {
            how: LastReading::Final,
            at: Some(at(100_990)),
            network_at: Some(at(100_500)),
            processes_at: Some(at(100_600)),
            figures: Figures {
                cpu_ns: Some(1_234_567_891),
                cpu_user_ns: Some(2_000_000_000),
                cpu_system_ns: Some(3_000_000_000),
                cpu_limit_cores: Some(1.5),
                cpu_limit_is_default: Some(false),
                cpu_shares: Some(1_006),
                cpu_weight: Some(1_007),
                cpu_periods: Some(1_008),
                cpu_throttled_periods: Some(1_009),
                cpu_throttled_ns: Some(10_000_000_000),
                cpu_stalled_ns: Some(11_000_000_000),
                memory_usage_bytes: Some(0),
                memory_peak_bytes: Some(31_981_568),
                memory_limit_bytes: Some(1_014),
                memory_soft_limit_bytes: Some(1_015),
                memory_working_set_bytes: Some(1_016),
                memory_rss_bytes: Some(1_017),
                memory_cache_bytes: Some(1_018),
                memory_kernel_bytes: Some(1_019),
                memory_swap_bytes: Some(1_020),
                memory_and_swap_limit_bytes: Some(1_021),
                memory_stalled_ns: Some(22_000_000_000),
                page_faults: Some(1_023),
                major_page_faults: Some(1_024),
                oom_kills: Some(1_025),
                io_read_bytes: Some(4_096),
                io_written_bytes: Some(8_192),
                io_reads: Some(1_028),
                io_writes: Some(1_029),
                io_stalled_ns: Some(30_000_000_000),
                threads: Some(1_031),
                thread_limit: Some(1_032),
                open_files: Some(1_033),
                network_namespace: Some(1_034),
                network_is_host: Some(false),
                network_received_bytes: Some(1_036),
                network_sent_bytes: Some(1_037),
                network_received_packets: Some(1_038),
                network_sent_packets: Some(1_039),
            },
        }),
    }
}

/// One cgroup with everything, and three of which less and less is known.
pub(in crate::export) fn listing() -> Listing {
    let running = ListedCgroup {
        reading: Some(ListedReading {
            how: LastReading::Running,
            at: Some(at(93_700_000)),
            network_at: None,
            processes_at: None,
            figures: Figures {
                cpu_ns: Some(90_000_000_000),
                memory_usage_bytes: Some(1_048_575),
                ..Figures::default()
            },
        }),
        ..cgroup("/docker", None)
    };
    let strange = ListedCgroup {
        reading: Some(ListedReading {
            how: LastReading::EventsOnly,
            at: None,
            network_at: None,
            processes_at: None,
            figures: Figures::default(),
        }),
        ..cgroup("/a \"b\" \\", Some(at(93_783_000)))
    };
    Listing {
        taken: at(93_784_500),
        origin: Origin::Daemon,
        hierarchies: vec![
            Hierarchy {
                id: HierarchyId(4),
                controllers: vec!["cpu".to_owned(), "cpuacct".to_owned()],
                mount_point: "/sys/fs/cgroup/cpu,cpuacct".into(),
                root: b"/".to_vec(),
            },
            Hierarchy {
                id: HierarchyId::V2,
                controllers: Vec::new(),
                mount_point: "/sys/fs/cgroup/unified".into(),
                root: b"/".to_vec(),
            },
        ],
        cgroups: vec![
            gone_container(),
            running,
            strange,
            ListedCgroup {
                started: None,
                ..cgroup("/", None)
            },
        ],
        left_out: 5,
        elsewhere: Vec::new(),
        runtimes: Vec::new(),
        own_container: None,
    }
}

#[test]
fn the_document_has_what_is_known_and_no_key_for_what_is_not() {
    let bytes = CatalogDocument::of(listing()).encode().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        r#"{"schema":1,"source":"daemon","version":""#,
        version,
        r#"","taken_seconds":1700093784.5,"#,
        r#""hierarchies":[{"id":4,"version":1,"controllers":["cpu","cpuacct"]},"#,
        r#"{"id":0,"version":2,"controllers":[]}],"cgroups":["#,
        r#"{"path":"/","state":"running","generation":1,"ids":[{"hierarchy":0,"id":1}]},"#,
        r#"{"path":"/a \"b\" \\","state":"exited","generation":1,"ids":[{"hierarchy":0,"id":1}],"#,
        r#""start_time_seconds":1700000000.0,"exit_time_seconds":1700093783.0,"#,
        r#""last_reading":{"how":"events_only"}},"#,
        r#"{"path":"/docker","state":"running","generation":1,"ids":[{"hierarchy":0,"id":1}],"#,
        r#""start_time_seconds":1700000000.0,"last_reading":{"how":"running","#,
        r#""time_seconds":1700093700.0,"cpu_seconds":90.0,"memory_usage_bytes":1048575}},"#,
        r#"{"path":"/kubepods/burstable/pod1/c0ffee","state":"exited","generation":3,"#,
        r#""ids":[{"hierarchy":0,"id":1234},{"hierarchy":4,"id":77}],"#,
        r#""start_time_seconds":1700000000.25,"exit_time_seconds":1700000101.0,"#,
        r#""container":{"own":true,"id":"c0ffee","runtime":"containerd","pod_uid":"pod1","#,
        r#""qos":"Burstable"},"names":{"name":"k8s_web","image":"web:1","namespace":"shop","#,
        r#""pod":"web-0","container":"web"},"last_reading":{"how":"final","#,
        r#""time_seconds":1700000100.99,"network_time_seconds":1700000100.5,"#,
        r#""processes_time_seconds":1700000100.6,"#,
        r#""cpu_seconds":1.234567891,"cpu_user_seconds":2.0,"cpu_system_seconds":3.0,"#,
        r#""cpu_limit_cores":1.5,"cpu_limit_is_default":false,"cpu_shares":1006,"#,
        r#""cpu_weight":1007,"cpu_periods":1008,"cpu_throttled_periods":1009,"#,
        r#""cpu_throttled_seconds":10.0,"cpu_stalled_seconds":11.0,"memory_usage_bytes":0,"#,
        r#""memory_peak_bytes":31981568,"memory_limit_bytes":1014,"#,
        r#""memory_soft_limit_bytes":1015,"memory_working_set_bytes":1016,"#,
        r#""memory_rss_bytes":1017,"memory_cache_bytes":1018,"memory_kernel_bytes":1019,"#,
        r#""memory_swap_bytes":1020,"memory_and_swap_limit_bytes":1021,"#,
        r#""memory_stalled_seconds":22.0,"page_faults":1023,"major_page_faults":1024,"#,
        r#""oom_kills":1025,"io_read_bytes":4096,"io_written_bytes":8192,"io_reads":1028,"#,
        r#""io_writes":1029,"io_stalled_seconds":30.0,"threads":1031,"thread_limit":1032,"#,
        r#""open_files":1033,"network_namespace":1034,"network_is_host":false,"#,
        r#""network_received_bytes":1036,"network_sent_bytes":1037,"#,
        r#""network_received_packets":1038,"network_sent_packets":1039}}],"#,
        r#""left_out":5}"#,
        "\n",
    ];
    assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());
}

#[test]
fn a_document_is_read_back_as_it_was() {
    let document = CatalogDocument::of(listing());
    let bytes = document.encode().unwrap();
    let back: CatalogDocument = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(back, document);
}

#[test]
fn the_table_is_aligned_and_says_who_knows() {
    let text = table(&CatalogDocument::of(listing()));
    let expected = "\
STATE    GENERATION  ID                               NAME     IMAGE  POD             RUNTIME     AGE   CPU      MEMORY            LAST READING
running  1           /                                -        -      -               -           -     -        -                 -
exited   1           /a \"b\" \\                         -        -      -               -           1d2h  -        -                 events only
running  1           /docker                          -        -      -               -           1d2h  90.000s  1.0MiB            running, 1m24s ago
exited   3           /kubepods/burstable/pod1/c0ffee  k8s_web  web:1  shop/web-0/web  containerd  1d2h  1.235s   0B, peak 30.5MiB  final, 1d2h ago
4 cgroups and 5 that are not listed, source: daemon
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn where_no_runtime_tells_the_table_has_no_columns_for_what_it_would_tell() {
    let mut listing = listing();
    listing
        .cgroups
        .retain(|cgroup| cgroup.identity.names == Names::default());
    let text = table(&CatalogDocument::of(listing));
    let expected = "\
STATE    GENERATION  ID        NAME  RUNTIME  AGE   CPU      MEMORY  LAST READING
running  1           /         -     -        -     -        -       -
exited   1           /a \"b\" \\  -     -        1d2h  -        -       events only
running  1           /docker   -     -        1d2h  90.000s  1.0MiB  running, 1m24s ago
3 cgroups and 5 that are not listed, source: daemon
";
    assert_eq!(text, expected, "\n{text}");
}

/// As a daemon tells, with containers and runtimes besides.
fn told_besides() -> CatalogDocument {
    let mut document = CatalogDocument::of(listing());
    document.cgroups.clear();
    document.left_out = 0;
    let elsewhere = r#"[
        {"id":"0123456789abcdef","runtime":"docker","runtime_state":"exited","exit_code":137,"process_exit_time_seconds":1700093724.5},
        {"id":"feed","runtime":"containerd","flavor":"kata","runtime_state":"running","names":{"name":"app","image":"shop:2","namespace":"shop","pod":"web-1","container":"app"}},
        {"id":"bare\u001b[2J"}]"#;
    document.containers_elsewhere = serde_json::from_str(elsewhere).unwrap();
    let runtimes = r#"[
        {"protocol":"docker","address":"/run/docker.sock","runtime":"docker","version":"20.10.24","since_seconds":1700093592.5},
        {"protocol":"cri","address":"/run/crio/crio.sock","last_error":"no answer","last_error_time_seconds":1700093779.5}]"#;
    document.runtimes = serde_json::from_str(runtimes).unwrap();
    document
}

#[test]
fn below_the_table_are_containers_without_a_cgroup_and_the_runtimes() {
    let text = table(&told_besides());
    let expected = "\
STATE  GENERATION  ID  NAME  RUNTIME  AGE  CPU  MEMORY  LAST READING
exited container without a cgroup here: 0123456789ab, of docker, exit code 137, ended 1m0s ago
running container without a cgroup here: app, image shop:2, in pod shop/web-1/app, of containerd, in kata
container without a cgroup here: BARE
runtime docker 20.10.24 at docker=/run/docker.sock, answers for 3m12s
runtime cri=/run/crio/crio.sock: nobody answers; last error 5s ago: no answer
0 cgroups, source: daemon
";
    // What had to be made fit for a terminal ends in a hash.
    let bare = path_text(b"bare\x1b[2J");
    assert!(bare.starts_with("bare\\x1b[2J"), "{bare}");
    let expected = expected.replace("BARE", &bare);
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn what_came_changed_and_went_is_told_and_what_was_read_and_when_is_not() {
    use ChangeEvent::{Added, Changed, Removed};
    let mut changes = Changes::default();
    let first = told_besides();
    let told = changes.take(&first);
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|of| of.event == Added));
    let line = serde_json::to_value(&told[0]).unwrap();
    assert_eq!(line["time_seconds"], first.taken_seconds, "{line}");

    let mut next = first.clone();
    next.taken_seconds += 2.0;
    next.runtimes[1].last_error_time_seconds = Some(1_700_093_786.0);
    assert_eq!(changes.take(&next), []);

    next.runtimes[1].runtime = Some("cri-o".to_owned());
    next.containers_elsewhere.remove(0);
    next.cgroups = CatalogDocument::of(listing()).cgroups;
    let told = changes.take(&next);
    let events: Vec<_> = told.iter().map(|of| of.event).collect();
    assert_eq!(events, [Removed, Changed, Added, Added, Added, Added]);
    let (gone, came) = (&told[0].entry, &told[2].entry);
    assert!(matches!(gone, Entry::ContainerElsewhere(of) if of.id == "0123456789abcdef"));
    assert!(matches!(came, Entry::Cgroup(of) if of.last_reading.is_none()));

    next.cgroups[1].state = super::StateEntry::Running;
    next.cgroups[2].last_reading = None;
    next.cgroups[2].start_time_seconds = Some(1.0);
    let told = changes.take(&next);
    assert!(
        matches!(&told[..], [Change { event: Changed, entry: Entry::Cgroup(of), .. }] if of.path == next.cgroups[1].path),
        "{told:?}"
    );
}

#[test]
fn text_that_came_over_the_network_cannot_move_a_terminals_cursor_nor_widen_every_line() {
    let mut document = CatalogDocument::of(listing());
    document.cgroups[0].path = format!("/\x1b[2J\n{}", "x".repeat(1_500));
    let text = table(&document);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.contains("/\\x1b[2J\\x0axxx"), "{text}");
    assert!(!text.contains('\x1b'));
    let widest = text.lines().map(|line| line.chars().count());
    assert_eq!(
        widest.filter(|width| *width > 250).count(),
        1,
        "one line only is as long as its path:\n{text}"
    );
}

#[test]
fn when_there_are_too_many_those_that_are_there_go_first_and_the_rest_is_counted() {
    let mut listing = listing();
    listing.cgroups = (0..MAX_CGROUPS + 10)
        .map(|number| {
            let exited = (number % 2 == 0).then(|| at(1));
            cgroup(&format!("/{number}"), exited)
        })
        .collect();
    let document = CatalogDocument::of(listing);
    assert_eq!(document.cgroups.len(), MAX_CGROUPS);
    assert_eq!(document.left_out, 15);
    let running = document
        .cgroups
        .iter()
        .filter(|cgroup| cgroup.exit_time_seconds.is_none());
    assert_eq!(running.count(), MAX_CGROUPS / 2 + 5);
    assert!(document.cgroups.is_sorted_by(|a, b| a.path < b.path));
}

#[test]
fn a_document_of_more_cgroups_than_a_daemon_lists_is_refused() {
    let mut document = CatalogDocument::of(listing());
    let entry = document.cgroups[0].clone();
    document.cgroups = vec![entry; MAX_CGROUPS + 1];
    let bytes = serde_json::to_vec(&document).unwrap();
    let error = serde_json::from_slice::<CatalogDocument>(&bytes).unwrap_err();
    assert!(
        error.to_string().contains("at most 65536 entries"),
        "{error}"
    );
}

#[test]
fn a_cgroup_that_was_never_read_has_no_reading_unless_events_stand_in() {
    let wall = |Ktime(since)| SystemTime::UNIX_EPOCH + since;
    let mut kernel = KernelReading::default();
    assert_eq!(ListedReading::of(&kernel, &Machine::default(), wall), None);
    kernel.last = LastReading::EventsOnly;
    let reading = ListedReading::of(&kernel, &Machine::default(), wall).unwrap();
    assert_eq!((reading.how, reading.at), (LastReading::EventsOnly, None));
    kernel.at = Some(Ktime::from_ns(5_000_000_000));
    let reading = ListedReading::of(&kernel, &Machine::default(), wall).unwrap();
    assert_eq!(reading.at, Some(wall(Ktime(Duration::from_secs(5)))));
}

#[test]
fn the_daemons_own_container_is_told_by_its_id_and_by_its_names_once_they_are_known() {
    let own = |told| {
        let listing = Listing {
            own_container: Some(OwnContainer {
                of: ContainerRef {
                    id: "c0ffee".to_owned(),
                    ..ContainerRef::default()
                },
                told,
            }),
            ..listing()
        };
        serde_json::to_value(CatalogDocument::of(listing)).unwrap()["own_container"].clone()
    };
    assert_eq!(own(None), serde_json::json!({"id": "c0ffee"}));
    let told = RuntimeContainer {
        names: Names {
            name: "watcher".to_owned(),
            ..Names::default()
        },
        ..RuntimeContainer::default()
    };
    assert_eq!(
        own(Some(Arc::new(told))),
        serde_json::json!({"id": "c0ffee", "names": {"name": "watcher"}})
    );
}
