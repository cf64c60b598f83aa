//! Servers on loopback, well-behaved and otherwise.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A server that answers each connection with `serve`.
pub(super) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server that sends `answer` to whatever it is asked and closes.
pub(super) async fn answering(answer: impl AsRef<[u8]> + Clone + Send + Sync + 'static) -> SocketAddr {
    server(move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            // A checker that has seen enough may close before all is sent.
            let _ = stream.write_all(answer.as_ref()).await;
        }
    })
    .await
}

/// A port that nobody listens on, at an address where no other test binds one.
pub(super) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.2:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
