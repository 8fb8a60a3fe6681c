//! What a copy is on every system, through the public API alone.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use orbit::{Compression, CopyJob, DataOptions, Engine, Existing, Limits, Method, Report, Verify, ZeroCopy};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A source and the place for its copy, removed at the test's end.
struct Trees {
    root: TempDir,
}

impl Trees {
    fn new() -> Trees {
        let trees = Trees { root: TempDir::new().unwrap() };
        fs::create_dir(trees.source("")).unwrap();
        trees
    }

    fn source(&self, name: &str) -> PathBuf {
        self.root.path().join("source").join(name)
    }

    fn copy(&self, name: &str) -> PathBuf {
        self.root.path().join("copy").join(name)
    }

    /// Make a file of the source, with a time of its own.
    fn file(&self, name: &str, content: &[u8]) {
        let path = self.source(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_modified(&path, 1_500_000_000);
    }

    fn job(&self) -> CopyJob {
        CopyJob::new(self.source(""), self.copy(""))
    }

    fn run(&self, job: CopyJob) -> Report {
        let report = run(job);
        let failures: Vec<_> =
            report.failures.iter().map(|failure| format!("{failure}: {}", failure.cause())).collect();
        assert!(report.is_complete(), "{failures:#?}");
        report
    }

    #[track_caller]
    fn assert_copied(&self, name: &str) {
        let (source, copy) = (self.source(name), self.copy(name));
        assert!(fs::read(&source).unwrap() == fs::read(&copy).unwrap(), "{name}: content");
        assert_eq!(modified(&source), modified(&copy), "{name}: time");
        let read_only = |path: &Path| fs::metadata(path).unwrap().permissions().readonly();
        assert_eq!(read_only(&source), read_only(&copy), "{name}: read-only");
    }
}

fn run(job: CopyJob) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Engine::new().unwrap().start(job).finish().await.unwrap() })
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// Set a time that every filesystem with a clock finer than a second keeps exactly on Windows too.
fn set_modified(path: &Path, secs: u64) {
    let time = UNIX_EPOCH + Duration::new(secs, 123_456_700);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn set_read_only(path: &Path, read_only: bool) {
    let mut permissions = fs::metadata(path).unwrap().permissions();
    permissions.set_readonly(read_only);
    fs::set_permissions(path, permissions).unwrap();
}

/// Bytes of which no two stretches are the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn a_tree_is_copied_whatever_the_sizes_and_depths() {
    let trees = Trees::new();
    let sizes = [("empty", 0), ("one", 1), ("a/below", 65_535), ("a/b/at", 65_536), ("a/b/c/mid", MIB + 1)];
    for (name, size) in sizes {
        trees.file(name, &noise(size));
    }
    trees.file("big", &noise(20 * MIB + 13));
    fs::create_dir(trees.source("hollow")).unwrap();

    let report = trees.run(trees.job());

    for (name, _) in sizes.into_iter().chain([("big", 0)]) {
        trees.assert_copied(name);
    }
    assert!(trees.copy("hollow").is_dir());
    assert_eq!(report.totals.files_copied, 6);
    assert_eq!(report.totals.directories_created, 5);
    let bytes: usize = sizes.iter().map(|(_, size)| size).sum::<usize>() + 20 * MIB + 13;
    assert_eq!(report.totals.bytes_copied, bytes as u64);
    assert_eq!(report.methods().map(|(_, moved)| moved.bytes).sum::<u64>(), bytes as u64);
}

#[test]
fn big_files_are_copied_in_ranges_through_buffers_when_the_system_may_not() {
    let trees = Trees::new();
    trees.file("big", &noise(33 * MIB + 5));
    let data = DataOptions::default().zero_copy(ZeroCopy::Forbid).reflink(orbit::Reflink::Never);
    let report = trees.run(trees.job().data(data).jobs(3));
    trees.assert_copied("big");
    let methods: Vec<Method> = report.methods().map(|(method, _)| method).collect();
    assert_eq!(methods, [Method::Buffered]);
}

