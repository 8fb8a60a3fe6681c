//! Who is told what becomes of each entry, beside the terminal.

use std::io::{self, BufWriter, Stdout, Write};

use anyhow::{Context, bail};
use orbit::{CopyJob, Done, Event, Report};

use super::{FAILED, args::CopyArgs, itemize, log::Log, manifest::Manifest};

/// Who is told what becomes of each entry.
pub(crate) struct Listeners {
    manifest: Option<Manifest>,
    log: Option<Log>,
    items: Option<Items>,
    /// Whether nothing but deletions is of interest, since the same entries are copied later.
    is_deleting: bool,
}

/// Standard output, a line for each entry.
struct Items {
    output: BufWriter<Stdout>,
    is_json: bool,
    is_dry: bool,
    /// Whether whoever read it has gone.
    is_closed: bool,
}

impl Listeners {
    pub(crate) fn new(args: &CopyArgs, job: &CopyJob) -> anyhow::Result<Listeners> {
        let root = job.target().path();
        let begin_manifest = |path| Manifest::begin(path, root, args.compress.extension());
        let manifest = args.checks.manifest.as_deref().map(begin_manifest).transpose()?;
        let begin_log = |path| Log::begin(path, job, args.mirror.dry_run);
        let log = args.log.as_deref().map(begin_log).transpose()?;
        let items = args.mirror.tells_entries().then(|| Items {
            output: BufWriter::new(io::stdout()),
            is_json: args.json,
            is_dry: args.mirror.dry_run,
            is_closed: false,
        });
        Ok(Listeners { manifest, log, items, is_deleting: false })
    }

    /// Whether what is heard from now on is of a run that deletes before the copy.
    pub(crate) fn set_deleting(&mut self, is_deleting: bool) {
        self.is_deleting = is_deleting;
    }

    /// Whether there is something to [`flush`](Self::flush) now and then.
    pub(crate) fn are_logging(&self) -> bool {
        self.log.is_some()
    }

    /// Write what waits to be logged.
    pub(crate) fn flush(&mut self) {
        self.log.iter_mut().for_each(Log::flush);
    }

    pub(crate) fn hear(&mut self, event: &Event) -> anyhow::Result<()> {
        if self.is_deleting && matches!(event, Event::Entry { done, .. } if *done != Done::Deleted) {
            return Ok(());
        }
        if let (Some(manifest), Event::Entry { path, digest: Some(digest), .. }) = (&mut self.manifest, event)
        {
            manifest.add(path, *digest)?;
        }
        self.log.iter_mut().for_each(|log| log.hear(event));
        match &mut self.items {
            Some(items) => items.tell(event),
            None => Ok(()),
        }
    }

    /// Finish what was begun for a run that ends with `exit_status`, if this goes well.
    pub(crate) fn finish(self, report: &Report, exit_status: u8) -> anyhow::Result<()> {
        let items = self.items.map_or(Ok(()), |mut items| items.wrote(|output| output.flush()));
        // One of a part would be taken for one of all, and may replace that.
        let was_cut_off = report.cancelled || report.stopped.is_some();
        let manifest = self.manifest.filter(|_| !was_cut_off).map_or(Ok(()), Manifest::finish);
        let told = items.and(manifest);
        let exit_status = if told.is_err() { FAILED } else { exit_status };
        let logged = self.log.map_or(Ok(()), |log| log.finish(report, exit_status));
        match (told, logged) {
            (Err(told), Err(logged)) => bail!("{told:#}; and {logged:#}"),
            (told, logged) => told.and(logged),
        }
    }
}

impl Items {
    fn tell(&mut self, event: &Event) -> anyhow::Result<()> {
        let line = if self.is_json {
            itemize::object(event).map(|object| format!("{object}\n"))
        } else {
            itemize::line(event, self.is_dry)
        };
        match line {
            Some(line) => self.wrote(|output| output.write_all(line.as_bytes())),
            None => Ok(()),
        }
    }

    /// Write, unless the reader has gone, which is no error.
    fn wrote(&mut self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) -> anyhow::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        match write(&mut self.output) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written.context("cannot write to standard output"),
        }
    }
}
