//! What of a large file is in memory and not on its device yet.

use std::fs::File;

use crate::{
    error::{During, Fault, Op},
    learned::Writing,
    platform::{self, Memory},
};

/// What becomes in memory of a large file that is copied through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// The system writes it when it sees fit.
    Left,
    /// It is written while it is copied, so that no backlog grows; unless leaving it proves much faster.
    Weighed,
    /// It is written while it is copied.
    Written,
    /// It is written, and memory lets go of it and, where that was not in memory before, of its source.
    Forgotten { source: bool },
}

impl Trace {
    /// A file that takes more than this part of the available memory pushes others out.
    const SHARE: u64 = 4;

    pub(crate) fn writing(self) -> Writing {
        match self {
            Trace::Left => Writing::Later,
            Trace::Weighed => Writing::Weighed,
            Trace::Written | Trace::Forgotten { .. } => Writing::Meanwhile,
        }
    }

    /// What is to become of a file of `size` bytes; `must_last` says that it has to be durable before it counts.
    ///
    /// `is_cached` is asked only where it matters: whether memory has the source.
    pub(crate) fn of(
        size: u64,
        must_last: bool,
        memory: Option<Memory>,
        is_cached: impl FnOnce() -> bool,
    ) -> Trace {
        match memory {
            Some(memory) if size > memory.available / Self::SHARE => {
                Trace::Forgotten { source: !is_cached() }
            }
            Some(memory) if size > memory.limit || must_last => Trace::Written,
            Some(memory) if size > memory.background => Trace::Weighed,
            _ => Trace::Left,
        }
    }
}

/// What a worker has written of a range, and what of it is not known to be on its device.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Everything below is.
    done: u64,
    /// Everything below is being written.
    begun: u64,
}

impl Backlog {
    /// Bytes of a range that may be in memory alone, so many for each worker.
    const MOST: u64 = 8 << 20;

    pub(crate) fn at(at: u64) -> Backlog {
        Backlog { done: at, begun: at }
    }

    /// The range is in place up to `at`.
    pub(crate) fn reached(
        &mut self,
        at: u64,
        source: &File,
        destination: &File,
        trace: Trace,
    ) -> Result<(), Fault> {
        if trace == Trace::Left {
            *self = Backlog::at(at);
        }
        if at <= self.begun {
            return Ok(());
        }
        platform::begin_writeback(destination, self.begun, at - self.begun).during(Op::Write)?;
        self.begun = at;
        let settled = at.saturating_sub(Self::MOST);
        if settled > self.done {
            let length = settled - self.done;
            platform::await_writeback(destination, self.done, length).during(Op::Write)?;
            if let Trace::Forgotten { source: with_source } = trace {
                // Advice: who does not take it holds on to more.
                let _ = platform::forget(destination, self.done, length);
                if with_source {
                    let _ = platform::forget(source, self.done, length);
                }
            }
            self.done = settled;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_leave_memory_as_they_are_large_against_it() {
        const GIB: u64 = 1 << 30;
        let memory = Some(Memory { available: 12 * GIB, background: GIB, limit: 2 * GIB });
        for (size, must_last, is_cached, expected) in [
            (GIB, false, false, Trace::Left),
            (GIB, true, false, Trace::Written),
            (GIB + 1, false, false, Trace::Weighed),
            (2 * GIB + 1, false, false, Trace::Written),
            (3 * GIB + 1, false, false, Trace::Forgotten { source: true }),
            (3 * GIB + 1, true, true, Trace::Forgotten { source: false }),
        ] {
            assert_eq!(Trace::of(size, must_last, memory, || is_cached), expected, "{size} {must_last}");
        }
        assert_eq!(Trace::of(u64::MAX, false, None, || unreachable!()), Trace::Left);
    }
}