#[test]
fn what_is_compressed_comes_back() {
    for compression in [Compression::Zstd { level: Compression::ZSTD_LEVEL }, Compression::Lz4] {
        let trees = Trees::new();
        for (name, content) in
            [("empty", vec![]), ("below/noise", noise(700_000)), ("long", vec![7; 3 * MIB])]
        {
            trees.file(name, &content);
        }
        let packed = trees.root.path().join("packed");
        let pack = CopyJob::new(trees.source(""), &packed).compression(compression).verify(Verify::Blake3);
        assert_eq!(trees.run(pack.clone()).totals.files_copied, 3);
        assert_eq!(trees.run(pack).totals.unchanged, 3);
        trees.run(CopyJob::new(&packed, trees.copy("")).compression(Compression::Decompress));
        ["empty", "below/noise", "long"].iter().for_each(|name| trees.assert_copied(name));
    }
}

#[test]
fn what_fits_is_copied_after_it_was_counted() {
    let trees = Trees::new();
    for index in 0..50 {
        trees.file(&format!("{}/{index}", index % 5), &noise(index * 100));
    }
    let report = trees.run(trees.job().limits(Limits::default().preflight(true)));
    assert_eq!(report.totals.files_copied, 50);
    (0..50).for_each(|index| trees.assert_copied(&format!("{}/{index}", index % 5)));
}

#[test]
fn directories_have_their_times_when_all_is_done() {
    let trees = Trees::new();
    trees.file("a/f", b"x");
    std::thread::sleep(Duration::from_millis(20)); // so that creating the copy is later
    trees.run(trees.job());
    for name in ["", "a"] {
        assert_eq!(modified(&trees.source(name)), modified(&trees.copy(name)), "{name:?}");
    }
}

#[test]
fn a_second_run_copies_nothing_and_a_third_what_has_changed() {
    let trees = Trees::new();
    trees.file("same", &noise(100_000));
    trees.file("other", b"before");
    trees.run(trees.job());

    let second = trees.run(trees.job());
    assert_eq!((second.totals.unchanged, second.totals.bytes_copied), (2, 0));
    assert_eq!((second.totals.files_copied, second.totals.metadata_corrected), (0, 0));

    fs::write(trees.source("other"), noise(200_000)).unwrap();
    let third = trees.run(trees.job());
    assert_eq!((third.totals.files_copied, third.totals.unchanged), (1, 1));
    trees.assert_copied("same");
    trees.assert_copied("other");
}

#[test]
fn what_is_there_stays_or_fails_as_asked() {
    let trees = Trees::new();
    trees.file("f", b"new and longer");
    fs::create_dir(trees.copy("")).unwrap();
    fs::write(trees.copy("f"), b"old").unwrap();

    let skipped = trees.run(trees.job().existing(Existing::Skip));
    assert_eq!((skipped.totals.skipped, skipped.totals.files_copied), (1, 0));
    let failed = run(trees.job().existing(Existing::Fail));
    assert_eq!(failed.totals.failed, 1);
    assert_eq!(fs::read(trees.copy("f")).unwrap(), b"old");

    trees.run(trees.job().existing(Existing::Replace));
    trees.assert_copied("f");
}

#[test]
fn files_that_appear_only_when_finished_leave_no_temporaries() {
    let trees = Trees::new();
    trees.file("small", b"x");
    trees.file("mid", &noise(MIB));
    trees.run(trees.job().existing(Existing::Skip));
    trees.assert_copied("small");
    trees.assert_copied("mid");
    assert_eq!(fs::read_dir(trees.copy("")).unwrap().count(), 2);
}

#[test]
fn read_only_files_are_copied_and_replaced() {
    let trees = Trees::new();
    for (name, size) in [("small", 10), ("mid", MIB)] {
        trees.file(name, &noise(size));
        set_read_only(&trees.source(name), true);
    }
    trees.run(trees.job());
    trees.assert_copied("small");
    trees.assert_copied("mid");

    for name in ["small", "mid"] {
        set_read_only(&trees.source(name), false);
        set_modified(&trees.source(name), 1_600_000_000);
        set_read_only(&trees.source(name), true);
    }
    let report = trees.run(trees.job());
    assert_eq!(report.totals.files_copied, 2);
    for name in ["small", "mid"] {
        trees.assert_copied(name);
        set_read_only(&trees.source(name), false);
        set_read_only(&trees.copy(name), false);
    }
}

