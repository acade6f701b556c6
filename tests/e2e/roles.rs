//! Every operation of the API's own description, called with every kind of token: none, an unknown one, and one of
//! each role, of no company, of the company of the resources, and of another.

use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::daemon::Daemon;
use crate::page::Browser;
use crate::platform::{COMPANY, event};
use crate::receiver::Receiver;

const CALL: &str = "call-of-acme";
const OTHER: &str = "other";
/// An id that does not exist.
const NOBODYS: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// An operation, with a request for it.
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    roles: Vec<String>,
    /// Whether a token bound to a company is refused.
    all_companies: bool,
    /// The body's type and the body, from the description's example.
    body: Option<(String, String)>,
    query: String,
}

impl Operation {
    /// Whether it concerns a single resource of a company.
    fn is_of_one(&self) -> bool {
        self.path.contains('{') && !self.path.contains("{type}")
    }

    /// Whether the request names the company.
    fn names_company(&self) -> bool {
        let named = |text: &str| text.replace(' ', "").contains(&format!("\"company\":\"{COMPANY}\""));
        self.query.contains("company=") || self.body.as_ref().is_some_and(|(_, body)| named(body))
    }

    pub(crate) fn call(&self, client: &Client, path: &str) -> Reply {
        let path = format!("{path}{}", self.query);
        match &self.body {
            Some((media, body)) => client.request(&self.method, &path, &[("content-type", media)], body.as_bytes()),
            None => client.request(&self.method, &path, &[], b""),
        }
    }
}

/// All operations; those that delete something come last.
pub(crate) fn operations(description: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("operations").iter().filter(|(name, _)| *name != "parameters")
        {
            let roles = operation["x-roles"].as_array().unwrap_or_else(|| panic!("{method} {path} has no x-roles"));
            let bodies = operation["requestBody"]["content"].as_object();
            let body = bodies.and_then(|all| all.get_key_value("application/json").or_else(|| all.iter().next()));
            let needs_company = operation["parameters"].as_array().into_iter().flatten().any(|parameter| {
                parameter["in"] == "query" && parameter["name"] == "company" && parameter["required"] == true
            });
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                roles: roles.iter().map(|role| role.as_str().expect("a role").to_owned()).collect(),
                all_companies: operation["x-bound"] == "refused",
                body: body.map(|(media, content)| (media.clone(), content["example"].to_string())),
                query: if needs_company { format!("?company={COMPANY}") } else { String::new() },
            });
        }
    }
    let takes_away = |operation: &Operation| {
        let last = operation.path.rsplit('/').next().unwrap_or_default();
        operation.method == "DELETE" || ["erase", "discard", "cancel"].contains(&last)
    };
    all.sort_by_key(|operation| (operation.method == "DELETE", takes_away(operation)));
    all
}

/// One resource of each kind, all of the company.
pub(crate) struct Things {
    event: String,
    subscription: String,
    delivery: String,
    entry: String,
    token: String,
    session: String,
    link: String,
}

impl Things {
    pub(crate) fn of(daemon: &Daemon, receiver: &Receiver) -> Self {
        let subscription = daemon.subscribe(&receiver.url("/"), json!({})).id;
        let accepted = daemon.accept(&event("call.new", CALL));
        let message = json!({"company": COMPANY, "source": "widget", "call_id": CALL, "direction": "outbound",
            "from": "+12025550100", "to": "+12025550142", "body": "Shall we call back?"});
        daemon.api().post("/v1/messages", &message).expect(202);
        receiver.wait_for(1);
        let entry = daemon.wait_for_list("/v1/log", 1)[0]["id"].as_str().expect("an id").to_owned();
        let delivery = daemon.list("/v1/deliveries")[0]["id"].as_str().expect("an id").to_owned();
        let token = daemon.api().post("/v1/tokens", &json!({"role": "read", "company": COMPANY})).expect(201).json();
        let link =
            |daemon: &Daemon| daemon.api().post("/v1/portal-links", &json!({"company": COMPANY})).expect(201).json();
        Browser::open(daemon).open_link(link(daemon)["url"].as_str().expect("an address")).expect(200);
        let session = daemon.list("/v1/sessions")[0]["id"].as_str().expect("an id").to_owned();
        let link = link(daemon);
        let id = |document: &Value| document["id"].as_str().expect("an id").to_owned();
        Self { event: id(&accepted), subscription, delivery, entry, token: id(&token), session, link: id(&link) }
    }

    fn ids(&self) -> [&str; 8] {
        let Self { event, subscription, delivery, entry, token, session, link } = self;
        [event, subscription, delivery, entry, token, session, link, CALL]
    }

