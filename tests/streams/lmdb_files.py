"""What may happen to an index's files: its process killed, its bytes changed."""

from streams.lmdb_stream_index import LmdbStreamIndex


def kill(index: LmdbStreamIndex) -> None:
    """Let go of the files as a dead process does: nothing is written, nothing marked."""
    index._closing.set()
    index._much.set()
    index._writer.join()
    for partition in index._partitions:
        partition._environment._env.close()
