//! Processes killed at every call: what is there is old or new and whole, and the next run mends it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, lchown},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::sys::stat::Mode;
use orbit::{CopyJob, Existing};

use super::{
    traced::{Call, Traced, can_trace},
    tree::{
        KIB, age, assert_no_temporaries, is_temporary, noise, same_entry, set_mode, to_be_corrected, walk,
    },
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::set_times,
    is_root, run, skip,
    tree::{Aspect, assert_same_but},
};

const SETID: u32 = 0o6000;
/// Calls that touch files, which are those between which a copy can be cut.
const FILE_CALLS: &str = "%file,%desc";

/// A setuid file of another owner, which is what must never be there unfinished.
fn privileged_file(sandbox: Sandbox, name: &str, content: &[u8]) -> Sandbox {
    let sandbox = sandbox.file(name, content);
    chown(sandbox.path(name), Some(1234), Some(2345)).unwrap();
    set_mode(&sandbox.path(name), 0o6755);
    age(&sandbox.path(name), content.len() as u64);
    sandbox
}

/// Assert what holds at every moment, for every file of the copy.
#[track_caller]
fn assert_sound(sandbox: &Sandbox, moment: &str) {
    let (source, copy) = (sandbox.path("src"), sandbox.path("dst"));
    let contents: BTreeSet<Vec<u8>> = files_in(&source).map(|path| fs::read(path).unwrap()).collect();
    for path in files_in(&copy) {
        let meta = fs::metadata(&path).unwrap();
        let content = fs::read(&path).unwrap();
        if meta.permissions().mode() & SETID != 0 {
            assert!(contents.contains(&content), "{moment}: {} is setuid and unfinished", path.display());
            assert_eq!(meta.uid(), 1234, "{moment}: {} lends another's rights", path.display());
        }
        let origin = source.join(path.strip_prefix(&copy).unwrap());
        if is_temporary(&path) || !origin.exists() {
            continue;
        }
        let of_origin = fs::metadata(&origin).unwrap();
        if (meta.mtime(), meta.mtime_nsec()) == (of_origin.mtime(), of_origin.mtime_nsec()) {
            same_entry(&origin, &path).unwrap_or_else(|why| panic!("{moment}: looks finished: {why}"));
        }
    }
}

fn files_in(root: &Path) -> impl Iterator<Item = PathBuf> {
    let all = if root.exists() { walk(root) } else { Vec::new() };
    all.into_iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file())
}

/// Assert that the run after a kill brings everything in order.
#[track_caller]
fn assert_mended(sandbox: &Sandbox, existing: Existing, moment: &str) {
    let report = run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(existing));
    assert!(report.is_complete(), "{moment}: {:?}", report.failures);
    assert_no_temporaries(&sandbox.path("dst"));
    eprintln!("{moment}");
    // Some looks have read the source's files.
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

/// Kill the copy of what `make` makes at each of its calls in turn, and look each time.
fn kill_at_every_call(
    make: impl Fn() -> Sandbox,
    existing: Option<(&str, Existing)>,
    look: impl Fn(&Sandbox, &str),
) {
    kill_and_mend_at_every_call(make, existing, |sandbox, moment| {
        assert_sound(sandbox, moment);
        look(sandbox, moment);
    });
}

/// The same for copies that may look finished, because their content is.
fn kill_and_mend_at_every_call(
    make: impl Fn() -> Sandbox,
    existing: Option<(&str, Existing)>,
    look: impl Fn(&Sandbox, &str),
) {
    let copy_of = |sandbox: &Sandbox| {
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
        existing.iter().fold(copy, |copy, (name, _)| copy.told("existing", name))
    };
    let rehearsed = make();
    let rehearsal = copy_of(&rehearsed).recording(FILE_CALLS).run();
    assert!(rehearsal.status.success(), "{:?}", rehearsal.summary);
    let root = rehearsed.path("");
    // What is closed by whom is a matter of chance, and changes nothing.
    let closes = |call: &Call| call.name == "close" || call.name == "fcntl";
    let ours = |call: &&Call| call.line.contains(root.to_str().unwrap()) && !closes(call);
    let moments: Vec<&Call> = rehearsal.calls.iter().filter(ours).collect();
    assert!(moments.len() > 10, "{:?}", rehearsal.calls);
    for call in moments {
        let sandbox = make();
        let kill = format!("signal=KILL:when={}", call.number);
        let outcome = copy_of(&sandbox).fault(&call.name, &kill).run();
        let moment = format!("before {}", call.line);
        assert!(outcome.was_killed(), "{moment}: {:?}", outcome.status);
        look(&sandbox, &moment);
        assert_mended(&sandbox, existing.map_or(Existing::Update, |(_, existing)| existing), &moment);
    }
}

