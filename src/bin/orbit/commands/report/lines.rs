//! The lines of a log as they are read: objects, and what is none.

use std::io::{self, BufRead, Read};

use serde_json::Value;

/// A line of a log.
#[derive(Debug)]
pub(super) enum Line {
    /// What it should be.
    Object(Value),
    /// It is longer than any that is read.
    TooLong,
    /// It is something else.
    NotJson,
    /// The last one of the file, which has no end.
    Torn,
}

/// Reads a log line by line, with one line in memory.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The longest line that is read, in bytes.
    pub(super) const LONGEST: usize = 1 << 20;

    pub(super) fn new(input: R) -> Self {
        Lines { input, line: Vec::new() }
    }

    /// The next line, or none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        self.line.clear();
        // One more, for the line's end.
        let most = Self::LONGEST as u64 + 1;
        (&mut self.input).take(most).read_until(b'\n', &mut self.line)?;
        Ok(match self.line.last() {
            None => None,
            Some(b'\n') => Some(match serde_json::from_slice(&self.line) {
                Ok(object @ Value::Object(_)) => Line::Object(object),
                _ => Line::NotJson,
            }),
            Some(_) if self.line.len() > Self::LONGEST => {
                self.pass_over()?;
                Some(Line::TooLong)
            }
            Some(_) => Some(Line::Torn),
        })
    }

    /// Go to the end of a line without keeping it.
    fn pass_over(&mut self) -> io::Result<()> {
        self.input.skip_until(b'\n').map(drop)
    }
}
