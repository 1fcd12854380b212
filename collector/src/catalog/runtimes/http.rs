//! HTTP/1.1 to a runtime: only ever GET, and never more of an answer than is allowed.
//!
//! In: an address and a path. Out: a JSON text, or JSON objects for as long as they come. Never here:
//! another method, so that no call can change a container; a redirect that is followed; TLS.
//!
//! Not a client made for Docker (bollard): it keeps whole bodies of any length, and speaks one of the
//! five APIs that are needed.

use std::{future::Future, io, path::PathBuf, pin::Pin, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};

use super::{
    ANSWER_TIME, CONNECT_TIME, CallError, MAX_ANSWER, NotConnected, json_objects::ObjectSplitter,
};
use crate::catalog::{provider::Unavailable, runtime_container::told_text};

/// What a call may cost.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// To connect.
    pub connect: Duration,
    /// From the call to the last byte of its answer.
    pub answer: Duration,
    /// The most bytes of an answer.
    pub bytes: usize,
    /// The most bytes of one object in a stream of them.
    pub object_bytes: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIME,
            answer: ANSWER_TIME,
            bytes: MAX_ANSWER,
            // An event has all labels of its container; 1 MiB is more than Kubernetes lets an object have.
            object_bytes: 1 << 20,
        }
    }
}

/// The most bytes of an answer's head, and of what is read ahead.
const MAX_HEAD: usize = 64 << 10;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// The most bytes of a refusal that are read: what it says is shown, bounded.
const MAX_REFUSAL: usize = 4 << 10;

/// Asks one server. Each call has a connection of its own: a server that hangs in one answer does not hold
/// up the next.
#[derive(Clone, Debug)]
pub struct HttpClient {
    address: String,
    place: Place,
    host: String,
    base: String,
    limits: CallLimits,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Tcp(String),
}

