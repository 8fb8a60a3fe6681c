//! What the rooms below take of a worker.

use super::Copier;
use crate::{
    copy::Unit,
    entry::{Granularity, Meta},
    error::Fault,
    fidelity::Fidelity,
    fill::Filler,
    large::Ranger,
    mirror::Deleter,
    naming::{Naming, TargetDirs},
    resume::EarlierRuns,
    tree::{EntryRef, Speller},
    verify::Verifier,
};

impl Copier {
    /// To find and delete what only the copy has.
    pub(super) fn deleter(&mut self) -> Deleter<'_> {
        Deleter {
            setting: &self.setting,
            choice: &self.run.choice,
            extraneous: &self.run.extraneous,
            space: &self.run.space,
            teller: &mut self.teller,
            listing: &mut self.tools.listing,
        }
    }

    /// To compare names as the copy's filesystem does.
    pub(super) fn speller(&mut self) -> Speller<'_> {
        Speller {
            cancel: &self.setting.cancel,
            temporaries: &self.setting.temporaries,
            is_dry: self.setting.is_dry(),
            listing: &mut self.tools.listing,
        }
    }

    /// To give copies the attributes of their sources.
    #[inline]
    pub(super) fn fidelity(&mut self) -> Fidelity<'_> {
        Fidelity {
            setting: &self.setting,
            learned: &self.run.fidelity,
            shared: &self.run.tree.shared,
            markers: &self.run.durability.markers,
            space: &self.run.space,
            teller: &mut self.teller,
            buffers: &mut self.tools.attributes,
        }
    }

    /// To give entries of the copy their names.
    pub(super) fn naming(&self) -> Naming<'_> {
        Naming {
            setting: &self.setting,
            namesakes: &self.run.tree.namesakes,
            markers: &self.run.durability.markers,
        }
    }

    /// To put the content of files in place.
    pub(super) fn filler(&mut self) -> Filler<'_> {
        Filler {
            setting: &self.setting,
            space: &self.run.space,
            teller: &mut self.teller,
            scratch: &mut self.tools.scratch,
            encoders: &mut self.tools.encoders,
        }
    }

    /// To copy ranges of large files.
    pub(super) fn ranger(&mut self) -> Ranger<'_, Unit> {
        Ranger {
            setting: &self.setting,
            shared: &self.run.large,
            resume: &self.run.resume,
            space: &self.run.space,
            hands: &mut self.hands,
            teller: &mut self.teller,
            scratch: &mut self.tools.scratch,
            encoders: &mut self.tools.encoders,
            ring: &mut self.tools.ring,
        }
    }

    /// To look for what earlier runs have left.
    pub(super) fn earlier_runs(&mut self) -> EarlierRuns<'_> {
        EarlierRuns {
            setting: &self.setting,
            swept: &self.run.tree.swept,
            extraneous: &self.run.extraneous,
            space: &self.run.space,
            durability: &self.run.durability,
            resume: &self.run.resume,
            teller: &mut self.teller,
            listing: &mut self.tools.listing,
        }
    }

    /// To open and make directories of the copy.
    pub(super) fn target_dirs(&mut self) -> TargetDirs<'_> {
        TargetDirs {
            setting: &self.setting,
            merges: self.run.tree.made_within.is_some(),
            listing: &mut self.tools.listing,
        }
    }

    /// To read files and see what they hold.
    pub(super) fn verifier(&mut self) -> Verifier<'_> {
        Verifier::new(&self.setting, &mut self.teller, &mut self.tools.scratch)
    }

    /// Whether a copy that looks like its source lacks some of its content.
    pub(super) fn is_cut_off(&mut self, at: EntryRef<'_>, meta: &Meta, found: &Meta) -> Result<bool, Fault> {
        let verifier = &mut Verifier::new(&self.setting, &mut self.teller, &mut self.tools.scratch);
        self.run.durability.is_cut_off(verifier, at, meta, found)
    }

    /// Whether a file that would be left alone, whatever it is, is one that a run which died has not finished.
    ///
    /// # Errors
    /// Where it may be, and has something that its source does not.
    pub(super) fn is_left_unfinished(
        &mut self,
        at: EntryRef<'_>,
        [meta, as_kept, found]: [&Meta; 3],
        granularity: Granularity,
    ) -> Result<bool, Fault> {
        let verifier = &mut Verifier::new(&self.setting, &mut self.teller, &mut self.tools.scratch);
        self.run.durability.is_left_unfinished(verifier, at, [meta, as_kept, found], granularity)
    }
}
