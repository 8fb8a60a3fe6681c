//! Somebody changes the tree under the copy: nothing outside is read or written, and it ends.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, lchown, symlink},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use orbit::{CopyJob, Existing, Report};
use rustix::fs::{FileType, RenameFlags};

use crate::support::{
    Filesystem, Mount, Sandbox,
    awkward::{make_node, set_mode, set_times},
    is_root, run, skip,
};

/// How long each race is run at least.
const RACE: Duration = Duration::from_secs(4);
/// And how many times names are exchanged under it.
const EXCHANGES: usize = 10_000;

const SECRET: &[u8] = b"the secret outside";

/// Copy again and again while two names are exchanged again and again; how often they were.
fn race(
    dir: &Path,
    names: (&str, &str),
    mut copy: impl FnMut(usize) -> Report,
    mut check: impl FnMut(&Report),
) -> usize {
    let ended = AtomicBool::new(false);
    let exchanges = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let dir = File::open(dir).unwrap();
            while !ended.load(Ordering::Relaxed) {
                // What is being replaced has no second name for a moment.
                let exchange = RenameFlags::EXCHANGE;
                if rustix::fs::renameat_with(&dir, names.0, &dir, names.1, exchange).is_ok() {
                    exchanges.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let start = Instant::now();
        for number in 0.. {
            let report = copy(number);
            assert_eq!(report.totals.entries_found, report.totals.entries_done(), "{:?}", report.totals);
            check(&report);
            let enough = exchanges.load(Ordering::Relaxed) >= EXCHANGES;
            if start.elapsed() > RACE && enough {
                break;
            }
            assert!(start.elapsed() < RACE * 20, "names are exchanged too slowly");
        }
        ended.store(true, Ordering::Relaxed);
    });
    exchanges.into_inner()
}

/// Whether a tree holds the secret, links not being followed.
fn holds_secret(dir: &Path) -> bool {
    let Ok(listing) = fs::read_dir(dir) else { return false };
    listing.filter_map(Result::ok).any(|entry| {
        let kind = entry.file_type().unwrap();
        kind.is_dir() && holds_secret(&entry.path())
            || kind.is_file() && fs::read(entry.path()).is_ok_and(|content| content == SECRET)
    })
}

#[test]
fn a_file_that_becomes_something_else_is_copied_as_either_and_never_waited_for() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 256) else { return };
    for other in ["fifo", "directory", "symlink"] {
        let sandbox = Sandbox::on(&mount).file("src/a", b"a file").file("outside", SECRET);
        match other {
            "fifo" => make_node(&sandbox.path("src/b"), FileType::Fifo, 0),
            "directory" => fs::create_dir(sandbox.path("src/b")).unwrap(),
            _ => symlink("../outside", sandbox.path("src/b")).unwrap(),
        }
        let copy = |number: usize| {
            // A new destination, and one that has something.
            let is_new = number.is_multiple_of(2);
            let target = sandbox.path(if is_new { "dst" } else { "merged" });
            if is_new {
                let _ = fs::remove_dir_all(&target);
            }
            run(CopyJob::new(sandbox.path("src"), target).existing(Existing::Replace))
        };
        let exchanges = race(&sandbox.path("src"), ("a", "b"), copy, |_| {
            assert!(!holds_secret(&sandbox.path("dst")) && !holds_secret(&sandbox.path("merged")));
        });
        assert!(exchanges > 100, "{exchanges}");
        assert_eq!(sandbox.read("outside"), SECRET);
    }
}

#[test]
fn a_link_put_in_place_of_a_source_directory_is_not_followed() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 512) else { return };
    let sandbox = Sandbox::on(&mount).file("outside/file-7", SECRET).file("outside/deep/file", SECRET);
    for index in 0..50 {
        let sub = sandbox.path(format!("src/dir/{index}"));
        fs::create_dir_all(&sub).unwrap();
        (0..10).for_each(|name| fs::write(sub.join(name.to_string()), b"inside").unwrap());
        fs::write(sandbox.path(format!("src/dir/file-{index}")), b"inside").unwrap();
    }
    symlink("../outside", sandbox.path("src/trap")).unwrap();
    let copy = |_| {
        let _ = fs::remove_dir_all(sandbox.path("dst"));
        run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(4))
    };
    let mut outcomes = [0, 0];
    let exchanges = race(&sandbox.path("src"), ("dir", "trap"), copy, |report| {
        assert!(!holds_secret(&sandbox.path("dst")));
        outcomes[usize::from(report.is_complete())] += 1;
    });
    assert!(exchanges > 100 && outcomes[1] > 0, "{exchanges} exchanges, {outcomes:?}");
}

#[test]
fn a_link_put_in_place_of_a_destination_directory_is_not_written_through() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 512) else { return };
    let sandbox = Sandbox::on(&mount).file("outside/file-7", SECRET).dir("dst");
    for index in 0..30 {
        let sub = sandbox.path(format!("src/dir/{index}"));
        fs::create_dir_all(&sub).unwrap();
        (0..10).for_each(|name| fs::write(sub.join(name.to_string()), b"inside").unwrap());
        fs::write(sandbox.path(format!("src/dir/file-{index}")), b"inside").unwrap();
        // Names that lie in two directories: linked through a directory that is opened again.
        fs::hard_link(sub.join("1"), sandbox.path(format!("src/dir/linked-{index}"))).unwrap();
    }
    symlink("../outside", sandbox.path("dst/trap")).unwrap();
    fs::create_dir(sandbox.path("dst/dir")).unwrap();
    let policies = [Existing::Replace, Existing::Update, Existing::Skip];
    let copy = |number: usize| {
        for name in ["dst/dir", "dst/trap"] {
            // Whichever is the directory now.
            if fs::symlink_metadata(sandbox.path(name)).is_ok_and(|meta| meta.is_dir()) {
                let _ = fs::remove_dir_all(sandbox.path(name).join("3"));
            }
        }
        let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(4);
        run(job.existing(policies[number % policies.len()]))
    };
    let exchanges = race(&sandbox.path("dst"), ("dir", "trap"), copy, |_| {
        let outside: Vec<_> = fs::read_dir(sandbox.path("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1, "something was written outside");
        assert_eq!(sandbox.read("outside/file-7"), SECRET);
    });
    assert!(exchanges > 100, "{exchanges}");
}

/// Owner, group, mode and modification time.
fn attributes(path: &Path) -> (u32, u32, u32, i64, i64) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.uid(), meta.gid(), meta.mode(), meta.mtime(), meta.mtime_nsec())
}

