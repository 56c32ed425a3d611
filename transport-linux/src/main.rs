//! The binary `chappe`: see `cli`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
