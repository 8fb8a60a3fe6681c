//! What the destination's filesystem makes of times.

use std::io;

use crate::{
    entry::{Granularity, Kind, Meta, Stamp},
    platform::{self, Dir, Handle},
    setting::Setting,
    tree::{DirNode, Dirs, Staged},
};

/// The times that every filesystem but FAT can hold, in seconds: those of 32 bits.
const COMMON_SECS: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
/// When the times of FAT begin, in seconds: 1980, but for the hours of its time zone.
const FAT_SECS: i64 = 315_619_200;

/// Whether the copy's filesystem may be unable to hold this time, and keep the nearest that it can.
pub(crate) fn may_clamp(node: &DirNode, time: Stamp) -> bool {
    let is_before_fat = time.secs < FAT_SECS && !platform::keeps_change_times(node.pair.names[1].as_deref());
    !COMMON_SECS.contains(&time.secs) || is_before_fat
}

/// The step of the destination's times, asked for only when it could explain a difference.
pub(crate) fn granularity(
    setting: &Setting,
    node: &DirNode,
    dirs: &Dirs,
    meta: &Meta,
    found: &Meta,
) -> Granularity {
    let could_explain = (meta.size == found.size || meta.kind != Kind::File)
        && meta.modified != found.modified
        && (meta.modified.secs - found.modified.secs).abs() <= 2;
    if !could_explain {
        return Granularity::Nanos(1);
    }
    if setting.is_dry() {
        // Without touching anything, a time that nobody can set has to tell.
        let is_whole = found.changed.nanos == 0;
        return if is_whole { Granularity::Seconds(2) } else { Granularity::Nanos(1) };
    }
    *node.pair.granularity.get_or_init(|| {
        let set = Stamp { secs: 1_600_000_001, nanos: 123_456_789 };
        stored(setting, &dirs.target, set).map_or(Granularity::Nanos(1), |got| Granularity::learned(set, got))
    })
}

/// The source's metadata with the time that the destination would keep, where that may be another
/// and explain a difference.
pub(crate) fn as_kept(setting: &Setting, node: &DirNode, dirs: &Dirs, meta: &Meta, found: &Meta) -> Meta {
    let could_explain = may_clamp(node, meta.modified)
        && meta.size == found.size
        && meta.modified.secs != found.modified.secs;
    let kept = if could_explain && !setting.is_dry() {
        stored(setting, &dirs.target, meta.modified).ok()
    } else {
        None
    };
    Meta { modified: kept.unwrap_or(meta.modified), ..*meta }
}

/// Set a time on a temporary and read it back.
fn stored(setting: &Setting, dir: &Dir, set: Stamp) -> io::Result<Stamp> {
    let probe = Staged::unnamed(dir, 0o600, &setting.temporaries)?;
    let file = Handle::Open(&probe.file);
    let got = file.set_times(set, set).and_then(|()| file.meta());
    probe.discard(dir, c"")?;
    Ok(got?.modified)
}
