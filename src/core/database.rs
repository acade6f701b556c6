//! The PostgreSQL database of `[store]`: its URL, and the schema in it.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::hidden::Hidden;

/// Maximum length of a URL, in bytes.
const LONGEST: usize = 4096;

/// The URL of a database, which may contain a password. Displays the hosts only.
///
/// Only its form is checked: the client reads the rest (`sslmode` and its kind) when it connects.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: Hidden,
    /// Such as `db.example:5432,[::1]`.
    hosts: String,
}

impl DatabaseUrl {
    /// Parses `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?KEY=VALUE` as in section 34.1.1.2 of PostgreSQL 15's manual,
    /// with one or several hosts, which may instead be given as `host=` behind the `?` (and the database as `dbname=`).
    ///
    /// # Errors
    /// A sentence on what would be valid; it quotes nothing of `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "\"postgresql://USER:PASSWORD@db.example:5432/hookswitch\"";
        let wrong = |what: &str| Err(format!("{what}, such as {EXAMPLE}"));
        let Some(rest) = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) else {
            return wrong("must be a URL that begins with `postgresql://` or `postgres://`");
        };
        if text.len() > LONGEST || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong("must be a URL without spaces, line breaks and more than 4096 bytes");
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (login, hosts) = authority.split_once('@').unwrap_or(("", authority));
        // A `/`, `?` or `@` of a password that is not encoded would else make a part of it a host or a database.
        if rest.matches('@').count() != authority.matches('@').count() || hosts.contains('@') || login.contains('#') {
            return wrong("must be a URL with `@`, `/`, `?` and `#` in user and password as %40, %2F, %3F and %23");
        }
        let named = |key: &str| {
            let value = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key)?.1.into_owned();
            Some(value).filter(|value| !value.is_empty())
        };
        let hosts = if hosts.is_empty() {
            named("host").or_else(|| named("hostaddr")).map_or(Ok(None), |hosts| names(&hosts, name).map(Some))
        } else {
            names(hosts, host).map(Some)
        };
        let hosts = match hosts {
            Ok(Some(hosts)) => hosts,
            Ok(None) => return wrong("must be a URL with a host"),
            Err(()) => return wrong("must be a URL with valid hosts and, if any, ports from 1 to 65535"),
        };
        if database.is_empty() && named("dbname").is_none() {
            return wrong("must be a URL that ends with the name of a database");
        }
        Ok(Self { text: Hidden::new(text), hosts })
    }

    /// The whole URL, with its password, for the client.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hosts)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A list of hosts as shown, each read by `one`.
fn names(list: &str, one: impl Fn(&str) -> Option<String>) -> Result<String, ()> {
    let names: Option<Vec<String>> = list.split(',').map(one).collect();
    names.map(|names| names.join(",")).ok_or(())
}

/// A host with a port, if any, as shown.
fn host(text: &str) -> Option<String> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, rest) = match bracketed {
        Some((address, rest)) => (format!("[{}]", name(address).filter(|address| address.contains(':'))?), rest),
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let decoded = percent_decode_str(&text[..end]).decode_utf8().ok()?;
            (name(&decoded)?, &text[end..])
        }
    };
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some(host),
        Some(port)
            if port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0) =>
        {
            Some(format!("{host}:{port}"))
        }
        Some(_) => None,
    }
}

/// A host's name or address, or the directory of a local socket, as shown.
fn name(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    let socket = text.starts_with('/') && !text.contains(char::is_control);
    (socket || !text.is_empty() && text.chars().all(allowed)).then(|| text.to_owned())
}

/// The name of a schema: a lowercase identifier that is none of PostgreSQL's own. May be a reserved word (`user`), so
/// quote it in SQL; it contains no quotation mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaName(String);

impl SchemaName {
    /// Parses 1 to 63 letters, digits and `_`, the first no digit. 63 is PostgreSQL's limit of names, which it shortens
    /// silently; names that begin with `pg_` are its own.
    ///
    /// # Errors
    /// A sentence on what would be valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let begins = text.starts_with(|c: char| !c.is_ascii_digit()) && !text.starts_with("pg_");
        if allowed && begins && text.len() <= 63 {
            return Ok(Self(text.to_owned()));
        }
        // Not quoted: somebody may have put the URL here.
        let wanted = "must be a name of at most 63 characters of a-z, 0-9 and `_`, not beginning with a digit or `pg_`, \
                      such as \"hookswitch\"";
        Err(wanted.to_owned())
    }

    /// The name, without quotation marks.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a database server says of itself, as far as it matters to a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version, such as `15.14`.
    pub version: String,
    /// The name of the database, and of the user there.
    pub database: (String, String),
    /// `fsync`.
    pub fsync: bool,
    /// `full_page_writes`.
    pub full_page_writes: bool,
    /// `autovacuum`.
    pub autovacuum: bool,
    /// What has kept old versions of rows from being removed, and for how long, in seconds: the oldest transaction of the
    /// database, prepared or not. `None` if there is none; of others' transactions a user sees nothing without the role
    /// `pg_read_all_stats`.
    pub oldest_transaction: Option<(String, u64)>,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// `synchronous_standby_names`.
    pub synchronous_names: String,
    /// How many synchronous standbys follow; `None` if the user may not see it.
    pub standbys: Option<u32>,
    /// How far its clock is ahead of this machine's, in milliseconds.
    pub ahead_ms: i64,
    /// Why a session is not of one connection alone, with the remedy; `None` if it is.
    pub shared_sessions: Option<String>,
    /// The schema of `[store]`.
    pub schema: SchemaFacts,
}

