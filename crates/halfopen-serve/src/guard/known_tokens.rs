//! The tokens of a server as they are at the moment: those of the settings, and those of a file
//! that is read again when it changes.
//!
//! **Invariant:** a server that asks for tokens never stops to. A file that cannot be used, or that
//! would leave none, changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tracing::{error, info};

use super::Tokens;

/// A file of tokens is never this long: there are at most 256.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// When the file was changed last, and its size.
type Stamp = Option<(SystemTime, u64)>;

/// Tokens, and where they come from.
#[derive(Debug)]
pub(crate) struct KnownTokens {
    /// Entries of the settings.
    listed: Vec<String>,
    file: Option<PathBuf>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    tokens: Arc<Tokens>,
    stamp: Stamp,
}

impl KnownTokens {
    /// Those that are listed, and those of `file` where it is named.
    ///
    /// # Errors
    /// When an entry or the file does not read, or a file was named and there is no token at all.
    pub(crate) fn load(listed: &[String], file: &Path) -> Result<KnownTokens, String> {
        let file = (!file.as_os_str().is_empty()).then(|| file.to_owned());
        let stamp = file.as_deref().and_then(stamp);
        let tokens = Arc::new(read(listed, file.as_deref())?);
        let current = Mutex::new(Current { tokens, stamp });
        Ok(KnownTokens { listed: listed.to_vec(), file, current })
    }

    /// Whether tokens are asked for.
    pub(crate) fn are_asked_for(&self) -> bool {
        !self.now().is_empty()
    }

    /// Those that are let in now.
    pub(crate) fn now(&self) -> Arc<Tokens> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.tokens)
    }

    /// Reads the file again if it has changed.
    pub(crate) fn refresh(&self) {
        let Some(file) = &self.file else { return };
        let stamp = stamp(file);
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).stamp;
        if stamp == known {
            return;
        }
        let read = read(&self.listed, Some(file));
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.stamp = stamp;
        match read {
            Ok(tokens) => {
                current.tokens = Arc::new(tokens);
                info!(file = %file.display(), "the tokens were read again");
            }
            Err(problem) => {
                error!(problem, "the file of tokens was changed and cannot be used; they stay");
            }
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    let data = std::fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn read(listed: &[String], file: Option<&Path>) -> Result<Tokens, String> {
    let Some(file) = file else { return Tokens::read(listed) };
    let name = file.display();
    let failed = |error: std::io::Error| format!("could not read \"{name}\": {error}");
    if std::fs::metadata(file).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(format!("\"{name}\" has more than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let all: Vec<String> = listed.iter().cloned().chain(lines.map(str::to_owned)).collect();
    if all.is_empty() {
        return Err(format!("there is no token in \"{name}\""));
    }
    Tokens::read(&all).map_err(|problem| format!("\"{name}\": {problem}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::guard::{Scope, TokenEntry};

    fn token(name: &str) -> (String, String) {
        let (token, entry) = TokenEntry::generate(name, &[Scope::Write]).expect("chance");
        (token, entry.to_string())
    }

    /// Writes the file as of this second.
    fn put(file: &Path, text: &str, second: u64) {
        fs::write(file, text).expect("a file");
        let open = fs::File::options().append(true).open(file).expect("a file");
        open.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).expect("a time");
    }

    #[test]
    fn a_changed_file_lets_others_in_and_some_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens");
        let ((ci, ci_entry), (old, old_entry), (new, new_entry)) =
            (token("ci"), token("app"), token("app"));
        put(&file, &format!("# of the application\n\n  {old_entry}\n"), 1);
        let known = KnownTokens::load(std::slice::from_ref(&ci_entry), &file).expect("entries");
        let lets_in = || {
            let now = known.now();
            [&ci, &old, &new].map(|token| now.bearer(token.as_bytes()).is_some())
        };
        assert_eq!((lets_in(), known.are_asked_for()), ([true, true, false], true));
        put(&file, &format!("{old_entry}\n{new_entry}\n"), 2);
        assert_eq!(lets_in(), [true, true, false], "nobody has looked yet");
        known.refresh();
        assert_eq!(lets_in(), [true, true, true]);
        put(&file, &new_entry, 3);
        known.refresh();
        assert_eq!(lets_in(), [true, false, true]);
        // What cannot be used changes nothing.
        for (text, second) in [("half an ent", 4), (&*format!("{new_entry}\n{ci_entry}"), 5)] {
            put(&file, text, second);
            known.refresh();
            assert_eq!(lets_in(), [true, false, true], "{text}");
        }
        fs::remove_file(&file).expect("it is there");
        known.refresh();
        assert_eq!(lets_in(), [true, false, true]);
        put(&file, "", 6);
        known.refresh();
        assert_eq!(lets_in(), [true, false, false], "there are those of the settings");
    }

    #[test]
    fn a_file_without_any_token_opens_no_door() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens");
        let problem = |text: &str| {
            put(&file, text, 1);
            KnownTokens::load(&[], &file).expect_err("it should be refused")
        };
        assert!(problem("# none yet\n").starts_with("there is no token in "));
        assert!(problem("app write halfopen_secret").contains("the third word of app"));
        assert!(!problem("app write halfopen_secret").contains("halfopen_secret"));
        let missing = KnownTokens::load(&[], &folder.path().join("none"));
        assert!(missing.expect_err("it is not there").starts_with("could not read "));
        let (token, entry) = token("app");
        put(&file, &entry, 2);
        let known = KnownTokens::load(&[], &file).expect("an entry");
        put(&file, "", 3);
        known.refresh();
        assert!(known.now().bearer(token.as_bytes()).is_some() && known.are_asked_for());
        let none = KnownTokens::load(&[], Path::new("")).expect("nothing to read");
        assert!(!none.are_asked_for());
    }
}
