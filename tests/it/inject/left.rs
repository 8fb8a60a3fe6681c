//! What a killed run has left under a final name: no later run takes it for whole, whatever it is told to do
//! with what exists.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::{
        fs::{FileExt, MetadataExt, chown},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use orbit::{Compression, CopyJob, Existing, FileList, Report, Rule, Selection};

use super::{
    traced::{Traced, can_trace},
    tree::{KIB, MIB, age, assert_no_temporaries, is_temporary, noise, set_mode, walk},
};
use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, causes, copy_program,
    driver::NOBODY,
    is_root, run, skip, stderr,
    tree::{Aspect, assert_same_but},
};

/// A user beside [`NOBODY`].
const ANOTHER: u32 = 1234;

/// A source with files of which a copy that is cut off leaves one torn.
fn source(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.file("src/below/large", &noise(1, 3 * MIB)).file("src/small", &noise(2, 5 * KIB));
    for name in ["below/large", "small"] {
        age(&sandbox.path("src").join(name), 30);
    }
    sandbox
}

/// Kill a copy, run as `told`, when some of the large file is in place under its name.
#[track_caller]
fn kill(sandbox: &Sandbox, told: &[(&str, &str)]) {
    let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
    let copy = copy.told("zero-copy", "forbid").told("reflink", "never");
    let copy = told.iter().fold(copy, |copy, (key, value)| copy.told(key, value));
    let large = sandbox.path("dst/below/large");
    let outcome = copy.fault("pwrite64", "signal=KILL:when=3").run();
    assert_eq!(outcome.status.signal(), Some(9));
    assert!(is_torn(sandbox), "{} is there, and torn", large.display());
    assert_eq!(marks(&sandbox.path("dst")).len(), 1);
}

fn is_torn(sandbox: &Sandbox) -> bool {
    let large = sandbox.path("dst/below/large");
    fs::read(&large).is_ok_and(|there| there != sandbox.read("src/below/large"))
}

#[track_caller]
fn assert_mended(sandbox: &Sandbox) {
    // To look at its files is to read them.
    assert_same_but(&sandbox.path("src"), &sandbox.path("dst"), &[Aspect::Atime]);
}

fn marks(root: &Path) -> Vec<PathBuf> {
    let is_mark = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "run");
    walk(root).into_iter().filter(|path| is_temporary(path) && is_mark(path)).collect()
}

fn again(sandbox: &Sandbox, existing: Existing, selection: Selection) -> Report {
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    run(job.existing(existing).select(selection))
}

fn all() -> Selection {
    Selection::default()
}

#[test]
fn what_a_killed_run_has_not_finished_is_mended_or_fails_whatever_is_done_with_what_exists() {
    if !can_trace() {
        return;
    }
    let mounts = [Filesystem::Bindfs, Filesystem::Tmpfs].map(|kind| Mount::new(kind, 64));
    let places = mounts.iter().map(Option::as_ref).chain([None]);
    for mount in places {
        for existing in [Existing::Skip, Existing::Newer, Existing::Fail, Existing::Update] {
            let sandbox = source(mount.map_or_else(Sandbox::new, Sandbox::on));
            kill(&sandbox, &[]);
            let would = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(existing);
            let would = run(would.dry_run(true));
            assert!(is_torn(&sandbox) && marks(&sandbox.path("dst")).len() == 1, "a dry run changes nothing");
            let report = again(&sandbox, existing, all());
            assert_eq!(would.totals.files_copied, report.totals.files_copied, "a dry run says so");
            if existing == Existing::Fail {
                assert!(!report.is_complete() && is_torn(&sandbox));
                assert_eq!(marks(&sandbox.path("dst")).len(), 1, "it says it to the next one too");
                assert_complete(&again(&sandbox, Existing::Skip, all()));
            } else {
                assert_complete(&report);
            }
            assert_mended(&sandbox);
            assert_no_temporaries(&sandbox.path("dst"));
            let settled = again(&sandbox, Existing::Skip, all());
            assert_eq!((settled.totals.skipped, settled.totals.files_copied), (2, 0));
        }
    }
}

