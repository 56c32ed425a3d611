//! The `chappe` binary as a process, for tests that need real sockets.
