//! `users` of `[stats]`

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier as _, phc::PasswordHash},
};
use toml::Spanned;

use super::value;
use crate::config::{
    error::Fault,
    raw::{self, Table},
    types::{Role, User},
};

pub(super) fn users(raw: &[Spanned<Table<raw::User>>]) -> Result<Vec<User>, Fault> {
    let mut users: Vec<User> = Vec::with_capacity(raw.len());
    for Table(raw) in raw.iter().map(Spanned::get_ref) {
        let user = user(raw)?;
        if users.iter().any(|other| other.name == user.name) {
            return Err(Fault::at(
                &raw.name,
                format!("there are two users {:?}", user.name),
                "give one of them another name",
            ));
        }
        users.push(user);
    }
    Ok(users)
}

fn user(raw: &raw::User) -> Result<User, Fault> {
    let name = raw.name.get_ref();
    // A colon ends the name in what a browser sends (RFC 7617 2).
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(Fault::at(
            &raw.name,
            format!("{name:?} is not a user's name"),
            "write one without a colon",
        ));
    }
    let hash = raw.password_hash.get_ref();
    let is_argon2 = PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2"));
    if !is_argon2 {
        return Err(Fault::at(
            &raw.password_hash,
            "this is not an Argon2 hash of a password",
            "write what `ballast passwd` prints",
        ));
    }
    Ok(User {
        name: name.clone(),
        password_hash: hash.clone(),
        role: value::word_or(Role::Viewer, "role", raw.role.as_ref(), Role::ALL, Role::as_str)?,
    })
}

/// Whether the password is the user's name, as in the `admin:admin` of so many manuals.
pub(super) fn is_guessable(user: &User) -> bool {
    Argon2::default()
        .verify_password(user.name.as_bytes(), user.password_hash.as_str())
        .is_ok()
}
