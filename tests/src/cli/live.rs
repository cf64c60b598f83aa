//! `run`: traffic until somebody has seen enough.

use std::{
    io::{IsTerminal as _, stdout},
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Builder, DaemonConfig, Dataplane, Family, Lab, Relay, load::Requests};

use super::{
    events::{Event, Events},
    explained,
    orders::{self, Order},
    picture::Observer,
    screen::Screen,
};

/// Between two pictures on a terminal, and between two lines elsewhere.
const REFRESH: Duration = Duration::from_secs(1);
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Makes the lab and shows it until q, Ctrl-C or SIGTERM.
pub(crate) fn run(dataplane: Dataplane) -> Result<()> {
    let events = Events::with_signals()?;
    let mut lab = Builder::new().dataplane(dataplane).build()?;
    let outcome = show(&mut lab, &events);
    explained(&lab, outcome)
}

fn show(lab: &mut Lab, events: &Events) -> Result<()> {
    lab.start_daemon()?;
    let relay = Relay::start(lab.balancer(), DaemonConfig::STATS_ADDRESS.parse()?)?;
    orders::listen(lab.directory().path(), events.sender())?;
    let load = Requests::endless(lab.web(Family::V4)).start(lab.client());
    let mut observer = Observer::new(load, relay.address());
    println!("{}", observer.addresses());
    if stdout().is_terminal() {
        show_on_screen(lab, &mut observer, events)
    } else {
        show_as_lines(lab, &mut observer, events)
    }
}

fn show_on_screen(lab: &mut Lab, observer: &mut Observer, events: &Events) -> Result<()> {
    let mut screen = Screen::open()?;
    events.add_keys();
    loop {
        screen.show(&observer.look(lab)?.to_table())?;
        if let Some(event) = events.next(REFRESH)?
            && handle(event, lab)?.is_over()
        {
            return Ok(());
        }
    }
}

fn show_as_lines(lab: &mut Lab, observer: &mut Observer, events: &Events) -> Result<()> {
    loop {
        match events.next(LINE_PERIOD)? {
            None => println!("{}", observer.look(lab)?.to_line()),
            Some(event) => {
                if handle(event, lab)?.is_over() {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl Next {
    fn is_over(&self) -> bool {
        *self == Self::End
    }
}

fn handle(event: Event, lab: &mut Lab) -> Result<Next> {
    match event {
        Event::Quit => return Ok(Next::End),
        Event::Digit(number) => toggle(lab, number)?,
        // Who asked may have gone meanwhile.
        Event::Order(order, answer) => drop(answer.send(order.obey(lab))),
    }
    Ok(Next::GoOn)
}

/// Kills the backend of this number when it runs, starts it when it does not; other digits mean nothing.
fn toggle(lab: &mut Lab, number: usize) -> Result<()> {
    let Some(backend) = number.checked_sub(1).and_then(|index| lab.backends().get(index)) else {
        return Ok(());
    };
    let name = backend.name().to_owned();
    let order = if backend.is_running() {
        Order::Stop(name)
    } else {
        Order::Start(name)
    };
    order.obey(lab).map(drop).context("cannot switch a backend")
}
