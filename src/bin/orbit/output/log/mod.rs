//! `--log`: what becomes of each entry, a line for each, in a file.

mod lines;
mod place;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use orbit::{CopyJob, Event, Report};

pub(crate) use lines::{MAGIC, VERSION};
pub(crate) use place::{check as check_place, copies};

use crate::{output::text::quoted, system};

/// The log of one run, in the making.
///
/// Every write ends where a line ends, so that whatever ends the process leaves whole lines. Only a
/// process that is killed during a write may leave a part of one, since Linux minds a fatal signal
/// between two pages (`generic_perform_write` in mm/filemap.c); the next run ends such a line before it
/// begins its own.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    run: String,
    /// Whole lines that wait to be written.
    lines: Vec<u8>,
    /// The size of the file up to its last whole line; none of what is no regular file.
    size: Option<u64>,
    /// Why nothing more is written.
    failure: Option<io::Error>,
}

impl Log {
    /// With this many bytes the lines that wait are written.
    const BATCH: usize = 64 * 1024;

    /// Begin the log of a run in the file `path`, after the runs that it has already.
    ///
    /// # Errors
    /// When it cannot be opened, holds something else, or another run is writing to it.
    pub(crate) fn begin(path: &Path, job: &CopyJob, is_dry: bool) -> anyhow::Result<Log> {
        let opened = || format!("cannot open the log {}", quoted(path));
        let is_regular = fs::metadata(path).map_or(true, |meta| meta.is_file());
        let mut file = OpenOptions::new()
            .append(true)
            .create(is_regular)
            .read(is_regular)
            .open(path)
            .with_context(opened)?;
        let mut lines = Vec::new();
        let mut size = None;
        if is_regular {
            if !system::claim(&file).with_context(opened)? {
                bail!("another run is writing to the log {}; give this one its own", quoted(path));
            }
            let found = Found::look(&mut file).with_context(|| format!("cannot read {}", quoted(path)))?;
            if !found.is_log {
                bail!("{} is no log of orbit, and is left alone; name another file", quoted(path));
            }
            if found.is_torn {
                lines.push(b'\n');
            }
            size = Some(found.size);
        }
        let run = lines::run_id();
        let (path, failure) = (path.to_owned(), None);
        let mut log = Log { path, file, run, lines, size, failure };
        let begin = lines::begin(&log.run, job, is_dry);
        log.add(&begin);
        log.flush();
        Ok(log)
    }

    /// Note an event.
    pub(crate) fn hear(&mut self, event: &Event) {
        if self.failure.is_some() {
            return;
        }
        if let Some(line) = lines::of(event) {
            self.add(&line);
        }
        if self.lines.len() >= Self::BATCH {
            self.flush();
        }
    }

    /// Write the lines that wait.
    pub(crate) fn flush(&mut self) {
        if self.failure.is_some() || self.lines.is_empty() {
            return;
        }
        let mut written = 0;
        while written < self.lines.len() && self.failure.is_none() {
            match self.file.write(&self.lines[written..]) {
                Ok(0) => self.failure = Some(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failure = Some(error),
            }
        }
        if self.failure.is_some() {
            self.cut_back(written);
        } else if let Some(size) = &mut self.size {
            *size += written as u64;
        }
        self.lines.clear();
    }

    /// Whether something of it could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// End it with the summary of the run.
    ///
    /// # Errors
    /// When something of it could not be written, now or before.
    pub(crate) fn finish(mut self, report: &Report, exit_status: u8) -> anyhow::Result<()> {
        let end = lines::end(&self.run, report, exit_status);
        self.add(&end);
        self.flush();
        match self.failure {
            None => Ok(()),
            Some(error) => Err(error).with_context(|| {
                format!("the log {} ends before its time: cannot write it", quoted(&self.path))
            }),
        }
    }

    fn add(&mut self, line: &str) {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
    }

    /// Take back the beginning of a line that could not be written whole; what else was `written` stays.
    fn cut_back(&self, written: usize) {
        let Some(size) = self.size else { return };
        let whole = self.lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let is_ours = self.file.metadata().is_ok_and(|meta| meta.len() == size + written as u64);
        if is_ours && whole < written {
            // Where that fails too, the line is one that readers see is torn.
            let _ = self.file.set_len(size + whole as u64);
        }
    }
}

/// What is in a file already.
struct Found {
    size: u64,
    /// Whether it is a log, or empty.
    is_log: bool,
    /// Whether its last line has no end.
    is_torn: bool,
}

impl Found {
    fn look(file: &mut File) -> io::Result<Found> {
        let mut head = Vec::new();
        file.take(MAGIC.len() as u64).read_to_end(&mut head)?;
        let is_log = MAGIC.as_bytes().starts_with(&head);
        let size = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Found { size, is_log, is_torn: last != [b'\n'] })
    }
}
