"""What each error code means and what to do about it, in the words of docs/reference/errors.md."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """Two short texts in Markdown."""

    means: str
    fix: str


MEANINGS: dict[str, Meaning] = {
    "aggregate.not_found": Meaning(
        "There is no pipeline, run or context of that name, or none of its events was seen yet.",
        "Check the id; `flexcore pipeline list` and `flexcore execution list` show those that exist.",
    ),
    "aggregate.version_conflict": Meaning(
        "The write named a version that is no longer the last one: somebody else was faster.",
        "Read it again and decide anew, with the version it has now.",
    ),
    "api.busy": Meaning(
        "The api is answering as many requests as it takes on at once (`FLEXCORE__API__AT_ONCE`).",
        "Send again after the seconds in `Retry-After`. Where it lasts, start another api.",
    ),
    "append.invalid": Meaning(
        "Events that were to be appended do not follow each other, or cannot be written as Avro.",
        "This comes from code inside a worker, not from clients; report it with the worker's log.",
    ),
    "blob.damaged": Meaning(
        "A large output is kept in a file under the hash of its content, and the file now has another one.",
        "Restore the file `blobs/…` of the data folder from a backup, or run the pipeline again.",
    ),
    "blob.invalid_reference": Meaning(
        'A value looks like a reference to a large output (`{"$blob": …}`) and is none.',
        "Do not write `$blob` in your own data; only FlexCore makes such references.",
    ),
    "blob.invalid_tenant": Meaning(
        "The tenant whose blobs are asked for has an impossible name.",
        "Report it: names of tenants are checked long before.",
    ),
    "blob.not_found": Meaning(
        "A step refers to a large output whose file is gone.",
        "Run the pipeline again. Keep the folder `blobs` of the data folder as long as the runs.",
    ),
    "broker.unavailable": Meaning(
        "Kafka does not answer, or refuses.",
        "Try again in a moment. `flexcore doctor` says whether the address, the credentials or the broker are at fault.",
    ),
    "command.denied": Meaning(
        "The command is about something of another tenant.",
        "Use an id of your own tenant; an id with `~` names another one.",
    ),
    "command.expired": Meaning(
        "The command lay on its topic for more than 7 days. Nobody can tell any more whether it was a repetition.",
        "Send a new command with a new id, if it is still wanted.",
    ),
    "command.id_reused": Meaning(
        "A command with this id was sent before, with another content.",
        "Use a new id (`Idempotency-Key`, `--command-id`) for a new command. The id of the old one keeps its answer.",
    ),
    "command.invalid": Meaning(
        "The command's data does not have the form that its schema asks for.",
        "Compare with `flexcore schema show NAME`; `errors` of the answer names the places.",
    ),
    "command.invalid_expected_version": Meaning(
        "The expected version is no version.",
        'Use a number such as `"7"`, or `*` (exists) in `If-Match`, or `*` in `If-None-Match`, but not both headers.',
    ),
    "command.invalid_id": Meaning(
        "The command's id is too long, or on Kafka no UUID in small letters.",
        "Put a UUID into the header `ce_id`. An `Idempotency-Key` may be any text of up to 255 characters.",
    ),
    "command.too_large": Meaning(
        "The command, or the event it would lead to, is larger than a record may be (1 MiB, 4 MiB).",
        "Put large data into a file or a table and let steps read it from there.",
    ),
    "command.unknown_type": Meaning(
        "There is no command of that name in that context.",
        "`flexcore schema list` names all commands. On Kafka the header `ce_type` and the topic must fit each other.",
    ),
    "command.unreadable": Meaning(
        "The record's value is no Avro in Confluent wire format, or its schema is unknown. It was kept, byte for byte, in `flexcore.dead`.",
        "Write `0x00`, the schema id of the registry, then the body; `examples/produce_command.py` shows it.",
    ),
    "command.wrong_key": Meaning(
        "The id in the body, or in the path, is another one than the record's key.",
        "Make them equal, or leave the one in the body out.",
    ),
    "database.not_migrated": Meaning(
        "The tables of the read models are those of an older release, or not there yet.",
        "`flexcore database migrate`, before the services of the new release start. `flexcore dev` does it by itself.",
    ),
    "database.unavailable": Meaning(
        "PostgreSQL does not answer. Commands still work; lists and reads wait for it.",
        "Try again in a moment. `flexcore doctor` looks at the address and the migrations.",
    ),
    "execution.already_exists": Meaning(
        "There is a run with this id.",
        "Leave `execution_id` out to get a new one, or look at the one that exists.",
    ),
    "execution.cancelled": Meaning(
        "Somebody cancelled the run; the message is the reason that was given.",
        "Nothing. `flexcore events read execution/ID` tells who and when.",
    ),
    "execution.deadline_exceeded": Meaning(
        "The run was not over at its deadline. What its steps had done until then stays done.",
        "Give it a longer `--deadline`, or find the slow step with `flexcore execution get ID`.",
    ),
    "execution.ended": Meaning(
        "The run is over, so this can no longer be done to it.",
        "Start a new run.",
    ),
    "execution.invalid_deadline": Meaning(
        "A deadline is more than 0 seconds and not absurdly many.",
        "Correct `deadline_s` or `--deadline`.",
    ),
    "execution.invalid_id": Meaning(
        "The id of a run is a UUID.",
        "Give a UUID, or leave it out.",
    ),
    "execution.invalid_input": Meaning(
        "A run's input is a JSON object of at most 32 KiB, without `$blob`.",
        'On the command line quote it: `--input \'{"day": "2026-06-01"}\'`, or use `--input @file.json`.',
    ),
    "execution.not_found": Meaning(
        "There is no run with this id.",
        "`flexcore execution list` shows the runs.",
    ),
    "execution.unsupported": Meaning(
        "The command asks for something that the schemas have room for and this release does not do, such as a priority.",
        "Leave it out.",
    ),
    "faults.not_here": Meaning(
        "The fault campaign is part of a clone, and this is an installed package.",
        "Clone the project and run `./flexcore faults` there.",
    ),
    "file.invalid": Meaning(
        "A path leads out of the files root, is absolute, or names a folder where a file is wanted.",
        "Give a path inside the folder where the stack was started, or inside `FLEXCORE__FILES__ROOT`.",
    ),
    "file.not_found": Meaning(
        "There is no such file. A step's paths start at the folder where the stack was started.",
        "Check the path, and `flexcore config explain files.root`.",
    ),
    "file.unavailable": Meaning(
        "The file is there, but cannot be read or written: rights, a full disk, a folder in its place.",
        "The message has the system's own words. A step with `retry` tries again.",
    ),
    "handler.invalid": Meaning(
        "A handler or webhook cannot be used: its module does not import, it names an event that does not exist, or two have one name.",
        "The message says which one and what is wrong with it. Mend that, then start the worker again.",
    ),
    "http.forbidden": Meaning(
        "`http_get` was sent to an address that steps may not reach: not public, or another port than 80 and 443.",
        "Whoever runs FlexCore may open it by name: `FLEXCORE__STEPS__HTTP_HOSTS=host:port`.",
    ),
    "http.status": Meaning(
        "The server did not answer with a status from 200 to 299. Redirects count as well: they are not followed.",
        "Correct the address. 408, 425, 429 and 5xx are tried again as `retry` says, others are not.",
    ),
    "http.too_large": Meaning(
        "The answer has more than 10 MiB.",
        "Ask the server for less, or fetch the file outside of FlexCore and read it with `csv_read`.",
    ),
    "http.unavailable": Meaning(
        "The server has no address, does not answer within 30 seconds, or its certificate is not trusted.",
        "Check the host name. With `retry` the step tries again, unless the certificate is at fault.",
    ),
    "internal.error": Meaning(
        "A fault of FlexCore. The service has logged it under the `trace_id` of the answer.",
        "Look into the logs of the data folder, and report it.",
    ),
    "internal.undecidable": Meaning(
        "Judging the command raised an error that it should never raise, or ended the process again and again. The record was kept in `flexcore.dead`.",
        "Report it with the dead letter. Nothing was changed, and other commands go on.",
    ),
    "outcome.unknown": Meaning(
        "No answer was seen in time. The command may have taken effect or not.",
        "Send it again with the same id: it takes effect at most once, and you get its answer.",
    ),
    "owner.unavailable": Meaning(
        "No worker, or no projector, holds the partition at the moment: one is just starting, or taking over.",
        "Try again in a moment; a takeover lasts seconds. `flexcore status` shows what is away.",
    ),
    "pipeline.already_exists": Meaning(
        "There is a pipeline with this id. Ids of archived pipelines stay taken.",
        "Revise it (`flexcore pipeline revise`), or choose another id.",
    ),
    "pipeline.archived": Meaning(
        "The pipeline is archived, for good.",
        "Create a new one under another id.",
    ),
    "pipeline.invalid_definition": Meaning(
        "Something is wrong with the pipeline file; all of it is listed, with lines where there are any.",
        "Correct it; `flexcore pipeline validate FILE` checks without sending anything.",
    ),
    "pipeline.invalid_id": Meaning(
        "A pipeline's id has 1 to 63 small letters, digits and `-`, and starts with a letter or digit.",
        "Choose another id.",
    ),
    "pipeline.invalid_name": Meaning(
        "A pipeline's name is empty or too long.",
        "Shorten it; the description has more room.",
    ),
    "pipeline.not_active": Meaning(
        "Only an active pipeline can be run, and this one is a draft, paused or archived.",
        "`flexcore pipeline activate ID`.",
    ),
    "pipeline.not_found": Meaning(
        "There is no pipeline with this id.",
        "`flexcore pipeline list` shows them; `flexcore pipeline create` makes one.",
    ),
    "plugin.bad_config": Meaning(
        "The step's `with` does not fit: a field is missing or unknown, a column does not exist, an expression has a fault.",
        "Correct the pipeline and revise it. [Pipelines](../pipelines.md#built-in-steps) has the fields of each step.",
    ),
    "plugin.bad_data": Meaning(
        "The data is not what the step can work on; the message names file and line, or row and column.",
        "Correct the data, or filter and convert it in a step before.",
    ),
    "plugin.bad_output": Meaning(
        "A step returned something that is no JSON object.",
        "Report it, for the built-in steps always return one.",
    ),
    "plugin.bad_reply": Meaning(
        "The step's process answered something that is no answer. It was ended; other steps go on.",
        "Steps must not write to the pipe of their process. With `retry` it is tried again.",
    ),
    "plugin.cannot_start": Meaning(
        "No process for steps could be started: no memory, or no more processes allowed.",
        "Free memory on the worker's machine. With `retry` it is tried again.",
    ),
    "plugin.crashed": Meaning(
        "The step's process ended without an answer: killed from outside, out of memory, or a fault in a library.",
        "The message has the signal or exit code. With `retry` it is tried again.",
    ),
    "plugin.database_refused": Meaning(
        "PostgreSQL refuses what `postgres_write` wants, such as a text in a column of numbers.",
        "The message has PostgreSQL's words. Convert the column with `derive`, or write to another table.",
    ),
    "plugin.database_unavailable": Meaning(
        "The database of `postgres_write` does not answer.",
        "With `retry` it is tried again. `FLEXCORE__DATABASE__DATA_URL` is where it is.",
    ),
    "plugin.failed": Meaning(
        "The step raised an error that it does not explain; the message has its type and its place.",
        "Report it for a built-in step. With `retry` it is tried again.",
    ),
    "plugin.kafka_refused": Meaning(
        "The broker of `kafka_write` refuses the records: not allowed, too large, no such topic of that form.",
        "The message has the broker's words.",
    ),
    "plugin.kafka_unavailable": Meaning(
        "The broker of `kafka_write` does not answer.",
        "With `retry` it is tried again. `FLEXCORE__STEPS__KAFKA__BOOTSTRAP` is where it is.",
    ),
    "plugin.no_database": Meaning(
        "`postgres_write` has no database to write to.",
        "Set `FLEXCORE__DATABASE__DATA_URL`.",
    ),
    "plugin.no_kafka": Meaning(
        "`kafka_write` has no broker: FlexCore's own asks for credentials, which steps do not get.",
        "Set `FLEXCORE__STEPS__KAFKA__BOOTSTRAP` and what belongs to it.",
    ),
    "plugin.no_topic": Meaning(
        "The topic that `kafka_write` names does not exist.",
        "Create it. With `retry` the step tries again, so it may also be created now.",
    ),
    "plugin.out_of_memory": Meaning(
        "The step needs more memory than a step may use.",
        "Work on less at once: filter earlier, or select fewer columns.",
    ),
    "plugin.output_too_large": Meaning(
        "The step's output has more than 32 KiB beside its rows, which travel by reference.",
        "Write large values into a file and give its path.",
    ),
    "plugin.queue_full": Meaning(
        "More steps wait on this worker than it keeps in memory.",
        "With `retry` it is tried again. Start more workers, or fewer runs at once.",
    ),
    "plugin.timeout": Meaning(
        "The step did not answer within its `timeout_s`, and was ended.",
        "Give it more time, or less work. With `retry` it is tried again.",
    ),
    "plugin.too_much_output": Meaning(
        "The step's process sent more than an answer may have.",
        "Write large values into a file and give its path.",
    ),
    "plugin.unknown": Meaning(
        "There is no step of the name that `uses` has; the message lists those there are.",
        "Correct `uses` and revise the pipeline. `flexcore pipeline validate FILE` finds this before a run.",
    ),
    "query.invalid": Meaning(
        "Something that a read asks for makes no sense: a position of another log, a negative limit, a time that is none.",
        "Correct it; use cursors and positions as they were given.",
    ),
    "read_model.behind": Meaning(
        "What was to be read has not come to the read model within the time that the request allows.",
        "Ask again in a moment, or wait longer with `Prefer: wait=N`. If it lasts, look at the projector.",
    ),
    "request.invalid": Meaning(
        "A parameter, a header or the body does not have its form; `errors` names the places.",
        "Correct it; `/docs` of the api shows every form.",
    ),
    "request.method_not_allowed": Meaning(
        "The path exists, but not for this method.",
        "See [REST](rest.md).",
    ),
    "request.no_such_path": Meaning(
        "The api has no such path.",
        "See [REST](rest.md); paths start with `/v1`.",
    ),
    "request.too_large": Meaning(
        "The body has more than 1 MiB, or the headers are too many.",
        "Send less: many commands in several requests, large data by file.",
    ),
    "request.too_many": Meaning(
        "Too many requests of this address in a second (`FLEXCORE__API__REQUESTS_PER_S`), or too many commands that wait for their answers.",
        "Send again after the seconds in `Retry-After`.",
    ),
    "request.too_slow": Meaning(
        "The request did not arrive in time: its headers within 10 seconds, its body within 20.",
        "Send it at once. Something between you and the api may hold it back.",
    ),
    "schema.incompatible": Meaning(
        "A record's schema was changed so that older releases could not read it any more, or this one not what they wrote.",
        "`flexcore schema check` names the fields and what to do about each.",
    ),
    "schema.not_found": Meaning(
        "There is no such record, or no such version of its schema.",
        "`flexcore schema list` shows all records.",
    ),
    "settings.invalid": Meaning(
        "A setting has an unknown name, or a value that is not allowed.",
        "The message names the setting and the nearest known one. See [Settings](settings.md).",
    ),
    "settings.unknown": Meaning(
        "`flexcore config explain` was asked for a setting that does not exist.",
        "`flexcore config list` shows all of them.",
    ),
    "setup.no_packages": Meaning(
        "The Python packages of `requirements.lock` could not be installed.",
        "Read what uv says above it; mostly it is the network. Then run the same command again.",
    ),
    "setup.no_python": Meaning(
        "The script found no Python 3.11, 3.12 or 3.13 with pip.",
        "Install one, or name it in `FLEXCORE_PYTHON`.",
    ),
    "setup.no_site": Meaning(
        "The documentation could not be built: its generator could not be installed, or a link leads nowhere.",
        "The lines above it say which. The generator's packages come from `tools/site/requirements.lock`.",
    ),
    "setup.no_uv": Meaning(
        "uv, which installs everything else, could not be installed by pip.",
        "Read what pip says above it; mostly it is the network. Then run the same command again.",
    ),
    "stack.failed": Meaning(
        "A part of the stack could not be started, or has ended; `cause:` says which and why.",
        "Do what `fix:` says. The logs lie in `logs` of the data folder.",
    ),
    "stack.not_running": Meaning(
        "Nobody answers: no stack runs over this data folder, or nothing listens at the configured address.",
        "`flexcore dev --detach` starts one; `--data-dir` or `--api-url` name another.",
    ),
    "step.invalid_template": Meaning(
        "An expression in the step's `with`, or its `when`, could not be worked out, such as a member that is not there.",
        "Correct the expression and revise the pipeline. `has(…)` asks whether a member is there.",
    ),
    "step.lost": Meaning(
        "The step was started five times and its worker ended each time before it answered.",
        "Look for what ends the workers: memory, mostly. Then run the pipeline again.",
    ),
    "table.not_found": Meaning(
        "There is no table of that name.",
        "`flexcore table list` shows the tables.",
    ),
    "topics.wrong": Meaning(
        "A topic or a schema is missing, or has other partitions or settings than FlexCore needs.",
        "`flexcore topics list` shows what is wrong; `flexcore topics apply` makes what is missing. What differs is left to you.",
    ),
    "usage": Meaning(
        "The command line cannot be understood: an unknown word or option, or a value of the wrong kind.",
        "Add `--help` to see what the command takes.",
    ),
}
