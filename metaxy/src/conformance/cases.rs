//! The list of all cases: of it are made the table [`CASES`] and the tests of `conformance::tests!`.

use crate::conformance::lineage::{
    calls, causes, definitions, explaining, groups, optional, plans,
};
use crate::conformance::{
    Case, Outcome, filters, hazards, histories, identifiers, records, values,
};

/// Hands the list to another macro, after these tokens.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($macro:ident $tokens:tt) => {
        $crate::$macro! {
            $tokens
            histories {
                known_histories_do_what_memory_does,
            }
            hazards {
                h01_a_try_that_was_not_finished_is_not_done,
                h02_what_a_new_try_lacks_is_gone,
                h04_mixed_granularity_is_compared_on_all_ids,
                h08_a_group_is_one_record,
                h08_the_members_of_a_group_come_as_lists,
                h08_records_that_share_a_group_bring_its_members_once,
                h09_groups_are_ordered_by_value_and_by_bytes,
                h10_system_columns_of_upstreams_stay_there,
                h14_an_upstream_without_a_table_is_empty,
                h16_filters_of_a_call_select_and_change_nothing,
                h16_a_call_forces_nothing_that_is_blocked,
                h03_null_ids_are_refused,
                h03_null_ids_of_other_programs_do_not_come_back_for_ever,
                h03_null_ids_in_a_table_do_not_come_back_for_ever,
                h05_a_bump_elsewhere_orphans_nothing,
                h06_a_bump_is_stale_with_its_reason,
                h07_an_added_field_is_stale_alone,
                h07_a_removed_field_makes_nothing_stale,
                h07_an_added_field_of_a_root_is_stale_alone,
                h11_parents_with_similar_names_are_told_apart,
                h12_columns_are_found_by_name,
                h12_unknown_and_missing_columns_are_listed,
                h13_a_soft_delete_revives_no_older_row,
                h13_history_keeps_every_row,
                h13_a_hard_deletion_revives_nothing_and_leaves_a_trace,
                h13_a_soft_deletion_has_a_time_of_its_own,
                h15_a_row_from_the_future_is_followed,
                h15_a_row_from_the_future_in_a_table_is_followed,
                h15_times_of_writes_increase_strictly,
                h17_samples_are_compared_with_what_is_stored,
            }
            records {
                every_scenario_gives_pythons_answers,
                hash_primitives_go_through_the_engine,
            }
            identifiers {
                texts_that_hurt_go_through,
                random_names_and_values_go_through,
                names_of_sixty_bytes_go_through,
                names_that_are_too_long_are_refused,
                long_ids_go_through_or_are_refused,
                features_may_be_called_as_parts_of_statements,
                nul_is_refused,
                numbers_at_the_edges_go_through,
            }
            values {
                lists_and_maps_are_kept_or_refused,
                days_and_times_are_kept_or_refused,
                parts_of_a_microsecond_are_refused,
                numbers_are_no_times,
                floats_are_no_ids,
            }
            filters {
                random_filters_say_what_they_say_in_memory,
                numbers_are_compared_at_the_edges,
            }
            calls {
                streams_stay_at_their_end,
                shards_are_disjoint_complete_and_stable,
                shards_of_an_expansion_are_of_parents,
                orders_put_null_last_and_ids_decide_ties,
                a_limit_comes_after_the_order_and_the_counts,
                filters_of_a_call_look_at_the_row_of_an_upstream,
                filters_over_stored_records_see_what_is_stored,
                without_a_comparison_all_is_forced,
                a_condition_can_force_records,
                a_condition_can_force_parents,
                failures_are_left_out,
                failures_are_tried_again,
                other_inputs_are_another_matter,
                a_success_clears_failures,
                unknown_names_are_refused,
            }
            causes {
                gone_when_the_upstream_record_was_deleted,
                gone_without_any_row_that_says_so,
                gone_when_all_members_of_a_group_are,
                a_hard_cascade_takes_groups_as_well,
                excluded_by_a_filter,
                excluded_when_the_members_moved,
                missing_when_a_required_upstream_was_never_computed,
                one_upstream_that_knows_decides,
                deleted_only_when_it_is_known_why,
            }
            definitions {
                an_edited_filter_changes_who_is_there,
                an_edited_lineage_makes_stale_what_it_changes,
                an_upstream_becomes_optional_and_required_again,
                an_edited_selection_makes_nothing_stale,
                an_upstream_that_no_field_reads_decides_who_is_there,
                a_renamed_field_makes_nothing_stale,
                without_its_first_name_a_field_is_another_one,
                a_renamed_field_can_be_bumped,
                a_renamed_field_of_a_root_stays_what_it_was,
                a_parent_that_is_several_records_is_refused,
            }
            explaining {
                a_record_that_is_as_it_should_be,
                a_stale_record_says_what_changed_upstream,
                a_stale_group_says_which_members,
                a_code_version,
                new_orphaned_blocked_and_deleted,
                a_timeline,
                up_and_down_across_all_features,
                children_of_a_parent,
                names_and_values_that_need_quotes,
                ids_that_are_not_there,
            }
            groups {
                all_ids_name_the_group_by_default,
                a_column_names_the_group,
                a_column_of_another_name_names_the_group,
                several_columns_name_the_group,
                selected_columns_come_as_lists,
                a_group_is_joined_with_another_upstream,
                what_a_filter_leaves_out_is_no_member,
                an_outdated_member_blocks_its_group,
                an_outdated_member_that_is_left_out_blocks_nothing,
            }
            optional {
                absent_ones_are_hashed_as_the_empty_text,
                what_comes_and_what_goes_makes_stale,
                an_outdated_row_blocks,
                a_filter_makes_a_row_absent,
                all_optional_joins_in_both_directions,
                three_optional_ones_find_each_other,
                a_group_can_be_optional,
                an_optional_upstream_is_not_to_blame,
            }
            plans {
                nothing_to_do,
                what_records_took,
                a_change_of_a_root_goes_down_by_its_field,
                what_is_new_goes_down,
                a_group_is_computed_once,
                an_upstream_that_may_be_absent,
                blocked_now_and_stale_then,
                a_code_version_that_is_not_made_yet,
                the_code_version_of_a_root,
                data_versions_of_their_own,
                children_are_not_known,
                a_filter_over_what_is_computed,
                orphans_stay,
                some_features,
            }
        }
    };
}

/// Makes a `#[test]` of every case, in a module for each group of them: `tests!(MyEngine::new())`.
///
/// The expression makes the [`Engine`](crate::conformance::Engine), a new one for each test, which is
/// dropped when the test has ended. It is written once in a module.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($engine:expr $(,)?) => {
        $crate::__conformance_cases! { __conformance_functions { $engine } }
    };
}

/// The list as tests.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_functions {
    ({ $engine:expr } $($group:ident { $($case:ident,)* })*) => {
        #[cfg(test)]
        fn __engine() -> impl $crate::conformance::Engine {
            $engine
        }
        $(#[cfg(test)]
        mod $group {
            $(#[test]
            fn $case() {
                let name = concat!(stringify!($group), "::", stringify!($case));
                $crate::conformance::run(&super::__engine(), name);
            })*
        })*
    };
}

/// The list as a table.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_table {
    ({} $($group:ident { $($case:ident,)* })*) => {
        /// All cases, by group.
        pub const CASES: &[Case] = &[$($(Case {
            name: concat!(stringify!($group), "::", stringify!($case)),
            run: |engine| Box::pin(async move { Outcome::from($group::$case(engine).await) }),
        },)*)*];
    };
}

crate::__conformance_cases! { __conformance_table {} }
