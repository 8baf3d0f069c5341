"""A service that only says that it is ready, on the port in FAKE_PORT; it ends with FAKE_EXIT if that is set."""

import http.server
import os
import sys


class _Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """GET /readyz."""
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def do_POST(self) -> None:
        """POST /exit/70 ends the process with exit code 70."""
        self.send_response(202)
        self.end_headers()
        os._exit(int(self.path.rpartition("/")[2]))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until killed."""
    if code := os.environ.get("FAKE_EXIT"):
        sys.exit(f"leaving with {code}" if code == "1" else int(code))
    address = ("127.0.0.1", int(os.environ["FAKE_PORT"]))
    http.server.ThreadingHTTPServer(address, _Ready).serve_forever()


if __name__ == "__main__":
    main()
