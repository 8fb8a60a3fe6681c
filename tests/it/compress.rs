//! Files that are compressed on their way are what zstd and lz4 write, and come back as they were.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use orbit::{Compression, CopyJob, DataOptions, Delete, Existing, Limits, Mirror, Sparse, Verify};
use proptest::prelude::*;

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{make_sparse, noise, plant, set_times},
    causes, has_program, must, orbit, run, skip, stderr,
    tree::{Aspect, assert_same, assert_same_but},
};

const ZSTD: Compression = Compression::Zstd { level: Compression::ZSTD_LEVEL };

/// The ways to compress, with what names end in and the program that reads them.
const WAYS: [(Compression, &str, &str); 3] = [
    (ZSTD, ".zst", "zstd"),
    (Compression::Zstd { level: 19 }, ".zst", "zstd"),
    (Compression::Lz4, ".lz4", "lz4"),
];

fn packing(sandbox: &Sandbox, compression: Compression) -> CopyJob {
    CopyJob::new(sandbox.path("src"), sandbox.path("packed")).compression(compression)
}

fn unpacking(sandbox: &Sandbox) -> CopyJob {
    CopyJob::new(sandbox.path("packed"), sandbox.path("back")).compression(Compression::Decompress)
}

/// Files of sizes at which buffers and blocks end.
fn of_many_sizes() -> Sandbox {
    let mut sandbox = Sandbox::new();
    for size in [0, 1, 4095, 65_536, 65_537, 262_144, 262_145, 1 << 20, (9 << 20) + 7] {
        let half = noise(size / 2, size as u64);
        let content = [half, vec![b'a'; size - size / 2]].concat();
        sandbox = sandbox.file(format!("src/d{}/{size}", size % 3), &content);
    }
    sandbox
}

fn with(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let found = must("find", &[root.to_str().unwrap(), "-type", "f"]);
    found.lines().map(Into::into).collect()
}

#[test]
fn frames_are_those_of_the_programs_and_come_back_as_they_were() {
    for (compression, suffix, program) in WAYS {
        let sandbox = of_many_sizes();
        let report = run(packing(&sandbox, compression).verify(Verify::Sha256));
        assert_complete(&report);
        assert_eq!(report.totals.files_verified, 9);
        assert_eq!(report.totals.bytes_done(), report.totals.bytes_found);
        let (source, packed) = (sandbox.path("src"), sandbox.path("packed"));
        let stored: u64 = files(&packed).iter().map(|path| path.metadata().unwrap().len()).sum();
        assert_eq!(report.totals.bytes_in_frames, stored);
        for path in files(&source) {
            let copy = with(&packed.join(path.strip_prefix(&source).unwrap()), suffix);
            assert_eq!(copy.metadata().unwrap().mtime(), path.metadata().unwrap().mtime());
            if has_program(program) {
                let output = Command::new(program).args(["-d", "-c"]).arg(&copy).output().unwrap();
                assert!(output.status.success(), "{}", stderr(&output));
                assert_eq!(output.stdout, fs::read(&path).unwrap(), "{}", copy.display());
            } else {
                skip(&format!("there is no {program}"));
            }
        }
        assert_complete(&run(unpacking(&sandbox).verify(Verify::Blake3)));
        // What was looked at here was read.
        assert_same_but(&source, &sandbox.path("back"), &[Aspect::Atime]);
    }
}

