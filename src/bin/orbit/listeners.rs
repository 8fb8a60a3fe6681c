//! Who is told what becomes of each entry, beside the terminal.

use std::{
    io::{self, BufWriter, Stdout, Write},
    path::Path,
};

use anyhow::Context;
use orbit::{Event, Report};

use super::{args::CopyArgs, itemize, manifest::Manifest};

/// Who is told what becomes of each entry.
pub(crate) struct Listeners {
    manifest: Option<Manifest>,
    items: Option<Items>,
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
    pub(crate) fn new(args: &CopyArgs, root: &Path) -> anyhow::Result<Listeners> {
        let manifest = args.checks.manifest.as_ref().map(|path| Manifest::begin(path, root)).transpose()?;
        let items = args.mirror.tells_entries().then(|| Items {
            output: BufWriter::new(io::stdout()),
            is_json: args.json,
            is_dry: args.mirror.dry_run,
            is_closed: false,
        });
        Ok(Listeners { manifest, items })
    }

    pub(crate) fn hear(&mut self, event: &Event) -> anyhow::Result<()> {
        if let (Some(manifest), Event::Entry { path, digest: Some(digest), .. }) = (&mut self.manifest, event)
        {
            manifest.add(path, *digest)?;
        }
        match &mut self.items {
            Some(items) => items.tell(event),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(self, report: &Report) -> anyhow::Result<()> {
        if let Some(mut items) = self.items {
            items.wrote(|output| output.flush())?;
        }
        match self.manifest.filter(|_| !report.cancelled) {
            Some(manifest) => manifest.finish(),
            None => Ok(()),
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
