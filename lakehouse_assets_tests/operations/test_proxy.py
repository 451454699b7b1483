"""Dagster and MLflow behind the proxy of `deploy/`: no way in without TLS, name and password."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.operations.services import NAMES, Services, listens, nginx, running

pytestmark = pytest.mark.timeout(600)
DAGSTER, ANALYSTS, MLFLOW = NAMES
_JSON = {"Content-Type": "application/json"}
_DELETE = 'mutation { deletePipelineRun(runId: "x") { __typename } }'
_UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "graphql-ws",
}  # fmt: skip


def login(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


OPERATOR, ANALYST = login("ann", "secret of ann"), login("bob", "secret of bob")


def password_line(name: str, password: str) -> str:
    """Write a line as the example says how."""
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return f"{name}:{hashed.stdout}"


@pytest.fixture(scope="module")
def services(
    new_house: Callable[..., House], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    house = new_house("services")
    with dagster_instance(house.settings):
        pass
    passwords = {
        "operators": password_line("ann", "secret of ann"),
        "analysts": password_line("bob", "secret of bob"),
    }
    nginx()
    folder = tmp_path_factory.mktemp("services")
    with running(
        house, folder, "code", "mlflow", "dagster", "analysts", passwords=passwords
    ) as found:
        yield found


def graphql(
    services: Services, name: str, user: dict[str, str], query: str, **more: str
) -> tuple[int, str]:
    body = json.dumps({"query": query}).encode()
    return services.ask(name, "/graphql", body, headers={**_JSON, **user, **more})


def test_nobody_gets_in_without_the_right_password(services: Services) -> None:
    paths = (
        "/", "/graphql", "/server_info", "/api/2.0/mlflow/experiments/search", "/health",
        "/metrics", "/%67raphql", "//graphql", "/./graphql", "/x/../graphql", "/graphql;x",
        "/graphql?query=%7Bversion%7D", "/static/../graphql", "/.well-known/x", "/%2e%2e/graphql",
        "/ajax-api/2.0/mlflow/experiments/search", "/get-artifact?path=x&run_id=y",
        "http://127.0.0.1/",
    )  # fmt: skip
    claims: list[dict[str, str]] = [
        {}, ANALYST, login("ann", "wrong"), login("ann", ""), login("", ""), login("x", "x"),
        {"Authorization": "Bearer x"}, {"Authorization": "Basic !"}, _UPGRADE,
        {"X-Forwarded-User": "ann", "X-Remote-User": "ann", "X-Forwarded-For": "127.0.0.1"},
        {"X-Original-URL": "/health", "X-Rewrite-URL": "/health", "Forwarded": "for=127.0.0.1"},
    ]  # fmt: skip
    asked = [(name, path, claims[0], "GET") for name in NAMES for path in paths]
    asked += [(n, "/graphql", c, "POST") for n in (DAGSTER, MLFLOW) for c in claims]
    asked += [(DAGSTER, "/graphql", {}, m) for m in ("PUT", "OPTIONS", "HEAD", "PROPFIND")]
    asked += [(ANALYSTS, "/", OPERATOR, "GET")]
    with ThreadPoolExecutor(48) as pool:
        found = list(
            pool.map(lambda a: services.ask(a[0], a[1], headers=a[2], method=a[3])[0], asked)
        )
    odd = {str(a): status for a, status in zip(asked, found, strict=True) if status != 401}
    # An address of another name asks for that name, and above the top there is nothing.
    refused = {"http://127.0.0.1/": 421, "/%2e%2e/graphql": 400}
    assert odd == {str((n, path, {}, "GET")): refused[path] for n in NAMES for path in refused}


def test_the_right_password_opens_dagster_and_mlflow(services: Services) -> None:
    for name, user in ((DAGSTER, OPERATOR), (ANALYSTS, ANALYST)):
        status, text = services.ask(name, "/", headers=user)
        assert (status, ">Dagster</title>" in text) == (200, True)
        status, text = graphql(services, name, user, "{ assetNodes { assetKey { path } } }")
        assert status == 200
        assert {"assetKey": {"path": ["airline", "fact_flights"]}} in json.loads(text)["data"][
            "assetNodes"
        ]
    assert "RunNotFoundError" in graphql(services, DAGSTER, OPERATOR, _DELETE)[1]
    assert "UnauthorizedError" in graphql(services, ANALYSTS, ANALYST, _DELETE)[1]
    status, text = services.ask(
        MLFLOW, "/api/2.0/mlflow/experiments/search", b'{"max_results": 5}',
        headers={**_JSON, **OPERATOR},
    )  # fmt: skip
    assert (status, "experiments" in json.loads(text)) == (200, True)


def test_a_subscription_goes_through_the_proxy(services: Services) -> None:
    def opened(**headers: str) -> ClientConnection:
        context = ssl.create_default_context(cafile=str(services.certificates.authority))
        return connect(
            f"wss://{DAGSTER}:{services.tls}/graphql",
            sock=socket.create_connection(("127.0.0.1", services.tls)),
            ssl=context,
            additional_headers=headers,
            subprotocols=[Subprotocol("graphql-ws")],
        )

    query = 'subscription { pipelineRunLogs(runId: "none") { __typename } }'
    with opened(**OPERATOR) as stream:
        stream.send(json.dumps({"type": "connection_init"}))
        assert json.loads(stream.recv(30))["type"] == "connection_ack"
        stream.send(json.dumps({"type": "start", "id": "1", "payload": {"query": query}}))
        assert "PipelineRunLogsSubscriptionFailure" in str(stream.recv(30))
    for headers, status in (({}, 401), ({**OPERATOR, "Origin": "https://evil.example"}, 403)):
        with pytest.raises(InvalidStatus) as caught:
            opened(**headers)
        assert caught.value.response.status_code == status


def test_a_page_of_another_site_starts_nothing_with_a_stored_password(services: Services) -> None:
    for origin in ("https://evil.example", "null", f"https://{MLFLOW}", f"http://{DAGSTER}"):
        assert graphql(services, DAGSTER, OPERATOR, _DELETE, Origin=origin)[0] == 403
    own = f"https://{DAGSTER}"
    assert graphql(services, DAGSTER, OPERATOR, "{ version }", Origin=own)[0] == 200
    # A link, an image or a form whose address holds the mutation.
    for path in ("/graphql", "//graphql", "/%67raphql", "/x/../graphql"):
        for method, body in (("GET", None), ("POST", b"")):
            address = f"{path}?query={_DELETE.replace(' ', '%20')}"
            status, text = services.ask(DAGSTER, address, body, headers=OPERATOR, method=method)
            assert (status, text) == (400, "No GraphQL query found in the request"), address


def test_other_names_and_plain_text_are_refused(services: Services) -> None:
    with pytest.raises(ssl.SSLError):
        services.tls_socket("evil.example")
    for name in ("evil.example", "127.0.0.1", f"{DAGSTER}.evil.example", "localhost"):
        assert services.ask(name, headers=OPERATOR, sni=DAGSTER)[0] == 421
        assert services.ask_plainly(services.plain, name)[0] == 421
    # As MLflow itself says to whoever reaches its port by another name.
    assert services.ask_plainly(services.mlflow, "evil.example")[0] == 403
    assert services.ask_plainly(services.plain, DAGSTER)[0] == 308
    assert services.ask_plainly(services.tls, DAGSTER)[0] == 400


def test_only_loopback_reaches_what_is_behind_the_proxy(services: Services) -> None:
    for port in (services.dagster, services.analysts, services.mlflow):
        assert listens(port)
        # Whoever listens on every address of the machine answers here, too.
        assert not listens(port, "127.0.0.2")
