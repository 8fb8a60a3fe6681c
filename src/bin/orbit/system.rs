//! Limits and signals of the process, which only the command may change.

pub(crate) use imp::{Interrupts, claim, for_everybody, prepare};

#[cfg(unix)]
mod imp {
    use std::{
        fs::{File, Permissions, TryLockError},
        io,
        os::unix::fs::PermissionsExt,
        sync::{Arc, atomic::AtomicBool},
    };

    use futures::future::select_all;
    use nix::{
        libc,
        sys::resource::{Resource, getrlimit, setrlimit},
    };
    use signal_hook::{consts, flag};
    use tempfile::Builder;
    use tokio::signal::unix::{Signal, SignalKind, signal};

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

    /// Signals that ask the process to end.
    pub(crate) struct Interrupts(Vec<Signal>);

    impl Interrupts {
        /// Catch them; from now on the second of them ends the process at once.
        ///
        /// Those that are ignored stay so, for `nohup` and background jobs. A hangup never is the
        /// second signal, because a closing terminal may send it twice.
        pub(crate) fn catch() -> io::Result<Interrupts> {
            let has_come = Arc::new(AtomicBool::new(false));
            let mut caught = Vec::new();
            for number in [consts::SIGINT, consts::SIGTERM, consts::SIGHUP] {
                if is_ignored(number) {
                    continue;
                }
                if number != consts::SIGHUP {
                    let code = super::super::INTERRUPTED.into();
                    flag::register_conditional_shutdown(number, code, has_come.clone())?;
                }
                flag::register(number, has_come.clone())?;
                caught.push(signal(SignalKind::from_raw(number))?);
            }
            Ok(Interrupts(caught))
        }

        /// Wait for one of them.
        pub(crate) async fn next(&mut self) {
            if self.0.is_empty() {
                return std::future::pending().await;
            }
            select_all(self.0.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
        }
    }

    #[allow(unsafe_code)]
    fn is_ignored(signal: libc::c_int) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action sigaction(2) changes nothing and fills `action`, which is
        // read only when it says that it did.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::{fs::File, io, process};

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

    /// Ctrl-C.
    pub(crate) struct Interrupts(());

    impl Interrupts {
        /// Catch it; from now on the second one ends the process at once.
        pub(crate) fn catch() -> io::Result<Interrupts> {
            tokio::spawn(async {
                for _ in 0..2 {
                    if tokio::signal::ctrl_c().await.is_err() {
                        return;
                    }
                }
                process::exit(super::super::INTERRUPTED.into());
            });
            Ok(Interrupts(()))
        }

        /// Wait for one.
        pub(crate) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        }
    }
}
