//! Networks and processes: the text of `/proc`, and this very process.

use std::{fs, net::UdpSocket, path::Path};

use super::Tree;
use crate::host::{
    cgroupfs::{KernelFile, ReadContext, Reason},
    network::{Interface, InterfaceName, NetworkReader, NetworkStatistics, Traffic, interfaces},
    process_files::ProcessFiles,
};

const NET_DEV: &[u8] = b"\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 21602701271  480684    0    0    0     0          0         0 21602701271  480684    0    0    0     0       0          0
  eth0:878199511   26952    1    2    0     0          0         0  1459705   16031    3    4    0     0       0          0
 wlan0: 1 2 3 4 5 6 7
 vlan7: 1 2 3 4 5 6 7 -8 9 10 11 12 13 14 15 16
  eth9: 5 6";

#[test]
fn each_interface_has_what_came_in_and_what_went_out() {
    let (good, bad): (Vec<_>, Vec<_>) = interfaces(NET_DEV).partition(Result::is_ok);
    let good: Vec<_> = good.into_iter().flatten().collect();
    assert_eq!(good.len(), 2);
    assert_eq!(good[0].name.as_str(), "lo");
    assert_eq!(good[1].name.as_str(), "eth0");
    assert_eq!(
        good[1].received,
        Traffic {
            bytes: 878_199_511,
            packets: 26_952,
            errors: 1,
            dropped: 2
        }
    );
    assert_eq!(good[1].sent.packets, 16_031);
    assert_eq!((good[1].sent.errors, good[1].sent.dropped), (3, 4));
    let bad: Vec<_> = bad
        .into_iter()
        .filter_map(Result::err)
        .map(|malformed| (malformed.key, malformed.reason))
        .collect();
    assert_eq!(
        bad,
        [
            (&b"wlan0"[..], Reason::MissingValue),
            (b"vlan7", Reason::Negative),
            (b"eth9", Reason::Unterminated),
        ]
    );
}

#[test]
fn a_name_is_no_longer_than_the_kernel_allows() {
    assert!(InterfaceName::new(b"fifteen_letters").is_some());
    assert!(InterfaceName::new(b"sixteen_letters_").is_none());
    assert!(InterfaceName::new(b"").is_none());
    assert!(InterfaceName::new(b"\xff").is_none());
}

#[test]
fn this_process_has_its_threads_files_and_network() {
    let files = ProcessFiles::open(Path::new("/")).unwrap();
    let mut context = ReadContext::default();
    let own = std::process::id();
    let before = files.totals(&[own], &mut context);
    let open: Vec<_> = (0..40)
        .map(|_| fs::File::open("/dev/null").unwrap())
        .collect();
    let after = files.totals(&[own, u32::MAX >> 2], &mut context);
    assert_eq!((after.processes, after.unreadable), (1, 0));
    // Other tests open and close files at the same time.
    let opened = after
        .open_files
        .unwrap()
        .abs_diff(before.open_files.unwrap());
    assert!(opened >= 20, "{opened} more");
    assert!(after.threads >= Some(1));
    drop(open);

    // A container of this process alone.
    let tree = Tree::v2(&[("cgroup.procs", format!("0\n{own}\n").as_bytes())]);
    let mut container = tree.reading();
    let mut network = NetworkReader::default();
    let mut statistics = None;
    assert!(network.read(&mut container.reader, &files, &mut context, &mut statistics));
    let loopback = |statistics: &Option<NetworkStatistics>| {
        let interfaces = &statistics.as_ref().unwrap().interfaces;
        let is_loopback = |of: &&Interface| of.name.as_str() == "lo";
        interfaces.iter().find(is_loopback).unwrap().received.bytes
    };
    let first = loopback(&statistics);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .send_to(&[7; 4_000], socket.local_addr().unwrap())
        .unwrap();
    assert!(network.read(&mut container.reader, &files, &mut context, &mut statistics));
    assert!(loopback(&statistics) >= first + 4_000);
    let namespace = statistics.as_ref().unwrap().namespace.expect("its own");
    let link = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(
        link.to_str(),
        Some(format!("net:[{}]", namespace.0).as_str())
    );
    assert_eq!(context.account.parse_errors.total(), 0);

    // Its last process ends: the numbers stay.
    tree.write("unified/pod/box/cgroup.procs", b"");
    let mut network = NetworkReader::default();
    let kept = statistics.clone();
    assert!(!network.read(&mut container.reader, &files, &mut context, &mut statistics));
    assert_eq!(statistics, kept);
}

#[test]
fn processes_of_cgroups_below_are_the_containers() {
    let tree = Tree::v2(&[("cgroup.procs", b"")]);
    for (below, pids) in [("a", "11\n12\n"), ("a/b", "13\n"), ("c", "x\n14\n")] {
        fs::create_dir_all(tree.path("unified/pod/box").join(below)).unwrap();
        tree.write(
            &format!("unified/pod/box/{below}/cgroup.procs"),
            pids.as_bytes(),
        );
    }
    let mut container = tree.reading();
    let mut pids = Vec::new();
    let context = &mut container.context;
    assert!(container.reader.processes(context, &mut pids, 100));
    pids.sort_unstable();
    assert_eq!(pids, [11, 12, 13, 14]);
    let errors = &context.account.parse_errors;
    assert_eq!(errors.count(KernelFile::CgroupProcs, Reason::NotANumber), 1);
    assert!(!container.reader.processes(context, &mut pids, 3));
    assert_eq!(pids.len(), 3, "and says that these are not all");
}
