//! Room at the destination.

use std::fs;

use orbit::{
    Attributes, Compression, CopyJob, DataOptions, Engine, Existing, Limits, Preserve, Reflink, Report, Rule,
    Selection, Sparse, WarningKind,
};

use crate::support::{Filesystem, Mount, Sandbox, awkward::noise, is_root, must, orbit, run, skip, stderr};

fn files(count: u64, size: usize) -> Sandbox {
    (0..count).fold(Sandbox::new(), |sandbox, number| {
        sandbox.file(format!("src/{}/{number}", number % 3), &noise(size, number + 1))
    })
}

#[test]
fn a_full_mount_that_is_the_copy_itself_stops_the_run() {
    for is_named in [true, false] {
        let Some(mount) = Mount::new(Filesystem::Tmpfs, 4) else { return };
        let sandbox = files(300, 50_000);
        let job = if is_named {
            CopyJob::new(sandbox.path("src"), mount.path())
        } else {
            let source = sandbox.path(mount.path().file_name().unwrap());
            fs::rename(sandbox.path("src"), &source).unwrap();
            CopyJob::into_directory([source], mount.path().parent().unwrap())
        };
        let report = run(job.jobs(1));
        assert!(report.stopped.as_ref().is_some_and(|why| why.contains("full")), "{:?}", report.stopped);
        assert_eq!(report.totals.failed, 1);
    }
}

fn warning(report: &Report) -> Option<&str> {
    report.warnings.iter().find(|warning| warning.kind == WarningKind::Room).map(|warning| &*warning.cause)
}

/// What a run reports that copies the tree into the mount.
fn told(sandbox: &Sandbox, mount: &Mount, job: impl Fn(CopyJob) -> CopyJob) -> Report {
    let report = run(job(CopyJob::new(sandbox.path("src"), mount.path().join("dst"))));
    assert_eq!(report.totals.failed, 0, "{:?}", report.failures);
    report
}

#[test]
fn a_dry_run_tells_of_too_little_room() {
    for filesystem in [Filesystem::Tmpfs, Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs] {
        let Some(mount) = Mount::new(filesystem, 400) else { continue };
        let sandbox = files(4, 60 << 20);
        let dry = |job: CopyJob| job.dry_run(true);
        assert_eq!(warning(&told(&sandbox, &mount, dry)), None, "{filesystem:?}");
        fs::write(mount.path().join("other"), noise(200 << 20, 7)).unwrap();
        must("sync", &["-f", mount.path().to_str().unwrap()]);
        let report = told(&sandbox, &mount, dry);
        let cause = warning(&report).unwrap_or_else(|| panic!("{filesystem:?}"));
        assert!(cause.starts_with(&format!("at least {} bytes", 4 * (60 << 20))), "{cause}");
        assert!(report.is_complete(), "a warning is no failure");
    }
}

#[test]
fn small_files_take_whole_blocks_and_an_inode_each() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 1) else { return };
    let sandbox = files(400, 10);
    let dry = |job: CopyJob| job.dry_run(true);
    let cause = warning(&told(&sandbox, &mount, dry)).map(str::to_owned);
    assert!(cause.is_some_and(|cause| cause.contains("1638400 bytes are needed")), "400 blocks of 4 KiB");
    let few = Mount::new(Filesystem::Ext4, 8).unwrap();
    let many = (0..4000).fold(Sandbox::new(), |sandbox, number| sandbox.file(format!("src/{number}"), b""));
    let report = told(&many, &few, dry);
    assert!(warning(&report).is_some_and(|cause| cause.starts_with("4001 inodes")), "{:?}", report.warnings);
}

