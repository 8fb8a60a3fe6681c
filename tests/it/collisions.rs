//! Entries of one run that want one name.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use orbit::{CopyJob, Delete, Existing, Mirror, Report};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::set_times,
    causes, has_program, is_root, must,
    odd::{Odd, Oddities},
    run, skip, stderr,
};

#[test]
fn two_sources_of_one_name_are_a_failure_and_the_first_stays() {
    for (first, second) in [(&b"first"[..], &b"other"[..]), (b"first", b"of another size")] {
        let sandbox = Sandbox::new().file("a/name", first).file("b/name", second).dir("dst");
        for dir in ["a", "b"] {
            set_times(&sandbox.path(dir).join("name"), 1_000, 0);
        }
        let sources = [sandbox.path("a/name"), sandbox.path("b/name")];
        let report = run(CopyJob::into_directory(sources, sandbox.path("dst")));
        assert_eq!((report.totals.failed, report.totals.files_copied), (1, 1));
        assert_eq!(report.failures[0].path(), sandbox.path("dst/name"));
        assert_eq!(sandbox.read("dst/name"), first);
    }
}

#[test]
fn a_file_that_is_left_as_it_is_is_not_replaced_by_another_source() {
    // One that has a further name in the copy, and one that shares it with the source's.
    for has_pair in [false, true] {
        let sandbox = Sandbox::new().file("a/d/x", b"first").file("b/d/x", b"second").dir("dst");
        if has_pair {
            fs::hard_link(sandbox.path("a/d/x"), sandbox.path("a/d/y")).unwrap();
        }
        let copy = |sources: &[&str]| {
            let sources: Vec<_> = sources.iter().map(|source| sandbox.path(source)).collect();
            run(CopyJob::into_directory(sources, sandbox.path("dst")).jobs(2))
        };
        assert_complete(&copy(&["a/d", "a/d/x"]));
        if !has_pair {
            fs::hard_link(sandbox.path("dst/x"), sandbox.path("dst/kept")).unwrap();
            fs::hard_link(sandbox.path("dst/d/x"), sandbox.path("dst/d/kept")).unwrap();
        }
        let (tree, single) = (copy(&["a/d", "b/d"]), copy(&["a/d/x", "b/d/x"]));
        for (report, name) in [(tree, "dst/d/x"), (single, "dst/x")] {
            assert_eq!((report.totals.failed, report.totals.files_copied), (1, 0), "{:?}", causes(&report));
            assert_eq!(report.failures[0].path(), sandbox.path(name));
            assert_eq!(sandbox.read(name), b"first");
        }
    }
}

/// Let two files that want one name be copied at once, onto nothing and onto something; what stays.
fn stays_of(sources: [&Path; 2], target: &Path) -> Vec<u8> {
    let mut stays = Vec::new();
    for before in [None, Some(b"old")] {
        fs::create_dir(target).unwrap();
        if target.parent().unwrap().join("lost+found").exists() {
            must("chattr", &["+F", target.to_str().unwrap()]);
        }
        before.iter().for_each(|old| fs::write(target.join("x"), old).unwrap());
        let report = run(CopyJob::into_directory(sources, target).jobs(4));
        let told = (report.totals.files_copied, report.totals.failed);
        assert_eq!(told, (1, 1), "{:?}", causes(&report));
        let copy = fs::read(target.join("x")).unwrap();
        assert!(copy.len() == 12 << 20 && copy.iter().all(|byte| *byte == copy[0]));
        assert_eq!(fs::read_dir(target).unwrap().count(), 1, "no temporary is left");
        fs::remove_dir_all(target).unwrap();
        stays.push(copy[0]);
    }
    stays
}

#[test]
fn of_two_sources_for_one_name_the_first_stays_and_none_replaces_another() {
    let of = |byte: u8| vec![byte; 12 << 20];
    let sandbox = Sandbox::new().file("a/x", &of(b'a')).file("b/x", &of(b'b')).file("c/X", &of(b'c'));
    let folding = Mount::new(Filesystem::Ext4Folding, 256);
    let (a, b, c) = (sandbox.path("a/x"), sandbox.path("b/x"), sandbox.path("c/X"));
    for _ in 0..8 {
        assert_eq!(stays_of([&a, &b], &sandbox.path("dst")), b"aa");
        // Names that only folding makes one have no order.
        if let Some(mount) = &folding {
            stays_of([&a, &c], &mount.path().join("dst"));
        }
    }
}

