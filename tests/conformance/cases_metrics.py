"""Cases of /metrics: families, types and labels, and what known requests add to them."""

import re
import time

from cases_common import Work, f32, i32, in_parallel, until

from harness import case

GROUP = "metrics"


def scrape(k):
    """The families of /metrics: name to type, and samples by (name, sorted labels)."""
    response = k.server.raw_http("GET", "/metrics", port=k.server.metrics_port)
    assert response.status == 200, response.content
    types, samples, helps = {}, {}, {}
    for line in response.content.decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ", 1)
            types[name] = kind
        elif line.startswith("# HELP "):
            name, text = line[7:].split(" ", 1)
            helps[name] = text
        elif line:
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            pairs = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels or "")))
            samples[name, pairs] = float(value)
    return types, samples, helps


def of_model(samples, model, version="1"):
    """A model's samples: name (and further labels) to value."""
    out = {}
    for (name, labels), value in samples.items():
        named = dict(labels)
        if named.pop("model", None) == model and named.pop("version", None) == version:
            key = name + "".join(f" {k}={v}" for k, v in sorted(named.items()))
            out[key] = value
    return out


SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure reason="
EXECUTIONS = "nv_inference_exec_count"


def added(k, model, act, items, requests=None, rejected=0, version="1"):
    """What `act` adds to a model's counters; of durations, whether there is any. It must lead to the
    execution of so many items, of so many requests (one each, where that is not said), and to so
    many rejections that both servers count."""

    def look():
        return of_model(scrape(k)[1], model, version)

    before = look()
    work = Work(k, model, version)
    act()
    executions = work.wait(items)

    def all_counted(after):
        def grown(key):
            return after[key] - before[key]

        return (
            grown(EXECUTIONS) >= executions
            and grown(SUCCESS) + grown(FAILURE + "BACKEND") >= (requests or items)
            and grown(FAILURE + "REJECTED") >= rejected
        )

    after = until(all_counted, look)
    out = {}
    for key in before.keys() | after.keys():
        grown = after.get(key, 0) - before.get(key, 0)
        out[key] = grown > 0 if "duration_us" in key else grown
    return out


@case(GROUP)
def the_families_have_their_types(k):
    return scrape(k)[0]


@case(GROUP)
def the_families_have_their_help(k):
    return scrape(k)[2]


@case(GROUP)
def every_loaded_model_has_its_samples_and_labels(k):
    samples = scrape(k)[1]
    return {
        name: sorted(of_model(samples, name, v))
        for name, v in [("plain", "1"), ("merging", "1"), ("versions", "1"), ("versions", "3")]
    }


@case(GROUP)
def models_that_are_not_loaded_have_none(k):
    samples = scrape(k)[1]
    return {"late": of_model(samples, "late"), "versions 7": of_model(samples, "versions", "7")}


@case(GROUP)
def the_machine_is_measured(k):
    scrape(k)
    time.sleep(0.05)  # use of the processor is that since the last look
    samples = scrape(k)[1]
    return {
        "total": samples["nv_cpu_memory_total_bytes", ()],
        "some is used": 0
        < samples["nv_cpu_memory_used_bytes", ()]
        < samples["nv_cpu_memory_total_bytes", ()],
        "use is a share": 0 <= samples["nv_cpu_utilization", ()] <= 1,
    }


@case(GROUP)
def successes_are_counted(k):
    def act():
        for _ in range(3):
            k.infer("counted", {"X": i32(1, 1)})

    return added(k, "counted", act, items=3)


@case(GROUP)
def a_batch_counts_its_items(k):
    def act():
        # Of a single one the inputs may take no whole microsecond.
        for _ in range(5):
            k.infer("counted", {"X": i32(4, 1)})

    return added(k, "counted", act, items=20, requests=5)


@case(GROUP)
def merged_requests_are_fewer_executions(k):
    def act():
        in_parallel(k, 8, lambda own, i: own.infer("merging", {"X": f32(1, 3)}))

    grown = added(k, "merging", act, items=8)
    executions = grown.pop(EXECUTIONS)
    return {**grown, "merged": 1 <= executions < 8}


@case(GROUP)
def a_versions_requests_count_for_it_alone(k):
    def act():
        k.infer("versions", {"X": i32(1)}, model_version="1")

    def third():
        return of_model(scrape(k)[1], "versions", "3")[SUCCESS]

    before = third()
    return {"1": added(k, "versions", act, items=1)[SUCCESS], "3": third() - before}


@case(GROUP)
def refused_requests_are_not_the_models(k):
    """What never reached the queue: a wrong shape, an unknown output, a batch that is too large. A
    good request is behind them, and all that is counted."""

    def act():
        k.refused(lambda: k.infer("counted", {"X": i32(1, 2)}))
        k.refused(lambda: k.infer("counted", {"X": i32(1, 1)}, ["NOSUCH"]))
        k.refused(lambda: k.infer("counted", {"X": i32(9, 1)}))
        k.infer("counted", {"X": i32(1, 1)})

    return added(k, "counted", act, items=1)


@case(GROUP)
def a_raising_models_failures_are_counted(k):
    def act():
        for _ in range(2):
            k.refused(lambda: k.infer("raising", {"X": i32(1)}))

    return added(k, "raising", act, items=2)


@case(GROUP)
def a_failing_models_failures_are_counted(k):
    def act():
        for _ in range(2):
            k.refused(lambda: k.infer("failing", {"X": i32(1)}))

    return added(k, "failing", act, items=2)


@case(GROUP)
def rejections_by_a_full_queue_are_counted(k):
    # One executes, two wait; the others are too many.
    refused = []

    def act():
        answers = in_parallel(
            k,
            5,
            lambda own, i: own.tried(lambda: own.infer("queue_limit", {"X": i32(1, 1)})),
            apart=0.03,
        )
        refused.append(sum("status" in answer for answer in answers))

    return {"added": added(k, "queue_limit", act, items=3), "refused": refused}


@case(GROUP)
def rejections_of_requests_that_waited_too_long_are_counted(k):
    def act():
        in_parallel(
            k,
            3,
            lambda own, i: own.tried(lambda: own.infer("queue_timeout", {"X": i32(1, 1)})),
            apart=0.05,
        )

    return added(k, "queue_timeout", act, items=1, rejected=2)


@case(GROUP)
def waiting_requests_are_pending(k):
    seen = []

    def call(own, i):
        if i < 3:
            return own.infer("queue_limit", {"X": i32(1, 1)})
        return seen.append(
            of_model(scrape(own)[1], "queue_limit")["nv_inference_pending_request_count"]
        )

    in_parallel(k, 4, call, apart=0.03)
    name = "nv_inference_pending_request_count"
    return {"during": seen, "afterwards": of_model(scrape(k)[1], "queue_limit")[name]}


@case(GROUP)
def only_get_metrics_is_answered(k):
    out = {}
    for method, path in [
        ("GET", "/metrics"),
        ("POST", "/metrics"),
        ("GET", "/"),
        ("GET", "/metrics/more"),
        ("GET", "/v2/health/live"),
    ]:
        response = k.server.raw_http(method, path, port=k.server.metrics_port)
        out[f"{method} {path}"] = {
            "status": response.status,
            "type": response.getheader("Content-Type") if response.status == 200 else None,
        }
    return out
