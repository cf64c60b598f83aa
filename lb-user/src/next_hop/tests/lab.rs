//! Two network namespaces with a wire between them, and a resolver in one of them. Needs root.

use std::{
    fs::File,
    net::IpAddr,
    os::fd::AsRawFd as _,
    process::{self, Command},
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::{runtime, sync::watch, time};

use super::super::{NextHop, NextHops, Resolver, Unresolved};

/// Far beyond what any of this takes, and below the resolver's periodic look-up, which must not be what helps.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A network namespace; the kernel removes it with its last handle.
pub(super) struct Namespace(File);

impl Namespace {
    fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("this test makes network namespaces: run it as root");
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        };
        thread::spawn(make).join().expect("no network namespace")
    }

    /// Runs `f` in the namespace.
    pub(super) fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        thread::scope(|scope| {
            scope
                .spawn(enter)
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` in the namespace.
    pub(super) fn ip(&self, arguments: &str) {
        let status = self.within(|| Command::new("ip").args(arguments.split_whitespace()).status());
        assert!(status.unwrap().success(), "ip {arguments}");
    }

    /// What `ip link set … netns` takes.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd())
    }
}

/// `own` here and `peer` there, with one address of each kind.
pub(super) struct Lab {
    pub(super) here: Namespace,
    pub(super) there: Namespace,
}

impl Lab {
    pub(super) fn new() -> Self {
        let (here, there) = (Namespace::new(), Namespace::new());
        here.ip("link add own mtu 1400 address 02:00:00:00:00:01 type veth peer name peer mtu 1400");
        here.ip(&format!("link set peer netns {}", there.path()));
        there.ip("link set peer address 02:00:00:00:00:02");
        for (namespace, link, addresses) in [
            (
                &here,
                "own",
                ["10.9.0.1/24", "fd09::1/64 nodad", "fe80::1/64 nodad"],
            ),
            (
                &there,
                "peer",
                ["10.9.0.2/24", "fd09::2/64 nodad", "fe80::9/64 nodad"],
            ),
        ] {
            namespace.ip("link set lo up");
            for address in addresses {
                namespace.ip(&format!("address add {address} dev {link}"));
            }
            namespace.ip(&format!("link set {link} up"));
        }
        Self { here, there }
    }

    /// Runs a test with a resolver for `destinations`.
    pub(super) fn test(&self, destinations: &[&str], test: impl AsyncFnOnce(View) + Send) {
        let destinations = destinations.iter().map(|&destination| ip(destination)).collect();
        self.here.within(|| {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let resolver = Resolver::start(destinations).unwrap();
                let next_hops = resolver.next_hops();
                test(View { resolver, next_hops }).await;
            });
        });
    }
}

/// What the resolver says.
pub(super) struct View {
    pub(super) resolver: Resolver,
    pub(super) next_hops: watch::Receiver<NextHops>,
}

impl View {
    /// Waits until `destination` is as expected.
    pub(super) async fn until(
        &mut self,
        destination: &str,
        expected: impl Fn(&Result<NextHop, Unresolved>) -> bool,
    ) {
        let destination = ip(destination);
        let as_expected = |all: &NextHops| all.get(&destination).is_some_and(&expected);
        let waited = time::timeout(LIMIT, self.next_hops.wait_for(as_expected))
            .await
            .is_ok();
        assert!(
            waited,
            "not as expected: {:?}",
            self.next_hops.borrow().get(&destination)
        );
    }

    pub(super) async fn until_reached(&mut self, destination: &str) {
        self.until(destination, Result::is_ok).await;
    }

    pub(super) async fn until_unresolved(&mut self, destination: &str, reason: &str) {
        self.until(destination, |next_hop| {
            next_hop.as_ref().is_err_and(|found| found.to_string() == reason)
        })
        .await;
    }

    pub(super) fn next_hop(&self, destination: &str) -> NextHop {
        self.next_hops.borrow()[&ip(destination)].clone().unwrap()
    }
}

pub(super) fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}
