"""``palm serve``: a portfolio behind OpenAI's API."""

from __future__ import annotations

import ipaddress
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from palm_theory.cli.options import Folder
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.portfolio import Portfolio

KEYS_VARIABLE = "PALM_API_KEYS"
UPSTREAM_KEY_VARIABLE = "PALM_UPSTREAM_API_KEY"
LEVELS = {"quiet": logging.WARNING, "requests": logging.INFO}


def serve_command(
    portfolio: Folder,
    upstream: Annotated[
        str | None,
        typer.Option(
            help="Forward to this OpenAI-compatible server (vLLM, LoRAX, …) instead of answering in this process. Its "
            f"key, if any: ${UPSTREAM_KEY_VARIABLE}."
        ),
    ] = None,
    upstream_name: Annotated[
        list[str] | None, typer.Option(help="POLICY=NAME: what the upstream calls a policy; repeat. Default: p00, ….")
    ] = None,
    upstream_labels: Annotated[
        bool, typer.Option("--upstream-labels", help="The upstream calls each policy by its label, not p00, ….")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is reached from this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"Keys clients must send, one a line. Or set ${KEYS_VARIABLE}, with commas.")
    ] = None,
    default_weights: Annotated[
        str | None, typer.Option(help="name=weight,… for requests without any. Default: all objectives equal.")
    ] = None,
    weights_log: Annotated[
        Path | None, typer.Option(help="Append time, hashed user, weights, policy and gap of every request (JSONL).")
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(help="SQLite file of users' weights, made on first use; also serves /v1/palm/elicit/USER."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Answers that /v1/palm/elicit/USER shows: the .jsonl of palm elicit --answers."),
    ] = None,
    log: Annotated[Literal["quiet", "requests"], typer.Option(help="requests: a JSON line each.")] = "requests",
    rows: Annotated[int, typer.Option(help="In-process: completions generated together.")] = 16,
    queue: Annotated[int, typer.Option(help="In-process: requests that may wait; 503 above.")] = 256,
    max_body: Annotated[int, typer.Option(help="Largest request body in bytes; 413 above.")] = 1 << 20,
    max_in_flight: Annotated[int, typer.Option(help="Requests at once; 503 above.")] = 2048,
    max_prompt: Annotated[int, typer.Option(help="In-process: longest prompt in tokens; 400 above.")] = 4096,
    max_completion: Annotated[
        int, typer.Option(help="In-process: longest completion in tokens; longer ones are cut to it.")
    ] = 1024,
    shutdown_seconds: Annotated[float, typer.Option(help="How long running requests may take once told to stop.")] = 60,
) -> None:
    """Serve a portfolio: every request goes to the policy that its user's weights choose.

    \b
      palm serve runs/llm/portfolio
      palm serve runs/llm/portfolio --upstream http://127.0.0.1:8001
    \b
    Then, with OpenAI's client:
      client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
      client.chat.completions.create(model="palm", messages=[...],
          extra_body={"palm_weights": {"brevity": 0.7, "positivity": 0.3}})
    \b
    Weights also come as header X-Palm-Weights: brevity=.7,positivity=.3, in the model's name
    (palm:brevity=.7,positivity=.3), or from the stored profile of "user". SIGTERM ends it gracefully.
    """
    _require_extra()
    from palm_theory.geometry.simplex import parse_weights
    from palm_theory.portfolio import Portfolio
    from palm_theory.serving.answer import ServerState
    from palm_theory.serving.app import make_app
    from palm_theory.serving.asking import Asker
    from palm_theory.serving.elicit import add_elicitation
    from palm_theory.serving.limits import ServerLimits
    from palm_theory.serving.logs import log_as_json
    from palm_theory.serving.server import Server, raise_file_limit
    from palm_theory.serving.weights_log import WeightsLog
    from palm_theory.users.candidates import read_candidates
    from palm_theory.users.elicitation import Elicitation
    from palm_theory.users.profiles import Profiles

    limits = ServerLimits(
        body_bytes=max_body,
        in_flight=max_in_flight,
        prompt_tokens=max_prompt,
        completion_tokens=max_completion,
        shutdown_seconds=shutdown_seconds,
    )
    keys = _keys(api_key_file)
    if answers is not None and profiles is None:
        raise InputError("--answers needs --profiles")
    answerer: Any
    if upstream is None:
        if upstream_name or upstream_labels:
            raise InputError("--upstream-name and --upstream-labels need --upstream")
        loaded, answerer = _in_process(portfolio, rows, queue, limits)
    else:
        loaded = Portfolio.load(portfolio)
        answerer = _forwarding(loaded, upstream, upstream_name or [], upstream_labels)
    default = None if default_weights is None else loaded.weights(parse_weights(default_weights))
    journal = None if weights_log is None else WeightsLog(weights_log, loaded.objectives)
    store = None if profiles is None else Profiles(profiles, loaded)
    state = ServerState(Asker(loaded, store, default), answerer, limits, journal)
    engine = getattr(answerer, "engine", None)
    if engine is not None:
        state.metrics.gauge("palm_queued", "Requests that wait for the engine.", lambda: engine.queued)
        state.metrics.gauge("palm_running", "Completions being generated.", lambda: engine.running)
    log_as_json(LEVELS[log], type(answerer if engine is None else engine).__module__.partition(".")[0])
    if not keys and not _is_loopback(host):
        logging.getLogger(__name__).warning("anyone who reaches this address may use it: no API key is set")
    raise_file_limit()
    shown = None if answers is None else read_candidates(answers, loaded)
    extend = None if store is None else lambda app: add_elicitation(app, Elicitation.of(loaded, shown), store, limits)
    server = Server(make_app(state, keys, extend), host, port)
    typer.echo(f"http://{host}:{port}/v1  {len(loaded)} policies over {', '.join(loaded.objectives)}", err=True)
    server.run()


def _require_extra() -> None:
    try:
        import aiohttp  # noqa: F401
        import fastapi  # noqa: F401
        import httptools  # noqa: F401
        import orjson  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(f"palm serve needs the extra serve ({error.name}): pip install 'palm-theory[serve]'") from None


def _in_process(portfolio: Path, rows: int, queue: int, limits: Any) -> tuple[Portfolio, Any]:
    from palm_theory.application import application_of
    from palm_theory.portfolio import Portfolio
    from palm_theory.serving.local import Local

    application = application_of(Portfolio.load(portfolio).kind)
    if application is None:
        raise InputError(
            f"only language models answer in this process, and {portfolio} is none of theirs; give --upstream URL to "
            "route to a server that answers"
        )
    typer.echo(f"opening {portfolio} ...", err=True)
    loaded = application.open(portfolio)
    engine = application.engine(loaded, rows=rows, queue=queue, prompt_tokens=limits.prompt_tokens)
    return loaded, Local(engine, limits)


def _forwarding(portfolio: Portfolio, url: str, renamed: list[str], labels: bool) -> Any:
    from palm_theory.serving.upstream import Upstream, UpstreamSettings

    names = {member.name: member.label if labels else member.name for member in portfolio}
    for text in renamed:
        policy, equals, name = text.partition("=")
        if not equals or policy not in names or not name:
            raise InputError(f"--upstream-name is POLICY=NAME with one of {', '.join(names)}, got {text!r}")
        names[policy] = name
    return Upstream(UpstreamSettings(url, names, os.environ.get(UPSTREAM_KEY_VARIABLE) or None))


def _keys(file: Path | None) -> list[str]:
    keys = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",") if key.strip()]
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the keys in {file}: {error}") from None
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise InputError(f"{file} holds no key")
        keys += found
    return keys


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
