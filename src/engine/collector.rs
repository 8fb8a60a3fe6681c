//! Folding what workers tell into a report, events and progress.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::{mpsc, watch};

use super::adapt::JobsAdapter;
use crate::{
    copy::Context,
    error::{Op, shown},
    event::{Counted, Done, Event, Progress},
    learned::Pair,
    outcomes::{Outcomes, Record},
    pair_report::PairReport,
    report::{Jobs, NotTried, Report},
    setting::Setting,
};

/// Whether somebody reads the stream of events.
#[derive(Clone, Debug, Default)]
pub(super) struct Listening(Arc<AtomicBool>);

impl Listening {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Which bytes were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// Those of all files, whether the copy has them or not.
    All,
    /// Those that are to be copied.
    ToBeCopied,
}

/// What a run leaves when it is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) report: Report,
    /// Events after those that are in the channel.
    pub(super) unread: VecDeque<Event>,
}

/// Folds what workers tell into a report, events and progress.
pub(super) struct Collector {
    context: Arc<Context>,
    report: Report,
    events: mpsc::Sender<Event>,
    progress: watch::Sender<Progress>,
    listening: Listening,
    /// Events from before anyone listened, or for a reader who is behind.
    backlog: VecDeque<Event>,
    /// Those among them that are not to be lost whoever listens: failures, and the first warning of each kind.
    backlog_kept: usize,
    missed: u64,
    directories_open: i64,
    /// What there is to be done in all, as far as it was counted.
    counted: Option<(Counted, Counts)>,
    started: Instant,
    adapt: JobsAdapter,
}

impl Collector {
    /// How many events are kept for a reader who has not come yet.
    pub(super) const BACKLOG: usize = 1024;

    pub(super) fn new(
        context: Arc<Context>,
        events: mpsc::Sender<Event>,
        progress: watch::Sender<Progress>,
        listening: Listening,
    ) -> Collector {
        Collector {
            context,
            report: Report::default(),
            events,
            progress,
            listening,
            backlog: VecDeque::new(),
            backlog_kept: 0,
            missed: 0,
            directories_open: 0,
            counted: None,
            started: Instant::now(),
            adapt: JobsAdapter::new(),
        }
    }

    /// Take in what a worker did.
    pub(super) fn absorb(&mut self, outcomes: Outcomes, workers: usize) {
        self.adapt.hear(&outcomes, &self.context);
        let Outcomes {
            totals,
            moved,
            declined,
            failures,
            warnings,
            records,
            retrying,
            directories_open,
            current,
            ..
        } = outcomes;
        self.directories_open += directories_open;
        self.report.totals.add(&totals);
        for (sum, part) in self.report.moved.iter_mut().zip(moved) {
            sum.files += part.files;
            sum.bytes += part.bytes;
        }
        for (sum, part) in self.report.declined.iter_mut().zip(declined) {
            *sum += part;
        }
        let (all, counted) = (self.context.ledger.found.all(), self.counted());
        self.progress.send_modify(|progress| {
            progress.totals = self.report.totals;
            // Others may not have told of theirs.
            progress.totals.entries_found = all.unwrap_or(progress.totals.entries_found);
            progress.walked = all.is_some();
            progress.counted = counted;
            progress.workers = workers;
            if let Some(current) = current {
                progress.current = Some(current.path());
            }
        });
        // What was done without a record was done while nobody read.
        if self.context.setting.job.entry_events {
            let recordable = totals.entries_done() + totals.deleted + totals.changed_while_copied;
            let recordable = recordable - totals.failed - totals.excluded;
            self.missed += recordable - records.len() as u64;
            if self.listening.has_begun() && !self.events.is_closed() {
                self.context.ledger.records_wanted.store(true, Ordering::Relaxed);
            }
        }
        for record in records {
            self.keep(entry_event(record));
        }
        for warning in warnings {
            if self.report.record_warning(&warning) {
                tracing::warn!(path = %shown(&warning.path), cause = %warning.cause, "{}", warning.kind.described());
                self.keep(Event::Warned(warning));
            }
        }
        for again in retrying {
            *self.report.retries.entry((again.failure.op(), again.failure.errno())).or_default() += 1;
            self.keep(Event::Retrying(again));
        }
        for failure in failures {
            self.keep(Event::Failed(failure.duplicate()));
            self.report.record_failure(failure);
        }
    }

    /// What the run did not come to: neither done nor begun.
    fn not_tried(&self) -> NotTried {
        if let Some(counted) = self.context.ledger.counted.get() {
            return NotTried { entries: *counted, at_least: false };
        }
        let totals = &self.report.totals;
        let begun = totals.entries_done() + self.directories_open.max(0).cast_unsigned();
        // What lies in a directory that could not be made, or not be listed, was never found.
        let is_unlisted = |(op, _): &(Op, Option<i32>)| matches!(op, Op::CreateDirectory | Op::List);
        let at_least =
            self.context.ledger.found.all().is_none() || self.report.failure_counts.keys().any(is_unlisted);
        NotTried { entries: totals.entries_found.saturating_sub(begun), at_least }
    }

