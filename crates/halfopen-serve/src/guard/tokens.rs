//! Bearer tokens: who may do what. The settings hold only their hashes.
//!
//! A token is 32 bytes from the operating system's source of chance, so one fast hash (SHA-256) is
//! enough: slow hashes protect what people choose and others can guess. Nobody tries 2^256 values,
//! and a slow hash on every request would be a way to keep the server busy.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

/// In front of every token, so that scanners for leaked secrets find them.
const PREFIX: &str = "halfopen_";
/// Bytes of chance in a token.
const CHANCE_BYTES: usize = 32;
/// What is longer is no token of ours, and is not even hashed.
const PRESENTED_BYTES_MAX: usize = 256;
/// Names of tokens are read by people, in logs.
const NAME_BYTES_MAX: usize = 64;
/// Tokens of one server; each request is compared with all of them.
pub(crate) const TOKENS_MAX: usize = 256;
const HASH_PREFIX: &str = "sha256:";

/// What the bearer of a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Ask: every question, metrics, status.
    Read,
    /// Send: telemetry, imports, changes.
    Write,
    /// Everything, and what only the operator needs: the refusals.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

    /// As settings and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        let found = Scope::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| "there are read, write and admin".to_owned())
    }
}

/// One entry of `serve.tokens`: `NAME SCOPE[+SCOPE] sha256:HEX`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenEntry {
    name: String,
    scopes: Vec<Scope>,
    hash: [u8; SHA256_OUTPUT_LEN],
}

impl TokenEntry {
    /// Makes a token; gives it, and the entry that lets it in.
    ///
    /// # Errors
    /// When the name cannot be used, no scope is given, or the system gives no chance.
    pub fn generate(name: &str, scopes: &[Scope]) -> Result<(String, TokenEntry), String> {
        check_name(name)?;
        if scopes.is_empty() {
            return Err("a token without a scope opens nothing".to_owned());
        }
        let mut chance = [0; CHANCE_BYTES];
        let filled = SystemRandom::new().fill(&mut chance);
        filled.map_err(|_| "the operating system gives no random numbers".to_owned())?;
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(chance));
        let scopes = Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect();
        let entry = TokenEntry { name: name.to_owned(), scopes, hash: hash(token.as_bytes()) };
        Ok((token, entry))
    }
}

impl fmt::Display for TokenEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.name()).collect();
        write!(formatter, "{} {} {HASH_PREFIX}", self.name, scopes.join("+"))?;
        self.hash.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for TokenEntry {
    type Err = String;

    /// The error never shows the third word: it may be a token that was pasted there.
    fn from_str(text: &str) -> Result<TokenEntry, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [name, scopes, hash] = words[..] else {
            return Err(format!("an entry has three words, this one has {}", words.len()));
        };
        check_name(name)?;
        let scopes: Result<Vec<Scope>, String> = scopes.split('+').map(str::parse).collect();
        let scopes = scopes.map_err(|problem| format!("the scopes of {name}: {problem}"))?;
        let hex = hash.strip_prefix(HASH_PREFIX).and_then(hash_of_hex);
        let hash = hex.ok_or_else(|| {
            format!("the third word of {name} is not {HASH_PREFIX} with 64 hex digits behind it")
        })?;
        Ok(TokenEntry { name: name.to_owned(), scopes, hash })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!("a name has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores"))
}

fn hash_of_hex(text: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let is_hex = text.len() == 2 * SHA256_OUTPUT_LEN && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut hash = [0; SHA256_OUTPUT_LEN];
    for (place, byte) in hash.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    is_hex.then_some(hash)
}

fn hash(token: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let digest = digest(&SHA256, token);
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Every token that a server lets in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Vec<TokenEntry>);

impl Tokens {
    /// Reads the entries of the settings. Two may share a name: so one token replaces another.
    pub(crate) fn read(entries: &[String]) -> Result<Tokens, String> {
        if entries.len() > TOKENS_MAX {
            return Err(format!("{} tokens are more than {TOKENS_MAX}", entries.len()));
        }
        let tokens: Result<Vec<TokenEntry>, String> =
            entries.iter().map(|entry| entry.parse()).collect();
        let tokens = tokens?;
        for (place, token) in tokens.iter().enumerate() {
            if tokens[..place].iter().any(|other| other.hash == token.hash) {
                return Err(format!("the token of {} is listed twice", token.name));
            }
        }
        Ok(Tokens(tokens))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who bears it. All entries are compared, each in constant time.
    pub(crate) fn bearer(&self, presented: &[u8]) -> Option<Bearer<'_>> {
        if presented.len() > PRESENTED_BYTES_MAX {
            return None;
        }
        let presented = hash(presented);
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&presented)) {
                found = Some(Bearer(token));
            }
        }
        found
    }
}

/// Somebody whose token is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bearer<'a>(&'a TokenEntry);

impl<'a> Bearer<'a> {
    pub(crate) fn name(&self) -> &'a str {
        &self.0.name
    }

    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.0.scopes.contains(&scope) || self.0.scopes.contains(&Scope::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_again_and_another_is_not() {
        let (token, entry) = TokenEntry::generate("ci", &[Scope::Write]).expect("chance");
        let (other, _) = TokenEntry::generate("ci", &[Scope::Write]).expect("chance");
        assert!(token.starts_with("halfopen_") && token.len() == 52, "{token}");
        let line = entry.to_string();
        assert!(!line.contains(&token[PREFIX.len()..]), "an entry does not tell its token");
        let tokens = Tokens::read(&[line]).expect("an entry");
        let bearer = tokens.bearer(token.as_bytes()).expect("it is listed");
        assert_eq!((bearer.name(), bearer.may(Scope::Write)), ("ci", true));
        assert!(!bearer.may(Scope::Read) && !bearer.may(Scope::Admin));
        for wrong in [other.as_bytes(), b"", &token.as_bytes()[1..], &[b'x'; 10_000]] {
            assert!(tokens.bearer(wrong).is_none());
        }
    }

    #[test]
    fn admin_may_do_everything() {
        let (token, entry) = TokenEntry::generate("ops", &[Scope::Admin]).expect("chance");
        let tokens = Tokens::read(&[entry.to_string()]).expect("an entry");
        let bearer = tokens.bearer(token.as_bytes()).expect("it is listed");
        assert!(Scope::ALL.into_iter().all(|scope| bearer.may(scope)));
    }

    #[test]
    fn hashes_are_those_of_everybody_else() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_of_hex(known), Some(hash(b"abc")), "FIPS 180-2, appendix B.1");
    }

    #[track_caller]
    fn refused(entry: &str, problem: &str) {
        let error = Tokens::read(&[entry.to_owned()]).expect_err("it should be refused");
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("secret"), "an error shows no token: {error}");
    }

    #[test]
    fn entries_that_do_not_read_are_refused_and_show_no_token() {
        let hash = format!("sha256:{}", "0a".repeat(32));
        refused("ci write", "three words");
        refused("ci write halfopen_secret", "the third word of ci");
        refused(&format!("ci writes {hash}"), "read, write and admin");
        refused(&format!("c/i write {hash}"), "a name has");
        refused(&format!("ci write {hash}0"), "64 hex digits");
        let twice = vec![format!("a read {hash}"), format!("b read {hash}")];
        assert_eq!(Tokens::read(&twice).expect_err("twice"), "the token of b is listed twice");
        let many = vec![format!("a read {hash}"); TOKENS_MAX + 1];
        assert!(Tokens::read(&many).is_err());
    }
}
