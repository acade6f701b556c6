//! Arguments in, exit status out. Everything else is in the library.

/// What one thread takes another frees here (the checkpointer, sled, the senders), which glibc keeps in
/// arenas without end.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    hookswitch::cli::main().into()
}
