//! Adapting the number of workers to the device, from what they tell.

use std::time::{Duration, Instant};

use crate::{
    copy::Context,
    outcomes::{Effort, Outcomes},
    plan::{Climb, Seen, Why},
    report::JobsStep,
};

/// Adapts the number of one run's workers, where nobody has asked for a certain one.
pub(super) struct JobsAdapter {
    climb: Option<Climb>,
    began: Instant,
    since: Instant,
    entries: u64,
    bytes: u64,
    effort: Effort,
    /// From the beginning, until when nothing is heard: new workers have to come first.
    deaf_until: Duration,
    /// How often it was looked, and how often all workers there may be were there.
    looks: u32,
    full: u32,
    steps: Vec<JobsStep>,
}

impl JobsAdapter {
    /// An entry counts as much as this many bytes.
    const BYTES_PER_ENTRY: f64 = 65536.0;
    /// How long new workers take to come, and those that are too many to leave.
    const SETTLING: Duration = Duration::from_millis(100);
    /// The steps of which a report tells.
    const STEPS: usize = 100;

    pub(super) fn new() -> JobsAdapter {
        let now = Instant::now();
        JobsAdapter {
            climb: None,
            began: now,
            since: now,
            entries: 0,
            bytes: 0,
            effort: Effort::default(),
            deaf_until: Duration::ZERO,
            looks: 0,
            full: 0,
            steps: Vec::new(),
        }
    }

    /// Take in what a worker did, and change the number of workers if that looks worthwhile.
    pub(super) fn hear(&mut self, outcomes: &Outcomes, context: &Context) {
        let is_chosen = context.workers.reason.get().is_some();
        if context.workers.limit.asked.is_some() || !is_chosen || context.setting.cancel.is_cancelled() {
            return;
        }
        if self.began.elapsed() < self.deaf_until {
            return;
        }
        let need = context.queue.need();
        self.entries += outcomes.totals.entries_done();
        self.bytes = self.bytes.saturating_add(outcomes.totals.bytes_copied);
        self.effort.worked += outcomes.effort.worked;
        if let Some(computed) = outcomes.effort.computed {
            *self.effort.computed.get_or_insert_default() += computed;
        }
        let is_full = need.alive >= need.limit && !context.workers.permits.are_waited_for();
        self.looks += 1;
        self.full += u32::from(is_full);
        let seen = self.seen();
        let climb = self.climb.get_or_insert_with(|| Climb::new(need.limit, context.jobs_max()));
        if !climb.is_enough(seen.took, self.entries) {
            return;
        }
        if let (Some(step), at) = (climb.look(seen), self.began.elapsed()) {
            let why = match step.why {
                Why::Waiting(percent) => format!("they wait for {percent} % of their time"),
                Why::NoFaster(percent) => format!("the rate changed by {percent} % only"),
            };
            tracing::info!("workers: {} instead of {}, as {why}", step.to, step.from);
            context.queue.set_limit(step.to);
            self.deaf_until = at + Self::SETTLING;
            if self.steps.len() < Self::STEPS {
                self.steps.push(JobsStep { at, from: step.from, to: step.to, reason: why });
            }
        }
        self.look_anew();
    }

    fn seen(&self) -> Seen {
        let worked = self.effort.worked.as_secs_f64().max(f64::MIN_POSITIVE);
        Seen {
            took: self.since.elapsed(),
            done: self.entries as f64 + self.bytes as f64 / Self::BYTES_PER_ENTRY,
            // Where it cannot be told, nothing is tried.
            busy: self.effort.computed.map_or(1.0, |computed| computed.as_secs_f64() / worked),
            all_worked: self.full * 2 > self.looks,
        }
    }

    fn look_anew(&mut self) {
        self.since = Instant::now().max(self.began + self.deaf_until);
        (self.entries, self.bytes, self.effort) = (0, 0, Effort::default());
        (self.looks, self.full) = (0, 0);
    }

    /// Every change there was.
    pub(super) fn steps(&mut self) -> Vec<JobsStep> {
        std::mem::take(&mut self.steps)
    }
}