#[test]
fn what_the_programs_write_is_read_in_one_frame_or_in_many() {
    for (program, suffix) in [("zstd", ".zst"), ("lz4", ".lz4")] {
        if !has_program(program) {
            return skip(&format!("there is no {program}"));
        }
        let sandbox = Sandbox::new().file("one", &noise(300_000, 1)).file("two", b"two").dir("packed");
        let frames = |from: &str, arguments: &str| {
            let script = format!("{program} {arguments} -q < {from}");
            let output = Command::new("sh").arg("-c").arg(script).current_dir(sandbox.path("")).output();
            output.unwrap().stdout
        };
        // Nothing says of these how much they hold.
        let skipped = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc";
        let both = [&frames("one", "-c")[..], skipped, &frames("two", "-c -9")].concat();
        fs::write(sandbox.path(format!("packed/both{suffix}")), both).unwrap();
        fs::write(sandbox.path("packed/plain"), b"plain").unwrap();
        assert_complete(&run(unpacking(&sandbox).verify(Verify::Sha256)));
        let whole = [sandbox.read("one"), sandbox.read("two")].concat();
        assert_eq!(sandbox.read("back/both"), whole);
        assert_eq!(sandbox.read("back/plain"), b"plain");
        // So what is there is compared.
        assert_eq!(run(unpacking(&sandbox)).totals.unchanged, 2);
        let time = fs::metadata(sandbox.path("back/both")).unwrap();
        fs::write(sandbox.path("back/both"), [&whole[1..], b"x"].concat()).unwrap();
        set_times(&sandbox.path("back/both"), time.mtime(), time.mtime_nsec());
        assert_eq!(run(unpacking(&sandbox)).totals.files_copied, 1);
        assert_eq!(sandbox.read("back/both"), whole);
    }
}

#[test]
fn everything_else_is_kept_there_and_back() {
    for filesystem in [Filesystem::Ext4, Filesystem::Tmpfs] {
        let Some(mount) = Mount::new(filesystem, 64) else { return };
        let sandbox = Sandbox::on(&mount);
        plant(&sandbox.path("src"));
        let longest = "n".repeat(255);
        fs::remove_file(sandbox.path("src").join(&longest)).unwrap();
        for compression in [ZSTD, Compression::Lz4] {
            for name in ["packed", "back"] {
                let _ = fs::remove_dir_all(sandbox.path(name));
            }
            assert_complete(&run(packing(&sandbox, compression)));
            let sparse = DataOptions::default().sparse(Sparse::Always);
            assert_complete(&run(unpacking(&sandbox).data(sparse)));
            // Where holes were is not written down.
            assert_same_but(&sandbox.path("src"), &sandbox.path("back"), &[Aspect::Holes]);
        }
    }
}

#[test]
fn a_name_that_becomes_too_long_fails_alone_and_says_so() {
    let sandbox = Sandbox::new().file("src/a", b"a").file(format!("src/{}", "n".repeat(252)), b"n");
    let report = run(packing(&sandbox, ZSTD).mirror(Mirror::default().delete(Delete::After)));
    assert_eq!((report.totals.failed, report.totals.files_copied), (1, 1));
    assert!(causes(&report)[0].contains("nnn.zst: File name too long"), "{:?}", causes(&report));
}

#[test]
fn holes_come_back_where_they_are_asked_for() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 64) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    make_sparse(&sandbox.path("src/sparse"), 20 << 20, &[(0, b"head"), (10 << 20, b"middle")]);
    assert_complete(&run(packing(&sandbox, ZSTD)));
    let data = DataOptions::default().sparse(Sparse::Always);
    let report = run(unpacking(&sandbox).data(data).verify(Verify::Sha256));
    assert_complete(&report);
    assert_eq!(sandbox.read("src/sparse"), sandbox.read("back/sparse"));
    assert!(fs::metadata(sandbox.path("back/sparse")).unwrap().blocks() < 100);
    assert!(report.totals.bytes_in_holes > 19 << 20);
}

