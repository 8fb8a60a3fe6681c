//! Power cuts on filesystems without a journal, which write what was changed in any order.
//!
//! Their device is a file on XFS. What a cut leaves is a clone of that file (`FICLONE`, which no write comes
//! between), repaired by e2fsck as at every boot after one. Meanwhile pieces of the device are written back at
//! random, as a kernel and a disk do by and by.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use orbit::{CopyJob, Existing};
use rustix::fs::{Mode, OFlags};

use super::{
    traced::{Call, Outcome, Traced, can_trace},
    tree::{KIB, MIB, age, assert_no_temporaries, assert_same_tree, is_temporary, noise},
};
use crate::support::{Filesystem, Mount, Sandbox, assert_complete, run};

/// What the names of a tree stand for: content of files, and where links lead.
type Entries = BTreeMap<PathBuf, Vec<u8>>;

fn entries_of(root: &Path) -> Entries {
    let mut entries = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                dirs.push(path);
                continue;
            }
            let what = if kind.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            entries.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    entries
}

/// A tree of many files, in a directory of many blocks and in small ones.
fn many(seed: u64) -> Sandbox {
    let mut sandbox = Sandbox::new();
    for index in 0..500 {
        let name = format!("src/many/a-name-that-takes-some-room-{index:06}");
        sandbox = sandbox.file(name, &noise(seed + index, [9, 900, 3_000][index as usize % 3]));
    }
    for index in 0..60 {
        sandbox =
            sandbox.file(format!("src/few-{}/{index}", index % 7), &noise(seed + 1_000 + index, 30 * KIB));
    }
    for (index, size) in (2_000..).zip([MIB, 3 * MIB, 9 * MIB]) {
        sandbox = sandbox.file(format!("src/large-{index}"), &noise(seed + index, size));
    }
    finished(sandbox, seed)
}

/// A tree of so few that each is made durable by itself.
fn few(seed: u64) -> Sandbox {
    let sandbox = (0..3).fold(Sandbox::new(), |sandbox, index| {
        sandbox.file(format!("src/in/{index}"), &noise(seed + index, [9_000, 9_000, MIB][index as usize]))
    });
    finished(sandbox, seed)
}

/// Links beside the files, and times that tell.
fn finished(sandbox: Sandbox, seed: u64) -> Sandbox {
    for path in entries_of(&sandbox.path("src")).into_keys() {
        age(&sandbox.path("src").join(path), seed % 97);
    }
    let sandbox = sandbox.symlink(format!("{seed}"), "src/link");
    fs::write(sandbox.path("src/one"), seed.to_string()).unwrap();
    age(&sandbox.path("src/one"), seed % 97);
    fs::hard_link(sandbox.path("src/one"), sandbox.path("src/other")).unwrap();
    sandbox
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn wait(&mut self, at_most: Duration) {
        thread::sleep(Duration::from_micros(self.below(at_most.as_micros() as u64)));
    }
}

/// MiB of a device.
const SIZE: u64 = 120;

/// Memory that a device reads to by itself.
#[repr(align(4096))]
struct Piece([u8; 64 << 10]);

/// Write pieces of a device back at random.
fn write_back(device: &str, mut dice: Dice, is_over: &AtomicBool) {
    let device = rustix::fs::open(device, OFlags::RDONLY | OFlags::DIRECT, Mode::empty()).unwrap();
    let device = File::from(device);
    let mut piece = Box::new(Piece([0; 64 << 10]));
    let length = piece.0.len() as u64;
    while !is_over.load(Ordering::Relaxed) {
        // What is read past the page cache is written back before.
        device.read_at(&mut piece.0, dice.below((SIZE << 20) / length) * length).unwrap();
    }
}

/// What became of names that were to be given to others.
#[derive(Debug, Default)]
struct Tally {
    cuts: u32,
    with_damage: u32,
    missing: u32,
    torn: u32,
    old: u32,
    new: u32,
}

