//! Sparse files: holes where the source has holes, and not a block more.

use std::fs;

use orbit::{
    Attributes, Compare, CopyJob, DataOptions, Existing, Preserve, Reflink, Sparse, Verify, ZeroCopy,
};

use crate::support::{
    Filesystem, Mount, Sandbox, assert_complete,
    awkward::{make_sparse, noise},
    orbit, run, stderr,
    tree::{Content, Tree, assert_matches, assert_same},
};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// Blocks that a file takes, in bytes, once everything is written.
fn allocated(path: &std::path::Path) -> u64 {
    fs::File::open(path).unwrap().sync_all().unwrap();
    std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap()) * 512
}

fn plant(sandbox: &Sandbox) {
    let data = noise(8 * MIB as usize, 5);
    fs::create_dir(sandbox.path("src")).unwrap();
    let file = |name: &str| sandbox.path("src").join(name);
    make_sparse(&file("all"), 5 * MIB + 1, &[]);
    make_sparse(&file("leading"), 6 * MIB, &[(5 * MIB, &data[..MIB as usize])]);
    make_sparse(&file("middle"), 40 * MIB, &[(0, &data[..5000]), (39 * MIB, &data[..MIB as usize])]);
    make_sparse(&file("trailing"), 30 * MIB, &[(0, &data)]);
    make_sparse(&file("zeros"), 2 * MIB, &[(0, &vec![0; MIB as usize]), (MIB, &data[..4096])]);
    make_sparse(
        &file("huge"),
        TIB,
        &[(TIB / 2 + 12_288, &data[..MIB as usize / 2]), (TIB - MIB, &data[..MIB as usize / 2])],
    );
}

#[test]
fn holes_stay_holes_and_no_block_is_added() {
    for filesystem in
        [Filesystem::Ext4, Filesystem::Xfs, Filesystem::XfsPlain, Filesystem::Btrfs, Filesystem::Tmpfs]
    {
        let Some(mount) = Mount::new(filesystem, 512) else { return };
        let sandbox = Sandbox::on(&mount);
        plant(&sandbox);
        for (name, reflink, jobs) in
            [("shared", Reflink::Auto, 2), ("copied", Reflink::Never, 1), ("ranges", Reflink::Never, 4)]
        {
            let data = DataOptions::default().reflink(reflink);
            let job = CopyJob::new(sandbox.path("src"), sandbox.path(name)).data(data).jobs(jobs);
            let report = run(job);
            assert_complete(&report);
            let totals = &report.totals;
            assert_eq!(totals.bytes_done(), totals.bytes_found, "{filesystem:?} {name}: {totals:?}");
            if reflink == Reflink::Never {
                assert!(totals.bytes_copied < 64 * MIB && totals.bytes_in_holes > TIB, "{totals:?}");
            }
            assert_matches(&Tree::of(&sandbox.path("src")), &sandbox.path(name), &[]);
            for file in ["all", "leading", "middle", "trailing", "zeros", "huge"] {
                let (source, copy) =
                    (allocated(&sandbox.path("src").join(file)), allocated(&sandbox.path(name).join(file)));
                // An extent tree of another shape may take a block of its own.
                assert!(copy <= source + 8192, "{filesystem:?} {name} {file}: {source} became {copy}");
            }
        }
    }
}

#[test]
fn zeros_become_holes_only_when_asked_and_holes_become_zeros_likewise() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 256) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    let path = sandbox.path("src/file");
    make_sparse(&path, 12 * MIB, &[(0, &vec![0; 4 * MIB as usize]), (4 * MIB, &noise(10_000, 2))]);
    let copy = |name: &str, sparse| {
        let job = CopyJob::new(sandbox.path("src"), sandbox.path(name));
        let report = run(job.data(DataOptions::default().sparse(sparse)));
        assert_complete(&report);
        let totals = &report.totals;
        assert_eq!((totals.bytes_found, totals.bytes_done()), (12 * MIB, 12 * MIB), "{name}");
        let tree = Tree::of(&sandbox.path(name));
        let (Content::Bytes { digest, .. }, size) = (&tree.0[&b"file"[..]].content, 12 * MIB) else {
            panic!("a file");
        };
        assert_eq!(tree.0[&b"file"[..]].size, size);
        (*digest, allocated(&sandbox.path(name).join("file")), totals.bytes_in_holes)
    };
    let (auto, kept, passed_over) = copy("auto", Sparse::Auto);
    let (always, least, left_out) = copy("always", Sparse::Always);
    let (never, most, none) = copy("never", Sparse::Never);
    assert!(auto == always && always == never);
    assert!((4 * MIB..5 * MIB).contains(&kept), "{kept}");
    assert!(least < MIB / 16, "{least}");
    assert!(most >= 12 * MIB, "{most}");
    let blocks = 10_000..=12_288;
    assert!(blocks.contains(&(8 * MIB - passed_over)), "{passed_over}");
    assert!(blocks.contains(&(12 * MIB - left_out)), "{left_out}");
    assert_eq!(none, 0);
}

