//! The terminal that progress is drawn on, which may go away meanwhile.

use std::io;

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

/// How often a second it is drawn at most.
const RATE: u8 = 20;

/// Where progress is drawn: on standard error, where that is a terminal.
pub(crate) fn target() -> ProgressDrawTarget {
    let term = Term::buffered_stderr();
    match term.is_term() {
        true => ProgressDrawTarget::term_like_with_hz(Box::new(Screen(term)), RATE),
        false => ProgressDrawTarget::hidden(),
    }
}

/// A terminal on which nothing fails.
///
/// The window may be closed, or the connection lost, while the copy goes on (`nohup`, `disown`): then every
/// write fails, and `indicatif` would panic.
#[derive(Debug)]
struct Screen(Term);

/// Done, or not to be done any more.
fn as_far_as_it_goes(_: io::Result<()>) -> io::Result<()> {
    Ok(())
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        as_far_as_it_goes(self.0.move_cursor_up(lines))
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        as_far_as_it_goes(self.0.move_cursor_down(lines))
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        as_far_as_it_goes(self.0.move_cursor_right(columns))
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        as_far_as_it_goes(self.0.move_cursor_left(columns))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        as_far_as_it_goes(self.0.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        as_far_as_it_goes(self.0.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        as_far_as_it_goes(self.0.clear_line())
    }

    fn flush(&self) -> io::Result<()> {
        as_far_as_it_goes(self.0.flush())
    }
}
