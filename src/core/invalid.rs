//! Validation errors: the member at fault, the fault, and what would be valid.

use std::fmt;

/// A fault of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// RFC 6901 JSON pointer to the member at fault; empty for the whole document.
    pub pointer: String,
    /// The fault and what would be valid, as a sentence without its subject.
    pub detail: String,
}

/// Invalid input. Contains at least one fault when used as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid {
    /// The faults, in the order found.
    pub errors: Vec<FieldError>,
}

impl Invalid {
    /// An error with one fault.
    pub fn one(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.add(pointer, detail);
        invalid
    }

    /// Maximum number of faults kept: a body full of faults must not produce a reply many times its size.
    pub const MOST: usize = 100;

    /// Adds a fault; ignored beyond [`Invalid::MOST`].
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.errors.len() < Self::MOST {
            self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        }
    }

    /// Adds the fault of an error, or returns the value, so that one pass finds all faults of a document.
    pub fn check<T>(&mut self, pointer: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|fault| self.add(pointer, fault.to_string())).ok()
    }

    /// Adds the faults of a part at `prefix`.
    pub fn nest(&mut self, prefix: &str, inner: Self) {
        for error in inner.errors {
            self.add(format!("{prefix}{}", error.pointer), error.detail);
        }
    }

    /// Returns `value` if there is no fault.
    ///
    /// # Errors
    /// The faults added.
    pub fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            let name = if error.pointer.is_empty() { "the document" } else { &error.pointer };
            write!(f, "{comma}{name} {}", error.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// `name` as one step of a JSON pointer: `~` and `/` escaped (RFC 6901 section 3).
pub fn pointer(name: &str) -> String {
    // Called for every member read, so it allocates once.
    let mut step = String::with_capacity(1 + name.len());
    step.push('/');
    for part in name.split_inclusive(['~', '/']) {
        match part.as_bytes().last() {
            Some(b'~') => step.extend([part, "0"]),
            Some(b'/') => step.extend([&part[..part.len() - 1], "~1"]),
            _ => step.push_str(part),
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_step_of_a_pointer_whatever_is_in_it() {
        let cases = [
            ("call_id", "/call_id"),
            ("", "/"),
            ("/", "/~1"),
            ("~", "/~0"),
            ("~1/", "/~01~1"),
            ("a/b~c", "/a~1b~0c"),
            ("é/ü", "/é~1ü"),
        ];
        for (name, wanted) in cases {
            assert_eq!(pointer(name), wanted, "{name:?}");
        }
    }
}