#[test]
fn a_second_run_copies_what_is_not_whole_or_has_changed_and_nothing_else() {
    for (compression, suffix, _) in WAYS {
        let sandbox = of_many_sizes();
        assert_complete(&run(packing(&sandbox, compression)));
        assert_complete(&run(unpacking(&sandbox)));
        for job in [packing(&sandbox, compression), unpacking(&sandbox)] {
            for existing in [Existing::Update, Existing::Newer, Existing::Skip] {
                let again = run(job.clone().existing(existing));
                assert_complete(&again);
                assert_eq!(again.totals.files_copied, 0, "{existing:?}");
            }
        }
        // Cut off at any length, with the right time all the same.
        let packed = sandbox.path(format!("packed/d0/262145{suffix}"));
        let packed = if packed.exists() { packed } else { sandbox.path(format!("packed/d1/262145{suffix}")) };
        let packed = if packed.exists() { packed } else { sandbox.path(format!("packed/d2/262145{suffix}")) };
        let whole = fs::read(&packed).unwrap();
        let time = fs::metadata(&packed).unwrap();
        for length in [0, 3, 8, 20, whole.len() / 2, whole.len() - 5, whole.len() - 4, whole.len() - 1] {
            fs::write(&packed, &whole[..length]).unwrap();
            set_times(&packed, time.mtime(), time.mtime_nsec());
            let again = run(packing(&sandbox, compression));
            assert_eq!(again.totals.files_copied, 1, "{length} bytes");
            assert_eq!(fs::read(&packed).unwrap(), whole);
        }
        let source = sandbox.path("src/d1/1");
        sandbox.tick();
        fs::write(&source, b"changed").unwrap();
        assert_eq!(run(packing(&sandbox, compression)).totals.files_copied, 1);
        assert_eq!(run(unpacking(&sandbox)).totals.files_copied, 1);
        assert_same(&sandbox.path("src"), &sandbox.path("back"));
    }
}

#[test]
fn what_is_no_whole_frame_fails_and_leaves_nothing() {
    let sandbox = of_many_sizes();
    assert_complete(&run(packing(&sandbox, ZSTD)));
    assert_complete(&run(packing(&sandbox, Compression::Lz4)));
    let _ = fs::remove_dir_all(sandbox.path("src"));
    for packed in files(&sandbox.path("packed")) {
        let whole = fs::read(&packed).unwrap();
        let (one, length) = (Sandbox::new().dir("packed"), whole.len());
        let name = packed.file_name().unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        let broken = [
            whole[..length - 1].to_vec(),
            whole[..length / 2].to_vec(),
            Vec::new(),
            [&whole[..], b"garbage"].concat(),
            flipped(0),
            flipped(length - 1), // the checksum
        ];
        for (case, bytes) in broken.into_iter().enumerate() {
            fs::write(one.path("packed").join(name), bytes).unwrap();
            let report = run(unpacking(&one));
            let causes = causes(&report);
            assert_eq!(report.totals.failed, 1, "{name:?}, case {case}: {causes:?}");
            assert!(causes[0].contains("no whole frame"), "{name:?}, case {case}: {causes:?}");
            assert_eq!(fs::read_dir(one.path("back")).unwrap().count(), 0, "{name:?}, case {case}");
        }
        fs::write(one.path("packed").join(name), &whole).unwrap();
        assert_complete(&run(unpacking(&one)));
    }
}

#[test]
fn a_frame_that_says_to_hold_more_than_it_can_fails_alone() {
    // Three bytes in one block, said to be a pebibyte, twice more than any destination has.
    let claim = (1_u64 << 50).to_le_bytes();
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0][..], &claim, &[0x19, 0, 0], b"abc"].concat();
    let lz4 = [&[4, 0x22, 0x4d, 0x18, 0x68, 0x40][..], &claim, &[0, 3, 0, 0, 0x80], b"abc", &[0; 4]].concat();
    let sandbox = Sandbox::new().file("packed/a.zst", &zstd).file("packed/b.lz4", &lz4);
    let sandbox = (0..50).fold(sandbox, |sandbox, index| sandbox.file(format!("packed/{index}"), b"content"));
    for preflight in [false, true] {
        let _ = fs::remove_dir_all(sandbox.path("back"));
        let report = run(unpacking(&sandbox).limits(Limits::default().preflight(preflight)));
        assert_eq!(report.stopped, None);
        assert_eq!((report.totals.failed, report.totals.files_copied), (2, 50));
        assert!(
            causes(&report).iter().all(|cause| cause.contains("blocks cannot hold")),
            "{:?}",
            causes(&report)
        );
    }
}

