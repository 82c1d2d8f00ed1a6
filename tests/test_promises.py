"""What is promised in docs/promises.md has tests, and the tests of faults run.

Promises are numbered there; `PROMISES` says which tests keep each of them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT
from must_run import FILES, LONG, NO_DATA

TESTS = ROOT / "tests"
PROMISES: dict[int, list[str]] = {
    1: [  # a dead worker costs no batch
        "test_faults.py::test_killed_workers_cost_time_but_no_batch",
        "test_faults.py::test_killed_idle_workers_cost_no_batch",
        "test_faults.py::test_file_that_ends_one_worker_is_read_by_another",
        "test_faults.py::test_innocent_files_of_a_task_are_not_blamed",
        "test_faults.py::test_worker_killed_while_it_starts_is_replaced",
        "test_process_faults.py::test_kill_9_changes_no_batch",
        "test_process_faults.py::test_worker_that_exits_in_the_middle_of_a_file_changes_no_batch",
        "test_fit_faults.py::test_kill_9_of_workers_in_fit_changes_no_batch_and_no_loss",
    ],
    2: [  # a bad file is named, or skipped
        "test_faults.py::test_file_that_kills_twice_is_named_and_no_other",
        "test_faults.py::test_file_deleted_after_the_scan_is_named",
        "test_process_faults.py::test_file_whose_decoder_segfaults_is_named_and_no_other",
        "test_decode.py::test_unreadable_file_is_an_error_with_its_full_path",
        "test_fuzz.py::test_broken_pictures_are_read_as_by_keras_or_named",
        "test_fuzz.py::test_broken_real_pictures_are_read_as_by_keras_or_named",
        "test_image_faults.py::test_bad_files_of_every_kind_are_named_and_the_good_ones_between_are_read",
        "test_image_faults.py::test_file_that_is_changed_after_the_scan_is_named",
        "test_skip.py::test_place_goes_to_the_next_sample_of_the_epoch_that_can_be_read",
        "test_skip.py::test_warning_at_the_end_of_each_epoch_counts_and_lists",
    ],
    3: [  # no call blocks for longer than the timeout
        "test_faults.py::test_stopped_workers_are_a_timeout_that_names_the_files",
        "test_faults.py::test_hung_file_is_a_timeout_that_names_it_alone",
        "test_faults.py::test_slow_files_are_no_timeout",
        "test_process_faults.py::test_stopped_workers_are_a_timeout_and_the_next_epoch_is_whole",
        "test_process_faults.py::test_batches_asked_for_in_any_order_never_wait_for_each_other",
    ],
    4: [  # Ctrl-C
        "test_faults.py::test_ctrl_c_while_waiting_is_one_keyboard_interrupt",
        "test_faults.py::test_ctrl_c_between_two_steps_loses_nothing",
        "test_faults.py::test_ctrl_c_in_a_terminal_leaves_the_workers_alone",
        "test_fit_faults.py::test_ctrl_c_ten_times_is_one_keyboard_interrupt_each_and_fit_goes_on",
        "test_fit_faults.py::test_ctrl_c_ten_times_says_nothing_on_stderr",
    ],
    5: [  # no worker outlives its parent
        "test_faults.py::test_workers_go_when_the_parent_is_killed",
        "test_faults.py::test_script_may_end_with_a_live_source",
        "test_faults.py::test_worker_goes_though_a_forked_sibling_holds_its_pipe",
        "test_process_faults.py::test_script_may_end_with_live_iterators",
        "test_fit_faults.py::test_workers_go_when_fit_is_killed",
        "test_process_faults.py::test_kill_9_of_a_parent_whose_iterators_are_busy_leaves_no_worker",
    ],
    6: [  # a small /dev/shm
        "test_memory_faults.py::test_small_dev_shm_works_or_fails_at_construction",
        "test_memory_faults.py::test_64_descriptors_are_enough_for_training_and_validation",
        "test_workers.py::test_full_shared_memory_is_an_error_with_the_size",
        "test_workers.py::test_no_descriptors_are_an_error",
    ],
    7: [  # nothing leaks
        "test_leaks.py::test_epochs_leave_nothing",
        "test_leaks.py::test_epochs_on_all_ways_to_a_batch_leave_nothing",
        "test_leaks.py::test_iterators_dropped_without_close_leave_nothing",
        "test_leaks.py::test_errors_in_the_middle_of_an_epoch_leave_nothing",
        "test_leaks.py::test_bad_files_leave_nothing",
        "test_leaks.py::test_error_holds_no_batch_once_it_is_dropped",
        "test_leaks.py::test_fits_leave_nothing",
        "test_leaks.py::test_leak_in_every_round_is_found",
        "test_faults.py::test_sources_dropped_without_close_leave_nothing",
    ],
    8: [  # a batch is yours
        "test_buffers.py::test_memory_is_not_lent_again_while_it_is_seen",
        "test_buffers.py::test_kept_batches_are_untouched_while_others_are_made",
        "test_buffers.py::test_tensors_of_tensorflow_keep_their_values",
        "test_buffers.py::test_fit_trains_while_kept_batches_stay_intact",
        "test_memory_faults.py::test_50_kept_batches_of_files_are_untouched_while_200_more_are_made",
        "test_memory_faults.py::test_what_is_done_to_a_batch_shows_in_no_other",
    ],
    9: [  # batches depend on the seed alone
        "test_workers.py::test_generator_gives_the_same_batches_with_any_number_of_workers",
        "test_read_ahead.py::test_batches_do_not_depend_on_reading_ahead",
        "test_iterators.py::test_peek_at_an_index_is_pure",
        "test_oracles.py::test_one_thread_and_all_threads_give_the_same_bits",
        "test_process_faults.py::test_kill_9_changes_no_batch",
        "test_process_faults.py::test_batches_asked_for_in_any_order_never_wait_for_each_other",
    ],
    10: [  # the state of the process stays as it was
        "test_iterators.py::test_global_random_state_stays_as_it_was",
        "test_draws.py::test_global_random_state_is_left_alone_by_files_where_a_seed_is_given",
        "test_workers.py::test_worker_changes_nothing_in_the_parent",
        "test_global_state.py::test_main_thread_leaves_the_process_as_it_was",
        "test_global_state.py::test_other_thread_leaves_the_process_as_it_was",
        "test_global_state.py::test_signal_handlers_of_the_user_stay_and_work",
        "test_global_state.py::test_first_use_leaves_the_process_as_it_was",
    ],
    11: [  # every sample exactly once
        "test_feeding.py::test_fit_trains_on_what_a_loop_over_the_iterator_shows",
        "test_feeding.py::test_validation_does_not_disturb_training",
        "test_feeding.py::test_steps_per_epoch_give_every_batch_of_a_pass_once",
        "test_epochs.py::test_whole_epochs_in_any_order_give_every_batch_of_every_pass_once",
        "test_iterators.py::test_threads_share_an_epoch_without_losing_a_batch",
        "test_process_faults.py::test_eight_threads_on_one_iterator_get_every_batch_once",
        "test_process_faults.py::test_train_and_validation_in_turns_get_their_own_batches",
    ],
    12: [  # scripts without a guard; functions are not pickled
        "test_workers.py::test_script_without_a_guard_runs_once",
        "test_scripts.py::test_unguarded_script_with_workers_and_a_lambda_runs_once",
        "test_process_faults.py::test_function_that_cannot_be_pickled_runs_beside_workers",
        "test_process_faults.py::test_function_that_raises_is_named_with_its_sample_and_the_rest_goes_on",
        "test_preprocessing.py::test_wrong_result_is_told_with_the_function_and_the_images",
    ],
    13: [  # threading layers and forks
        "test_kernels.py::test_training_and_validation_in_two_threads_get_their_own_batches",
        "test_threading_layers.py::test_two_threads_with_a_generator_each_do_not_abort",
        "test_threading_layers.py::test_fork_by_multiprocessing_while_batches_are_made_is_an_error",
        "test_faults.py::test_forked_child_gets_an_error_and_does_no_harm",
        "test_process_faults.py::test_iterator_in_a_fork_is_an_error_and_the_parent_goes_on",
    ],
    14: [  # listed formats, limited sizes, regular files
        "test_decode.py::test_unlisted_format_is_refused_before_its_plugin_sees_it",
        "test_decode.py::test_pixel_limit_of_the_user_counts",
        "test_memory_faults.py::test_image_of_400_megapixels_takes_no_memory",
        "test_image_faults.py::test_folder_of_hostile_entries_lists_them_and_names_them",
        "test_image_faults.py::test_image_of_any_kind_named_jpg_equals_keras",
    ],
    15: [  # caches and saved pictures
        "test_disk_cache.py::test_process_killed_at_any_write_leaves_a_valid_cache",
        "test_disk_cache.py::test_disk_that_is_full_at_any_write_costs_images_only",
        "test_disk_cache.py::test_image_of_a_file_that_changed_is_not_found",
        "test_cached_batches.py::test_folder_that_cannot_be_used_costs_time_only",
        "test_file_faults.py::test_full_disk_while_pictures_are_saved_leaves_no_half_picture",
    ],
    16: [  # a seed covers the user's functions
        "test_programs.py::test_function_gets_the_numbers_that_it_gets_in_keras",
        "test_programs.py::test_pythons_random_repeats_with_the_seed",
        "test_programs.py::test_images_and_masks_stay_in_step_though_one_function_crops_at_random",
    ],
    17: [  # the user's own code counts
        "test_programs.py::test_subclass_of_a_generator_gives_what_it_gives_in_keras",
        "test_programs.py::test_subclass_of_an_iterator_gives_what_it_gives_in_keras",
        "test_programs.py::test_what_is_set_on_an_iterator_over_files_counts_from_the_next_batch_on",
        "test_programs.py::test_images_that_are_set_come_with_their_labels",
        "test_programs.py::test_order_that_is_set_is_that_of_the_pass",
    ],
    18: [  # nothing stays behind
        "test_idle.py::test_idle_iterator_gives_back_all_and_goes_on_where_it_was",
        "test_idle.py::test_ten_folds_on_tensorflow_leave_nothing",
    ],
}
PAGE = ROOT / "docs" / "promises.md"


@cache
def functions_of(file: str) -> set[str]:
    (path,) = TESTS.rglob(file)
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("number", PROMISES)
def test_promise_is_kept_by_tests_that_exist(number):
    assert PROMISES[number]
    for name in PROMISES[number]:
        file, function = name.split("::")
        assert function in functions_of(file), name


def test_promises_are_numbered_from_1_to_18():
    assert list(PROMISES) == list(range(1, 19))


def test_page_links_each_promise_to_its_tests():
    items = dict(re.findall(r"^(\d+)\. (.*(?:\n(?!\d+\. ).*)*)", PAGE.read_text(), re.MULTILINE))
    assert list(map(int, items)) == list(PROMISES), "the page has no list of 18"
    for number, text in items.items():
        linked = re.findall(r"\]\(\.\./tests/(?:\w+/)*([\w.]+)[^)]*\)", text)
        assert linked, f"promise {number} links no file of tests/"
        keepers = {name.split("::")[0] for name in PROMISES[int(number)]}
        assert set(linked) <= keepers, f"promise {number} is not kept in {set(linked) - keepers}"


# --- Tests that must run --------------------------------------------------------------------------

SKIPPING = {
    "test_leaks.py": "raise pytest.skip.Exception('no time', allow_module_level=True)",
    "test_faults.py": "@pytest.mark.skipif(True, reason='no fork here')\ndef test_kill(): pass",
    "test_workers.py": "def test_kill(): pytest.skip('not today')",
    "test_fuzz.py": "@pytest.mark.xfail(reason='known')\ndef test_kill(): assert False",
    "test_process_faults.py": "pytest.importorskip('no_such_module')",
}


def run_pytest(folder: Path, **environment: str) -> tuple[int, str]:
    """Run pytest on a folder of small tests, with the plug-in of this suite."""
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    options = ["-q", "-ra", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "must_run", *options],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(TESTS)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they may be skipped")
def test_skipped_test_of_faults_turns_a_run_red(tmp_path):
    assert SKIPPING.keys() == FILES
    for file, code in SKIPPING.items():
        (tmp_path / file).write_text(f"import pytest\n{code}\n")
    (tmp_path / "test_others.py").write_text("import pytest\ndef test(): pytest.skip('as it may')")
    code, out = run_pytest(tmp_path)
    assert code != 0
    for file, reason in zip(
        SKIPPING, ("no time", "no fork", "not today", "known", "no_such_module"), strict=True
    ):
        assert re.search(rf"{file} must run on Linux, this one did not: .*{reason}", out)
    assert re.search(r"1 skipped", out)
    assert "passed" not in out


@pytest.mark.parametrize("reason", [LONG, f"{NO_DATA}: there is no folder"])
def test_long_run_and_missing_photos_are_excuses_but_the_latter_not_in_ci(tmp_path, reason):
    for file in FILES:
        (tmp_path / file).write_text(f"import pytest\ndef test(): pytest.skip({reason!r})")
    assert run_pytest(tmp_path)[0] == 0
    assert run_pytest(tmp_path, CI="true")[0] == (0 if reason == LONG else 1)


def test_this_run_is_guarded(request):
    hooks = request.config.pluginmanager.hook
    for hook in (hooks.pytest_runtest_makereport, hooks.pytest_make_collect_report):
        assert any(one.function.__module__ == "must_run" for one in hook.get_hookimpls())


@pytest.mark.parametrize("file", sorted(FILES))
def test_file_that_must_run_exists_and_has_tests(file):
    assert any(name.startswith("test_") for name in functions_of(file))