impl HttpClient {
    /// Of a socket (`/run/docker.sock`, `unix:///run/docker.sock`) or a URL (`http://host:port/base`).
    pub fn new(address: &str, limits: CallLimits) -> Result<Self, Unavailable> {
        let unusable = |why: &str| {
            Unavailable::never(format!(
                "{}: {why}; it is the path of a socket, or http://host:port",
                told_text(address)
            ))
        };
        let socket = address.strip_prefix("unix://").unwrap_or(address);
        let (place, host, base) = if socket.starts_with('/') {
            (
                Place::Socket(PathBuf::from(socket)),
                "localhost".to_owned(),
                String::new(),
            )
        } else {
            let rest = ["http://", "tcp://"]
                .iter()
                .find_map(|scheme| address.strip_prefix(scheme))
                .ok_or_else(|| unusable("this address is not understood"))?;
            let (host, base) = rest
                .find('/')
                .map_or((rest, ""), |slash| rest.split_at(slash));
            let unfit = |text: &str| !text.bytes().all(|byte| byte.is_ascii_graphic());
            if host.is_empty() || unfit(host) || unfit(base) || base.contains(['?', '#']) {
                return Err(unusable("the host or the path is not understood"));
            }
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let with_port = if has_port {
                host.to_owned()
            } else {
                format!("{host}:80")
            };
            (
                Place::Tcp(with_port),
                host.to_owned(),
                base.trim_end_matches('/').to_owned(),
            )
        };
        Ok(Self {
            address: told_text(address),
            place,
            host,
            base,
            limits,
        })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(&self, limits: CallLimits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// What it may cost.
    #[must_use]
    pub const fn limits(&self) -> &CallLimits {
        &self.limits
    }

    /// Where, as text.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The answer to `call` (a path, and maybe a query); `None` when there is no such thing.
    pub async fn get(&self, call: &str) -> Result<Option<String>, CallError> {
        let answer = async {
            let mut answer = self.ask(call).await?;
            let limit = self.limits.bytes;
            match answer.response.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                status if !status.is_success() => {
                    return Err(self.refused(call, status, answer.response.body_mut()).await);
                }
                _ => {}
            }
            let body = answer.response.body_mut();
            if body.size_hint().lower() > limit as u64 {
                return Err(self.too_large(call, limit));
            }
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken(call, &error))?;
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if bytes.len() + data.len() > limit {
                    return Err(self.too_large(call, limit));
                }
                bytes.extend_from_slice(&data);
            }
            String::from_utf8(bytes)
                .map(Some)
                .map_err(|error| self.malformed(call, error.utf8_error().to_string()))
        };
        let limit = self.limits.answer;
        timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(self.late(call, limit)))
    }

    /// The objects that come in answer to `call`, from when the server has answered that they will.
    pub async fn objects(&self, call: &str) -> Result<ObjectStream, CallError> {
        let limit = self.limits.answer;
        let mut stream = timeout(limit, self.objects_later(call))
            .await
            .unwrap_or_else(|_| Err(self.late(call, limit)))?;
        timeout(limit, stream.start())
            .await
            .unwrap_or_else(|_| Err(self.late(call, limit)))?;
        Ok(stream)
    }

    /// The same of a server that answers only with the first object.
    pub async fn objects_later(&self, call: &str) -> Result<ObjectStream, CallError> {
        let connection = self.connect(call).await?;
        let (client, asked) = (self.clone(), call.to_owned());
        let answer = async move { client.send(connection, &asked).await };
        Ok(ObjectStream {
            client: self.clone(),
            call: call.to_owned(),
            state: StreamState::Asked(Box::pin(answer)),
            objects: ObjectSplitter::new(self.limits.object_bytes),
        })
    }

    async fn ask(&self, call: &str) -> Result<Answer, CallError> {
        let connection = self.connect(call).await?;
        self.send(connection, call).await
    }

    async fn connect(&self, call: &str) -> Result<Connection, CallError> {
        let limit = self.limits.connect;
        let connection = async {
            match &self.place {
                Place::Socket(path) => {
                    let socket = UnixStream::connect(path).await;
                    self.shake_hands(socket.map_err(|error| self.unreachable(error))?)
                        .await
                }
                Place::Tcp(host) => {
                    let socket = TcpStream::connect(host.as_str()).await;
                    self.shake_hands(socket.map_err(|error| self.unreachable(error))?)
                        .await
                }
            }
        };
        timeout(limit, connection)
            .await
            .unwrap_or_else(|_| Err(self.late(call, limit)))
    }

    async fn shake_hands<S>(&self, socket: S) -> Result<Connection, CallError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| self.unreachable(error))?;
        let mut driver = JoinSet::new();
        // What goes wrong in it, the one who waits for the answer is told too.
        driver.spawn(async move { drop(connection.await) });
        Ok(Connection {
            sender,
            _driver: driver,
        })
    }

    async fn send(&self, mut connection: Connection, call: &str) -> Result<Answer, CallError> {
        let path = match format!("{}{call}", self.base) {
            path if path.is_empty() => "/".to_owned(),
            path => path,
        };
        let request = Request::get(path)
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, "cgscope")
            .body(Empty::new())
            .map_err(|error| self.malformed(call, format!("it cannot be asked: {error}")))?;
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(call, &error))?;
        Ok(Answer {
            response,
            _connection: connection,
        })
    }

    async fn refused(&self, call: &str, status: StatusCode, body: &mut Incoming) -> CallError {
        let mut said = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap_or_default();
            said.extend_from_slice(&data[..data.len().min(MAX_REFUSAL - said.len())]);
            if said.len() == MAX_REFUSAL {
                break;
            }
        }
        let said = told_text(String::from_utf8_lossy(&said).trim());
        CallError::Refused {
            address: self.address.clone(),
            call: call.to_owned(),
            answer: format!("{status} {said}").trim_end().to_owned(),
        }
    }

    fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> CallError {
        CallError::Unreachable {
            address: self.address.clone(),
            source: source.into(),
        }
    }

    fn late(&self, call: &str, limit: Duration) -> CallError {
        CallError::Timeout {
            address: self.address.clone(),
            call: call.to_owned(),
            limit,
        }
    }

    fn too_large(&self, call: &str, limit: usize) -> CallError {
        CallError::TooLarge {
            address: self.address.clone(),
            call: call.to_owned(),
            limit,
        }
    }

    /// The answer to `call` is not understood.
    pub fn malformed(&self, call: &str, reason: impl Into<String>) -> CallError {
        CallError::Malformed {
            address: self.address.clone(),
            call: call.to_owned(),
            reason: reason.into(),
        }
    }

    /// The connection failed in an answer, or what came is not HTTP.
    fn broken(&self, call: &str, error: &hyper::Error) -> CallError {
        let mut reason = error.to_string();
        if let Some(source) = std::error::Error::source(error) {
            reason = format!("{reason}: {source}");
        }
        self.malformed(call, reason)
    }
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// Moves the bytes; ended with this.
    _driver: JoinSet<()>,
}

