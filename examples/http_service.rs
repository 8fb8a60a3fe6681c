//! A small service that copies trees on request.
//!
//! ```text
//! cargo run --example http_service -- ROOT [ADDRESS]
//!
//! curl -d '{"source":"photos","destination":"backup"}' -H 'content-type: application/json' \
//!      127.0.0.1:8080/copies
//! curl -N 127.0.0.1:8080/copies/1/events
//! curl -X DELETE 127.0.0.1:8080/copies/1
//! ```
//!
//! Paths are relative to ROOT, and nothing outside of it is read or written. That is checked when a
//! copy is asked for, so nobody else must be able to move directories of ROOT meanwhile. There is
//! no authentication: keep ADDRESS (127.0.0.1:8080 by default) on this machine, or put something
//! before it.
//!
//! The copies share one engine and so its workers. Any number of clients may listen to one; none
//! can slow it: whoever is too slow is told how many events were missed.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env,
    error::Error,
    fs,
    future::ready,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path as InUrl, State},
    http::StatusCode,
    response::sse::{Event as Message, KeepAlive, Sse},
    routing::{delete, get, post},
};
use futures::{FutureExt, Stream, StreamExt, future::Either, stream};
use orbit::{Canceller, CopyJob, Engine, Event, Report, Run};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

/// What a client asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    source: PathBuf,
    destination: PathBuf,
}

enum Copy {
    Running {
        canceller: Canceller,
        news: broadcast::Sender<News>,
    },
    /// It is over; the last of the news is for those who come late.
    Over(News),
}

impl Copy {
    fn cancel(&self) {
        if let Copy::Running { canceller, .. } = self {
            canceller.cancel();
        }
    }
}

/// One message about a copy: its kind, and what there is to say.
type News = (&'static str, Value);
type Refusal = (StatusCode, String);

struct Service {
    root: PathBuf,
    engine: Engine,
    copies: Mutex<BTreeMap<u64, Copy>>,
    last_id: AtomicU64,
}

impl Service {
    /// Copies that are remembered, those that are over included.
    const COPIES_MAX: usize = 1000;
    /// News that a listener may be behind.
    const NEWS_KEPT: usize = 1024;

    fn copies(&self) -> MutexGuard<'_, BTreeMap<u64, Copy>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A path below the root, where links do not lead out of it either.
    async fn below_root(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let refused = |why: String| (StatusCode::BAD_REQUEST, format!("{}: {why}", path.display()));
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let whole = self.root.join(path);
        // The last name is not followed: a link is copied as a link, and replaced as one.
        if let (true, Some(parent), Some(name)) = (is_plain, whole.parent(), whole.file_name()) {
            let parent = tokio::fs::canonicalize(parent).await.map_err(|error| refused(error.to_string()))?;
            if parent.starts_with(&self.root) {
                return Ok(parent.join(name));
            }
        }
        Err(refused("not a path below the root".to_owned()))
    }
}

async fn start(
    State(service): State<Arc<Service>>,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let source = service.below_root(&request.source).await?;
    let destination = service.below_root(&request.destination).await?;
    let mut copies = service.copies();
    if copies.len() >= Service::COPIES_MAX {
        return Err((StatusCode::TOO_MANY_REQUESTS, "too many copies: delete some".to_owned()));
    }
    let id = service.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    let run = service.engine.start(CopyJob::new(source, destination));
    let (news, _) = broadcast::channel(Service::NEWS_KEPT);
    copies.insert(id, Copy::Running { canceller: run.canceller(), news: news.clone() });
    drop(copies);
    tokio::spawn(tell(service, id, run, news));
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "events": format!("/copies/{id}/events") }))))
}

/// Tell all listeners what a copy does, until it ends.
async fn tell(service: Arc<Service>, id: u64, mut run: Run, news: broadcast::Sender<News>) {
    while let Some(event) = run.next().await {
        let _ = news.send(described(&event)); // fails when nobody listens, which is fine
    }
    let end = match run.finish().await {
        Ok(report) => ("finished", summary(&report)),
        Err(error) => ("aborted", json!(error.to_string())),
    };
    if let Some(copy) = service.copies().get_mut(&id) {
        *copy = Copy::Over(end.clone());
    }
    let _ = news.send(end);
}

async fn events(
    State(service): State<Arc<Service>>,
    InUrl(id): InUrl<u64>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, StatusCode> {
    let copies = service.copies();
    let copy = copies.get(&id).ok_or(StatusCode::NOT_FOUND)?;
    let news = match copy {
        Copy::Over(end) => Either::Left(stream::once(ready(end.clone()))),
        Copy::Running { news, .. } => {
            Either::Right(BroadcastStream::new(news.subscribe()).map(|news| match news {
                Ok(news) => news,
                Err(BroadcastStreamRecvError::Lagged(count)) => ("missed", json!({ "events": count })),
            }))
        }
    };
    let messages = news.map(|(kind, what)| Ok(Message::default().event(kind).data(what.to_string())));
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()))
}

/// Cancel a copy and forget it; what it had finished stays.
async fn cancel(State(service): State<Arc<Service>>, InUrl(id): InUrl<u64>) -> StatusCode {
    match service.copies().remove(&id) {
        Some(copy) => {
            copy.cancel();
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

fn described(event: &Event) -> News {
    match event {
        Event::Entry { path, done, bytes, .. } => {
            let done = format!("{done:?}").to_lowercase();
            ("entry", json!({ "path": path.to_string_lossy(), "done": done, "bytes": bytes }))
        }
        Event::Failed(failure) => {
            ("failed", json!({ "failure": failure.to_string(), "cause": failure.cause().to_string() }))
        }
        Event::Warned(warning) => {
            ("warned", json!({ "path": warning.path.to_string_lossy(), "loss": warning.kind.described() }))
        }
        Event::Missed { entries } => ("missed", json!({ "events": entries })),
        _ => ("other", Value::Null),
    }
}

fn summary(report: &Report) -> Value {
    json!({
        "complete": report.is_complete(),
        "cancelled": report.cancelled,
        "files": report.totals.files_copied,
        "bytes": report.totals.bytes_copied,
        "failed": report.totals.failed,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let root = arguments.next().ok_or("usage: http_service ROOT [ADDRESS]")?;
    let address = arguments.next().map_or(Ok("127.0.0.1:8080".to_owned()), |address| {
        address.into_string().map_err(|_| "the address is not text")
    })?;
    let service = Arc::new(Service {
        root: fs::canonicalize(root)?,
        engine: Engine::new()?,
        copies: Mutex::default(),
        last_id: AtomicU64::new(0),
    });
    let routes = Router::new()
        .route("/copies", post(start))
        .route("/copies/{id}/events", get(events))
        .route("/copies/{id}", delete(cancel))
        .with_state(service.clone());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let stopping = service.clone();
    let stop = tokio::signal::ctrl_c().map(move |_| {
        // Listeners are told the end, which ends their connections.
        stopping.copies().values().for_each(Copy::cancel);
    });
    axum::serve(listener, routes).with_graceful_shutdown(stop).await?;
    service.engine.quiesce().await;
    Ok(())
}