#[test]
fn without_sparse_in_the_list_the_content_is_still_right() {
    let sandbox = Sandbox::new().dir("src");
    make_sparse(&sandbox.path("src/file"), 3 * MIB, &[(MIB, b"data")]);
    let job = CopyJob::new(sandbox.path("src"), sandbox.path("dst"));
    let data = DataOptions::default().reflink(Reflink::Never);
    assert_complete(&run(job.preserve(Preserve::default().without(Attributes::SPARSE)).data(data)));
    assert_eq!(sandbox.read("src/file"), sandbox.read("dst/file"));
    assert!(allocated(&sandbox.path("dst/file")) >= 3 * MIB);
}

#[test]
fn reserved_blocks_that_were_never_written_are_not_copied_as_data() {
    let Some(mount) = Mount::new(Filesystem::Ext4, 256) else { return };
    let sandbox = Sandbox::on(&mount).dir("src");
    for (name, size) in [("small", MIB), ("wide", 40 * MIB)] {
        let file = fs::File::create(sandbox.path("src").join(name)).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"data", size / 2).unwrap();
    }
    assert_complete(&sandbox.copy());
    assert_same(&sandbox.path("src"), &sandbox.path("dst"));
    assert!(allocated(&sandbox.path("dst/wide")) < MIB);
}

/// Whoever walked through these would not come back.
#[test]
fn holes_of_exbibytes_are_passed_over_by_whatever_reads_them() {
    const MOST: u64 = i64::MAX as u64;
    for filesystem in [Filesystem::Xfs, Filesystem::XfsPlain, Filesystem::Tmpfs] {
        let Some(mount) = Mount::new(filesystem, 512) else { return };
        let sandbox = Sandbox::on(&mount).dir("src");
        let data = noise(3 * MIB as usize, 7);
        let file = |name: &str| sandbox.path("src").join(name);
        make_sparse(&file("data"), MOST, &[(5000, &data), (MOST / 2, &data[..9]), (MOST - 4096, &data[..5])]);
        // Together more bytes than a number holds.
        for name in ["one", "two", "three"] {
            make_sparse(&file(name), MOST, &[]);
        }
        let (reflink, verify) = (DataOptions::default().reflink(Reflink::Never), Verify::Sha256);
        let plain = |name: &str| CopyJob::new(sandbox.path("src"), sandbox.path(name));
        let jobs: [(&str, &dyn Fn(CopyJob) -> CopyJob); _] = [
            ("shared", &|job| job),
            ("ranges", &|job| job.data(reflink).jobs(4)),
            ("alone", &|job| job.data(reflink).jobs(1)),
            ("kernel", &|job| job.data(reflink.zero_copy(ZeroCopy::Force))),
            ("zeros", &|job| job.data(reflink.sparse(Sparse::Always))),
            ("resumed", &|job| job.data(reflink).resume(true)),
            ("verified", &|job| job.data(reflink).verify(verify)),
            ("verified", &|job| job.verify(verify).existing(Existing::Replace)),
            ("verified", &|job| job.compare(Compare::Content)), // which finds it unchanged
            ("verified", &|job| job),
            ("dry", &|job| job.dry_run(true)),
        ];
        for (name, job) in jobs {
            let job = job(plain(name));
            let report = run(job);
            assert_complete(&report);
            assert_eq!(report.totals.bytes_done(), report.totals.bytes_found, "{filesystem:?} {name:?}");
            if name != "dry" {
                let output = orbit().arg("verify").arg(sandbox.path("src")).arg(sandbox.path(name)).output();
                let output = output.unwrap();
                assert!(output.status.success(), "{filesystem:?} {name:?}: {}", stderr(&output));
                let stored = allocated(&sandbox.path(name).join("data"));
                assert!(stored <= allocated(&file("data")) + 8192, "{filesystem:?} {name:?}: {stored}");
            }
        }
        let totals = run(plain("verified").existing(Existing::Replace).verify(verify)).totals;
        assert_eq!(totals.files_verified, 4, "{filesystem:?}: compared, though not hashed");
        // One byte far out is a difference to all of them.
        let other = fs::File::options().write(true).open(sandbox.path("verified/two")).unwrap();
        let modified = fs::metadata(file("two")).unwrap().modified().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&other, b"x", MOST / 3).unwrap();
        other.set_modified(modified).unwrap();
        let output = orbit().arg("verify").arg(sandbox.path("src")).arg(sandbox.path("verified")).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(run(plain("verified").compare(Compare::Content)).totals.files_copied, 1);
    }
}

#[test]
fn what_has_too_large_holes_for_a_digest_is_in_place_and_not_in_the_manifest() {
    let Some(mount) = Mount::new(Filesystem::Tmpfs, 64) else { return };
    let sandbox = Sandbox::on(&mount).file("src/small", b"small");
    make_sparse(&sandbox.path("src/huge"), 2 * TIB, &[(TIB, b"data")]);
    for _ in 0..2 {
        let [src, dst, sums] = ["src", "dst", "sums"].map(|name| sandbox.path(name));
        let output = orbit().arg("--verify").arg("--manifest").arg(&sums).arg("-T").args([src, dst]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("more than 1 TiB of holes"), "{}", stderr(&output));
        assert_eq!(fs::metadata(sandbox.path("dst/huge")).unwrap().len(), 2 * TIB);
        let lines = String::from_utf8(sandbox.read("sums")).unwrap();
        assert!(lines.lines().count() == 1 && lines.contains("small"), "{lines}");
    }
}