/// What a schema holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaFacts {
    /// There is none, or an empty one, and whether the user may make the tables.
    Empty(bool),
    /// Tables of a daemon.
    Tables {
        /// Their version.
        version: i32,
        /// The oldest version that a program must know to use them.
        needs: i32,
        /// The newest version that this program knows.
        newest: i32,
        /// Whether all of them are the user's own, or of a role that it has.
        owned: bool,
    },
    /// Something else, or tables that the user may not read.
    Foreign,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_of_one_and_of_several_hosts_are_let_through_and_show_hosts_only() {
        for (text, shown) in [
            ("postgresql://u:hunter2@db.example:5432/hooks", "db.example:5432"),
            ("postgres://u@db.example/hooks", "db.example"),
            ("postgresql://db.example/hooks?user=u&password=hunter2&sslmode=require", "db.example"),
            ("postgresql://u:hunter2@a:5432,b:5433,c/db?target_session_attrs=read-write", "a:5432,b:5433,c"),
            ("postgresql://u:hunter2%40%2F%3Fx@[::1]:5432,[fe80::1%25eth0]/db", "[::1]:5432,[fe80::1%25eth0]"),
            ("postgresql://u:hunter2@10.0.0.1?dbname=db", "10.0.0.1"),
            ("postgresql://u:hunter2@%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql"),
            ("postgresql:///db?host=/var/run/postgresql&user=u&password=hunter2", "/var/run/postgresql"),
            ("postgresql://u:hunter2@/db?hostaddr=10.0.0.1,::1", "10.0.0.1,::1"),
        ] {
            let url = DatabaseUrl::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(url.expose(), text);
            assert_eq!(format!("{url} {url:?}"), format!("{shown} {shown}"));
        }
    }

    #[test]
    fn a_wrong_url_is_refused_by_its_fault_and_not_quoted() {
        for (text, part) in [
            ("", "begins with `postgresql://`"),
            ("mysql://u:hunter2@h/db", "begins with `postgresql://`"),
            ("POSTGRESQL://u:hunter2@h/db", "begins with `postgresql://`"),
            ("host=h user=u password=hunter2 dbname=db", "begins with `postgresql://`"),
            ("u:hunter2@h/db", "begins with `postgresql://`"),
            ("postgresql://u:hunter2 @h/db", "without spaces"),
            ("postgresql://u:hunter2@h/db\npostgresql://u:hunter2@h/db", "without spaces"),
            ("postgresql://u:hun@ter2@h/db", "as %40"),
            ("postgresql://u:hun/ter2@h/db", "as %40"),
            ("postgresql://u:1/hunter2@h/db", "as %40"),
            ("postgresql://u:hun?ter2@h/db", "as %40"),
            ("postgresql://u:hun#ter2@h/db", "and %23"),
            ("postgresql://u:hunter2@/db", "with a host"),
            ("postgresql:///db", "with a host"),
            ("postgresql://u:hunter2@h:0/db", "ports from 1"),
            ("postgresql://u:hunter2@h:/db", "ports from 1"),
            ("postgresql://u:hunter2@h:65536/db", "ports from 1"),
            ("postgresql://u:hunter2@h:+1/db", "ports from 1"),
            ("postgresql://u:hunter2/db", "ports from 1"),
            ("postgresql://u:hunter2@a,,b/db", "valid hosts"),
            ("postgresql://u:hunter2@[::1/db", "valid hosts"),
            ("postgresql://u:hunter2@[a]/db", "valid hosts"),
            ("postgresql://u:hunter2@h;x/db", "valid hosts"),
            ("postgresql://u:hunter2@h", "name of a database"),
            ("postgresql://u:hunter2@h/", "name of a database"),
            ("postgresql://u:hunter2@h/?dbname=", "name of a database"),
            (&format!("postgresql://u:hunter2@h/{}", "d".repeat(4096)), "more than 4096 bytes"),
        ] {
            let refusal = DatabaseUrl::parse(text).unwrap_err();
            assert!(refusal.contains(part) && refusal.contains("such as \"postgresql://"), "{text}: {refusal}");
            assert!(!refusal.contains("hunter2") && !refusal.contains("ter2"), "{text}: {refusal}");
        }
    }

    #[test]
    fn schemas_are_lowercase_identifiers_that_postgresql_does_not_own() {
        let longest = "s".repeat(63);
        for name in ["hookswitch", "_h2", "h", "pg", "pgx_", longest.as_str()] {
            assert_eq!(SchemaName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "2h", "Hooks", "pg_hooks", "h-s", "h s", "h\"s", "h.s", "hö", &"s".repeat(64)] {
            let refusal = SchemaName::parse(name).unwrap_err();
            assert!(refusal.starts_with("must be a name of at most 63 characters"), "{name}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn no_password_is_shown_whatever_its_characters(
            password in "hunter[-a-zA-Z0-9@/?#:%&=,;\\[\\] ]{0,12}2",
            end in "(/db)?(\\?(host|dbname|user|password)=[a-z]{1,3})?",
        ) {
            let text = format!("postgresql://u:{password}@h:5432{end}");
            match DatabaseUrl::parse(&text) {
                Ok(url) => prop_assert_eq!(format!("{url} {url:?}"), "h:5432 h:5432"),
                Err(refusal) => prop_assert!(!refusal.contains("hunter"), "{}", refusal),
            }
        }
    }
}
