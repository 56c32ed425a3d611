//! What the debugger (QEMU) offers: the command line, random numbers, an exit status.
//!
//! Owns: semihosting calls that are not logging. Without the feature `semihosting` none of them is made.

/// How the image was started: `key=value` words of the semihosting command line.
pub struct CommandLine {
    #[cfg(feature = "semihosting")]
    text: [u8; 128],
    #[cfg(feature = "semihosting")]
    len: usize,
}

impl CommandLine {
    /// What stands behind `key=`.
    #[cfg(not(feature = "semihosting"))]
    pub fn get(&self, _: &str) -> Option<&str> {
        None
    }

    /// What stands behind `key=`.
    #[cfg(feature = "semihosting")]
    pub fn get(&self, key: &str) -> Option<&str> {
        let text = core::str::from_utf8(self.text.get(..self.len)?).ok()?;
        text.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

#[cfg(not(feature = "semihosting"))]
mod imp {
    use super::CommandLine;

    /// There is none.
    pub fn command_line() -> CommandLine {
        CommandLine {}
    }

    /// There is no source; the board has to mix its own.
    pub fn random() -> Option<u64> {
        None
    }
}

#[cfg(feature = "semihosting")]
#[allow(unsafe_code)]
mod imp {
    use super::CommandLine;
    use cortex_m_semihosting::syscall;

    /// Asks the debugger for it; empty if it is longer than 127 bytes.
    pub fn command_line() -> CommandLine {
        const SYS_GET_CMDLINE: usize = 0x15;
        let mut line = CommandLine { text: [0; 128], len: 0 };
        let mut block = [line.text.as_mut_ptr() as usize, line.text.len()];
        // SAFETY: the block holds the address and size of a buffer that lives here and is not looked at meanwhile.
        let failed = unsafe { cortex_m_semihosting::syscall1(SYS_GET_CMDLINE, block.as_mut_ptr() as usize) };
        if failed == 0 {
            line.len = block[1].min(line.text.len());
            // the length may count the NUL
            while line.len > 0 && line.text[line.len - 1] == 0 {
                line.len -= 1;
            }
        }
        line
    }

    /// Eight octets of the host's random source.
    pub fn random() -> Option<u64> {
        const NAME: &[u8] = b"/dev/urandom\0";
        const READ_BINARY: usize = 1;
        let mut bytes = [0u8; 8];
        // SAFETY: address and length of a name that ends with NUL and of a buffer of that size.
        unsafe {
            let handle = syscall!(OPEN, NAME.as_ptr(), READ_BINARY, NAME.len() - 1);
            if handle == usize::MAX {
                return None;
            }
            let missing = syscall!(READ, handle, bytes.as_mut_ptr(), bytes.len());
            syscall!(CLOSE, handle);
            (missing == 0).then_some(u64::from_le_bytes(bytes))
        }
    }
}

pub use imp::{command_line, random};
