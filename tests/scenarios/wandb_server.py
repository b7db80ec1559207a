"""A stand-in for the server of Weights & Biases on the loopback interface: it answers well, or in some bad way."""

import gzip
import http.server
import json
import threading
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """What came in is kept in `seen`, as (path, text).

    Args:
        manner: "well", "refuse" (HTTP 401), "error" (500), "rubbish", "hang" (no answer), or "turn" (rubbish once a run
            has been announced).
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, manner: str) -> None:
        self.manner, self.seen, self.closed = manner, [], threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.closed.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        pass

    def announced(self) -> list[dict[str, Any]]:
        """The variables of every announcement of a run."""
        queries = [json.loads(text) for path, text in self.seen if path == "/graphql" and "upsertBucket" in text]
        return [query["variables"] for query in queries]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer("")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.answer(body.decode(errors="replace"))

    do_PUT = do_POST

    def answer(self, text: str) -> None:
        manner = self.server.manner
        turned = manner == "turn" and bool(self.server.announced())
        self.server.seen.append((self.path, text))
        if manner == "hang":
            self.server.closed.wait(60)
        elif manner in ("refuse", "error"):
            self.send(401 if manner == "refuse" else 500, b"{}")
        elif manner == "rubbish" or turned:
            self.send(200, b"\x00<html>")
        else:
            self.send(
                200, json.dumps({"data": self.data(json.loads(text))} if self.path == "/graphql" else {}).encode()
            )

    def data(self, query: dict[str, Any]) -> dict[str, Any]:
        text, given = query["query"], query.get("variables") or {}
        project = {"id": "p", "name": given.get("project"), "entity": {"id": "e", "name": "me"}}
        if "upsertBucket" in text:
            run = {"id": "b", "name": given.get("name"), "displayName": given.get("displayName"), "config": "{}"}
            return {"upsertBucket": {"bucket": {**run, "project": project, "historyLineCount": 0}, "inserted": True}}
        if "createRunFiles" in text:
            files = [{"name": name, "uploadUrl": f"{self.server.url}/up/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if "RunResumeStatus" in text:
            return {"model": {**project, "bucket": None}}
        return {"viewer": {"id": "v", "entity": "me"}, "serverInfo": {"features": []}, "entity": None}

    def send(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
