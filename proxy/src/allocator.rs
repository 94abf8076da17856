//! Memory that is free goes back to the system, once there is enough of it.
//!
//! The allocator of the C library returns memory by itself only from the end of its heap. What many
//! connections held that rest now lies between what they still hold, so it has to be asked.

/// Returns whole free pages to the system. Takes about a microsecond a hole; other threads wait that long
/// where they allocate from the same heap.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(crate) fn give_back() {
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: `malloc_trim(3)` may be called at any time from any thread and changes no live allocation.
    let _whether_any = unsafe { malloc_trim(0) };
}

/// Other C libraries are not asked.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back() {}
