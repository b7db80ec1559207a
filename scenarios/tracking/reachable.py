"""Whether a server of Weights & Biases answers and takes a key, found out in seconds, before anything waits for it."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

QUERY = {"query": "query Viewer { viewer { id } }"}


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, so that the key goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def refusal(address: str, key: str | None, patience: float) -> str | None:
    """Why a run cannot be recorded at an address; None where it probably can.

    A name server, a firewall or a server that sends a byte now and then may each hang for minutes, whatever the time
    limits of a socket are; so it is asked in a thread that is left behind.

    Args:
        address: of the server, such as "https://api.wandb.ai".
        key: what to show it; None for nothing, where any answer will do.
        patience: seconds to wait for the answer.
    """
    host = urlsplit(address).netloc or address
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(_ask(address, key, 2 * patience)), daemon=True)
    thread.start()
    thread.join(patience)
    reason = found[0] if found else f"no answer within {patience:g} s"
    return None if reason is None else f"{host}: {reason}"


def _ask(address: str, key: str | None, patience: float) -> str | None:
    headers = {"Content-Type": "application/json", "User-Agent": "palaestra"}
    if key is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(f'api:{key}'.encode()).decode()}"
    try:
        request = urllib.request.Request(f"{address.rstrip('/')}/graphql", json.dumps(QUERY).encode(), headers)
        with urllib.request.build_opener(_StayHere).open(request, timeout=patience) as answer:
            content = json.loads(answer.read(1_000_000))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return None if key is None else f"the API key is refused (HTTP {error.code})"
        return f"HTTP {error.code}" if error.code >= 400 else None
    except (ssl.SSLError, urllib.error.URLError) as error:  # certificates are a matter for who has them
        told = getattr(error, "reason", error)
        return None if isinstance(told, ssl.SSLError) or isinstance(error, ssl.SSLError) else str(told)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return "its answer is not that of a server of Weights & Biases"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict) or "viewer" not in data:
        return "its answer is not that of a server of Weights & Biases"
    return "the API key is refused" if key is not None and data["viewer"] is None else None
