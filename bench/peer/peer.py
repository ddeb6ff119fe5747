"""The same work as `graphs.rs`, done by the Python implementation of Metaxy on DuckDB.

    peer.py fill  FILE GRAPH PHASE RECORDS
    peer.py round FILE GRAPH PHASE RECORDS

`fill` makes the store, so that the next resolve is the one to be measured. `round` opens it, resolves the
leaf, reads all rows as Arrow, and prints what that took as JSON, in the form of `report::Round`. Imports
are over when the clock starts.

Python hashes with an extension of DuckDB, `hashfuncs`, which is fetched when a store is opened. Where it
cannot be, or where METAXY_BENCH_HASH=duckdb says so, `xxh64` is a macro on DuckDB's own `hash`, which is
no slower; the answer of a round says which it was.
"""

import json
import os
import sys
import time

import metaxy as mx
import polars as pl
from metaxy._hashing import HashAlgorithm
from metaxy.ext.duckdb import DuckDBMetadataStore

# As many records as `graphs.rs` writes in one call.
AT_ONCE = 250_000
# As many older rows as `graphs.rs` gives each record.
VERSIONS = 20

SIMPLE = ["audio", "frames"]
WIDE = ["audio", "frames", "text", "meta"]


class Store(DuckDBMetadataStore):
    """A store whose hash functions are there also without a network."""

    hash = "hashfuncs"

    def _load_extensions(self):
        connection = self._duckdb_raw_connection()
        if os.environ.get("METAXY_BENCH_HASH") != "duckdb":
            try:
                return super()._load_extensions()
            except Exception:  # DuckDB has several for what was not fetched.
                pass
        Store.hash = "a macro on DuckDB's hash"
        connection.execute("CREATE OR REPLACE TEMP MACRO xxh64(x) AS hash(x)")


def root(key, fields):
    spec = mx.FeatureSpec(
        key=key,
        id_columns=["id"],
        fields=[mx.FieldSpec(key=field, code_version="1") for field in fields],
    )

    class Root(mx.BaseFeature, spec=spec):
        id: str

    return Root


def leaf(key, roots, fields):
    spec = mx.FeatureSpec(
        key=key,
        id_columns=["id"],
        deps=[mx.FeatureDep(feature=root) for root in roots],
        fields=[
            mx.FieldSpec(
                key=field,
                code_version="1",
                deps=[mx.FieldDep(feature=root, fields=parents) for root in roots],
            )
            for field, parents in fields.items()
        ],
    )

    class Leaf(mx.BaseFeature, spec=spec):
        id: str

    return Leaf


def features(graph):
    """The roots with their fields, and the leaf."""
    if graph == "simple":
        roots = [(root("simple/root", SIMPLE), SIMPLE)]
        fields = {"summary": ["audio"]}
    else:
        roots = [(root("wide/a", WIDE), WIDE), (root("wide/b", WIDE), WIDE)]
        fields = {"scene": ["audio", "frames"], "summary": ["text", "meta"]}
    return roots, leaf(f"{graph}/leaf", [root for root, _ in roots], fields)


def add(store, root, fields, count, audio):
    """Adds the first `count` records, or changes their audio."""
    for start in range(0, count, AT_ONCE):
        numbers = pl.Series("n", range(start, min(count, start + AT_ONCE))).cast(pl.String)
        versions = [
            pl.format("{}{}", pl.lit(audio if field == "audio" else field), "n").alias(field)
            for field in fields
        ]
        frame = numbers.to_frame().select(
            pl.format("record-{}", pl.col("n").str.zfill(8)).alias("id"),
            pl.struct(versions).alias("metaxy_provenance_by_field"),
        )
        store.write(root, frame)


def fill(store, graph, phase, records):
    roots, leaf = features(graph)
    with store.open("w"):
        older = [f"v{version}-" for version in range(VERSIONS)] if phase == "versions" else []
        for audio in [*older, "a"]:
            for root, fields in roots:
                add(store, root, fields, records, audio)
        if phase == "new":
            return
        store.write(leaf, store.resolve_update(leaf).new)
        part = records // (1000 if phase == "few" else 10)
        add(store, *roots[0], part, "b")


def resolve(store, leaf):
    """Resolves, and reads the rows of all classes as Arrow."""
    increment = store.resolve_update(leaf)
    return sum(rows.to_arrow().num_rows for rows in (increment.new, increment.stale, increment.orphaned))


def round_(store, graph):
    _, leaf = features(graph)
    started = time.perf_counter()
    with store.open("r"):
        opened = time.perf_counter()
        rows = resolve(store, leaf)
        resolved = time.perf_counter()
        resolve(store, leaf)
        again = time.perf_counter()
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {
        "rows": rows,
        "hash": Store.hash,
        "open": (opened - started) * 1e3,
        "resolve": (resolved - opened) * 1e3,
        "again": (again - resolved) * 1e3,
        "peak": peak / 1024,
    }


def main():
    what, file, graph, phase, records = sys.argv[1:]
    config = mx.MetaxyConfig(project="bench", auto_create_tables=True, hash_truncation_length=16)
    with config.use():
        store = Store(database=file, hash_algorithm=HashAlgorithm.XXHASH64, auto_create_tables=True)
        if what == "fill":
            fill(store, graph, phase, int(records))
        else:
            print(json.dumps(round_(store, graph)))


main()
