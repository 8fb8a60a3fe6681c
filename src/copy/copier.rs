//! The worker of a copying run.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Again, Batch, Context, LinkBatch, Tools, Unit};
use crate::{
    entry::Kind,
    error::Fault,
    guard::{caught, panicked},
    outcomes::{Outcomes, Teller},
    platform,
    scheduler::{Hands, Permit, Worker, wait_in_shortage, work},
    setting::Setting,
    transfer::Watch,
    tree::WaitingName,
};

/// A worker of a copying run: performs units, one entry after the other.
pub(crate) struct Copier {
    pub(crate) setting: Arc<Setting>,
    pub(crate) run: Arc<Context>,
    pub(crate) hands: Hands<Unit>,
    pub(crate) teller: Teller,
    pub(crate) tools: Tools,
}

impl Worker for Copier {
    type Unit = Unit;

    fn hands(&mut self) -> &mut Hands<Unit> {
        &mut self.hands
    }

    fn perform(&mut self, unit: Unit) {
        let was_stopped = self.is_run_stopped();
        // Entries are guarded one by one; this is for what lies between them.
        let performed = caught(|| {
            self.perform_unit(unit);
            Ok(())
        });
        if let Err(fault) = performed {
            self.fail_run(fault);
        }
        if !was_stopped && self.is_run_stopped() {
            self.run.queue.wake_all(); // whoever waits has nothing to wait for
        }
    }

    fn emptied(&mut self) {
        self.teller.tell(); // whoever waits must not sit on news
    }

    fn woke(&mut self) {
        self.teller.restart_clock();
    }

    fn should_leave(&self) -> bool {
        self.teller.should_leave(&self.hands)
    }
}

