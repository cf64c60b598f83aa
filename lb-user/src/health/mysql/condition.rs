//! Whether a server is what it has to be.

use std::time::Duration;

use super::session::Rows;
use crate::config::types::{MysqlConditions, MysqlRole};

/// How a server follows one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Whether it gets what the source writes, and applies it.
    runs: bool,
    /// How far it is behind; `None`: it does not know.
    lag: Option<Duration>,
}

impl Replica {
    /// From the answer to `SHOW REPLICA STATUS`, whose columns have other names on every server and version.
    pub(super) fn all(rows: &Rows) -> Vec<Self> {
        let io = rows.column(&["Slave_IO_Running", "Replica_IO_Running"]);
        let sql = rows.column(&["Slave_SQL_Running", "Replica_SQL_Running"]);
        let behind = rows.column(&["Seconds_Behind_Master", "Seconds_Behind_Source"]);
        let runs = |value: Option<&str>| value.is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        rows.rows()
            .map(|row| Self {
                runs: runs(row.value(io)) && runs(row.value(sql)),
                lag: row
                    .value(behind)
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
            })
            .collect()
    }
}

/// Whether the value of a variable means that it is on.
pub(super) fn is_on(value: &str) -> bool {
    !matches!(value, "0" | "OFF")
}

impl MysqlConditions {
    pub(super) fn need_read_only(&self) -> bool {
        self.role.is_some() || self.read_only.is_some()
    }

    pub(super) fn need_replication(&self, read_only: Option<bool>) -> bool {
        let by_role = match self.role {
            None | Some(MysqlRole::Writer) => false,
            Some(MysqlRole::Replica) => true,
            Some(MysqlRole::Reader) => read_only == Some(true),
        };
        by_role || (self.role.is_none() && (self.replication || self.max_lag.is_some()))
    }
}

/// Whether the server is as it has to be, in words; `None` of what nobody needed to know.
pub(super) fn judge(
    conditions: &MysqlConditions,
    read_only: Option<bool>,
    replicas: Option<&[Replica]>,
) -> Result<String, String> {
    let wanted = match conditions.role {
        Some(MysqlRole::Writer) => Some(false),
        Some(MysqlRole::Replica) => Some(true),
        Some(MysqlRole::Reader) | None => conditions.read_only,
    };
    if let (Some(wanted), Some(is)) = (wanted, read_only)
        && wanted != is
    {
        return Err(format!("read_only is {}", if is { "on" } else { "off" }));
    }
    let how = match replicas {
        Some(replicas) => following(replicas, conditions.max_lag)?,
        None if read_only == Some(false) => "writer".to_owned(),
        None => "logged in".to_owned(),
    };
    Ok(how)
}

/// That a replica's threads run for all its sources, and that it is not too far behind any.
fn following(replicas: &[Replica], max_lag: Option<Duration>) -> Result<String, String> {
    if replicas.is_empty() {
        return Err("not a replica".to_owned());
    }
    if replicas.iter().any(|replica| !replica.runs) {
        return Err("replication does not run".to_owned());
    }
    // `None` comes before all others.
    let known = replicas.iter().map(|replica| replica.lag).min().flatten();
    let worst = replicas.iter().filter_map(|replica| replica.lag).max();
    match (max_lag, known.and(worst)) {
        (None, None) => Ok("replica".to_owned()),
        (Some(_), None) => Err("replica, nobody knows how far behind".to_owned()),
        (Some(most), Some(lag)) if lag > most => Err(format!("replica {} s behind", lag.as_secs())),
        (_, Some(lag)) => Ok(format!("replica {} s behind", lag.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(runs: bool, lag: Option<u64>) -> Replica {
        Replica {
            runs,
            lag: lag.map(Duration::from_secs),
        }
    }

    fn role(role: MysqlRole, max_lag: Option<u64>) -> MysqlConditions {
        MysqlConditions {
            role: Some(role),
            max_lag: max_lag.map(Duration::from_secs),
            ..MysqlConditions::default()
        }
    }

    #[test]
    fn a_writer_takes_writes_and_nothing_else_is_asked() {
        let writer = role(MysqlRole::Writer, None);
        assert!(writer.need_read_only() && !writer.need_replication(Some(true)));
        assert_eq!(judge(&writer, Some(false), None), Ok("writer".to_owned()));
        assert_eq!(
            judge(&writer, Some(true), None),
            Err("read_only is on".to_owned())
        );
    }

    #[test]
    fn a_reader_is_a_writer_or_a_replica_that_runs() {
        let reader = role(MysqlRole::Reader, Some(10));
        assert!(!reader.need_replication(Some(false)) && reader.need_replication(Some(true)));
        assert_eq!(judge(&reader, Some(false), None), Ok("writer".to_owned()));
        let with = |replicas: &[Replica]| judge(&reader, Some(true), Some(replicas));
        assert_eq!(
            with(&[replica(true, Some(10))]),
            Ok("replica 10 s behind".to_owned())
        );
        assert_eq!(
            with(&[replica(true, Some(11))]),
            Err("replica 11 s behind".to_owned())
        );
        assert_eq!(
            with(&[replica(false, Some(0))]),
            Err("replication does not run".to_owned())
        );
        assert_eq!(with(&[]), Err("not a replica".to_owned()));
        assert!(with(&[replica(true, None)]).is_err());
        assert!(
            with(&[replica(true, Some(0)), replica(true, None)]).is_err(),
            "one of two sources"
        );
        assert_eq!(
            with(&[replica(true, Some(0)), replica(true, Some(60))]),
            Err("replica 60 s behind".to_owned())
        );
    }

    #[test]
    fn a_replica_is_read_only() {
        let wanted = role(MysqlRole::Replica, None);
        let running = [replica(true, Some(1))];
        assert!(judge(&wanted, Some(true), Some(&running)).is_ok());
        assert_eq!(
            judge(&wanted, Some(false), Some(&running)),
            Err("read_only is off".to_owned())
        );
    }

    #[test]
    fn single_conditions_ask_for_what_they_need() {
        let lag = MysqlConditions {
            max_lag: Some(Duration::from_secs(5)),
            ..MysqlConditions::default()
        };
        assert!(lag.need_replication(None) && !lag.need_read_only());
        let nothing = MysqlConditions::default();
        assert!(!nothing.need_replication(None) && !nothing.need_read_only());
        assert_eq!(judge(&nothing, None, None), Ok("logged in".to_owned()));
    }
}