    /// `path` with the ids of these resources, and with ids that do not exist.
    pub(crate) fn fill(&self, path: &str) -> (String, String) {
        let of = |collection: &str| match collection {
            "events" => self.event.as_str(),
            "subscriptions" => &self.subscription,
            "deliveries" => &self.delivery,
            "log" => &self.entry,
            "tokens" => &self.token,
            "sessions" => &self.session,
            "portal-links" => &self.link,
            "event-types" => "call.new",
            _ => CALL,
        };
        let (mut there, mut nowhere) = (Vec::new(), Vec::new());
        let mut before = "";
        for segment in path.split('/') {
            let id = if segment.starts_with('{') { of(before) } else { segment };
            there.push(id.to_owned());
            nowhere.push(match id.split_once('_') {
                Some((prefix, _)) if segment == "{id}" => format!("{prefix}_{NOBODYS}"),
                _ if segment == "{call_id}" => "a-call-of-nobody".to_owned(),
                _ => id.to_owned(),
            });
            before = segment;
        }
        (there.join("/"), nowhere.join("/"))
    }
}

fn token(daemon: &Daemon, role: &str, company: Option<&str>) -> Client {
    let made = daemon.api().post("/v1/tokens", &json!({"role": role, "company": company})).expect(201).json();
    Client::new(daemon.address, made["token"].as_str().map(str::to_owned))
}

#[track_caller]
fn must_do(at: &str, reply: &Reply, operation: &Operation) {
    // An ended delivery cannot be cancelled, and a deleted resource is gone.
    let excused = [409].contains(&reply.status) || (operation.method == "DELETE" && reply.status == 404);
    assert!((200..300).contains(&reply.status) || excused, "{at}: {reply:?}");
}

/// What a token of another company sees.
fn check_foreign(at: &str, operation: &Operation, client: &Client, things: &Things) {
    let (there, nowhere) = things.fill(&operation.path);
    let reply = operation.call(client, &there);
    if operation.all_companies || operation.names_company() {
        let _ = reply.expect_problem(&[403]);
        return;
    }
    if operation.is_of_one() {
        let real = reply.expect_problem(&[404]);
        let made_up = operation.call(client, &nowhere).expect_problem(&[404]);
        assert_eq!(real, made_up, "{at}: one can tell what there is");
        return;
    }
    must_do(at, &reply, operation);
    for id in things.ids() {
        assert!(!reply.text().contains(id), "{at} shows {id} of another company: {reply:?}");
    }
    assert!(!reply.text().contains(&format!("\"company\":\"{COMPANY}\"")), "{at}: {reply:?}");
}

#[test]
fn every_operation_enforces_its_roles_and_companies() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let things = Things::of(&daemon, &receiver);
    let description = Client::new(daemon.address, None).get("/openapi.json").expect(200).json();
    let operations = operations(&description);
    assert!(operations.len() >= 30, "the description has {} operations only", operations.len());
    let nobody = Client::new(daemon.address, None);
    let stranger = Client::new(daemon.address, Some("hsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()));
    let roles = ["ingest", "read", "admin"];
    let of = |company| roles.map(|role| (role, token(&daemon, role, company)));
    let (all, own, foreign) = (of(None), of(Some(COMPANY)), of(Some(OTHER)));
    for operation in &operations {
        let at = format!("{} {}", operation.method, operation.path);
        let (there, _) = things.fill(&operation.path);
        if operation.roles.is_empty() {
            must_do(&at, &operation.call(&nobody, &there), operation);
            continue;
        }
        for client in [&nobody, &stranger] {
            let reply = operation.call(client, &there);
            assert!(reply.header("www-authenticate").is_some(), "{at}: no challenge in {reply:?}");
            reply.expect_problem(&[401]);
        }
        let may = |role: &str| operation.roles.iter().any(|known| known == role);
        for (role, client) in foreign.iter().chain(&own).chain(&all).filter(|(role, _)| !may(role)) {
            let problem = operation.call(client, &there).expect_problem(&[403]);
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(role), "{at} as {role}: {detail}");
        }
        for (role, client) in foreign.iter().filter(|(role, _)| may(role)) {
            check_foreign(&format!("{at} as {role} of another company"), operation, client, &things);
        }
        for (role, client) in own.iter().filter(|(role, _)| may(role)) {
            let reply = operation.call(client, &there);
            if operation.all_companies {
                reply.expect_problem(&[403]);
            } else {
                must_do(&format!("{at} as {role} of the company"), &reply, operation);
            }
        }
        for (role, client) in all.iter().filter(|(role, _)| may(role)) {
            must_do(&format!("{at} as {role}"), &operation.call(client, &there), operation);
        }
    }
}

