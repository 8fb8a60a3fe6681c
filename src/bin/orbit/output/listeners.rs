//! Who is told what becomes of each entry, beside the terminal.

use std::{
    io::{self, BufWriter, Stdout, Write},
    sync::Arc,
};

use anyhow::Context;
use orbit::{CopyJob, Done, Event, Report};
use tokio::sync::mpsc;

use crate::{
    args::CopyArgs,
    output::{
        aside::Aside,
        itemize,
        log::Log,
        manifest::Manifest,
        text::{cause_text, printable},
    },
    status,
};

/// Who is told what becomes of each entry. None of them ends the copy: what cannot be written is said in the
/// end.
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
    /// Whether nothing more is written, because whoever read it has gone or it failed.
    is_closed: bool,
    failure: Option<io::Error>,
}

/// What listeners are told.
pub(crate) enum News {
    Event(Event),
    /// Whether what is told from now on is of a run that deletes before the copy.
    Deleting(bool),
    /// Write what waits to be logged.
    Flush,
    /// The run is over.
    Ended(Box<Ended>),
}

/// The end of a run.
pub(crate) struct Ended {
    pub(crate) report: Arc<Report>,
    /// The exit status, if the outputs go well.
    pub(crate) status: u8,
    /// What standard output has in the end, of the exit status.
    pub(crate) summary: Box<dyn FnOnce(u8) -> String + Send>,
}

/// What became of the outputs.
#[derive(Default)]
pub(crate) struct Heard {
    /// The exit status.
    pub(crate) status: u8,
    /// What could not be written, and why.
    pub(crate) complaints: Vec<String>,
}

impl Listeners {
    /// Begin all that the arguments ask for.
    ///
    /// # Errors
    /// Where a file cannot be begun: then nothing is copied.
    pub(crate) fn new(args: &CopyArgs, job: &CopyJob) -> anyhow::Result<Listeners> {
        let begin_manifest = |path| Manifest::begin(path, job, args.compress.extension());
        // A dry run has no digests, and leaves a manifest that is there.
        let manifest = args.checks.manifest.as_deref().filter(|_| !args.mirror.dry_run);
        let manifest = manifest.map(begin_manifest).transpose()?;
        let begin_log = |path| Log::begin(path, job, args.mirror.dry_run);
        let log = args.log.as_deref().map(begin_log).transpose()?;
        let items = args.mirror.tells_entries().then(|| Items {
            output: BufWriter::new(io::stdout()),
            is_json: args.json,
            is_dry: args.mirror.dry_run,
            is_closed: false,
            failure: None,
        });
        Ok(Listeners { manifest, log, items, is_deleting: false })
    }

    /// Let them listen on a thread of their own.
    ///
    /// # Errors
    /// Where none can be had.
    pub(crate) fn aside(self) -> io::Result<Aside<News, Heard>> {
        Aside::start(move |news| self.listen(news))
    }

    fn listen(mut self, mut news: mpsc::Receiver<News>) -> Heard {
        while let Some(told) = news.blocking_recv() {
            match told {
                News::Event(event) => self.hear(&event),
                News::Deleting(is_deleting) => self.is_deleting = is_deleting,
                News::Flush => self.log.iter_mut().for_each(Log::flush),
                News::Ended(ended) => return self.end(*ended),
            }
        }
        // The command failed before its end, which it says itself.
        Heard::default()
    }

    fn hear(&mut self, event: &Event) {
        if self.is_deleting && matches!(event, Event::Entry { done, .. } if *done != Done::Deleted) {
            return;
        }
        if let (Some(manifest), Event::Entry { path, digest: Some(digest), .. }) = (&mut self.manifest, event)
        {
            manifest.add(path, *digest);
        }
        self.log.iter_mut().for_each(|log| log.hear(event));
        self.items.iter_mut().for_each(|items| items.tell(event));
    }

    /// Finish what was begun, and say what was done.
    fn end(self, ended: Ended) -> Heard {
        let Listeners { manifest, mut log, items, .. } = self;
        let Ended { report, mut status, summary } = ended;
        let mut complaints = Vec::new();
        let mut went = |done: anyhow::Result<()>| {
            if let Err(error) = done {
                complaints.push(cause_text(&format!("{error:#}")));
                status = status::without_output(status);
            }
            status
        };
        let told = items.map_or(Ok(()), Items::end);
        let is_writable = told.is_ok();
        went(told);
        // One of a part would be taken for one of all, and may replace that.
        let was_cut_off = report.cancelled || report.stopped.is_some();
        went(manifest.filter(|_| !was_cut_off).map_or(Ok(()), Manifest::finish));
        // What is known to fail counts for what is said below.
        log.iter_mut().for_each(Log::flush);
        let so_far = match log.as_ref().is_some_and(Log::has_failed) {
            true => status::without_output(went(Ok(()))),
            false => went(Ok(())),
        };
        // What standard output would not take before it will not now, which is said once.
        let said = if is_writable { print(&summary(so_far)) } else { Ok(()) };
        let so_far = went(said);
        went(log.map_or(Ok(()), |log| log.finish(&report, so_far)));
        Heard { status, complaints }
    }
}

impl Items {
    fn tell(&mut self, event: &Event) {
        let line = if self.is_json {
            itemize::object(event).map(|object| format!("{}\n", printable(&object.to_string())))
        } else {
            itemize::line(event, self.is_dry)
        };
        if let Some(line) = line {
            self.wrote(|output| output.write_all(line.as_bytes()));
        }
    }

    fn wrote(&mut self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) {
        if self.is_closed {
            return;
        }
        if let Err(error) = write(&mut self.output) {
            self.is_closed = true;
            // Whoever read it has gone, as `head` does: that is no error.
            self.failure = Some(error).filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        }
    }

    fn end(mut self) -> anyhow::Result<()> {
        self.wrote(|output| output.flush());
        // What could not be written is not tried again.
        let (_, _unwritten) = self.output.into_parts();
        match self.failure {
            None => Ok(()),
            Some(error) => Err(error).context(TO_STDOUT),
        }
    }
}

pub(crate) const TO_STDOUT: &str = "cannot write to standard output";

/// Write to standard output, without anything that would control a terminal; it is no error when its reader
/// has gone.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(printable(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context(TO_STDOUT),
    }
}
