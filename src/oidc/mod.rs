//! Signing in by OpenID Connect: the only module that knows the library for it.
//!
//! Speaks to the provider: what it publishes of itself (OpenID Connect Discovery 1.0, RFC 7517), the address that a
//! browser is sent to (the code flow with PKCE, RFC 7636), and the exchange of the code that comes back for an ID token,
//! which is verified. Every call blocks, for [`LIMIT`] at most for each of its requests: never call it on an async thread.
//!
//! Must not know sessions, pages or cookies, nor who is allowed in. Invariants: no secret, code or token is in any message;
//! nothing is asked for over plain HTTP, except on this machine; nobody is identified by a token that is not the
//! provider's, for this client, for this sign-in and in its time.

mod failure;
mod identity;
mod published;

use std::time::{Duration, UNIX_EPOCH};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
    CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenClaims, IdTokenFields, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _, TokenUrl, UserInfoUrl,
};
use url::Url;

pub use self::failure::Failure;
use self::failure::{Unanswered, Unverified, no_user_info, not_accepted, not_exchanged};
pub use self::identity::Identity;
use self::identity::{Claims, Told};
use self::published::{Published, is_unknown_key};
use crate::core::hidden::Hidden;
use crate::core::oidc::{Allowed, PendingSignIn, check_address};
use crate::core::time::Timestamp;
use crate::sender::TransportHandle;
use crate::sender::fetch::fetch;
use crate::sender::handshake::Trouble;

/// Time limit of a request to the provider.
pub const LIMIT: Duration = Duration::from_secs(10);
/// How far its clock and ours may be apart.
pub const SKEW: Duration = Duration::from_secs(60);
/// The largest answer: providers of many tenants publish many keys.
const ANSWER_MOST: usize = 512 * 1024;

/// The algorithms of ID tokens that are taken: those with a public key.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// `[page.oidc]`, with its secret.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// What people call it.
    pub name: String,
    /// Its identifier, which is also where it publishes what it is.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What we show it.
    pub client_secret: Hidden,
    /// What we ask for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with somebody's groups.
    pub groups_claim: String,
    /// Where browsers come back to.
    pub callback: String,
    /// Who is allowed in.
    pub allowed: Allowed,
}

/// A provider of OpenID Connect.
pub struct Provider {
    settings: ProviderSettings,
    transport: TransportHandle,
    published: Published,
}

