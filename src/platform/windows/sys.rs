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
        GetFileInformationByHandle, GetFinalPathNameByHandleW, MoveFileExW, PROGRESS_CANCEL,
        PROGRESS_CONTINUE, SetFileInformationByHandle,
    },
};

use crate::entry::FileId;

/// An encoded name as the standard library takes it.
pub(crate) fn to_os(name: &CStr) -> &OsStr {
    // SAFETY: names here are either ASCII literals, or whole strings that `OsStr::as_encoded_bytes`
    // gave in this process, and are never cut.
    unsafe { OsStr::from_encoded_bytes_unchecked(name.to_bytes()) }
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
