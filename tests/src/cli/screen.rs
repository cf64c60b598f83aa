//! The terminal while the live table is on it.

use std::io::{Stdout, Write as _, stdout};

use anyhow::{Context as _, Result};
use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::Print,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
        LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    },
};

/// The alternate screen in raw mode; dropping it gives the terminal back as it was.
pub(crate) struct Screen {
    out: Stdout,
}

impl Screen {
    pub(crate) fn open() -> Result<Self> {
        enable_raw_mode().context("cannot switch the terminal to raw mode")?;
        let mut screen = Self { out: stdout() };
        execute!(screen.out, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Replaces what is shown. Overwrites in place and as one update, so that nothing flickers.
    pub(crate) fn show(&mut self, text: &str) -> Result<()> {
        let mut out = self.out.lock();
        queue!(out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        for line in text.lines() {
            queue!(out, Print(line), Clear(ClearType::UntilNewLine), Print("\r\n"))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        Ok(out.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nothing to give back.
        let _ = execute!(self.out, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
