//! `ballast passwd`

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, Result, anyhow, ensure};
use argon2::{Argon2, PasswordHasher as _};
use clap::Args;

use super::output;

/// The shortest password that is taken (NIST SP 800-63B 3.1.1.2).
const SHORTEST: usize = 8;

/// Make the hash of a password for `users` in [stats]
///
/// Asks for the password twice, or reads a line where it is not at a terminal.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast passwd
  pwgen 20 1 | tee /dev/stderr | ballast passwd")]
pub(super) struct Passwd {}

impl Passwd {
    #[expect(clippy::unused_self, reason = "as all subcommands")]
    pub(super) fn run(self) -> Result<()> {
        let password = if io::stdin().is_terminal() {
            asked()?
        } else {
            read()?
        };
        ensure!(
            password.chars().count() >= SHORTEST,
            "the password is shorter than {SHORTEST} characters; choose a longer one"
        );
        let hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|error| anyhow!("the password cannot be hashed: {error}"))?;
        output::print(&format!("{hash}\n"))
    }
}

fn asked() -> Result<String> {
    let password = rpassword::prompt_password("Password: ").context("cannot read the password")?;
    let again = rpassword::prompt_password("Again: ").context("cannot read the password")?;
    ensure!(password == again, "the two passwords differ; try again");
    Ok(password)
}

fn read() -> Result<String> {
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
