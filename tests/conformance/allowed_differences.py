"""Where `sextant serve` differs from Triton on purpose or by nature, and why. Nothing else may."""

import re

import numpy

from harness import ABSENT


def same_fp32(ours, theirs):
    return numpy.float32(ours) == numpy.float32(theirs)


# (cases, paths, why[, whether it holds for these two values])
ROWS = [
    (
        r"(http|grpc)\.the_server_describes_itself",
        r"name|version|extensions",
        "each names itself, and the extensions that it has",
    ),
    (
        r"(http|grpc)\.(models_describe_their_tensors|a_version_describes_itself)",
        r"(.*\.)?platform",
        "what runs the models of this test: simulated here, Python there",
        lambda ours, theirs: (ours, theirs) == ("simulated", "python"),
    ),
    (
        r"(http|grpc)\.models_give_out_their_configuration",
        r".*\.(backend|default_model_filename)",
        "what runs the models of this test: simulated here, the file model.py there",
    ),
    (
        r"(http|grpc)\.statistics_count_a_failing_models_failures",
        r"model_stats\[0\]\.(inference_count|inference_stats\..*)",
        "Triton's Python backend counts an answer that is an error as a success; here what the "
        "client sees fail is counted as failed",
    ),
    (
        r"metrics\.a_failing_models_failures_are_counted",
        r"nv_inference_.*",
        "as in statistics_count_a_failing_models_failures",
    ),
    (
        r"http\.(every_type_goes_both_ways_as_json|json_in_and_bytes_out_and_the_other_way_round"
        r"|numbers_of_json_are_converted_to_the_type)",
        r".*\.data\[\d+\]",
        "an FP32 is written with the fewest digits that give the same FP32 again; Triton writes it "
        "as the FP64 that it widens to",
        same_fp32,
    ),
    (
        r"http\.json_of_the_wrong_kind_is_refused",
        r"beyond INT8\..*",
        "a number that does not fit its type is refused; Triton cuts its upper bits off",
    ),
    (
        r"http\.bad_compression_is_refused",
        r"not gzip\.status",
        "data that cannot be decompressed is refused as such; Triton goes on with what it got out "
        "of it, and its status is that of the fault this leads to",
    ),
    (
        r"http\.known_paths_may_carry_slashes_queries_and_escapes",
        r"/v2/models/pl%61in\.status",
        "percent escapes in a path stand for what they say (RFC 3986); Triton does not read them",
    ),
    (
        r"grpc\.parameters_of_the_wrong_kind_are_refused",
        r"own, as uint64\..*",
        "a parameter of the client's own may be of any kind that the protocol has",
    ),
    (
        r"grpc\.cuda_memory_is_there_in_name_only",
        r"register\.status",
        "there is no CUDA memory here, and the status says so; a Triton without GPU finds the "
        "arguments invalid",
    ),
    (
        r"grpc\.trace_and_log_settings",
        r"(trace|log)\..*",
        "tracing and changing the log are not supported, and are refused by name",
    ),
    (
        r"shared_memory\..*\.a_region_may_begin_anywhere_in_its_object",
        r".*",
        "any offset can be mapped; Triton takes multiples of the page size only",
        lambda ours, theirs: ours is None or theirs is not None,
    ),
    (
        r"shared_memory\.grpc\.a_faulty_register_request_is_refused",
        r"no name\.status",
        "a region without a name could not be referred to, so it is refused for that; Triton first "
        "finds that the object is not there",
    ),
    (
        r"metrics\.the_families_have_their_(types|help)",
        r"nv_pinned_memory_pool_(total|used)_bytes",
        "there is no pool of pinned memory here",
        lambda ours, theirs: ours is ABSENT,
    ),
    (
        r"metrics\.rejections_by_a_full_queue_are_counted",
        r"added\.nv_inference_request_failure reason=REJECTED",
        "a request that a full queue refuses is counted as rejected; Triton counts it nowhere",
        lambda ours, theirs: (ours, theirs) == (2, 0),
    ),
    (
        r"metrics\.only_get_metrics_is_answered",
        r"GET /(metrics/more|v2/health/live)?\.(status|type)",
        "the metrics are at /metrics; Triton gives them out at every path",
    ),
    (
        r"control\..*",
        r"(.*\.)?broken -\.(state|has a reason)",
        "the index says of a model that could not be loaded that it is unavailable, and why; Triton "
        "does not where the configuration was at fault",
    ),
    (
        r"control\..*\.a_load_may_bring_its_configuration",
        r"loaded again without it",
        "a load without a configuration takes the file's; Triton does nothing where the files have "
        "not changed, and the configuration of the last load stays",
        lambda ours, theirs: (ours, theirs) == (2, 7),
    ),
    (
        r"control\..*\.files_given_with_a_load",
        r"(without a configuration|an odd parameter)\.status",
        "parameters of a load that are not supported are refused by name, as the client's mistake",
    ),
    (
        r"control\.http\.bodies_of_control_requests",
        r"unload, (no JSON|dependents no boolean)\..*",
        "a body that is not JSON or not as it should be is refused; Triton does not read it",
    ),
    (
        r"ensemble\.http\.ensembles_that_do_not_fit_are_refused",
        r".*\.status",
        "a load that fails is one kind of error here; Triton tells failed polls from failed loads",
    ),
    (
        r"ensemble\..*\.a_failing_step_fails_the_request",
        r"counted\.half_failing\.fail",
        "one request has failed, and once; Triton counts it twice",
        lambda ours, theirs: (ours, theirs) == (1, 2),
    ),
    (
        r"ensemble\..*",
        r"(.*\.)?parameters",
        "Triton repeats the sequence parameters of the steps' answers in the ensemble's, also where "
        "there are no sequences",
        lambda ours, theirs: ours is ABSENT,
    ),
]
_used = set()


def reason(case, path, ours, theirs):
    """Why this difference is allowed, or None."""
    for i, (case_pattern, path_pattern, why, *holds) in enumerate(ROWS):
        if not re.fullmatch(case_pattern, case) or not re.fullmatch(path_pattern, path):
            continue
        if holds and not holds[0](ours, theirs):
            continue
        _used.add(i)
        return why
    return None


def stale(cases):
    """Rows that no difference needed, though a case that they are about has run."""
    return [
        f"allowed_differences.py: no difference any more: {case_pattern} {path_pattern}"
        for i, (case_pattern, path_pattern, *_) in enumerate(ROWS)
        if i not in _used and any(re.fullmatch(case_pattern, case) for case in cases)
    ]
