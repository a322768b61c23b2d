//! The binary only maps an outcome to an exit code; everything else is in the library beside it.

use std::process::ExitCode;

/// Many short-lived rows on several threads: mimalloc gives memory back sooner than the
/// system's allocator does, which keeps an idle server small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match halfopen::run(std::env::args_os()) {
        Ok(outcome) => outcome.exit_code(),
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}
