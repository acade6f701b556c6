//! The page without a browser: sessions, what other sites are refused, headers, and that its views can be read.

use crate::client::{Client, Reply};
use crate::daemon::Daemon;
use crate::engine::has_directory;
use crate::receiver::{Answer, Receiver};
use serde_json::{Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A browser without scripts: it keeps a cookie and sends the origin of its forms.
pub(crate) struct Browser {
    client: Client,
    origin: String,
    cookie: String,
}

impl Browser {
    pub(crate) fn open(daemon: &Daemon) -> Self {
        let client = Client::new(daemon.address, None);
        Self { client, origin: format!("http://{}", daemon.address), cookie: String::new() }
    }

    #[track_caller]
    pub(crate) fn signed_in(daemon: &Daemon) -> Self {
        Self::signed_in_with(daemon, &daemon.home().token())
    }

    #[track_caller]
    pub(crate) fn signed_in_with(daemon: &Daemon, token: &str) -> Self {
        let mut browser = Self::open(daemon);
        let reply = browser.sign_in(token).expect(303);
        browser.take_cookie(&reply);
        browser
    }

    /// The same browser at another daemon, which has another port here and the same address behind a balancer.
    pub(crate) fn at(&self, daemon: &Daemon) -> Self {
        Self { cookie: self.cookie.clone(), ..Self::open(daemon) }
    }

    /// The same session under the name that the cookie has at this daemon, which listens on another port than before.
    pub(crate) fn renamed(mut self, daemon: &Daemon) -> Self {
        let (name, value) = self.cookie.split_once('=').unwrap();
        let (name, _) = name.rsplit_once('_').unwrap();
        if has_directory() {
            self.cookie = format!("{name}_{}={value}", daemon.address.port());
        }
        self
    }

    #[track_caller]
    fn take_cookie(&mut self, reply: &Reply) {
        let cookie = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply:?}"));
        self.cookie = cookie.split(';').next().unwrap().to_owned();
    }

    /// What the script of the portal does with the address of a link.
    pub(crate) fn open_link(&mut self, url: &str) -> Reply {
        let (_, link) = url.split_once("/portal#").unwrap_or_else(|| panic!("no portal link: {url}"));
        let reply = self.post("/portal", &json!({"link": link}));
        if reply.status == 200 {
            self.take_cookie(&reply);
        }
        reply
    }

    /// A request of a script of the page.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let own = [("cookie", self.cookie.as_str()), ("origin", &self.origin), ("x-hookswitch-page", "1")];
        self.client.request(method, path, &[own.as_slice(), headers].concat(), body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    fn sign_in(&self, token: &str) -> Reply {
        let origin = ("origin", self.origin.as_str());
        self.client.request("POST", "/sign-in", &[FORM, origin], format!("token={token}").as_bytes())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.client.request("GET", path, &[("cookie", &self.cookie)], b"")
    }

    /// A change through the API with the cookie and these headers.
    fn change(&self, headers: &[(&str, &str)]) -> Reply {
        let mut all = vec![("cookie", self.cookie.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        let body = json!({"company": "acme", "url": "http://127.0.0.1:1/", "events": ["*"]});
        self.client.request("POST", "/v1/subscriptions", &all, body.to_string().as_bytes())
    }
}

#[test]
fn a_stranger_is_led_to_the_sign_in_and_back() {
    let daemon = Daemon::start();
    let stranger = Browser::open(&daemon);
    assert_eq!(stranger.get("/").expect(303).header("location"), Some("/webhooks"));
    assert_eq!(stranger.get("/webhooks").expect(303).header("location"), Some("/sign-in"));
    let wanted = stranger.get("/webhooks/new?company=a%26b").expect(303);
    let sign_in = wanted.header("location").unwrap().to_owned();
    assert_eq!(sign_in, "/sign-in?then=%2Fwebhooks%2Fnew%3Fcompany%3Da%2526b");
    let form = stranger.get(&sign_in).expect(200).text();
    assert!(form.contains("/webhooks&#x2f;new") || form.contains("&#x2f;webhooks&#x2f;new?company=a%26b"), "{form}");
    let body = format!("token={}&then=%2Fwebhooks%2Fnew%3Fcompany%3Da%2526b", daemon.home().token());
    let origin = ("origin", stranger.origin.as_str());
    let entered = stranger.client.request("POST", "/sign-in", &[FORM, origin], body.as_bytes()).expect(303);
    assert_eq!(entered.header("location"), Some("/webhooks/new?company=a%26b"));
    let elsewhere = format!("token={}&then=https%3A%2F%2Fevil.example%2F", daemon.home().token());
    let entered = stranger.client.request("POST", "/sign-in", &[FORM, origin], elsewhere.as_bytes()).expect(303);
    assert_eq!(entered.header("location"), Some("/webhooks"));
}

#[test]
fn a_session_is_a_private_cookie_and_ends_when_it_is_left() {
    let daemon = Daemon::start();
    let browser = Browser::open(&daemon);
    let reply = browser.sign_in(&daemon.home().token()).expect(303);
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(&daemon.home().token()), "{cookie}");
    let browser = Browser::signed_in(&daemon);
    browser.get("/webhooks").expect(200);
    browser.get("/v1/subscriptions").expect(200);
    let leave = |origin: &str| {
        let headers = [FORM, ("origin", origin), ("cookie", browser.cookie.as_str())];
        browser.client.request("POST", "/sign-out", &headers, b"")
    };
    leave("http://evil.example").expect(403);
    browser.get("/webhooks").expect(200);
    let left = leave(&browser.origin).expect(303);
    assert!(left.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{left:?}");
    assert_eq!(browser.get("/webhooks").expect(303).header("location"), Some("/sign-in"));
    browser.get("/v1/subscriptions").expect_problem(&[401]);
    browser.get("/sign-out").expect_problem(&[405]);
}

#[test]
fn two_daemons_on_one_host_do_not_sign_each_other_out() {
    let (one, other) = (Daemon::start(), Daemon::start());
    let mut browsers = [Browser::signed_in(&one), Browser::signed_in(&other)];
    // A browser sends a host's cookies to all of its ports; of two with the same name only the later is kept.
    let names = browsers.each_ref().map(|browser| browser.cookie.split('=').next().unwrap().to_owned());
    assert_ne!(names[0], names[1]);
    let both = browsers.each_ref().map(|browser| browser.cookie.clone()).join("; ");
    for browser in &mut browsers {
        browser.cookie.clone_from(&both);
        browser.get("/webhooks").expect(200);
    }
    let leave = [FORM, ("origin", browsers[0].origin.as_str()), ("cookie", both.as_str())];
    browsers[0].client.request("POST", "/sign-out", &leave, b"").expect(303);
    browsers[0].get("/webhooks").expect(303);
    browsers[1].get("/webhooks").expect(200);
}

#[test]
fn behind_tls_the_cookie_is_for_tls_alone() {
    let daemon = Daemon::start();
    let browser = Browser::open(&daemon);
    let body = format!("token={}", daemon.home().token());
    let origin = browser.origin.replace("http:", "https:");
    let headers = [FORM, ("origin", origin.as_str())];
    let reply = browser.client.request("POST", "/sign-in", &headers, body.as_bytes()).expect(303);
    assert!(reply.header("set-cookie").is_some_and(|cookie| cookie.contains("; Secure")), "{reply:?}");
}

#[test]
fn another_site_can_neither_sign_in_nor_change_anything() {
    let daemon = Daemon::start();
    let browser = Browser::signed_in(&daemon);
    let own = browser.origin.clone();
    let ours = ("x-hookswitch-page", "1");
    for headers in [
        vec![],
        vec![ours],
        vec![("origin", own.as_str())],
        vec![ours, ("origin", "http://evil.example")],
        vec![ours, ("origin", "null")],
        vec![ours, ("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
        vec![ours, ("origin", own.as_str()), ("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "same-origin")],
    ] {
        let refused = browser.change(&headers).expect_problem(&[403]);
        assert!(refused["detail"].as_str().unwrap().contains("Authorization"), "{refused}");
    }
    assert_eq!(daemon.list("/v1/subscriptions").len(), 0);
    browser.change(&[ours, ("origin", &own)]).expect(201);
    browser.change(&[ours, ("sec-fetch-site", "same-origin")]).expect(201);
    let body = format!("token={}", daemon.home().token());
    for origin in [None, Some("http://evil.example"), Some("null")] {
        let headers: Vec<_> = [FORM].into_iter().chain(origin.map(|origin| ("origin", origin))).collect();
        browser.client.request("POST", "/sign-in", &headers, body.as_bytes()).expect(403);
    }
}

#[test]
fn guessing_tokens_is_slowed_down() {
    let daemon = Daemon::start();
    let browser = Browser::open(&daemon);
    let mut refusals = 0;
    let limited = loop {
        let reply = browser.sign_in("hsk_guess");
        if reply.status != 403 {
            break reply.expect(429);
        }
        assert!(reply.text().contains("not known") && reply.header("set-cookie").is_none(), "{reply:?}");
        refusals += 1;
        assert!(refusals < 50, "nobody is slowed down");
    };
    assert!(limited.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0), "{limited:?}");
    // A valid token is not delayed by that, and a user who mistypes another is still told so.
    browser.sign_in("hsk_mistyped-by-somebody").expect(403);
    browser.sign_in(&daemon.home().token()).expect(303);
    let (_, exit) = daemon.stop();
    assert!(!exit.stderr.contains("hsk_guess"), "a token in the log: {}", exit.stderr);
}

#[test]
fn every_page_keeps_to_itself() {
    let daemon = Daemon::start();
    let browser = Browser::signed_in(&daemon);
    for path in [
        "/sign-in",
        "/webhooks",
        "/webhooks/new",
        "/activity",
        "/keys",
        "/status",
        "/logs",
        "/logs/dead-letters",
        "/calls",
        "/report",
        "/webhooks/sub_01K40000000000000000000000",
        "/favicon.ico",
    ] {
        let reply = browser.get(path);
        let policy = reply.header("content-security-policy").unwrap_or_else(|| panic!("{reply:?}"));
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin")] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
        let text = reply.text();
        assert!(!text.contains(" style=\"") && !text.contains("<script>") && !text.contains(" onclick="), "{text}");
    }
    let activity = browser.get("/activity?action=session.begin").expect(200).text();
    assert!(
        activity.contains("<h1>Activity</h1>") && activity.contains("data-action=\"session.begin\">Signed in<span"),
        "{activity}"
    );
    let missing = browser.get("/webhooks/sub_01K40000000000000000000000").expect(404);
    // At an unknown address a browser gets a page, a program a problem.
    let html = [("accept", "text/html,application/xhtml+xml"), ("cookie", browser.cookie.as_str())];
    for path in ["/nothing", "/webhooks/nothing", "/v1/nothing"] {
        let page = browser.client.request("GET", path, &html, b"").expect(404).text();
        assert!(page.contains("<h1>Not found</h1>") && page.contains("href=\"/webhooks\""), "{path}: {page}");
        browser.client.request("GET", path, &html[..1], b"").expect(303);
        browser.client.request("GET", path, &html[1..], b"").expect_problem(&[404]);
    }
    assert!(missing.text().contains("<h1>Not found</h1>"), "{missing:?}");
    browser.get("/webhooks?page=nonsense").expect(422);
    browser.get("/status?cursor=nonsense").expect(422);
}

#[test]
fn assets_are_kept_by_the_browser_and_sent_in_gzip() {
    let daemon = Daemon::start();
    let browser = Browser::signed_in(&daemon);
    let page = browser.get("/webhooks").expect(200).text();
    let mut bytes = page.len();
    let mut seen = 0;
    for part in page.split(['"']).filter(|part| part.starts_with("/assets/")) {
        let packed = browser.client.request("GET", part, &[("accept-encoding", "gzip, br")], b"").expect(200);
        assert!(packed.header("cache-control").is_some_and(|value| value.contains("immutable")), "{packed:?}");
        let tag = packed.header("etag").unwrap_or_else(|| panic!("{packed:?}")).to_owned();
        let headers = [("accept-encoding", "gzip"), ("if-none-match", tag.as_str())];
        let again = browser.client.request("GET", part, &headers, b"").expect(304);
        assert_eq!(again.text(), "", "{again:?}");
        bytes += browser.get(part).expect(200).text().len();
        seen += 1;
    }
    assert!(seen >= 6, "{seen} assets in {page}");
    assert!(bytes < 100 * 1024, "the first paint of the list takes {bytes} bytes, uncompressed");
    let packed = browser.client.request(
        "GET",
        "/webhooks/new",
        &[("cookie", &browser.cookie), ("accept-encoding", "gzip")],
        b"",
    );
    assert_eq!(packed.expect(200).header("content-encoding"), Some("gzip"));
}

#[test]
fn paused_and_disabled_webhooks_are_distinguished() {
    let daemon = Daemon::start();
    let gone = Receiver::start(|_| Answer::status(410));
    let subscription = daemon.subscribe(&gone.url("/"), json!({}));
    let path = format!("/v1/subscriptions/{}", subscription.id);
    let event = json!({"type": "call.missed", "company": "acme", "source": "api", "data": {"call_id": "c-1"}});
    daemon.accept(&event);
    daemon.wait_for_list("/v1/deliveries?state=failed", 1);
    let browser = Browser::signed_in(&daemon);
    let views = ["/webhooks", "/logs/dead-letters", "/status", "/calls/c-1?company=acme"];
    let shown = |word: &str| {
        for view in views {
            let text = browser.get(view).expect(200).text();
            let badges: Vec<bool> = ["Disabled", "Paused"].map(|one| text.contains(&format!(">{one}</span>"))).into();
            assert_eq!(badges, [word == "Disabled", word == "Paused"], "{view}: {text}");
        }
    };
    shown("Disabled");
    daemon.api().patch(&path, &json!({"enabled": true})).expect(200);
    daemon.api().patch(&path, &json!({"enabled": false})).expect(200);
    shown("Paused");
}

#[test]
fn views_work_without_scripts_and_show_hostile_data_as_text() {
    let daemon = Daemon::start();
    let hostile = "\"'><script>alert(1)</script>";
    let receiver = Receiver::willing();
    let url = format!("{}?{}", receiver.url("/"), "x".repeat(1_900));
    let settings = json!({"description": hostile, "domain": hostile, "company": "acme & <b>sons</b>",
        "events": ["call.new", "call.missed", "call.claimed", "call.finished"], "headers": {"X-Key": "geheim"}});
    let created = daemon.subscribe(&url, settings);
    let browser = Browser::signed_in(&daemon);
    let list = browser.get("/webhooks").expect(200).text();
    let form = browser.get(&format!("/webhooks/{}/settings", created.id)).expect(200).text();
    for text in [&list, &form] {
        assert!(!text.contains("<script>alert") && !text.contains("<b>sons"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)"), "{text}");
        assert!(!text.contains("geheim") && !text.contains(&created.secret), "a secret is shown: {text}");
    }
    assert!(list.contains("Finished call") && list.contains("and 1 more"), "{list}");
    assert!(form.contains("X-Key") && form.contains("Dana Whitfield"), "{form}");
    let other = browser.get("/webhooks?company=other").expect(200).text();
    assert!(!other.contains(&created.id) && other.contains("/webhooks/new?company=other"), "{other}");
    let preview = browser.get("/webhooks/preview?format=form&layout=flat&event=call.missed&company=acme").expect(200);
    assert!(preview.json()["body"].as_str().unwrap().starts_with("event=call.missed\ncall_id="), "{preview:?}");
    browser.get("/webhooks/preview?format=xml").expect_problem(&[422]);
}

#[test]
fn a_new_webhooks_secret_is_kept_for_the_browser_that_was_shown_it_until_it_is_saved() {
    let daemon = Daemon::start();
    let shown = |browser: &Browser| {
        let html = browser.get("/webhooks/new").expect(200).text().replace("&#x2f;", "/");
        let at = html.find("whsec_").filter(|at| !html[..*at].ends_with("strlen('"));
        let secret = at.map(|at| html[at..].chars().take_while(|c| *c != '"').collect::<String>());
        secret.unwrap_or_else(|| panic!("no secret: {html}"))
    };
    let (one, other) = (Browser::signed_in(&daemon), Browser::signed_in(&daemon));
    let secret = shown(&one);
    assert_eq!(secret.len(), "whsec_".len() + 44, "{secret}");
    assert_eq!(shown(&one), secret, "the same again");
    assert_ne!(shown(&other), secret, "another browser has its own");
    daemon.subscribe("http://127.0.0.1:9/", json!({"secret": secret}));
    assert_ne!(shown(&one), secret, "it is another webhook's now");
    let reader = daemon.api().post("/v1/tokens", &json!({"role": "read"})).expect(201).json();
    let mut browser = Browser::open(&daemon);
    let reply = browser.sign_in(reader["token"].as_str().unwrap()).expect(303);
    browser.cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(!browser.get("/webhooks/new").expect(403).text().contains("whsec_"));
}

#[test]
fn every_view_speaks_the_language_of_its_viewer() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let webhook = daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&json!({"type": "call.missed", "company": "acme", "source": "api", "data": {"call_id": "c-1"}}));
    let entries = daemon.wait_for_list("/v1/log", 1);
    let entry = entries[0]["id"].as_str().unwrap();
    let browser = Browser::signed_in(&daemon);
    let views = [
        ("/webhooks", ["Last response", "Letzte Antwort", "Última respuesta"]),
        ("/webhooks/new", ["Signing secret", "Signaturgeheimnis", "Secreto de firma"]),
        (
            &format!("/webhooks/{}/settings", webhook.id),
            ["Advanced settings", "Erweiterte Einstellungen", "Configuración avanzada"],
        ),
        ("/logs", ["Every delivery attempt", "Alle Zustellversuche", "Todos los intentos de entrega"]),
        (&format!("/logs/{entry}"), ["Link to this entry", "Link zu diesem Eintrag", "Enlace a este registro"]),
        ("/logs/dead-letters", ["No dead letters", "Nichts Unzustellbares", "No hay entregas fallidas"]),
        ("/calls", ["Missed", "Verpasst", "Perdida"]),
        ("/calls/c-1?company=acme", ["Timeline", "Verlauf", "Cronología"]),
        ("/report", ["Connection rate", "Verbindungsquote", "Tasa de conexión"]),
        ("/activity", ["Before and after", "Vorher und nachher", "Antes y después"]),
        ("/keys", ["Permissions", "Berechtigungen", "Permisos"]),
        ("/status", ["Free disk space", "Freier Speicherplatz", "Espacio libre en disco"]),
        ("/webhooks/sub_01K40000000000000000000000", ["Not found", "Nicht gefunden", "No encontrado"]),
    ];
    for (at, tag) in ["en", "de", "es"].into_iter().enumerate() {
        for (path, words) in &views {
            if *path == "/status" && !has_directory() {
                continue;
            }
            let text =
                browser.send("GET", path, &[("accept-language", &format!("fr, {tag}-XX;q=0.8, *;q=0.1"))], b"").text();
            assert!(text.contains(&format!("<html lang=\"{tag}\">")), "{path}: {text}");
            for (other, word) in words.iter().enumerate() {
                assert_eq!(text.contains(&word.replace('/', "&#x2f;")), other == at, "{path} in {tag}: {word}: {text}");
            }
            assert!(text.contains("id=\"texts\">{\""), "{path}: the texts of the scripts are missing: {text}");
        }
        let stranger = Client::new(daemon.address, None);
        let form = stranger.request("GET", "/sign-in", &[("accept-language", tag)], b"").expect(200).text();
        assert!(form.contains(["Your administrator", "Ihrer Administration", "su administrador"][at]), "{form}");
    }
}

#[test]
fn the_language_is_switched_on_the_page_and_stays() {
    let daemon = Daemon::start();
    let mut browser = Browser::signed_in(&daemon);
    let german = browser.send("GET", "/logs?status=failed", &[("accept-language", "de")], b"").expect(200).text();
    assert!(
        german.contains("name=\"then\" value=\"&#x2f;logs?status=failed\"") && german.contains("selected>Deutsch"),
        "{german}"
    );
    let body = b"language=es&then=%2Flogs%3Fstatus%3Dfailed";
    let switched = browser.send("POST", "/language", &[FORM], body).expect(303);
    assert_eq!(switched.header("location"), Some("/logs?status=failed"));
    let cookie = switched.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("hookswitch_language=es;") && cookie.contains("SameSite=Lax"), "{cookie}");
    browser.cookie += "; hookswitch_language=es";
    let spanish = browser.send("GET", "/logs", &[("accept-language", "de")], b"").expect(200).text();
    assert!(spanish.contains("<html lang=\"es\">"), "{spanish}");
    browser.send("POST", "/language", &[FORM], b"language=fr").expect(422);
    browser.send("POST", "/language", &[FORM, ("sec-fetch-site", "cross-site")], body).expect(403);
    let elsewhere =
        browser.send("POST", "/language", &[FORM], b"language=de&then=https%3A%2F%2Fevil.example%2F").expect(303);
    assert_eq!(elsewhere.header("location"), Some("/webhooks"));
    browser.get("/language").expect_problem(&[405]);
}

#[test]
fn the_first_paint_of_every_view_is_small_in_every_language() {
    const MOST: usize = 60 * 1024;
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let webhook = daemon.subscribe(&receiver.url("/"), json!({}));
    let browser = Browser::signed_in(&daemon);
    let length = |path: &str, language: &str| {
        let headers = [("accept-encoding", "gzip"), ("accept-language", language), ("cookie", browser.cookie.as_str())];
        let reply = browser.client.request("GET", path, &headers, b"").expect(200);
        reply.header("content-length").and_then(|length| length.parse::<usize>().ok()).expect("a length")
    };
    let stored = ["", "/settings", "/code"].map(|tab| format!("/webhooks/{}{tab}", webhook.id));
    for path in [
        "/webhooks",
        "/webhooks/new",
        &stored[0],
        &stored[1],
        &stored[2],
        "/event-types",
        "/search?q=x",
        "/logs",
        "/logs/dead-letters",
        "/calls",
        "/report",
        "/activity",
        "/keys",
        "/status",
    ] {
        let page = browser.get(path).expect(200).text();
        let mut open: Vec<String> =
            page.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned).collect();
        let (mut seen, mut assets) = (std::collections::BTreeSet::new(), 0);
        while let Some(asset) = open.pop() {
            if !seen.insert(asset.clone()) {
                continue;
            }
            assets += length(&asset, "en");
            let text = browser.get(&asset).expect(200).text();
            let base = asset.rsplit_once('/').unwrap().0;
            for from in
                text.lines().filter(|line| line.starts_with("import ")).filter_map(|line| line.rsplit('"').nth(1))
            {
                open.push(match from.strip_prefix("../") {
                    Some(rest) => format!("{}/{rest}", base.rsplit_once('/').unwrap().0),
                    None => format!("{base}/{}", from.trim_start_matches("./")),
                });
            }
        }
        for language in ["en", "de", "es"] {
            let bytes = assets + length(path, language);
            println!("{path} in {language}: {bytes} bytes, {assets} of them scripts and styles");
            assert!(bytes <= MOST, "{path} in {language} takes {bytes} bytes at first");
        }
    }
}
