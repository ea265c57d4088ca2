"""Cases of the HTTP protocol alone: JSON tensors, headers, paths, compression, malformed bodies."""

import gzip
import json
import zlib

import numpy
from cases_common import f32, i32, samples

from harness import brief, case, refusal

JSON_TYPES = [t for t in samples() if t != "FP16"]


def observe_raw(response, *words):
    """A raw response: its JSON body, or the words of its error."""
    try:
        body = json.loads(response.content) if response.content else None
    except ValueError:
        body = None
    if response.status == 200:
        return {"status": 200, "body": body, "type": response.getheader("Content-Type", "")}
    text = body["error"] if isinstance(body, dict) and "error" in body else brief(repr(response.content))
    return refusal(response.status, text, words)


def post(k, path, body, *words, headers=None):
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    return observe_raw(k.server.raw_http("POST", path, body, headers or {}), *words)


def tensor(name, type_name, shape, **more):
    return {"name": name, "datatype": type_name, "shape": shape, **more}


PLAIN = "/v2/models/plain/infer"
TYPES = "/v2/models/types/infer"


def plain_request(**more):
    return {"inputs": [tensor("X", "FP32", [2, 3], data=[1, 2, 3, 4, 5, 6])], **more}


# JSON tensors


@case("http")
def every_type_goes_both_ways_as_json(k):
    out = {}
    for name in JSON_TYPES:
        array = samples()[name]
        if name == "BYTES":  # JSON carries text only
            array = numpy.array([b"plain", b"", "käse €".encode()], numpy.object_)
        out[name] = k.infer(
            "types",
            [k.input("IN_" + name, array, binary_data=False)],
            [k.output("OUT_" + name, binary_data=False)],
        )
    return out


@case("http")
def json_in_and_bytes_out_and_the_other_way_round(k):
    out = {}
    for name in ("INT16", "FP32", "FP64", "BOOL", "UINT64"):
        array = samples()[name]
        for binary in (False, True):
            out[f"{name} {binary}"] = k.infer(
                "types",
                [k.input("IN_" + name, array, binary_data=binary)],
                [k.output("OUT_" + name, binary_data=not binary)],
            )
    return out


@case("http")
def fp16_and_bf16_are_refused_as_json(k):
    return {
        "FP16 in": post(k, TYPES, {"inputs": [tensor("IN_FP16", "FP16", [1], data=[1.5])]}, "fp16"),
        "BF16 in": post(k, TYPES, {"inputs": [tensor("IN_BF16", "BF16", [1], data=[1.5])]}, "bf16"),
        "FP16 out": k.refused(
            lambda: k.infer(
                "types",
                {"IN_FP16": numpy.array([1], numpy.float16)},
                [k.output("OUT_FP16", binary_data=False)],
            ),
            "fp16",
        ),
    }


@case("http")
def bytes_that_are_no_text_as_json(k):
    array = numpy.array([b"\xff\xfe"], numpy.object_)
    out = k.tried(lambda: k.infer("types", {"IN_BYTES": array}, [k.output("OUT_BYTES", binary_data=False)]))
    return {"_answer": out}  # see allowed_differences.py: JSON cannot say them


@case("http")
def json_data_may_be_nested_or_flat(k):
    def sent(data):
        return post(k, PLAIN, {"inputs": [tensor("X", "FP32", [2, 3], data=data)]})

    return {
        "nested": sent([[1, 2, 3], [4, 5, 6]]),
        "flat": sent([1, 2, 3, 4, 5, 6]),
        "nested otherwise": sent([[1, 2], [3, 4], [5, 6]]),
        "deeper": sent([[[1, 2, 3]], [[4, 5, 6]]]),
        "ragged": sent([[1], [2, 3, 4, 5, 6]]),
    }


@case("http")
def numbers_of_json_are_converted_to_the_type(k):
    def sent(type_name, data):
        request = {"inputs": [tensor("IN_" + type_name, type_name, [len(data)], data=data)]}
        return post(k, TYPES, request)

    return {
        "integers as FP32": sent("FP32", [1, 2, 3]),
        "integers as FP64": sent("FP64", [1, -2, 2**53]),
        "large integers": sent("UINT64", [2**64 - 1, 2**63, 0]),
        "small integers": sent("INT64", [-(2**63), 2**63 - 1]),
        "exponents": sent("FP32", [1e3, 1.5e-3, -1e30]),
        "bools": sent("BOOL", [True, False]),
        "bools as numbers": sent("BOOL", [1, 0]),
    }


