//! `orbit verify`, and comparing by the library: every kind of difference, and nothing is changed.

use std::{
    fs::{self, FileTimes},
    os::unix::fs::{FileExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use futures::StreamExt;
use orbit::{Comparison, ComparisonReport, Compression, CopyJob, Difference, Engine, Finding, Rule, What};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete, awkward, copy_program, has_program, is_root, orbit, run,
    skip, stderr,
};

/// Compare, and what was found, in order of paths.
fn compared(comparison: Comparison) -> (Vec<Difference>, Vec<PathBuf>, ComparisonReport) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut comparing = Engine::new().unwrap().compare(comparison);
        let (mut differences, mut failures) = (Vec::new(), Vec::new());
        while let Some(finding) = comparing.next().await {
            match finding {
                Finding::Differs(difference) => differences.push(difference),
                Finding::Failed(failure) => failures.push(failure.path().to_owned()),
                other => panic!("{other:?}"),
            }
        }
        differences.sort_by(|one, other| one.path.cmp(&other.path));
        (differences, failures, comparing.finish().await.unwrap())
    })
}

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn of(sandbox: &Sandbox) -> Comparison {
    Comparison::new(sandbox.path("src"), sandbox.path("dst"))
}

/// A tree with everything in it, and its copy.
fn copied() -> Sandbox {
    let sandbox = Sandbox::new()
        .file("src/file", b"content")
        .file("src/empty", b"")
        .file("src/below/deep/file", b"deep")
        .file("src/large", &vec![7; 70 << 20])
        .dir("src/empty-dir")
        .symlink("file", "src/link");
    nix::unistd::mkfifo(&sandbox.path("src/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::hard_link(sandbox.path("src/file"), sandbox.path("src/linked")).unwrap();
    fs::File::create(sandbox.path("src/sparse")).unwrap().set_len(300 << 20).unwrap();
    assert_complete(&sandbox.copy());
    sandbox
}

#[test]
fn a_copy_is_equal_in_everything() {
    let sandbox = copied();
    for comparison in [of(&sandbox), of(&sandbox).metadata(true), of(&sandbox).jobs(1.try_into().unwrap())] {
        let (differences, failures, report) = compared(comparison);
        assert!(report.is_equal(true) && differences.is_empty() && failures.is_empty(), "{differences:?}");
        assert_eq!((report.entries, report.bytes), (12, (7 + 4 + 7) + (70 << 20) + (300 << 20)));
    }
}

#[test]
fn every_kind_of_difference_is_found() {
    let sandbox = copied();
    let dst = |name: &str| sandbox.path("dst").join(name);
    let write_at = |name: &str, at: u64| {
        fs::File::options().write(true).open(dst(name)).unwrap().write_all_at(b"X", at).unwrap();
    };
    write_at("large", (70 << 20) - 1);
    write_at("sparse", 200 << 20);
    write_at("file", 3); // and so its other name
    fs::write(dst("below/deep/file"), b"deeper").unwrap();
    fs::remove_file(dst("link")).unwrap();
    symlink("elsewhere", dst("link")).unwrap();
    fs::remove_file(dst("fifo")).unwrap();
    fs::write(dst("fifo"), b"").unwrap();
    fs::remove_dir(dst("empty-dir")).unwrap();
    fs::write(dst("extra"), b"").unwrap();
    fs::create_dir(dst("extra-dir")).unwrap();
    fs::write(dst("extra-dir/within"), b"").unwrap();
    let (differences, failures, report) = compared(of(&sandbox));
    let found: Vec<_> =
        differences.iter().map(|found| (found.path.to_str().unwrap(), found.what.clone())).collect();
    let (file, fifo) = (orbit::Kind::File, orbit::Kind::Fifo);
    assert_eq!(
        found,
        [
            ("below/deep/file", What::Size { source: 4, copy: 6 }),
            ("empty-dir", What::Missing),
            ("extra", What::Extra),
            ("extra-dir", What::Extra),
            ("fifo", What::Kind { source: fifo, copy: file }),
            ("file", What::Content { offset: 3 }),
            ("large", What::Content { offset: (70 << 20) - 1 }),
            ("link", What::Target),
            ("linked", What::Content { offset: 3 }),
            ("sparse", What::Content { offset: 200 << 20 }),
        ]
    );
    assert!(failures.is_empty());
    assert_eq!((report.differences, report.extra, report.failed), (8, 2, 0));
    assert!(!report.is_equal(false) && report.is_complete());
}

#[test]
fn metadata_is_compared_where_that_is_asked() {
    if !is_root() {
        return skip("giving files away needs root");
    }
    let sandbox = copied();
    let dst = |name: &str| sandbox.path("dst").join(name);
    fs::set_permissions(dst("below"), fs::Permissions::from_mode(0o700)).unwrap();
    chown(dst("empty"), Some(12), Some(34)).unwrap();
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    fs::File::open(dst("large")).unwrap().set_times(times).unwrap();
    awkward::set_xattr(&dst("below/deep/file"), "user.note", b"other");
    fs::copy(dst("linked"), dst("other")).unwrap();
    let time = fs::metadata(dst("linked")).unwrap().modified().unwrap();
    fs::rename(dst("other"), dst("linked")).unwrap();
    fs::File::open(dst("linked")).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    let (_, _, without) = compared(of(&sandbox));
    assert!(without.is_equal(true));
    let (differences, _, _) = compared(of(&sandbox).metadata(true));
    let found: Vec<_> =
        differences.iter().map(|found| (found.path.to_str().unwrap(), found.what.name())).collect();
    // The directories in which names were given away changed with that.
    let found: Vec<_> =
        found.into_iter().filter(|(path, what)| !(path.is_empty() && *what == "time")).collect();
    let links = found.iter().filter(|(_, what)| *what == "links").count();
    let others: Vec<_> = found.into_iter().filter(|(_, what)| *what != "links").collect();
    assert_eq!(
        others,
        [("below", "mode"), ("below/deep/file", "xattr"), ("empty", "owner"), ("large", "time")]
    );
    assert!(links > 0, "two files that are one in the source");
}

#[test]
fn times_are_compared_as_closely_as_the_copys_clock_tells_them() {
    let Some(mount) = Mount::new(Filesystem::Ext4Coarse, 32) else { return };
    let source = Sandbox::new().file("src/file", b"content");
    let copy = mount.path().join("dst");
    assert_complete(&run(CopyJob::new(source.path("src"), &copy)));
    let (differences, _, _) = compared(Comparison::new(source.path("src"), &copy).metadata(true));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn the_command_says_so_in_words_in_json_and_in_its_status() {
    let sandbox = copied();
    let (src, dst) = (sandbox.path("src"), sandbox.path("dst"));
    let verify = |options: &[&str]| orbit().arg("verify").args(options).args([&src, &dst]).output().unwrap();
    let equal = verify(&["--metadata", "--strict"]);
    assert_eq!(equal.status.code(), Some(0), "{equal:?}");
    assert!(stdout(&equal).ends_with(": equal\n"));
    fs::write(sandbox.path("dst/extra"), b"").unwrap();
    assert_eq!(verify(&[]).status.code(), Some(0));
    let strict = verify(&["--strict"]);
    assert_eq!(
        (strict.status.code(), stdout(&strict).lines().next()),
        (Some(1), Some("extra: only the copy has it"))
    );
    fs::remove_file(sandbox.path("dst/below/deep/file")).unwrap();
    let differ = verify(&["--json"]);
    assert_eq!(differ.status.code(), Some(1));
    let lines: Vec<serde_json::Value> =
        stdout(&differ).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["difference"] == "missing" && line["path"] == "below/deep/file"));
    assert_eq!(lines.last().unwrap()["summary"]["differences"], 1);
    assert!(stdout(&verify(&["-q"])).is_empty());
    assert_eq!(verify(&["--exclude", "below"]).status.code(), Some(0));
    let gone = orbit().args(["verify", "/nowhere/at/all"]).arg(&dst).output().unwrap();
    assert_eq!(gone.status.code(), Some(2));
    let one = orbit().arg("verify").arg(&dst).output().unwrap();
    assert_eq!(one.status.code(), Some(2));
}

#[test]
fn single_files_are_compared_too() {
    let sandbox = Sandbox::new().file("a", b"one").file("b", b"one").file("c", b"two");
    let compare = |one: &str, other: &str| compared(Comparison::new(sandbox.path(one), sandbox.path(other)));
    assert!(compare("a", "b").2.is_equal(true));
    assert_eq!(compare("a", "c").0[0].what, What::Content { offset: 0 });
}

#[test]
fn what_cannot_be_read_is_no_difference_and_no_success() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 500) else { return };
    let sandbox = Sandbox::on(&mount).opened().file("src/closed", b"a").file("src/open", b"b");
    assert_complete(&sandbox.copy());
    fs::set_permissions(sandbox.path("dst/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(sandbox.path("dst"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(mount.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let public = mount.path().join("orbit");
    copy_program(&public);
    let output = Command::new("setpriv")
        .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
        .arg(public)
        .arg("verify")
        .args([sandbox.path("src"), sandbox.path("dst")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("dst/closed"));
}

#[test]
fn a_manifest_is_checked_in_both_kinds_and_by_hand_too() {
    for (how, name) in [("--verify=sha256", "sums"), ("--verify=blake3", "b3sums")] {
        let sandbox = Sandbox::new()
            .file("src/file", b"content")
            .file("src/below/new\nline", b"odd")
            .file("src/large", &vec![1; 3 << 20]);
        let manifest = sandbox.path(name);
        let manifest_option = format!("--manifest={}", manifest.display());
        let made = orbit()
            .args(["-qT", how, &manifest_option])
            .args([sandbox.path("src"), sandbox.path("dst")])
            .status();
        assert!(made.unwrap().success());
        let verify = |options: &[&str]| {
            orbit()
                .args(["verify", &manifest_option])
                .args(options)
                .arg(sandbox.path("dst"))
                .output()
                .unwrap()
        };
        assert_eq!(verify(&["--strict"]).status.code(), Some(0));
        fs::write(sandbox.path("dst/extra"), b"").unwrap();
        assert_eq!((verify(&[]).status.code(), verify(&["--strict"]).status.code()), (Some(0), Some(1)));
        fs::write(sandbox.path("dst/file"), b"CONTENT").unwrap();
        fs::remove_file(sandbox.path("dst/large")).unwrap();
        let output = verify(&[]);
        assert_eq!(output.status.code(), Some(1));
        let text = stdout(&output);
        assert!(
            text.contains("file: ")
                && text.contains("is expected")
                && text.contains("large: the copy lacks it")
        );
    }
    if has_program("sha256sum") {
        let sandbox = Sandbox::new().file("dst/a b", b"content").file("dst/c", b"more");
        let sums =
            Command::new("sha256sum").args(["a b", "c"]).current_dir(sandbox.path("dst")).output().unwrap();
        fs::write(sandbox.path("sums"), &sums.stdout).unwrap();
        let output = orbit()
            .args(["verify", "--strict", "--manifest"])
            .args([sandbox.path("sums"), sandbox.path("dst")])
            .output();
        assert_eq!(output.unwrap().status.code(), Some(0));
    }
}

#[test]
fn a_manifest_that_names_nothing_says_nothing_of_files() {
    for (sandbox, status) in
        [(Sandbox::new().dir("dst/empty"), 0), (Sandbox::new().file("dst/empty/f", b"1"), 2)]
    {
        let mut command = orbit();
        command.args(["verify", "-q", "--manifest", "/dev/null"]).arg(sandbox.path("dst"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("names no file"), status == 2, "{}", stderr(&output));
    }
}

#[test]
fn names_in_a_manifest_lead_nowhere_else() {
    let sandbox =
        Sandbox::new().file("secret", b"secret").dir("dst").dir("elsewhere").file("elsewhere/file", b"x");
    symlink(sandbox.path("secret"), sandbox.path("dst/link")).unwrap();
    symlink(sandbox.path("elsewhere"), sandbox.path("dst/way")).unwrap();
    let digest = "0".repeat(64);
    for name in ["../secret", "/etc/passwd", "link", "way/file"] {
        fs::write(sandbox.path("sums"), format!("{digest}  {name}\n")).unwrap();
        let output =
            orbit().args(["verify", "--manifest"]).args([sandbox.path("sums"), sandbox.path("dst")]).output();
        assert_eq!(output.unwrap().status.code(), Some(2), "{name}");
    }
}

#[test]
fn links_that_are_swapped_in_are_not_followed() {
    let sandbox = Sandbox::new().dir("outside");
    for index in 0..200 {
        let name = format!("file-{index}");
        fs::write(sandbox.path("outside").join(&name), b"outside").unwrap();
    }
    let sandbox =
        (0..200).fold(sandbox, |sandbox, index| sandbox.file(format!("src/d/file-{index}"), b"inside!"));
    assert_complete(&sandbox.copy());
    let (dir, aside, outside) = (sandbox.path("dst/d"), sandbox.path("dst/aside"), sandbox.path("outside"));
    let until = Instant::now() + Duration::from_secs(2);
    let swapping = std::thread::spawn(move || {
        let mut swaps = 0;
        while Instant::now() < until {
            fs::rename(&dir, &aside).unwrap();
            symlink(&outside, &dir).unwrap();
            fs::remove_file(&dir).unwrap();
            fs::rename(&aside, &dir).unwrap();
            swaps += 1;
        }
        swaps
    });
    while !swapping.is_finished() {
        let (differences, ..) = compared(of(&sandbox));
        let content = differences.iter().filter(|found| matches!(found.what, What::Content { .. }));
        assert_eq!(content.count(), 0, "what lies outside was read");
    }
    assert!(swapping.join().unwrap() > 100);
}

#[test]
fn deep_trees_are_compared_with_few_open_files_and_dropping_breaks_off() {
    let sandbox = Sandbox::new().dir("src");
    let mut dir = sandbox.path("src");
    for _ in 0..400 {
        dir.push("d");
    }
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), b"deep").unwrap();
    assert_complete(&sandbox.copy());
    let script = "ulimit -n 64; exec \"$0\" verify --metadata \"$1\" \"$2\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_orbit")])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let comparing = Engine::new().unwrap().compare(of(&sandbox));
        comparing.cancel();
        assert!(!comparing.finish().await.unwrap().is_complete());
    });
}

