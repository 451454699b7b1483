"""The files for containers, CI and Kubernetes: by their schemas, and against the code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.specifiers import SpecifierSet

from lakehouse_assets.settings import Settings
from lakehouse_assets_tests import test_docs
from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.operations.licences import pins
from lakehouse_assets_tests.operations.services import DEPLOY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")
COMPOSE_TEXT = (REPOSITORY / "compose.yaml").read_text("utf-8")
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (REPOSITORY / ".env.example").read_text("utf-8")
WORKFLOW = REPOSITORY / ".github" / "workflows" / "checks.yml"
HELM_TEXT = (DEPLOY / "helm" / "values.yaml").read_text("utf-8")
HELM = yaml.safe_load(HELM_TEXT)
DEVCONTAINER = REPOSITORY / ".devcontainer" / "devcontainer.json"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
# A variable of compose.yaml, with its default or its error.
_VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")


def filled(text: str) -> str:
    """Put defaults in the place of variables of compose.yaml, and files in that of mounts."""
    text = text.replace("/etc/lakehouse/workspace.yaml", str(DEPLOY / "compose" / "workspace.yaml"))
    return _VARIABLE.sub(lambda found: found[3] if found[2] == ":-" else "x", text)


def programs() -> dict[str, click.Command]:
    """Return the programs that the files start, by name."""
    from dagster._cli import create_dagster_cli
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import dagster_webserver
    from mlflow.cli import cli as mlflow

    return {
        "dagster": create_dagster_cli(), "dagster-daemon": create_dagster_daemon_cli(),
        "dagster-webserver": dagster_webserver, "mlflow": mlflow,
    }  # fmt: skip


def check_command(words: list[str], known: dict[str, click.Command]) -> bool:
    """Check that a command exists with its options; return whether it is a program that we know."""
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    if program not in known:
        return test_docs.check(shlex.join([program, *rest]))
    command: click.Command | None = known[program]
    name = program
    while isinstance(command, click.Group) and rest:
        name = rest.pop(0)
        command = command.get_command(click.Context(command), name)
    assert command is not None, words
    command.make_context(name, rest)
    return True


def compose_commands() -> Iterator[list[str]]:
    """Return what the services and their health checks start."""
    for service in SERVICES.values():
        for command in (service.get("command", []), service["healthcheck"]["test"][1:]):
            words = [filled(word) for word in command]
            if words and words[0] not in {"sh", "python", "pg_isready", "curl"}:
                yield words if len(words) > 1 else ["lakehouse", "serve", "model", *words]


def image_commands() -> Iterator[list[str]]:
    """Return what the images start, and their health checks."""
    text = DOCKERFILE.replace("\\\n", " ")
    entry = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", text, re.M)[1])  # type: ignore[index]
    for found in re.findall(r"CMD (\[.*\])$", text, re.M):
        words = json.loads(found)
        if words[0] != "python":
            yield words if len(words) > 1 else [*entry, *words]


def test_the_schemas_of_compose_files_and_workflows_are_kept() -> None:
    for schema, path in (
        ("vendor.compose-spec", REPOSITORY / "compose.yaml"), ("vendor.github-workflows", WORKFLOW),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_and_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for other, condition in service.get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert other in SERVICES
    for mount in service.get("volumes", []):
        source = filled(mount).partition(":")[0]
        if source.startswith("./"):
            assert (REPOSITORY / source).exists(), mount
        else:
            assert source in COMPOSE["volumes"], mount


def test_no_file_holds_a_secret_and_the_example_names_every_variable() -> None:
    asked = {(name, default) for name, mark, default in _VARIABLE.findall(COMPOSE_TEXT)
             if mark == ":-"}  # fmt: skip
    required = {name for name, mark, _ in _VARIABLE.findall(COMPOSE_TEXT) if mark == ":?"}
    given = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.M))
    assert asked == {(name, value) for name, value in given.items() if name not in required}
    assert {given[name] for name in required} == {""}
    secret = re.compile(r"(?i)(password|token|secret|key)\w*: +['\"]?(?!lakehouse-|false)[^\s'\"{]")
    for text in (COMPOSE_TEXT, HELM_TEXT):
        lines = _VARIABLE.sub("", re.sub(r"(?m)^\s*#.*$", "", text)).splitlines()
        assert [line for line in lines if secret.search(line)] == []
    assert not re.search(r"(?i)(token|password|secret)\w*=", DOCKERFILE)


def test_variables_of_the_lakehouse_are_settings() -> None:
    known = {f"LAKEHOUSE_{name.upper()}" for name in Settings.model_fields} | {"LAKEHOUSE_HOME"}
    texts = (COMPOSE_TEXT, DOCKERFILE, EXAMPLE, HELM_TEXT, WORKFLOW.read_text("utf-8"))
    assert {name for text in texts for name in re.findall(r"LAKEHOUSE_[A-Z_]+", text)} <= known


def test_commands_exist_with_their_options() -> None:
    known = programs()
    script = (DEPLOY / "compose" / "sql.sh").read_text("utf-8").replace("\\\n", " ")
    commands = [*compose_commands(), *image_commands()]
    commands += [
        shlex.split(line.removeprefix("exec ").replace("$SQL_USER", "owner"))
        for line in map(str.strip, script.splitlines())
        if line.removeprefix("exec ").startswith("lakehouse ")
    ]
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    commands.append(["dagster", "code-server", "start", *deployment["codeServerArgs"]])
    for job in yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"].values():
        for step in job["steps"]:
            text = step.get("run", "").replace("\\\n", " ")
            text = re.sub(r'selection="\$\((.*)\)"', r"\1", text)
            commands += [shlex.split(line) for line in text.splitlines()]
    assert [check_command(words, known) for words in commands].count(True) >= 14


def test_the_workflow_of_ci_asks_for_little() -> None:
    text = WORKFLOW.read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    for wanted in ("dg check defs", "dagster asset materialize", "make lint", "make types"):
        assert wanted in text


def test_one_python_everywhere() -> None:
    versions = re.findall(r"python:(3\.\d+)[.\d]*-slim", DOCKERFILE)
    versions += re.findall(r"/lib/python(3\.\d+)/", DOCKERFILE)
    versions += re.findall(r"python:(3\.\d+)-bookworm", DEVCONTAINER.read_text("utf-8"))
    versions += re.findall(r'python-version: "(3\.\d+)"', WORKFLOW.read_text("utf-8"))
    assert set(versions) == {"3.11"}
    assert "3.11" in SpecifierSet(PROJECT["requires-python"])
    assert f"--version {pins()['dagster']} " in HELM_TEXT


def test_images_hold_what_the_project_names_and_run_without_rights() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]
    names = {m[1]: stage for stage in stages if (m := re.match(r"\S+ AS (\S+)\n", stage))}
    for target in ("lakehouse", "serving", "spark"):
        assert re.findall(r"^USER (.*)$", names[target], re.M)[-1:] in ([], ["10001:10001"])
    assert "USER 10001:10001" in names["runtime"]
    assert "HEALTHCHECK" in names["lakehouse"]
    assert "HEALTHCHECK" in names["serving"]
    targets = {s["build"]["target"] for s in SERVICES.values() if "build" in s}
    assert targets <= names.keys()
    extras = set(re.findall(r"--extra (\w+)", DOCKERFILE))
    assert extras <= PROJECT["optional-dependencies"].keys()
    allowed = re.findall(r"^!(.*)$", (REPOSITORY / ".dockerignore").read_text("utf-8"), re.M)
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M):
        for source in line.split()[:-1]:
            assert (REPOSITORY / source).exists(), line
            assert any(source == a or source.startswith(f"{a}/") for a in allowed), line
    # Folders of volumes belong to the user.
    made = set(re.findall(r"/var/lib/lakehouse/\w+", names["runtime"]))
    mounted = {
        filled(mount).split(":")[1] for service in SERVICES.values()
        for mount in service.get("volumes", [])
    }  # fmt: skip
    folders = {m for m in mounted if re.fullmatch(r"/var/lib/lakehouse/\w+", m)}
    assert folders <= made


def test_the_server_of_models_is_built_from_pinned_packages() -> None:
    extra = PROJECT["optional-dependencies"]["serving"]
    text = (DEPLOY / "serving" / "requirements.txt").read_text("utf-8")
    asked = {re.split(r"[=<>]", line)[0].lower() for line in text.splitlines() if "#" not in line}
    assert {re.split(r"[=<>]", line)[0] for line in extra} <= asked
    # setuptools builds the package and is in no environment that is pinned.
    assert asked - set(pins()) == {"setuptools"}


def test_shell_scripts_of_the_services_are_whole() -> None:
    script = DEPLOY / "compose" / "sql.sh"
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)


def test_the_devcontainer_is_read() -> None:
    text = re.sub(r"^\s*//.*$", "", DEVCONTAINER.read_text("utf-8"), flags=re.M)
    config = json.loads(text)
    assert test_docs.check(config["postCreateCommand"])
    assert {str(port) for port in config["forwardPorts"]} >= config["portsAttributes"].keys()
    assert config["remoteUser"] != "root"


def test_the_instance_of_the_chart_is_as_dagster_wants_it(tmp_path: Path) -> None:
    import dagster as dg
    from dagster_k8s.container_context import K8sContainerContext

    pools, runs = HELM["concurrency"]["pools"], HELM["concurrency"]["runs"]
    instance = {
        **HELM["additionalInstanceConfig"],
        "concurrency": {
            "pools": {"default_limit": pools["defaultLimit"], "granularity": pools["granularity"]},
            "runs": {"max_concurrent_runs": runs["maxConcurrentRuns"]},
        },
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance), "utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as started:
        assert started.get_settings("concurrency") == instance["concurrency"]
    # As on one machine, but for the number of runs.
    one = yaml.safe_load((DEPLOY / "dagster.yaml").read_text("utf-8"))
    assert one["concurrency"]["pools"] == instance["concurrency"]["pools"]
    assert one["freshness"] == instance["freshness"]
    assert one["run_retries"]["max_retries"] == HELM["dagsterDaemon"]["runRetries"]["maxRetries"]
    launcher = HELM["runLauncher"]["config"]["k8sRunLauncher"]
    raw = launcher["runK8sConfig"]
    context = K8sContainerContext.create_from_config({"k8s": {
        "image_pull_policy": launcher["imagePullPolicy"], "labels": launcher["labels"],
        "resources": launcher["resources"], "security_context": launcher["securityContext"],
        "run_k8s_config": {
            "pod_spec_config": raw["podSpecConfig"], "job_spec_config": raw["jobSpecConfig"],
        },
    }})  # fmt: skip
    assert context.run_k8s_config.job_spec_config == {"ttl_seconds_after_finished": 86400}
    # Nothing runs as root, and pods that reach the lake carry the label of workload identity.
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    for pod in (HELM["dagsterWebserver"], HELM["dagsterDaemon"], deployment):
        assert pod["podSecurityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["allowPrivilegeEscalation"] is False
    for labels in (deployment["labels"], launcher["labels"]):
        assert labels == {"azure.workload.identity/use": "true"}
