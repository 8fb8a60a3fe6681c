//! What a run that died has left, where names alone say that files are whole.

use std::fs::File;

use super::Durability;
use crate::{
    entry::{Granularity, Kind, Meta},
    error::{During, Fault, Op, Sided},
    frames::{Coding, Content},
    options::Attributes,
    plan::looks_same,
    platform,
    refusal::Refusal,
    transfer::{CommonHoles, Watch, cancelled, read_full},
    tree::EntryRef,
    verify::{Verifier, if_whole},
};

/// What a copy holds of its source's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    All,
    /// Nothing but what the source has in the same place, and zeros: nothing is lost with it.
    Part,
    Other,
}

impl Durability {
    /// Whether a file that would be left alone, whatever it is, is one that a run which died has not finished.
    ///
    /// # Errors
    /// Where it may be, and has something that its source does not.
    pub(crate) fn is_left_unfinished(
        &self,
        verifier: &mut Verifier<'_>,
        at: EntryRef<'_>,
        [meta, as_kept, found]: [&Meta; 3],
        granularity: Granularity,
    ) -> Result<bool, Fault> {
        if found.kind != Kind::File || meta.kind != Kind::File {
            return Ok(false);
        }
        let is_same = looks_same(as_kept, found, granularity);
        let is_doubted = self.markers.distrusts(found.changed);
        if is_same && !is_doubted {
            return self.is_cut_off(verifier, at, meta, found);
        }
        if !is_doubted && !self.markers.may_be_unfinished(found.changed) {
            return Ok(false);
        }
        match self.holds(verifier, at, meta, found)? {
            // Its attributes come after its content, and its time after them.
            Holds::All => Ok(!is_same && self.setting.keeps(Attributes::TIMESTAMPS)),
            Holds::Part => Ok(true),
            // What was written lacks something at most, unless the power went or its source is another by now.
            Holds::Other if !is_doubted && !self.markers.may_be_unfinished(meta.changed) => Ok(false),
            Holds::Other => Err(Fault::refused(
                Op::Replace,
                "it changed after a run began that was cut off (its mark, .orbit-….run, is there), and may be \
                 what that one has left; copy it without --existing, or remove it",
            )),
        }
    }

    /// How much of its source's content a copy has.
    fn holds(
        &self,
        verifier: &mut Verifier<'_>,
        at: EntryRef<'_>,
        meta: &Meta,
        found: &Meta,
    ) -> Result<Holds, Fault> {
        let EntryRef { node, dirs, name } = at;
        let coding = self.setting.coding(name);
        if coding.is_none() && found.size > meta.size {
            return Ok(Holds::Other);
        }
        let source = dirs.source.open_source(name).during(Op::Open)?;
        let copy = dirs.target.open_source(&node.place.target_name(name, Kind::File)).during(Op::Replace)?;
        let ids = [&source, &copy].map(|file| platform::meta(file).map(|meta| meta.id));
        let [from, to] = ids;
        if from.during(Op::Stat)? != meta.id || to.during(Op::Replace)? != found.id {
            return Err(Fault::refused(Op::Copy, Refusal::Replaced));
        }
        if let Some(coding) = coding {
            return self.holds_coded(verifier, [&source, &copy], coding);
        }
        let mut holds = if found.size == meta.size { Holds::All } else { Holds::Part };
        let mut common = CommonHoles::default();
        let mut from = 0;
        while from < found.size {
            if verifier.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            from = common.pass([&source, &copy], from, found.size);
            if from == found.size {
                break;
            }
            let middle = verifier.scratch.buffer().len() / 2;
            let (one, other) = verifier.scratch.buffer().split_at_mut(middle);
            let most = middle.min(usize::try_from(found.size - from).unwrap_or(middle));
            let there = read_full(&copy, &mut other[..most], from).during(Op::Read)?;
            let read = read_full(&source, &mut one[..there], from).during(Op::Read)?;
            if one[..read] != other[..there] {
                let is_part = read == there
                    && one.iter().zip(&other[..there]).all(|(byte, there)| byte == there || *there == 0);
                holds = if is_part { Holds::Part } else { Holds::Other };
            }
            if there == 0 || holds == Holds::Other {
                break;
            }
            from += there as u64;
        }
        Ok(holds)
    }

    /// The same of a copy that is compressed, or was brought back from a frame.
    fn holds_coded(
        &self,
        verifier: &mut Verifier<'_>,
        [source, copy]: [&File; 2],
        coding: Coding,
    ) -> Result<Holds, Fault> {
        let mut source = Content::of(source, coding.source_codec()).during(Op::Read)?;
        let whole = Content::of(copy, coding.copy_codec());
        let Some(mut copy) = if_whole(whole).during(Op::Read).in_copy()? else { return Ok(Holds::Part) };
        let is_plain = coding.copy_codec().is_none();
        let mut holds = Holds::All;
        loop {
            if verifier.teller.is_cancelled() {
                return Err(Fault::new(Op::Copy, cancelled()));
            }
            let middle = verifier.scratch.buffer().len() / 2;
            let (one, other) = verifier.scratch.buffer().split_at_mut(middle);
            // What is cut off is an error behind all that is there.
            let read = if_whole(copy.read_some(&mut other[..middle]));
            let Some(there) = read.during(Op::Read).in_copy()? else { return Ok(Holds::Part) };
            let read = source.read_full(&mut one[..there.max(1)]).during(Op::Read)?;
            if there == 0 {
                // A frame that ends before its source does is that of something else.
                let shorter = if is_plain { Holds::Part } else { Holds::Other };
                return Ok(if read == 0 { holds } else { shorter });
            }
            if one[..read] == other[..there] {
                continue;
            }
            let mut bytes = one[..read].iter().zip(&other[..there]);
            let is_part =
                is_plain && read == there && bytes.all(|(byte, there)| byte == there || *there == 0);
            if !is_part {
                return Ok(Holds::Other);
            }
            holds = Holds::Part;
        }
    }
}
