//! Files that a manifest names.

use std::{collections::HashSet, ffi::CStr, io};

use super::{Reader, What, comparison::With, task::Listed, trail::Trail};
use crate::{
    digest::{Digest, Hasher},
    entry::Kind,
    error::{During, Fault, Op},
};

impl Reader {
    pub(super) fn listed(&mut self, listed: &Listed) {
        self.report.entries += 1;
        let what = match self.digest(listed) {
            Ok(found) if found == listed.digest => return,
            Ok(found) => What::Digest { expected: listed.digest, found },
            Err(fault) if fault.cause.kind() == io::ErrorKind::NotFound => What::Missing,
            Err(fault) => return self.failed(fault.in_copy().at(self.shared.job.copy.join(&listed.path))),
        };
        let difference = super::Difference { path: listed.path.clone(), what };
        self.found(super::Finding::Differs(difference));
    }

    fn digest(&mut self, listed: &Listed) -> Result<Digest, Fault> {
        let names = listed.names().during(Op::Open)?;
        let (name, above) = names.split_last().ok_or(Fault::new(Op::Open, io::ErrorKind::NotFound))?;
        let above: Vec<&CStr> = above.iter().map(|name| &**name).collect();
        let shared = self.shared.clone();
        let dir = shared.roots().copy.open_beneath(&above).during(Op::Open)?;
        if dir.stat(name).during(Op::Stat)?.kind != Kind::File {
            return Err(Fault::refused(Op::Open, "it is no regular file"));
        }
        let file = dir.open_source(name).during(Op::Open)?;
        let mut hasher = Hasher::new(listed.kind);
        let mut at = 0;
        while !shared.cancel.is_cancelled() {
            let buffer = &mut self.buffers[0];
            let read = crate::transfer::read_full(&file, buffer, at).during(Op::Read)?;
            hasher.update(&buffer[..read]);
            at += read as u64;
            self.report.bytes += read as u64;
            if read < buffer.len() {
                break;
            }
        }
        Ok(hasher.finish())
    }

    /// Look for files below a directory that the manifest does not name.
    pub(super) fn unlisted(&mut self, trail: &Trail) {
        let shared = self.shared.clone();
        let With::Manifest(_, lines) = &shared.job.with else { return };
        let named: HashSet<&std::path::Path> = lines.iter().map(|line| &*line.path).collect();
        let mut trails = vec![trail.clone()];
        while let Some(trail) = trails.pop() {
            if shared.cancel.is_cancelled() {
                return;
            }
            let listed = shared.roots().copy.open_beneath(&trail.names()).and_then(|dir| dir.open_dir(c"."));
            let listed = listed.during(Op::List).and_then(|dir| Ok((self.list(&dir)?, dir)));
            let (names, dir) = match listed {
                Ok(listed) => listed,
                Err(fault) => {
                    self.failed(fault.in_copy().at(self.copy_path(&trail, c"")));
                    continue;
                }
            };
            for (name, kind) in (0..names.len()).map(|index| names.get(index)) {
                match kind.map_or_else(|| dir.stat(name).map(|meta| meta.kind), Ok) {
                    Ok(Kind::Directory) => trails.push(trail.down(name)),
                    Ok(Kind::File) if !named.contains(&*trail.path(name)) => {
                        self.differs(&trail, name, What::Extra);
                    }
                    _ => {}
                }
            }
        }
    }
}
