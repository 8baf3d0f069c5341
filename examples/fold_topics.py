"""A run folded from the raw topic, as GET /v1/executions/{id} shows it. BOOTSTRAP REGISTRY ID"""

import io
import json
import sys
import urllib.request as http

from confluent_kafka import Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader

EMPTY = dict.fromkeys(["started_at", "ended_at", "duration_s", "output", "error"])
FOLD = {  # end of an event's name: the status it leads to, and what it sets (=: from another field)
    "Started": "running execution_id pipeline_id revision input=input_json scheduled_for started_at=at",
    "Scheduled": "scheduled attempt started_at=due_at",
    "Completed": "succeeded ended_at=at duration_s output=output_json error",
    "Failed": "failed ended_at=at duration_s error",
    "Skipped": "skipped ended_at=at",
    "Cancelled": "cancelled ended_at=at error",
}
(bootstrap, registry, run_id), run, steps = sys.argv[1:], dict(EMPTY), {}
kafka = Consumer({"bootstrap.servers": bootstrap, "enable.partition.eof": True, "group.id": "fold"})
for partition in kafka.list_topics(topic := "flexcore.execution.events").topics[topic].partitions:
    kafka.assign([TopicPartition(topic, partition, 0)])
    while (found := kafka.poll(30)) is not None and not found.error():
        if found.key().startswith(f"{run_id}#".encode()):
            url = f"{registry}/schemas/ids/{int.from_bytes(found.value()[1:5], 'big')}/schema"
            schema = parse_schema(json.load(http.urlopen(url)))
            event = schemaless_reader(io.BytesIO(found.value()[5:]), schema, None)
            for one in event.get("definition", {"steps": ()})["steps"]:
                steps[one["id"]] = {"step_id": one["id"], "status": "pending", "attempt": 0} | EMPTY
            row = steps[event["step_id"]] if "PipelineStep" in schema["name"] else run
            if "error_code" in event:
                event["error"] = {"code": event["error_code"], "message": event["error_message"]}
                event["error"] |= {"step_id": event["step_id"]} if row is run else {}
                event["duration_s"] = (event["at"] - row["started_at"]).total_seconds()
            end = next(end for end in FOLD if schema["name"].endswith(end))
            row["status"], *names = FOLD[end].split()
            for to, _, of in (name.partition("=") for name in names):
                row[to] = json.loads(event[of]) if of.endswith("_json") else event.get(of or to)
            run["version"] = int(found.key()[-12:])
for step in (s for s in steps.values() if run["error"] and s["status"] in ("pending", "scheduled")):
    step |= {"status": "cancelled", "ended_at": step["started_at"] and run["ended_at"]}
del run["duration_s"]
print(json.dumps({**run, "steps": [*steps.values()]}, default=lambda t: t.isoformat()[:-6] + "Z"))