#[test]
fn what_is_replaced_shared_or_a_hole_needs_no_room() {
    let Some(mount) = Mount::new(Filesystem::Btrfs, 256) else { return };
    let dry = |job: CopyJob| job.dry_run(true);
    let src = mount.path().join("src");
    fs::create_dir(&src).unwrap();
    fs::write(src.join("file"), noise(150 << 20, 1)).unwrap();
    must("sync", &["-f", src.to_str().unwrap()]);
    for (target, reflink, is_told) in [
        ("dst", Reflink::Auto, false),
        ("dst", Reflink::Never, true),
        ("subvolume/dst", Reflink::Auto, false),
    ] {
        let subvolume = mount.path().join("subvolume");
        if !subvolume.exists() {
            must("btrfs", &["subvolume", "create", subvolume.to_str().unwrap()]);
        }
        let data = DataOptions::default().reflink(reflink);
        let report = run(dry(CopyJob::new(&src, mount.path().join(target)).data(data)));
        assert_eq!(warning(&report).is_some(), is_told, "{target} {reflink:?}");
    }
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = files(1, 40 << 20);
    fs::File::create(sandbox.path("src/hole")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(warning(&told(&sandbox, &mount, dry)), None);
    told(&sandbox, &mount, |job| job);
    let again = |job: CopyJob| job.dry_run(true).existing(Existing::Replace);
    assert_eq!(warning(&told(&sandbox, &mount, again)), None, "in place of what is there");
}

#[test]
fn preflight_writes_nothing_where_it_does_not_fit() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = files(4, 20 << 20);
    let copied =
        orbit().arg("--preflight").args([sandbox.path("src"), mount.path().join("dst")]).output().unwrap();
    assert_eq!(copied.status.code(), Some(3));
    let text = stderr(&copied);
    assert!(text.contains("orbit: stopped: not enough room: at least 83886080 bytes are needed"), "{text}");
    assert!(text.ends_with("; 8 entries were not tried\n"), "{text}");
    let mut quiet = orbit();
    quiet.args(["-q", "--preflight"]).args([sandbox.path("src"), mount.path().join("dst")]);
    assert_eq!(stderr(&quiet.output().unwrap()), text.lines().last().unwrap().to_owned() + "\n");
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1, "lost+found");
    fs::remove_file(sandbox.path("src/0/0")).unwrap();
    fs::remove_file(sandbox.path("src/1/1")).unwrap();
    let report = told(&sandbox, &mount, |job| job.limits(Limits::default().preflight(true)));
    assert!(report.is_complete());
    assert_eq!(report.totals.files_copied, 2);
}

#[test]
fn a_preflight_can_be_cancelled() {
    let sandbox = files(3000, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
        let run = Engine::new().unwrap().start(job.limits(Limits::default().preflight(true)));
        run.cancel();
        run.finish().await.unwrap()
    });
    assert!(report.cancelled && report.stopped.is_none());
    assert!(!sandbox.path("dst").exists());
}

#[test]
fn a_whole_filesystem_that_is_larger_than_the_room_is_warned_of() {
    let Some(from) = Mount::new(Filesystem::Ext4, 128) else { return };
    let to = Mount::new(Filesystem::Ext4, 64).unwrap();
    fs::write(from.path().join("file"), noise(80 << 20, 1)).unwrap();
    let report = run(CopyJob::new(from.path(), to.path()));
    assert!(warning(&report).is_some_and(|cause| cause.contains("bytes in use")), "{:?}", report.warnings);
    assert!(report.stopped.is_some());
    // A part of it, and what has been copied already, are nothing to warn of.
    fs::create_dir(from.path().join("part")).unwrap();
    let report = run(CopyJob::new(from.path().join("part"), to.path().join("part")));
    assert_eq!(warning(&report), None);
    fs::remove_file(from.path().join("file")).unwrap();
    fs::write(from.path().join("file"), noise(40 << 20, 1)).unwrap();
    for _ in 0..2 {
        let report = run(CopyJob::new(from.path(), to.path()));
        assert!(report.is_complete());
        assert_eq!(warning(&report), None);
    }
    // Nor is what the rules leave out.
    fs::write(from.path().join("more"), noise(30 << 20, 1)).unwrap();
    let rules = Selection::default().rules([Rule::Exclude("more".into())]).unwrap();
    let report = run(CopyJob::new(from.path(), to.path()).select(rules));
    assert_eq!(warning(&report), None);
}

#[test]
fn a_filesystem_that_does_not_tell_its_size_is_not_warned_of() {
    if !is_root() {
        return skip("only root can mount");
    }
    let sandbox = files(3, 100_000).dir("dst");
    let at = sandbox.path("dst");
    must("mount", &["-t", "tmpfs", "-o", "size=0,nr_inodes=0", "orbit", at.to_str().unwrap()]);
    let mounted = Unmount(&at);
    let limits = Limits::default().preflight(true);
    let report = run(CopyJob::new(sandbox.path("src"), at.join("copy")).limits(limits));
    drop(mounted);
    assert!(report.is_complete());
    assert_eq!(warning(&report), None);
}

