//! Sources of one base name.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use super::SplitPath;

/// Sources of one base name, which are copied one after the other: the first one's entries stay.
#[derive(Debug, Default)]
pub(crate) struct Namesakes(HashMap<usize, usize>);

impl Namesakes {
    /// Those among `sources` that all go into one directory.
    pub(crate) fn among(sources: &[PathBuf]) -> Namesakes {
        let mut last = HashMap::new();
        let bases = sources.iter().map(|path| SplitPath::of(path).ok().map(|named| named.base));
        let chain = bases.enumerate().filter_map(|(index, base)| Some((last.insert(base?, index)?, index)));
        Namesakes(chain.collect())
    }

    /// The source to begin when that of number `index` is done.
    pub(crate) fn after(&self, index: usize) -> Option<usize> {
        self.0.get(&index).copied()
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The sources that wait for no other.
    pub(crate) fn leaders(&self, count: usize) -> impl DoubleEndedIterator<Item = usize> {
        let followers: HashSet<usize> = self.0.values().copied().collect();
        (0..count).filter(move |index| !followers.contains(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_base_name_form_a_chain() {
        let sources = ["a/x", "y", "b/x", "c/x/", ""].map(PathBuf::from);
        let namesakes = Namesakes::among(&sources);
        assert_eq!(
            (0..5).map(|index| namesakes.after(index)).collect::<Vec<_>>(),
            [Some(2), None, Some(3), None, None]
        );
        assert_eq!(namesakes.leaders(5).collect::<Vec<_>>(), [0, 1, 4]);
    }
}
