"""Whether a page answers 200: `python -m services.probe URL`, for health checks where there is no curl.

exit 0 it does · 1 it does not
"""

import http.client
import sys
from urllib.parse import urlsplit

WITHIN_S = 4.0
"""Below the time-out of the health checks, so that a reason is printed."""


def main(url: str) -> int:
    """Ask once; the exit code. No proxy of the environment is asked, unlike with urllib.request."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=WITHIN_S)
    try:
        connection.request("GET", place.path)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        print(f"{url}: {error}")
        return 1
    print(f"{url}: {answer.status} {answer.read(2_000).decode('utf-8', 'replace')}")
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
