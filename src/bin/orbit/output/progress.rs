//! Lines on standard error, and below them how far the copy has come.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{BinaryBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use orbit::Progress;
use tracing_subscriber::fmt::MakeWriter;

use crate::output::{
    screen,
    text::{printable, quoted},
};

/// Whole lines on standard error, above whatever is displayed there.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    display: MultiProgress,
    /// Whether somebody may read them at a terminal, who may leave it.
    is_terminal: bool,
    /// Whether any could not be written, other than because nobody reads them any more.
    has_failed: Arc<AtomicBool>,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines {
            display: MultiProgress::with_draw_target(screen::target()),
            is_terminal: io::stderr().is_terminal(),
            has_failed: Arc::default(),
        }
    }
}

impl Lines {
    pub(crate) fn print(&self, line: &str) {
        // When nobody takes what is said there, the exit status still says it.
        let _ = self.write_whole(format!("{line}\n").as_bytes());
    }

    /// Whether anything that was to be said is lost: the disk is full that standard error goes to.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    fn write_whole(&self, text: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        let text = printable(&text);
        let written = self.display.suspend(|| io::stderr().lock().write_all(text.as_bytes()));
        if !self.is_terminal && written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe)
        {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        written
    }
}

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.write_whole(text).map(|()| text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

/// How far the copy has come, in two lines at the bottom of the terminal.
pub(crate) struct Display {
    lines: Lines,
    /// The first line: amounts, in numbers.
    amounts: ProgressBar,
    /// The second: the share that is done, once the whole is known, and what is being copied.
    work: ProgressBar,
    /// Never shown: it averages the rate.
    bytes: ProgressBar,
    /// The share that is shown, which never becomes less, once one is.
    share: Option<f64>,
}

impl Display {
    /// How often the display changes.
    pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

    pub(crate) fn new(lines: &Lines) -> Display {
        let bar = |template| lines.display.add(ProgressBar::no_length().with_style(style(template)));
        Display {
            amounts: bar("{spinner} {wide_msg}"),
            work: bar("  {wide_msg}"),
            lines: lines.clone(),
            bytes: ProgressBar::hidden(),
            share: None,
        }
    }

    pub(crate) fn show(&mut self, progress: &Progress) {
        let (done, found) = work(progress);
        let mut shown = done;
        if is_known(progress) {
            if self.share.is_none() {
                self.work.set_style(style("  {bar:20} {percent:>3}% {wide_msg}"));
            }
            let share = share(done, found).max(self.share.unwrap_or(0.0));
            self.share = Some(share);
            shown = (found as f64 * share) as u64;
        }
        self.work.set_length(found);
        self.work.set_position(shown);
        if let Some(current) = &progress.current {
            self.work.set_message(quoted(current).to_string());
        }
        self.bytes.set_position(progress.totals.bytes_copied);
        let left = (self.share.is_some() && done > 0).then(|| self.work.eta());
        self.amounts.set_message(message(progress, self.bytes.per_sec(), left));
        self.amounts.tick();
    }

    /// Take it all away.
    pub(crate) fn clear(self) {
        self.amounts.finish_and_clear();
        self.work.finish_and_clear();
        let _ = self.lines.display.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are sound");
    style.progress_chars("━╸ ")
}

/// Whether it is known how much there is to be done in all.
fn is_known(progress: &Progress) -> bool {
    progress.walked || progress.counted.is_some_and(|counted| counted.is_whole)
}

/// The share that is done, less than all of it: the end is shown by there being no display any more.
fn share(done: u64, found: u64) -> f64 {
    const MOST: f64 = 0.994;
    (done as f64 / found.max(1) as f64).min(MOST)
}

/// How much of a copy is done of how much is known, in bytes and what entries are worth in bytes.
fn work(progress: &Progress) -> (u64, u64) {
    /// About as much time as an entry costs beside its content.
    const ENTRY: u64 = 64 << 10;
    let totals = &progress.totals;
    let entries_done = totals.entries_done();
    let (entries, bytes) = match progress.counted.filter(|counted| counted.is_whole) {
        Some(counted) => (counted.entries.max(totals.entries_found), counted.bytes.max(totals.bytes_found)),
        None => {
            let begun = entries_done + progress.workers as u64;
            // Sizes are known only of files that were begun; the others are taken to be like those.
            let waiting = totals.entries_found.saturating_sub(begun);
            let bytes_waiting = (totals.bytes_found / begun.max(1)).saturating_mul(waiting);
            (totals.entries_found, totals.bytes_found.saturating_add(bytes_waiting))
        }
    };
    let done = totals.bytes_done().saturating_add(entries_done * ENTRY);
    let found = bytes.saturating_add(entries * ENTRY);
    (done, found.max(done))
}

fn message(progress: &Progress, bytes_per_second: f64, left: Option<Duration>) -> String {
    let totals = &progress.totals;
    // What is being counted is ahead of what is being copied.
    let counted = progress.counted.unwrap_or_default();
    let bytes = counted.bytes.max(totals.bytes_found).max(totals.bytes_done());
    let mut message = format!(
        "{} of {}, {} of {} entries{}, {}/s",
        BinaryBytes(totals.bytes_done()),
        BinaryBytes(bytes),
        HumanCount(totals.entries_done()),
        HumanCount(totals.entries_found.max(counted.entries)),
        if is_known(progress) { "" } else { " found so far" },
        BinaryBytes(bytes_per_second as u64),
    );
    if let Some(left) = left {
        message += &format!(", {:#} left", HumanDuration(left));
    }
    message
}

#[cfg(test)]
mod tests {
    use orbit::Counted;

    use super::*;

    fn progress(done: u64, found: u64, copied: u64, bytes: u64) -> Progress {
        let mut progress = Progress::default();
        progress.totals.files_copied = done;
        progress.totals.entries_found = found;
        progress.totals.bytes_copied = copied;
        progress.totals.bytes_found = bytes;
        progress
    }

    fn share(progress: &Progress) -> f64 {
        let (done, found) = work(progress);
        done as f64 / found as f64
    }

    fn counted(entries: u64, bytes: u64, is_whole: bool) -> Option<Counted> {
        let mut counted = Counted::default();
        (counted.entries, counted.bytes, counted.is_whole) = (entries, bytes, is_whole);
        Some(counted)
    }

    #[test]
    fn what_was_counted_is_the_whole_as_soon_as_all_of_it_is() {
        let mut tenth = progress(10, 10, 100 << 20, 100 << 20);
        tenth.counted = counted(50, 500 << 20, false);
        assert!(!is_known(&tenth));
        let text = "100.00 MiB of 500.00 MiB, 10 of 50 entries found so far, 0 B/s";
        assert_eq!(message(&tenth, 0.0, None), text);
        tenth.counted = counted(100, 1000 << 20, true);
        assert!(is_known(&tenth) && (share(&tenth) - 0.1).abs() < 0.001, "{}", share(&tenth));
        assert_eq!(message(&tenth, 0.0, None), "100.00 MiB of 1000.00 MiB, 10 of 100 entries, 0 B/s");
    }

    #[test]
    fn nothing_is_shown_as_whole_before_the_end() {
        assert!(super::share(100, 100) < 0.995 && super::share(0, 0) < 0.01);
        assert!((super::share(50, 100) - 0.5).abs() < 0.001);
    }

    #[test]
    fn work_is_measured_in_bytes_for_one_large_file_and_in_entries_for_empty_ones() {
        let mut half_of_one = progress(0, 1, 1 << 30, 2 << 30);
        half_of_one.workers = 1;
        assert!((share(&half_of_one) - 0.5).abs() < 0.01);
        assert!((share(&progress(25, 100, 0, 0)) - 0.25).abs() < 0.01);
    }

    #[test]
    fn a_sparse_file_comes_to_its_end() {
        let mut all_but_holes = progress(1, 1, 1 << 20, 1 << 30);
        assert!(share(&all_but_holes) < 0.01);
        all_but_holes.totals.bytes_in_holes = (1 << 30) - (1 << 20);
        assert!((share(&all_but_holes) - 1.0).abs() < 0.001);
        assert!(message(&all_but_holes, 0.0, None).starts_with("1.00 GiB of 1.00 GiB, "));
    }

    #[test]
    fn files_not_begun_are_taken_to_be_like_those_that_were() {
        let tenth = progress(10, 100, 100 << 20, 100 << 20);
        assert!((share(&tenth) - 0.1).abs() < 0.01, "{}", share(&tenth));
        assert_eq!(work(&Progress::default()), (0, 0));
    }

    #[test]
    fn the_message_says_what_is_known_only_as_far_as_it_is() {
        let mut progress = progress(1_000, 2_000, 1 << 20, 2 << 20);
        let walking = message(&progress, 1024.0, None);
        assert_eq!(walking, "1.00 MiB of 2.00 MiB, 1,000 of 2,000 entries found so far, 1.00 KiB/s");
        progress.walked = true;
        let walked = message(&progress, 1024.0, Some(Duration::from_secs(12)));
        assert_eq!(walked, "1.00 MiB of 2.00 MiB, 1,000 of 2,000 entries, 1.00 KiB/s, 12s left");
    }
}
