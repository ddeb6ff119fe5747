//! A cluster of ClickHouse: what is spelled otherwise where tables are on several machines.
//!
//! - **Tables are made on all machines** (`ON CLUSTER`), and rows are removed from on all of them.
//! - **Replicated** tables are the same on each replica of a shard, blocks and their numbers included: so
//!   the address of a row is the same everywhere. What removes rows names their addresses one by one,
//!   since each replica runs it by itself, and must not look at anything that may differ there.
//! - **Sharded** tables keep their rows in a table of each shard, `metaxy_system__local__{table}`, to
//!   which a `Distributed` one of their own name leads. All rows of a record are on one shard, and all
//!   children of a parent with their seals, by the hash of the ids: so each shard finds the latest rows
//!   of its records by itself. Numbers of blocks mean nothing there: a row has an address of its own, a
//!   UUID in a column that nobody sees who does not ask for it.
//!
//! Whatever looks at more than one relation brings the rows of a sharded table to the machine that was
//! asked: joins, groups and temporary tables are there alone. So nothing has to be together for them, and
//! least of all the members of a group. What would join on the shards is refused by the server
//! (`distributed_product_mode`), and never answered in part.

use super::quoted;
use crate::ident::Ident;

/// The column of a row's own address.
pub(super) const ADDRESS: &str = "metaxy_row";

/// Where tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The name of the cluster in the configuration of its servers.
    pub name: String,
    /// The database, which all of them have.
    pub database: String,
    /// Whether replicas keep the same rows.
    pub replication: Replication,
    /// Whether the rows of a table are spread over shards.
    pub sharded: bool,
    /// Whether this is about copies of tables that a session has, with the same addresses: they are on
    /// one machine.
    pub of_copies: bool,
}

/// Whether replicas keep the same rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// Nobody replicates.
    #[default]
    None,
    /// Where the servers' own settings say (`default_replica_path`, `default_replica_name`).
    Default,
    /// At a path of the keeper, under a name: both may hold macros, such as `{shard}` and `{replica}`.
    /// Of a table, the path goes on with its name.
    At {
        /// The path.
        path: String,
        /// The name.
        replica: String,
    },
}

/// What statements rely on where tables are replicated.
/// <https://clickhouse.com/docs/reference/settings/session-settings/insert-quorum>
const OF_REPLICATED: &[(&str, &str)] = &[
    // What was written is on most replicas, one write after the other, and every read sees it.
    ("insert_quorum", "auto"),
    ("insert_quorum_parallel", "0"),
    ("select_sequential_consistency", "1"),
    // A write is told from another one by its token and its time, and not by its rows.
    ("insert_deduplicate", "0"),
];

/// What statements rely on where tables are sharded.
/// <https://clickhouse.com/docs/engines/table-engines/special/distributed>
const OF_SHARDED: &[(&str, &str)] = &[
    // An INSERT is done when all shards have their rows.
    ("distributed_foreground_insert", "1"),
    // All shards answer, or nobody does.
    ("skip_unavailable_shards", "0"),
    ("fallback_to_stale_replicas_for_distributed_queries", "0"),
    // So are the parts of an INSERT, each once: those of this machine would be counted twice.
    ("prefer_localhost_replica", "0"),
    // Rows are where their ids say.
    ("insert_distributed_one_random_shard", "0"),
    // The machine that is asked puts things together: it has the temporary tables.
    ("distributed_product_mode", "deny"),
    ("prefer_global_in_and_join", "0"),
    ("parallel_distributed_insert_select", "0"),
    ("allow_push_predicate_ast_for_distributed_subqueries", "0"),
    ("enable_parallel_replicas", "0"),
];

impl Cluster {
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let of_replicated = if self.is_replicated() { OF_REPLICATED } else { &[] };
        let of_sharded = if self.sharded { OF_SHARDED } else { &[] };
        of_replicated.iter().chain(of_sharded).copied()
    }

    fn is_replicated(&self) -> bool {
        self.replication != Replication::None
    }

    // <https://clickhouse.com/docs/sql-reference/distributed-ddl>
    pub(super) fn on_machines(&self) -> String {
        if self.of_copies { String::new() } else { format!(" ON CLUSTER {}", quoted(&self.name)) }
    }

    /// The engine of a table for all connections.
    // <https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication>
    pub(super) fn engine(&self) -> String {
        match &self.replication {
            Replication::None => "MergeTree".to_owned(),
            Replication::Default => "ReplicatedMergeTree".to_owned(),
            Replication::At { path, replica } => {
                let path = format!("{}/{{database}}/{{table}}", path.trim_end_matches('/'));
                format!("ReplicatedMergeTree({}, {})", text(&path), text(replica))
            }
        }
    }

    pub(super) fn kept_in(&self, table: &Ident) -> Option<Ident> {
        let is_led_to = self.sharded && !self.of_copies;
        is_led_to.then(|| Ident::generated(format!("metaxy_system__local__{table}")))
    }

    // <https://clickhouse.com/docs/engines/table-engines/special/distributed#distributed-parameters>
    pub(super) fn leading_layout(&self, kept_in: &str, together: &[String]) -> String {
        format!(
            "\nENGINE = Distributed({}, {}, {kept_in}, cityHash64({}))",
            quoted(&self.name),
            quoted(&self.database),
            together.join(", ")
        )
    }
}

/// A text between quotes: what a keeper cannot have in a path was refused before.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}
