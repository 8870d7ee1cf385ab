//! Bad days: what is left behind after any end, missing privileges, hostile names.
