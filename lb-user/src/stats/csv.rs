//! The statistics as comma-separated values, under the names and in the order of `HAProxy`'s columns: what reads its
//! statistics reads these. A column that has no meaning at layer 4 stays empty.

use std::time::Duration;

use super::{Backend, Counters, Service, ServiceState, Statistics};

/// The columns, in `HAProxy`'s order (its management guide, 9.1).
const COLUMNS: [&str; 80] = [
    "# pxname",
    "svname",
    "qcur",
    "qmax",
    "scur",
    "smax",
    "slim",
    "stot",
    "bin",
    "bout",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "lastchg",
    "downtime",
    "qlimit",
    "pid",
    "iid",
    "sid",
    "throttle",
    "lbtot",
    "tracked",
    "type",
    "rate",
    "rate_lim",
    "rate_max",
    "check_status",
    "check_code",
    "check_duration",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "hanafail",
    "req_rate",
    "req_rate_max",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "comp_in",
    "comp_out",
    "comp_byp",
    "comp_rsp",
    "lastsess",
    "last_chk",
    "last_agt",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "agent_status",
    "agent_code",
    "agent_duration",
    "check_desc",
    "agent_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "agent_rise",
    "agent_fall",
    "agent_health",
    "addr",
    "cookie",
    "mode",
    "algo",
    "conn_rate",
    "conn_rate_max",
    "conn_tot",
];

/// Values by the names of their columns.
type Row = Vec<(&'static str, String)>;

/// All of it: for each service a row `FRONTEND`, one for each backend, and a row `BACKEND`.
pub fn text(statistics: &Statistics) -> Result<String, csv::Error> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (number, service) in (1..).zip(&statistics.services) {
        for row in rows(number, service) {
            writer.write_record(COLUMNS.map(|column| value(&row, column)))?;
        }
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn value<'r>(row: &'r Row, column: &str) -> &'r str {
    let found = row.iter().find(|(name, _)| *name == column);
    found.map_or("", |(_, value)| value)
}

fn rows(number: usize, service: &Service) -> Vec<Row> {
    let mut rows = vec![frontend(service)];
    rows.extend(service.backends.iter().map(|backend| server(service, backend)));
    rows.push(pool(service));
    let last = rows.len() - 1;
    for (position, row) in rows.iter_mut().enumerate() {
        // The frontend's number is 0, the backends' are from 1, and the pool's is 0 again.
        let of_server = if position == last { 0 } else { position };
        row.push(("# pxname", service.name.clone()));
        row.push(("pid", "1".to_owned()));
        row.push(("iid", number.to_string()));
        row.push(("sid", of_server.to_string()));
        row.push(("mode", service.protocol.clone()));
    }
    rows
}

fn frontend(service: &Service) -> Row {
    let mut row = traffic(&service.counters);
    row.push(("svname", "FRONTEND".to_owned()));
    row.push(("status", "OPEN".to_owned()));
    row.push(("type", "0".to_owned()));
    let binds: Vec<String> = service.bind.iter().map(ToString::to_string).collect();
    row.push(("addr", binds.join(" ")));
    row
}

fn pool(service: &Service) -> Row {
    let mut row = traffic(&service.counters);
    row.push(("svname", "BACKEND".to_owned()));
    row.push(("type", "1".to_owned()));
    row.push(("algo", service.scheduler.clone()));
    let status = match service.state {
        ServiceState::Up | ServiceState::Degraded => "UP",
        ServiceState::Down => "DOWN",
    };
    row.push(("status", status.to_owned()));
    let taking = service.backends.iter().filter(|backend| backend.state == "up");
    row.push(("act", taking.count().to_string()));
    row
}

fn server(service: &Service, backend: &Backend) -> Row {
    let mut row = traffic(&backend.counters);
    row.push(("svname", backend.name.clone()));
    row.push(("type", "2".to_owned()));
    row.push(("status", backend.state.to_uppercase()));
    row.push(("weight", backend.weight.to_string()));
    row.push(("addr", backend.address.to_string()));
    row.push(("lastchg", backend.check.changed_seconds_ago.to_string()));
    row.push(("algo", service.scheduler.clone()));
    row.push(("check_status", check_status(backend).to_owned()));
    row.push(("last_chk", backend.check.detail.clone()));
    if backend.check.has_run() {
        let duration = Duration::from_millis(backend.check.duration_ms);
        row.push(("check_duration", duration.as_millis().to_string()));
    }
    row
}

/// The nearest of `HAProxy`'s words: it has one for each kind of check, and these say no more than whether it was good.
fn check_status(backend: &Backend) -> &'static str {
    match backend.check.status.as_str() {
        "ok" => "L4OK",
        "failed" => "L4CON",
        "pending" => "INI",
        _ => "UNK",
    }
}

fn traffic(counters: &Counters) -> Row {
    [
        ("scur", counters.flows_active),
        ("smax", counters.flows_max),
        ("rate", counters.flows_rate),
        ("rate_max", counters.flows_rate_max),
        ("stot", counters.flows_total),
        ("bin", counters.bytes_in),
        ("bout", counters.bytes_out),
        ("econ", counters.refused),
        ("srv_abrt", counters.resets),
        ("wretr", counters.retries),
        ("lbtot", counters.flows_total),
        ("conn_tot", counters.flows_total),
    ]
    .map(|(column, number)| (column, number.to_string()))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    #[test]
    fn rows_are_those_of_haproxy_and_every_row_has_all_columns() {
        let text = text(&sample::statistics()).expect("a table");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headings = reader.headers().expect("headings").clone();
        let column = |name: &str| {
            headings
                .iter()
                .position(|heading| heading == name)
                .expect("a column")
        };
        let (name, status, address) = (column("svname"), column("status"), column("addr"));
        // Scripts take columns by their number, too.
        assert_eq!([column("scur"), status, column("type"), address], [4, 17, 32, 73]);
        let rows: Vec<_> = reader
            .records()
            .map(|row| row.expect("as long as the headings"))
            .collect();
        let shown: Vec<_> = rows.iter().map(|row| (&row[name], &row[status])).collect();
        assert_eq!(
            shown,
            [
                ("FRONTEND", "OPEN"),
                ("node1", "UP"),
                ("node2", "UP"),
                ("node3", "DOWN"),
                ("node4", "DRAIN"),
                ("node5", "UP"),
                ("BACKEND", "UP"),
            ]
        );
        assert_eq!(&rows[5][address], "[fd00::80]:9030");
        assert_eq!(&rows[3][column("last_chk")], "refused by <b>\"x\"</b> & co");
    }
}
