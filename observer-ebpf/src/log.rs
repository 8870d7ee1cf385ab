//! What rare paths say, in objects that are built with the feature `log` (`cargo xtask ebpf --log`). Without it, as in the
//! objects that observer carries, nothing of this is in a program: not a second ring, and neither stack nor instructions.

/// Counts `$amount` as `$loss`, and logs where.
#[macro_export]
macro_rules! lost {
    ($loss:expr, $amount:expr) => {{
        let amount: u64 = $amount;
        $crate::rare!("lost {} ({})", amount; stringify!($loss));
        $crate::emit::count($loss, amount);
    }};
}

/// Logs a path that is taken rarely: a text with variables of type `u64`, and after a semicolon a constant.
#[cfg(feature = "log")]
#[macro_export]
macro_rules! rare {
    ($text:literal $(, $number:ident)* $(; $constant:expr)?) => {{
        // A subprogram, so that what a log takes is not on the stack of the program beside all else.
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
