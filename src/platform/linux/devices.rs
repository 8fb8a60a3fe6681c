//! Who may make device nodes (mknod(2), capabilities(7), user_namespaces(7)).

use super::{privileges, said::said};
use crate::entry::{Kind, Meta};

/// Whether this process may make a device node like `source`, as far as that can be told beforehand.
pub(crate) fn may_make_device(source: &Meta) -> bool {
    // An overlay's mark of something deleted, which anybody may make.
    if source.kind == Kind::CharDevice && source.rdev == 0 {
        return true;
    }
    let [status, users] = ["/proc/self/status", "/proc/self/uid_map"].map(said);
    match (status, users) {
        (Ok(status), Ok(users)) => may_by(&status, &users),
        _ => privileges().gives_away,
    }
}

/// Whether who has this `status` may, in the namespace of `users`: the first one alone knows all users as
/// themselves.
fn may_by(status: &str, users: &str) -> bool {
    const CAP_MKNOD: u64 = 1 << 27; // linux/capability.h
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    let is_first = users.split_whitespace().eq(["0", "0", "4294967295"]);
    is_first && capabilities.is_some_and(|capabilities| capabilities & CAP_MKNOD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_of_the_first_namespace_is_what_it_takes() {
        const FIRST: &str = "         0          0 4294967295\n";
        let with = |digits: &str| format!("Name:\torbit\nCapEff:\t{digits}\nCapBnd:\t000001ffffffffff\n");
        assert!(may_by(&with("000001ffffffffff"), FIRST));
        assert!(!may_by(&with("000001fff7ffffff"), FIRST), "taken away");
        assert!(!may_by(&with("0000000000000000"), FIRST), "not root");
        assert!(!may_by(&with("000001ffffffffff"), "0 1000 1\n"), "root of a container");
    }
}
