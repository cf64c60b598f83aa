//! Checks that say and expect bytes: types `tcp` and `udp`.

use tokio::net::UdpSocket;

use super::{
    servers::{answering, server},
    *,
};

#[tokio::test]
async fn tcp_send() {
    let (heard, mut said) = mpsc::channel(1);
    let address = server(move |mut stream| {
        let heard = heard.clone();
        async move {
            let mut bytes = [0; 6];
            stream.read_exact(&mut bytes).await.unwrap();
            let _ = heard.send(bytes).await;
        }
    })
    .await;
    assert_eq!(
        result(
            address,
            r#"type = "tcp"
                           send = "PING\r\n""#
        )
        .await,
        ok("connected")
    );
    assert_eq!(
        time::timeout(LIMIT, said.recv()).await.unwrap(),
        Some(*b"PING\r\n")
    );
}

#[tokio::test]
async fn tcp_expect() {
    let ping = "type = \"tcp\"\nsend = \"PING\\r\\n\"\nexpect = \"+PONG\"";
    for (answer, expected) in [
        ("+PONG\r\n", ok("the expected answer")),
        ("hello, and then +PONG", ok("the expected answer")),
        ("-ERR no\r\n", failed("not the expected answer: -ERR no\\r\\n")),
        ("", failed("connection closed without an answer")),
    ] {
        assert_eq!(
            result(answering(answer).await, ping).await,
            expected,
            "{answer:?}"
        );
    }
}

/// A greeting that comes without being asked for, in pieces, and in bytes that are no text.
#[tokio::test]
async fn tcp_expect_hex() {
    let address = server(|mut stream| async move {
        for piece in [b"\x00\xff".as_slice(), b"\xfe\n"] {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
        }
        let _end = stream.read(&mut [0]).await;
    })
    .await;
    let check = "type = \"tcp\"\nexpect = { hex = \"ff FE\" }";
    assert_eq!(result(address, check).await, ok("the expected answer"));
}

/// A socket that answers each datagram.
async fn udp_server(answer: &'static [u8]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            if !answer.is_empty() && &datagram[..length] == b"\x01?" {
                socket.send_to(answer, from).await.unwrap();
            }
        }
    });
    address
}

fn udp(check: &str) -> Check {
    written_for(
        "protocol = \"udp\"",
        &format!("type = \"udp\"\ntimeout = \"300ms\"\n{check}"),
    )
}

#[tokio::test]
async fn udp_send() {
    let check = udp("send = { hex = \"01 3f\" }");
    assert_eq!(
        first(udp_server(b"anything").await, check.clone()).await,
        ok("answered")
    );
    assert_eq!(first(udp_server(b"").await, check).await, ok("not refused"));
}

#[tokio::test]
async fn udp_expect() {
    let check = udp("send = { hex = \"01 3f\" }\nexpect = \"yes\"");
    let yes = udp_server(b"oh yes").await;
    assert_eq!(first(yes, check.clone()).await, ok("answered"));
    let no = udp_server(b"no").await;
    assert_eq!(
        first(no, check.clone()).await,
        failed("not the expected answer: no")
    );
    let silent = udp_server(b"").await;
    assert_eq!(first(silent, check).await, failed("no answer in time"));
}

/// The kernel of a host without a listener says so by ICMP, over either family.
#[tokio::test]
async fn udp_port_unreachable() {
    for ip in ["127.0.0.1:0", "[::1]:0"] {
        let closed = UdpSocket::bind(ip).await.unwrap().local_addr().unwrap();
        assert_eq!(first(closed, udp("")).await, failed("port unreachable"), "{ip}");
    }
}