fn cannot_run() -> bool {
    if !is_root() {
        skip("setuid files of another owner need root");
    }
    !is_root() || !can_trace()
}

#[test]
fn a_file_that_is_replaced_is_the_old_or_the_new_one_at_every_moment() {
    if cannot_run() {
        return;
    }
    let new = noise(1, 100 * KIB);
    let make = || privileged_file(Sandbox::new(), "src/f", &new).file("dst/f", b"old");
    kill_at_every_call(make, None, |sandbox, moment| {
        let there = sandbox.read("dst/f");
        assert!(there == b"old" || there == new, "{moment}: {} bytes", there.len());
    });
}

#[test]
fn a_new_file_is_never_unfinished_and_setuid_or_of_its_sources_time() {
    if cannot_run() {
        return;
    }
    let make = || privileged_file(Sandbox::new(), "src/f", &noise(1, 100 * KIB));
    kill_at_every_call(make, None, |_, _| {});
}

#[test]
fn a_file_that_appears_when_finished_is_whole_or_absent_at_every_moment() {
    if cannot_run() {
        return;
    }
    let new = noise(1, 100 * KIB);
    let make = || privileged_file(Sandbox::new(), "src/f", &new).dir("dst");
    kill_at_every_call(make, Some(("newer", Existing::Newer)), |sandbox, moment| {
        if sandbox.path("dst/f").exists() {
            same_entry(&sandbox.path("src/f"), &sandbox.path("dst/f"))
                .unwrap_or_else(|why| panic!("{moment}: {why}"));
        }
    });
}

#[test]
fn without_times_every_file_that_was_cut_off_is_copied_again() {
    if !can_trace() {
        return;
    }
    for call in ["copy_file_range", "pread64", "pwrite64"] {
        let sandbox = Sandbox::new().file("src/a", &noise(1, 100 * KIB)).file("src/b", &noise(2, KIB));
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).without_reflink();
        let copy = copy.told("lose", "TIMESTAMPS");
        assert!(copy.clone().fault(call, "signal=KILL:when=1").run().was_killed(), "{call}");
        assert!(sandbox.path("dst").exists());
        assert!(copy.run().status.success());
        for name in ["a", "b"] {
            assert_eq!(sandbox.read(format!("src/{name}")), sandbox.read(format!("dst/{name}")), "{call}");
        }
    }
}

