//! What failed and may be tried again, and waiting until then.

use std::{
    ffi::CStr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Again, Copier, Unit};
use crate::{
    entry::Kind,
    error::{Failure, Fault},
    event::Retrying,
    large::RangeOf,
    scheduler::sleep_until,
    tree::DirNode,
};

impl Copier {
    /// Note that an entry failed, unless it is to be tried again, for which it then waits.
    pub(crate) fn fail_or_retry(
        &mut self,
        node: &Arc<DirNode>,
        name: &CStr,
        listed: Option<Kind>,
        tried: u32,
        fault: Fault,
    ) {
        if !self.setting.may_retry(&fault, tried) {
            if let Err(fault) = self.set_aside(node, name, listed, fault) {
                self.fail(node, name, listed, fault);
            }
            return;
        }
        let again = Again { node: node.add_pending(), name: name.into(), listed, tried: tried + 1 };
        self.retry_later(Unit::Again(again), tried, node.failure(name, listed, fault));
    }

    /// Try what is left of a range again.
    pub(crate) fn retry_range(&mut self, mut range: RangeOf, fault: Fault) {
        let tried = range.tried;
        range.tried += 1;
        let failure = range.file.failure(fault);
        self.retry_later(Unit::Range(range), tried, failure);
    }

    /// Put a unit aside until it may be tried again.
    pub(crate) fn retry_later(&mut self, unit: Unit, tried: u32, failure: Failure) {
        self.teller.notes.forget();
        self.teller.notes.is_put_aside = true;
        let wait = self.wait_before(tried);
        tracing::info!(cause = %failure.cause(), ?wait, "tried again later: {failure}");
        self.teller.outcomes.retrying.push(Retrying { failure, tried: tried + 1, wait });
        self.run.queue.delay(unit, Instant::now() + wait);
    }

    /// How long to wait before something is tried again that was tried so often, with some jitter.
    fn wait_before(&self, tried: u32) -> Duration {
        let chance = self.run.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 20;
        self.setting.job.retry.wait_before(tried, chance)
    }

    /// Do something to a directory, again where that may help: nothing else is waiting to be done by it.
    pub(crate) fn with_retries<T>(
        &mut self,
        node: &DirNode,
        mut work: impl FnMut(&mut Copier) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut tried = 0;
        let of_entry = self.teller.notes.tried;
        loop {
            self.teller.notes.tried = tried;
            let done = work(self);
            self.teller.notes.tried = of_entry;
            match done {
                Err(fault) if self.setting.may_retry(&fault, tried) => {
                    self.back_off(node.failure(c"", Some(Kind::Directory), fault), tried);
                    tried += 1;
                }
                done => return done,
            }
        }
    }

    /// Wait here before something is tried again that nothing else can be done without.
    pub(crate) fn back_off(&mut self, failure: Failure, tried: u32) {
        let wait = self.wait_before(tried);
        self.teller.outcomes.retrying.push(Retrying { failure, tried: tried + 1, wait });
        self.teller.tell();
        self.hands.give_all(); // what else it has is for whoever has nothing
        sleep_until(self.hands.permit(), &self.setting.cancel, Instant::now() + wait, || false);
        self.teller.restart_clock();
    }
}
