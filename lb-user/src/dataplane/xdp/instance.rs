//! Which of several daemons on a host an instance is, as a name in the BPF file system.
//!
//! An instance is its network namespace and its control socket. All namespaces share one BPF file system, and
//! labs and containers use the same interface names and addresses: the namespace is in the name by its cookie,
//! which, unlike its inode, no other namespace gets before the next boot, when all pins are gone too. The control
//! socket tells daemons of one namespace apart, and it is what every `ballast` command already knows: so
//! `ballast stop` finds what a dead daemon left behind, and interfaces may change from one start to the next.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use nix::{
    getsockopt_impl, sockopt_impl,
    sys::socket::{AddressFamily, GetSockOpt as _, SockFlag, SockType, socket},
};

sockopt_impl!(
    /// The network namespace of a socket (Linux 5.14).
    NamespaceCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

/// The name of the instance in this network namespace whose control socket is at `socket`.
pub(super) fn name(socket: &Path) -> io::Result<String> {
    Ok(format!("{}{}", namespace()?, escaped(&one_spelling(socket)?)))
}

/// The control socket of the instance of that name, if it is one of this network namespace.
pub(super) fn socket_of(name: &str) -> Option<PathBuf> {
    let escaped = name.strip_prefix(&namespace().ok()?.to_string())?;
    unescaped(escaped)
}

/// What no other network namespace has been or will be called until the next boot.
pub(super) fn namespace() -> io::Result<u64> {
    let any = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    Ok(NamespaceCookie.get(&any)?)
}

/// The same path for the same socket: `/var/run` is a link to `/run`. The socket itself need not exist.
fn one_spelling(socket: &Path) -> io::Result<PathBuf> {
    let absolute = env::current_dir()?.join(socket);
    let (Some(directory), Some(file)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(absolute);
    };
    // What is not there has one spelling only.
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    Ok(directory.join(file))
}

/// A path as one file name, and a readable one. The BPF file system takes no dots (`bpf_lookup`, kernel/bpf/inode.c).
fn escaped(path: &Path) -> String {
    let escape = |byte: &u8| match byte {
        b'/' => "+".to_owned(),
        b'-' | b'_' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    path.as_os_str().as_bytes().iter().map(escape).collect()
}

/// The inverse of [`escaped`], of absolute paths.
fn unescaped(text: &str) -> Option<PathBuf> {
    let mut bytes = text.strip_prefix('+')?.bytes();
    let mut path = vec![b'/'];
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'+' => b'/',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_name_and_a_path_again() {
        for (path, name) in [
            ("/run/ballast/ballast.sock", "+run+ballast+ballast%2esock"),
            ("/tmp/a+b/c d", "+tmp+a%2bb+c%20d"),
            ("/ü_%-9", "+%c3%bc_%25-9"),
        ] {
            assert_eq!(escaped(Path::new(path)), name);
            assert_eq!(unescaped(name), Some(PathBuf::from(path)));
        }
    }

    #[test]
    fn what_is_no_name_of_ours_has_no_path() {
        for name in ["", "run", "+a%2", "+a%zz"] {
            assert_eq!(unescaped(name), None, "{name}");
        }
    }

    #[test]
    fn two_spellings_of_a_socket_are_one_instance() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::create_dir(&real).expect("a directory");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let name = |path: &Path| name(&path.join("b.sock")).expect("a name");
        assert_eq!(name(&real), name(&link));
        assert_ne!(name(&real), name(directory.path()));
        assert_eq!(
            socket_of(&name(&real)),
            Some(one_spelling(&real.join("b.sock")).expect("a path"))
        );
    }

    #[test]
    fn another_namespaces_instance_is_not_ours() {
        let other = namespace().expect("a cookie").wrapping_add(1);
        assert_eq!(socket_of(&format!("{other}+run+b")), None);
    }
}
