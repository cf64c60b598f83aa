//! Asking the kernel over rtnetlink, and hearing of its changes.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::Pin,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use netlink_packet_route::{
    RouteNetlinkMessage,
    neighbour::{NeighbourFlags, NeighbourState},
};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, new_connection, new_multicast_connection,
    packet_core::NetlinkPayload,
};
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Unresolved,
    tables::{self, Link, Links, Neighbours, Route},
};

/// The kernel answers within microseconds: silence means that the answer was lost.
const LIMIT: Duration = Duration::from_secs(5);

/// What the kernel is heard about.
const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
];

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[from] io::Error),
    /// A request failed.
    #[error("cannot get {0} from the kernel over netlink: {1}")]
    Request(&'static str, rtnetlink::Error),
    /// A request was never answered.
    #[error("the kernel did not say anything about {0} over netlink within 5 s")]
    Silent(&'static str),
    /// The socket that changes are heard over has broken.
    #[error("the netlink socket has closed")]
    Closed,
}

/// What has to be looked up again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outdated {
    pub(super) routes: bool,
    pub(super) links: bool,
    pub(super) neighbours: bool,
}

/// Two netlink sockets: were answers and changes read from one, a flood of changes could push an answer out.
pub(super) struct Netlink {
    handle: Handle,
    changes: Pin<Box<dyn Stream<Item = Outdated> + Send + Sync>>,
    _connections: [AbortOnDropHandle<()>; 2],
}

impl Netlink {
    /// Opens the sockets in the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, Error> {
        let (requests, handle, _) = new_connection()?;
        let (events, _, messages) = new_multicast_connection(&GROUPS)?;
        let changes = Box::pin(messages.map(|(message, _)| Outdated::by(&message.payload)));
        let connections = [tokio::spawn(requests), tokio::spawn(events)].map(AbortOnDropHandle::new);
        Ok(Self {
            handle,
            changes,
            _connections: connections,
        })
    }

    /// Waits for a change.
    pub(super) async fn change(&mut self) -> Result<Outdated, Error> {
        self.changes.next().await.ok_or(Error::Closed)
    }

    /// The route that packets from this host to `destination` take.
    pub(super) async fn route(&self, destination: IpAddr) -> Result<Result<Route, Unresolved>, Error> {
        let request = match destination {
            IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(v4, 32)
                .build(),
            IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(v6, 128)
                .build(),
        };
        match collect("a route", self.handle.route().get(request).execute()).await {
            Ok(mut routes) => Ok(routes.pop().ok_or(Unresolved::NoRoute).and_then(Route::try_from)),
            Err(Error::Request(what, error)) => refusal(&error).map(Err).ok_or(Error::Request(what, error)),
            Err(error) => Err(error),
        }
    }

    /// All links.
    pub(super) async fn links(&self) -> Result<Links, Error> {
        let links = collect("the links", self.handle.link().get().execute()).await?;
        Ok(links
            .into_iter()
            .map(|message| (message.header.index, Link::from(message)))
            .collect())
    }

    /// All neighbours, IPv4 and IPv6.
    pub(super) async fn neighbours(&self) -> Result<Neighbours, Error> {
        let neighbours = collect("the neighbours", self.handle.neighbours().get().execute()).await?;
        Ok(neighbours.into_iter().filter_map(tables::neighbour).collect())
    }

    /// Makes the kernel ask a neighbour for its hardware address, as if a packet were waiting for it.
    pub(super) async fn ask(&self, neighbour: tables::NeighbourKey) -> Result<(), Error> {
        let request = self
            .handle
            .neighbours()
            .add(neighbour.ifindex, neighbour.address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute();
        let what = "a neighbour's address";
        let answer = time::timeout(LIMIT, request)
            .await
            .map_err(|_| Error::Silent(what))?;
        answer.map_err(|error| Error::Request(what, error))
    }
}

async fn collect<T>(
    what: &'static str,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, Error> {
    let answers = time::timeout(LIMIT, answers.try_collect())
        .await
        .map_err(|_| Error::Silent(what))?;
    answers.map_err(|error| Error::Request(what, error))
}

/// What an error says about the route that was asked for (`fib_props` in the kernel's `net/ipv4/fib_semantics.c`,
/// `ip6_rt_type_to_error` in `net/ipv6/route.c`); `None` when it says something else.
fn refusal(error: &rtnetlink::Error) -> Option<Unresolved> {
    let rtnetlink::Error::NetlinkError(message) = error else {
        return None;
    };
    match -message.raw_code() {
        libc::ENETUNREACH => Some(Unresolved::NoRoute),
        libc::EHOSTUNREACH => Some(Unresolved::Refused("unreachable")),
        libc::EACCES => Some(Unresolved::Refused("prohibit")),
        libc::EINVAL => Some(Unresolved::Refused("blackhole")),
        _ => None,
    }
}

impl Outdated {
    pub(super) const ALL: Self = Self {
        routes: true,
        links: true,
        neighbours: true,
    };
    pub(super) const ROUTES: Self = Self {
        routes: true,
        links: false,
        neighbours: false,
    };
    pub(super) const NEIGHBOURS: Self = Self {
        routes: false,
        links: false,
        neighbours: true,
    };

    /// What a message of the kernel makes outdated.
    fn by(message: &NetlinkPayload<RouteNetlinkMessage>) -> Self {
        use RouteNetlinkMessage as Message;
        match message {
            NetlinkPayload::InnerMessage(Message::NewNeighbour(_) | Message::DelNeighbour(_)) => {
                Self::NEIGHBOURS
            }
            NetlinkPayload::InnerMessage(
                Message::NewRoute(_)
                | Message::DelRoute(_)
                | Message::NewRule(_)
                | Message::DelRule(_)
                | Message::NewAddress(_)
                | Message::DelAddress(_),
            ) => Self::ROUTES,
            // A link takes its routes and neighbours along; and after an overrun anything may have changed.
            _ => Self::ALL,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            routes: self.routes || other.routes,
            links: self.links || other.links,
            neighbours: self.neighbours || other.neighbours,
        }
    }
}
