//! The binary `chappe`: see `cli`.

mod cli;

fn main() -> std::process::ExitCode {
    chappe_linux::daemon::called_as_b10_msgq().unwrap_or_else(cli::main)
}
