//! Digests of content, and how they are made.

use std::{fmt, str::FromStr};

use sha2::Digest as _;

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestKind {
    /// SHA-256 (FIPS 180-4), by the processor's own instructions where it has them.
    Sha256,
    /// BLAKE3 with its default output of 32 bytes.
    Blake3,
}

impl DigestKind {
    /// The name, as options and reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DigestKind::Sha256 => "sha256",
            DigestKind::Blake3 => "blake3",
        }
    }
}

/// What a sequence of bytes comes to: 32 bytes, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NoDigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).ok_or(NoDigest);
            *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
        }
        Ok(Digest(bytes))
    }
}

/// A digest in the making.
#[derive(Clone, Debug)]
pub(crate) enum Hasher {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(crate) fn new(kind: DigestKind) -> Hasher {
        match kind {
            DigestKind::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            DigestKind::Blake3 => Hasher::Blake3(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(match self {
            Hasher::Sha256(hasher) => hasher.finalize().into(),
            Hasher::Blake3(hasher) => *hasher.finalize().as_bytes(),
        })
    }
}

/// The digest of a source in the making, from the bytes that pass through a buffer.
#[derive(Debug)]
pub(crate) struct PassingDigest {
    hasher: Hasher,
    at: u64,
}

const ZEROS: [u8; 4096] = [0; 4096];

impl PassingDigest {
    pub(crate) fn new(kind: DigestKind) -> PassingDigest {
        PassingDigest { hasher: Hasher::new(kind), at: 0 }
    }

    /// `bytes` passed, which lie at `at`; what does not follow on what passed before is of no use.
    pub(crate) fn saw(&mut self, at: u64, bytes: &[u8]) {
        if at == self.at {
            self.hasher.update(bytes);
            self.at += bytes.len() as u64;
        }
    }

    /// A hole was passed over.
    pub(crate) fn saw_hole(&mut self, at: u64, end: u64) {
        while at <= self.at && self.at < end {
            let length = (end - self.at).min(ZEROS.len() as u64);
            self.hasher.update(&ZEROS[..length as usize]);
            self.at += length;
        }
    }

    /// The digest, if all bytes up to `end` passed.
    pub(crate) fn finish(self, end: u64) -> Option<Digest> {
        (self.at == end).then(|| self.hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (kind, text, digest) in [
            (DigestKind::Sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (DigestKind::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (DigestKind::Blake3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        ] {
            let mut hasher = Hasher::new(kind);
            text.chars().for_each(|one| hasher.update(one.to_string().as_bytes()));
            let made = hasher.finish();
            assert_eq!(made.to_string(), digest, "{kind:?} of {text:?}");
            assert_eq!(digest.parse(), Ok(made));
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_uppercase().parse::<Digest>(), digest.parse());
        for text in ["", &digest[1..], &format!("{digest}0"), &digest.replace("e3", "g3"), &"é".repeat(32)] {
            assert_eq!(text.parse::<Digest>(), Err(NoDigest), "{text}");
        }
    }

    fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(DigestKind::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn what_passes_in_order_gives_the_digest_and_what_does_not_gives_none() {
        let mut passing = PassingDigest::new(DigestKind::Sha256);
        passing.saw(0, b"abc");
        passing.saw_hole(3, 10_003);
        passing.saw(10_003, b"def");
        let whole = [&b"abc"[..], &[0; 10_000], b"def"].concat();
        assert_eq!(passing.finish(10_006), Some(of(&whole)));
        for (moved_by_others, end) in [(0..3, 6), (3..6, 6)] {
            let mut passing = PassingDigest::new(DigestKind::Sha256);
            for (at, bytes) in [(0, b"abc"), (3, b"def")] {
                if !moved_by_others.contains(&at) {
                    passing.saw(at, bytes);
                }
            }
            assert_eq!(passing.finish(end), None);
        }
    }
}
