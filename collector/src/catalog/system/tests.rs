//! What this host's files tell: a tree of files, in which this very process is a container's.

use std::{fs, path::Path, process, sync::Arc, time::Duration};

use super::*;
use crate::{
    catalog::provider::{Provider, Registry},
    host::{
        HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
    },
};

/// Knows what it is told.
#[derive(Debug, Default)]
pub(super) struct Known {
    paths: Vec<(String, Vec<u8>)>,
    keys: Vec<(CgroupKey, String)>,
}

impl Known {
    pub(super) fn with_path(mut self, id: &str, path: &str) -> Self {
        self.paths.push((id.to_owned(), path.as_bytes().to_vec()));
        self
    }

    pub(super) fn with_key(mut self, key: CgroupKey, id: &str) -> Self {
        self.keys.push((key, id.to_owned()));
        self
    }
}

impl Places for Known {
    fn paths_of(&self, container: &ContainerRef) -> Vec<Vec<u8>> {
        let of_it = self.paths.iter().filter(|(of, _)| *of == container.id);
        of_it.map(|(_, path)| path.clone()).collect()
    }

    fn below(&self, _: &[u8]) -> Option<ContainerRef> {
        None
    }

    fn at(&self, key: CgroupKey) -> Option<ContainerRef> {
        let (_, id) = self.keys.iter().find(|(of, _)| *of == key)?;
        Some(container(id))
    }
}

fn container(id: &str) -> ContainerRef {
    ContainerRef {
        id: id.to_owned(),
        ..ContainerRef::default()
    }
}

/// A tree with one container, in which this process is, and a provider that reads it.
fn provider(known: Known) -> (tempfile::TempDir, Provider) {
    let tree = tempfile::tempdir().unwrap();
    let directory = tree.path().join("docker/abc");
    fs::create_dir_all(directory.join("below")).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    write("cgroup.procs", &format!("{}\n", process::id()));
    write("cpu.stat", "usage_usec 12\nuser_usec 8\nsystem_usec 4\n");
    write("below/cpu.stat", "usage_usec 5\n");
    write("below/cgroup.procs", "");
    write("memory.current", "4096\n");
    write(
        "io.stat",
        "8:0 rbytes=1024 wbytes=0 rios=2 wios=0 dbytes=0 dios=0\n",
    );
    write("pids.current", "3\n");
    let mounts = CgroupMounts {
        hierarchies: vec![Hierarchy {
            id: HierarchyId::V2,
            controllers: Vec::new(),
            mount_point: tree.path().to_owned(),
            root: b"/".to_vec(),
        }],
    };
    let host_root = Path::new("/");
    let processes = ProcessFiles::open(host_root).unwrap();
    let collector = Arc::new(SystemCollector {
        files: Arc::new(ContainerFiles::new(&mounts, Some(processes))),
        places: Arc::new(known),
        recognizer: Recognizer::new(host_root),
        proc: host_root.join("proc"),
    });
    let registry = Arc::new(Registry::default());
    registry.add(
        ID,
        vec![Offer {
            runtime: DOCKER,
            collectors: collector.collectors(true),
        }],
    );
    (tree, Provider::new(registry, Duration::from_mins(1)))
}

const DOCKER: RuntimeMetadata = RuntimeMetadata::of(Runtime::Docker);
const ANEW: Duration = Duration::ZERO;

/// The nested cgroup is named first.
fn known() -> Known {
    Known::default()
        .with_path("abc", "/docker/abc/below")
        .with_path("abc", "/docker/abc")
        .with_path("gone", "/docker/gone")
}

#[tokio::test]
async fn a_containers_statistics_are_those_of_its_outermost_cgroup() {
    let (_tree, provider) = provider(known());
    let abc = container("abc");
    let stats = provider.container_stats(DOCKER, &abc, ANEW);
    let stats = stats.await.unwrap().unwrap();
    assert_eq!(stats.figures.cpu_ns, Some(12_000));
    assert_eq!(stats.figures.memory_usage_bytes, Some(4_096));
    assert_eq!(stats.figures.threads, Some(3));
    assert_eq!(stats.figures.memory_limit_bytes, None);
    let devices: Vec<_> = stats.devices.iter().map(|of| of.bytes.read).collect();
    assert_eq!(devices, [Some(1_024)]);
    assert!(stats.at.elapsed().unwrap() < Duration::from_mins(1));
}

