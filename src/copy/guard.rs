//! Each entry by itself: what fails or panics there is a failure of that entry, and what it takes is its cost.

use std::{ffi::CStr, sync::Arc, time::Instant};

use super::Copier;
use crate::{guard::caught, outcomes::CostSoFar, tree::DirNode};

impl Copier {
    /// Do something about an entry so that a panic is a failure of that entry alone.
    pub(crate) fn guarded(&mut self, node: &Arc<DirNode>, name: &CStr, work: impl FnOnce(&mut Copier)) {
        let worked = caught(|| {
            work(self);
            Ok(())
        });
        if let Err(fault) = worked {
            self.teller.notes.cost = CostSoFar::default(); // what it had begun to measure is not another's
            self.fail(node, name, None, fault);
        }
    }

    pub(super) fn guarded_source(&mut self, index: usize) {
        let begun = caught(|| {
            self.source(index);
            Ok(())
        });
        if let Err(fault) = begun {
            let path = self.setting.job.sources[index].clone();
            self.run.extraneous.count_failed(Some(index));
            self.fail_at(fault.at(path));
            self.after_source(index);
        }
    }

    /// Do something about an entry, whose cost counts from now on.
    pub(crate) fn measured<T>(&mut self, work: impl FnOnce(&mut Copier) -> T) -> T {
        let began = self.setting.job.entry_costs.then(Instant::now);
        self.measured_since(began, work)
    }

    /// The same of an entry that was begun before.
    pub(crate) fn measured_since<T>(
        &mut self,
        began: Option<Instant>,
        work: impl FnOnce(&mut Copier) -> T,
    ) -> T {
        // Replacing what waits may be a part of another entry, which looks for room.
        let outer = std::mem::replace(&mut self.teller.notes.cost.began, began);
        let done = work(self);
        self.teller.notes.cost.began = outer;
        done
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use crate::{CopyJob, Engine, Report};

    fn copy(root: &Path) -> Report {
        run(CopyJob::new(root.join("src"), root.join("dst")).jobs(3))
    }

    fn run(job: CopyJob) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let run = Engine::new().unwrap().start(job);
            let finished = tokio::time::timeout(std::time::Duration::from_secs(60), run.finish()).await;
            finished.expect("a panic must not hang the run").unwrap()
        })
    }

    #[test]
    fn a_panic_at_a_file_fails_that_file_alone_and_leaves_nothing_of_it() {
        let root = tempfile::tempdir().unwrap();
        let src = root.path().join("src");
        fs::create_dir_all(src.join("below")).unwrap();
        for index in 0..200 {
            fs::write(src.join(format!("file-{index}")), b"content").unwrap();
        }
        fs::write(src.join("below/breaks-down-filled"), b"content").unwrap();
        fs::set_permissions(src.join("below"), fs::Permissions::from_mode(0o2750)).unwrap();
        let report = copy(root.path());
        assert_eq!((report.totals.failed, report.totals.files_copied), (1, 200));
        let failure = &report.failures[0];
        assert_eq!(failure.path(), src.join("below/breaks-down-filled"));
        assert!(failure.cause().to_string().contains("broken on purpose"), "{}", failure.cause());
        assert!(!root.path().join("dst/below/breaks-down-filled").exists());
        let finished = fs::metadata(root.path().join("dst/below")).unwrap();
        assert_eq!(finished.permissions().mode() & 0o7777, 0o2750, "its directory is finished");
    }

    #[test]
    fn a_panic_at_the_first_name_of_a_link_group_leaves_the_others_to_be_copied() {
        let root = tempfile::tempdir().unwrap();
        let src = root.path().join("src");
        fs::create_dir_all(src.join("below")).unwrap();
        let first = src.join("breaks-down-in-ranges");
        fs::File::create(&first).unwrap().set_len(16 << 20).unwrap();
        for index in 0..100 {
            fs::hard_link(&first, src.join(format!("below/name-{index}"))).unwrap();
        }
        let report = copy(root.path());
        assert_eq!((report.totals.failed, report.totals.files_copied), (1, 1));
        assert_eq!(report.totals.hard_links_created, 99);
        assert_eq!(fs::read_dir(root.path().join("dst/below")).unwrap().count(), 100);
        assert_eq!(fs::read_dir(root.path().join("dst")).unwrap().count(), 1);
    }

    #[test]
    fn an_heir_that_fails_hands_the_group_on() {
        let root = tempfile::tempdir().unwrap();
        let (first, others) = (root.path().join("first"), root.path().join("breaks-down-as-heir"));
        for dir in [&first, &others] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(first.join("breaks-down-awaited"), b"content").unwrap();
        for index in 0..3 {
            fs::hard_link(first.join("breaks-down-awaited"), others.join(format!("name-{index}"))).unwrap();
        }
        // Which name comes first is a race, and only one of them breaks down.
        let broken = (0..100).find_map(|round| {
            let dst = root.path().join(format!("dst-{round}"));
            fs::create_dir(&dst).unwrap();
            let report = run(CopyJob::into_directory([&first, &others], &dst).jobs(2));
            (report.totals.failed > 0).then_some((report, dst))
        });
        let (report, dst) = broken.expect("it comes first now and then");
        assert_eq!((report.totals.failed, report.totals.files_copied), (2, 1));
        assert_eq!(report.totals.hard_links_created, 1);
        assert_eq!(fs::read_dir(dst.join("breaks-down-as-heir")).unwrap().count(), 2);
    }

    #[test]
    fn a_panic_while_listing_a_directory_fails_it_and_the_rest_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let src = root.path().join("src");
        fs::create_dir_all(src.join("breaks-down-listed")).unwrap();
        fs::write(src.join("file"), b"content").unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::open(&src).unwrap().set_modified(old).unwrap();
        let report = copy(root.path());
        assert_eq!((report.totals.failed, report.totals.files_copied), (1, 1));
        let finished = fs::metadata(root.path().join("dst")).unwrap();
        assert_eq!(finished.modified().unwrap(), old);
    }
}