impl Tally {
    fn look(&mut self, there: &Entries, old: &Entries, new: &Entries) {
        let before = self.missing + self.torn;
        for (path, old) in old {
            match there.get(path) {
                None => self.missing += 1,
                Some(content) if content == old => self.old += 1,
                Some(content) if *content == new[path] => self.new += 1,
                Some(_) => self.torn += 1,
            }
        }
        self.cuts += 1;
        self.with_damage += u32::from(self.missing + self.torn > before);
    }
}

/// Let two trees replace each other, with so many cuts at least.
fn cut(kind: Filesystem, tree: fn(u64) -> Sandbox, cuts: u32) -> Option<Tally> {
    let host = Mount::new(Filesystem::Xfs, 1_000)?;
    let mount = Mount::with_image_in(host.path(), kind, SIZE)?;
    let (image, device) = (mount.image().unwrap(), &mount.device());
    let mut trees = [tree(10_000), tree(20_000)];
    let to = mount.path().join("dst");
    // Its directories have room then for names of files that wait: none grows any more.
    let mut length = Duration::ZERO;
    for tree in trees.iter().cycle().take(3) {
        let began = Instant::now();
        assert_complete(&run(CopyJob::new(tree.path("src"), &to).existing(Existing::Replace)));
        length = began.elapsed();
    }
    let mut tally = Tally::default();
    let mut dice = Dice(std::process::id().into());
    while tally.cuts < cuts {
        trees.swap(0, 1);
        let from = trees[0].path("src");
        let (old, new) = (entries_of(&to), entries_of(&from));
        nix::unistd::sync();
        let began = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_orbit"));
        let mut child = command.arg("-qT").args([&from, &to]).stderr(Stdio::null()).spawn().unwrap();
        let is_over = AtomicBool::new(false);
        let clones = thread::scope(|scope| {
            let more = Dice(dice.below(u64::MAX));
            scope.spawn(|| write_back(device, more, &is_over));
            let mut clones = Vec::new();
            let mut ended = None;
            while ended.is_none_or(|ended: Instant| ended.elapsed() < length / 3) {
                dice.wait(length / 3);
                let path = host.path().join(format!("cut-{}", clones.len()));
                rustix::fs::ioctl_ficlone(File::create(&path).unwrap(), File::open(image).unwrap()).unwrap();
                clones.push(path);
                if ended.is_none() && child.try_wait().unwrap().is_some() {
                    (ended, length) = (Some(Instant::now()), began.elapsed());
                }
            }
            is_over.store(true, Ordering::Relaxed);
            clones
        });
        assert!(child.wait().unwrap().success());
        let last = clones.len() - 1;
        for (index, clone) in clones.into_iter().enumerate() {
            let mount = Mount::repaired(&clone);
            let to = mount.path().join("dst");
            tally.look(&entries_of(&to), &old, &new);
            if index == last / 2 {
                assert_complete(&run(CopyJob::new(&from, &to)));
                assert_same_tree(&from, &to);
                assert_no_temporaries(&to);
            }
        }
    }
    eprintln!("{kind:?}: {tally:?}");
    Some(tally)
}

fn cuts() -> u32 {
    std::env::var("ORBIT_TEST_CUTS").map_or(9, |cuts| cuts.parse().unwrap())
}

#[test]
fn without_a_journal_a_replaced_entry_is_the_old_one_or_the_new_one_too() {
    let mut tallies = Vec::new();
    for kind in [Filesystem::Ext4Unjournaled, Filesystem::Ext2] {
        for tree in [many, few] {
            let Some(tally) = cut(kind, tree, cuts()) else { return };
            tallies.push(tally);
        }
    }
    for tally in tallies {
        assert_eq!((tally.missing, tally.torn), (0, 0), "{tally:?}");
        assert!(tally.old > 0 && tally.new > 0, "no cut came while it mattered: {tally:?}");
    }
}