#[test]
fn a_mode_that_differs_is_corrected_without_copying() {
    let trees = Trees::new();
    trees.file("f", b"x");
    trees.run(trees.job());
    set_read_only(&trees.source("f"), true);
    let report = trees.run(trees.job());
    assert_eq!((report.totals.metadata_corrected, report.totals.bytes_copied), (1, 0));
    trees.assert_copied("f");
    set_read_only(&trees.source("f"), false);
    set_read_only(&trees.copy("f"), false);
}

#[test]
fn hard_links_stay_one_file() {
    let trees = Trees::new();
    trees.file("a/first", &noise(100_000));
    fs::create_dir(trees.source("b")).unwrap();
    fs::hard_link(trees.source("a/first"), trees.source("b/second")).unwrap();

    let report = trees.run(trees.job());

    assert_eq!((report.totals.files_copied, report.totals.hard_links_created), (1, 1));
    trees.assert_copied("b/second");
    let appended = [&noise(100_000)[..], b"!"].concat();
    fs::write(trees.copy("a/first"), &appended).unwrap();
    assert!(fs::read(trees.copy("b/second")).unwrap() == appended, "the names are of one file");
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[test]
fn symbolic_links_stay_links() {
    let trees = Trees::new();
    trees.file("a/f", b"x");
    let link = trees.source("a/link");
    if let Err(error) = symlink("f", &link).and_then(|()| fs::read_link(&link)) {
        // Windows wants a privilege or its developer mode; Wine 8 only says that it made one.
        return eprintln!("skipped: symbolic links cannot be made here: {error}");
    }
    let report = trees.run(trees.job());
    assert_eq!(report.totals.symlinks_created, 1);
    assert_eq!(fs::read_link(trees.copy("a/link")).unwrap(), Path::new("f"));
    let second = trees.run(trees.job());
    assert_eq!((second.totals.unchanged, second.totals.symlinks_created), (2, 0));
}

/// Linux has no such call: its kernel copies ranges.
#[cfg(windows)]
#[test]
fn the_systems_own_copy_moves_files_from_the_threshold_on() {
    let trees = Trees::new();
    trees.file("below", &noise(65_535));
    trees.file("at", &noise(65_536));
    trees.file("big", &noise(20 * MIB));
    let report = trees.run(trees.job());
    let moved: Vec<_> = report.methods().map(|(method, moved)| (method, moved.files, moved.bytes)).collect();
    let by_system = (Method::System, 2, 20 * MIB as u64 + 65_536);
    assert_eq!(moved, [by_system, (Method::Buffered, 1, 65_535)]);
    for name in ["below", "at", "big"] {
        trees.assert_copied(name);
    }
}

#[test]
fn a_tree_is_not_copied_into_itself() {
    let trees = Trees::new();
    trees.file("f", b"x");
    let report = run(CopyJob::new(trees.source(""), trees.source("inner")));
    assert_eq!(report.totals.failed, 1);
    assert!(!trees.source("inner/f").exists());
}

#[test]
fn a_single_file_goes_into_a_directory() {
    let trees = Trees::new();
    trees.file("f", &noise(70_000));
    fs::create_dir(trees.copy("")).unwrap();
    trees.run(CopyJob::into_directory([trees.source("f")], trees.copy("")));
    trees.assert_copied("f");
}

#[test]
fn a_name_longer_than_paths_may_be_is_reached() {
    let trees = Trees::new();
    let deep = vec!["d".repeat(100); 5].join("/");
    trees.file(&format!("{deep}/f"), b"deep");
    trees.run(trees.job());
    assert_eq!(fs::read(trees.copy(&format!("{deep}/f"))).unwrap(), b"deep");
}
