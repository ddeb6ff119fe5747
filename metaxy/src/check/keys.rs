//! Keys: their grammar, and one key for one feature among everything upstream.

use super::is_same_feature;
use super::message::Message;
use super::walk::Walk;
use crate::def::FeatureDef;
use crate::key;

/// Every key has the grammar that the runtime knows.
///
/// The derive has looked at them too, where it could point at each; this is the authority.
#[track_caller]
pub const fn keys(def: &FeatureDef) {
    check(def.key);
    let mut i = 0;
    while i < def.fields.len() {
        check(def.fields[i].key);
        if let Some(from) = def.fields[i].renamed_from {
            check(from);
        }
        i += 1;
    }
}

#[track_caller]
const fn check(key: &str) {
    if let Err(reason) = key::check(key) {
        Message::new().name(key).text(" is not a key: ").text(reason).panic()
    }
}

/// No two features upstream have one key, and none has the feature's own.
#[track_caller]
pub const fn keys_upstream(def: &FeatureDef, walk: &Walk) {
    if let Some((first, second)) = walk.one_key_twice {
        let (first, second) = (first.get(), second.get());
        let message = Message::new()
            .text("the key ")
            .name(first.key)
            .text(" is used by both ")
            .path(first.module, first.type_name)
            .text(" and ")
            .path(second.module, second.type_name);
        // A walk begins with the feature itself.
        match is_same_feature(first, def) {
            true => message.text(", which is upstream of it").panic(),
            false => message.text(", both upstream of ").name(def.type_name).panic(),
        }
    }
}