@case("http")
def json_of_the_wrong_kind_is_refused(k):
    def sent(type_name, data):
        request = {"inputs": [tensor("IN_" + type_name, type_name, [len(data)], data=data)]}
        return post(k, TYPES, request)

    return {
        "text as FP32": sent("FP32", ["x"]),
        "null as FP32": sent("FP32", [None]),
        "number as BYTES": sent("BYTES", [5]),
        "fraction as INT32": sent("INT32", [1.5]),
        "beyond INT8": sent("INT8", [300]),
        "negative as UINT8": sent("UINT8", [-1]),
        "object": sent("INT32", [{}]),
    }


@case("http")
def json_of_the_wrong_count_is_refused(k):
    return {
        "too few": post(k, PLAIN, {"inputs": [tensor("X", "FP32", [2, 3], data=[1, 2])]}),
        "too many": post(k, PLAIN, {"inputs": [tensor("X", "FP32", [2, 3], data=[0] * 7)]}),
        "none": post(k, PLAIN, {"inputs": [tensor("X", "FP32", [2, 3], data=[])]}),
    }


@case("http")
def nan_and_infinities_as_json(k):
    array = numpy.array([numpy.nan, numpy.inf, -numpy.inf], numpy.float32)
    answer = k.tried(
        lambda: k.infer("types", {"IN_FP32": array}, [k.output("OUT_FP32", binary_data=False)])
    )
    return {"_answer": answer}


# The request's frame


@case("http")
def the_smallest_request_is_answered(k):
    return {
        "json": post(k, PLAIN, plain_request()),
        "with content type": post(
            k, PLAIN, plain_request(), headers={"Content-Type": "application/json"}
        ),
        "with another content type": post(
            k, PLAIN, plain_request(), headers={"Content-Type": "text/plain"}
        ),
        "in a version": post(k, "/v2/models/plain/versions/1/infer", plain_request()),
        "unknown members": post(k, PLAIN, plain_request(more={"a": 1})),
        "with an id": post(k, PLAIN, plain_request(id="id-7")),
    }


@case("http")
def binary_output_can_be_asked_for_as_a_whole(k):
    raw = k.server.raw_http(
        "POST", PLAIN, json.dumps(plain_request(parameters={"binary_data_output": True}))
    )
    length = int(raw.getheader("Inference-Header-Content-Length", "-1"))
    return {
        "status": raw.status,
        "type": raw.getheader("Content-Type"),
        "header": json.loads(raw.content[:length]),
        "data": raw.content[length:].hex(),
    }


@case("http")
def binary_and_json_outputs_mix(k):
    return k.infer(
        "labels",
        {"X": f32(1, 5), "Z": i32(1, 3)},
        [k.output("SCORES", binary_data=False), k.output("RANKS", binary_data=True)],
    )


def binary_post(k, path, header, data, *words, length=None, headers=None):
    text = json.dumps(header).encode()
    all_headers = {
        "Inference-Header-Content-Length": str(len(text) if length is None else length),
        **(headers or {}),
    }
    return post(k, path, text + data, *words, headers=all_headers)


@case("http")
def binary_data_of_the_wrong_size_is_refused(k):
    def sent(claimed, data, shape=(2, 3), **more):
        header = {
            "inputs": [tensor("X", "FP32", list(shape), parameters={"binary_data_size": claimed})]
        }
        return binary_post(k, PLAIN, header, data, **more)

    six = f32(2, 3).tobytes()
    return {
        "right": sent(24, six),
        "claims more than there is": sent(24, six[:20]),
        "claims less than there is": sent(20, six),
        "left over": sent(24, six + b"more"),
        "wrong for the shape": sent(20, six[:20]),
        "length of the header too short": sent(24, six, length=10),
        "length of the header too long": sent(24, six, length=100_000),
        "length of the header is no number": sent(24, six, length="many"),
        "length of the header negative": sent(24, six, length=-1),
    }


