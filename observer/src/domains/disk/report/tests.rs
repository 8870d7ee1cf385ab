//! What is reported of made-up facts.
