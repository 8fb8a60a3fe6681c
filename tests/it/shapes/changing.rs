//! Sources that change while they are copied.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use orbit::{CopyJob, DataOptions, Existing, Method, Reflink, Report};

use crate::support::{Filesystem, Mount, Sandbox, awkward, run};

/// Copy `src/file` while `meddle` is called with it again and again, until that was noticed.
fn copy_while(sandbox: &Sandbox, data: DataOptions, meddle: impl Fn(&File) + Sync) -> Report {
    const TRIES: usize = 200;
    let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let file = File::options().read(true).append(true).open(sandbox.path("src/file")).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                meddle(&file);
                begun.store(true, Ordering::Relaxed);
            }
        });
        while !begun.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        // The copy may be over before the meddler gets a core.
        let copies = (0..TRIES).map(|_| {
            let _ = fs::remove_dir_all(sandbox.path("dst"));
            run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data).jobs(2))
        });
        let report = copies.into_iter().find(|report| !report.is_complete());
        ended.store(true, Ordering::Relaxed);
        report.expect("one of many copies meets a change")
    })
}

#[track_caller]
fn assert_told(report: &Report, source: &Path, copy: &Path) {
    assert_eq!((report.totals.changed_while_copied, report.totals.failed), (1, 1), "{:?}", report.failures);
    assert!(report.failures[0].cause().to_string().contains("changed while"), "{:?}", report.failures);
    assert_eq!(report.totals.entries_found, report.totals.entries_done());
    let modified = |path| fs::metadata(path).unwrap().modified().unwrap();
    assert_ne!(modified(source), modified(copy), "no later run may trust it");
}

/// Every way of moving bytes, and files of more and of less than a range.
fn ways() -> Vec<(DataOptions, usize)> {
    let never = DataOptions::default().reflink(Reflink::Never);
    let auto = DataOptions::default();
    vec![(auto, 2 << 20), (auto, 40 << 20), (never, 2 << 20), (never, 40 << 20)]
}

#[test]
fn a_file_that_grows_ends_and_is_told() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 1024) else { return };
    for (data, size) in ways() {
        let sandbox = Sandbox::on(&mount).file("src/file", &awkward::noise(size, 1));
        let report = copy_while(&sandbox, data, |mut file| file.write_all(&[7; 4096]).unwrap());
        assert_told(&report, &sandbox.path("src/file"), &sandbox.path("dst/file"));
        let copied = fs::metadata(sandbox.path("dst/file")).unwrap().len();
        assert!(copied >= size as u64, "{copied} of {size}");
    }
}

#[test]
fn a_file_that_shrinks_ends_and_is_told() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 1024) else { return };
    for (data, size) in ways() {
        let sandbox = Sandbox::on(&mount).file("src/file", &awkward::noise(size, 1));
        let report = copy_while(&sandbox, data, |file| {
            let length = file.metadata().unwrap().len();
            file.set_len(if length > 4096 { length - length / 64 } else { size as u64 }).unwrap();
        });
        assert_told(&report, &sandbox.path("src/file"), &sandbox.path("dst/file"));
        assert!(fs::metadata(sandbox.path("dst/file")).unwrap().len() <= size as u64);
    }
}

#[test]
fn an_empty_file_that_grows_without_end_does_not_hold_the_copy_up() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 2048) else { return };
    let sandbox = Sandbox::on(&mount).file("src/file", b"");
    let start = std::time::Instant::now();
    let report = copy_while(&sandbox, DataOptions::default(), |mut file| {
        file.set_len(0).unwrap();
        for _ in 0..1024 {
            file.write_all(&[7; 65536]).unwrap();
        }
    });
    assert_eq!((report.totals.failed, report.totals.changed_while_copied), (1, 1), "{:?}", report.failures);
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn the_next_run_copies_a_changed_file_again() {
    let sandbox = Sandbox::new().file("src/file", &awkward::noise(30 << 20, 1));
    let data = DataOptions::default().reflink(Reflink::Never);
    let report = copy_while(&sandbox, data, |file| {
        let block = awkward::noise(4096, 2);
        let file = File::options().write(true).open(format!("/proc/self/fd/{}", fd(file))).unwrap();
        file.write_all_at(&block, 4096).unwrap();
    });
    assert_told(&report, &sandbox.path("src/file"), &sandbox.path("dst/file"));
    let job = || CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(Existing::Update);
    let again = run(job());
    assert!(again.is_complete());
    assert_eq!(again.totals.files_copied, 1);
    assert_eq!(sandbox.read("src/file"), sandbox.read("dst/file"));
    assert_eq!(run(job()).totals.unchanged, 1);
    assert!(again.methods().all(|(method, _)| method != Method::System));
}

/// Log rotation, a new hard link, a change of mode: none of them touches the content.
#[test]
fn what_becomes_of_names_and_attributes_alone_is_no_change() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 256) else { return };
    for (data, size) in ways() {
        let sandbox = Sandbox::on(&mount).file("src/app.log", &awkward::noise(size, 1));
        awkward::set_times(&sandbox.path("src/app.log"), 1_600_000_000, 7);
        let (began, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                let [log, old] = ["app.log", "app.log.1"].map(|name| sandbox.path("src").join(name));
                while !began.load(Ordering::Relaxed) && !ended.load(Ordering::Relaxed) {
                    began.store(sandbox.path("dst/app.log").exists(), Ordering::Relaxed);
                }
                fs::rename(&log, &old).unwrap();
                fs::hard_link(&old, sandbox.path("beside")).unwrap();
                awkward::set_mode(&old, 0o640);
            });
            let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).data(data).jobs(2));
            ended.store(true, Ordering::Relaxed);
            report
        });
        // The listing may have been before the rename or after it, and found either.
        assert_eq!(report.totals.changed_while_copied, 0, "{:?}", report.failures);
        let copies = ["dst/app.log", "dst/app.log.1"].map(|name| sandbox.path(name));
        let copy = copies.iter().find(|copy| copy.exists()).expect("one of the names");
        assert_eq!(fs::read(copy).unwrap(), sandbox.read("src/app.log.1"));
        assert_eq!(
            fs::metadata(copy).unwrap().modified().unwrap(),
            fs::metadata(sandbox.path("src/app.log.1")).unwrap().modified().unwrap()
        );
    }
}

/// The size and the time are the old ones, and the content is not.
#[test]
fn content_whose_time_was_set_back_is_a_change() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 256) else { return };
    let sandbox = Sandbox::on(&mount).file("src/file", &awkward::noise(30 << 20, 1));
    let path = sandbox.path("src/file");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let data = DataOptions::default().reflink(Reflink::Never);
    let report = copy_while(&sandbox, data, |_| {
        let file = File::options().write(true).open(&path).unwrap();
        let byte = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() as u8;
        file.write_all_at(&[byte; 4096], 4096).unwrap();
        file.set_modified(modified).unwrap();
    });
    assert_eq!((report.totals.changed_while_copied, report.totals.failed), (1, 1), "{:?}", report.failures);
}

fn fd(file: &File) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}