#[test]
fn nothing_is_changed() {
    let strace = Path::new("/usr/bin/strace");
    if !strace.exists() {
        return skip("strace is not installed");
    }
    let sandbox = copied();
    let log = sandbox.path("log");
    let status = Command::new(strace)
        .args(["-f", "-o"])
        .arg(&log)
        .args(["-e", "trace=%file,%desc", env!("CARGO_BIN_EXE_orbit"), "verify", "--metadata"])
        .args([sandbox.path("src"), sandbox.path("dst")])
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(log).unwrap();
    let changes = [
        "O_CREAT",
        "O_WRONLY",
        "O_RDWR|O_NOFOLLOW",
        "unlink",
        "rename",
        "chmod",
        "chown",
        "utimens",
        "setxattr",
    ];
    for line in text.lines().filter(|line| line.contains("/src") || line.contains("/dst")) {
        assert!(!changes.iter().any(|change| line.contains(change)), "{line}");
    }
    assert!(text.contains("O_NOATIME"));
}

#[test]
fn a_compressed_copy_is_compared_by_what_its_frames_hold() {
    let zstd = Compression::Zstd { level: Compression::ZSTD_LEVEL };
    for (compression, suffix) in [(zstd, ".zst"), (Compression::Lz4, ".lz4")] {
        let sandbox = Sandbox::new()
            .file("src/a", &awkward::noise(700_000, 1))
            .file("src/empty", b"")
            .file("src/below/long", &vec![b'x'; 5 << 20])
            .symlink("a", "src/link")
            .dir("src/dir.zst");
        assert_complete(
            &run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).compression(compression)),
        );
        let job = || of(&sandbox).compression(compression).metadata(true);
        let (differences, failures, report) = compared(job());
        assert_eq!((differences, failures), (vec![], vec![]), "{suffix}");
        assert_eq!((report.entries, report.bytes), (7, 700_000 + (5 << 20)));
        // Back as well, and as they are.
        let back = CopyJob::new(sandbox.path("dst"), sandbox.path("back"));
        assert_complete(&run(back.compression(Compression::Decompress)));
        let (differences, ..) = compared(
            Comparison::new(sandbox.path("dst"), sandbox.path("back")).compression(Compression::Decompress),
        );
        assert_eq!(differences, []);
        let (differences, ..) = compared(of(&sandbox));
        assert_eq!(differences.len(), 6, "three are missing, three are more: {differences:?}");
        // A change that no size tells of, a lack, something that belongs to nobody, and a frame that is broken.
        let write = |path: &str, content: &[u8]| fs::write(sandbox.path(path), content).unwrap();
        write("src/a", &[&awkward::noise(700_000, 1)[..600_000], &[1; 100_000]].concat());
        fs::remove_file(sandbox.path(format!("dst/empty{suffix}"))).unwrap();
        write("dst/below/long", b"plain");
        let long = sandbox.path(format!("dst/below/long{suffix}"));
        let frame = fs::read(&long).unwrap();
        fs::write(&long, &frame[..frame.len() - 3]).unwrap();
        let (differences, failures, _) = compared(of(&sandbox).compression(compression));
        let found: Vec<_> = differences.into_iter().map(|found| (found.path, found.what)).collect();
        assert_eq!(
            found,
            [
                ("a".into(), What::Content { offset: 600_000 }),
                ("below/long".into(), What::Extra),
                ("empty".into(), What::Missing),
            ]
        );
        assert_eq!(failures, [long]);
    }
}

