//! Arguments in, exit status out. Everything else is in the library.

fn main() -> std::process::ExitCode {
    hookswitch::cli::main().into()
}