#[test]
fn directories_that_two_sources_make_at_one_time_are_merged() {
    let mut sandbox = Sandbox::new();
    for index in 0..150 {
        for source in ["a", "b"] {
            sandbox = sandbox.file(format!("{source}/d/s{index}/{source}"), source.as_bytes());
        }
    }
    for round in 0..12 {
        let dst = sandbox.path(format!("dst-{round}"));
        fs::create_dir(&dst).unwrap();
        let report = run(CopyJob::into_directory([sandbox.path("a/d"), sandbox.path("b/d")], &dst).jobs(8));
        assert_complete(&report);
        assert_eq!(report.totals.files_copied, 300);
    }
}

#[test]
fn directories_of_two_sources_are_merged_without_losing_a_file() {
    let sandbox = Sandbox::new().file("a/dir/x", b"1").file("a/dir/mine", b"a").dir("dst");
    let sandbox = sandbox.file("b/dir/x", b"2").file("b/dir/mine-too", b"b");
    let sources = [sandbox.path("a/dir"), sandbox.path("b/dir")];
    let report = run(CopyJob::into_directory(sources, sandbox.path("dst")));
    assert_eq!((report.totals.failed, report.totals.files_copied), (1, 3));
    assert_eq!(sandbox.read("dst/dir/x"), b"1");
}

/// Copy `A` and `a`, of these contents, to where case does not count; what became of them.
fn copy_folded(target: &Path, contents: [&[u8]; 2]) -> Report {
    let sandbox = Sandbox::new().file("src/A", contents[0]).file("src/a", contents[1]);
    let sandbox = sandbox.file("src/Dir/in", b"1").file("src/dir/in", b"2");
    for name in ["A", "a"] {
        set_times(&sandbox.path("src").join(name), 1_000, 0);
    }
    run(CopyJob::new(sandbox.path("src"), target))
}

#[test]
fn names_that_differ_in_case_only_are_failures_where_that_is_no_difference() {
    let Some(mount) = Mount::new(Filesystem::Ext4Folding, 64) else { return };
    for (index, contents) in [[&b"one"[..], &b"two"[..]], [b"one", b"three"]].into_iter().enumerate() {
        let target = mount.path().join(format!("dst-{index}"));
        fs::create_dir(&target).unwrap();
        must("chattr", &["+F", target.to_str().unwrap()]);
        let mut stays = None;
        for round in 0..3 {
            let report = copy_folded(&target, contents);
            assert_eq!(report.totals.failed, 2, "{:?}", causes(&report));
            assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
            let copy = fs::read(target.join("a")).unwrap();
            assert_eq!(*stays.get_or_insert_with(|| copy.clone()), copy, "what was copied first stays");
            if round == 1 {
                // Of a file with further names its inode does not tell.
                fs::hard_link(target.join("a"), mount.path().join(format!("pair-{index}"))).unwrap();
            }
        }
    }
}

#[test]
fn names_that_differ_in_case_only_are_failures_through_fuse_too() {
    let Some(mount) = Mount::new(Filesystem::ExFat, 64) else { return };
    let report = copy_folded(&mount.path().join("dst"), [b"one", b"two"]);
    assert_eq!((report.totals.failed, report.totals.files_copied), (2, 2), "{:?}", causes(&report));
    assert_eq!(fs::read_dir(mount.path().join("dst")).unwrap().count(), 2);
}

/// A source on which nothing folds, and the oddities of a destination, freshly mounted; the copy lies in `dst`.
fn odd(oddities: Oddities) -> Option<(Sandbox, Odd)> {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip("mounting a FUSE filesystem needs root and /dev/fuse");
        return None;
    }
    let sandbox = Sandbox::new().dir("src").dir("dst");
    let odd = Odd::mount(&sandbox.path("dst"), oddities).expect("root may mount it");
    Some((sandbox, odd))
}

const FAT: Oddities = Oddities { folds: true, numbers_names: true, lacks_links: true };

