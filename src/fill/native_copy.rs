//! Files that the system creates as whole copies of others, content, mode and attributes at once.

use std::fs::File;

use super::Filler;
use crate::{
    entry::{Kind, Meta},
    error::{Fault, Op},
    method::Method,
    options::Attributes,
    plan::{LARGE_MIN, Ladder},
    platform::{self, Verdict},
    transfer::{Watch, cancelled},
    tree::{EntryRef, Publish, Staged},
};

impl Filler<'_> {
    /// Let the system create the copy of a file as a whole, where the ladder has the method by which
    /// it can; `None` when the file has to be created and filled instead.
    pub(crate) fn copy_natively(
        &mut self,
        at: EntryRef<'_>,
        source: &File,
        meta: &Meta,
        publish: Publish,
        ladder: &Ladder,
    ) -> Result<Option<Staged>, Fault> {
        let EntryRef { node, dirs, name } = at;
        // Such a copy brings attributes along, which only somebody who wants them all may have.
        let brings = Attributes::MODE | Attributes::XATTR;
        let method = platform::WHOLE_COPY
            .filter(|method| ladder.methods().any(|step| step == *method))
            .filter(|_| meta.size > 0 && self.setting.keeps(brings));
        let Some(method) = method else { return Ok(None) };
        if meta.size >= LARGE_MIN {
            self.teller.announce(&node.place, name);
        }
        self.teller.take_moved();
        let mut told = 0;
        let teller = &mut *self.teller;
        let mut moved = |bytes: u64| {
            teller.advanced(method, bytes.saturating_sub(told));
            told = told.max(bytes);
            !teller.is_cancelled()
        };
        let target_name = &*node.place.target_name(name, Kind::File);
        let made = Staged::adopt(&dirs.target, target_name, publish, &self.setting.temporaries, |name| {
            dirs.target.create_copy(name, source, &mut moved)
        });
        match made {
            Ok(staged) => {
                // Not every system tells how far it has come, nor that it has come to the end.
                let size = platform::meta(&staged.file).map_or(meta.size, |copy| copy.size);
                self.teller.advanced(method, size.saturating_sub(told));
                Ok(Some(staged))
            }
            Err(_) if self.teller.is_cancelled() => Err(Fault::new(Op::Copy, cancelled())),
            Err(error) => {
                let verdict = match method {
                    Method::Reflink => platform::verdict_on_clone(&error),
                    _ => platform::verdict_on_copy(&error),
                };
                match verdict {
                    Verdict::Fatal => return Err(Fault::new(Op::Copy, error)),
                    Verdict::NeverHere => node.pair.refuse(method, error.raw_os_error()),
                    // Creating it the other way says better why it cannot be created.
                    Verdict::NotThisFile | Verdict::Again => {}
                }
                Ok(None)
            }
        }
    }
}
