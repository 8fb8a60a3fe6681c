//! The manifest that a copy writes.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use orbit::{Digest, ManifestLine};

use super::{output::quoted, system};

/// A manifest in the making: its lines wait in a file without a name until the copy is over.
pub(crate) struct Manifest {
    path: PathBuf,
    root: PathBuf,
    /// The extension of files that are compressed, which what is digested does not have.
    extension: &'static str,
    lines: BufWriter<File>,
    /// Whether a copied file has the manifest's own path.
    is_taken: bool,
}

impl Manifest {
    /// Begin the manifest `path` of the copy at, or in, `root`.
    pub(crate) fn begin(path: &Path, root: &Path, extension: &'static str) -> anyhow::Result<Manifest> {
        let lines = tempfile::tempfile().context("cannot make room for the manifest")?;
        let (path, root) = (path.to_owned(), root.to_owned());
        Ok(Manifest { path, root, extension, lines: BufWriter::new(lines), is_taken: false })
    }

    /// Note a file of the copy.
    pub(crate) fn add(&mut self, path: &Path, digest: Digest) -> anyhow::Result<()> {
        self.is_taken |= path == self.path;
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let below = match path.file_name() {
            Some(name) if below.as_os_str().is_empty() => Path::new(name), // a file that was copied alone
            _ => below,
        };
        let line = ManifestLine { digest, path: self.uncompressed(below) };
        line.write(&mut self.lines).context("cannot note a digest for the manifest")
    }

    /// A path of the copy with the source's name.
    fn uncompressed(&self, path: &Path) -> PathBuf {
        match path.extension() {
            Some(extension) if extension == self.extension => path.with_extension(""),
            _ => path.to_owned(),
        }
    }

    /// Put it in its place, in one step.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let path = self.path;
        if self.is_taken {
            bail!("no manifest written: {} is a file of the copy", quoted(&path));
        }
        let written = move |path: &Path| -> io::Result<()> {
            let mut lines = self.lines.into_inner().map_err(io::IntoInnerError::into_error)?;
            lines.rewind()?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let mut builder = tempfile::Builder::new();
            let mut file =
                system::for_everybody(&mut builder).tempfile_in(directory.unwrap_or(Path::new(".")))?;
            io::copy(&mut lines, &mut file)?;
            file.flush()?;
            file.persist(path)?;
            Ok(())
        };
        written(&path).with_context(|| format!("cannot write the manifest {}", quoted(&path)))
    }
}
