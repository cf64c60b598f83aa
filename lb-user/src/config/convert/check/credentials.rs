//! Who a check logs in as.

use super::super::{global, value};
use crate::config::{
    error::Fault,
    raw,
    types::{Login, Secret},
};

/// The user and where the password is; none where neither is written.
pub(super) fn login(raw: &raw::Check) -> Result<Option<Login>, Fault> {
    let secret = secret(raw)?;
    let Some(user) = &raw.user else {
        let written = [
            ("password_file", value::place(raw.password_file.as_ref())),
            ("password_env", value::place(raw.password_env.as_ref())),
        ];
        return match value::first_written(written) {
            None => Ok(None),
            Some((key, span)) => Err(Fault::within(
                span,
                format!("`{key}` is written, but not whose password it is"),
                "add `user`, or remove it",
            )),
        };
    };
    let name = user.get_ref();
    if name.is_empty() || name.contains(|c: char| c.is_control() || c == ':') {
        return Err(Fault::at(
            user,
            format!("{name:?} is not a user's name"),
            "write one without control characters and colons",
        ));
    }
    Ok(Some(Login {
        user: name.clone(),
        password: secret,
    }))
}

fn secret(raw: &raw::Check) -> Result<Option<Secret>, Fault> {
    match (&raw.password_file, &raw.password_env) {
        (Some(_), Some(second)) => Err(Fault::at(
            second,
            "there are two places for one password",
            "remove `password_file` or `password_env`",
        )),
        (Some(file), None) => Ok(Some(Secret::File(global::absolute("password_file", file)?))),
        (None, Some(variable)) => {
            let name = variable.get_ref();
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Fault::at(
                    variable,
                    format!("{name:?} is no variable of an environment"),
                    "write its name, not the password",
                ));
            }
            Ok(Some(Secret::Environment(name.clone())))
        }
        (None, None) => Ok(None),
    }
}
