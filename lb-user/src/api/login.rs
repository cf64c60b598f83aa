//! Who may come in by the stats address, and what they may do there.
//!
//! Basic authentication (RFC 7617), which every browser, curl and Prometheus speak, over TLS or within the host. What keeps
//! it from being guessed is the price of a guess: Argon2, one at a time, and a limit of failures for each address.
//! A password that was right is remembered by a keyed hash, so that the next request does not pay again.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, task};
use tracing::{info, warn};

use super::{answer::error, peer::Peer};
use crate::config::types::{Role, Stats, User};

/// Failures of one address after which it is not listened to for a while.
const MOST_FAILURES: u32 = 10;
/// How long that is; failures are forgotten after it, too.
const WHILE: Duration = Duration::from_mins(1);
/// Addresses whose failures are remembered; when there are more, those of the past are forgotten, or else all.
const MOST_ADDRESSES: usize = 10_000;
/// Passwords that are hashed at the same time, each over 19 MB, and for as long as a core takes for it: guesses have no more
/// than one of the host's.
const AT_ONCE: usize = 1;

/// A user who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoggedIn {
    pub(super) name: String,
    pub(super) role: Role,
}

impl fmt::Display for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What comes of a name and a password.
enum Answer {
    Welcome(LoggedIn),
    /// They are nobody's.
    Wrong,
    /// Nothing more is heard of the address for a while.
    TooMany,
}

/// Everything about users that outlives a request.
pub(super) struct Logins {
    users: Vec<User>,
    challenge: HeaderValue,
    /// Of this process alone: what was remembered, and forms that were sent, end with it.
    secret: [u8; 32],
    /// A hash that nobody's password has, for users that there are not: they take as long as others.
    nobody: String,
    right: Mutex<HashSet<[u8; 32]>>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
    hashing: Semaphore,
}

/// Failures of one address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Logins {
    pub(super) fn new(settings: &Stats) -> io::Result<Self> {
        let mut secret = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let nobody = Argon2::default()
            .hash_password(&secret)
            .map_err(io::Error::other)?;
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm);
        Ok(Self {
            users: settings.users.clone(),
            challenge: HeaderValue::from_str(&challenge).map_err(io::Error::other)?,
            secret,
            nobody: nobody.to_string(),
            right: Mutex::default(),
            failures: Mutex::default(),
            hashing: Semaphore::new(AT_ONCE),
        })
    }

    /// What a form of a user's must carry: another site's cannot know it.
    pub(super) fn token(&self, user: &LoggedIn) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(&["form", &user.name]))
    }

    /// The user whose name and password these are, told from this address.
    async fn user(&self, address: IpAddr, name: &str, password: &str) -> Answer {
        let user = self.users.iter().find(|user| user.name == name);
        let logged_in = user.map(|user| LoggedIn {
            name: user.name.clone(),
            role: user.role,
        });
        let digest = self.digest(&["password", name, password]);
        if let Some(user) = &logged_in
            && locked(&self.right).contains(&digest)
        {
            return Answer::Welcome(user.clone());
        }
        let hash = user.map_or_else(|| self.nobody.clone(), |user| user.password_hash.clone());
        let password = password.to_owned();
        let _turn = self.hashing.acquire().await;
        // Of a thousand guesses at once all but the first have waited, and have their answer by now.
        if self.is_tired_of(address) {
            return Answer::TooMany;
        }
        let check = move || {
            Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
        };
        let is_right = task::spawn_blocking(check).await.unwrap_or_default();
        if let Some(user) = logged_in.filter(|_| is_right) {
            locked(&self.right).insert(digest);
            Answer::Welcome(user)
        } else {
            info!(%address, "a log-in has failed");
            self.note_failure(address);
            Answer::Wrong
        }
    }

    fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.secret);
        for part in parts {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// Whether nothing more is heard of an address for a while.
    fn is_tired_of(&self, address: IpAddr) -> bool {
        let failures = locked(&self.failures);
        let of_it = failures
            .get(&address)
            .filter(|failures| failures.since.elapsed() < WHILE);
        of_it.is_some_and(|failures| failures.count >= MOST_FAILURES)
    }

    fn note_failure(&self, address: IpAddr) {
        let mut failures = locked(&self.failures);
        if failures.len() >= MOST_ADDRESSES {
            failures.retain(|_, failures| failures.since.elapsed() < WHILE);
        }
        if failures.len() >= MOST_ADDRESSES {
            failures.clear();
        }
        let now = Instant::now();
        let fresh = Failures { count: 0, since: now };
        let of_it = failures.entry(address).or_insert(fresh);
        if of_it.since.elapsed() >= WHILE {
            *of_it = fresh;
        }
        of_it.count += 1;
        if of_it.count == MOST_FAILURES {
            warn!(%address, "too many failed log-ins: nothing more is heard of it for a minute");
        }
    }

    fn too_many() -> Response {
        let mut refusal = error(
            StatusCode::TOO_MANY_REQUESTS,
            "too many failed log-ins; try again in a minute",
        );
        refusal
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(WHILE.as_secs()));
        refusal
    }

    fn refusal(&self) -> Response {
        let mut refusal = error(StatusCode::UNAUTHORIZED, "log in with a user of [stats]");
        refusal
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, self.challenge.clone());
        refusal
    }
}