#[derive(Debug)]
struct Answer {
    response: Response<Incoming>,
    _connection: Connection,
}

/// JSON objects, one behind the other, for as long as the server tells them.
pub struct ObjectStream {
    client: HttpClient,
    call: String,
    state: StreamState,
    objects: ObjectSplitter,
}

enum StreamState {
    /// Kept here, so that who stops to wait for it does not lose it.
    Asked(Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>),
    Comes(Box<Answer>),
    Over,
}

impl std::fmt::Debug for ObjectStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client, call, .. } = self;
        f.debug_struct("ObjectStream")
            .field("client", client)
            .field("call", call)
            .finish_non_exhaustive()
    }
}

impl ObjectStream {
    /// Waits for the head of the answer. May be dropped while it waits.
    async fn start(&mut self) -> Result<(), CallError> {
        let StreamState::Asked(answer) = &mut self.state else {
            return Ok(());
        };
        let answer = answer.await;
        self.state = StreamState::Over;
        let mut answer = answer?;
        let status = answer.response.status();
        if !status.is_success() {
            let body = answer.response.body_mut();
            let limit = self.client.limits.answer;
            return Err(
                timeout(limit, self.client.refused(&self.call, status, body))
                    .await
                    .unwrap_or_else(|_| self.client.late(&self.call, limit)),
            );
        }
        self.state = StreamState::Comes(Box::new(answer));
        Ok(())
    }

    /// The next object's text; an error ends the stream. May be dropped while it waits, without a loss.
    pub async fn next(&mut self) -> Result<String, CallError> {
        let next = self.next_or_error().await;
        if next.is_err() {
            self.state = StreamState::Over;
        }
        next
    }

    async fn next_or_error(&mut self) -> Result<String, CallError> {
        self.start().await?;
        let Self {
            client,
            call,
            state,
            objects,
        } = self;
        loop {
            if let Some(object) = objects.take_object() {
                return String::from_utf8(object)
                    .map_err(|error| client.malformed(call, error.utf8_error().to_string()));
            }
            objects
                .check()
                .map_err(|problem| problem.into_call_error(client, call))?;
            let StreamState::Comes(answer) = state else {
                return Err(client.ended());
            };
            match answer.response.body_mut().frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        objects.extend(&data);
                    }
                }
                Some(Err(_)) | None if objects.is_inside() => {
                    return Err(client.malformed(call, "it ends inside an object"));
                }
                Some(Err(_)) | None => return Err(client.ended()),
            }
        }
    }
}

impl HttpClient {
    fn ended(&self) -> CallError {
        CallError::Ended {
            address: self.address.clone(),
        }
    }
}

impl super::json_objects::SplitProblem {
    fn into_call_error(self, client: &HttpClient, call: &str) -> CallError {
        match self {
            Self::TooLong(limit) => client.too_large(call, limit),
            Self::NotAnObject => client.malformed(call, "something that is no object is in it"),
        }
    }
}

/// Why a runtime that does not answer is not there, and what helps.
#[must_use]
pub fn not_there(error: &CallError) -> NotConnected {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    let mut kind = None;
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        kind = kind.or_else(|| cause.downcast_ref::<io::Error>().map(io::Error::kind));
        source = cause.source();
    }
    let remedy = match kind {
        Some(io::ErrorKind::NotFound) => "; is the runtime installed, and its socket elsewhere?",
        Some(io::ErrorKind::ConnectionRefused) => "; nobody listens there: is the runtime started?",
        Some(io::ErrorKind::PermissionDenied) => {
            "; run cgscope as root, or as a member of the socket's group"
        }
        _ => "",
    };
    NotConnected {
        why: Unavailable::not_yet(format!("{reason}{remedy}")),
        error: Some(error.name()),
    }
}
