//! The command-line program.

use std::process::ExitCode;

/// Rows come and go by the million, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    evalflow::cli::main()
}
