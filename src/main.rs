//! The `entente` command.

use std::process::ExitCode;

/// Many small allocations on many threads: measurably faster here than the system's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    entente::cli::main()
}
