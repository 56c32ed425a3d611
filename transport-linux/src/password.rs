//! Passwords that are kept as hashes only: argon2 in the PHC string form,
//! `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
//!
//! Owns: making such a string, what of it is accepted, and whether a password is that of one,
//! which takes tens of milliseconds on purpose. Does not own who may try how often
//! (`daemon/sign_in.rs`).

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use argon2::password_hash::{Output, PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use chappe_core::limits::MAX_TOKEN;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::sys;

/// Memory that one check may take, in KiB: there is one at a time.
const MOST_MEMORY: u32 = 256 * 1024;

/// Memory times passes, in KiB: what one check may cost in time. Some seconds.
const MOST_WORK: u64 = 1024 * 1024;

/// Octets of a salt, as the RFC recommends.
const SALT: usize = 16;

/// What a hash costs whoever makes or tries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// How often it is gone through.
    pub passes: u32,
}

impl Default for Cost {
    /// What OWASP recommends at least (2023): about 20 ms.
    fn default() -> Self {
        Cost { memory: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST }
    }
}

/// Why there is no hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPassword(String);

impl fmt::Display for BadPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPassword {}

/// The PHC string of a password, with a salt of its own.
pub fn hash(password: &[u8], cost: Cost) -> Result<String, BadPassword> {
    let bad = |text: String| BadPassword(text);
    if password.is_empty() || password.len() > MAX_TOKEN {
        return Err(bad(format!("a password has 1 to {MAX_TOKEN} bytes, this one {}", password.len())));
    }
    let params = Params::new(cost.memory, cost.passes, Params::DEFAULT_P_COST, None)
        .map_err(|e| bad(format!("{} KiB and {} passes will not do: {e}", cost.memory, cost.passes)))?;
    is_affordable(&params).map_err(bad)?;
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| bad("the system gives no random bytes".into()))?;
    let mut out = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
    let context = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let failed = |e: &dyn fmt::Display| bad(format!("it cannot be hashed: {e}"));
    context.hash_password_into(password, &salt, &mut *out).map_err(|e| failed(&e))?;
    let salt = SaltString::encode_b64(&salt).map_err(|e| failed(&e))?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: (&params).try_into().map_err(|e: argon2::password_hash::Error| failed(&e))?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&*out).map_err(|e| failed(&e))?),
    };
    Ok(hash.to_string())
}

