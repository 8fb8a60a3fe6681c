//! Rules that have no effect, which may be meant otherwise.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Choice;
use crate::{
    options::Delete,
    outcomes::Teller,
    report::WarningKind,
    select::{Rule, Rules},
};

/// Which rules have decided about any entry of this run.
#[derive(Debug)]
pub(super) struct RulesUsed(Box<[AtomicBool]>);

impl RulesUsed {
    pub(super) fn of(rules: &Rules) -> RulesUsed {
        RulesUsed(rules.all().iter().map(|_| AtomicBool::new(false)).collect())
    }

    pub(super) fn note(&self, rule: usize) {
        // Looked at first: most have been noted before, and writing would take the line from other workers.
        if !self.0[rule].load(Ordering::Relaxed) {
            self.0[rule].store(true, Ordering::Relaxed);
        }
    }

    fn has(&self, rule: usize) -> bool {
        self.0[rule].load(Ordering::Relaxed)
    }
}

impl Choice {
    /// All sources are done with: tell of rules that had no effect.
    pub(crate) fn warn_of_rules(&self, teller: &mut Teller) {
        let rules = self.setting.job.selection.rules.all();
        if self.setting.cancel.is_cancelled() || self.setting.job.mirror.delete == Delete::Only {
            return;
        }
        let last_exclude = rules.iter().rposition(|rule| matches!(rule, Rule::Exclude(_)));
        for (index, rule) in rules.iter().enumerate() {
            let warned = match rule {
                Rule::Include(_) if last_exclude.is_none_or(|last| last < index) => {
                    let why = "what no rule excludes is copied in any case, and no rule behind this one excludes \
                               anything: for nothing else to be copied, add --exclude '*' behind it";
                    Some((WarningKind::Include, why))
                }
                _ if self.rules_used.has(index) => None,
                _ => Some((WarningKind::Rule, "it decided about nothing that was looked at")),
            };
            if let Some((warning, why)) = warned {
                teller.warn_of(warning, || rule.pattern().into(), why);
            }
        }
    }
}
