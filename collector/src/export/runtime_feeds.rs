//! What became of the calls to container runtimes, as series.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use super::{
    label_sets::encode_label,
    labels::{CALL, CALL_ERROR, ENDPOINT, PROTOCOL},
    series::Series,
};
use crate::{
    catalog::{
        following::RuntimeStatus,
        runtimes::{Call, CallError, Endpoint, Protocol},
    },
    reconcile::{Snapshot, forwarding::AgentError},
};

/// A place where a runtime is, or was.
#[derive(Clone, Copy, Debug)]
struct OfEndpoint<'a>(&'a Endpoint);

impl EncodeLabelSet for OfEndpoint<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Endpoint { protocol, address } = self.0;
        encode_label(encoder, &PROTOCOL, &protocol.name())?;
        encode_label(encoder, &ENDPOINT, &address.as_str())
    }
}

/// Calls of one kind to all runtimes of one protocol.
#[derive(Clone, Copy, Debug)]
struct OfCall(Protocol, Call);

impl EncodeLabelSet for OfCall {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(protocol, call) = self;
        encode_label(encoder, &PROTOCOL, &protocol.name())?;
        encode_label(encoder, &CALL, &call.name())
    }
}

/// Calls to all runtimes of one protocol that failed for one reason.
#[derive(Clone, Copy, Debug)]
struct OfCallError(Protocol, &'static str);

impl EncodeLabelSet for OfCallError {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(protocol, error) = self;
        encode_label(encoder, &PROTOCOL, &protocol.name())?;
        encode_label(encoder, &CALL_ERROR, error)
    }
}

/// Calls to shims of Kata that failed for one reason.
#[derive(Clone, Copy, Debug)]
struct OfError(&'static str);

impl EncodeLabelSet for OfError {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(error) = self;
        encode_label(encoder, &CALL_ERROR, error)
    }
}

/// All runtimes of one protocol.
#[derive(Clone, Copy, Debug)]
struct OfProtocol(Protocol);

impl EncodeLabelSet for OfProtocol {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(protocol) = self;
        encode_label(encoder, &PROTOCOL, &protocol.name())
    }
}

/// The protocols that are spoken anywhere, each with all its runtimes.
fn by_protocol(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (Protocol, impl Iterator<Item = &RuntimeStatus> + Clone)> {
    Protocol::ALL.into_iter().filter_map(|protocol| {
        let is_its = move |status: &&RuntimeStatus| status.endpoint.protocol == protocol;
        let of = snapshot.runtimes.iter().filter(is_its);
        of.clone().next()?;
        Some((protocol, of))
    })
}

pub(super) fn connected(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot.runtimes.iter().try_for_each(|status| {
        let is_connected = u64::from(status.since.is_some());
        out.gauge(&OfEndpoint(&status.endpoint), &is_connected)
    })
}

pub(super) fn calls(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    by_protocol(snapshot).try_for_each(|(protocol, of)| {
        Call::ALL
            .into_iter()
            .enumerate()
            .try_for_each(|(index, call)| {
                let calls: u64 = of.clone().map(|status| status.calls[index]).sum();
                out.counter(&OfCall(protocol, call), &calls)
            })
    })
}

pub(super) fn errors(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    by_protocol(snapshot).try_for_each(|(protocol, of)| {
        CallError::NAMES
            .into_iter()
            .enumerate()
            .try_for_each(|(index, error)| {
                let errors: u64 = of.clone().map(|status| status.errors[index]).sum();
                out.counter(&OfCallError(protocol, error), &errors)
            })
    })
}

pub(super) fn left_out(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    by_protocol(snapshot).try_for_each(|(protocol, of)| {
        let left_out: u64 = of.map(|status| status.left_out).sum();
        out.counter(&OfProtocol(protocol), &left_out)
    })
}

pub(super) fn kata_shims(snapshot: &Snapshot) -> u64 {
    snapshot.kata.readings.answered as u64
}

pub(super) fn kata_errors(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    CallError::NAMES
        .into_iter()
        .zip(&snapshot.kata.readings.errors)
        .try_for_each(|(error, count)| out.counter(&OfError(error), count))
}

pub(super) fn agent_errors(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    let errors = snapshot.forwarder.iter().flat_map(|of| of.errors);
    AgentError::ALL
        .into_iter()
        .zip(errors)
        .try_for_each(|(error, count)| out.counter(&OfError(error.name()), &count))
}
