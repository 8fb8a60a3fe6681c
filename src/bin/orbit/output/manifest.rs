//! The manifest that a copy writes.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use orbit::{CopyJob, Digest, ManifestLine};

use crate::{
    output::{log::copies, text::quoted},
    system,
};

/// A manifest in the making: its lines wait in a file without a name, on its own filesystem, until the copy is
/// over.
pub(crate) struct Manifest {
    path: PathBuf,
    root: PathBuf,
    /// The extension of files that are compressed, which what is digested does not have.
    extension: &'static str,
    lines: BufWriter<File>,
    place: Place,
    /// Whether a copied file has the manifest's own path.
    is_taken: bool,
    /// Why it will not be.
    failure: Option<io::Error>,
}

/// Where a manifest goes.
enum Place {
    /// A file, in one step.
    File(PathBuf),
    /// What is no file, such as a pipe.
    Opened(File),
}

impl Manifest {
    /// Begin the manifest `path` of the copy that `job` makes.
    ///
    /// # Errors
    /// Where it could not be put there.
    pub(crate) fn begin(path: &Path, job: &CopyJob, extension: &'static str) -> anyhow::Result<Manifest> {
        let (place, lines) =
            begun(path, job).with_context(|| format!("cannot write the manifest {}", quoted(path)))?;
        let (path, root) = (path.to_owned(), job.target().path().to_owned());
        let lines = BufWriter::new(lines);
        Ok(Manifest { path, root, extension, lines, place, is_taken: false, failure: None })
    }

    /// Note a file of the copy.
    pub(crate) fn add(&mut self, path: &Path, digest: Digest) {
        if self.failure.is_some() {
            return;
        }
        self.is_taken |= path == self.path;
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let below = match path.file_name() {
            Some(name) if below.as_os_str().is_empty() => Path::new(name), // a file that was copied alone
            _ => below,
        };
        let line = ManifestLine { digest, path: self.uncompressed(below) };
        self.failure = line.write(&mut self.lines).err();
    }

    /// A path of the copy with the source's name.
    fn uncompressed(&self, path: &Path) -> PathBuf {
        match path.extension() {
            Some(extension) if extension == self.extension => path.with_extension(""),
            _ => path.to_owned(),
        }
    }

    /// Put it in its place, in one step where that is a file.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let path = self.path;
        if self.is_taken {
            bail!("no manifest written: {} is a file of the copy", quoted(&path));
        }
        let written = move || -> io::Result<()> {
            if let Some(failure) = self.failure {
                return Err(failure);
            }
            let mut lines = self.lines.into_inner().map_err(io::IntoInnerError::into_error)?;
            lines.rewind()?;
            match self.place {
                Place::Opened(mut opened) => io::copy(&mut lines, &mut opened).map(drop),
                Place::File(path) => {
                    let mut builder = tempfile::Builder::new();
                    let mut file = system::for_everybody(&mut builder).tempfile_in(directory(&path))?;
                    io::copy(&mut lines, &mut file)?;
                    file.flush()?;
                    Ok(file.persist(path).map(drop)?)
                }
            }
        };
        written().with_context(|| format!("cannot write the manifest {}", quoted(&path)))
    }
}

/// Where a manifest goes, and a file without a name for its lines: beside it, so that there is room for them.
fn begun(path: &Path, job: &CopyJob) -> io::Result<(Place, File)> {
    // Through links, such as /dev/stdout: what they lead to is written.
    let real = match fs::canonicalize(path) {
        Ok(path) => Some(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) if path.is_symlink() && !path.exists() => {
            return Err(io::Error::other("it is a symbolic link to nothing"));
        }
        Err(_) => None,
    };
    // What is there and has no path, as a pipe behind /dev/stdout, can only be opened.
    let is_open_already = real.is_none() && path.exists();
    let path = real.unwrap_or_else(|| path.to_owned());
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if is_open_already || !found.is_file() => {
            let opened = OpenOptions::new().write(true).open(&path)?;
            let room = env::temp_dir();
            let waits = |error: io::Error| {
                let why = format!("its lines cannot wait in {} (TMPDIR): {error}", quoted(&room));
                io::Error::new(error.kind(), why)
            };
            return Ok((Place::Opened(opened), tempfile::tempfile_in(&room).map_err(waits)?));
        }
        _ => {}
    }
    let above = directory(&path);
    let is_made_later = !above.exists() && copies(job).iter().any(|copy| above.starts_with(copy));
    let beside = match is_made_later {
        true => above.ancestors().map(or_here).find(|above| above.is_dir()),
        false => None,
    };
    let lines = tempfile::tempfile_in(beside.unwrap_or(above))?;
    Ok((Place::File(path), lines))
}

/// The directory that holds, or is to hold, `path`.
fn directory(path: &Path) -> &Path {
    or_here(path.parent().unwrap_or(path))
}

/// A directory as it can be opened.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