#[tokio::test]
async fn processes_open_files_and_network_are_those_of_the_processes_in_it() {
    let (_tree, provider) = provider(known());
    let abc = container("abc");
    let pids = provider.pids(DOCKER, &abc, ANEW).await.unwrap().unwrap();
    assert_eq!(
        (&pids.pids[..], pids.is_complete),
        (&[process::id()][..], true)
    );
    let files = provider
        .open_files(DOCKER, &abc, ANEW)
        .await
        .unwrap()
        .unwrap();
    assert!(files.count >= 3 && files.is_complete, "{files:?}");
    let network = provider
        .network_stats(DOCKER, &abc, ANEW)
        .await
        .unwrap()
        .unwrap();
    let names: Vec<_> = network
        .interfaces
        .iter()
        .map(|of| of.name.as_str())
        .collect();
    assert!(names.contains(&"lo"), "{names:?}");
    let own = fs::metadata("/proc/self/ns/net").unwrap();
    let own = std::os::unix::fs::MetadataExt::ino(&own);
    assert_eq!(network.figures.network_namespace, Some(own));
    assert_eq!(network.figures.cpu_ns, None);
}

#[tokio::test]
async fn of_a_container_that_is_gone_or_not_known_nothing_is_told() {
    let (_tree, provider) = provider(known());
    for id in ["gone", "unknown"] {
        let of = container(id);
        assert_eq!(
            provider.container_stats(DOCKER, &of, ANEW).await.unwrap(),
            None
        );
        assert_eq!(
            provider.network_stats(DOCKER, &of, ANEW).await.unwrap(),
            None
        );
        assert_eq!(provider.open_files(DOCKER, &of, ANEW).await.unwrap(), None);
        assert_eq!(provider.pids(DOCKER, &of, ANEW).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_cgroups_container_is_whose_the_table_says() {
    let key = CgroupKey::new(HierarchyId::V2, 77);
    let (_tree, provider) = provider(known().with_key(key, "abc"));
    let abc = Some(container("abc"));
    assert_eq!(provider.container_of_cgroup(key, ANEW).await.unwrap(), abc);
    let other = CgroupKey::new(HierarchyId(4), 77);
    assert_eq!(
        provider.container_of_cgroup(other, ANEW).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_process_is_looked_up_by_its_own_file_and_one_that_has_ended_has_none() {
    let (_tree, provider) = provider(known());
    // No PID is as high.
    let ended = provider.container_of_pid(u32::MAX, ANEW).await;
    assert_eq!(ended.unwrap(), None);
    let own = fs::read("/proc/self/cgroup").unwrap();
    let own = membered(&Recognizer::new(Path::new("/")), &own);
    let found = provider.container_of_pid(process::id(), ANEW).await;
    assert_eq!(found.unwrap(), own);
}

#[test]
fn a_process_is_its_containers_by_whichever_hierarchy_tells() {
    let recognizer = Recognizer::new(Path::new("/nonexistent"));
    let id = "3f0d6f1f9c5f2b7d4ab0c4d9c2d3f7c6f61c3c0f6c0a0a2f9d7a1f7f0b1e2d3c";
    let of = |lines: String| membered(&recognizer, lines.as_bytes());
    let found = Some(container(id));
    assert_eq!(of(format!("0::/\n4:cpu:/docker/{id}\n")), found);
    // As a process in a cgroup namespace of its own sees the others.
    assert_eq!(of(format!("0::/../../docker-{id}.scope\n")), found);
    let pod = "0::/kubepods/besteffort/pod4a5b6c7d-1111-2222-3333-444455556666";
    assert_eq!(of(format!("{pod}/{id}\n")), found);
    assert_eq!(of(format!("{pod}\n")), None, "a pod is no container");
    assert_eq!(of("0::/system.slice/x.service\n".to_owned()), None);
}

#[tokio::test]
async fn it_offers_for_every_runtime_and_not_for_kata() {
    let factory = SystemFactory {
        host_root: "/".into(),
        cgroup_root: "/sys/fs/cgroup".into(),
        places: Arc::new(Known::default()),
    };
    let offers = factory.build().await.unwrap();
    let runtimes: Vec<_> = offers.iter().map(|offer| offer.runtime).collect();
    let all = Runtime::KNOWN.into_iter().chain([Runtime::Unknown]);
    assert_eq!(runtimes, all.map(RuntimeMetadata::of).collect::<Vec<_>>());
    for offer in &offers {
        assert!(offer.collectors.container_of_pod_name.is_none());
        assert!(offer.collectors.container_stats.is_some());
    }
    let nowhere = SystemFactory {
        cgroup_root: "/nowhere".into(),
        ..factory
    };
    let why = nowhere.build().await.unwrap_err();
    assert!(matches!(why, Unavailable::NotYet { .. }), "{why}");
    assert!(why.to_string().contains("--cgroup-root"), "{why}");
}