#[test]
fn frames_that_want_too_much_memory_are_refused() {
    if !has_program("zstd") {
        return skip("there is no zstd");
    }
    let sandbox = Sandbox::new().file("large", &vec![b'x'; 1 << 20]).dir("packed");
    let script = "zstd -q --ultra --long=31 -c < large > packed/large.zst";
    must("sh", &["-c", &format!("cd {} && {script}", sandbox.path("").display())]);
    let report = run(unpacking(&sandbox));
    assert_eq!(report.totals.failed, 1, "{:?}", causes(&report));
    assert!(!sandbox.path("back/large").exists());
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let sandbox = Sandbox::new().file("src/a", b"content").dir("src/d").symlink("a", "src/l");
    fs::hard_link(sandbox.path("src/a"), sandbox.path("src/d/b")).unwrap();
    assert_complete(&run(packing(&sandbox, ZSTD)));
    let inode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().ino();
    assert_eq!(inode("packed/a.zst"), inode("packed/d/b.zst"));
    assert_eq!(fs::read_link(sandbox.path("packed/l")).unwrap(), Path::new("a"));
    assert_complete(&run(unpacking(&sandbox)));
    assert_same(&sandbox.path("src"), &sandbox.path("back"));
}

#[test]
fn two_files_of_one_name_are_one_copy_and_one_failure() {
    let sandbox = Sandbox::new().file("src/a", b"content");
    assert_complete(&run(packing(&sandbox, ZSTD)));
    fs::write(sandbox.path("packed/a"), b"another").unwrap();
    for _ in 0..2 {
        let report = run(unpacking(&sandbox).jobs(1));
        assert_eq!(report.totals.failed, 1, "{:?}", causes(&report));
        let there = sandbox.read("back/a");
        assert!(there == b"content" || there == b"another");
    }
}

#[test]
fn a_mirror_knows_whose_copies_they_are() {
    let sandbox = Sandbox::new().file("src/a", b"a").file("src/d/b", b"b").file("src/c.zst", b"c");
    let mirror = || Mirror::default().delete(Delete::After);
    assert_complete(&run(packing(&sandbox, ZSTD).mirror(mirror())));
    for name in ["packed/a", "packed/gone.zst", "packed/d/b.lz4", "packed/c.zst"] {
        fs::write(sandbox.path(name), b"extra").unwrap();
    }
    let told = run(packing(&sandbox, ZSTD).mirror(mirror()).dry_run(true));
    let report = run(packing(&sandbox, ZSTD).mirror(mirror()));
    assert_complete(&report);
    assert_eq!((told.totals.deleted, report.totals.deleted, report.totals.unchanged), (4, 4, 3));
    for name in ["packed/a.zst", "packed/d/b.zst", "packed/c.zst.zst"] {
        assert!(sandbox.path(name).exists(), "{name}");
    }
    assert_complete(&run(unpacking(&sandbox).mirror(mirror())));
    for name in ["back/a.zst", "back/gone", "back/c.zst.zst"] {
        fs::write(sandbox.path(name), b"extra").unwrap();
    }
    assert_eq!(run(unpacking(&sandbox).mirror(mirror())).totals.deleted, 3);
    assert_same(&sandbox.path("src"), &sandbox.path("back"));
}