/// A hash that can be compared with. Its text is never shown: who has it can try passwords
/// at their own pace.
#[derive(Clone)]
pub struct Hashed {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    hash: Output,
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl PartialEq for Hashed {
    fn eq(&self, other: &Hashed) -> bool {
        self.algorithm == other.algorithm
            && self.version == other.version
            && (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
                == (other.params.m_cost(), other.params.t_cost(), other.params.p_cost())
            && self.salt == other.salt
            && self.hash == other.hash
    }
}

impl Eq for Hashed {}

impl Hashed {
    /// Reads a PHC string. An error says what is wrong with it, without quoting it.
    pub fn read(text: &str) -> Result<Hashed, String> {
        let hint = "make one with `chappe hash-password`";
        if !text.starts_with('$') {
            return Err(format!("is no hash (it must begin with `$argon2id$`); {hint}"));
        }
        let parsed = PasswordHash::new(text).map_err(|e| format!("is no whole hash in PHC form ({e}); {hint}"))?;
        let wrong = |what: &str| format!("{what}; {hint}");
        let algorithm = Algorithm::try_from(parsed.algorithm)
            .ok()
            .filter(|a| *a != Algorithm::Argon2d)
            .ok_or_else(|| wrong("only argon2id (and argon2i) are known"))?;
        let version = match parsed.version {
            None => Version::V0x13,
            Some(number) => Version::try_from(number).map_err(|_| wrong("this version of argon2 is not known"))?,
        };
        let params = Params::try_from(&parsed).map_err(|e| wrong(&format!("its parameters will not do ({e})")))?;
        is_affordable(&params)?;
        let mut salt = [0; 64];
        let salt = parsed.salt.and_then(|s| s.decode_b64(&mut salt).ok()).ok_or_else(|| wrong("it has no salt"))?;
        if salt.len() < argon2::MIN_SALT_LEN {
            return Err(wrong("its salt is too short"));
        }
        let hash = parsed.hash.filter(|h| h.len() >= 16).ok_or_else(|| wrong("it ends before the hash"))?;
        Ok(Hashed { algorithm, version, params, salt: salt.to_vec(), hash })
    }

    /// Whether it is the hash of this password. Takes as long whatever the answer is.
    pub fn is_of(&self, password: &[u8]) -> bool {
        let context = Argon2::new(self.algorithm, self.version, self.params.clone());
        let out = Output::init_with(self.hash.len(), |out| Ok(context.hash_password_into(password, &self.salt, out)?));
        // Comparing outputs is done in constant time.
        out.is_ok_and(|out| out == self.hash)
    }
}

/// Asks the terminal of this process for a line that it does not show, whatever the standard
/// input is. Ctrl-C and the like end the process as usual, and leave the terminal as it was.
pub fn ask_hidden(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(prompt.as_bytes())?;
    let line = sys::read_hidden(terminal.as_fd());
    // The key that ended it was not shown either.
    terminal.write_all(b"\n")?;
    line.map(Zeroizing::new)
}

fn is_affordable(params: &Params) -> Result<(), String> {
    let (memory, passes) = (params.m_cost(), params.t_cost());
    if memory > MOST_MEMORY {
        return Err(format!("m={memory} would take {memory} KiB for each check: at most {MOST_MEMORY}"));
    }
    if u64::from(memory) * u64::from(passes) > MOST_WORK {
        return Err(format!("m={memory},t={passes} would take too long: m times t is at most {MOST_WORK}"));
    }
    if params.p_cost() > 16 {
        return Err(format!("p={} is more than 16 lanes", params.p_cost()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 8, passes: 1 };

    #[test]
    fn only_the_password_itself_is_right() {
        let text = hash(b"open sesame", CHEAP).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{text}");
        let hashed = Hashed::read(&text).unwrap();
        assert!(hashed.is_of(b"open sesame"));
        for wrong in [&b"open sesame "[..], b"open sesam", b"", b"Open sesame"] {
            assert!(!hashed.is_of(wrong));
        }
        assert_ne!(hash(b"open sesame", CHEAP).unwrap(), text, "each has a salt of its own");
        assert!(!format!("{hashed:?}").contains("argon"));
    }

    #[test]
    fn hashes_of_other_programs_are_taken() {
        // `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 24 -e`, and the reference's own test
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(Hashed::read(text).unwrap().is_of(b"password"));
        let text = "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
        assert!(Hashed::read(text).unwrap().is_of(b"password"));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_quoted() {
        let good = hash(b"open sesame", CHEAP).unwrap();
        for (text, why) in [
            ("hunter22", "no hash"),
            ("", "no hash"),
            ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "PHC"),
            ("$argon2d$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "argon2id"),
            ("$argon2id$v=7$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "version"),
            ("$argon2id$v=19$m=1,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "parameters"),
            ("$argon2id$v=19$m=999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "at most"),
            ("$argon2id$v=19$m=65536,t=99,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "too long"),
            (&good[..good.rfind('$').unwrap()], "ends before"),
            ("$argon2id$v=19$m=8,t=1,p=1", "salt"),
        ] {
            let error = Hashed::read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(text.len() < 4 || !error.contains(text), "{error}");
        }
        assert!(hash(b"", CHEAP).is_err() && hash(&[b'x'; 129], CHEAP).is_err());
        assert!(hash(b"open sesame", Cost { memory: 1, passes: 1 }).is_err());
        assert!(hash(b"open sesame", Cost { memory: 1 << 20, passes: 1 }).is_err());
    }
}