/// A copy of `count` files, a link and two names of one file, each of which is to be replaced.
fn to_be_replaced(mount: &Mount, count: u64) -> Sandbox {
    let mut sandbox = Sandbox::on(mount).dir("src").dir("dst");
    sandbox = sandbox.symlink("new", "src/link").symlink("old", "dst/link");
    for index in 0..count {
        sandbox = sandbox
            .file(format!("src/file-{index}"), &noise(index, 900))
            .file(format!("dst/file-{index}"), b"old");
    }
    let sandbox = sandbox.file("src/one", b"new").file("dst/one", b"old").file("dst/other", b"old");
    age(&sandbox.path("src/one"), 30); // of the same size, perhaps at the same tick
    fs::hard_link(sandbox.path("src/one"), sandbox.path("src/other")).unwrap();
    sandbox
}

/// What `to_be_replaced` has beside the files.
const BESIDE: u64 = 3;

const CALLS: &str = "renameat,renameat2,linkat,fsync,syncfs,unlinkat";

/// The temporaries in a directory.
fn temporaries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| is_temporary(path) && path.extension().is_some_and(|it| it == "tmp");
    let mut found: Vec<_> = entries.filter(is_one).collect();
    found.sort();
    found
}

fn exchanges(call: &&Call) -> bool {
    call.name == "renameat2" && call.line.contains("RENAME_EXCHANGE")
}

fn removes_temporary(call: &&Call) -> bool {
    call.name == "unlinkat" && call.line.contains(".tmp\"")
}

/// Assert that names are durable before what they stood for goes; how much went.
fn removed_in_order(outcome: &Outcome) -> u64 {
    // What an earlier run has left undone counts as well.
    let (mut are_durable, mut removed) = (false, 0);
    for call in &outcome.calls {
        match &*call.name {
            "renameat" | "renameat2" => are_durable = false,
            "fsync" if call.line.contains("/dst>") => are_durable = true,
            "syncfs" => are_durable = true,
            "unlinkat" if removes_temporary(&call) => {
                assert!(are_durable, "{}", call.line);
                removed += 1;
            }
            _ => {}
        }
    }
    removed
}

#[test]
fn without_a_journal_what_is_replaced_stays_until_names_are_durable() {
    if !can_trace() {
        return;
    }
    for (kind, count, fsync) in [
        (Filesystem::Ext4Unjournaled, 3, "end"),
        (Filesystem::Ext4Unjournaled, 200, "end"),
        (Filesystem::Ext4Unjournaled, 3, "file"),
        (Filesystem::Ext2, 3, "end"),
    ] {
        let Some(mount) = Mount::new(kind, 64) else { return };
        let sandbox = to_be_replaced(&mount, count);
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("fsync", fsync);
        let outcome = copy.recording(CALLS).run();
        assert!(outcome.status.success(), "{:#?}", outcome.summary);
        assert_eq!(outcome.calls.iter().filter(exchanges).count() as u64, count + BESIDE, "{kind:?}");
        assert_eq!(outcome.count("renameat") + outcome.count("linkat"), 1, "a link is one");
        assert_eq!(removed_in_order(&outcome), count + BESIDE);
        assert!(count < 10 || outcome.count("fsync") < 20, "a directory is made durable once a group");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn with_a_journal_or_where_nothing_is_waited_for_nothing_is_kept() {
    if !can_trace() {
        return;
    }
    for (kind, fsync) in [
        (Filesystem::Ext4, "end"),
        (Filesystem::Xfs, "end"),
        (Filesystem::Tmpfs, "end"),
        (Filesystem::Ext4Unjournaled, "none"),
    ] {
        let Some(mount) = Mount::new(kind, 320) else { return };
        let sandbox = to_be_replaced(&mount, 3);
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("fsync", fsync);
        let outcome = copy.recording(CALLS).run();
        assert!(outcome.status.success(), "{:#?}", outcome.summary);
        assert_eq!(outcome.count("renameat") as u64, 3 + BESIDE, "{kind:?}");
        assert_eq!(outcome.calls.iter().filter(removes_temporary).count(), 0);
        assert_eq!(outcome.count("renameat2") + outcome.count("fsync"), 0, "{kind:?}");
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn where_names_fail_to_change_places_the_old_entry_stays() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4Unjournaled, 64) else { return };
    let sandbox = to_be_replaced(&mount, 3);
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording(CALLS);
    let outcome = copy.fault("renameat2", "error=EIO").run();
    assert_eq!(outcome.injected("renameat2") as u64, 3 + BESIDE);
    assert_eq!(outcome.summary.total("failed"), 3 + BESIDE, "{:#?}", outcome.summary);
    assert!((0..3).all(|index| sandbox.read(format!("dst/file-{index}")) == b"old"));
    assert_no_temporaries(&sandbox.path("dst"));
    assert_complete(&sandbox.copy());
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn where_names_cannot_change_places_what_is_replaced_gets_another() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4Unjournaled, 64) else { return };
    let sandbox = to_be_replaced(&mount, 8);
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording(CALLS);
    let outcome = copy.fault("renameat2", "error=EINVAL").run();
    assert!(outcome.injected("renameat2") > 0 && outcome.status.success(), "{:#?}", outcome.summary);
    assert_eq!(outcome.summary.warnings(), 0, "{:#?}", outcome.summary);
    assert_eq!(removed_in_order(&outcome), 8 + BESIDE);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn what_cannot_be_kept_is_one_warning() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4Unjournaled, 64) else { return };
    for (fsync, warned) in [("end", 8 + BESIDE), ("none", 0)] {
        let sandbox = to_be_replaced(&mount, 8);
        fs::remove_file(sandbox.path("src/other")).unwrap(); // by a link, which none may be here
        fs::write(sandbox.path("src/other"), b"new").unwrap();
        age(&sandbox.path("src/other"), 30);
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("fsync", fsync);
        let copy = copy.fault("renameat2", "error=EINVAL").fault("linkat", "error=EPERM");
        let outcome = copy.run();
        assert!(outcome.status.success(), "{:#?}", outcome.summary);
        assert_eq!((outcome.injected("linkat") > 0, outcome.summary.warned("Order")), (warned > 0, warned));
        assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    }
}

