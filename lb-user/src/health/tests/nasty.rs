//! Peers that mean no good: each fails every type of check within its timeout, and takes no memory.

use super::{servers::server, *};

const TIMEOUT: Duration = Duration::from_millis(400);

/// The types that talk to a server, and expect something of it.
const CHECKS: [&str; 6] = [
    "type = \"tcp\"\nexpect = \"hello\"",
    "type = \"http\"\nbody = \"hello\"",
    "type = \"https\"\nverify = false",
    "type = \"mysql\"\nuser = \"lb\"",
    "type = \"starrocks\"\nuser = \"lb\"",
    "type = \"agent\"\nport = 1",
];

/// Lets each type of check meet the peer at once.
async fn all_fail(address: SocketAddr) {
    for check in CHECKS {
        let check = Check {
            timeout: TIMEOUT,
            port: None,
            ..written(check)
        };
        let (_monitor, mut events) = monitor(address, check.clone());
        let report = next(&mut events).await.report;
        assert_eq!(
            report.outcome,
            Outcome::Failed,
            "{:?}: {}",
            check.kind,
            report.detail
        );
        // Beside the timeout there is only the time that a busy machine takes to notice.
        assert!(
            report.duration < TIMEOUT * 4,
            "{:?}: {:?}",
            check.kind,
            report.duration
        );
        assert!(report.detail.len() < 200, "{}", report.detail);
    }
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing() {
    all_fail(
        server(|mut stream| async move {
            while stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {}
        })
        .await,
    )
    .await;
}

#[tokio::test]
async fn a_peer_that_answers_garbage() {
    all_fail(
        server(|mut stream| async move {
            let garbage: Vec<u8> = (0..4096_u32)
                .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
                .collect();
            let _ = stream.write_all(&garbage).await;
        })
        .await,
    )
    .await;
}

#[tokio::test]
async fn a_peer_that_answers_a_byte_a_second() {
    all_fail(
        server(|mut stream| async move {
            while stream.write_all(b"J").await.is_ok() {
                time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await,
    )
    .await;
}

/// A gigabyte, of which hardly any is read: the process's peak of memory says so.
#[tokio::test]
async fn a_peer_that_answers_a_gigabyte() {
    let before = peak_memory();
    all_fail(
        server(|mut stream| async move {
            let part = vec![b'x'; 1 << 20];
            for _ in 0..1024 {
                if stream.write_all(&part).await.is_err() {
                    return;
                }
            }
        })
        .await,
    )
    .await;
    let grown = peak_memory().saturating_sub(before);
    println!(
        "a gigabyte from each of {} peers: {grown} kB more at the peak",
        CHECKS.len()
    );
    assert!(grown < 64 * 1024, "{grown} kB more");
}

/// The most that this process has had in memory, in kB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
