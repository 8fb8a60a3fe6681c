//! Calls that the standard library does not offer.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, OsStr, OsString, c_void},
    fs::File,
    io,
    os::windows::{
        ffi::{OsStrExt, OsStringExt},
        io::AsRawHandle,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    ptr,
};

use windows_sys::Win32::{
    Foundation::HANDLE,
    Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, COPY_FILE_FAIL_IF_EXISTS, CopyFileExW, FILE_BASIC_INFO, FileBasicInfo,
        GetDiskFreeSpaceExW, GetFileInformationByHandle, GetFinalPathNameByHandleW, MoveFileExW,
        PROGRESS_CANCEL, PROGRESS_CONTINUE, SetFileInformationByHandle,
    },
};

use crate::entry::FileId;

/// An encoded name as the standard library takes it.
pub(crate) fn to_os(name: &CStr) -> &OsStr {
    // SAFETY: names here are either ASCII literals, or whole strings that `OsStr::as_encoded_bytes`
    // gave in this process, and are never cut.
    unsafe { OsStr::from_encoded_bytes_unchecked(name.to_bytes()) }
}

/// A path that came from a file, as bytes; here only text is one.
pub(crate) fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// Which file a handle is open on, and how many names that has.
pub(super) fn identity(file: &File) -> io::Result<(FileId, u64)> {
    let mut about = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open for as long as `file` is borrowed, and `about` has the layout that
    // the call fills.
    check(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut about) })?;
    let ino = u64::from(about.nFileIndexHigh) << 32 | u64::from(about.nFileIndexLow);
    Ok((FileId { dev: about.dwVolumeSerialNumber.into(), ino }, about.nNumberOfLinks.into()))
}

/// What a volume has, in bytes.
pub(super) struct FreeSpace {
    /// Free for the user of this process.
    pub(super) available: u64,
    /// Free altogether.
    pub(super) free: u64,
    pub(super) total: u64,
}

/// What the volume has that holds a directory.
pub(super) fn free_space(directory: &Path) -> io::Result<FreeSpace> {
    let directory = wide(directory);
    let (mut available, mut total, mut free) = (0, 0, 0);
    // SAFETY: the path ends in a zero, and the call fills three numbers that outlive it.
    check(unsafe {
        GetDiskFreeSpaceExW(directory.as_ptr(), &raw mut available, &raw mut total, &raw mut free)
    })?;
    Ok(FreeSpace { available, free, total })
}

/// Set all attributes of an open file; its times, given as 0, are left alone.
pub(super) fn set_attributes(file: &File, attributes: u32) -> io::Result<()> {
    let info = FILE_BASIC_INFO { FileAttributes: attributes, ..FILE_BASIC_INFO::default() };
    let size = size_of::<FILE_BASIC_INFO>() as u32;
    // SAFETY: the handle is open for as long as `file` is borrowed, and the call only reads `info`,
    // of which it gets the size.
    check(unsafe {
        SetFileInformationByHandle(file.as_raw_handle(), FileBasicInfo, (&raw const info).cast(), size)
    })
}

/// The path of an open file, as it is called now.
pub(super) fn path_of(file: &File) -> io::Result<PathBuf> {
    let mut buffer = vec![0_u16; 512];
    loop {
        let room = u32::try_from(buffer.len()).expect("paths have at most 32,767 units");
        // SAFETY: the handle is open for as long as `file` is borrowed, and the buffer is as long
        // as the call is told.
        let length =
            unsafe { GetFinalPathNameByHandleW(file.as_raw_handle(), buffer.as_mut_ptr(), room, 0) } as usize;
        match length {
            0 => return Err(io::Error::last_os_error()),
            fits if fits < buffer.len() => return Ok(OsString::from_wide(&buffer[..fits]).into()),
            needed => buffer.resize(needed + 1, 0),
        }
    }
}

/// Rename a file, failing when `to` exists.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from), wide(to));
    // SAFETY: both are strings that end in NUL and outlive the call.
    check(unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), 0) })
}

