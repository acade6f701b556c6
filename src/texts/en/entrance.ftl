# Signing in with a token

sign-in = Sign in
token = Token
sign-in-token-help = Your administrator gives you one. The first one is in the file { $file } of the data directory.
sign-in-no-token = Enter a token.
sign-in-ingest = This token can only post events. Sign in with one that has the role “read” or “admin”.
sign-in-unknown = This token is not known. Check that it is complete.
sign-in-too-many =
    This token is not known, and too many have been tried. Try again in { $seconds ->
        [one] { $seconds } second
       *[other] { $seconds } seconds
    }.

# Signing in by a portal link

portal-signing-in = Signing in
portal-moment = One moment, please.
portal-needs-scripts = This requires JavaScript: allow it for this page, then open the link again from where you found it.
portal-nobody = Nobody is signed in here any more. Go back to your account settings and open the webhooks from there again.
portal-signed-out = Signed out
portal-refused = This link cannot be used
portal-refused-now = This link cannot be used at the moment.
portal-unreachable = The server cannot be reached
portal-unreachable-advice = Check the connection, then open the link again.
portal-used = This link has already been used: each link opens the page once. Go back to where you found it and open it again from there.
portal-expired = This link has expired: each link works for a few minutes only. Go back to where you found it and open it again from there.
portal-unknown = This link is not valid: it is incomplete, was changed on the way, or was revoked. Go back to where you found it and open it again from there.
portal-too-many =
    Too many links that are not valid were tried. Try again in { $seconds ->
        [one] { $seconds } second
       *[other] { $seconds } seconds
    }.

# Signing in at the provider of OpenID Connect

sign-in-with = Sign in with { $provider }
oidc-signed-in = You are signed in
oidc-not-signed-in = You are not signed in
oidc-continue = Continue
oidc-again = Try again with { $provider }
oidc-by-token = Sign in with a token
oidc-elsewhere = This sign-in was not begun in this browser at this address, or another one was begun in it since.
oidc-late = You were away for more than ten minutes, so this sign-in has expired.
oidc-used = This sign-in has been used already: each opens the page once.
oidc-declined = { $provider } did not sign you in: you declined, or it does not let you use this page.
oidc-not-accepted = What { $provider } answered could not be accepted. If it happens again, tell your administrator.
oidc-token-expired = What { $provider } answered had expired when it came. If it happens again, tell your administrator: the clocks may differ.
oidc-group = { $provider } knows you, but none of your groups may use this page. Ask your administrator to be added to one.
oidc-away = { $provider } cannot be reached at the moment. Try again in a little while.
oidc-too-many =
    Too many sign-ins have failed. Try again in { $seconds ->
        [one] { $seconds } second
       *[other] { $seconds } seconds
    }.
