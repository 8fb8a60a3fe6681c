//! Where the workers of an engine find its ring.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Ring;

/// The ring of an engine, which lives while a worker holds it: an idle engine has none.
#[derive(Debug, Default)]
pub(crate) struct RingSlot(Mutex<Slot>);

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Taken(Weak<Ring>),
    /// It was refused, and is not asked for again.
    Refused(String),
}

impl RingSlot {
    /// The ring, started if need be.
    ///
    /// # Errors
    /// Why there can be none.
    pub(crate) fn ring(&self) -> Result<Arc<Ring>, String> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Slot::Refused(why) => return Err(why.clone()),
            Slot::Taken(ring) => {
                if let Some(ring) = ring.upgrade() {
                    return Ok(ring);
                }
            }
            Slot::Empty => {}
        }
        match Ring::start() {
            Ok(ring) => {
                let ring = Arc::new(ring);
                *slot = Slot::Taken(Arc::downgrade(&ring));
                Ok(ring)
            }
            Err(why) => {
                *slot = Slot::Refused(why.clone());
                Err(why)
            }
        }
    }
}
