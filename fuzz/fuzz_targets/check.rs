//! Every target is this file; its name says which check it runs.

#![no_main]

#[path = "../checks.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

const NAME: &str = env!("CARGO_BIN_NAME");

fuzz_target!(|data: &[u8]| {
    let (_, check) = checks::CHECKS.iter().find(|(name, _)| *name == NAME).expect("a check");
    check(data);
});
