"""Every MUST, MUST NOT, SHOULD and SHOULD NOT of RFC 9111 that a shared cache can meet, and the
tests that hold it.

The words are ours; the section says where to read theirs. Modules are named from ``tests/``.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
POLICY = "caching/test_policy.py"
USE = "caching/test_use.py"
VALIDATION = "caching/test_validation.py"
KEYS = "caching/test_keys.py"
DIRECTIVES = "caching/test_directives.py"
INVALIDATION = "caching/test_invalidation.py"
DATES = "caching/test_dates.py"
WIRE = "integration/test_cache.py"

REQUIREMENTS = [
    # section, level, what, where, which test
    ("1.2.2", "MUST", "a number of seconds too large to represent is taken as 2^31", DIRECTIVES, "test_the_argument_is_bounded"),
    ("2", "MUST", "the key is at least the target URI", WIRE, "test_two_hosts_are_two_keys_and_two_listeners_are_two_name_spaces"),
    ("3", "MUST NOT", "store a response to a method that is not understood", POLICY, "test_only_responses_to_get_are_stored"),
    ("3", "MUST NOT", "store a response that is not final, or whose status is not understood where it must be", POLICY, "test_a_status_that_is_not_understood_is_not_stored"),
    ("3", "MUST NOT", "store what says no-store", POLICY, "test_no_store_of_a_response_is_obeyed"),
    ("3", "MUST NOT", "store what says private", POLICY, "test_a_private_response_is_not_stored_in_a_shared_cache"),
    ("3", "MUST NOT", "store a response to Authorization without leave", POLICY, "test_a_response_to_authorization_is_stored_only_if_it_allows_that"),
    ("3", "MUST NOT", "store what nothing says may be stored", POLICY, "test_something_has_to_say_that_it_may_be_stored"),
    ("3.1", "MUST", "store every field, unknown ones too", WIRE, "test_fields_are_stored_but_those_of_the_connection_and_of_proxies"),
    ("3.1", "MUST NOT", "store fields of the connection or of proxy authentication", WIRE, "test_fields_are_stored_but_those_of_the_connection_and_of_proxies"),
    ("3.2", "MUST", "an update replaces each field that comes, but for those of the content and the connection", VALIDATION, "test_an_update_replaces_fields_and_leaves_alone_what_describes_the_content"),
    ("3.3", "MUST NOT", "use an incomplete response as a complete one", WIRE, "test_a_response_cut_short_reaches_nobody_as_whole_and_is_not_stored"),
    ("3.3", "MUST NOT", "answer with a part without saying 206", WIRE, "test_parts_are_stored_answered_from_and_combined_to_the_whole"),
    ("3.4", "MUST", "combine parts only with the same strong validator", WIRE, "test_parts_of_two_versions_are_not_combined"),
    ("3.4", "MUST", "update the fields when parts are combined", WIRE, "test_combined_parts_have_the_fields_of_both"),
    ("3.4", "MUST", "combine what is stored with what is fetched only if the strong validator is the same", "integration/test_cache_gaps.py", "test_what_fills_no_gap_is_not_used_and_the_whole_is_asked_for"),
    ("3.5", "MUST NOT", "use a response to Authorization for others without leave", WIRE, "test_a_response_to_authorization_is_stored_only_when_it_says_so"),
    ("4", "MUST NOT", "reuse for another URI", WIRE, "test_paths_that_a_server_may_take_for_one_are_keys_of_their_own"),
    ("4", "MUST NOT", "reuse when fields that Vary names differ", WIRE, "test_vary_keeps_variants_apart_and_spelling_does_not"),
    ("4", "MUST NOT", "reuse what says no-cache, or for a request that does, without validation", USE, "test_what_may_be_done_with_a_stored_response"),
    ("4", "MUST", "add Age to what is answered without validation", WIRE, "test_a_fresh_response_is_answered_without_the_origin"),
    ("4", "MUST", "write requests with unsafe methods through to the origin", WIRE, "test_an_unsafe_request_invalidates_its_target_and_where_it_points"),
    ("4", "MUST", "use the most recent of several responses that fit", WIRE, "test_the_most_recent_of_several_that_fit_is_used"),
    ("4.1", "MUST NOT", "take a field that is absent in one request for one that is there", KEYS, "test_what_may_mean_another_thing_does_not_match"),
    ("4.1", "MUST NOT", "ever match Vary: *", POLICY, "test_vary_with_a_star_is_not_stored"),
    ("4.2", "SHOULD", "match dates in any case", DATES, "test_the_three_forms_in_any_case_are_dates"),
    ("4.2", "MUST NOT", "let the local time zone have a say", DATES, "test_what_is_written_is_read_back"),
    ("4.2", "SHOULD", "take a date in a zone other than GMT or UTC as none", DATES, "test_what_is_no_date_is_none"),
    ("4.2", "MUST", "take a date as the nearest time that is no later", DATES, "test_a_leap_second_is_not_later_than_it_says"),
    ("4.2.1", "MUST", "s-maxage, max-age, Expires, in this order", POLICY, "test_the_first_that_says_how_long_counts_and_nonsense_is_stale"),
    ("4.2.2", "MUST NOT", "guess when a time is stated", POLICY, "test_nothing_is_guessed_when_a_time_is_stated"),
    ("4.2.2", "SHOULD", "guess no more than a part of the time since the last change", POLICY, "test_a_guess_is_a_tenth_of_the_time_since_the_last_change_up_to_a_limit"),
    ("4.2.3", "MUST", "compute the age by Age, Date and the response's delay", POLICY, "test_the_age_of_a_response_as_it_comes"),
    ("4.2.4", "MUST NOT", "use stale what a directive forbids to", POLICY, "test_what_is_never_to_be_used_stale"),
    ("4.2.4", "MUST NOT", "use what is stale without leave", USE, "test_what_may_be_done_with_a_stored_response"),
    ("4.3.1", "MUST", "send the entity tags of what is validated", VALIDATION, "test_every_entity_tag_is_sent_and_a_date_only_of_one"),
    ("4.3.1", "SHOULD", "send Last-Modified when one response is validated", VALIDATION, "test_every_entity_tag_is_sent_and_a_date_only_of_one"),
    ("4.3.2", "MUST", "evaluate clients' conditions on what is stored, If-None-Match first", VALIDATION, "test_a_clients_condition_on_a_stored_response"),
    ("4.3.2", "SHOULD", "answer 304 when the condition says so", WIRE, "test_a_clients_condition_is_answered_from_the_cache"),
    ("4.3.2", "MUST NOT", "evaluate conditions that are the origin's", WIRE, "test_if_match_goes_to_the_origin"),
    ("4.3.2", "MUST", "evaluate If-Range before a range is answered", VALIDATION, "test_if_range_lets_a_range_count"),
    ("4.3.3", "MUST", "use a full response to validation for the request", WIRE, "test_a_stale_response_is_replaced_by_a_200"),
    ("4.3.3", "MUST", "on 5xx, pass it on or use what is stale within its leave", WIRE, "test_a_stale_response_is_used_when_the_origin_fails"),
    ("4.3.4", "MUST NOT", "update by a 304 whose strong validator nothing stored has", VALIDATION, "test_what_a_304_is_about"),
    ("4.3.4", "MUST", "update what a 304 is about", WIRE, "test_a_stale_response_is_validated_and_freshened_by_a_304"),
    ("4.3.5", "SHOULD", "update by a HEAD, or take as stale what it shows to have changed", WIRE, "test_head_updates_what_is_stored_and_a_changed_one_makes_it_stale"),
    ("4.4", "MUST", "invalidate the target of an unsafe request that succeeds", WIRE, "test_an_unsafe_request_invalidates_its_target_and_where_it_points"),
    ("4.4", "MUST NOT", "invalidate what is of another origin", INVALIDATION, "test_locations_count_only_within_the_origin"),
    ("5.1", "SHOULD", "use the first member of an Age that is a list", POLICY, "test_the_age_of_a_response_as_it_comes"),
    ("5.1", "SHOULD", "ignore an Age that is no number", POLICY, "test_the_age_of_a_response_as_it_comes"),
    ("5.2", "MUST", "pass directives on, obeyed or not", WIRE, "test_directives_are_passed_on_to_the_client_and_to_the_origin"),
    ("5.2", "SHOULD", "read arguments as tokens and as strings", DIRECTIVES, "test_seconds_are_read_as_token_or_string_and_what_is_none_is_zero"),
    ("5.2.1.1", "SHOULD", "max-age of a request", USE, "test_what_may_be_done_with_a_stored_response"),
    ("5.2.1.2", "SHOULD", "max-stale of a request", USE, "test_what_may_be_done_with_a_stored_response"),
    ("5.2.1.3", "SHOULD", "min-fresh of a request", USE, "test_what_may_be_done_with_a_stored_response"),
    ("5.2.1.4", "SHOULD NOT", "answer no-cache of a request without validation", WIRE, "test_no_cache_of_a_client_asks_the_origin_and_only_if_cached_never_does"),
    ("5.2.1.5", "MUST NOT", "store a response to a request with no-store", POLICY, "test_no_store_of_a_request_is_obeyed"),
    ("5.2.1.7", "SHOULD", "answer only-if-cached out of the cache or with 504", WIRE, "test_no_cache_of_a_client_asks_the_origin_and_only_if_cached_never_does"),
    ("5.2.2.2", "MUST NOT", "use must-revalidate once stale without validation", WIRE, "test_what_must_be_revalidated_is_a_504_when_the_origin_is_gone"),
    ("5.2.2.2", "MUST", "an error, 504 by choice, when that cannot be had", WIRE, "test_what_must_be_revalidated_is_a_504_when_the_origin_is_gone"),
    ("5.2.2.3", "SHOULD", "ignore no-store beside must-understand for a status that is understood", POLICY, "test_must_understand_overrides_no_store_for_a_status_that_is_understood"),
    ("5.2.2.4", "MUST NOT", "use no-cache without validation, for anybody", WIRE, "test_a_crowd_for_what_must_be_validated_is_never_answered_without"),
    ("5.2.2.4", "MUST NOT", "send the fields that no-cache names without validation", POLICY, "test_fields_that_private_or_no_cache_name_are_not_stored_and_the_rest_is"),
    ("5.2.2.5", "MUST NOT", "store no-store for anybody, not even those who wait", WIRE, "test_a_crowd_for_what_is_private_is_served_one_by_one"),
    ("5.2.2.7", "MUST NOT", "store the fields that private names", POLICY, "test_fields_that_private_or_no_cache_name_are_not_stored_and_the_rest_is"),
    ("5.2.2.8", "MUST NOT", "use proxy-revalidate once stale without validation", POLICY, "test_what_is_never_to_be_used_stale"),
    ("5.2.2.10", "MUST NOT", "use s-maxage once stale without validation", POLICY, "test_what_is_never_to_be_used_stale"),
    ("5.2.3", "MUST", "ignore directives that are not known", DIRECTIVES, "test_an_unheard_of_directive_changes_nothing"),
    ("5.3", "MUST", "take an invalid Expires as past", POLICY, "test_the_first_that_says_how_long_counts_and_nonsense_is_stale"),
    ("5.3", "MUST", "ignore Expires beside max-age or s-maxage", POLICY, "test_the_first_that_says_how_long_counts_and_nonsense_is_stale"),
]  # fmt: skip


@cache
def names_in(module):
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("section", "level", "what", "module", "name"),
    REQUIREMENTS,
    ids=[f"{section} {level} {what}" for section, level, what, _, _ in REQUIREMENTS],
)
def test_a_requirement_is_held_by_a_test_that_exists(section, level, what, module, name):
    assert level in {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT"}
    assert name.startswith("test_")
    assert name in names_in(module)
