//! A signing secret from a file or from standard input. No option takes the secret itself, because command lines are
//! visible to every user of the machine.

use std::io::{self, Read};
use std::path::Path;

use super::exit::Failure;
use crate::core::subscription::Secret;

/// Maximum bytes read: more than the longest secret with blanks around it.
const MOST: u64 = 4096;

/// The secret in `file`, or on standard input for `-`; surrounding blanks and line ends are ignored.
///
/// # Errors
/// It cannot be read, or is not a secret. The content is not repeated.
pub(super) fn read(file: &Path) -> Result<Secret, Failure> {
    let from = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let wrong = |fault: String| Failure::usage(format!("--secret-file: {from}: {fault}"));
    let mut text = String::new();
    let read = match from.as_str() {
        "standard input" => io::stdin().take(MOST).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|file| file.take(MOST).read_to_string(&mut text)),
    };
    read.map_err(|error| wrong(error.to_string()))?;
    Secret::parse(text.trim()).map_err(|fault| wrong(format!("its content {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_with_its_line_end_and_a_wrong_one_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let secret = Secret::from_bytes([7; 32]);
        std::fs::write(&file, format!("{}\n", secret.reveal())).unwrap();
        assert_eq!(read(&file).unwrap(), secret);
        std::fs::write(&file, "whsec_c2hvcnQ=\n").unwrap();
        let failure = read(&file).unwrap_err().message;
        assert!(failure.contains("--secret-file") && failure.contains("not of 5"), "{failure}");
        assert!(!failure.contains("c2hvcnQ"), "{failure}");
        assert!(read(&dir.path().join("none")).unwrap_err().message.contains("none"));
    }
}
