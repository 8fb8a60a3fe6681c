//! Files that somebody holds a lease on, as Samba and NFS servers do (fcntl(2)).

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::support::{
    Sandbox, assert_complete,
    awkward::{make_node, set_mode, set_times},
    has_program, orbit, skip,
};

/// A process that holds a write lease, and lets go some time after it is asked to.
struct Holder {
    process: Child,
    says: BufReader<ChildStdout>,
}

const HOLDER: &str = r#"
$| = 1; # by number, as not every Perl knows them: F_SETLEASE, F_WRLCK, F_UNLCK
open(my $file, "+<", $ARGV[0]) or die;
my $asked = 0;
$SIG{IO} = sub { $asked = 1 };
# A process that was just forked may have it open until it runs its program.
for (1..1000) { last if fcntl($file, 1024, 1); select(undef, undef, undef, 0.01); }
fcntl($file, 1025, 0) == 1 or die "no lease: $!";
print "holds\n";
select(undef, undef, undef, 0.01) until $asked;
print "asked\n";
select(undef, undef, undef, 0.3);
fcntl($file, 1024, 2) or die;
print "let go\n";
"#;

impl Holder {
    fn of(path: &Path) -> Holder {
        let mut command = Command::new("perl");
        let mut process = command.arg("-e").arg(HOLDER).arg(path).stdout(Stdio::piped()).spawn().unwrap();
        let mut holder = Holder { says: BufReader::new(process.stdout.take().unwrap()), process };
        assert_eq!(holder.line(), "holds\n");
        holder
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    /// Wait for its end; it was asked.
    fn was_asked(mut self) {
        assert_eq!((self.line(), self.line()), ("asked\n".into(), "let go\n".into()));
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_leased_source_is_waited_for_and_copied() {
    if !has_program("perl") {
        return skip("needs perl");
    }
    // In a new directory, and in one that is there.
    for is_there in [false, true] {
        let sandbox = Sandbox::new().file("src/f", b"leased");
        if is_there {
            fs::create_dir(sandbox.path("dst")).unwrap();
        }
        let holder = Holder::of(&sandbox.path("src/f"));
        assert_complete(&sandbox.copy());
        holder.was_asked();
        assert_eq!(sandbox.read("dst/f"), b"leased");
    }
}

#[test]
fn a_leased_copy_is_waited_for_where_it_is_read_and_corrected_without_where_it_is_not() {
    if !has_program("perl") {
        return skip("needs perl");
    }
    let sandbox = Sandbox::new().file("src/f", b"leased");
    assert_complete(&sandbox.copy());
    for words in [&["-q", "-T", "--checksum"][..], &["verify"]] {
        for side in ["src/f", "dst/f"] {
            let holder = Holder::of(&sandbox.path(side));
            let (from, to) = (sandbox.path("src"), sandbox.path("dst"));
            let output = orbit().args(words).args([from, to]).output().unwrap();
            assert!(output.status.success(), "{words:?} {side}: {}", String::from_utf8_lossy(&output.stderr));
            holder.was_asked();
        }
    }
    // A mode needs no opening; opening would ask as well, but nobody waits for the answer.
    let mut holder = Holder::of(&sandbox.path("dst/f"));
    set_mode(&sandbox.path("src/f"), 0o604);
    let report = sandbox.copy();
    assert_complete(&report);
    assert_eq!(report.totals.metadata_corrected, 1);
    assert_eq!(fs::metadata(sandbox.path("dst/f")).unwrap().mode() & 0o777, 0o604);
    let _ = holder.process.kill();
}

#[test]
fn a_fifo_is_never_waited_for() {
    let sandbox = Sandbox::new().dir("src").dir("dst");
    for tree in ["src", "dst"] {
        make_node(&sandbox.path(tree).join("p"), rustix::fs::FileType::Fifo, 0);
    }
    set_times(&sandbox.path("src/p"), 1_000, 0);
    assert_complete(&sandbox.copy());
    assert_complete(&sandbox.copy());
}
