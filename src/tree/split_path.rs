//! Paths that the caller names.

use std::{
    ffi::CString,
    io,
    path::{Path, PathBuf, is_separator},
};

use crate::{
    error::{Failure, Op},
    platform::{self, Dir},
};

/// A path as the directory that holds it, and its name there.
pub(crate) struct SplitPath {
    /// Empty for the working directory, as the caller wrote it.
    pub(crate) directory: PathBuf,
    pub(crate) name: CString,
    /// What a copy of it is called by default.
    pub(crate) base: CString,
}

impl SplitPath {
    /// Split a path. One that ends in a separator, `.` or `..` names a directory, through links.
    pub(crate) fn of(path: &Path) -> Result<SplitPath, Failure> {
        let failed = |error| Failure::new(Op::Open, path, error);
        if path.as_os_str().is_empty() {
            // As every system call says of it; not the working directory.
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        let text = path.as_os_str().as_encoded_bytes();
        let is_separator = |byte: &u8| is_separator(char::from(*byte));
        let end = text.iter().rposition(|byte| !is_separator(byte)).map_or(0, |last| last + 1);
        let ends_in_separator = end < text.len();
        let last = text[..end].rsplit(is_separator).next().unwrap_or_default();
        let here = c".".to_owned();
        if matches!(last, b"" | b"." | b"..") {
            return Ok(SplitPath { directory: path.to_owned(), name: here.clone(), base: here });
        }
        let last = path.file_name().expect("a last component that is not `..` is a name");
        let base = platform::to_name(last).map_err(failed)?;
        if ends_in_separator {
            return Ok(SplitPath { directory: path.to_owned(), name: here, base });
        }
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(SplitPath { directory, name: base.clone(), base })
    }

    /// The same for a path that may not exist yet; a separator at its end leads through a link only
    /// to a directory that is there.
    pub(crate) fn of_target(path: &Path) -> Result<SplitPath, Failure> {
        let names_directory = ends_in_separator(path) || path.as_os_str().as_encoded_bytes().ends_with(b"/.");
        if names_directory && path.is_dir() {
            return SplitPath::of(path);
        }
        let trimmed: PathBuf = path.components().collect();
        SplitPath::of(&trimmed)
    }

    /// The file or directory that a link leads to, under the link's name.
    pub(crate) fn followed(self, path: &Path) -> Result<SplitPath, Failure> {
        if !path.is_symlink() {
            return Ok(self);
        }
        let leads_to = path.canonicalize().map_err(|error| Failure::new(Op::Open, path, error))?;
        Ok(SplitPath { base: self.base, ..SplitPath::of(&leads_to)? })
    }

    pub(crate) fn open(&self) -> Result<Dir, Failure> {
        let path = if self.directory.as_os_str().is_empty() { Path::new(".") } else { &self.directory };
        Dir::open(path).map_err(|error| Failure::new(Op::Open, path, error))
    }
}

pub(crate) fn ends_in_separator(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.last().is_some_and(|byte| is_separator(char::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_is_not_the_working_directory() {
        let failure = SplitPath::of(Path::new("")).err().unwrap();
        assert_eq!(failure.cause().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_path_is_split_as_cp_would() {
        for (path, directory, name, base) in [
            ("a", "", "a", "a"),
            ("x/a", "x", "a", "a"),
            ("/a", "/", "a", "a"),
            ("x/a/", "x/a/", ".", "a"),
            (".", ".", ".", "."),
            ("x/.", "x/.", ".", "."),
            ("..", "..", ".", "."),
            ("/", "/", ".", "."),
        ] {
            let named = SplitPath::of(Path::new(path)).unwrap();
            let got = (
                named.directory.to_str().unwrap(),
                named.name.to_str().unwrap(),
                named.base.to_str().unwrap(),
            );
            assert_eq!(got, (directory, name, base), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_are_split_alike() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let name = |path| SplitPath::of(Path::new(OsStr::from_bytes(path))).unwrap().name;
        assert_eq!(name(b"x/\xff"), c"\xff".to_owned());
        assert_eq!(name(b"x/\xff/."), c".".to_owned());
        assert_eq!(name(b"x/\xff//"), c".".to_owned());
    }
}