/// What a file holds, or the file in a directory, or where a link leads.
fn held(path: &Path) -> Vec<u8> {
    let led = fs::read_link(path).map(|to| to.into_os_string().into_encoded_bytes());
    led.or_else(|_| fs::read(path.join("in"))).or_else(|_| fs::read(path)).unwrap()
}

#[test]
fn where_case_does_not_count_no_entry_replaces_another_at_any_run() {
    for numbers_names in [true, false] {
        for below in ["", "below"] {
            let Some((sandbox, _odd)) = odd(Oddities { numbers_names, ..FAT }) else { return };
            let source = sandbox.path("src").join(below);
            let copy = sandbox.path("dst").join(below);
            fs::create_dir_all(&source).unwrap();
            for (name, content) in [
                ("readme", "lower"),
                ("README", "UPPER!"),
                ("größe", "1"),
                ("GRÖSSE", "2"),
                ("ÄÖ", "3"),
                ("äö", "four"),
            ] {
                fs::write(source.join(name), content).unwrap();
            }
            for name in ["Docs", "docs"] {
                fs::create_dir(source.join(name)).unwrap();
                fs::write(source.join(name).join("in"), name).unwrap();
            }
            std::os::unix::fs::symlink("readme", source.join("Link")).unwrap();
            std::os::unix::fs::symlink("README", source.join("LINK")).unwrap();
            let mut before: Option<BTreeMap<_, _>> = None;
            for existing in [Existing::Update, Existing::Update, Existing::Replace, Existing::Update] {
                let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst")).existing(existing).jobs(2);
                let report = run(job);
                // A filesystem that folds letter by letter has room for both of these.
                assert_eq!(report.totals.failed, 4, "{:?}", causes(&report));
                let names = fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().file_name());
                let there: BTreeMap<_, _> =
                    names.map(|name| (name.clone(), held(&copy.join(name)))).collect();
                assert_eq!(there.len(), 6, "{there:?}");
                if let Some(before) = &before {
                    assert_eq!(&there, before, "{existing:?}: what was copied first stays");
                }
                for (name, content) in &there {
                    assert_eq!(*content, held(&source.join(name)), "{name:?}");
                }
                before = Some(there);
            }
        }
    }
}

#[test]
fn a_name_whose_case_changed_is_the_same_file_and_is_not_deleted() {
    let Some((sandbox, _odd)) = odd(FAT) else { return };
    for dir in ["src", "src/below", "src/Dir"] {
        fs::create_dir_all(sandbox.path(dir)).unwrap();
        fs::write(sandbox.path(dir).join("README.md"), "text").unwrap();
        fs::write(sandbox.path(dir).join("gone"), "gone").unwrap();
    }
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
    for dir in ["src", "src/below", "src/Dir"] {
        fs::rename(sandbox.path(dir).join("README.md"), sandbox.path(dir).join("Readme.md")).unwrap();
        fs::remove_file(sandbox.path(dir).join("gone")).unwrap();
    }
    fs::rename(sandbox.path("src/Dir"), sandbox.path("src/dir")).unwrap();
    for delete in [Delete::After, Delete::Only, Delete::After] {
        let job =
            CopyJob::new(sandbox.path("src"), sandbox.path("dst")).mirror(Mirror::default().delete(delete));
        let report = run(job);
        assert_complete(&report);
        assert_eq!(report.totals.files_copied, 0, "{delete:?}");
        for dir in ["dst", "dst/below", "dst/dir"] {
            assert_eq!(fs::read(sandbox.path(dir).join("README.md")).unwrap(), b"text", "{delete:?} {dir}");
            assert!(!sandbox.path(dir).join("gone").exists());
        }
    }
}

#[test]
fn where_case_counts_all_are_copied_and_hardly_anything_is_asked() {
    let Some((sandbox, odd)) = odd(Oddities { numbers_names: true, ..Oddities::default() }) else { return };
    for index in 0..50 {
        fs::write(sandbox.path("src").join(format!("name-{index}")), "lower").unwrap();
        fs::write(sandbox.path("src").join(format!("NAME-{index}")), "upper").unwrap();
    }
    for _ in 0..2 {
        assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst"))));
        assert_eq!(fs::read_dir(sandbox.path("dst")).unwrap().count(), 100, "nothing else is left");
    }
    // Each run asks once; the first has a mark, too.
    assert_eq!(odd.asked("make"), 103);
}

