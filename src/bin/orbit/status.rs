//! Exit statuses. `--help`, docs/semantics.md and docs/json.md list them.

use orbit::Outcome;

/// Everything was done.
pub(crate) const COMPLETE: u8 = 0;
/// Something failed, or an output could not be written; the rest was done all the same.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage; nothing was done.
pub(crate) const USAGE: u8 = 2;
/// The copy was stopped before everything was tried.
pub(crate) const STOPPED: u8 = 3;
/// All that failed had vanished from the source, or changed in it, meanwhile.
pub(crate) const SOURCE_CHANGED: u8 = 4;

/// The status of a run that ended so.
pub(crate) fn of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => COMPLETE,
        Outcome::SourceChanged => SOURCE_CHANGED,
        Outcome::Stopped => STOPPED,
        _ => FAILED,
    }
}

/// The status of a command whose runs ended so.
pub(crate) fn of_runs(outcomes: impl IntoIterator<Item = Outcome>) -> u8 {
    of(outcomes.into_iter().max().unwrap_or(Outcome::Complete))
}

/// The same where an output could not be written, which costs no more than that.
pub(crate) fn without_output(status: u8) -> u8 {
    match status {
        COMPLETE | SOURCE_CHANGED => FAILED,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_that_are_documented() {
        for (outcome, status, without) in [
            (Outcome::Complete, 0, 1),
            (Outcome::Failed, 1, 1),
            (Outcome::Stopped, 3, 3),
            (Outcome::SourceChanged, 4, 1),
        ] {
            assert_eq!(of(outcome), status);
            assert_eq!(without_output(status), without);
        }
        assert_eq!(USAGE, 2, "which is clap's");
    }

    #[test]
    fn of_two_runs_the_worse_counts() {
        use Outcome::{Complete, Failed, SourceChanged, Stopped};
        for (one, other, worse) in [
            (Complete, SourceChanged, 4),
            (Failed, SourceChanged, 1),
            (Failed, Stopped, 3),
            (Complete, Complete, 0),
        ] {
            assert_eq!((of_runs([one, other]), of_runs([other, one])), (worse, worse));
        }
        assert_eq!(of_runs([]), 0);
    }
}
