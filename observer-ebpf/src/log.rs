//! Log output of rare paths, in objects that are built with the feature `log` (`cargo xtask ebpf --log`). The
//! embedded objects are built without it: they have no second ring buffer, and log nothing in their stack or
//! instructions.

/// Counts `$amount` as `$loss`, and logs where.
#[macro_export]
macro_rules! lost {
    ($loss:expr, $amount:expr) => {{
        let amount: u64 = $amount;
        $crate::rare!("lost {} ({})", amount; stringify!($loss));
        $crate::emit::count($loss, amount);
    }};
}

/// Logs a rare path: a text with variables of type `u64`, and after a semicolon a constant.
#[cfg(feature = "log")]
#[macro_export]
macro_rules! rare {
    ($text:literal $(, $number:ident)* $(; $constant:expr)?) => {{
        // A subprogram, so that the log does not add to the stack of the program.
        #[inline(never)]
        fn log($($number: u64),*) {
            aya_log_ebpf::warn!(&(), $text $(, $number)* $(, $constant)?);
        }
        log($($number),*);
    }};
}

#[cfg(not(feature = "log"))]
#[macro_export]
macro_rules! rare {
    ($($said:tt)*) => {};
}