type IdFields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<IdFields, CoreTokenType>;
/// The library's client, for claims of any name.
type OidcClient = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl Provider {
    /// A provider that is asked through `transport`. Asks nothing yet.
    pub fn new(settings: ProviderSettings, transport: TransportHandle) -> Self {
        Self { settings, transport, published: Published::default() }
    }

    /// The transport, which may be exchanged.
    pub const fn transport(&self) -> &TransportHandle {
        &self.transport
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its identifier.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Where browsers come back to.
    pub fn callback(&self) -> &str {
        &self.settings.callback
    }

    /// Who is allowed in.
    pub const fn allowed(&self) -> &Allowed {
        &self.settings.allowed
    }

    /// Asks it for what it publishes: whether it answers, and as the issuer that is configured.
    ///
    /// # Errors
    /// What is wrong with its answer.
    pub fn inspect(&self) -> Result<(), Failure> {
        let known = self.published.anew(&self.settings.issuer, &|request| self.send(request))?;
        self.client(&known).map(drop)
    }

    /// The address at which the provider asks somebody who they are.
    ///
    /// # Errors
    /// It cannot be reached, or does not answer as a provider.
    pub fn begin(&self, pending: &PendingSignIn) -> Result<Url, Failure> {
        let client = self.client(self.published.get(&self.settings.issuer, &|request| self.send(request))?.as_ref())?;
        let verifier = PkceCodeVerifier::new(pending.verifier().expose().to_owned());
        let (state, nonce) = (pending.state(), pending.nonce());
        let asked = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        Ok(asked.add_scopes(scopes).set_pkce_challenge(challenge).url().0)
    }

    /// Who came back with `code`.
    ///
    /// # Errors
    /// The provider refuses the code or cannot be reached; or its ID token is not for this sign-in, or not in its time.
    pub fn finish(&self, pending: &PendingSignIn, code: &str, now: Timestamp) -> Result<Identity, Failure> {
        let send = |request| self.send(request);
        let client = self.client(self.published.get(&self.settings.issuer, &send)?.as_ref())?;
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let exchange = exchange.map_err(|_| Failure::Away("it publishes no `token_endpoint`".to_owned()))?;
        let verifier = PkceCodeVerifier::new(pending.verifier().expose().to_owned());
        let tokens = exchange.set_pkce_verifier(verifier).request(&send).map_err(not_exchanged)?;
        let nonce = Nonce::new(pending.nonce());
        let claims = match verified(&client, &tokens, &nonce, now) {
            // The provider has new keys.
            Err(why) if is_unknown_key(&why) => {
                let client = self.client(self.published.anew(&self.settings.issuer, &send)?.as_ref())?;
                verified(&client, &tokens, &nonce, now)
            }
            done => done,
        };
        let claims = claims.map_err(|why| not_accepted(&why))?;
        let told = Told::by_token(&claims, &self.settings.groups_claim);
        if told.is_complete() {
            return Ok(told.identity());
        }
        // Many providers put into the ID token only what is asked for by name.
        let Ok(asked) = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone())) else {
            return Ok(told.identity());
        };
        let more = asked.request(&send).map_err(|error| no_user_info(&error))?;
        Ok(told.completed_by(&more, &self.settings.groups_claim).identity())
    }

    fn client(&self, known: &CoreProviderMetadata) -> Result<OidcClient, Failure> {
        let addresses = [
            ("authorization_endpoint", Some(known.authorization_endpoint().url())),
            ("token_endpoint", known.token_endpoint().map(TokenUrl::url)),
            ("userinfo_endpoint", known.userinfo_endpoint().map(UserInfoUrl::url)),
        ];
        for (name, url) in addresses {
            let good = url.map_or(Ok(()), check_address);
            good.map_err(|wanted| Failure::Away(format!("its `{name}` {wanted}")))?;
        }
        let settings = &self.settings;
        let secret = ClientSecret::new(settings.client_secret.expose().to_owned());
        let back = RedirectUrl::new(settings.callback.clone());
        let back = back.map_err(|_| Failure::Away("the callback is no URL".to_owned()))?;
        let id = ClientId::new(settings.client_id.clone());
        let client = Client::from_provider_metadata(known.clone(), id, Some(secret)).set_redirect_uri(back);
        // The default of the standard is the header.
        let takes = known.token_endpoint_auth_methods_supported();
        let takes = |method| takes.is_none_or(|all: &Vec<_>| all.contains(&method));
        let in_body = !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost);
        Ok(if in_body { client.set_auth_type(AuthType::RequestBody) } else { client })
    }

    /// The HTTP client of the library.
    fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let url = request.uri().to_string();
        let parsed = Url::parse(&url).map_err(|error| Unanswered(format!("{url} is no URL: {error}")))?;
        check_address(&parsed).map_err(|wanted| Unanswered(format!("{url} {wanted}")))?;
        let answered = fetch(&self.transport.get(), request, LIMIT, ANSWER_MOST);
        answered.map_err(|Trouble { fault, detail, .. }| {
            let why = if detail.is_empty() { fault.to_string() } else { detail };
            Unanswered(format!("{url}: {why}"))
        })
    }
}

/// The claims of the ID token among `tokens`.
fn verified(
    client: &OidcClient,
    tokens: &Tokens,
    nonce: &Nonce,
    now: Timestamp,
) -> Result<IdTokenClaims<Claims, CoreGenderClaim>, Unverified> {
    let token = tokens.id_token().ok_or(Unverified::NoToken)?;
    let at = move |time: Duration| (UNIX_EPOCH + time).into();
    let since_epoch = Duration::from_millis(now.millis());
    let latest = i64::try_from((since_epoch + SKEW).as_secs()).unwrap_or(i64::MAX);
    let verifier: CoreIdTokenVerifier<'_> = client.id_token_verifier();
    let verifier = verifier.set_allowed_algs(ALGORITHMS).set_time_fn(move || at(since_epoch.saturating_sub(SKEW)));
    let claims = token.claims(&verifier, nonce).map_err(Unverified::Claims)?;
    if claims.issue_time().timestamp() > latest {
        return Err(Unverified::Future);
    }
    if let Some(wanted) = claims.access_token_hash() {
        let key = token.signing_key(&verifier).map_err(|_| Unverified::AccessToken)?;
        let algorithm = token.signing_alg().map_err(|_| Unverified::AccessToken)?;
        let own = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
        if own.ok().as_ref() != Some(wanted) {
            return Err(Unverified::AccessToken);
        }
    }
    Ok(claims.clone())
}
