//! Entries and bytes, counted by what became of them.

/// Entries and bytes, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Entries that the walk came across, directories included.
    pub entries_found: u64,
    /// Regular files copied, new or in place of another.
    pub files_copied: u64,
    /// Directories created.
    pub directories_created: u64,
    /// Directories that were there already.
    pub directories_merged: u64,
    /// Symbolic links created.
    pub symlinks_created: u64,
    /// Further names given to files that this run had copied or found.
    pub hard_links_created: u64,
    /// FIFOs, sockets and device nodes created.
    pub specials_created: u64,
    /// Entries that were already as they should be.
    pub unchanged: u64,
    /// Entries whose content was right and whose metadata was corrected.
    pub metadata_corrected: u64,
    /// Entries left out because an option says so.
    pub skipped: u64,
    /// Entries that the selection does not want; of a directory, what it holds is not even looked at.
    pub excluded: u64,
    /// Entries of the copy that its source lacks, and that were deleted.
    pub deleted: u64,
    /// Entries that were to be deleted and could not be; a refusal to delete any is one.
    pub undeleted: u64,
    /// Filesystems of the copy that could not be made durable in the end, see
    /// [`Fsync::End`](crate::Fsync::End).
    pub unsynced: u64,
    /// Files whose source changed while they were copied; each is a failure too.
    pub changed_while_copied: u64,
    /// Entries that failed; a directory that failed twice is one.
    pub failed: u64,
    /// Entries that were not tried, since a quota that holds for their directory is used up.
    pub untried: u64,
    /// Files whose content was compared with its source's by digest.
    pub files_verified: u64,
    /// Their bytes.
    pub bytes_verified: u64,
    /// Files whose copy was not what was copied; each is a failure too.
    pub mismatches: u64,
    /// Bytes of file content put in place, shared blocks included.
    pub bytes_copied: u64,
    /// Bytes of file content that an earlier run had put in place, see
    /// [`CopyJob::resume`](crate::CopyJob::resume).
    pub bytes_resumed: u64,
    /// Bytes of compressed files that were written, or brought back; what these hold is in `bytes_copied`.
    pub bytes_in_frames: u64,
    /// Bytes of file content in files that were there and were left alone.
    pub bytes_left_alone: u64,
    /// Bytes of holes that were passed over, which are holes in the copy too.
    pub bytes_in_holes: u64,
    /// Bytes of file content in files that were begun, holes included.
    pub bytes_found: u64,
}

impl Totals {
    /// Entries that are dealt with, one way or another: in the end all that were found, unless the
    /// run was cancelled.
    #[must_use]
    pub fn entries_done(&self) -> u64 {
        self.files_copied
            + self.directories_created
            + self.directories_merged
            + self.symlinks_created
            + self.hard_links_created
            + self.specials_created
            + self.unchanged
            + self.metadata_corrected
            + self.skipped
            + self.excluded
            + self.failed
            + self.untried
    }

    /// Bytes of file content that are dealt with: put in place, found in place, or left out as holes.
    ///
    /// Of a file whose source stood still these are in the end all that were found.
    #[must_use]
    pub fn bytes_done(&self) -> u64 {
        self.bytes_copied.saturating_add(self.bytes_resumed).saturating_add(self.bytes_in_holes)
    }

    pub(crate) fn add(&mut self, other: &Totals) {
        // A few files of holes may come to more bytes than a number holds.
        let add = |sum: &mut u64, bytes: u64| *sum = sum.saturating_add(bytes);
        let Totals {
            entries_found,
            files_copied,
            directories_created,
            directories_merged,
            symlinks_created,
            hard_links_created,
            specials_created,
            unchanged,
            metadata_corrected,
            skipped,
            excluded,
            deleted,
            undeleted,
            unsynced,
            changed_while_copied,
            failed,
            untried,
            files_verified,
            bytes_verified,
            mismatches,
            bytes_copied,
            bytes_resumed,
            bytes_in_frames,
            bytes_left_alone,
            bytes_in_holes,
            bytes_found,
        } = other;
        self.entries_found += entries_found;
        self.files_copied += files_copied;
        self.directories_created += directories_created;
        self.directories_merged += directories_merged;
        self.symlinks_created += symlinks_created;
        self.hard_links_created += hard_links_created;
        self.specials_created += specials_created;
        self.unchanged += unchanged;
        self.metadata_corrected += metadata_corrected;
        self.skipped += skipped;
        self.excluded += excluded;
        self.deleted += deleted;
        self.undeleted += undeleted;
        self.unsynced += unsynced;
        self.changed_while_copied += changed_while_copied;
        self.failed += failed;
        self.untried += untried;
        self.files_verified += files_verified;
        add(&mut self.bytes_verified, *bytes_verified);
        self.mismatches += mismatches;
        add(&mut self.bytes_copied, *bytes_copied);
        add(&mut self.bytes_resumed, *bytes_resumed);
        add(&mut self.bytes_in_frames, *bytes_in_frames);
        add(&mut self.bytes_left_alone, *bytes_left_alone);
        add(&mut self.bytes_in_holes, *bytes_in_holes);
        add(&mut self.bytes_found, *bytes_found);
    }
}

/// What one method moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Files of which it moved the most bytes.
    pub files: u64,
    /// Bytes it moved.
    pub bytes: u64,
}