impl Copier {
    /// Work until nothing is left, nobody needs this worker, or the run is cancelled; what it did
    /// and has not told is what it returns.
    pub(crate) fn run(run: Arc<Context>, permit: Permit) -> Outcomes {
        let setting = run.setting.clone();
        let Some(hands) = Hands::enter(&run.queue, &run.workers.permits, &setting.cancel, permit) else {
            return Outcomes::default();
        };
        let descriptors = setting.descriptors.clone();
        let _waits = wait_in_shortage(hands.permit(), &setting.cancel, move |waited, now| {
            descriptors.wait_after(waited, now)
        });
        let teller = Teller::new(run.ledger.clone(), hands.permit().clone());
        let was = setting.job.limits.idle_io.then(platform::begin_idle_io);
        let mut copier = Copier { setting, run, hands, teller, tools: Tools::new() };
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut copier)));
        // The thread is the host's, and goes back to it as it came.
        was.into_iter().for_each(platform::end_idle_io);
        if let Err(panic) = worked {
            // Outside of any entry: whatever it was, the run must not wait for this worker.
            copier.fail_run(panicked(&*panic));
            if copier.is_run_stopped() {
                copier.run.queue.wake_all();
            }
            copier.hands.leave();
        }
        copier.teller.outcomes
    }

    /// Whether there is a reason why the run does not go on.
    fn is_run_stopped(&self) -> bool {
        self.run.ledger.stopped.get().is_some()
    }

    /// Note that something failed that is no entry, though it may have been the work on many.
    fn fail_run(&mut self, fault: Fault) {
        let path = self.setting.job.sources.first().cloned().unwrap_or_default();
        self.run.extraneous.count_failed(None);
        self.fail_at(fault.at(path));
    }

    fn perform_unit(&mut self, unit: Unit) {
        if self.teller.is_cancelled() {
            return self.abandon(unit);
        }
        match unit {
            Unit::Source(index) => self.guarded_source(index),
            Unit::List(node) => self.list(node),
            Unit::Batch(batch) => batch.node.span.clone().in_scope(|| self.batch(batch)),
            Unit::LeadGroup(waiting, group) => {
                let WaitingName { node, name } = waiting;
                self.guarded(&node, &name, |copier| copier.lead_group(&node, &name, group));
                self.finish_if_last(node);
            }
            Unit::LinkNames(late) => self.link_names(late),
            Unit::Range(range) => self.perform_range(range),
            Unit::Hash(unit) => self.perform_hash(unit),
            Unit::Delete(within) => self.deleter().delete(&within),
            Unit::Again(again) => {
                let Again { node, name, listed, tried } = again;
                self.holding(listed, |copier| {
                    copier.guarded(&node, &name, |copier| copier.attempt(&node, None, &name, listed, tried));
                });
                self.finish_if_last(node);
            }
            Unit::Replace => self.replace(),
            Unit::Clear => self.clear(),
            Unit::Conclude => self.finish_run(false),
        }
    }

    fn batch(&mut self, mut batch: Batch) {
        // Once, and not for each entry: other workers count references to the same.
        let (node, names) = (batch.node.clone(), batch.names.clone());
        let only_counts = self.setting.job.only_counts;
        // Where they cannot be opened, each entry says so.
        let open = if only_counts { None } else { node.dirs().ok() };
        while batch.next < batch.end {
            if self.teller.is_cancelled() {
                return;
            }
            let (name, kind) = names.get(batch.next);
            batch.next += 1;
            let below = self.hands.count();
            if self.teller.has_looked() {
                self.teller.announce(&node.place, name);
            }
            self.holding(kind, |copier| {
                copier.guarded(&node, name, |copier| match only_counts {
                    false => copier.entry(&node, open.as_deref(), name, kind),
                    true => copier.count_entry(&node, name, kind),
                });
            });
            self.teller.look();
            if self.teller.has_looked() {
                self.hands.take_permit_again();
                self.replace_if_late();
            }
            // Asked as seldom as the clock.
            let leaves = self.teller.is_stuck() || self.teller.has_looked() && self.should_leave();
            if self.hands.count() > below || leaves {
                // Depth first, and one large file at a time: what the entry holds comes before
                // the entries beside it.
                let is_last = batch.next == batch.end;
                if !is_last {
                    self.hands.push_below(below, Unit::Batch(batch));
                }
                self.hands.share_if_wanted();
                if is_last {
                    self.finish_if_last(node);
                }
                return;
            }
            if self.run.queue.is_hungry() {
                self.share(&mut batch);
            }
        }
        drop(node);
        self.finish_or_close(batch.node);
    }

    /// Do something about an entry that was listed as `listed`: what it may hold is found then, or never, unless
    /// it is tried again later.
    fn holding(&mut self, listed: Option<Kind>, work: impl FnOnce(&mut Copier)) {
        if !self.run.ledger.found.may_hold(listed) {
            return work(self);
        }
        self.teller.notes.is_put_aside = false;
        work(self);
        if !self.teller.notes.is_put_aside {
            self.run.ledger.found.closed();
        }
    }

    fn link_names(&mut self, mut late: LinkBatch) {
        while let Some(parked) = late.names.pop() {
            let below = self.hands.count();
            self.link_waiting(parked, late.group);
            self.teller.look();
            let half = if self.run.queue.is_hungry() { late.split() } else { None };
            if let Some(half) = half {
                self.run.queue.give([Unit::LinkNames(half)]);
            }
            if self.hands.count() > below || self.teller.is_cancelled() || self.should_leave() {
                return self.hands.push_below(below, Unit::LinkNames(late)); // depth first, as in a batch
            }
        }
    }

    /// Drop a unit of a cancelled run; only large files leave something to clean up.
    fn abandon(&mut self, unit: Unit) {
        match unit {
            Unit::Range(range) => self.end_range(range.file),
            Unit::Hash(hash) => self.end_part(hash.file),
            Unit::Replace => self.replace(), // it sees for itself that nothing is to be replaced
            Unit::Conclude => self.finish_run(true),
            _ => {}
        }
    }

    /// The last thing that a run does.
    pub(super) fn finish_run(&mut self, is_cancelled: bool) {
        self.run.resume.close_journals(&mut self.teller, is_cancelled);
        self.run.durability.remove_all_marks(&mut self.teller);
        if !is_cancelled {
            self.run.durability.sync_filesystems(&self.run.space, &mut self.teller);
        }
    }

    /// Give work to whoever has none: of what is at hand, or else half of the batch that this worker is at.
    fn share(&mut self, batch: &mut Batch) {
        if !self.hands.share(true)
            && let Some(half) = batch.split()
        {
            self.run.queue.give([Unit::Batch(half)]);
        }
    }
}
