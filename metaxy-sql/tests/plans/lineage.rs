//! Resolves of groups, children and optional inputs, and calls that select.

use super::{Case, crop, definition, face, one_upstream, part, records, scene, two_upstreams};
use metaxy_sql::ast::Statement;
use metaxy_sql::filter::{Comparison, Filter, Operand, Value};
use metaxy_sql::plan::{
    Call, Expected, Failures, Field, Input, OrderBy, Resolve, Target, Unchanged,
};
use metaxy_sql::{lower, system};

fn is(column: &str, value: Value) -> Filter {
    Filter::Compare {
        left: Operand::Column(column.to_owned()),
        op: Comparison::Eq,
        right: Operand::Constant(value),
    }
}

fn inputs(plan: &mut Resolve) -> &mut Vec<Input> {
    match &mut plan.expected {
        Expected::Inputs(inputs) => inputs,
        Expected::Samples { .. } => panic!("a resolve of inputs"),
    }
}

/// A video of its scenes, those that a filter leaves in.
fn of_groups() -> Resolve {
    let mut plan = two_upstreams();
    let cut = Field {
        definition: definition("cut", "1", &["example/scene.cut"]),
        label: "cut".to_owned(),
        parts: vec![part("example/scene.cut", 0)],
    };
    let ids = vec!["video_id".to_owned()];
    plan.target = Target { records: Some(crop()), ids, fields: vec![cut] };
    let inputs = inputs(&mut plan);
    inputs.truncate(1);
    let scene = &mut inputs[0];
    scene.on = vec![("video_id".to_owned(), 0)];
    scene.grouped = true;
    scene.filter = Some(is("begins at", Value::Text("it's 0".to_owned())));
    plan
}

/// The faces in a video: the parents are compared.
fn of_parents() -> Resolve {
    let mut plan = one_upstream();
    plan.target.records = Some(face());
    plan
}

/// What is computed from each face.
fn of_children() -> Resolve {
    let mut plan = two_upstreams();
    let shot = records("example/shot", &["video_id", "scene"], "3a3b3c3d3e3f4041");
    plan.target.records = Some(shot);
    let inputs = inputs(&mut plan);
    inputs[0].records = Some(face());
    inputs[0].key = "example/face".to_owned();
    inputs[0].on = vec![("video_id".to_owned(), 0), ("face".to_owned(), 1)];
    inputs[0].columns = vec!["path".to_owned()];
    plan
}

/// The second input need not be there, or neither.
fn optional(which: [bool; 2]) -> Resolve {
    let mut plan = two_upstreams();
    let inputs = inputs(&mut plan);
    for (input, optional) in inputs.iter_mut().zip(which) {
        input.optional = optional;
    }
    if which[0] {
        // Each of them gives all ids.
        inputs[1].records = Some(scene());
        inputs[1].on = inputs[0].on.clone();
        inputs[1].sources.clear();
    }
    plan
}

/// Everything that a call can ask for.
fn call() -> Resolve {
    let mut plan = one_upstream();
    inputs(&mut plan)[0].asked = Some(is("path", Value::Text("a".to_owned())));
    plan.removed = Some(system::REMOVED.to_owned());
    plan.call = Call {
        selects: true,
        target: Some(is("video_id", Value::Text("b".to_owned()))),
        stale_if: vec![is(system::MATERIALIZATION_ID, Value::Text("run 1".to_owned()))],
        shard: Some((2, 5)),
        order_by: vec![(OrderBy::Brought(0, 0), true), (OrderBy::Class, false)],
        limit: Some(10),
        failures: Some(Failures {
            table: system::FAILURES.to_owned(),
            key: "example/crop".to_owned(),
            retry: Some((3, 1_700_000_000_000_000)),
        }),
        ..Call::default()
    };
    plan
}

/// Every stored record, those of older definitions too, with what was removed.
fn everything() -> Resolve {
    let mut plan = one_upstream();
    plan.removed = Some(system::REMOVED.to_owned());
    plan.call = Call { skip_comparison: true, unchanged: Unchanged::Older, ..Call::default() };
    plan
}

pub(crate) fn cases() -> Vec<Case> {
    let resolve = |name, plan: Resolve| Case {
        name,
        plan: plan.to_string(),
        statements: lower::resolve(&plan).map(Statement::Query).into_iter().collect(),
    };
    vec![
        resolve("resolve_groups", of_groups()),
        resolve("resolve_parents", of_parents()),
        resolve("resolve_children", of_children()),
        resolve("resolve_optional", optional([false, true])),
        resolve("resolve_all_optional", optional([true, true])),
        resolve("resolve_call", call()),
        resolve("resolve_everything", everything()),
    ]
}
