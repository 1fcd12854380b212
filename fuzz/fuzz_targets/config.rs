//! The configuration file and the values that flags and variables share with it: what is accepted is
//! within its bounds, and the same said in flags is the same configuration.
#![no_main]

use std::{path::Path, time::Duration};

use clap::Parser as _;
use collector::{
    daemon::{
        cli::{Cli, Command, RunArgs},
        config::{
            CatalogConfig, Config, FileConfig,
            value::{ByteSize, SignalSet, parse_duration},
        },
        logging,
    },
    export::NameSets,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    value(text);
    let file = FileConfig::parse(Path::new("cgscope.toml"), text);
    if let Ok(config) = file.and_then(|file| Config::decide(RunArgs::default(), file)) {
        check(&config);
    }
});

/// What a flag or a variable may be set to.
fn value(text: &str) {
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse::<ByteSize>().ok(), Some(size));
        assert!(size.bytes().is_power_of_two());
    }
    if let Ok(SignalSet(signals)) = text.parse() {
        assert!(!signals.is_empty());
    }
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&said(duration)).ok(), Some(duration));
    }
    if let Ok(filter) = logging::filter(text) {
        let shown = filter.to_string();
        let again = logging::filter(&shown).map(|filter| filter.to_string());
        assert_eq!(again.ok(), Some(shown));
    }
}

fn said(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn check(config: &Config) {
    let Config {
        listen,
        cgroup_root,
        host_root,
        interval,
        signals,
        log,
        btf,
        samples_ring,
        retention,
        max_cgroups,
        lock_file,
        names: NameSets {
            containerd,
            cadvisor,
        },
        catalog:
            CatalogConfig {
                endpoints,
                discovery,
                labels,
                own_preemptions,
                retries,
            },
        // What these say beyond being on has no flags.
        otlp,
        trace,
    } = config;
    assert!((Duration::from_secs(1)..=Duration::from_hours(1)).contains(interval));
    assert!((1..=1_000_000).contains(max_cgroups));
    let names: Vec<_> = signals.iter().map(|signal| signal.name()).collect();
    assert!(!names.is_empty());

    let mut words = vec!["cgscope".to_owned(), "run".to_owned()];
    for (flag, value) in [
        ("listen", listen.to_string()),
        ("cgroup-root", cgroup_root.display().to_string()),
        ("host-root", host_root.display().to_string()),
        ("interval", said(*interval)),
        ("signals", names.join(",")),
        ("log", log.clone()),
        ("samples-ring", samples_ring.to_string()),
        ("retention", said(*retention)),
        ("max-cgroups", max_cgroups.to_string()),
        ("lock-file", lock_file.display().to_string()),
        ("export-containerd", containerd.to_string()),
        ("export-cadvisor", cadvisor.to_string()),
        ("runtime-discovery", discovery.to_string()),
        ("count-own-preemptions", own_preemptions.to_string()),
    ] {
        words.push(format!("--{flag}={value}"));
    }
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    for (flag, list) in [
        ("runtime-endpoint", &endpoints),
        ("container-labels", &labels.container),
        ("pod-labels", &labels.pod),
    ] {
        // Between those of a flag are commas, which the file does not need.
        if list.iter().any(|of| of.contains(',')) {
            return;
        }
        if !list.is_empty() {
            words.push(format!("--{flag}={}", list.join(",")));
        }
    }
    if let Some(btf) = btf {
        words.push(format!("--btf={}", btf.display()));
    }
    let flags = match Cli::try_parse_from(&words).map(|cli| cli.command) {
        Ok(Command::Run(flags)) => flags,
        other => panic!("{words:?} is {other:?}"),
    };
    let by_flags = Config::load(&flags).map(|by_flags| Config {
        catalog: CatalogConfig {
            retries: *retries,
            ..by_flags.catalog
        },
        otlp: otlp.clone(),
        trace: trace.clone(),
        ..by_flags
    });
    assert_eq!(by_flags.ok().as_ref(), Some(config), "{words:?}");
}
