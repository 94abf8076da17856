//! The pages of this program's own code that only starting needed go back to the system.
//!
//! Reading a configuration runs through megabytes of code (parsers, schemas, messages) that serving never
//! touches again, and a fault maps sixteen pages where one is needed. What serving does need is mapped again
//! at its first use, from the system's cache of the file: nothing is read from a disk, nothing is lost.

use std::ffi::c_void;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};

/// Lets go of every page of the program's code. Takes microseconds; what runs next faults its pages in again.
pub(crate) fn give_back() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some((start, end)) = code_around(give_back as *const () as usize, &maps) else { return };
    if let Some(first) = NonNull::new(std::ptr::with_exposed_provenance_mut(start)) {
        let_go(first, end - start);
    }
}

#[allow(unsafe_code)]
fn let_go(first: NonNull<c_void>, length: usize) {
    // SAFETY: the range is one mapping of this program's file that nobody can write to, so no page of it differs
    // from the file: `madvise(2)` says that what is touched after MADV_DONTNEED is read from the file again.
    let advised = unsafe { madvise(first, length, MmapAdvise::MADV_DONTNEED) };
    if let Err(why) = advised {
        tracing::debug!("the code that only starting needed stays mapped: {why}");
    }
}

/// The executable, unwritable mapping that holds `address`, in the words of proc(5).
fn code_around(address: usize, maps: &str) -> Option<(usize, usize)> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (rest.starts_with("r-xp") && (start..end).contains(&address)).then_some((start, end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c0000000-55d0c04c3000 r--p 00000000 fe:00 42 /usr/bin/sidecar-proxy
55d0c04c3000-55d0c134e000 r-xp 004c3000 fe:00 42 /usr/bin/sidecar-proxy
55d0c134e000-55d0c1400000 rwxp 0134e000 fe:00 42 /usr/bin/sidecar-proxy
nonsense
";

    #[test]
    fn only_code_that_nobody_can_write_to_is_let_go() {
        assert_eq!(code_around(0x55d0_c04c_3000, MAPS), Some((0x55d0_c04c_3000, 0x55d0_c134_e000)));
        assert_eq!(code_around(0x55d0_c134_e000, MAPS), None, "writable: a page may differ from the file");
        assert_eq!(code_around(0x55d0_c000_0000, MAPS), None, "not code");
        assert_eq!(code_around(7, MAPS), None);
    }

    #[test]
    fn the_program_goes_on_after_its_code_was_let_go() {
        give_back();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        assert!(code_around(give_back as *const () as usize, &maps).is_some());
    }
}