@case("http")
def a_raw_binary_request_is_the_only_inputs_data(k):
    def sent(model, data):
        raw = k.server.raw_http(
            "POST", f"/v2/models/{model}/infer", data, {"Inference-Header-Content-Length": "0"}
        )
        length = raw.getheader("Inference-Header-Content-Length")
        if raw.status != 200 or length is None:
            return observe_raw(raw)
        header = json.loads(raw.content[: int(length)])
        return {"header": header, "data": raw.content[int(length) :].hex()}

    return {
        "fixed shape": sent("plain", f32(2, 3).tobytes()),
        "batched": sent("counted", i32(1).tobytes()),
        "text": sent("text", b"words"),
        "empty text": sent("text", b""),
        "open dimension": sent("open", numpy.arange(6, dtype=numpy.int16).tobytes()),
        "open dimension, odd": sent("open", b"123"),
        "wrong size": sent("plain", b"1234"),
        "more than one input": sent("pair", b"1234"),
    }


@case("http")
def bytes_cut_off_are_refused(k):
    def sent(data, count):
        header = {
            "inputs": [tensor("IN_BYTES", "BYTES", [count], parameters={"binary_data_size": len(data)})]
        }
        return binary_post(k, TYPES, header, data)

    return {
        "right": sent(b"\x02\0\0\0ab", 1),
        "in an element": sent(b"\x09\0\0\0ab", 1),
        "in a length": sent(b"\x02\0\0\0ab\x01\0", 2),
        "too many": sent(b"\x01\0\0\0a\x01\0\0\0b", 1),
        "too few": sent(b"\x01\0\0\0a", 2),
    }


@case("http")
def a_body_that_is_no_request_is_refused(k):
    def wrong(**changes):
        entry = {**tensor("X", "FP32", [2, 3], data=[0] * 6), **changes}
        return post(k, PLAIN, {"inputs": [{n: v for n, v in entry.items() if v is not None}]})

    return {
        "empty": post(k, PLAIN, ""),
        "not JSON": post(k, PLAIN, "{nonsense"),
        "cut off": post(k, PLAIN, json.dumps(plain_request())[:-5]),
        "an array": post(k, PLAIN, "[]"),
        "a number": post(k, PLAIN, "5"),
        "no inputs": post(k, PLAIN, {}, ),
        "inputs no array": post(k, PLAIN, {"inputs": 5}),
        "no input": post(k, PLAIN, {"inputs": []}),
        "an input that is no object": post(k, PLAIN, {"inputs": [5]}),
        "no name": wrong(name=None),
        "name no text": wrong(name=5),
        "no datatype": wrong(datatype=None),
        "unknown datatype": wrong(datatype="FP33"),
        "no shape": wrong(shape=None),
        "shape no array": wrong(shape=6),
        "shape of text": wrong(shape=["2", "3"]),
        "negative shape": wrong(shape=[-2, -3]),
        "huge shape": wrong(shape=[2**40, 2**40]),
        "no data": wrong(data=None),
        "data no array": wrong(data=5),
        "outputs no array": post(k, PLAIN, plain_request(outputs=5)),
        "output without a name": post(k, PLAIN, plain_request(outputs=[{}])),
        "id no text": post(k, PLAIN, plain_request(id=5)),
        "parameters no object": post(k, PLAIN, plain_request(parameters=5)),
        "parameter of an odd kind": post(k, PLAIN, plain_request(parameters={"a": [1]})),
        "priority no number": post(k, PLAIN, plain_request(parameters={"priority": "high"})),
        "negative priority": post(k, PLAIN, plain_request(parameters={"priority": -1})),
        "timeout no number": post(k, PLAIN, plain_request(parameters={"timeout": "soon"})),
        "classification no number": post(
            k,
            PLAIN,
            plain_request(outputs=[{"name": "Y", "parameters": {"classification": "two"}}]),
        ),
        "binary_data no boolean": post(
            k, PLAIN, plain_request(outputs=[{"name": "Y", "parameters": {"binary_data": "yes"}}])
        ),
    }


@case("http")
def an_unknown_model_is_the_more_basic_mistake(k):
    return post(k, "/v2/models/nosuch/infer", "{nonsense", "unknown model", "nosuch")


# Compression


@case("http")
def requests_may_be_compressed(k):
    inputs = {"X": f32(2, 3)}
    return {
        "gzip": k.infer("plain", inputs, request_compression_algorithm="gzip"),
        "deflate": k.infer("plain", inputs, request_compression_algorithm="deflate"),
        "with JSON": k.infer(
            "plain",
            [k.input("X", f32(2, 3), binary_data=False)],
            request_compression_algorithm="gzip",
        ),
    }


