//! Ten ways to get a configuration wrong: each is refused in one line that says where, and nothing is touched.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use lab::Lab;

use crate::{
    lifecycle::assert_nothing_remains,
    story::{Ended, in_lab, usual},
};

/// Marks the line that is to blame.
const BLAME: &str = "# blame";

/// A way to break a good configuration; the line to blame gets marked, where there is one.
type Break = fn(&str) -> String;

const BREAKS: [(&str, Break); 9] = [
    ("unknown key", |good| {
        replace(good, "scheduler =", "shedule = \"maglev\" # blame\nscheduler =")
    }),
    ("bad address", |good| {
        replace(good, "\"10.1.2.2:8080\"", "\"10.1.2.300:8080\" # blame")
    }),
    ("duplicate name", |good| {
        replace(good, "name = \"be2\"", "name = \"be1\" # blame")
    }),
    ("zero backends", |good| {
        format!("{good}{}", service_without_backends("empty", "10.0.0.100:81"))
    }),
    ("weight 999", |good| {
        replace(
            good,
            "[[service.backend]]",
            "[[service.backend]]\nweight = 999 # blame",
        )
    }),
    ("port 0", |good| {
        replace(good, "\"10.1.2.2:8080\"", "\"10.1.2.2:0\" # blame")
    }),
    ("mixed families", |good| {
        replace(good, "\"10.1.2.2:8080\"", "\"[fd00:1:0:2::2]:8080\" # blame")
    }),
    ("syntax error", |good| {
        replace(good, "protocol = \"tcp\"", "protocol = = \"tcp\" # blame")
    }),
    ("overlapping bind", |good| {
        let overlapping = service_without_backends("again", "10.0.0.100:80") + BACKEND;
        good.to_owned() + &replace(&overlapping, "80\"]", "80\"] # blame")
    }),
];

const BACKEND: &str = "[[service.backend]]\nname = \"one\"\naddress = \"10.1.1.2:8080\"\n";

#[test]
fn nine_broken_files_are_refused_at_the_place_to_blame() {
    in_lab(usual(), |lab| {
        let good = lab.config().to_toml();
        let refusals = BREAKS.map(|(what, breaks)| (what, is_refused(lab, &breaks(&good))));
        let wrong: Vec<_> = refusals.iter().filter(|(_, outcome)| outcome.is_err()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    });
}

#[test]
fn a_missing_file_is_named() {
    in_lab(usual(), |lab| {
        let missing = lab.directory().path().join("missing.toml");
        for command in ["check", "run"] {
            let ended = Ended::of(&mut with_config(lab, command, &missing)?)?;
            assert!(ended.refusal()?.contains("missing.toml"), "{ended:?}");
            assert_nothing_remains(lab)?;
        }
        Ok(())
    });
}

#[test]
fn the_unbroken_file_is_accepted() {
    in_lab(usual(), |lab| {
        let file = lab.write_config(&lab.config().to_toml())?;
        let ended = Ended::of(&mut with_config(lab, "check", &file)?)?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_nothing_remains(lab)
    });
}

/// Both commands refuse the text in one line that begins its place with the file and the line to blame.
fn is_refused(lab: &Lab, text: &str) -> Result<()> {
    let file = lab.write_config(text)?;
    let blamed = text
        .lines()
        .position(|line| line.contains(BLAME))
        .map(|index| index + 1);
    let place = match blamed {
        Some(line) => format!("{}:{line}:", file.display()),
        None => format!("{}:", file.display()),
    };
    for command in ["check", "run"] {
        let ended = Ended::of(&mut with_config(lab, command, &file)?)?;
        let refusal = ended.refusal()?;
        ensure!(
            refusal.contains(&place),
            "`{command}` does not say {place} but: {refusal}"
        );
        assert_nothing_remains(lab)?;
    }
    Ok(())
}

fn with_config(lab: &Lab, subcommand: &str, file: &Path) -> Result<Command> {
    let mut command = lab.ballast()?;
    command.args([subcommand, "--config"]).arg(file);
    Ok(command)
}

/// Replaces the first `old`, which must be there.
fn replace(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the good configuration has no {old}");
    text.replacen(old, new, 1)
}

fn service_without_backends(name: &str, bind: &str) -> String {
    format!("\n[[service]]\nname = \"{name}\"\nbind = [\"{bind}\"]\nprotocol = \"tcp\"\n")
}
