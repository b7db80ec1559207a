"""A stand-in for the server of Weights & Biases on the loopback interface: it answers well, or in some bad way."""

import gzip
import http.server
import json
import threading
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """What came in is kept in `seen`, as (path, text); of runs, what a server would keep, in `runs` by their ids.

    Args:
        manner: "well", "refuse" (HTTP 401), "error" (500), "rubbish", "hang" (no answer), or "turn" (rubbish once a run
            has been announced).
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, manner: str) -> None:
        self.manner, self.seen, self.closed = manner, [], threading.Event()
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: list[dict[str, Any]] = []
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

    def run(self, name: str) -> dict[str, Any]:
        """What is kept of a run."""
        new = {"name": name, "history": [], "summary": "{}", "config": "{}", "files": {}}
        return self.runs.setdefault(name, new)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.answer(body)

    do_PUT = do_POST

    def answer(self, body: bytes) -> None:
        manner, text = self.server.manner, body.decode(errors="replace")
        turned = manner == "turn" and bool(self.server.announced())
        self.server.seen.append((self.path, text))
        if manner == "hang":
            self.server.closed.wait(60)
        elif manner in ("refuse", "error"):
            self.send(401 if manner == "refuse" else 500, b"{}")
        elif manner == "rubbish" or turned:
            self.send(200, b"\x00<html>")
        elif self.path == "/graphql":
            self.send(200, json.dumps({"data": self.data(json.loads(text))}).encode())
        elif self.path.startswith("/up/"):
            _, _, run, name = self.path.split("/", 3)
            files = {} if run == "artifacts" else self.server.run(run)["files"]
            if self.command == "GET":
                self.send(200 if name in files else 404, files.get(name, b""))
            else:
                files[name] = body
                self.send(200, b"{}")
        else:
            if self.path.endswith("/file_stream"):
                self.stream(self.path.split("/")[-2], json.loads(text))
            self.send(200, b"{}")

    def stream(self, run: str, told: dict[str, Any]) -> None:
        """Numbers of a run, as they come in."""
        files = told.get("files") or {}
        kept = self.server.run(run)
        if lines := files.get("wandb-history.jsonl"):
            kept["history"][lines["offset"] :] = [json.loads(line) for line in lines["content"]]
        if lines := files.get("wandb-summary.json"):
            kept["summary"] = lines["content"][-1]

    def data(self, query: dict[str, Any]) -> dict[str, Any]:
        text, given = query["query"], query.get("variables") or {}
        project = {"id": "p", "internalId": "p", "name": given.get("project"), "entity": {"id": "e", "name": "me"}}
        if "upsertBucket" in text:
            kept = self.server.run(given["name"])
            kept |= {key: given[key] for key in ("jobType", "groupName", "displayName", "config") if given.get(key)}
            run = {"id": "b", "name": given["name"], "displayName": given.get("displayName"), "config": "{}"}
            lines = {"historyLineCount": len(kept["history"])}
            return {"upsertBucket": {"bucket": {**run, "project": project, **lines}, "inserted": True}}
        if "createRunFiles" in text:
            names = [(name, f"{self.server.url}/up/{given['run']}/{name}") for name in given["files"]]
            files = [{"name": name, "uploadUrl": address} for name, address in names]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if "RunResumeStatus" in text:
            return {"model": {**project, "bucket": self.resumed(given["name"])}}
        if "query Runs(" in text:
            return {"project": {**project, **self.listed(given)}}
        if "query RunFiles(" in text:
            return {"project": {**project, "run": self.files(given["name"], given["fileNames"])}}
        return self.artifact(text, given) or {
            "viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}},
            "serverInfo": {"features": []},
            "entity": None,
        }

    def resumed(self, name: str) -> dict[str, Any] | None:
        """What a run that goes on needs to know of what was."""
        if name not in self.server.runs:
            return None
        kept = self.server.runs[name]
        tail = json.dumps([json.dumps(line) for line in kept["history"][-1:]])
        return {
            "id": "b", "name": name, "summaryMetrics": kept["summary"], "displayName": kept.get("displayName"),
            "logLineCount": 0, "historyLineCount": len(kept["history"]), "eventsLineCount": 0, "historyTail": tail,
            "eventsTail": "[]", "config": kept["config"], "tags": [],
            "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip

    def listed(self, given: dict[str, Any]) -> dict[str, Any]:
        """Runs, a page at a time."""
        kinds = json.loads(given["filters"])["jobType"]["$in"]
        names = [name for name, kept in self.server.runs.items() if kept.get("jobType") in kinds]
        first = int(given.get("cursor") or 0)
        page = names[first : first + given["perPage"]]
        edges = [{"cursor": str(first + k), "node": self.node(name)} for k, name in enumerate(page, 1)]
        more = {"endCursor": str(first + len(page)), "hasNextPage": first + len(page) < len(names)}
        return {"runCount": len(names), "readOnly": False, "runs": {"edges": edges, "pageInfo": more}}

    def node(self, name: str) -> dict[str, Any]:
        kept = self.server.runs[name]
        told = {"displayName": kept.get("displayName"), "group": kept.get("groupName"), "jobType": kept.get("jobType")}
        return {
            "id": "b", "name": name, "tags": [], "state": "finished", "config": kept["config"], "systemMetrics": "{}",
            "summaryMetrics": kept["summary"], "createdAt": "2026-01-01T00:00:00Z", "heartbeatAt": None, **told,
            "sweepName": None, "commit": None, "readOnly": False, "description": "", "notes": "",
            "user": {"name": "me", "username": "me"},
            "historyLineCount": len(kept["history"]), "historyKeys": {}, "projectId": 1, "internalId": "1",
        }  # fmt: skip

    def files(self, run: str, names: list[str]) -> dict[str, Any]:
        """A run's files and where they are."""
        known = self.server.run(run)["files"]
        chosen = [name for name in known if name in names]
        nodes = [
            {
                "id": name, "name": name, "url": f"{self.server.url}/up/{run}/{name}", "sizeBytes": len(known[name]),
                "directUrl": f"{self.server.url}/up/{run}/{name}", "mimetype": "", "updatedAt": None, "md5": "",
            }
            for name in chosen
        ]  # fmt: skip
        edges = [{"cursor": node["name"], "node": node} for node in nodes]
        return {"fileCount": len(known), "files": {"edges": edges, "pageInfo": {"hasNextPage": False, "endCursor": ""}}}

    def artifact(self, text: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """The steps in which an artifact is made: announced, its manifest and files uploaded, committed."""
        made = self.server.artifacts
        if "query ArtifactType(" in text:
            return {"project": {"artifact": None}}
        if "mutation UpdateArtifactManifest" in text or "mutation CreateArtifactManifest" in text:
            file = {"id": "f", "uploadUrl": f"{self.server.url}/up/artifacts/manifest-{len(made)}", "uploadHeaders": []}
            step = "updateArtifactManifest" if "UpdateArtifactManifest" in text else "createArtifactManifest"
            return {step: {"artifactManifest": {"id": "m", "file": file}}}
        if "mutation CreateArtifactFiles" in text:
            nodes = [
                {
                    "storagePath": f"{one['artifactID']}/{one['name']}", "uploadHeaders": [],
                    "uploadUrl": f"{self.server.url}/up/artifacts/{one['artifactID']}/{one['name']}",
                    "uploadMultipartUrls": None, "artifact": {"id": one["artifactID"]},
                }
                for one in given["input"]["artifactFiles"]
            ]  # fmt: skip
            return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}
        if "mutation CreateArtifact " in text:
            made.append({"committed": False, **given["input"]})
            artifact = {"id": f"a{len(made) - 1}", "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
            return {"createArtifact": {"artifact": artifact}}
        if "mutation CommitArtifact" in text:
            made[int(given["artifactID"][1:])]["committed"] = True
            return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}}
        return None

    def send(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
