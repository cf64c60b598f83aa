//! Health checks by the real daemon, or by its monitor, of real servers.

mod crowd;
mod detection;
mod flapping;
mod mariadb;
mod roles;
mod vip;

use std::{path::Path, sync::mpsc, time::Duration};

use anyhow::{Context as _, Result};
use lab::{Lab, Namespace};
use lb_user::{
    config::{self, types::Health},
    health::{Event, Monitor, Target},
};
use tokio::{runtime, sync::oneshot};

/// Far beyond what any single check takes.
const LIMIT: Duration = Duration::from_secs(30);

/// The daemon's monitor at work in a namespace, without a daemon.
struct Monitored {
    events: mpsc::Receiver<Event>,
    /// Ends it when dropped.
    _end: oneshot::Sender<()>,
}

impl Monitored {
    /// Checks the backends of the first service in a configuration.
    fn start(namespace: &Namespace, text: &str) -> Result<Self> {
        Self::start_many(namespace, text, 1)
    }

    /// The same, each as if it were so many backends.
    fn start_many(namespace: &Namespace, text: &str, copies: usize) -> Result<Self> {
        let config = config::parse(text, Path::new("test.toml"))?;
        let service = config.services.into_iter().next().context("no service")?;
        let target = |(id, backend): (u32, config::types::Backend)| match backend.health {
            Health::Checked(check) => Some(Target {
                id,
                address: backend.address,
                check,
                known: None,
                vip: None,
            }),
            Health::Tracked { .. } => None,
        };
        let backends = service.backends.into_iter();
        let repeated = backends.flat_map(|backend| std::iter::repeat_n(backend, copies));
        let targets = (0..).zip(repeated).filter_map(target).collect();
        let (heard, events) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        namespace.spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(watch(targets, &heard, ended));
            Ok(())
        });
        Ok(Self { events, _end: end })
    }

    /// The next finished check.
    fn next(&self) -> Result<Event> {
        self.events
            .recv_timeout(LIMIT)
            .context("no check finished in time")
    }

    /// Goes on until a check finds this; what it says.
    fn wait_for(&self, what: impl Fn(&Event) -> bool) -> Result<String> {
        for _ in 0..1000 {
            let event = self.next()?;
            if what(&event) {
                return Ok(event.report.detail.into_owned());
            }
        }
        anyhow::bail!("no check in a thousand has found it")
    }
}

async fn watch(targets: Vec<Target>, heard: &mpsc::Sender<Event>, mut ended: oneshot::Receiver<()>) {
    let (sender, mut events) = tokio::sync::mpsc::channel(64);
    let _monitor = Monitor::start(targets, &sender);
    loop {
        tokio::select! {
            Some(event) = events.recv() => if heard.send(event).is_err() {
                return;
            },
            _ = &mut ended => return,
        }
    }
}

/// The lab's configuration up to its services.
fn global(lab: &Lab) -> String {
    let config = lab.config().to_toml();
    let end = config.find("[[service]]").unwrap_or(config.len());
    config[..end].to_owned()
}
