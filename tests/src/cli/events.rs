//! Everything that can happen to a running lab, in one queue: signals, keys, orders from other processes.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::orders::Order;

/// Something happened.
pub(crate) enum Event {
    /// Somebody wants the lab to end: q, Ctrl-C, SIGTERM, SIGHUP.
    Quit,
    /// A key that is a digit was pressed.
    Digit(usize),
    /// Another process asks for something; its answer goes here.
    Order(Order, Sender<Result<String>>),
}

/// The queue.
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    /// A queue that signals arrive in. From here on they no longer end the process.
    pub(crate) fn with_signals() -> Result<Self> {
        let (sender, receiver) = channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handlers = {
            let _context = runtime.enter();
            let kinds = [
                SignalKind::interrupt(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ];
            kinds
                .map(signal)
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
                .context("cannot handle signals")?
        };
        let events = Self { sender, receiver };
        let sender = events.sender();
        thread::spawn(move || runtime.block_on(report_signals(handlers, &sender)));
        Ok(events)
    }

    /// Where others can put events.
    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Reports keys too; the terminal must be in raw mode.
    pub(crate) fn add_keys(&self) {
        let sender = self.sender();
        thread::spawn(move || {
            // Ends with the process, when the terminal goes, or when nobody listens any more.
            while let Ok(happened) = event::read() {
                if let Some(event) = from_key(&happened)
                    && sender.send(event).is_err()
                {
                    break;
                }
            }
        });
    }

    /// The next event; `None` when there is none for `limit`.
    pub(crate) fn next(&self, limit: Duration) -> Result<Option<Event>> {
        match self.receiver.recv_timeout(limit) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the event queue has no writers"),
        }
    }
}

async fn report_signals(mut handlers: Vec<Signal>, sender: &Sender<Event>) {
    loop {
        let signals = handlers.iter_mut().map(|handler| Box::pin(handler.recv()));
        futures_util::future::select_all(signals).await;
        if sender.send(Event::Quit).is_err() {
            break;
        }
    }
}

fn from_key(happened: &event::Event) -> Option<Event> {
    let key = happened
        .as_key_event()
        .filter(|key| key.kind == KeyEventKind::Press)?;
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Event::Quit),
        KeyCode::Char('q') => Some(Event::Quit),
        KeyCode::Char(letter) => Some(Event::Digit(letter.to_digit(10)? as usize)),
        _ => None,
    }
}
