//! Manifests: a line for each file with its digest, as `sha256sum` and `b3sum` write and check them.
//!
//! The format is that of GNU coreutils (coreutils manual, "md5sum invocation"): digest, two spaces (or a
//! space and an asterisk), name. Where the name holds a backslash, a line feed or a carriage return,
//! these are written `\\`, `\n` and `\r`, and the line begins with a backslash.

use std::{
    io::{self, BufRead, Read, Write},
    path::{Component, Path, PathBuf},
};

use crate::{
    digest::{Digest, DigestKind},
    platform,
};

/// One line of a manifest: a file and the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestLine {
    /// The digest that is expected.
    pub digest: Digest,
    /// The file, relative to where the manifest is for; never absolute, and never above that.
    pub path: PathBuf,
}

/// Why a line of a manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLine {
    /// It is not a digest, two separators and a name.
    #[error("it is not a digest, two spaces and a name")]
    Malformed,
    /// Its name holds a backslash that begins no known escape.
    #[error("its name has an escape other than \\\\, \\n and \\r")]
    Escape,
    /// Its name is absolute, or leads out of the tree that it is for.
    #[error("its name leads out of the tree")]
    Outside,
    /// It is longer than any that is written.
    #[error("it is longer than 1 MiB")]
    TooLong,
}

/// The longest line that is read, in bytes; a reader never holds more.
const LINE_MAX: u64 = 1 << 20;

impl ManifestLine {
    /// Write the line, with its line feed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        // With slashes between them, whatever this system has there.
        let parts: Vec<&[u8]> = self.path.iter().map(|part| part.as_encoded_bytes()).collect();
        let name = parts.join(&b'/');
        let is_special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\r');
        let mut line = Vec::with_capacity(name.len() + 72);
        if name.iter().any(is_special) {
            line.push(b'\\');
        }
        write!(line, "{}  ", self.digest)?;
        for byte in &name {
            match byte {
                b'\\' => line.extend(br"\\"),
                b'\n' => line.extend(br"\n"),
                b'\r' => line.extend(br"\r"),
                other => line.push(*other),
            }
        }
        line.push(b'\n');
        to.write_all(&line)
    }

    /// Read a line, without its line feed.
    ///
    /// # Errors
    /// Where it cannot be used.
    pub fn parse(line: &[u8]) -> Result<ManifestLine, BadLine> {
        let (is_escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (digest, rest) = line.split_at_checked(64).ok_or(BadLine::Malformed)?;
        let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"));
        let name = name.filter(|name| !name.is_empty()).ok_or(BadLine::Malformed)?;
        let digest = std::str::from_utf8(digest).ok().and_then(|text| text.parse().ok());
        let digest = digest.ok_or(BadLine::Malformed)?;
        let name = if is_escaped { unescaped(name)? } else { name.to_vec() };
        if name.contains(&0) {
            return Err(BadLine::Malformed);
        }
        let path = platform::path_of_bytes(name).ok_or(BadLine::Malformed)?;
        if !stays_below(&path) {
            return Err(BadLine::Outside);
        }
        Ok(ManifestLine { digest, path })
    }
}

/// Read a manifest line by line; lines that are empty are passed over.
///
/// # Errors
/// The iterator gives errors of the reader as such, and what is wrong with a line with its number.
pub fn read_manifest(
    mut from: impl BufRead,
) -> impl Iterator<Item = io::Result<Result<ManifestLine, (u64, BadLine)>>> {
    let mut number = 0;
    let mut line = Vec::new();
    std::iter::from_fn(move || {
        loop {
            line.clear();
            match from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
                Err(error) => return Some(Err(error)),
                Ok(0) => return None,
                Ok(_) => number += 1,
            }
            if line.pop_if(|last| *last == b'\n').is_none() && line.len() as u64 == LINE_MAX {
                return match skip_line(&mut from) {
                    Ok(()) => Some(Ok(Err((number, BadLine::TooLong)))),
                    Err(error) => Some(Err(error)),
                };
            }
            if !line.is_empty() {
                return Some(Ok(ManifestLine::parse(&line).map_err(|bad| (number, bad))));
            }
        }
    })
}

/// The digest that a manifest of this file name is likely made of; SHA-256 unless it names BLAKE3.
#[must_use]
pub fn manifest_kind(path: &Path) -> DigestKind {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if name.contains("b3") || name.contains("blake3") { DigestKind::Blake3 } else { DigestKind::Sha256 }
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let there = from.fill_buf()?;
        let end = there.iter().position(|byte| *byte == b'\n');
        let is_end = end.is_some() || there.is_empty();
        let passed = end.map_or(there.len(), |at| at + 1);
        from.consume(passed);
        if is_end {
            return Ok(());
        }
    }
}

fn unescaped(name: &[u8]) -> Result<Vec<u8>, BadLine> {
    let mut bytes = name.iter();
    let mut plain = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'\\') => b'\\',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => return Err(BadLine::Escape),
            },
            other => *other,
        });
    }
    Ok(plain)
}

/// Whether a path leads to something below where it begins, by its text alone.
pub(crate) fn stays_below(path: &Path) -> bool {
    let mut parts = path.components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn line(path: &str) -> ManifestLine {
        ManifestLine { digest: DIGEST.parse().unwrap(), path: path.into() }
    }

    #[test]
    fn names_come_back_as_they_were() {
        let names = ["a", "a b", " a", "*a", "a\\b", "a\nb", "\r", "\\n", "d/e/f", "é", "a\\\n\r\\"];
        let is_name = |name: &&str| !name.contains('\\') || !std::path::is_separator('\\');
        for path in names.into_iter().filter(is_name) {
            let mut written = Vec::new();
            line(path).write(&mut written).unwrap();
            assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1, "{path:?}");
            let read: Vec<_> = read_manifest(&written[..]).collect();
            assert!(matches!(&read[..], [Ok(Ok(one))] if *one == line(path)), "{path:?}: {read:?}");
        }
    }

    #[test]
    fn what_coreutils_writes_is_read() {
        for text in [format!("{DIGEST}  a"), format!("{DIGEST} *a"), format!("{}  a", DIGEST.to_uppercase())]
        {
            assert_eq!(ManifestLine::parse(text.as_bytes()), Ok(line("a")), "{text}");
        }
    }

    #[test]
    fn bad_lines_say_what_is_wrong_and_the_rest_is_read() {
        let long = "x".repeat(3 << 20);
        let text = format!(
            "{DIGEST} a\n{DIGEST}\n{DIGEST}  \n\\{DIGEST}  a\\tb\n{DIGEST}  /etc/passwd\n{DIGEST}  a/../../b\n{long}\n\n{DIGEST}  good"
        );
        let read: Vec<_> = read_manifest(text.as_bytes()).map(Result::unwrap).collect();
        let bad = |number, why| Err((number, why));
        assert_eq!(
            read,
            [
                bad(1, BadLine::Malformed),
                bad(2, BadLine::Malformed),
                bad(3, BadLine::Malformed),
                bad(4, BadLine::Escape),
                bad(5, BadLine::Outside),
                bad(6, BadLine::Outside),
                bad(7, BadLine::TooLong),
                Ok(line("good")),
            ]
        );
    }
}