/// What somebody who came by a portal link may ask for.
const IN_PORTAL: [&str; 26] = [
    "GET /v1/events",
    "GET /v1/events/{id}",
    "GET /v1/event-types",
    "GET /v1/event-types/{type}",
    "GET /v1/conversations",
    "GET /v1/conversations/{call_id}",
    "GET /v1/subscriptions",
    "POST /v1/subscriptions",
    "GET /v1/subscriptions/{id}",
    "PATCH /v1/subscriptions/{id}",
    "DELETE /v1/subscriptions/{id}",
    "GET /v1/subscriptions/{id}/secret",
    "GET /v1/subscriptions/{id}/events",
    "POST /v1/preview",
    "GET /v1/presets",
    "GET /v1/deliveries",
    "GET /v1/deliveries/{id}",
    "POST /v1/deliveries/{id}/retry",
    "POST /v1/deliveries/{id}/cancel",
    "GET /v1/log",
    "GET /v1/log/{id}",
    "GET /v1/calls",
    "GET /v1/calls/{call_id}",
    "GET /v1/report/calls",
    "POST /v1/test",
    "GET /openapi.json",
];
/// The same below one subscription.
const BELOW_SUBSCRIPTION: [&str; 6] = ["rotate-secret", "test", "handshake", "replay", "discard", "copy"];

fn is_in_portal(at: &str) -> bool {
    let below = |name: &&str| at == format!("POST /v1/subscriptions/{{id}}/{name}");
    IN_PORTAL.contains(&at) || BELOW_SUBSCRIPTION.iter().any(below)
}

/// A visitor's request for an operation.
fn visit(browser: &Browser, operation: &Operation, path: &str) -> Reply {
    let path = format!("{path}{}", operation.query);
    match &operation.body {
        Some((media, body)) => browser.send(&operation.method, &path, &[("content-type", media)], body.as_bytes()),
        None => browser.send(&operation.method, &path, &[], b""),
    }
}

/// Every operation by those who came by a portal link: of each role, of the company of the resources, of another company,
/// and of a domain of the company that nothing is of.
#[test]
fn every_operation_enforces_what_a_portal_link_gives() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let things = Things::of(&daemon, &receiver);
    let description = Client::new(daemon.address, None).get("/openapi.json").expect(200).json();
    let visitor = |company: &str, role: &str, domain: Option<&str>| {
        let settings = json!({"company": company, "role": role, "domain": domain});
        let made = daemon.api().post("/v1/portal-links", &settings).expect(201).json();
        let mut browser = Browser::open(&daemon);
        browser.open_link(made["url"].as_str().expect("an address")).expect(200);
        browser
    };
    let of = |company, domain| ["read", "admin"].map(|role| (role, visitor(company, role, domain)));
    let (own, foreign, elsewhere) = (of(COMPANY, None), of(OTHER, None), of(COMPANY, Some("nothing.acme.example")));
    let mut in_portal = 0;
    for operation in operations(&description).iter().filter(|operation| !operation.roles.is_empty()) {
        let at = format!("{} {}", operation.method, operation.path);
        let (there, nowhere) = things.fill(&operation.path);
        let may = |role: &str| operation.roles.iter().any(|known| known == role);
        for (role, browser) in own.iter().chain(&foreign).chain(&elsewhere) {
            if !is_in_portal(&at) || !may(role) {
                let _ = visit(browser, operation, &there).expect_problem(&[403]);
            }
        }
        if !is_in_portal(&at) {
            continue;
        }
        in_portal += 1;
        for (place, (role, browser)) in
            foreign.iter().map(|one| ("company", one)).chain(elsewhere.iter().map(|one| ("domain", one)))
        {
            let at = format!("{at} as {role} of another {place}");
            if !may(role) || (place == "domain" && operation.method == "POST" && operation.path == "/v1/subscriptions")
            {
                continue;
            }
            let reply = visit(browser, operation, &there);
            if place == "company" && operation.names_company() {
                let _ = reply.expect_problem(&[403]);
            } else if operation.is_of_one() {
                let real = reply.expect_problem(&[404]);
                let made_up = visit(browser, operation, &nowhere).expect_problem(&[404]);
                assert_eq!(real, made_up, "{at}: one can tell what there is");
            } else {
                must_do(&at, &reply, operation);
                for id in things.ids() {
                    assert!(!reply.text().contains(id), "{at} shows {id}: {reply:?}");
                }
            }
        }
        for (role, browser) in own.iter().filter(|(role, _)| may(role)) {
            must_do(&format!("{at} as {role} of the company"), &visit(browser, operation, &there), operation);
        }
    }
    assert_eq!(in_portal, IN_PORTAL.len() - 1 + BELOW_SUBSCRIPTION.len(), "all of them are described");
}
