//! Moving a store between a data directory and a PostgreSQL database, offline.

use std::path::Path;

use crate::core::database::{DatabaseUrl, SchemaName};
use crate::store::offline::{Findings, Refused, Tell};

/// Moves everything in the data directory `dir`, which stays as it is, into `schema` of the database at `url`.
///
/// # Errors
/// The directory is damaged, or a daemon runs on it; the server cannot be used; the schema holds data already.
pub fn move_into_database(
    dir: &Path,
    url: &DatabaseUrl,
    schema: &SchemaName,
    tell: Tell<'_>,
) -> Result<Findings, Refused> {
    #[cfg(feature = "postgres")]
    return crate::store::move_into_postgres(dir, url.expose(), schema.as_str(), tell);
    #[cfg(not(feature = "postgres"))]
    Err(without_postgres(dir, url, schema, tell))
}

/// Moves everything in `schema` of the database at `url`, which stays as it is, into the data directory `dir`, which is
/// empty or not there.
///
/// # Errors
/// Daemons run on the schema, or the server cannot be used; the directory holds something, or cannot be written.
pub fn move_out_of_database(
    url: &DatabaseUrl,
    schema: &SchemaName,
    dir: &Path,
    tell: Tell<'_>,
) -> Result<Findings, Refused> {
    #[cfg(feature = "postgres")]
    return crate::store::move_out_of_postgres(url.expose(), schema.as_str(), dir, tell);
    #[cfg(not(feature = "postgres"))]
    Err(without_postgres(dir, url, schema, tell))
}

#[cfg(not(feature = "postgres"))]
fn without_postgres(dir: &Path, url: &DatabaseUrl, schema: &SchemaName, _: Tell<'_>) -> Refused {
    let dir = dir.display();
    Refused::Failed(format!(
        "this build has no PostgreSQL engine (it was compiled without the feature `postgres`), so nothing is moved \
         between {dir} and the schema {schema} on {url}: use another build"
    ))
}
