"""Cases of the model repository: index, load, unload, a configuration given with the load."""

import json
import time

from cases_common import f32, i32, one
from cases_http import observe_raw, post
from kits import RawGrpc
from tritonclient.grpc import service_pb2 as pb

from harness import case

GROUP = "control"


def index(k, only=None, ready=None):
    """The index as {"name version": state}; reasons are shown, not compared."""
    if ready is None:
        answer = k.as_dict(k.client.get_model_repository_index())
    elif k.protocol == "http":
        answer = json.loads(
            k.server.raw_http("POST", "/v2/repository/index", json.dumps({"ready": ready})).content
        )
    else:
        raw = RawGrpc(k.server)
        request = pb.RepositoryIndexRequest(ready=ready)
        answer = raw.call("RepositoryIndex", request, pb.RepositoryIndexResponse)
        raw.close()
    rows = answer if isinstance(answer, list) else answer.get("models", [])
    out = {}
    for row in rows:
        if only is None or row["name"] in only:
            out[f"{row['name']} {row.get('version', '-')}"] = {
                "state": row.get("state", "-"),
                "has a reason": bool(row.get("reason")),
                "_reason": row.get("reason"),
            }
    return out


def settled(k, *names):
    """The index of these models (or all) once none is on its way: Triton unloads after it has answered."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        rows = index(k, names or None)
        if not any(row["state"] in ("LOADING", "UNLOADING") for row in rows.values()):
            break
        time.sleep(0.02)
    return rows


def ready(k, *names):
    return {name: k.tried(lambda: k.client.is_model_ready(name)) for name in names}


@case(GROUP)
def the_index_lists_every_model(k):
    return settled(k)


@case(GROUP)
def the_index_may_list_the_ready_ones_alone(k):
    return {"all": settled(k), "all, asked for": index(k, ready=False), "ready": index(k, ready=True)}


@case(GROUP)
def a_model_is_loaded_and_unloaded(k):
    out = {"before": ready(k, "late")}
    k.client.load_model("late")
    out["loaded"] = ready(k, "late")
    out["index"] = settled(k, "late")
    out["answer"] = k.infer("late", {"X": i32(1, 1)})
    k.client.unload_model("late")
    out["unloaded"] = ready(k, "late")
    out["index afterwards"] = settled(k, "late")
    out["refused"] = k.refused(lambda: k.infer("late", {"X": i32(1, 1)}), "late")
    return out


@case(GROUP)
def unloading_an_unknown_model_is_no_fault_and_loading_one_is(k):
    return {
        "unload": repr(k.tried(lambda: k.client.unload_model("nosuch"))),
        "load": k.refused(lambda: k.client.load_model("nosuch"), "failed to load", "nosuch"),
        "not loaded": repr(k.tried(lambda: k.client.unload_model("late"))),
        "index": settled(k, "nosuch", "late"),
    }


@case(GROUP)
def names_that_lead_out_of_the_repository_are_refused(k):
    return {
        name: k.tried(lambda: k.client.load_model(name)) for name in ("..", ".", "%2e%2e%2fmodels")
    }


@case(GROUP)
def a_model_that_cannot_be_loaded_says_why(k):
    return {
        "refused": k.refused(lambda: k.client.load_model("broken"), "failed to load", "broken"),
        "ready": ready(k, "broken"),
        "index": settled(k, "broken"),
    }


@case(GROUP)
def a_loaded_model_may_be_loaded_again(k):
    k.client.load_model("plain")
    return {"ready": ready(k, "plain"), "answer": k.infer("plain", {"X": f32(2, 3)})}


@case(GROUP)
def loading_again_begins_the_statistics_anew(k):
    k.client.load_model("late")
    k.infer("late", {"X": i32(1, 1)})
    k.client.unload_model("late")
    k.client.load_model("late")
    answer = k.as_dict(k.client.get_inference_statistics("late"))["model_stats"][0]
    k.client.unload_model("late")
    return int(answer.get("inference_count", 0))


@case(GROUP)
def a_model_of_several_versions_goes_as_a_whole(k):
    k.client.unload_model("versions")
    out = {"unloaded": ready(k, "versions"), "index": settled(k, "versions")}
    k.client.load_model("versions")
    out["loaded"] = settled(k, "versions")
    out["answer"] = k.infer("versions", one(), model_version="1")
    return out


def late_config(k, **changes):
    """The configuration of "late" as the server gives it out, changed."""
    k.client.load_model("late")
    config = k.client.get_model_config("late", **({"as_json": True} if k.protocol == "grpc" else {}))
    k.client.unload_model("late")
    config = config.get("config", config)
    return json.dumps({**config, **changes})


@case(GROUP)
def a_load_may_bring_its_configuration(k):
    config = late_config(k, max_batch_size=7)
    k.client.load_model("late", config=config)
    given = k.as_dict(k.client.get_model_config("late"))
    given = given.get("config", given)
    out = {
        "max_batch_size": given["max_batch_size"],
        "answer": k.infer("late", {"X": i32(7, 1)}),
        "refused": k.refused(lambda: k.infer("late", {"X": i32(8, 1)}), "batch-size", "<= 7"),
    }

    def size_now():
        k.client.load_model("late")
        config = k.as_dict(k.client.get_model_config("late"))
        return config.get("config", config)["max_batch_size"]

    out["loaded again without it"] = size_now()
    k.client.unload_model("late")
    settled(k, "late")
    out["unloaded and loaded without it"] = size_now()
    k.client.unload_model("late")
    return out


@case(GROUP)
def a_faulty_configuration_is_refused_and_the_old_one_serves_on(k):
    good = late_config(k)
    k.client.load_model("late")
    out = {}
    for label, config in {
        "no JSON": "{nonsense",
        "no object": "[]",
        "unknown member": json.dumps({**json.loads(good), "no_such_member": 1}),
        "unknown type": good.replace("TYPE_INT32", "TYPE_NOSUCH"),
        "zero dimension": late_config_with_zero(good),
        "another name": json.dumps({**json.loads(good), "name": "other"}),
    }.items():
        out[label] = k.refused(lambda: k.client.load_model("late", config=config), "late")
        out[label + ", afterwards"] = k.tried(lambda: k.infer("late", {"X": i32(1, 1)}))
    k.client.unload_model("late")
    return out


def late_config_with_zero(good):
    config = json.loads(good)
    config["input"][0]["dims"] = ["0"]
    return json.dumps(config)


@case(GROUP)
def files_given_with_a_load(k):
    return {
        "without a configuration": k.refused(
            lambda: k.client.load_model("late", files={"file:1/model.py": b"x"})
        ),
        "an odd parameter": post(
            k, "/v2/repository/models/late/load", {"parameters": {"nosuch": "x"}}
        )
        if k.protocol == "http"
        else None,
        "config no text": post(k, "/v2/repository/models/late/load", {"parameters": {"config": 5}})
        if k.protocol == "http"
        else None,
    }


@case(GROUP)
def bodies_of_control_requests(k):
    if k.protocol != "http":
        return None
    load, unload = "/v2/repository/models/late/load", "/v2/repository/models/late/unload"
    return {
        "load, empty": post(k, load, ""),
        "load, no parameters": post(k, load, {}),
        "load, no JSON": post(k, load, "{nonsense"),
        "load, parameters no object": post(k, load, {"parameters": 5}),
        "load, an array": post(k, load, "[]"),
        "unload, dependents": post(k, unload, {"parameters": {"unload_dependents": False}}),
        "unload, dependents no boolean": post(k, unload, {"parameters": {"unload_dependents": "x"}}),
        "unload, empty": post(k, unload, ""),
        "unload, no JSON": post(k, unload, "{nonsense"),
        "index, empty": observe_raw(k.server.raw_http("POST", "/v2/repository/index"))["status"],
        "index, no JSON": post(k, "/v2/repository/index", "{nonsense"),
        "index, ready no boolean": post(k, "/v2/repository/index", {"ready": "yes"}),
    }


@case(GROUP)
def the_server_stays_ready_while_models_come_and_go(k):
    out = {"before": k.client.is_server_ready()}
    k.client.load_model("late")
    out["with one more"] = k.client.is_server_ready()
    k.client.unload_model("late")
    out["without it"] = k.client.is_server_ready()
    k.refused(lambda: k.client.load_model("broken"))
    out["after a failed load"] = k.client.is_server_ready()
    return out


# Without model control


@case("no_control")
def without_control_every_model_is_there(k):
    return {"index": index(k), "ready": ready(k, "plain"), "server": k.client.is_server_ready()}


@case("no_control")
def without_control_loading_and_unloading_are_refused(k):
    return {
        "load": k.refused(lambda: k.client.load_model("plain"), "explicit model load", "not allowed"),
        "unload": k.refused(
            lambda: k.client.unload_model("plain"), "explicit model load", "not allowed"
        ),
        "unknown": k.refused(lambda: k.client.load_model("nosuch"), "not allowed"),
        "still there": k.infer("plain", {"X": f32(2, 3)}),
    }