#[test]
fn names_are_linked_where_each_has_a_number_of_its_own() {
    for folds in [false, true] {
        let oddities = Oddities { folds, numbers_names: true, lacks_links: false };
        let Some((sandbox, _odd)) = odd(oddities) else { return };
        for dir in ["src/a", "src/b"] {
            fs::create_dir(sandbox.path(dir)).unwrap();
        }
        fs::write(sandbox.path("src/first"), [7; 100_000]).unwrap();
        for name in ["src/second", "src/a/third", "src/b/fourth"] {
            fs::hard_link(sandbox.path("src/first"), sandbox.path(name)).unwrap();
        }
        let copy = || run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).jobs(2));
        let report = copy();
        assert_complete(&report);
        assert_eq!((report.totals.files_copied, report.totals.hard_links_created), (1, 3));
        let links = || fs::metadata(sandbox.path("dst/b/fourth")).unwrap().nlink();
        assert_eq!(links(), 4);
        let again = copy();
        assert_complete(&again);
        assert_eq!(
            (again.totals.files_copied, again.totals.hard_links_created),
            (0, 0),
            "{:?}",
            again.totals
        );
        // One that was parted is linked again.
        fs::remove_file(sandbox.path("dst/second")).unwrap();
        fs::write(sandbox.path("dst/second"), [7; 100_000]).unwrap();
        assert_complete(&copy());
        assert_eq!(links(), 4);
    }
}

#[test]
fn names_are_linked_through_mergerfs_and_unionfs() {
    for program in ["mergerfs", "unionfs"] {
        if !is_root() || !has_program(program) || !Path::new("/dev/fuse").exists() {
            skip(&format!("mounting {program} needs root, /dev/fuse and {program}"));
            return;
        }
        let sandbox = Sandbox::new().dir("one").dir("other").dir("dst").file("src/a", &[7; 100_000]);
        for name in ["b", "c", "d"] {
            fs::hard_link(sandbox.path("src/a"), sandbox.path("src").join(name)).unwrap();
        }
        let [one, other, dst] =
            ["one", "other", "dst"].map(|name| sandbox.path(name).to_str().unwrap().to_owned());
        match program {
            "mergerfs" => must("mergerfs", &["-o", "minfreespace=1M", &format!("{one}:{other}"), &dst]),
            _ => must("unionfs", &["-o", "cow", &format!("{one}=RW:{other}=RO"), &dst]),
        };
        let reports = [(); 2].map(|()| run(CopyJob::new(sandbox.path("src"), sandbox.path("dst/copy"))));
        must("umount", &[&dst]);
        for report in &reports {
            assert_complete(report);
        }
        assert_eq!(reports[0].totals.hard_links_created, 3, "{program}");
        let copy = ["one/copy/a", "other/copy/a"]
            .map(|name| sandbox.path(name))
            .into_iter()
            .find(|copy| copy.exists());
        assert_eq!(fs::metadata(copy.unwrap()).unwrap().nlink(), 4, "{program}");
    }
}

#[test]
fn a_directory_that_gets_the_inode_of_a_file_that_failed_is_no_collision() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 16) else { return };
    let [source, target] = ["src", "dst"].map(|name| mount.path().join(name));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    command.args(["-e", "inject=copy_file_range,ioctl,sendfile,splice,read,pread64,preadv2:error=EIO"]);
    for number in 0..8 {
        let file = source.join(format!("file {number}"));
        fs::create_dir_all(source.join(format!("directory {number}/below"))).unwrap();
        fs::write(&file, b"cannot be read").unwrap();
        command.arg("-P").arg(&file);
    }
    fs::create_dir(&target).unwrap();
    let program = env!("CARGO_BIN_EXE_orbit");
    let output = command.args([program, "-q", "-j1", "-T"]).args([&source, &target]).output().unwrap();
    if stderr(&output).contains("ptrace") {
        return skip("strace may not trace");
    }
    assert_eq!(stderr(&output).matches("src/file ").count(), 8, "{}", stderr(&output));
    assert!(!stderr(&output).contains("another entry"), "{}", stderr(&output));
    for number in 0..8 {
        assert!(target.join(format!("directory {number}/below")).is_dir());
    }
}
