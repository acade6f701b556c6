//! Renders the handbook, finds out the commit, and compiles in jemalloc's settings: it looks for a symbol of the program, which
//! Rust could only define with `unsafe`. An environment variable of the build (`JEMALLOC_SYS_WITH_MALLOC_CONF`) would be
//! forgotten by some builders.

#[path = "build/commit.rs"]
mod commit;
#[path = "build/handbook.rs"]
mod handbook;

fn main() {
    println!("cargo::rerun-if-changed=src/malloc_conf.c");
    println!("cargo::rerun-if-changed=src/build");
    // Nothing refers to it, so the linker must be told to include it.
    cc::Build::new().file("src/malloc_conf.c").link_lib_modifier("+whole-archive").compile("malloc_conf");
    handbook::render();
    commit::find();
}
