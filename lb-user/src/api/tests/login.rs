//! Users of the stats address: who may come in, look, and change.

use argon2::{Argon2, PasswordHasher as _};
use reqwest::{Client, RequestBuilder};

use super::*;
use crate::config::types::{Role, ServerTls, User};

const PASSWORD: &str = "correct horse";

fn user(name: &str, role: Role) -> User {
    // As cheap as Argon2 can be: these tests are not about its price.
    let params = argon2::Params::new(8, 1, 1, None).expect("parameters");
    let hash = Argon2::from(params)
        .hash_password(PASSWORD.as_bytes())
        .expect("a hash");
    User {
        name: name.to_owned(),
        password_hash: hash.to_string(),
        role,
    }
}

async fn server_with_users(tls: Option<ServerTls>) -> Server<SocketAddr> {
    let settings = Stats {
        users: vec![user("boss", Role::Admin), user("guest", Role::Viewer)],
        tls,
        ..settings("/stats")
    };
    serve_stats(settings, daemon(), CancellationToken::new())
        .await
        .expect("a free port on loopback")
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.expect("an answer").status()
}

fn drain() -> Value {
    json!({ "change": "state", "service": "fe", "backend": "node1", "state": "drain" })
}

#[tokio::test]
async fn nobody_comes_in_without_the_password() {
    let server = server_with_users(None).await;
    let base = format!("http://{}", server.address());
    let client = Client::new();
    for path in [
        "/stats",
        "/api/v1/stats",
        "/metrics",
        "/stats;csv",
        "/stats/assets/page.js",
        "/nothing",
    ] {
        let answer = client
            .get(format!("{base}{path}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        let challenge = &answer.headers()[header::WWW_AUTHENTICATE];
        assert_eq!(challenge, "Basic realm=\"Ballast\", charset=\"UTF-8\"");
    }
    let as_user = |name: &str, password: &str| {
        client
            .get(format!("{base}/stats"))
            .basic_auth(name, Some(password))
    };
    for (name, password) in [("boss", "wrong"), ("nobody", PASSWORD), ("", "")] {
        assert_eq!(
            status(as_user(name, password)).await,
            StatusCode::UNAUTHORIZED,
            "{name}"
        );
    }
    for name in ["boss", "guest"] {
        assert_eq!(status(as_user(name, PASSWORD)).await, StatusCode::OK, "{name}");
    }
}

#[tokio::test]
async fn who_guesses_is_not_listened_to_any_more() {
    let server = server_with_users(None).await;
    let client = Client::new();
    let url = format!("http://{}/stats", server.address());
    let mut statuses = Vec::new();
    for guess in 0..15 {
        statuses.push(status(client.get(&url).basic_auth("boss", Some(guess))).await);
    }
    assert_eq!(statuses[9], StatusCode::UNAUTHORIZED);
    assert_eq!(statuses[10], StatusCode::TOO_MANY_REQUESTS);
    let right = client.get(&url).basic_auth("boss", Some(PASSWORD));
    assert_eq!(
        status(right).await,
        StatusCode::TOO_MANY_REQUESTS,
        "even if the next guess is right"
    );
}

#[tokio::test]
async fn of_guesses_that_come_at_once_only_the_first_are_weighed() {
    let server = server_with_users(None).await;
    let client = Client::new();
    let url = format!("http://{}/stats", server.address());
    let guesses = (0..200).map(|guess| {
        let request = client.get(&url).basic_auth("boss", Some(guess));
        tokio::spawn(status(request))
    });
    let (mut weighed, mut refused) = (0, 0);
    for guess in guesses.collect::<Vec<_>>() {
        match guess.await.expect("no panic") {
            StatusCode::UNAUTHORIZED => weighed += 1,
            StatusCode::TOO_MANY_REQUESTS => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((weighed, refused), (10, 190));
    let elsewhere = std::net::IpAddr::from([127, 0, 0, 2]);
    let other = Client::builder()
        .local_address(elsewhere)
        .build()
        .expect("a client");
    let right = other.get(&url).basic_auth("boss", Some(PASSWORD));
    assert_eq!(
        status(right).await,
        StatusCode::OK,
        "who comes from elsewhere is heard"
    );
}

#[tokio::test]
async fn orders_are_an_administrators_and_no_other_sites() {
    let server = server_with_users(None).await;
    let client = Client::new();
    let order = |name: &str| {
        let url = format!("http://{}/api/v1/changes", server.address());
        client.post(url).basic_auth(name, Some(PASSWORD)).json(&drain())
    };
    let answer = order("boss").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let applied: Value = answer.json().await.expect("a document");
    let line = applied["changed"][0].as_str().expect("a line");
    assert!(line.starts_with("boss from 127.0.0.1: "), "{line}");
    assert_eq!(status(order("guest")).await, StatusCode::FORBIDDEN);
    let forged = order("boss").header("origin", "https://evil.example");
    assert_eq!(status(forged).await, StatusCode::FORBIDDEN);
    let url = format!("http://{}/api/v1/changes", server.address());
    let plain = client
        .post(url)
        .basic_auth("boss", Some(PASSWORD))
        .body(drain().to_string());
    assert_eq!(
        status(plain).await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "a form can send that"
    );
}

#[tokio::test]
async fn what_packets_carry_is_an_administrators_business() {
    let server = server_with_users(None).await;
    let client = Client::new();
    for path in ["trace", "capture"] {
        let order = |name: &str| {
            let url = format!("http://{}/api/v1/{path}", server.address());
            let order = client.post(url).basic_auth(name, Some(PASSWORD));
            order.json(&json!({ "service": "nosuch" }))
        };
        assert_eq!(status(order("guest")).await, StatusCode::FORBIDDEN);
        assert_eq!(
            status(order("boss")).await,
            StatusCode::NOT_FOUND,
            "but he may ask"
        );
        let url = format!("http://{}/api/v1/{path}", server.address());
        let asked = client.get(url).basic_auth("guest", Some(PASSWORD));
        assert!(status(asked).await.is_client_error(), "it is no question");
    }
}

#[tokio::test]
async fn a_form_is_of_the_page_and_asks_before_it_is_done() {
    let server = server_with_users(None).await;
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let url = format!("http://{}/stats", server.address());
    let page_of = async |name: &str| {
        let page = client.get(&url).basic_auth(name, Some(PASSWORD)).send().await;
        page.expect("an answer").text().await.expect("a page")
    };
    assert!(!page_of("guest").await.contains("<form"));
    let page = page_of("boss").await;
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a token");
    let token = rest.split('"').next().expect("its end");
    let send = async |name: &str, token: &str, confirmed: &str| {
        let body = format!("token={token}&action=drain&service=fe&backend=node1&confirmed={confirmed}");
        let form = client.post(&url).basic_auth(name, Some(PASSWORD));
        let form = form
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let answer = form.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a page"))
    };
    assert_eq!(
        send("boss", "", "yes").await.0,
        StatusCode::FORBIDDEN,
        "without a token"
    );
    assert_eq!(send("guest", token, "yes").await.0, StatusCode::FORBIDDEN);
    let (asked, page) = send("boss", token, "").await;
    assert_eq!(asked, StatusCode::OK);
    assert!(page.contains("fe/node1 drain: do it?"), "{page}");
    assert_eq!(send("boss", token, "yes").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn tls_is_spoken_where_there_is_a_certificate_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let [certificate, private_key] = ["certificate.pem", "key.pem"].map(|name| directory.path().join(name));
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, identity.cert.pem()).expect("a file");
    std::fs::write(&private_key, identity.signing_key.serialize_pem()).expect("a file");
    let server = server_with_users(Some(ServerTls {
        certificate: certificate.clone(),
        private_key,
    }))
    .await;
    let plain = reqwest::get(format!("http://{}/stats", server.address())).await;
    assert!(plain.is_err(), "{plain:?}");
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(identity.cert.der().clone()).expect("a certificate");
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(server.address())
        .await
        .expect("a connection");
    let name = "localhost".try_into().expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("a handshake");
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /stats HTTP/1.0\r\n\r\n")
        .await
        .expect("a request");
    let mut answer = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await;
    assert!(answer.starts_with("HTTP/1.0 401"), "{read:?} {answer}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let settings = Stats {
        tls: Some(ServerTls {
            certificate: "/nonexistent.pem".into(),
            private_key: "/nonexistent.key".into(),
        }),
        ..settings("/stats")
    };
    let refused = serve_stats(settings, daemon(), CancellationToken::new()).await;
    let said = refused.expect_err("there is no such file").to_string();
    assert!(said.contains("/nonexistent.pem"), "{said}");
}
