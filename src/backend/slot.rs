//! Where the workers of an engine find its ring.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::Ring;

/// The ring of an engine, which lives while a worker holds it: an idle engine has none.
#[derive(Debug, Default)]
pub(crate) struct RingSlot(Mutex<Slot>);

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Taken(Weak<Ring>),
    Refused {
        why: String,
        at: Instant,
    },
}

impl RingSlot {
    /// How long a refusal stands: what was short then (memory, descriptors) may be there again.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// The ring, started if need be.
    ///
    /// # Errors
    /// Why there can be none.
    pub(crate) fn ring(&self) -> Result<Arc<Ring>, String> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Slot::Refused { why, at } if at.elapsed() < Self::PATIENCE => return Err(why.clone()),
            Slot::Taken(ring) => {
                if let Some(ring) = ring.upgrade() {
                    return Ok(ring);
                }
            }
            Slot::Refused { .. } | Slot::Empty => {}
        }
        match Ring::start() {
            Ok(ring) => {
                let ring = Arc::new(ring);
                *slot = Slot::Taken(Arc::downgrade(&ring));
                Ok(ring)
            }
            Err(why) => {
                *slot = Slot::Refused { why: why.clone(), at: Instant::now() };
                Err(why)
            }
        }
    }
}
