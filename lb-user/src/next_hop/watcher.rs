//! Keeps the next hops fresh: hears of a change, looks up what it touches, publishes what differs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{self, Instant, Interval},
};
use tracing::{debug, warn};

use super::{
    NextHops, Unresolved,
    netlink::{Error, Netlink, Outdated},
    resolve::{Resolution, Tables},
    tables::{NeighbourKey, Route},
};

/// Changes come in bursts: how long one is given to end. As long as the last look-up took, so that constant
/// change of the routes to thousands of destinations leaves some CPU to others, but within these bounds.
const BURST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// Routes that are asked for at once: one at a time, each question would wait for the one before to be answered.
const QUESTIONS: usize = 128;
/// Between two attempts at what failed: a silent neighbour, or netlink itself.
const RETRY: Duration = Duration::from_secs(1);
/// Between two look-ups of everything, in case that a change went unheard.
const SAFETY_NET: Duration = Duration::from_secs(30);

/// Watches until nobody can want anything any more.
pub(super) async fn run(
    netlink: Netlink,
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    publish: watch::Sender<NextHops>,
) {
    let mut watcher = Watcher {
        netlink,
        wanted,
        publish,
        routes: BTreeMap::new(),
        tables: Tables::default(),
        asked: HashMap::new(),
        safety_net: time::interval_at(Instant::now() + SAFETY_NET, SAFETY_NET),
    };
    while let Err(error) = watcher.watch().await {
        warn!(%error, "next hops may be outdated, trying again");
        time::sleep(RETRY).await;
        match Netlink::open() {
            Ok(netlink) => watcher.netlink = netlink,
            Err(error) => warn!(%error, "cannot watch next hops"),
        }
    }
}

struct Watcher {
    netlink: Netlink,
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    publish: watch::Sender<NextHops>,
    routes: BTreeMap<IpAddr, Result<Route, Unresolved>>,
    tables: Tables,
    /// When which neighbour was last asked for.
    asked: HashMap<NeighbourKey, Instant>,
    safety_net: Interval,
}

impl Watcher {
    /// Returns when the resolver has gone; fails when netlink does.
    async fn watch(&mut self) -> Result<(), Error> {
        let mut outdated = Outdated::ALL;
        loop {
            let started = Instant::now();
            self.look_up(outdated).await?;
            let unsure = self.publish();
            self.ask(&unsure).await;
            let burst = started.elapsed().clamp(BURST.0, BURST.1);
            let Some(change) = self.wake(!unsure.is_empty()).await? else {
                return Ok(());
            };
            outdated = self.outlast(burst, change).await?;
        }
    }

    async fn look_up(&mut self, outdated: Outdated) -> Result<(), Error> {
        if outdated.links {
            self.tables.links = self.netlink.links().await?;
        }
        if outdated.routes {
            let (wanted, netlink) = (self.wanted.borrow_and_update().clone(), &self.netlink);
            let questions = stream::iter(wanted).map(|destination| async move {
                let route = netlink.route(destination).await?;
                Ok::<_, Error>((destination, route))
            });
            self.routes = questions.buffer_unordered(QUESTIONS).try_collect().await?;
        }
        if outdated.neighbours {
            self.tables.neighbours = self.netlink.neighbours().await?;
        }
        Ok(())
    }

    /// Publishes what is known now. Returns the neighbours that the kernel should ask.
    fn publish(&mut self) -> BTreeSet<NeighbourKey> {
        let (mut next_hops, mut in_use, mut unsure) = (NextHops::new(), HashMap::new(), BTreeSet::new());
        for (&destination, route) in &self.routes {
            let Resolution {
                next_hop,
                neighbour,
                ask,
            } = self.tables.resolve(destination, route);
            if let (Some(neighbour), Ok(next_hop)) = (neighbour, &next_hop) {
                in_use.insert(neighbour, next_hop.peer_mac);
            }
            unsure.extend(neighbour.filter(|_| ask));
            next_hops.insert(destination, next_hop);
        }
        self.tables.in_use = in_use;
        self.publish.send_if_modified(|published| {
            let changed = *published != next_hops;
            *published = next_hops;
            changed
        });
        unsure
    }

    async fn ask(&mut self, neighbours: &BTreeSet<NeighbourKey>) {
        let now = Instant::now();
        self.asked.retain(|_, at| now < *at + RETRY);
        for &neighbour in neighbours {
            if self.asked.contains_key(&neighbour) {
                continue;
            }
            self.asked.insert(neighbour, now);
            // The link may just have gone; that change will be heard of, too.
            if let Err(error) = self.netlink.ask(neighbour).await {
                debug!(?neighbour, %error, "neighbour not asked");
            }
        }
    }

    /// Waits until something is outdated; `None` when the resolver has gone.
    async fn wake(&mut self, unsure: bool) -> Result<Option<Outdated>, Error> {
        tokio::select! {
            change = self.netlink.change() => change.map(Some),
            destinations = self.wanted.changed() => Ok(destinations.ok().map(|()| Outdated::ROUTES)),
            () = time::sleep(RETRY), if unsure => Ok(Some(Outdated::NEIGHBOURS)),
            _ = self.safety_net.tick() => Ok(Some(Outdated::ALL)),
        }
    }

    /// Gathers what else becomes outdated while the burst lasts.
    async fn outlast(&mut self, burst: Duration, mut outdated: Outdated) -> Result<Outdated, Error> {
        let end = Instant::now() + burst;
        while let Ok(change) = time::timeout_at(end, self.netlink.change()).await {
            outdated = outdated.and(change?);
        }
        Ok(outdated)
    }
}