#[test]
fn a_frame_that_was_cut_off_is_told_like_any_torn_file_and_so_is_what_was_brought_back() {
    if !can_trace() {
        return;
    }
    for frames in ["zstd", "lz4"] {
        for existing in [Existing::Skip, Existing::Newer] {
            let compression = if frames == "lz4" { Compression::Lz4 } else { Compression::Zstd { level: 3 } };
            let sandbox = source(Sandbox::new());
            for (from, to, told) in [("src", "packed", frames), ("packed", "dst", "none")] {
                // As a run makes it that is not killed.
                let compression = if told == "none" { Compression::Decompress } else { compression };
                let job = || CopyJob::new(sandbox.path(from), sandbox.path(to)).compression(compression);
                assert_complete(&run(job()));
                let whole: Vec<_> =
                    walk(&sandbox.path(to)).into_iter().filter(|path| path.is_file()).collect();
                let whole: Vec<_> = whole.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
                fs::remove_dir_all(sandbox.path(to)).unwrap();
                for call in 1..=4 {
                    let copy = Traced::copy(sandbox.path(from), sandbox.path(to)).told("frames", told);
                    let outcome = copy.fault("pwrite64", &format!("signal=KILL:when={call}")).run();
                    assert_eq!(outcome.status.signal(), Some(9));
                    assert_complete(&run(job().existing(existing)));
                    for (content, path) in &whole {
                        assert!(fs::read(path).unwrap() == *content, "{frames} {call} {}", path.display());
                    }
                    assert_no_temporaries(&sandbox.path(to));
                    // What somebody else has put there is his.
                    fs::write(&whole[0].1, b"mine").unwrap();
                    assert_complete(&run(job().existing(existing)));
                    assert_eq!(fs::read(&whole[0].1).unwrap(), b"mine");
                    fs::remove_dir_all(sandbox.path(to)).unwrap();
                }
                assert_complete(&run(job()));
            }
        }
    }
}

#[test]
fn a_torn_file_that_is_nearly_all_hole_is_told_without_being_read_to_its_end() {
    const SIZE: u64 = 1 << 50;
    let Some(mount) = Mount::new(Filesystem::XfsPlain, 512) else { return };
    if !can_trace() {
        return;
    }
    for existing in [Existing::Skip, Existing::Newer] {
        let sandbox = Sandbox::on(&mount).dir("src");
        let file = File::create(sandbox.path("src/sparse")).unwrap();
        file.set_len(SIZE).unwrap();
        let data = noise(3, KIB);
        [0, SIZE / 2, SIZE - KIB].iter().for_each(|at| file.write_all_at(&data, *at).unwrap());
        age(&sandbox.path("src/sparse"), 30);
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
        let copy = copy.told("zero-copy", "forbid").told("reflink", "never");
        let outcome = copy.fault("pwrite64", "signal=KILL:when=2").run();
        assert_eq!(outcome.status.signal(), Some(9));
        assert_eq!(fs::metadata(sandbox.path("dst/sparse")).unwrap().len(), SIZE);
        let report = again(&sandbox, existing, all());
        assert_complete(&report);
        assert_eq!(report.totals.files_copied, 1);
        let there = File::open(sandbox.path("dst/sparse")).unwrap();
        for at in [0, SIZE / 2, SIZE - KIB] {
            let mut read = vec![0; KIB as usize];
            there.read_exact_at(&mut read, at).unwrap();
            assert!(read == data, "at {at}");
        }
        fs::remove_dir_all(sandbox.path("dst")).unwrap();
    }
}

#[test]
fn nothing_is_left_unmarked_whatever_is_made_durable() {
    if !can_trace() {
        return;
    }
    for fsync in ["none", "file", "end"] {
        let sandbox = source(Sandbox::new());
        kill(&sandbox, &[("fsync", fsync)]);
        assert_complete(&again(&sandbox, Existing::Skip, all()));
        assert_mended(&sandbox);
    }
}

#[test]
fn a_mark_stays_until_a_run_has_looked_at_all_that_the_killed_one_may_have_left() {
    if !can_trace() {
        return;
    }
    let except = || all().rules([Rule::Exclude("large".into())]).unwrap();
    let listed = || all().files(FileList::read(&b"small"[..], b'\n').unwrap());
    let older = || all().sizes(0..=MIB);
    for part in [except(), listed(), older()] {
        for existing in [Existing::Skip, Existing::Update] {
            let sandbox = source(Sandbox::new());
            kill(&sandbox, &[]);
            assert_complete(&again(&sandbox, existing, part.clone()));
            assert!(is_torn(&sandbox));
            assert_eq!(marks(&sandbox.path("dst")).len(), 1);
            assert_complete(&again(&sandbox, Existing::Skip, all()));
            assert_mended(&sandbox);
            assert_no_temporaries(&sandbox.path("dst"));
        }
    }
}

#[test]
fn a_mark_stays_after_a_copy_of_another_source() {
    if !can_trace() {
        return;
    }
    let sandbox = source(Sandbox::new()).file("other/file", b"other");
    kill(&sandbox, &[]);
    let other = || CopyJob::new(sandbox.path("other"), sandbox.path("dst"));
    assert_complete(&run(other().existing(Existing::Skip)));
    assert_complete(&run(other()));
    assert_eq!(marks(&sandbox.path("dst")).len(), 1);
    assert_complete(&again(&sandbox, Existing::Skip, all()));
    assert_eq!(sandbox.read("dst/below/large"), sandbox.read("src/below/large"));
    assert_no_temporaries(&sandbox.path("dst"));
}

#[test]
fn a_mark_is_heard_above_a_part_that_is_copied_alone() {
    if !can_trace() {
        return;
    }
    for name in ["below", "below/large"] {
        let sandbox = source(Sandbox::new());
        kill(&sandbox, &[]);
        let part = CopyJob::new(sandbox.path("src").join(name), sandbox.path("dst").join(name));
        assert_complete(&run(part.existing(Existing::Skip)));
        assert!(!is_torn(&sandbox));
        assert_eq!(marks(&sandbox.path("dst")).len(), 1, "of the rest that says nothing");
        assert_complete(&again(&sandbox, Existing::Skip, all()));
        assert_mended(&sandbox);
    }
}