/// Copy a whole file to a name that must not exist; what was begun is removed when it fails.
///
/// `moved` is told how many bytes of its content are in place, and says whether to go on. Not every
/// Windows calls it.
pub(super) fn copy_file(from: &Path, to: &Path, mut moved: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
    let (from, to) = (wide(from), wide(to));
    let listener = (&raw mut moved).cast::<c_void>().cast_const();
    // SAFETY: both are strings that end in NUL and outlive the call; `progress` gets `listener`
    // only from within the call, on this thread, and `moved` is not used otherwise meanwhile.
    check(unsafe {
        CopyFileExW(
            from.as_ptr(),
            to.as_ptr(),
            Some(progress),
            listener,
            ptr::null_mut(),
            COPY_FILE_FAIL_IF_EXISTS,
        )
    })
}

/// Pass on what `CopyFileExW` tells.
unsafe extern "system" fn progress(
    _: i64,
    _: i64,
    _: i64,
    bytes_of_stream: i64,
    stream: u32,
    _: u32,
    _: HANDLE,
    _: HANDLE,
    listener: *const c_void,
) -> u32 {
    const CONTENT: u32 = 1; // alternate streams follow
    // SAFETY: `copy_file` passes a pointer to exactly this, which nothing else uses meanwhile.
    let moved = unsafe { &mut *listener.cast::<&mut dyn FnMut(u64) -> bool>().cast_mut() };
    let bytes = if stream == CONTENT { u64::try_from(bytes_of_stream).unwrap_or(0) } else { 0 };
    // A panic must not unwind through the system's frames.
    match catch_unwind(AssertUnwindSafe(|| moved(bytes))) {
        Ok(true) => PROGRESS_CONTINUE,
        Ok(false) | Err(_) => PROGRESS_CANCEL,
    }
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

fn check(done: windows_sys::core::BOOL) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_the_system_tells_of_the_content_reaches_the_listener() {
        let mut heard = Vec::new();
        let mut note = |bytes| {
            heard.push(bytes);
            heard.len() < 2
        };
        let mut moved: &mut dyn FnMut(u64) -> bool = &mut note;
        let listener = (&raw mut moved).cast::<c_void>().cast_const();
        let none = ptr::null_mut();
        // SAFETY: `listener` is what `copy_file` passes, and lives until the end of the test.
        let answers = [(7, 1), (9, 2)]
            .map(|(bytes, stream)| unsafe { progress(9, 9, 9, bytes, stream, 0, none, none, listener) });
        assert_eq!(answers, [PROGRESS_CONTINUE, PROGRESS_CANCEL]);
        assert_eq!(heard, [7, 0]);
    }

    #[test]
    fn a_copy_never_overwrites_and_one_that_is_stopped_leaves_nothing() {
        let root = tempfile::TempDir::new().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::write(&from, vec![1; 4 << 20]).unwrap();
        fs::write(&to, b"there").unwrap();
        let refused = copy_file(&from, &to, &mut |_| true).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"there");

        fs::remove_file(&to).unwrap();
        let mut calls = 0;
        let stopped = copy_file(&from, &to, &mut |_| {
            calls += 1;
            false
        });
        if calls == 0 {
            return eprintln!("skipped: this system, Wine perhaps, never calls the progress routine");
        }
        assert!(stopped.is_err());
        assert!(!to.exists());
    }

    #[test]
    fn a_rename_to_a_name_that_is_taken_fails() {
        let root = tempfile::TempDir::new().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::write(&from, b"from").unwrap();
        fs::write(&to, b"to").unwrap();
        assert_eq!(rename_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&to).unwrap();
        rename_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"from");
    }

    #[test]
    fn an_open_file_tells_its_path_and_its_names() {
        let root = tempfile::TempDir::new().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        fs::write(&first, b"x").unwrap();
        fs::hard_link(&first, &second).unwrap();
        let [one, two] = [&first, &second].map(|path| File::open(path).unwrap());
        assert_eq!(identity(&one).unwrap(), identity(&two).unwrap());
        assert_eq!(identity(&one).unwrap().1, 2);
        assert_eq!(path_of(&one).unwrap(), fs::canonicalize(&first).unwrap());
    }
}
