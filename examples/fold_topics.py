"""A run folded from the raw topic, as GET /v1/executions/{id} shows it. BOOTSTRAP REGISTRY ID"""

import io
import json
import sys
import urllib.request as http

from confluent_kafka import Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader

EMPTY = dict.fromkeys(["started_at", "ended_at", "duration_s", "output", "error"])
FOLD = {  # event: the status it leads to, and what it sets (=: from a field of another name)
    "ExecutionStarted": "running execution_id pipeline_id revision input=input_json started_at=at",
    "PipelineStepScheduled": "scheduled attempt started_at=due_at",
    "PipelineStepCompleted": "succeeded ended_at=at duration_s output=output_json error",
    "PipelineStepFailed": "failed ended_at=at duration_s error",
    "PipelineStepSkipped": "skipped ended_at=at",
    "ExecutionCompleted": "succeeded ended_at=at output=output_json",
    "ExecutionCancelled": "cancelled ended_at=at error",
    "ExecutionFailed": "failed ended_at=at error",
}
bootstrap, registry, run_id = sys.argv[1:]
run, steps = {"output": None, "error": None, "ended_at": None}, {}
settings = {"isolation.level": "read_committed", "enable.partition.eof": True, "group.id": "fold"}
kafka = Consumer({"bootstrap.servers": bootstrap, **settings})
topic = kafka.list_topics("flexcore.execution.events").topics["flexcore.execution.events"]
for partition in topic.partitions:
    kafka.assign([TopicPartition(topic.topic, partition, 0)])
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
            row["status"], *names = FOLD[schema["name"].rpartition(".")[2]].split()
            for name, _, field in (name.partition("=") for name in names):
                value = event.get(field or name)
                row[name] = json.loads(value) if field.endswith("_json") else value
            run["version"] = int(found.key()[-12:])
print(json.dumps({**run, "steps": [*steps.values()]}, default=lambda t: t.isoformat()[:-6] + "Z"))
