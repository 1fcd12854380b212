//! Spans as text.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::altered;
use crate::trace::forwarder::{peers::Peer, printer::Printer, sink::SpanSink};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_dump_is_a_line_in_which_nothing_moves_a_terminal() {
    let name = r#""name":"a\u001b[2J\u009b31m\nb""#;
    let read = altered(r#""name":"root-span""#, name).unwrap();
    assert_eq!(
        read.span.name, "a\u{1b}[2J\u{9b}31m\nb",
        "the span is as it was"
    );
    let page = Page::default();
    let (printer, printing) = Printer::start(Box::new(page.clone())).unwrap();
    let sink = SpanSink::Dump(printer);
    sink.give(
        ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![read.span],
                ..Default::default()
            }],
            ..Default::default()
        },
        &Peer::Cid(3),
    )
    .await;
    drop(sink);
    assert_eq!(printing.finish(Duration::from_secs(20)).await.unwrap(), 0);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches(char::is_control).collect::<Vec<_>>(), ["\n"]);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "a\u{1b}[2J\u{9b}31m\nb");
    assert_eq!(span["traceId"], "a42d1a40187dfda8b1af2ccc7dff5559");
    assert_eq!(span["startTimeUnixNano"], "1795241757327462440");
    assert_eq!(span["attributes"][3]["value"]["intValue"], "-7");
}
