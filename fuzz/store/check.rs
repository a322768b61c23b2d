//! Every target is this file; its name says which check it runs.

#![no_main]

mod checks;

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

const NAME: &str = env!("CARGO_BIN_NAME");

/// The store catches panics of the decoder of Arrow. libFuzzer's hook would end the process before
/// that; a panic that nobody catches ends it all the same.
static CATCHING: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    CATCHING.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let (_, check) = checks::CHECKS.iter().find(|(name, _)| *name == NAME).expect("a check");
    check(data);
});
