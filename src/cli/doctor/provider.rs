//! The provider of OpenID Connect of `[page.oidc]`: whether it answers, and as the issuer that is configured.

use super::check::Check;
use crate::config::{Config, SecretSource};
use crate::daemon;
use crate::service::ClientSecretFile;

const NAME: &str = "sign-in";

/// Asks the provider for what it publishes. None without one.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let Some(oidc) = &config.page.oidc else { return Vec::new() };
    let mut checks = Vec::from_iter(secret_file(&oidc.secret));
    let issuer = &oidc.allowed.issuer;
    checks.push(match daemon::provider(config) {
        // The sentence has the remedy. The credential is the service's alone, and may well be there.
        Err(why) if oidc.secret == SecretSource::Credential => {
            Check::warn(NAME, why.to_string(), "if the unit hands the credential over, the daemon has it")
        }
        Err(why) => Check::fail(NAME, why.to_string(), "the daemon does not start in this state"),
        Ok(None) => return checks,
        Ok(Some(provider)) => match provider.inspect() {
            Ok(()) => Check::ok(NAME, format!("{issuer} answers; {} must be registered there", oidc.callback)),
            Err(why) => Check::fail(
                NAME,
                format!("nobody can sign in at {issuer}: {why}"),
                "compare `issuer` in [page.oidc] with what the provider calls itself, and look at the way to it: names, \
                 firewall, `extra_ca` and `proxy` in [network]",
            ),
        },
    });
    checks
}

/// Whether others can read the file with the secret.
fn secret_file(secret: &SecretSource) -> Option<Check> {
    let SecretSource::File(path) = secret else { return None };
    // One that cannot be read is a fault of the next check.
    let mode = ClientSecretFile::read(path).ok()?.open_to_others()?;
    let path = path.display();
    let message = format!("{path}, with the secret of [page.oidc], is open to other users (mode {mode:04o})");
    Some(Check::warn("client secret", message, format!("chmod 600 {path}")))
}
