//! The only module that reads kernel memory at an offset.
//!
//! An offset is a frozen global, so the verifier sees a constant. It checks a load through a pointer whose BTF type
//! it knows against that type, and a fault is safe: a direct read. Programs entered through BTF need nothing else,
//! and work where `lockdown=confidentiality` forbids `bpf_probe_read_kernel`. A handler for programs with direct
//! reads and with probe reads is generic over [`MemoryAccess`].

use core::mem::MaybeUninit;

use aya_ebpf::{
    Global,
    helpers::{bpf_probe_read_kernel, generated},
};
use observer_common::field::ABSENT;

/// Makes a global of every field in a domain's list; user space overrides them before loading.
#[macro_export]
macro_rules! fields_as_globals {
    ($($global:ident: $path:literal, $width:literal;)*) => {
        $(
            #[unsafe(no_mangle)]
            pub static $global: aya_ebpf::Global<u32> = aya_ebpf::Global::new(observer_common::field::ABSENT);
        )*
    };
}

/// Whether the running kernel has the field. Constant to the verifier, so the untaken branch is never checked.
#[inline(always)]
pub fn exists(field: &Global<u32>) -> bool {
    field.load() != ABSENT
}

/// Loads a member of the kernel object at `base`.
///
/// # Safety
/// `base` must be a BTF-typed, non-null pointer to the type that `field` was resolved in, and `T` as wide as the field.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
    // SAFETY: the caller's promise; the verifier checks the access against the kernel's own BTF.
    unsafe { *base.add(field.load() as usize).cast::<T>() }
}

/// As [`load`], though the compiler could reuse an earlier load: it must not know that the value is the same.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub unsafe fn load_again<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
    // SAFETY: as for `load`.
    unsafe { base.add(field.load() as usize).cast::<T>().read_volatile() }
}

/// Loads a pointer member. The verifier gives the result the member's pointee type.
///
/// # Safety
/// As for [`load`]; the result may be null.
#[inline(always)]
pub unsafe fn pointer(base: *const u8, field: &Global<u32>) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { load(base, field) }
}

/// The address of a member that is embedded in the object at `base`.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub unsafe fn member(base: *const u8, field: &Global<u32>) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { base.add(field.load() as usize) }
}

/// Loads element `index` of an array member whose elements are `stride` bytes apart.
///
/// # Safety
/// As for [`load`]; `index` must be a constant within the array.
#[inline(always)]
pub unsafe fn element<T: Copy>(base: *const u8, field: &Global<u32>, stride: &Global<u32>, index: u32) -> T {
    // SAFETY: the caller's promise.
    unsafe { *base.add((field.load() + stride.load() * index) as usize).cast::<T>() }
}

/// Copies a member of the kernel object at `base` by the helper, for members that the verifier does not allow to
/// load. Under `lockdown=confidentiality` such a program is rejected, unless the call is in a branch that is never
/// taken.
///
/// # Safety
/// `T` must be at most as wide as the field, and any bytes must be a value of it.
#[inline(always)]
pub unsafe fn probe<T: Copy>(base: *const u8, field: &Global<u32>) -> Option<T> {
    // SAFETY: the helper checks the address; the caller promises the rest.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(field.load() as usize).cast()).ok() }
}

/// How a program gets the current task and reads kernel memory from there.
pub trait MemoryAccess {
    /// The task that runs now; never null.
    fn current() -> *const u8;

    /// Loads a member of the kernel object at `base`.
    ///
    /// # Safety
    /// `base` must point to the type that `field` was resolved in, `T` be an integer, a pointer or an array of them, as
    /// wide as the field; for [`Direct`], `base` must be typed by BTF and not null.
    unsafe fn load<T: Copy>(base: *const u8, field: &Global<u32>) -> T;

    /// As [`MemoryAccess::load`], from an object that the program was entered with, or from one that it refers to: the
    /// verifier knows its type, except for [`Untyped`].
    ///
    /// # Safety
    /// As for [`MemoryAccess::load`].
    #[inline(always)]
    unsafe fn entered<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
        // SAFETY: the caller's promise.
        unsafe { load(base, field) }
    }

    /// Loads a pointer member, which may be null.
    ///
    /// # Safety
    /// As for [`MemoryAccess::load`].
    #[inline(always)]
    unsafe fn pointer(base: *const u8, field: &Global<u32>) -> *const u8 {
        // SAFETY: the caller's promise.
        unsafe { Self::load(base, field) }
    }
}

/// By direct loads: everything starts at a pointer that the verifier knows the type of.
pub enum Direct {}

/// By probe reads: for kernels whose programs get the current task as a plain number (before 5.11).
pub enum Probing {}

/// The current task by direct loads, and what the program was entered with by probe reads: for objects that only a member
/// without a type refers to.
pub enum Untyped {}

impl MemoryAccess for Untyped {
    #[inline(always)]
    fn current() -> *const u8 {
        Direct::current()
    }

    #[inline(always)]
    unsafe fn load<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
        // SAFETY: the caller's promise.
        unsafe { Direct::load(base, field) }
    }

    #[inline(always)]
    unsafe fn entered<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
        // SAFETY: the caller's promise.
        unsafe { Probing::load(base, field) }
    }
}

impl MemoryAccess for Direct {
    #[inline(always)]
    fn current() -> *const u8 {
        // SAFETY: a helper without arguments; the result is never null.
        unsafe { generated::bpf_get_current_task_btf().cast() }
    }

    #[inline(always)]
    unsafe fn load<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
        // SAFETY: the caller's promise.
        unsafe { load(base, field) }
    }
}

impl MemoryAccess for Probing {
    #[inline(always)]
    fn current() -> *const u8 {
        // SAFETY: a helper without arguments; the result is never null.
        unsafe { generated::bpf_get_current_task() as *const u8 }
    }

    #[inline(always)]
    unsafe fn load<T: Copy>(base: *const u8, field: &Global<u32>) -> T {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper checks the address and writes every byte, zeroes after a fault.
        unsafe {
            let from = base.wrapping_add(field.load() as usize);
            generated::bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, from.cast());
            value.assume_init()
        }
    }
}
