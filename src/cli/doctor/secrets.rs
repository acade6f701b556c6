//! Whether stored secrets are sealed, and whether their keys are available.

use std::path::Path;

use super::check::Check;
use crate::config::Config;
use crate::core::seal::{Fingerprint, Keyring};
use crate::service::{self, KeyFile};
use crate::store::offline;

const NAME: &str = "secrets";

/// Compares the key file, if any, with the data directory.
pub(super) fn check(config: &Config) -> Check {
    let file = match KeyFile::find(config.store.key_file.as_deref(), service::credentials().as_deref()) {
        Ok(file) => file,
        Err(error) => return Check::fail(NAME, error.to_string(), "the daemon does not start in this state"),
    };
    let sealed = match offline::sealed_with(&config.data_dir) {
        Ok(sealed) => sealed,
        Err(why) => return Check::warn(NAME, why, "run this as the user that the daemon runs as, or as root"),
    };
    let check = judge(file.as_ref().map(|file| (file.path(), file.keys())), sealed);
    match file.as_ref().and_then(|file| Some((file.path().display(), file.open_to_others()?))) {
        Some((path, mode)) if check.advice.is_none() => {
            let message = format!("{}; {path} is open to other users (mode {mode:04o})", check.message);
            Check::warn(NAME, message, format!("chmod 600 {path}"))
        }
        _ => check,
    }
}

fn judge(file: Option<(&Path, &Keyring)>, sealed: Option<Fingerprint>) -> Check {
    let sealing = file.and_then(|(path, keys)| Some((path.display(), keys, keys.sealing()?)));
    match (sealing, sealed) {
        (None, None) => {
            Check::ok(NAME, "are not sealed: they are readable in the data directory (`key_file` in [store])")
        }
        (None, Some(key)) => Check::warn(
            NAME,
            format!("are sealed with key {key}, and no key is configured here"),
            "the daemon needs it: by `key_file` in [store], or as the credential `store.key` (LoadCredential= in the unit)",
        ),
        (Some((path, _, key)), None) => {
            Check::ok(NAME, format!("will be sealed at the next start, with key {key} of {path}"))
        }
        (Some((path, _, key)), Some(now)) if key == now => {
            Check::ok(NAME, format!("are sealed with key {key} of {path}"))
        }
        (Some((path, keys, key)), Some(now)) if keys.answers_for(now) => {
            Check::ok(NAME, format!("are sealed with key {now}; the next start seals them with key {key} of {path}"))
        }
        (Some((path, _, key)), Some(now)) => Check::fail(
            NAME,
            format!("are sealed with key {now}, and {path} has key {key}"),
            "put that key into the file, on a line of its own: the daemon does not start in this state",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_key_is_judged_against_the_directorys_seal() {
        let line = |byte: &str| format!("{}=\n", byte.repeat(10) + &byte[..3]);
        let (one, two) = (line("AQEB"), line("AgIC"));
        let keys = |text: &str| Keyring::parse("x", text).unwrap();
        let (first, second) = (keys(&one), keys(&two));
        let both = keys(&format!("{one}{two}"));
        let path = Path::new("/etc/store.key");
        for (file, sealed, state, part) in [
            (None, None, State::Ok, "are not sealed"),
            (None, first.sealing(), State::Warn, "no key is configured here"),
            (Some(&first), None, State::Ok, "at the next start"),
            (Some(&first), first.sealing(), State::Ok, "are sealed with key"),
            (Some(&both), second.sealing(), State::Ok, "the next start seals them"),
            (Some(&first), second.sealing(), State::Fail, "/etc/store.key has key"),
        ] {
            let check = judge(file.map(|keys| (path, keys)), sealed);
            assert!(check.state == state && check.message.contains(part), "{check:?}");
        }
    }
}
