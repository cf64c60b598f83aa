//! `dataplane = "auto"` where the best cannot be had.

use lab::{CheckTimes, Dataplane};

use crate::{
    af_packet::the_host_answers_nothing_of_a_load,
    story::{in_lab, usual},
};

/// A native program that takes frames in one piece is refused on a veth pair whose other end may send longer ones
/// (`veth_xdp_set`).
#[test]
fn auto_falls_back_to_generic_where_the_driver_refuses_native() {
    in_lab(
        usual().dataplane(Dataplane::Auto).check(CheckTimes::ONCE),
        |lab| {
            lab.client().ip_batch("link set eth0 mtu 9000\n")?;
            lab.start_daemon()?;
            let status = lab.daemon()?.status()?;
            assert_eq!(status.dataplane, "xdp-generic");
            for interface in status.interfaces {
                assert!(interface.why.is_some(), "{} does not say why", interface.name);
            }
            let log = lab.daemon_log()?;
            assert!(log.contains("falling back to generic XDP"), "{log}");
            the_host_answers_nothing_of_a_load(lab)
        },
    );
}

#[test]
fn auto_falls_back_to_userspace_where_bpf_is_forbidden() {
    in_lab(
        usual().dataplane(Dataplane::Auto).check(CheckTimes::ONCE),
        |lab| {
            lab.start_daemon_without(&["bpf", "perfmon", "sys_admin"])?;
            let status = lab.daemon()?.status()?;
            assert_eq!(status.dataplane, "af-packet");
            for interface in status.interfaces {
                let why = interface.why.unwrap_or_default();
                assert!(why.contains("CAP_BPF"), "{}: {why}", interface.name);
            }
            let log = lab.daemon_log()?;
            assert!(log.contains("falling back to af-packet"), "{log}");
            the_host_answers_nothing_of_a_load(lab)
        },
    );
}