#[test]
fn nodes_and_links_are_given_their_attributes_and_nothing_that_is_put_in_their_places() {
    if !is_root() {
        return skip("only root gives anything away");
    }
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 256) else { return };
    const STRANGER: u32 = 1000;
    let races = [
        (FileType::Fifo, FileType::RegularFile),
        (FileType::Fifo, FileType::Fifo),
        (FileType::CharacterDevice, FileType::CharacterDevice),
        (FileType::Symlink, FileType::Symlink),
    ];
    for (kind, trap) in races {
        let sandbox = Sandbox::on(&mount).dir("src").dir("dst").file("victim", SECRET);
        let make = |path: &Path, kind| match kind {
            FileType::RegularFile => {}
            FileType::Symlink => symlink("outside", path).unwrap(),
            kind => make_node(path, kind, rustix::fs::makedev(1, 3)),
        };
        let victim = sandbox.path("victim");
        if trap != FileType::RegularFile {
            fs::remove_file(&victim).unwrap();
        }
        make(&victim, trap);
        let node = sandbox.path("src/node");
        make(&node, kind);
        for path in [&node, &sandbox.path("src"), &sandbox.path("dst")] {
            lchown(path, Some(STRANGER), Some(STRANGER)).unwrap();
        }
        if kind != FileType::Symlink {
            set_mode(&node, 0o666);
        }
        set_times(&node, 1_000, 0);
        let before = attributes(&victim);
        let [made, planted] = ["dst/node", "dst/trap"].map(|name| sandbox.path(name));
        let mut outcomes = [0, 0];
        let copy = |number: usize| {
            // Where one is missing, nothing is exchanged.
            let _ = fs::remove_file(&made);
            let _ = fs::remove_file(&planted);
            fs::hard_link(&victim, &planted).unwrap();
            let existing = if number.is_multiple_of(2) { Existing::Replace } else { Existing::Update };
            run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(existing))
        };
        let exchanges = race(&sandbox.path("dst"), ("node", "trap"), copy, |report| {
            assert_eq!(attributes(&victim), before, "{kind:?}, {trap:?}");
            outcomes[usize::from(report.is_complete())] += 1;
        });
        assert!(exchanges > 100 && outcomes[1] > 0, "{exchanges} exchanges, {outcomes:?}");
    }
}

#[test]
fn a_directory_that_is_put_in_place_of_a_new_one_is_not_taken_for_it() {
    if !is_root() {
        return skip("only root gives anything away");
    }
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 256) else { return };
    const STRANGER: u32 = 1000;
    let sandbox = Sandbox::on(&mount).file("src/dir/inside", b"inside").dir("dst").file("victim/own", SECRET);
    for name in ["src/dir", "src", "dst"] {
        lchown(sandbox.path(name), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    set_mode(&sandbox.path("victim"), 0o700);
    let [made, planted, kept] = ["dst/dir", "dst/trap", "victim"].map(|name| sandbox.path(name));
    let before = attributes(&kept);
    let id = fs::metadata(&kept).unwrap().ino();
    let victim = File::open(&kept).unwrap();
    let mut outcomes = [0, 0];
    let copy = |_: usize| {
        // Under whichever name it is; where one is missing, nothing is exchanged.
        for name in [&made, &planted, &made] {
            if fs::metadata(&kept).is_err() && fs::rename(name, &kept).is_ok() {
                if fs::metadata(&kept).unwrap().ino() != id {
                    fs::remove_dir_all(&kept).unwrap();
                }
            } else {
                let _ = fs::remove_dir_all(name);
            }
        }
        fs::rename(&kept, &planted).unwrap();
        run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")))
    };
    let exchanges = race(&sandbox.path("dst"), ("dir", "trap"), copy, |report| {
        let meta = victim.metadata().unwrap();
        let now = (meta.uid(), meta.gid(), meta.mode(), meta.mtime(), meta.mtime_nsec());
        assert_eq!(now, before, "nothing is put into it, and it is given to nobody");
        outcomes[usize::from(report.is_complete())] += 1;
    });
    assert!(exchanges > 100 && outcomes[1] > 0, "{exchanges} exchanges, {outcomes:?}");
}

#[test]
fn names_that_vanish_are_failures_of_their_own() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 512) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    let ended = AtomicBool::new(false);
    let path = |index: usize| sandbox.path(format!("src/{index}"));
    (0..500).for_each(|index| fs::write(path(index), b"here").unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            for index in (250..500).cycle().take_while(|_| !ended.load(Ordering::Relaxed)) {
                let _ = fs::remove_file(path(index));
                let _ = fs::write(path(index), b"here");
            }
        });
        let start = Instant::now();
        while start.elapsed() < RACE / 2 {
            let _ = fs::remove_dir_all(sandbox.path("dst"));
            let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(3));
            assert_eq!(report.totals.entries_found, report.totals.entries_done());
            for index in 0..250 {
                assert_eq!(sandbox.read(format!("dst/{index}")), b"here");
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
}