#[test]
fn a_single_file_is_called_what_it_is_asked_to_be() {
    let sandbox = Sandbox::new().file("a", b"content").dir("within");
    let copy = |arguments: &[&str]| -> Output {
        orbit().current_dir(sandbox.path("")).args(arguments).output().unwrap()
    };
    for (arguments, name) in [
        (&["--compress", "a", "b"][..], "b.zst"),
        (&["--compress=lz4", "a", "c.lz4"], "c.lz4"),
        (&["--compress=zstd:1", "a", "within"], "within/a.zst"),
        (&["--decompress", "b.zst", "d"], "d"),
        (&["--decompress", "within/a.zst", "c.lz4", "-t", "."], "c"),
    ] {
        let output = copy(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(sandbox.path(name).exists(), "{arguments:?}");
    }
    for name in ["a", "c", "d"] {
        assert_eq!(sandbox.read(name), b"content");
    }
    for (wrong, why) in [
        (&["--compress=gzip", "a", "x"][..], "zstd:LEVEL or lz4"),
        (&["--compress=zstd:23", "a", "x"], "1 to 22"),
        (&["--compress", "--decompress", "a", "x"], "cannot be used with"),
        (&["--compress", "--resume", "a", "x"], "cannot be used with"),
        (&["--compress", "--reflink=always", "a", "x"], "move as it is"),
        (&["--decompress", "--backend=uring", "a", "x"], "move as it is"),
    ] {
        let output = copy(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(stderr(&output).contains(why), "{wrong:?}: {}", stderr(&output));
    }
}

#[test]
fn a_manifest_is_of_what_is_compressed() {
    if !has_program("sha256sum") {
        return skip("there is no sha256sum");
    }
    let sandbox = of_many_sizes();
    let pack = |manifest: &str| {
        let output = orbit()
            .args(["--compress=lz4", "-T", "--manifest"])
            .arg(sandbox.path(manifest))
            .args([sandbox.path("src"), sandbox.path("packed")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    pack("copied");
    pack("there");
    for manifest in ["copied", "there"] {
        let manifest = sandbox.path(manifest);
        let mut check = Command::new("sha256sum");
        check.args(["-c", "--strict"]).arg(manifest).current_dir(sandbox.path("src"));
        let checked = check.output().unwrap();
        assert!(checked.status.success(), "{}", stderr(&checked));
        assert_eq!(String::from_utf8_lossy(&checked.stdout).lines().count(), 9);
    }
}

#[test]
fn a_full_destination_stops_the_run_and_nothing_partial_is_trusted() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 16) else { return };
    let source = Sandbox::new().file("src/large", &noise(30 << 20, 7)).file("src/small", b"small");
    for compression in [ZSTD, Compression::Lz4] {
        let copy = mount.path().join("packed");
        let report = run(CopyJob::new(source.path("src"), &copy).compression(compression).jobs(1));
        assert!(report.stopped.is_some(), "{:?}", causes(&report));
        assert!(files(&copy).iter().all(|path| !path.to_string_lossy().contains("large")));
        fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn whenever_it_is_killed_the_next_run_makes_it_whole() {
    let mut sandbox = Sandbox::new().file("src/large", &noise(6 << 20, 3));
    for index in 0..60 {
        sandbox = sandbox.file(format!("src/{index}"), &noise(20_000 + index * 7, index as u64));
    }
    let start = |option: &str, from: &str, to: &str| {
        let mut command = orbit();
        command.args([option, "-q", "-T"]).args([sandbox.path(from), sandbox.path(to)]);
        command
    };
    for (option, from, to) in [("--compress", "src", "packed"), ("--decompress", "packed", "back")] {
        for round in 0..12 {
            let mut child = start(option, from, to).spawn().unwrap();
            thread::sleep(Duration::from_millis(2 + 3 * round));
            let _ = child.kill();
            let _ = child.wait();
        }
        let output = start(option, from, to).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_same(&sandbox.path("src"), &sandbox.path("back"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_content_comes_back(
        pieces in prop::collection::vec((any::<u8>(), 0..200_000_usize, any::<bool>()), 0..4),
        level in 1..9_i32,
        is_lz4: bool,
    ) {
        let content: Vec<u8> = pieces
            .iter()
            .flat_map(|(byte, length, is_noise)| match is_noise {
                true => noise(*length, u64::from(*byte)),
                false => vec![*byte; *length],
            })
            .collect();
        let sandbox = Sandbox::new().file("src/file", &content);
        let compression = if is_lz4 { Compression::Lz4 } else { Compression::Zstd { level } };
        assert_complete(&run(packing(&sandbox, compression).verify(Verify::Blake3)));
        assert_complete(&run(unpacking(&sandbox).verify(Verify::Blake3)));
        prop_assert_eq!(sandbox.read("back/file"), content);
        prop_assert_eq!(run(packing(&sandbox, compression)).totals.unchanged, 1);
    }
}
