//! Names the linker scripts. The memory map, `memory.x`, is embassy-stm32's own for this chip. They are here and not in
//! `.cargo/config.toml`, because a RUSTFLAGS variable silently replaces what stands there.
fn main() {
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CHAPPE_ID");
    println!("cargo:rerun-if-env-changed=CHAPPE_HOST");
}
