//! What Kiln promises, held against the real binaries. Each file's name is one promise.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

mod a_deployment_is_what_its_settings_say;
mod a_dropped_raster_is_soon_a_tile;
mod a_raster_across_the_antimeridian_shows_on_both_sides;
mod a_raster_put_into_a_bucket_is_soon_a_tile;
mod a_store_has_one_ingestor;
mod a_style_changes_pixels_and_etags_together;
mod bad_input_ends_before_it_starts;
mod broken_stores_are_said;
mod classes_stay_classes;
mod convert_makes_a_cog_and_nothing_else;
mod every_raster_of_the_corpus_comes_out_as_it_must;
mod every_response_is_of_one_generation;
mod independent_judges_agree;
mod init_makes_what_is_missing;
mod killed_at_any_moment_nothing_is_lost;
mod lambda_serves_the_same;
mod live_pages_hear_of_what_is_ingested;
mod many_ingestors_share_the_work_whatever_dies;
mod masks_hide_only_what_is_invalid;
mod notifications_may_be_posted;
mod older_servers_serve_on_while_newer_writers_write;
mod photos_stay_small;
mod servers_hear_of_a_publication_at_once;
mod stores_that_break_their_promises_are_refused;
mod terracotta_clients_see_the_same;
mod the_catalogue_follows_the_folder;
mod the_demo_is_served;
mod the_page_shows_and_shares_what_is_ingested;
mod two_inputs_with_the_same_keys_have_one_winner;
mod what_was_rejected_can_be_retried;
