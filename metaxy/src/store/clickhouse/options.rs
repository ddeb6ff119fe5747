//! [`Options`]: what a store asks of a ClickHouse that is more than one machine.

use crate::error::{Error, Result};
use metaxy_sql::dialect::{ClickHouse as Sql, Cluster, Replication};

/// What is asked of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Its name in the configuration of the servers.
    pub(crate) cluster: Option<String>,
    pub(crate) replicated: bool,
    /// Where replicas find each other, and the name of each, if not where the servers say.
    pub(crate) replica_path: Option<String>,
    pub(crate) replica_name: Option<String>,
    pub(crate) sharded: bool,
}

impl Options {
    /// Takes a parameter of an address, if it is one of ours.
    pub(super) fn take(&mut self, name: &str, value: &str) -> bool {
        let is_set = matches!(value, "true" | "1");
        match name {
            "cluster" => self.cluster = Some(value.to_owned()),
            "replicated" => self.replicated = is_set,
            "replica_path" => self.replica_path = Some(value.to_owned()),
            "replica_name" => self.replica_name = Some(value.to_owned()),
            "sharded" => self.sharded = is_set,
            _ => return false,
        }
        true
    }

    /// What is set, by name and value.
    fn set(&self) -> impl Iterator<Item = (&'static str, String)> {
        let is_set = |is_set: bool| is_set.then(|| "true".to_owned());
        [
            ("cluster", self.cluster.clone()),
            ("replicated", is_set(self.replicated)),
            ("replica_path", self.replica_path.clone()),
            ("replica_name", self.replica_name.clone()),
            ("sharded", is_set(self.sharded)),
        ]
        .into_iter()
        .filter_map(|(setting, value)| Some((setting, value?)))
    }

    /// Refuses what was asked for a store in another database.
    pub(crate) fn check_unused(&self) -> Result<()> {
        let problem = "only a store in ClickHouse has it";
        match self.set().next() {
            Some((setting, value)) => Err(Error::Setting { setting, value, problem }),
            None => Ok(()),
        }
    }

    /// Refuses what says too little.
    pub(super) fn check(&self) -> Result<()> {
        let problem = match &self.cluster {
            None => "it is for a cluster; name that one with `?cluster=` or `.cluster(\"..\")`",
            Some(name) if name.is_empty() => "a cluster has a name",
            Some(_) if !self.is_replicated() && !self.sharded => {
                "each of its machines would have tables of its own; say `replicated=true`, \
                 `sharded=true`, or both"
            }
            Some(_) if self.replica_path.is_some() != self.replica_name.is_some() => {
                "a path of replicas comes with a name of each: `replica_path` and `replica_name`"
            }
            Some(_) => return Ok(()),
        };
        match self.set().next() {
            Some((setting, value)) => Err(Error::Setting { setting, value, problem }),
            None => Ok(()),
        }
    }

    fn is_replicated(&self) -> bool {
        self.replicated || self.replica_path.is_some()
    }

    /// How SQL is written for it.
    pub(super) fn dialect(&self, database: &str) -> Sql {
        let replication = match (&self.replica_path, &self.replica_name) {
            (Some(path), Some(replica)) => {
                Replication::At { path: path.clone(), replica: replica.clone() }
            }
            _ if self.replicated => Replication::Default,
            _ => Replication::None,
        };
        let of = |name: &String| Cluster {
            name: name.clone(),
            database: database.to_owned(),
            replication,
            sharded: self.sharded,
            of_copies: false,
        };
        Sql { cluster: self.cluster.as_ref().map(of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parameters: &[(&str, &str)]) -> Options {
        let mut options = Options::default();
        assert!(parameters.iter().all(|(name, value)| options.take(name, value)));
        options
    }

    #[test]
    fn a_cluster_is_asked_for_in_an_address() {
        assert!(!Options::default().take("max_threads", "2"), "a setting of the server");
        assert_eq!(of(&[]).dialect("d").cluster, None);
        let options = of(&[("cluster", "c"), ("replicated", "true"), ("sharded", "1")]);
        options.check().expect("it says enough");
        let cluster = options.dialect("d").cluster.expect("a cluster");
        assert_eq!((cluster.name.as_str(), cluster.database.as_str()), ("c", "d"));
        assert!(cluster.sharded && cluster.replication == Replication::Default);
        let at =
            of(&[("cluster", "c"), ("replica_path", "/p/{shard}"), ("replica_name", "{replica}")]);
        at.check().expect("it says enough");
        let cluster = at.dialect("d").cluster.expect("a cluster");
        let (path, replica) = ("/p/{shard}".to_owned(), "{replica}".to_owned());
        assert_eq!(cluster.replication, Replication::At { path, replica });
    }

    #[test]
    fn what_says_too_little_is_refused() {
        for (parameters, what) in [
            (&[("sharded", "true")][..], "?cluster="),
            (&[("cluster", "c")], "tables of its own"),
            (&[("cluster", ""), ("sharded", "true")], "has a name"),
            (&[("cluster", "c"), ("replica_path", "/p")], "replica_name"),
        ] {
            let error = of(parameters).check().expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
