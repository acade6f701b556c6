//! Realistic bytes of platforms and receivers, with realistic compressibility: names, numbers, ids and speech.
//!
//! A constant filler would make every figure about space look too good.

/// Words of calls about houses, cars and appointments, most frequent first.
const WORDS: &str = "the to and a I you is it of in that for we have on be with at are can this was do call not will if so \
    but me my your about what they just our would there from get as or out time how know back like when up one could \
    tomorrow today morning afternoon Thursday Monday Friday next week please thank thanks yes no okay sure hello hi \
    number phone email address office price quote offer service appointment schedule available between before after noon \
    evening o'clock half hour minutes two three four five eight ten twenty fifty hundred thousand dollars website form \
    question problem order delivery invoice payment card account customer support agent manager sales team someone \
    speak talk wait hold moment second check look find send receive message text reply answer need want interested \
    looking house apartment kitchen roof window heating repair estimate insurance car tires engine brakes lease loan \
    bank rate monthly down already still again never always maybe probably really very much little bit more less \
    better best good great nice bad sorry wrong right left street north south area near far parking front side door \
    name spell letter first last company business hours open closed weekend holiday Saturday Sunday children school \
    doctor dentist clinic patient medicine pain teeth cleaning insurance policy claim accident damage water leak pipe \
    bathroom floor paint wall garden tree fence garage installer technician visit inspect measure deposit contract \
    sign cancel change confirm remind forgot missed ringing voicemail recorded line busy connected transfer extension \
    husband wife son daughter mother neighbour friend recommended review internet advert saw heard found Google";

const FIRST: [&str; 24] = [
    "James", "Maria", "Zoë", "Robert", "Linda", "Ahmed", "Wei", "Priya", "José", "Anna", "Dmitri", "Fatima", "Kevin",
    "Susan", "Olga", "Tomasz", "Chloe", "Marcus", "Yuki", "Ingrid", "Paul", "Nadia", "Björn", "Teresa",
];
const LAST: [&str; 24] = [
    "Smith",
    "Garcia",
    "Müller",
    "Okafor",
    "Nguyen",
    "Patel",
    "Kowalski",
    "Johnson",
    "Rossi",
    "Haddad",
    "Tanaka",
    "Ivanova",
    "Silva",
    "Brown",
    "Lindqvist",
    "Cohen",
    "O'Brien",
    "Moreau",
    "Schmidt",
    "Davis",
    "Kim",
    "Novak",
    "Reyes",
    "Larsen",
];
const PAGES: [&str; 6] =
    ["/", "/pricing", "/contact", "/services/roof-repair", "/blog/how-to-choose", "/book?utm_source=ads"];

/// Random numbers, determined by a seed.
pub(crate) struct Draw(u64);

impl Draw {
    /// Those of the `seed`th event.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// 64 bits of noise (splitmix64).
    pub(crate) fn noise(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.noise() % most
    }

    fn of<'w>(&mut self, all: &[&'w str]) -> &'w str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }

    /// Speech of about this many bytes: frequent words are frequent, and one in three is a name or misheard. In
    /// blocks of 64 KiB it compresses about as well as this project's documents.
    pub(crate) fn speech(&mut self, bytes: usize) -> String {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let mut text = String::new();
        while text.len() < bytes {
            if self.below(3) == 0 {
                (0..2 + self.below(2)).for_each(|_| text.push_str(&self.syllable()));
            } else {
                let most = 1 + self.below(words.len() as u64);
                text.push_str(words[usize::try_from(self.below(most)).unwrap_or(0)]);
            }
            text.push_str(if self.below(9) == 0 { ". " } else { " " });
        }
        text.truncate(text.char_indices().map(|(at, _)| at).take_while(|at| *at <= bytes).last().unwrap_or(0));
        text
    }

    fn syllable(&mut self) -> String {
        let mut one = |of: &str| char::from(of.as_bytes()[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]);
        [one("bcdfghjklmnprstvwz"), one("aeiou")].iter().collect()
    }

    /// Characters of base64.
    pub(crate) fn base64(&mut self, characters: usize) -> String {
        const ALL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..characters).map(|_| char::from(ALL[usize::try_from(self.below(64)).unwrap_or(0)])).collect()
    }
}

/// The `n`th event of a platform, of the company `acme`, in this many bytes of JSON; four belong to one call.
pub(crate) fn platform_event(n: u64, bytes: usize) -> String {
    let (mut call, mut own) = (Draw::new(n / 4), Draw::new(!n));
    let (id, name) = (call.noise(), format!("{} {}", call.of(&FIRST), call.of(&LAST)));
    let (phone, widget) = (1_000_000 + call.below(8_999_999), call.below(40));
    let event_type = ["call.new", "call.missed", "call.connected", "call.finished"][(n % 4) as usize];
    let head = format!(
        r#"{{"type":"{event_type}","company":"acme","domain":"www.acme.example","source":"widget","id":"evt-{:016x}","data":{{"call_id":"{id:016x}","widget_id":"w-{widget}","lead_phone":"+1202{phone}","lead_name":"{name}","lead_email":"{}{}@example.com","agent":"{} {}","page":"https://www.acme.example{}","duration":{},"talk_time":{},"retry_attempts":{},"created":"2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z","recording":"https://files.example/r/{}.mp3","transcript":""#,
        own.noise(),
        name.split(' ').next().unwrap_or_default().to_lowercase(),
        call.below(10_000),
        own.of(&FIRST),
        own.of(&LAST),
        own.of(&PAGES),
        own.below(1_800),
        own.below(900),
        own.below(3),
        1 + n / 3_000_000 % 28,
        n / 120_000 % 24,
        n / 2_000 % 60,
        n / 33 % 60,
        own.below(1_000),
        own.base64(22).replace(['+', '/'], "x"),
    );
    let tail = r#""}}"#;
    let middle = own.speech(bytes.saturating_sub(head.len() + tail.len()));
    format!("{head}{middle}{tail}")
}
