//! Whether files are compressed on their way, or brought back.

use clap::Args;
use orbit::{Compression, CopyJob};

/// Whether files are compressed on their way, or brought back.
#[derive(Debug, Args)]
pub(crate) struct CompressArgs {
    /// Compress each file into a frame of its own, NAME.zst or NAME.lz4, as the programs zstd and lz4 do;
    /// without HOW by zstd. HOW is zstd, zstd:LEVEL (1 to 22) or lz4
    #[arg(
        long, value_name = "HOW", value_parser = how, num_args = 0..=1, require_equals = true,
        default_missing_value = "zstd", conflicts_with_all = ["decompress", "resume", "zero_copy"]
    )]
    compress: Option<Compression>,
    /// Bring files named NAME.zst or NAME.lz4 back as NAME; others are copied as they are
    #[arg(long, conflicts_with_all = ["resume", "zero_copy"])]
    decompress: bool,
}

impl CompressArgs {
    /// The option that was given, if the bytes change on their way.
    pub(crate) fn given(&self) -> Option<&'static str> {
        match (self.compress, self.decompress) {
            (Some(_), _) => Some("--compress"),
            (None, true) => Some("--decompress"),
            (None, false) => None,
        }
    }

    /// The extension that files get; empty for none.
    pub(crate) fn extension(&self) -> &'static str {
        match self.compress {
            Some(Compression::Zstd { .. }) => "zst",
            Some(Compression::Lz4) => "lz4",
            _ => "",
        }
    }

    pub(crate) fn apply(&self, job: CopyJob) -> CopyJob {
        job.compression(match self.compress {
            Some(compression) => compression,
            None if self.decompress => Compression::Decompress,
            None => Compression::None,
        })
    }
}

pub(super) fn how(text: &str) -> Result<Compression, String> {
    match text.split_once(':').map_or((text, None), |(codec, level)| (codec, Some(level))) {
        ("zstd", None) => Ok(Compression::Zstd { level: Compression::ZSTD_LEVEL }),
        ("zstd", Some(level)) => match level.parse() {
            Ok(level @ 1..=22) => Ok(Compression::Zstd { level }),
            _ => Err("the level of zstd is a number from 1 to 22".to_owned()),
        },
        ("lz4", None) => Ok(Compression::Lz4),
        ("lz4", Some(_)) => Err("lz4 has no levels here".to_owned()),
        _ => Err("it is zstd, zstd:LEVEL or lz4".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_compress_are_read_and_others_refused() {
        assert_eq!(how("zstd"), Ok(Compression::Zstd { level: 3 }));
        assert_eq!(how("zstd:19"), Ok(Compression::Zstd { level: 19 }));
        assert_eq!(how("lz4"), Ok(Compression::Lz4));
        for wrong in ["", "gzip", "zstd:", "zstd:0", "zstd:23", "zstd:x", "lz4:1"] {
            assert!(how(wrong).is_err(), "{wrong}");
        }
    }
}
