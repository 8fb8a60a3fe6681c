//! Zeros, which a hole reads as.

use std::fs::File;

use super::Verifier;
use crate::{
    error::{During, Fault, Op},
    platform,
    transfer::{Watch, cancelled},
};

impl Verifier<'_> {
    /// Whether a range of a file holds nothing but zeros.
    pub(crate) fn is_zero(&mut self, file: &File, mut from: u64, end: u64) -> Result<bool, Fault> {
        while let Some((data, hole)) = platform::next_data(file, from, end).during(Op::Read)? {
            from = data;
            while from < hole {
                if self.teller.is_cancelled() {
                    return Err(Fault::new(Op::Copy, cancelled()));
                }
                let buffer = self.scratch.buffer();
                let most = buffer.len().min(usize::try_from(hole - from).unwrap_or(usize::MAX));
                let read = platform::read_at(file, &mut buffer[..most], from).during(Op::Read)?;
                if buffer[..read].iter().any(|byte| *byte != 0) {
                    return Ok(false);
                }
                if read == 0 {
                    return Ok(true); // it ends here
                }
                from += read as u64;
            }
        }
        Ok(true)
    }
}
