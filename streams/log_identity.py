"""Which log this is: what a stream index must agree with to be of any use."""

# pyright: reportPrivateImportUsage=false
# confluent_kafka and its admin offer these names without listing them as exported.
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from domain.contexts import CONTEXTS
from streams.broker_wait import REQUEST_S
from streams.connection import Connection
from streams.topics import Topics


def log_identity(connection: Connection, topics: Topics) -> str:
    """The cluster's id and those of the topics: one that is made anew has another.

    Raises KafkaException.
    """
    names = [*(topics.events(context) for context in CONTEXTS), topics.outcomes]
    admin = AdminClient(connection.client())
    cluster = admin.list_topics(topic=topics.outcomes, timeout=REQUEST_S).cluster_id
    answers = admin.describe_topics(TopicCollection(names), request_timeout=REQUEST_S)
    ids = [f"{name} {answers[name].result().topic_id}" for name in names]
    return f"cluster {cluster}, {', '.join(ids)}"
