//! What a worker tells, and to whom: counts, records, failures and warnings.

mod found;
mod ledger;
mod meter;
mod notes;
mod record;
mod teller;

pub(crate) use found::Found;
pub(crate) use ledger::Ledger;
pub(crate) use notes::{CostSoFar, EntryNotes};
pub(crate) use record::{Effort, Outcomes, Record};
pub(crate) use teller::Teller;
