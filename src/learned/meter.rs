//! How fast the bytes of large files move, measured over stretches of them.

use std::time::{Duration, Instant};

/// A stretch that was measured: bytes of large files that went one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) bytes: u64,
    /// Time in which at least one worker was at a large file.
    pub(crate) wall: Duration,
    /// CPU time of the process meanwhile.
    pub(crate) cpu: Duration,
    /// Whether one file had several workers.
    pub(crate) was_shared: bool,
}

/// Measures stretches, whoever moves their bytes.
///
/// When the way changes, workers that are in mid-step go the old way for a moment more. Only when all of them have
/// come over does the clock run; of a step that had begun before, a part counts as large as that of its time.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    epoch: u32,
    /// Workers that go the present way, and such as still go an earlier one.
    working: usize,
    stale: usize,
    /// Since when the clock runs, and what the process had computed by then.
    since: Option<(Instant, Duration)>,
    wall: Duration,
    cpu: Duration,
    bytes: u64,
    was_shared: bool,
}

/// A worker's part in what is measured.
#[derive(Debug)]
pub(crate) struct Ticket {
    epoch: u32,
    /// Since when its bytes count that it has not told.
    since: Instant,
}

impl Meter {
    /// A worker begins.
    pub(crate) fn join(&mut self, now: Instant, cpu: impl FnOnce() -> Duration) -> Ticket {
        self.working += 1;
        self.run(now, cpu);
        Ticket { epoch: self.epoch, since: now }
    }

    /// A worker has moved so many bytes more.
    pub(crate) fn add(
        &mut self,
        ticket: &mut Ticket,
        bytes: u64,
        is_shared: bool,
        now: Instant,
        cpu: impl FnOnce() -> Duration,
    ) {
        if ticket.epoch == self.epoch {
            if let Some((since, _)) = self.since {
                let took = now.saturating_duration_since(ticket.since).as_nanos().max(1);
                let counts = now.saturating_duration_since(since.max(ticket.since)).as_nanos().min(took);
                self.bytes += u64::try_from(u128::from(bytes) * counts / took).expect("a part of a u64");
                self.was_shared |= is_shared;
            }
        } else {
            ticket.epoch = self.epoch;
            self.stale -= 1;
            self.working += 1;
            self.run(now, cpu);
        }
        ticket.since = now;
    }

    /// A worker stops.
    pub(crate) fn leave(&mut self, ticket: &Ticket, now: Instant, cpu: impl FnOnce() -> Duration) {
        if ticket.epoch == self.epoch {
            self.working -= 1;
            if self.working == 0 {
                self.pause(now, cpu);
            }
        } else {
            self.stale -= 1;
            if self.working > 0 {
                self.run(now, cpu);
            }
        }
    }

    /// The stretch so far, if the clock has run.
    pub(crate) fn stretch(&self, now: Instant, cpu: impl FnOnce() -> Duration) -> Stretch {
        let (wall, computed) = match self.since {
            Some((since, before)) => (now.saturating_duration_since(since), cpu().saturating_sub(before)),
            None => Default::default(),
        };
        Stretch {
            bytes: self.bytes,
            wall: self.wall + wall,
            cpu: self.cpu + computed,
            was_shared: self.was_shared,
        }
    }

    /// Bytes of the stretch so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Begin another stretch, which goes the same way.
    pub(crate) fn begin(&mut self, now: Instant, cpu: impl FnOnce() -> Duration) {
        (self.bytes, self.wall, self.cpu, self.was_shared) = (0, Duration::ZERO, Duration::ZERO, false);
        if self.since.is_some() {
            self.since = Some((now, cpu()));
        }
    }

    /// Begin another stretch, which goes another way.
    pub(crate) fn change(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.stale += std::mem::take(&mut self.working);
        (self.bytes, self.wall, self.cpu, self.was_shared) = (0, Duration::ZERO, Duration::ZERO, false);
        self.since = None;
    }

    fn run(&mut self, now: Instant, cpu: impl FnOnce() -> Duration) {
        if self.stale == 0 && self.since.is_none() {
            self.since = Some((now, cpu()));
        }
    }

    fn pause(&mut self, now: Instant, cpu: impl FnOnce() -> Duration) {
        if let Some((since, before)) = self.since.take() {
            self.wall += now.saturating_duration_since(since);
            self.cpu += cpu().saturating_sub(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A clock that counts milliseconds, half of which the process computes.
    struct Clock(Instant);

    impl Clock {
        fn at(&self, millis: u64) -> Instant {
            self.0 + Duration::from_millis(millis)
        }
    }

    fn cpu(millis: u64) -> impl FnOnce() -> Duration {
        move || Duration::from_millis(millis) / 2
    }

    #[test]
    fn the_clock_runs_while_somebody_is_at_work() {
        let (mut meter, clock) = (Meter::default(), Clock(Instant::now()));
        let mut first = meter.join(clock.at(10), cpu(10));
        meter.add(&mut first, 4 * MIB, false, clock.at(20), cpu(20));
        meter.leave(&first, clock.at(20), cpu(20));
        let mut second = meter.join(clock.at(50), cpu(50));
        let mut third = meter.join(clock.at(55), cpu(55));
        meter.add(&mut second, 4 * MIB, true, clock.at(60), cpu(60));
        meter.add(&mut third, 4 * MIB, true, clock.at(70), cpu(70));
        let stretch = meter.stretch(clock.at(70), cpu(70));
        let millis = Duration::from_millis;
        let expected = Stretch { bytes: 12 * MIB, wall: millis(30), cpu: millis(15), was_shared: true };
        assert_eq!(stretch, expected);
        meter.begin(clock.at(70), cpu(70));
        meter.add(&mut second, 4 * MIB, false, clock.at(80), cpu(80));
        let stretch = meter.stretch(clock.at(80), cpu(80));
        assert_eq!(stretch.bytes, 2 * MIB, "half of its time lay before");
        assert_eq!(stretch.wall, millis(10));
    }

    #[test]
    fn nothing_counts_until_all_go_the_new_way() {
        let (mut meter, clock) = (Meter::default(), Clock(Instant::now()));
        let mut first = meter.join(clock.at(0), cpu(0));
        let mut second = meter.join(clock.at(0), cpu(0));
        let third = meter.join(clock.at(0), cpu(0));
        meter.change();
        meter.add(&mut first, 4 * MIB, false, clock.at(10), cpu(10)); // it went the old way
        meter.add(&mut first, 4 * MIB, false, clock.at(20), cpu(20)); // beside others who do
        meter.leave(&third, clock.at(25), cpu(25));
        meter.add(&mut second, 4 * MIB, false, clock.at(30), cpu(30)); // the last
        assert_eq!(meter.stretch(clock.at(30), cpu(30)).bytes, 0);
        meter.add(&mut first, 4 * MIB, false, clock.at(40), cpu(40)); // half of it
        meter.add(&mut second, 4 * MIB, false, clock.at(40), cpu(40));
        let stretch = meter.stretch(clock.at(40), cpu(40));
        assert_eq!((stretch.bytes, stretch.wall), (6 * MIB, Duration::from_millis(10)));
        meter.change();
        meter.leave(&first, clock.at(50), cpu(50));
        meter.leave(&second, clock.at(50), cpu(50));
        assert_eq!(meter.stretch(clock.at(60), cpu(60)).wall, Duration::ZERO);
        let again = meter.join(clock.at(60), cpu(60));
        meter.leave(&again, clock.at(70), cpu(70));
        assert_eq!(meter.stretch(clock.at(90), cpu(90)).wall, Duration::from_millis(10));
    }
}