#[test]
fn what_a_killed_run_has_kept_goes_when_names_are_durable() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4Unjournaled, 64) else { return };
    let sandbox = to_be_replaced(&mount, 3);
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).recording(CALLS);
    // The link and the two names go first, one by one.
    let killed = copy.clone().fault("unlinkat", "signal=KILL:when=4").run();
    assert!(killed.was_killed(), "{:#?}", killed.calls);
    let left = temporaries(&sandbox.path("dst"));
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.iter().all(|path| fs::read(path).unwrap() == b"old"));
    // As a cut in what the directory has might do it.
    fs::remove_file(sandbox.path("dst/file-0")).unwrap();
    let would = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).dry_run(true));
    assert_complete(&would);
    fs::write(sandbox.path("src/in-the-way"), b"").unwrap();
    fs::create_dir(sandbox.path("dst/in-the-way")).unwrap();
    assert!(!copy.run().status.success());
    assert_eq!(temporaries(&sandbox.path("dst")), left, "one of them may be the only one");
    fs::remove_dir(sandbox.path("dst/in-the-way")).unwrap();
    let again = copy.run();
    assert!(again.status.success(), "{:#?}", again.summary);
    assert_eq!(removed_in_order(&again), 3);
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
}

#[test]
fn what_was_replaced_stays_where_names_cannot_be_made_durable() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4Unjournaled, 64) else { return };
    let sandbox = to_be_replaced(&mount, 3);
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    let outcome = copy.fault("fsync", "error=EIO").run();
    assert!(outcome.injected("fsync") > 0 && outcome.status.success(), "{:#?}", outcome.summary);
    assert_eq!(outcome.summary.warned("Leftover"), 3 + BESIDE, "{:#?}", outcome.summary);
    assert_eq!(temporaries(&sandbox.path("dst")).len() as u64, 3 + BESIDE);
    assert_complete(&sandbox.copy());
    assert_same_tree(&sandbox.path("src"), &sandbox.path("dst"));
    assert_no_temporaries(&sandbox.path("dst"));
}
