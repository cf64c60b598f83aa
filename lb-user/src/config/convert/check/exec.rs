//! A command that checks.

use toml::Spanned;

use super::super::value;
use crate::config::{
    error::Fault,
    raw::{self, Text, Variables},
    types::ExecCheck,
};

pub(super) fn exec(raw: &raw::Check) -> Result<ExecCheck, Fault> {
    let Some(command) = &raw.command else {
        let span = value::place(raw.kind.as_ref()).unwrap_or_default();
        return Err(Fault::within(
            span,
            "a check of type \"exec\" has no command",
            r#"add one such as command = ["/usr/local/bin/check", "--quick"]"#,
        ));
    };
    Ok(ExecCheck {
        command: words(command)?,
        environment: raw.env.as_ref().map_or(Ok(Vec::new()), environment)?,
    })
}

fn words(command: &Spanned<Vec<Text>>) -> Result<Vec<String>, Fault> {
    let words = command.get_ref();
    if let Some(text) = words.iter().find(|text| text.get_ref().contains('\0')) {
        return Err(Fault::at(
            text,
            "a word of a command cannot hold NUL",
            "remove it",
        ));
    }
    match words.first() {
        Some(program) if program.get_ref().starts_with('/') => {
            Ok(words.iter().map(|text| text.get_ref().clone()).collect())
        }
        Some(program) => Err(Fault::at(
            program,
            format!("{:?} is not an absolute path", program.get_ref()),
            "write one that begins with /: nothing is searched, and no shell reads it",
        )),
        None => Err(Fault::at(
            command,
            "the command is empty",
            r#"write a program and its arguments, such as ["/usr/local/bin/check", "--quick"]"#,
        )),
    }
}

fn environment(variables: &Variables) -> Result<Vec<(String, String)>, Fault> {
    let is_wrong = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = variables.get_ref().iter().find(is_wrong) {
        return Err(Fault::at(
            variables,
            format!("{name:?} is no variable of an environment"),
            "write a name without `=`, and no NUL",
        ));
    }
    let pairs = variables.get_ref().iter();
    Ok(pairs.map(|(name, value)| (name.clone(), value.clone())).collect())
}
