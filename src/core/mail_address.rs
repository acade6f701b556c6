//! Mail addresses, of operators and of the owners of webhooks.

use std::fmt;

use email_address::EmailAddress;

/// A mail address such as `it@acme.example`, without a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailAddress(String);

impl MailAddress {
    /// The maximum length (RFC 5321 section 4.5.3.1.3, less the brackets).
    pub const MOST: usize = 254;

    /// Parses an address.
    ///
    /// # Errors
    /// A sentence on what would be valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be a mail address such as \"it@acme.example\", without a name";
        // A quoted local part may hold nearly anything, and is hardly ever meant.
        let plain = text.is_ascii() && !text.contains(['"', '<', '>', '[', '\\']) && text.len() <= Self::MOST;
        if !plain || !EmailAddress::is_valid(text) {
            return Err(WANTED.to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        for good in ["it@acme.example", "first.last+hooks@sub.acme.example", "ops@localhost"] {
            assert_eq!(MailAddress::parse(good).map(|it| it.to_string()), Ok(good.to_owned()));
        }
        let long = format!("{}@acme.example", "a".repeat(250));
        for bad in
            ["", "it", "it@", "@acme.example", "Ann <it@acme.example>", "a@b@c", "it@acme.example\r\nBcc: x@y", &long]
        {
            assert!(MailAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