#[test]
fn rules_are_asked_of_the_sources_names() {
    let sandbox = Sandbox::new().file("src/a.o", b"1").file("src/a.c", b"2");
    let zstd = Compression::Zstd { level: Compression::ZSTD_LEVEL };
    assert_complete(&run(CopyJob::new(sandbox.path("src"), sandbox.path("dst")).compression(zstd)));
    fs::remove_file(sandbox.path("src/a.o")).unwrap();
    let extra = |rules: &[Rule]| {
        let comparison = of(&sandbox).compression(zstd).rules(rules.to_vec()).unwrap();
        compared(comparison).0.len()
    };
    assert_eq!(extra(&[]), 1);
    assert_eq!(extra(&[Rule::Exclude("*.o".into())]), 0, "nor would a mirror delete it");
}

#[test]
fn the_command_compares_a_compressed_copy() {
    let sandbox = Sandbox::new().file("src/a", b"content").dir("dst");
    let paths = [sandbox.path("src"), sandbox.path("dst")];
    for how in ["--compress", "--compress=lz4"] {
        assert!(orbit().arg(how).arg("-T").args(&paths).output().unwrap().status.success());
        let code = |arguments: &[&str]| {
            orbit().arg("verify").args(arguments).args(&paths).output().unwrap().status.code()
        };
        assert_eq!((code(&[how]), code(&[]), code(&["--decompress"])), (Some(0), Some(1), Some(1)));
    }
    let single = [sandbox.path("src/a"), sandbox.path("b")];
    assert!(orbit().arg("--compress").args(&single).output().unwrap().status.success());
    let output = orbit().args(["verify", "--compress"]).args(&single).output().unwrap();
    assert!(stdout(&output).starts_with("1 entry, "), "{output:?}");
    assert_eq!(output.status.code(), Some(0), "as the copy found its name");
    fs::write(sandbox.path("src/a"), b"contenT").unwrap();
    let output = orbit().args(["verify", "--compress"]).args(&paths).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("a: "), "{output:?}");
}