    /// Take in what there is to be done in all, as far as it is counted now.
    pub(super) fn count(&mut self, counted: Counted, counts: Counts) {
        self.counted = Some((counted, counts));
        let counted = self.counted();
        self.progress.send_modify(|progress| progress.counted = counted);
    }

    fn counted(&self) -> Option<Counted> {
        let (counted, counts) = self.counted?;
        Some(match counts {
            Counts::ToBeCopied => counted,
            Counts::All => {
                let bytes = counted.bytes.saturating_sub(self.report.totals.bytes_left_alone);
                Counted { bytes, ..counted }
            }
        })
    }

    fn keep(&mut self, event: Event) {
        if self.events.is_closed() {
            self.context.ledger.records_wanted.store(false, Ordering::Relaxed);
            return;
        }
        let is_kept = is_never_lost(&event);
        if self.listening.has_begun() || is_kept || self.backlog.len() - self.backlog_kept < Self::BACKLOG - 1
        {
            self.backlog_kept += usize::from(is_kept);
            return self.backlog.push_back(event);
        }
        // Nobody came to read: entries that were kept are let go, and no more are kept.
        self.context.ledger.records_wanted.store(false, Ordering::Relaxed);
        let is_entry = |event: &Event| matches!(event, Event::Entry { .. });
        let entries = self.backlog.iter().chain([&event]).filter(|event| is_entry(event)).count();
        self.missed += entries as u64;
        self.backlog.retain(is_never_lost);
    }

    /// Whether there are events for somebody who reads them; until they are delivered, nothing more
    /// should be absorbed.
    pub(super) fn is_behind(&self) -> bool {
        self.listening.has_begun() && !self.backlog.is_empty()
    }

    /// Deliver what was kept, waiting for its reader; whenever that is broken off, nothing is lost.
    pub(super) async fn deliver(&mut self) {
        self.tell_missed();
        while !self.backlog.is_empty() {
            let Ok(room) = self.events.reserve().await else {
                self.backlog_kept = 0;
                return self.backlog.clear(); // nobody will read them
            };
            // Taken only now, for whoever breaks the waiting off.
            let event = self.backlog.pop_front().expect("it was there, and is nobody else's");
            self.backlog_kept -= usize::from(is_never_lost(&event));
            room.send(event);
        }
    }

    fn tell_missed(&mut self) {
        if self.missed > 0 {
            let entries = std::mem::take(&mut self.missed);
            self.backlog.push_front(Event::Missed { entries });
        }
    }

    /// The run is over: say what was done, and hand over the events that nobody has read yet; a reader who
    /// never comes is not waited for.
    pub(super) fn finish(mut self) -> Ended {
        self.tell_missed();
        let need = self.context.queue.need();
        self.report.jobs = Jobs {
            limit: need.limit,
            peak: need.peak,
            reason: self.context.workers.reason.get().cloned().unwrap_or_default(),
            steps: self.adapt.steps(),
        };
        let Setting { job, capabilities, .. } = &*self.context.setting;
        let learned = |pair: &Arc<Pair>| PairReport::learned(pair, &job.data, capabilities, self.started);
        self.report.pairs = self.context.pairs().iter().map(learned).collect();
        self.report.ring_refused = self.context.large.ring_refused.get().cloned();
        self.report.stopped = self.context.ledger.stopped.get().cloned();
        self.report.cancelled = self.context.setting.cancel.is_cancelled() && self.report.stopped.is_none();
        let ended_early = self.report.cancelled || self.report.stopped.is_some();
        self.report.not_tried = ended_early.then(|| self.not_tried());
        self.report.elapsed = self.started.elapsed();
        let (all, counted) = (self.context.ledger.found.all(), self.counted());
        self.progress.send_modify(|progress| {
            progress.walked |= all.is_some();
            progress.counted = counted;
            progress.workers = 0;
        });
        let totals = &self.report.totals;
        tracing::info!(
            files = totals.files_copied,
            bytes = totals.bytes_copied,
            failed = totals.failed,
            cancelled = self.report.cancelled,
            elapsed = ?self.report.elapsed,
            "run finished"
        );
        Ended { report: self.report, unread: self.backlog }
    }
}

/// Whether an event is kept for a reader however late he comes.
fn is_never_lost(event: &Event) -> bool {
    matches!(event, Event::Failed(_) | Event::Warned(_))
}

fn entry_event(record: Record) -> Event {
    let Record { place, name, kind, done, bytes, digest, differs, cost } = record;
    let path = match done {
        Done::Deleted => place.path_in_copy(&name),
        _ => place.target_path(&name, kind),
    };
    Event::Entry { path, kind, done, bytes, digest, differs, cost }
}
