//! Arguments in, exit status out. Everything else is in the library.

/// Memory allocated by one thread is often freed by another (checkpointer, sled, senders), which glibc keeps in ever
/// more arenas.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    hookswitch::cli::main().into()
}