/// One of each: files, directories, a symlink, a FIFO, and two names of one file.
fn one_of_each(root: &str, sandbox: Sandbox, seed: u64) -> Sandbox {
    let sandbox = privileged_file(sandbox, &format!("{root}/dir/f"), &noise(seed, 3 * KIB))
        .file(format!("{root}/a"), &noise(seed + 1, KIB))
        .symlink(format!("target-{seed}"), format!("{root}/symlink"));
    age(&sandbox.path(root).join("a"), seed);
    fs::hard_link(sandbox.path(root).join("a"), sandbox.path(root).join("dir/z")).unwrap();
    nix::unistd::mkfifo(&sandbox.path(root).join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    sandbox
}

#[test]
fn a_tree_of_everything_is_mended_wherever_its_copy_was_cut() {
    if cannot_run() {
        return;
    }
    kill_at_every_call(|| one_of_each("src", Sandbox::new(), 1), None, |_, _| {});
}

#[test]
fn a_tree_over_an_older_one_is_mended_wherever_its_copy_was_cut() {
    if cannot_run() {
        return;
    }
    let make = || {
        let sandbox = one_of_each("dst", one_of_each("src", Sandbox::new(), 1), 7);
        set_mode(&sandbox.path("dst/dir/f"), 0o644);
        age(&sandbox.path("dst/dir/f"), 1);
        sandbox
    };
    let replace = Some(("replace", Existing::Replace));
    kill_at_every_call(make, replace, |sandbox, moment| {
        for name in ["a", "dir/z", "dir/f", "symlink", "fifo"] {
            let there = fs::symlink_metadata(sandbox.path("dst").join(name));
            assert!(there.is_ok(), "{moment}: {name} is gone");
        }
    });
}

#[test]
fn a_correction_is_completed_wherever_it_was_cut() {
    if cannot_run() {
        return;
    }
    kill_and_mend_at_every_call(to_be_corrected, None, |sandbox, moment| {
        for name in ["file", "program", "tool"].map(Path::new) {
            let content = |tree: &str| sandbox.read(Path::new(tree).join(name));
            assert!(content("src") == content("dst"), "{moment}: {}", name.display());
        }
    });
}

#[test]
fn links_and_fifos_without_their_owner_are_not_taken_for_finished_by_any_policy() {
    if cannot_run() {
        return;
    }
    let make = || {
        let sandbox = Sandbox::new().dir("src").dir("dst").symlink("target", "src/symlink");
        let fifo = sandbox.path("src/fifo");
        nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
        for path in [fifo, sandbox.path("src/symlink")] {
            lchown(&path, Some(1234), Some(2345)).unwrap();
            set_times(&path, 1_000_000_000, 5); // older than whatever is made now
        }
        sandbox
    };
    for (name, policy) in [("newer", Existing::Newer), ("skip", Existing::Skip)] {
        kill_at_every_call(make, Some((name, policy)), |sandbox, moment| {
            for name in ["fifo", "symlink"].map(Path::new) {
                if sandbox.path("dst").join(name).symlink_metadata().is_ok() {
                    same_entry(&sandbox.path("src").join(name), &sandbox.path("dst").join(name))
                        .unwrap_or_else(|why| panic!("{moment}: {why}"));
                }
            }
        });
    }
}

#[test]
fn leftovers_of_every_kind_are_swept_and_never_copied() {
    let temporary = |number: u32| format!(".orbit-{number:016x}.tmp");
    let mut sandbox = Sandbox::new().file("src/a", b"a").file(format!("src/{}/inside", temporary(9)), b"in");
    for root in ["src", "dst"] {
        sandbox = sandbox.file(format!("{root}/{}", temporary(1)), b"unfinished");
        sandbox = sandbox.symlink("/nowhere", format!("{root}/{}", temporary(2)));
        let fifo = sandbox.path(root).join(temporary(3));
        nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
        let socket = sandbox.path(root).join(temporary(4));
        drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
    }
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!(report.totals.skipped, 4);
    let mut names: Vec<_> =
        fs::read_dir(sandbox.path("dst")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    // A directory of such a name was made by somebody else.
    assert_eq!(names, [temporary(9).as_str(), "a"]);
    assert_eq!(sandbox.read(format!("dst/{}/inside", temporary(9))), b"in");
}

#[test]
fn a_temporary_that_somebody_works_on_is_left_to_them() {
    let name = ".orbit-0123456789abcdef.tmp";
    let sandbox = Sandbox::new().file("src/a", b"a").file(format!("dst/{name}"), b"in work");
    let worked_on = fs::File::open(sandbox.path("dst").join(name)).unwrap();
    worked_on.lock().unwrap();
    assert_complete(&sandbox.copy());
    assert_eq!(sandbox.read(format!("dst/{name}")), b"in work");
    drop(worked_on);
    // A process that another test is just starting may hold a copy of the descriptor for a moment.
    let is_swept = || {
        assert_complete(&sandbox.copy());
        !sandbox.path("dst").join(name).exists()
    };
    assert!((0..1000).any(|_| is_swept()));
}

#[test]
fn many_workers_killed_at_any_time_leave_what_the_next_run_mends() {
    if cannot_run() {
        return;
    }
    let mut sandbox = Sandbox::new();
    for number in 0..300 {
        let size = if number % 50 == 0 { 9 << 20 } else { number * 37 };
        sandbox = privileged_file(sandbox, &format!("src/{}/{number}", number % 7), &noise(number, size));
    }
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst")).told("jobs", "4");
    let mut kills = 0;
    for round in 0..8 {
        let moment = Duration::from_micros(500 + (round * 7919 % 40) * 1000);
        let mut driver = copy.start_untraced();
        thread::sleep(moment); // at a moment that nothing marks
        driver.kill().unwrap();
        kills += i32::from(driver.wait().unwrap().signal() == Some(9));
        assert_sound(&sandbox, &format!("after {moment:?}"));
        if round % 2 == 1 {
            assert_mended(&sandbox, Existing::Update, &format!("after {moment:?}"));
            fs::remove_dir_all(sandbox.path("dst")).unwrap();
        }
    }
    assert!(kills >= 4, "only {kills} were killed while they worked");
    assert_complete(&sandbox.copy());
}

#[test]
fn an_unfinished_file_of_the_present_does_not_look_finished_on_a_coarse_clock() {
    if !can_trace() {
        return;
    }
    let Some(mount) = Mount::new(Filesystem::Ext4Coarse, 64) else { return };
    // Three pieces with holes between: the copy has its whole size before its content.
    for when in 1..=3 {
        let sandbox = Sandbox::on(&mount).dir("src");
        let file = fs::File::create(sandbox.path("src/f")).unwrap();
        for piece in 0..3 {
            std::os::unix::fs::FileExt::write_all_at(&file, &noise(piece, 64 * KIB), piece << 20).unwrap();
        }
        drop(file);
        let cut = Traced::copy(sandbox.path("src"), sandbox.path("dst"))
            .without_reflink()
            .told("zero-copy", "forbid")
            .fault("pwrite64", &format!("signal=KILL:when={when}"))
            .run();
        assert_eq!(cut.status.signal(), Some(9));
        assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
        assert!(sandbox.read("src/f") == sandbox.read("dst/f"), "cut at write {when}");
    }
}