@case("http")
def responses_may_be_compressed(k):
    out = {}
    for accept in ("gzip", "deflate", "gzip, deflate", "deflate;q=1, gzip;q=0.5", "identity", "br", "*"):
        raw = k.server.raw_http(
            "POST", PLAIN, json.dumps(plain_request()), {"Accept-Encoding": accept}
        )
        encoding = raw.getheader("Content-Encoding", "none")
        plain = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(encoding, lambda b: b)
        out[accept] = {
            "status": raw.status,
            "encoding": encoding,
            "type": raw.getheader("Content-Type"),
            "body": json.loads(plain(raw.content)),
        }
    return out


@case("http")
def binary_responses_may_be_compressed(k):
    return {
        algorithm: k.infer("plain", {"X": f32(2, 3)}, response_compression_algorithm=algorithm)
        for algorithm in ("gzip", "deflate")
    }


@case("http")
def a_large_response_is_compressed_whole(k):
    array = numpy.arange(200_000, dtype=numpy.float32)
    answer = k.infer(
        "types",
        {"IN_FP32": array},
        request_compression_algorithm="gzip",
        response_compression_algorithm="gzip",
    )
    return answer["values"]["OUT_FP32"] == array.tolist()


@case("http")
def bad_compression_is_refused(k):
    body = json.dumps(plain_request()).encode()
    return {
        "not gzip": post(k, PLAIN, body, headers={"Content-Encoding": "gzip"}),
        "cut off": post(k, PLAIN, gzip.compress(body)[:-12], headers={"Content-Encoding": "gzip"}),
        "unknown": post(k, PLAIN, body, headers={"Content-Encoding": "br"}),
        "identity": post(k, PLAIN, body, headers={"Content-Encoding": "identity"}),
    }


# Paths and methods


def asked(k, method, path, body=None):
    raw = k.server.raw_http(method, path, body)
    return {"status": raw.status, "_body": repr(raw.content[:300])}


@case("http")
def health_paths_answer_only_get(k):
    return {
        f"{method} {path}": asked(k, method, path)
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/plain/ready")
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD")
    }


@case("http")
def wrong_methods_are_refused(k):
    return {
        f"{method} {path}": asked(k, method, path, "{}" if method == "POST" else None)
        for method, path in [
            ("POST", "/v2"),
            ("POST", "/v2/models/plain"),
            ("POST", "/v2/models/plain/config"),
            ("POST", "/v2/models/plain/stats"),
            ("GET", "/v2/models/plain/infer"),
            ("PUT", "/v2/models/plain/infer"),
            ("GET", "/v2/repository/index"),
            ("GET", "/v2/repository/models/plain/load"),
            ("POST", "/v2/systemsharedmemory/status"),
            ("GET", "/v2/systemsharedmemory/region/r/register"),
            ("OPTIONS", "/v2"),
        ]
    }


@case("http")
def unknown_paths_are_refused(k):
    paths = [
        "/",
        "/v1",
        "/v2x",
        "/v2/nosuch",
        "/v2/models",
        "/v2/models/",
        "/v2/models/plain/nosuch",
        "/v2/models/plain/infer/more",
        "/v2/models/plain/versions",
        "/v2/models/plain/versions/x",
        "/v2/models/plain/versions/1/nosuch",
        "/v2/health",
        "/v2/health/nosuch",
        "/v2/repository",
        "/metrics",
        "//v2",
    ]
    return {path: asked(k, "GET", path) for path in paths}


@case("http")
def known_paths_may_carry_slashes_queries_and_escapes(k):
    paths = ["/v2/", "/v2?x=1", "/v2/models/plain?x=1", "/v2/models/pl%61in", "/v2/health/live/"]
    return {path: asked(k, "GET", path) for path in paths}


@case("http")
def statistics_of_all_models_have_two_paths(k):
    answer = k.server.raw_http("GET", "/v2/models/stats")
    names = sorted(s["name"] for s in json.loads(answer.content)["model_stats"])
    return {"status": answer.status, "models": sorted(set(names))}


@case("http")
def answers_have_a_content_type(k):
    paths = ["/v2", "/v2/models/plain", "/v2/models/plain/config", "/v2/models/plain/stats"]
    return {p: k.server.raw_http("GET", p).getheader("Content-Type") for p in paths}
