"""What the tests of the contract share."""

from __future__ import annotations

from test.harness.kube_api import KubeApi
from test.harness.kube_client import Json, KubeClient, Response, Watch, ok


class World:
    """Two Pods of one set, and the agent of the first."""

    def __init__(self, kube: KubeApi) -> None:
        self.kube = kube
        self.own = kube.create_pod("redis-0", ip="127.0.0.2")
        self.peer = kube.create_pod("redis-1", ip="127.0.0.3", labels={"role": "master"})
        self.agent = kube.pod_client("redis-0")
        self.watches: list[Watch] = []

    @property
    def uid(self) -> str:
        return self.own["metadata"]["uid"]

    @property
    def peer_uid(self) -> str:
        return self.peer["metadata"]["uid"]

    def path(self, pod: str = "redis-0") -> str:
        return self.kube.pods_path(pod)

    @property
    def pods(self) -> str:
        return self.kube.pods_path()

    @property
    def events(self) -> str:
        return self.kube.events_path()

    def version(self) -> str:
        """The resourceVersion of a list made now."""
        return ok(self.agent.get(self.pods))["metadata"]["resourceVersion"]

    def watch(self, client: KubeClient | None = None, **query: str | int) -> Watch:
        """As the agent begins one; closed with the test."""
        watch = (client or self.agent).watch(
            self.pods, **{"allowWatchBookmarks": "true", "timeoutSeconds": 20, **query}
        )
        self.watches.append(watch)
        return watch

    def close(self) -> None:
        for watch in self.watches:
            watch.close()
        self.agent.close()


def refused(answer: Response, code: int, reason: str, text: str = "") -> Json:
    """The Status of a refusal, its fields being what they must."""
    assert answer.status == code, answer.body[:500]
    body = answer.json
    assert answer.headers["Content-Type"] == "application/json"
    assert (body["kind"], body["apiVersion"], body["status"]) == ("Status", "v1", "Failure")
    assert (body["code"], body.get("reason", "")) == (code, reason)
    assert text in body["message"]
    return body


def role(pod: Json) -> str | None:
    return pod["metadata"].get("labels", {}).get("role")


def names(pods: Json) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods["items"]]