#[test]
fn what_the_copy_leaves_as_holes_needs_no_room_and_what_it_fills_does() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = Sandbox::new().dir("src");
    fs::File::create(sandbox.path("src/hole")).unwrap().set_len(100 << 20).unwrap();
    must("fallocate", &["-l", "100M", sandbox.path("src/reserved").to_str().unwrap()]);
    let told =
        |job: fn(CopyJob) -> CopyJob| warning(&told(&sandbox, &mount, |it| job(it).dry_run(true))).is_some();
    assert!(!told(|job| job), "neither holes nor blocks that were never written");
    assert!(told(|job| job.data(DataOptions::default().sparse(Sparse::Never))));
    assert!(told(|job| job.preserve(Preserve::default().without(Attributes::SPARSE))));
    fs::write(sandbox.path("src/zeros"), vec![0; 100 << 20]).unwrap();
    assert!(told(|job| job));
    assert!(!told(|job| job.data(DataOptions::default().sparse(Sparse::Always))), "zeros become holes");
    assert!(!told(|job| job.compression(Compression::Lz4)));
}

#[test]
fn root_may_use_what_is_reserved_for_it() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 100) else { return };
    let free = |format| must("stat", &["-f", "-c", format, mount.path().to_str().unwrap()]);
    let [free, available] = ["%f", "%a"].map(|format| free(format).trim().parse::<usize>().unwrap());
    assert!(free > available + 500, "{free} and {available} blocks");
    // Of 1 KiB or 4 KiB.
    let block: usize =
        must("stat", &["-f", "-c", "%S", mount.path().to_str().unwrap()]).trim().parse().unwrap();
    let sandbox = Sandbox::new().file("src/file", &noise((available + 400) * block, 1));
    let report = told(&sandbox, &mount, |job| job.limits(Limits::default().preflight(true)));
    assert!(report.is_complete(), "{:?}", report.stopped);
}

#[test]
fn files_of_several_names_make_room_with_all_of_them() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 20) else { return };
    let sandbox = files(10, 1_500_000);
    for number in 0..10 {
        let path = sandbox.path(format!("src/{}/{number}", number % 3));
        fs::hard_link(&path, path.with_extension("linked")).unwrap();
    }
    told(&sandbox, &mount, |job| job);
    for number in 0..10 {
        let path = sandbox.path(format!("src/{}/{number}", number % 3));
        fs::write(path, noise(1_500_000, 100 + number)).unwrap();
    }
    assert_eq!(warning(&told(&sandbox, &mount, |job| job.dry_run(true))), None);
}

#[test]
fn each_filesystem_that_the_copies_go_to_is_counted_for_itself() {
    let (Some(mount), Some(inner)) = (Mount::new(Filesystem::Tmpfs, 50), Mount::new(Filesystem::Tmpfs, 2))
    else {
        return;
    };
    let sandbox = files(9, 1_000_000);
    fs::create_dir_all(mount.path().join("dst/0")).unwrap();
    let below = mount.path().join("dst/0");
    must("mount", &["--bind", inner.path().to_str().unwrap(), below.to_str().unwrap()]);
    let bound = Unmount(&below);
    let report = told(&sandbox, &mount, |job| job.dry_run(true));
    drop(bound);
    assert!(warning(&report).is_some_and(|cause| cause.contains("at least 3")), "{:?}", report.warnings);
    assert_eq!(warning(&told(&sandbox, &mount, |job| job.dry_run(true))), None);
}

#[test]
fn a_filesystem_that_compresses_is_not_counted() {
    let Some(mount) = Mount::new(Filesystem::Btrfs, 150) else { return };
    must("mount", &["-o", "remount,compress-force=zstd", mount.path().to_str().unwrap()]);
    let sandbox = Sandbox::new().file("src/text", &b"many words ".repeat(20 << 20));
    let report = told(&sandbox, &mount, |job| job.limits(Limits::default().preflight(true)));
    assert!(report.is_complete(), "{:?}", report.stopped);
}

#[test]
fn the_command_warns_before_it_copies() {
    let Some(from) = Mount::new(Filesystem::Tmpfs, 100) else { return };
    let to = Mount::new(Filesystem::Tmpfs, 20).unwrap();
    fs::write(from.path().join("file"), noise(30 << 20, 1)).unwrap();
    for limited in [&[][..], &["--bwlimit=100M"]] {
        let output = orbit().args(limited).args([from.path(), &to.path().join("dst")]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let said = stderr(&output);
        let places = ["not enough room", "No space left"].map(|what| said.find(what));
        assert!(places[0].is_some() && places[0] < places[1], "{said}");
        // Seen before a byte is written, also where nothing is reserved.
        assert!(said.contains("stopped: the destination is full: 20971520 bytes are free"), "{said}");
    }
}

/// Unmounts what is mounted there, whatever becomes of the test.
struct Unmount<'a>(&'a std::path::Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        must("umount", &[self.0.to_str().unwrap()]);
    }
}