#[test]
fn a_file_that_is_named_by_itself_has_its_name_only_when_it_is_whole() {
    if !can_trace() {
        return;
    }
    let sandbox = source(Sandbox::new()).dir("dst");
    let (from, to) = (sandbox.path("src/below/large"), sandbox.path("dst/large"));
    let copy = Traced::copy(&from, &to).told("zero-copy", "forbid").told("reflink", "never");
    let outcome = copy.fault("pwrite64", "signal=KILL:when=3").run();
    assert_eq!(outcome.status.signal(), Some(9));
    assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 0, "nor is anything left beside it");
    assert_complete(&run(CopyJob::new(&from, &to).existing(Existing::Skip)));
    assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
}

#[test]
fn what_is_neither_whole_nor_a_part_of_its_source_is_left_alone_and_fails() {
    if !can_trace() {
        return;
    }
    let sandbox = source(Sandbox::new());
    kill(&sandbox, &[]);
    let mine = b"written by somebody else meanwhile";
    fs::write(sandbox.path("dst/below/large"), mine).unwrap();
    let report = again(&sandbox, Existing::Skip, all());
    assert_eq!(report.totals.failed, 1);
    assert!(causes(&report)[0].contains("run began that was cut off"), "{:?}", causes(&report));
    assert_eq!(sandbox.read("dst/below/large"), mine);
    assert_eq!(marks(&sandbox.path("dst")).len(), 1);
}

#[test]
fn a_further_name_of_a_linked_file_is_mended_as_the_first() {
    if !can_trace() {
        return;
    }
    let sandbox = source(Sandbox::new());
    kill(&sandbox, &[]);
    // A whole one would be left alone, and apart from the others where it is looked at after them.
    let _ = fs::remove_file(sandbox.path("dst/small"));
    for name in ["another", "third"] {
        fs::hard_link(sandbox.path("src/small"), sandbox.path("src").join(name)).unwrap();
        let mut torn = File::create(sandbox.path("dst").join(name)).unwrap();
        torn.write_all(&noise(2, KIB)).unwrap();
    }
    let report = again(&sandbox, Existing::Skip, all());
    assert_complete(&report);
    assert_eq!(report.totals.skipped, 0);
    assert_mended(&sandbox);
}

#[test]
fn where_no_mark_can_be_made_no_unfinished_file_has_its_name() {
    if !can_trace() {
        return;
    }
    let sandbox = source(Sandbox::new());
    let copy = || {
        let copy = Traced::copy(sandbox.path("src"), sandbox.path("dst"));
        copy.told("zero-copy", "forbid").told("reflink", "never")
    };
    let afresh = || fs::remove_dir_all(sandbox.path("dst")).unwrap();
    let refused = copy().fault_at("openat", &[".run", "O_CREAT"], "error=EIO", afresh);
    let outcome = refused.fault("pwrite64", "signal=KILL:when=3").run();
    assert_eq!(outcome.status.signal(), Some(9));
    assert_eq!(outcome.injected("openat"), 1);
    assert!(!sandbox.path("dst/below/large").exists());
    assert!(marks(&sandbox.path("dst")).is_empty());
    assert_complete(&again(&sandbox, Existing::Skip, all()));
    assert_mended(&sandbox);
}

#[test]
fn sweeping_goes_on_past_what_belongs_to_another_user() {
    if !is_root() {
        return skip("files of two users need root");
    }
    let sandbox = Sandbox::new().opened().file("src/file", b"content").dir("dst");
    set_mode(&sandbox.path("dst"), 0o1777);
    // Listed in any order; some of one's own come after some of the other's.
    for (user, first) in [(ANOTHER, 0), (NOBODY, 100)] {
        let temporaries = (first..first + 20).map(|number| format!(".orbit-{number:016x}.tmp"));
        let marks = (first..first + 3).map(|number| format!(".orbit-{number:016x}-0000000000.run"));
        for name in temporaries.chain(marks) {
            let path = sandbox.path("dst").join(name);
            fs::write(&path, b"left").unwrap();
            set_mode(&path, 0o600);
            chown(&path, Some(user), Some(user)).unwrap();
        }
    }
    let program = sandbox.path("orbit");
    copy_program(&program);
    let mut command = Command::new("setpriv");
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(program);
    let output = command.arg("-T").args([sandbox.path("src"), sandbox.path("dst")]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let left: Vec<_> = walk(&sandbox.path("dst")).into_iter().filter(|path| is_temporary(path)).collect();
    assert!(left.iter().all(|path| fs::metadata(path).unwrap().uid() == ANOTHER), "{left:?}");
    assert_eq!(left.len(), 23);
    let said = stderr(&output);
    assert_eq!(said.lines().filter(|line| line.contains("leftovers")).count(), 1, "{said}");
}
