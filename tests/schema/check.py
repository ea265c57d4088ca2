"""Holds what `sextant analyze` writes to docs/schema.

check.py SEXTANT            runs an analysis with rows of every kind and holds its files to the schemas
check.py --update SEXTANT   writes the figures' names, units and words into the schema, from the program
"""

import copy
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMAS = os.path.join(HERE, "..", "..", "docs", "schema")
FIGURES = "figures-1.schema.json"

MODEL = """name: "m" backend: "simulated" max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ 16 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 16 ] } ]
parameters { key: "service_time" value { string_value: "3ms" } }
parameters { key: "gpu_device" value { string_value: "0" } }
parameters { key: "gpu_memory" value { string_value: "1GB" } }
parameters { key: "gpu_memory_total" value { string_value: "16GB" } }
"""
# What a device has beside the fields: its counters over the window, from which fields are made.
OF_DEVICES = {
    "energy": ("J", "Energy in the window."),
    "throttled_s": ("s", "Time in the window that the device was slowed down."),
}


def load_schemas():
    out = {}
    for name in sorted(os.listdir(SCHEMAS)):
        if name.endswith(".schema.json"):
            with open(os.path.join(SCHEMAS, name), encoding="utf-8") as file:
                out[name] = json.load(file)
    return out


def strict(schema):
    """The same, but what it does not describe is a fault: to find members that nobody described."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        # Conditions only look at what the object around them describes.
        out[key] = value if key in ("if", "then", "else", "not", "allOf") else strict(value)
    closes = out.get("type") == "object" and "properties" in out
    # Of a definition that others extend ($ref beside properties), those say what is left over.
    if (closes or "$ref" in out and "properties" in out) and "additionalProperties" not in out:
        out["unevaluatedProperties"] = False
    return out


def open_bases(schemas):
    """Definitions that others extend cannot close themselves."""
    for name in ("point", "baseline"):
        schemas[FIGURES]["$defs"][name].pop("unevaluatedProperties", None)
    for definition in ("points", "baselines"):
        items = schemas["analysis-1.schema.json"]["properties"][definition]["items"]
        items["unevaluatedProperties"] = False
    return schemas


def validator(schemas, name):
    import jsonschema
    import referencing

    registry = referencing.Registry().with_resources(
        (key, referencing.Resource.from_contents(value)) for key, value in schemas.items()
    )
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schemas[name], registry=registry)


def run(sextant, *arguments):
    own = {k: v for k, v in os.environ.items() if not k.startswith("SEXTANT_")}
    done = subprocess.run(
        [sextant, "analyze", *arguments], capture_output=True, text=True, timeout=200, env=own
    )
    if done.returncode not in (0, 3):
        sys.exit(f"analyze {arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


def analyses(sextant, directory):
    """Lines of a journal and results with rows that were measured, refused and failed."""
    repository = os.path.join(directory, "models")
    os.makedirs(os.path.join(repository, "m", "1"))
    with open(os.path.join(repository, "m", "config.pbtxt"), "w", encoding="utf-8") as file:
        file.write(MODEL)
    out = os.path.join(directory, "out")
    common = ["-m", "m", "--model-repository", repository, "-e", out, "--shortest-window", "200ms",
              "--longest-window", "300ms", "--timeout", "1s", "--gpu-hour-price", "2",
              "--budget", "20s"]
    # The server dies of one, refuses another, and answers every request of the third with a failure.
    run(sextant, *common, "-d", "300ms", "-b", "1,4", "-c", "2", "--set",
        "parameters[error_rate]=crash:1,nonsense:1,internal:1", "--constraint", "p99<1s")
    results = [read_json(os.path.join(out, "results.json"))]
    # Another session, open loop, with what a constraint breaks at.
    run(sextant, *common, "--resume", "--request-rate", "50,400", "--set", "instances=2,null",
        "--constraint", "p99<20ms", "--objective", "latency_p99:2,gpu_memory:1")
    results.append(read_json(os.path.join(out, "results.json")))
    # What nothing keeps, by points that are there.
    run(sextant, *common, "--resume", "--request-rate", "50,400", "--set", "instances=2,null",
        "--constraint", "p99<1us", "--objective", "latency_p99:2,gpu_memory:1")
    results.append(read_json(os.path.join(out, "results.json")))
    lines = read_lines(os.path.join(out, "journal.jsonl"))
    # Two together: figures and settings of each under its name.
    other = MODEL.replace('"m"', '"n"')
    os.makedirs(os.path.join(repository, "n", "1"))
    with open(os.path.join(repository, "n", "config.pbtxt"), "w", encoding="utf-8") as file:
        file.write(other)
    out = os.path.join(directory, "together")
    run(sextant, *common[2:4], "-e", out, *common[6:], "--mix", "m:1,n:1", "-d", "0s", "-c", "2",
        "--set", "n:instances=2", "--constraint", "m:p99<1s")
    results.append(read_json(os.path.join(out, "results.json")))
    return lines + read_lines(os.path.join(out, "journal.jsonl")), results


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def described(fields):
    out = {}
    for name, unit, words in fields:
        out[name] = {"$ref": "#/$defs/figure", "x-unit": unit, "description": words}
    return out


def with_fields(figures, results):
    fields = [(f["name"], f["unit"], f["help"]) for f in results["fields"]]
    out = copy.deepcopy(figures)
    out["$defs"]["figures"]["properties"] = described(fields)
    own = [f for f in fields if f[0].startswith("gpu_")]
    own += [(name, *of) for name, of in OF_DEVICES.items()]
    out["$defs"]["device_figures"]["properties"] = described(own)
    return out


# --- mutations: each makes a document that a reader must not take for a good one -------------------


def mutants(document, schema_required, enums, numbers):
    for name in schema_required:
        broken = copy.deepcopy(document)
        del broken[name]
        yield f"without {name}", broken
    for name in enums:
        yield f"{name} of no known kind", {**document, name: "nonsense"}
    for name in numbers:
        if name in document:
            yield f"{name} is a text", {**document, name: "1"}
            yield f"{name} is negative", {**document, name: -1}


def deep_mutants(point):
    for path, value in (
        (("load", "mode"), "closed"),
        (("load", "batch_size"), 0),
        (("load", "batch_size"), 1.5),
        (("load", "value"), None),
        (("figures", "throughput"), 5),
        (("figures", "throughput", "value"), None),
        (("figures", "throughput", "lower"), "low"),
        (("devices", 0, "scope"), "process"),
        (("devices", 0, "figures", "gpu_utilization"), 0.5),
        (("flags",), "drifting"),
        (("started",), "yesterday"),
        (("error",), "but it was measured"),
    ):
        broken = copy.deepcopy(point)
        at = broken
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        yield f"{path} = {value!r}", broken


def all_mutants(lines, results, schemas):
    point_schema = schemas[FIGURES]["$defs"]["point"]
    of = {kind: next(x for x in lines if x.get("type") == kind)
          for kind in ("session", "baseline", "end")}
    measured = next(x for x in lines if x.get("status") == "measured" and x["devices"])
    refused = next(x for x in lines if x.get("status") == "refused")
    journal = [("header", mutants(lines[0], ["format", "version"], ["format"], ["version"]))]
    journal.append(("point", mutants(measured, point_schema["required"] + ["type", "session"],
                                     ["status", "type", "session"],
                                     ["take", "window_s", "cost_s", "load_cost_s"])))
    journal.append(("point", deep_mutants(measured)))
    journal.append(("refused point", mutants(refused, ["error"], [], [])))
    journal.append(("session", mutants(of["session"], ["started", "identity", "type"], [], [])))
    journal.append(("baseline", mutants(of["baseline"], ["kind", "figures", "devices", "session"],
                                        ["kind"], [])))
    journal.append(("end", mutants(of["end"], ["reason", "ended"], ["reason"], [])))
    required = schemas["analysis-1.schema.json"]["required"]
    analysis = [("results", mutants(results, required, ["format"], ["version"]))]
    winner = copy.deepcopy(results)
    winner["ranking"][0]["standing"] = "best"
    loadless = copy.deepcopy(results)
    loadless["ranking"][0].pop("load", None)
    loadless["ranking"][0]["standing"] = "wins"
    unplaced = copy.deepcopy(results)
    unplaced["ranking"][0].pop("load", None)
    unplaced["ranking"][0]["standing"] = "infeasible"
    analysis.append(("results", iter([("nothing near", unplaced),
                                      ("an unknown standing", winner),
                                      ("a winner without a load", loadless)])))
    return (("journal-1.schema.json", journal), ("analysis-1.schema.json", analysis))


def main():
    update = sys.argv[1:2] == ["--update"]
    sextant = sys.argv[-1]
    schemas = load_schemas()
    with tempfile.TemporaryDirectory() as directory:
        lines, results = analyses(sextant, directory)
    figures = with_fields(schemas[FIGURES], results[0])
    if update:
        with open(os.path.join(SCHEMAS, FIGURES), "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2, ensure_ascii=False)
            file.write("\n")
        return
    faults = []
    if figures != schemas[FIGURES]:
        faults.append(f"docs/schema/{FIGURES} has other figures than the program: check.py --update")
    seen = {line.get("status", line.get("type", "header")) for line in lines}
    missing = {"header", "session", "measured", "refused", "failed", "baseline", "end"} - seen
    if missing:
        faults.append(f"the journal has no {missing}")
    for name, choose in (("as published", lambda s: s),
                         ("strict", lambda s: open_bases({k: strict(v) for k, v in s.items()}))):
        chosen = choose(copy.deepcopy(schemas))
        journal = validator(chosen, "journal-1.schema.json")
        analysis = validator(chosen, "analysis-1.schema.json")
        for check, documents in ((journal, lines), (analysis, results)):
            for number, document in enumerate(documents):
                for error in check.iter_errors(document):
                    best = min(error.context, default=error,
                               key=lambda e: ("unexpected" not in e.message, -len(e.absolute_path)))
                    faults.append(f"{name}, document {number}: {list(best.absolute_path)}: "
                                  f"{best.message[:300]}")
        # That this would be seen.
        if name == "strict":
            for check, document in ((journal, lines[2]), (analysis, results[0])):
                if check.is_valid({**document, "surplus": 1}):
                    faults.append("a member that nobody described passes")
    refused = 0
    for schema, groups in all_mutants(lines, results[0], schemas):
        check = validator(schemas, schema)
        for what, group in groups:
            for name, document in group:
                refused += 1
                if check.is_valid(document):
                    faults.append(f"a {what} {name} passes {schema}")
    print(f"{len(lines)} lines and {len(results)} results hold; {refused} mutants, "
          f"{len(faults)} faults")
    if faults:
        sys.exit("\n".join(faults[:40]))


if __name__ == "__main__":
    main()