/// Lets users in, and no one else. Where none are configured, whoever comes is somebody who may look.
pub(super) async fn users_only(
    State(logins): State<Arc<Logins>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    if logins.users.is_empty() {
        return next.run(request).await;
    }
    let address = match peer {
        Peer::Remote(address) => address,
        Peer::Local(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
    };
    if logins.is_tired_of(address.ip()) {
        return Logins::too_many();
    }
    let Some((name, password)) = credentials(request.headers()) else {
        return logins.refusal();
    };
    match logins.user(address.ip(), &name, &password).await {
        Answer::Welcome(user) => {
            request.extensions_mut().insert(user);
            next.run(request).await
        }
        Answer::Wrong => logins.refusal(),
        Answer::TooMany => Logins::too_many(),
    }
}

/// Lets orders through that an administrator has given, in a request that no other site's page can make.
///
/// Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`); and a page elsewhere can send forms without
/// asking, but no JSON.
pub(super) async fn honest_orders_only(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let role = request.extensions().get::<LoggedIn>().map(|user| user.role);
    if role != Some(Role::Admin) {
        return error(
            StatusCode::FORBIDDEN,
            "only a user with role \"admin\" may change something",
        );
    }
    if !comes_from_here(request.headers()) {
        return error(
            StatusCode::FORBIDDEN,
            "this request comes from another site's page",
        );
    }
    next.run(request).await
}

/// Whether a request is one that only programs, and pages of this site, can make without asking.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json")
}

fn comes_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = text("host").unwrap_or_default();
    let origin =
        text("origin").is_none_or(|origin| origin.split_once("://").is_some_and(|(_, from)| from == host));
    site && origin
}

/// Name and password.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// What a panic left is as good as before: each change is one insertion.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_pages_are_told_by_what_their_browser_says() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let parsed = pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
            parsed.collect()
        };
        for here in [
            &[("host", "lb:1080")][..],
            &[
                ("host", "lb:1080"),
                ("origin", "https://lb:1080"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("host", "lb:1080"), ("sec-fetch-site", "none")],
        ] {
            assert!(comes_from_here(&headers(here)), "{here:?}");
        }
        for elsewhere in [
            &[("host", "lb:1080"), ("origin", "https://evil.example")][..],
            &[("host", "lb:1080"), ("origin", "null")],
            &[("host", "lb:1080"), ("sec-fetch-site", "cross-site")],
            &[
                ("host", "lb:1080"),
                ("origin", "https://lb:1080"),
                ("sec-fetch-site", "same-site"),
            ],
        ] {
            assert!(!comes_from_here(&headers(elsewhere)), "{elsewhere:?}");
        }
    }

    #[test]
    fn credentials_are_what_browsers_send() {
        let of = |value: &'static str| {
            credentials(&HeaderMap::from_iter([(
                header::AUTHORIZATION,
                HeaderValue::from_static(value),
            )]))
        };
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(
            of("Basic YWRtaW46YTpi"),
            pair("admin", "a:b"),
            "a password may have colons"
        );
        assert_eq!(of("basic YWRtaW46"), pair("admin", ""));
        for wrong in ["Basic", "Basic !", "Bearer YWRtaW46YTpi", "Basic YWRtaW4="] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
