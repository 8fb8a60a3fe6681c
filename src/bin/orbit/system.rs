//! Limits of the process and locks on its files, which only the command may change.

use std::time::Duration;

use orbit::{Engine, EngineBuilder};

pub(crate) use imp::{claim, for_everybody, prepare};

/// An engine that has the process to itself: nobody but its own workers gives a descriptor back.
pub(crate) fn engine() -> EngineBuilder {
    Engine::builder().wait_for_descriptors(Duration::from_secs(1))
}

#[cfg(unix)]
mod imp {
    use std::{
        fs::{File, Permissions, TryLockError},
        io,
        os::unix::fs::PermissionsExt,
        sync::{Arc, atomic::AtomicBool},
    };

    use nix::{
        libc,
        sys::resource::{Resource, getrlimit, setrlimit},
    };
    use signal_hook::{consts, flag};
    use tempfile::Builder;

    /// Have as many files open as the system lets us, and turn signals about writing into errors.
    ///
    /// SIGPIPE is ignored already, as in every Rust program.
    pub(crate) fn prepare() {
        /// What macOS allows where it names no limit (OPEN_MAX).
        const MODEST: libc::rlim_t = 10_240;
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let higher = [hard, MODEST].into_iter().filter(|limit| *limit > soft && *limit <= hard);
            // The library lives within whatever limit it finds.
            let _ = { higher }.find(|limit| setrlimit(Resource::RLIMIT_NOFILE, *limit, hard).is_ok());
        }
        // A handler that does nothing is as good as none: the write fails with EFBIG.
        let _ = flag::register(consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }

    /// Let files that `builder` makes be as open to others as the umask says.
    pub(crate) fn for_everybody<'a, 'b>(builder: &'a mut Builder<'b, 'b>) -> &'a mut Builder<'b, 'b> {
        builder.permissions(Permissions::from_mode(0o666))
    }

    /// Be the only run that writes to a file until it is closed; whether that is so.
    ///
    /// Where the filesystem knows no locks, nobody is kept out.
    pub(crate) fn claim(file: &File) -> io::Result<bool> {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => match error.raw_os_error() {
                Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL) => Ok(true),
                _ => Err(error),
            },
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::{fs::File, io};

    use tempfile::Builder;

    /// Nothing of the process needs preparing here.
    pub(crate) fn prepare() {}

    /// Who may read a file is the directory's to say here.
    pub(crate) fn for_everybody<'a, 'b>(builder: &'a mut Builder<'b, 'b>) -> &'a mut Builder<'b, 'b> {
        builder
    }

    /// A lock would keep readers away here, so nobody is kept out.
    pub(crate) fn claim(_file: &File) -> io::Result<bool> {
        Ok(true)
    }
}
