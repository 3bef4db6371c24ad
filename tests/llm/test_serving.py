"""``palm serve`` for real: the command in a process of its own, tiny policies, OpenAI's client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from openai import BadRequestError, OpenAI

from backends.llm.app.chat import load_portfolio
from backends.llm.model.loading import load_tokenizer
from tests.helpers import ROOT

from .test_engine import plain_greedy
from .tiny import make_tiny_model
from .tiny_portfolio import PROMPTS, save_tiny_portfolio


class Palm:
    """A running ``palm serve``."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as errors:
            command = [sys.executable, "-c", "from palm_theory.cli.app import main; main()", "serve", *arguments]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PALM_API_KEYS": ""}
            self.process = subprocess.Popen([*command, "--port", "0"], stderr=errors, env=environment)
        self.url = self._wait_for_url()
        self.openai = OpenAI(base_url=f"{self.url}/v1", api_key="any", timeout=60, max_retries=0)

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            for line in self.log.read_text().splitlines():
                if "Uvicorn running on " in line:
                    return line.split("Uvicorn running on ")[1].split()[0]
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while httpx.get(f"{self.url}/readyz").status_code != 200:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    return save_tiny_portfolio(make_tiny_model(folder / "model"), folder)


@pytest.fixture(scope="module")
def palm(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Palm]:
    running = Palm(str(saved), "--rows", "4", log=tmp_path_factory.mktemp("log") / "log.jsonl")
    yield running
    assert running.stop() == 0


def say(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_a_request_asked_while_policies_load_is_answered(palm: Palm, saved: Path):
    """The fixture does not wait: this is the first request, and the model is loaded as it comes."""
    answer = palm.openai.chat.completions.create(model="p00", messages=say(PROMPTS[0]), temperature=0, max_tokens=5)
    policy = load_portfolio(saved)[0].policy
    expected, tokens = plain_greedy(policy, PROMPTS[0], 5)
    assert (answer.choices[0].message.content, answer.usage.completion_tokens) == (expected, tokens)
    palm.wait_until_ready()


def test_whole_and_streamed_answers_agree_and_are_counted(palm: Palm, saved: Path):
    asked = {
        "model": "palm",
        "messages": say(PROMPTS[1]),
        "extra_body": {"palm_weights": {"brevity": 0.1, "positivity": 0.9}},
        "temperature": 0.8,
        "top_p": 0.95,
        "seed": 11,
        "n": 2,
        "max_completion_tokens": 9,
    }
    raw = palm.openai.chat.completions.with_raw_response.create(**asked)
    whole = raw.parse()
    assert raw.headers["x-palm-policy"] == "p02"
    assert whole.model == "p02"
    chunks = list(palm.openai.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    texts, finishes = ["", ""], ["", ""]
    for chunk in chunks[:-1]:
        assert chunk.usage is None
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert finishes == [choice.finish_reason for choice in whole.choices]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    tokenizer = load_tokenizer(load_portfolio(saved)[0].policy.chat.model)
    prompt = tokenizer.apply_chat_template(
        [{"role": "system", "content": "Answer in one short sentence."}, *say(PROMPTS[1])],
        add_generation_prompt=True,
        return_dict=True,
    )
    assert whole.usage.prompt_tokens == len(prompt["input_ids"])


def test_completions_and_stop_strings(palm: Palm):
    asked = {"model": "p01", "prompt": "the cat", "max_tokens": 10, "temperature": 0}
    whole = palm.openai.completions.create(**asked).choices[0].text
    streamed = "".join(c.choices[0].text for c in palm.openai.completions.create(**asked, stream=True))
    assert streamed == whole
    stop = whole.split()[1]
    stopped = palm.openai.completions.create(**asked, stop=[stop]).choices[0]
    assert (stopped.text, stopped.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 99}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"seed": 2**70}, "seed"),
        ({"stop": ["x"] * 9}, "stop"),
        ({"stop": ""}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"extra_body": {"palm_weigths": {"brevity": 1}}}, "palm_weigths"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": say(" ".join(["cat"] * 500))}, "messages"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(palm: Palm, options: dict, param: str):
    with pytest.raises(BadRequestError) as caught:
        palm.openai.chat.completions.create(**{"model": "p01", "messages": say("x"), **options})
    assert caught.value.param.startswith(param)


