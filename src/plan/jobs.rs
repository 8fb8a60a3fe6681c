//! How many workers a run uses when nobody says.

use crate::storage::Storage;

/// How many workers to run between two storages on a machine with this many usable cores.
///
/// A worker on local storage keeps a core busy, so more workers than cores only switch; a request
/// to remote storage mostly waits; a rotating disk gains from a second request, not from a tenth.
pub(crate) fn default_jobs(cores: usize, source: Storage, destination: Storage) -> usize {
    let either = |storage| source == storage || destination == storage;
    if either(Storage::Remote) {
        (cores * 4).clamp(8, 64)
    } else if either(Storage::Rotational) {
        cores.clamp(1, 2)
    } else {
        cores.clamp(2, 32)
    }
}

/// Why [`default_jobs`] chose as it did, in words for the user.
pub(crate) fn default_jobs_reason(cores: usize, source: Storage, destination: Storage) -> String {
    format!("{cores} cores, {} to {} storage", source.name(), destination.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_storage_gets_more_workers_and_seeking_storage_fewer() {
        use Storage::*;
        for (cores, source, destination, jobs) in [
            (1, Solid, Solid, 2),
            (2, Solid, Unknown, 2),
            (16, Solid, Solid, 16),
            (128, Solid, Solid, 32),
            (2, Solid, Remote, 8),
            (32, Remote, Rotational, 64),
            (8, Rotational, Solid, 2),
        ] {
            assert_eq!(default_jobs(cores, source, destination), jobs, "{cores} {source:?} {destination:?}");
        }
    }
}