def test_options_that_ask_for_nothing_are_taken(palm: Palm):
    palm.openai.chat.completions.create(
        model="p01",
        messages=[{"role": "developer", "content": [{"type": "text", "text": "I like tea"}]}, *say("the cat")],
        max_tokens=1,
        frequency_penalty=0,
        logprobs=False,
        tools=[],
        response_format={"type": "text"},
        metadata={"a": "b"},
        user="ann",
        stop=None,
    )


def test_a_client_that_leaves_frees_the_engine(palm: Palm):
    streams = [
        palm.openai.chat.completions.create(model="p02", messages=say(PROMPTS[3]), max_tokens=100, stream=True, n=4)
        for _ in range(3)
    ]
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 30
    while "palm_running 0.0" not in (text := httpx.get(f"{palm.url}/metrics").text) or "palm_queued 0.0" not in text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert palm.openai.completions.create(model="p00", prompt="the cat", max_tokens=1).usage.completion_tokens == 1


def test_a_router_before_it_and_a_shutdown_under_load(saved: Path, palm: Palm, tmp_path: Path):
    """Forwarding to another process of ``palm serve``; every request at shutdown is answered or told to come back."""
    router = Palm(str(saved), "--upstream", palm.url, log=tmp_path / "router.jsonl")
    router.wait_until_ready()
    asked = {"messages": say(PROMPTS[2]), "temperature": 0, "max_tokens": 6}
    direct = palm.openai.chat.completions.create(model="p02", **asked)
    routed = router.openai.chat.completions.create(model="palm:positivity=1", **asked)
    assert (routed.choices, routed.model, routed.usage) == (direct.choices, "p02", direct.usage)
    streamed = list(router.openai.chat.completions.create(model="palm:positivity=1", **asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == direct.choices[0].message.content

    outcomes: list[str] = []

    def ask_until_refused() -> None:
        while True:
            try:
                answer = httpx.post(
                    f"{router.url}/v1/chat/completions", json={"model": "palm", **asked, "temperature": 1}, timeout=60
                )
            except httpx.ConnectError:
                outcomes.append("closed")
                return
            outcomes.append(str(answer.status_code))
            if answer.status_code == 503:
                assert answer.headers["retry-after"]
                return

    threads = [threading.Thread(target=ask_until_refused) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(outcomes) < 8:
        time.sleep(0.01)
    assert router.stop() == 0
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {"200", "503", "closed"}
    assert PROMPTS[2] not in router.log.read_text()


def test_bad_arguments_are_one_line_on_standard_error(saved: Path, tmp_path: Path):
    cases = [
        ([str(tmp_path / "nothing")], "has no portfolio.json"),
        ([str(saved), "--upstream", "nonsense"], "must be a URL"),
        ([str(saved), "--upstream", "http://127.0.0.1:1", "--upstream-name", "p07=x"], "POLICY=NAME"),
        ([str(saved), "--default-weights", "kindness=1"], "unknown objective"),
        ([str(saved), "--max-body", "0"], "body_bytes must be"),
        ([str(saved), "--api-key-file", str(tmp_path / "none")], "cannot read the keys"),
    ]
    for arguments, message in cases[:2]:
        command = [sys.executable, "-c", "from palm_theory.cli.app import main; main()", "serve", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    from typer.testing import CliRunner

    from palm_theory.cli.app import app

    for arguments, message in cases[2:]:
        result = CliRunner().invoke(app, ["serve", *arguments])
        assert message in str(result.exception)


def test_routing_needs_no_torch():
    code = (
        "import sys, palm_theory.cli.app, palm_theory.serving.app, palm_theory.serving.upstream; "
        "import palm_theory.serving.server, palm_theory.serving.local; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'peft')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
