"""The engine: what it says equals plain generation, whoever else is in the batch; joining, leaving, faults."""

from __future__ import annotations

import queue
import random
from pathlib import Path

import pytest
import torch

from backends.llm import DecodingMixture, LLMPolicy
from backends.llm.model.loading import load_model, load_tokenizer
from backends.llm.model.tokens import prompt_tokens
from backends.llm.policies.adapter import Adapter, attach_adapters
from backends.llm.serving.draw import Drawer, draw
from backends.llm.serving.engine import AdapterEngine, EngineSettings
from backends.llm.serving.text import TextStream
from palm_theory.errors import InputError
from palm_theory.serving.engine import Piece, Question, Sampling, Started
from palm_theory.serving.errors import ApiError

from .tiny import make_tiny_model
from .tiny_portfolio import PROMPTS, tiny_policies
from .tolerance import DEVIATIONS, rounding_error

GREEDY = 0.0


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> list[LLMPolicy]:
    folder = tmp_path_factory.mktemp("engine")
    return tiny_policies(make_tiny_model(folder / "model"), folder)


def asked(text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": text},)


class Listener:
    """Collects what the engine delivers for one question."""

    def __init__(self, choices: int = 1) -> None:
        self.events: queue.Queue = queue.Queue()
        self.texts = [""] * choices
        self.tokens = [0] * choices
        self.finishes: list[str | None] = [None] * choices
        self.prompt_tokens = 0
        self.error: ApiError | None = None

    def wait(self) -> Listener:
        while None in self.finishes and self.error is None:
            event = self.events.get(timeout=60)
            if isinstance(event, Started):
                self.prompt_tokens = event.prompt_tokens
            elif isinstance(event, Piece):
                self.texts[event.choice] += event.text
                self.tokens[event.choice] += event.tokens
                self.finishes[event.choice] = event.finish
            else:
                self.error = event
        return self


@pytest.fixture
def start(policies):
    engines: list[AdapterEngine] = []

    def make(settings: EngineSettings | None = None) -> AdapterEngine:
        engine = AdapterEngine(policies, settings or EngineSettings())
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.stop()


def ask(engine: AdapterEngine, question: Question) -> Listener:
    listener = Listener(question.choices)
    engine.ask(question, listener.events.put)
    return listener


def plain_greedy(policy: LLMPolicy, text: str, tokens: int) -> tuple[str, int]:
    """What transformers' own generate says for one prompt alone, and its length in tokens.

    Refused where two tokens are as likely as each other but for rounding: another processor, or another batch on this
    one, might then rightly say the other.
    """
    tokenizer, model = load_tokenizer(policy.chat.model), load_model(policy.chat)
    if isinstance(policy, Adapter):
        model = attach_adapters(model, policy.chat, {"default": policy.folder})
    ids = torch.tensor([prompt_tokens(tokenizer, text, policy.chat.system_prompt)])
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, pad_token_id=0
    )
    answer = output[0, ids.shape[1] :]
    with torch.no_grad():

        def logits() -> torch.Tensor:
            return model(input_ids=output[:, :-1]).logits[0, ids.shape[1] - 1 :]

        likeliest = logits().topk(2)
        lead = likeliest.values[:, 0] - likeliest.values[:, 1]
        error = rounding_error(model, lambda: list(logits().gather(1, likeliest.indices).diff()))
    assert (lead > DEVIATIONS * torch.tensor(error)).all(), f"{text!r}: a tie but for rounding, take another prompt"
    return tokenizer.decode(answer, skip_special_tokens=True), len(answer)


def test_mixed_batches_say_what_plain_generation_says(start, policies):
    """Twelve questions of different lengths to three policies, four rows at a time, joining as others leave."""
    engine = start(EngineSettings(rows=4))
    cases = [(k, text, 3 + (5 * i + k) % 17) for i, text in enumerate(PROMPTS) for k in range(3)]
    listeners = [ask(engine, Question(k, asked(text), Sampling(n, GREEDY))) for k, text, n in cases]
    for (k, text, n), listener in zip(cases, listeners, strict=True):
        expected, length = plain_greedy(policies[k], text, n)
        listener.wait()
        assert (listener.texts[0], listener.tokens[0]) == (expected, length)
    assert len({listener.texts[0] for listener in listeners}) > 5


def test_samples_depend_on_the_seed_and_not_on_neighbours(start):
    """The logits do depend on the neighbours, in their last bits. That moves the boundaries between tokens by 1e-6, and
    no random number of this seed is nearer to one than 1e-4."""
    engine = start(EngineSettings(rows=5))
    question = Question(0, asked(PROMPTS[0]), Sampling(12, 1.0, 0.9, seed=7), choices=2)
    alone = ask(engine, question).wait().texts
    rng = random.Random(0)
    crowd = [
        ask(engine, Question(rng.randrange(3), asked(rng.choice(PROMPTS)), Sampling(rng.randint(1, 20), seed=i)))
        for i in range(8)
    ]
    together = ask(engine, question)
    crowd += [ask(engine, Question(1, asked(PROMPTS[1]), Sampling(9))) for _ in range(4)]
    assert together.wait().texts == alone
    assert alone[0] != alone[1]
    assert all(None not in listener.wait().finishes for listener in crowd)
    assert ask(engine, Question(0, asked(PROMPTS[0]), Sampling(12, seed=8), choices=2)).wait().texts != alone


def test_a_short_answer_does_not_wait_for_a_long_one(start):
    """Asked while the policies load, so all wait: with two places, the last joins when the first short one ends."""
    engine = start(EngineSettings(rows=2))
    ended: list[str] = []
    listeners: list[Listener] = []

    def follow(name: str, question: Question) -> None:
        listener = Listener()
        listeners.append(listener)

        def deliver(event: object) -> None:
            if isinstance(event, Piece) and event.finish:
                ended.append(name)
            listener.events.put(event)

        engine.ask(question, deliver)

    follow("long", Question(2, asked(PROMPTS[3]), Sampling(20, GREEDY)))
    follow("short", Question(0, asked(PROMPTS[0]), Sampling(2, GREEDY)))
    follow("late", Question(1, asked(PROMPTS[1]), Sampling(2, GREEDY)))
    assert [listener.wait().tokens for listener in listeners] == [[20], [2], [2]]
    assert ended == ["short", "late", "long"]


def test_the_default_length_is_the_policys_and_the_context_ends_an_answer(start):
    engine = start()
    assert ask(engine, Question(1, "the cat", Sampling(seed=0))).wait().tokens[0] <= 12
    endless = ask(engine, Question(1, " ".join(["cat"] * 120), Sampling(500, seed=5))).wait()
    assert endless.tokens[0] <= 8
    refused = ask(engine, Question(1, " ".join(["cat"] * 128))).wait()
    assert refused.error is not None
    assert refused.error.code == "context_length_exceeded"


def test_stop_strings_end_an_answer_before_themselves(start):
    engine = start()
    whole = ask(engine, Question(0, asked(PROMPTS[2]), Sampling(12, GREEDY))).wait().texts[0]
    words = whole.split()
    stop = f"{words[2]} {words[3]}"
    stopped = ask(engine, Question(0, asked(PROMPTS[2]), Sampling(12, GREEDY, stops=("zebra", stop)))).wait()
    assert stopped.texts[0] == whole[: whole.index(stop)]
    assert stopped.finishes == ["stop"]


def test_a_cancelled_question_frees_its_place(start):
    engine = start(EngineSettings(rows=1, queue=1))
    running, waiting = Listener(), Listener()
    ticket = engine.ask(Question(1, "the cat", Sampling(100, seed=3)), running.events.put)
    running.events.get(timeout=60)
    queued = engine.ask(Question(1, "the cat", Sampling(100)), waiting.events.put)
    with pytest.raises(ApiError, match="queue is full"):
        engine.ask(Question(1, "the cat"), waiting.events.put)
    queued.cancel()
    last = ask(engine, Question(1, "the dog", Sampling(1)))
    ticket.cancel()
    assert last.wait().tokens == [1]
    assert waiting.events.empty()


def test_questions_asked_while_policies_load_are_answered_and_stop_waits_for_them(start):
    engine = start()
    assert engine.not_ready() == "policies are loading"
    listeners = [ask(engine, Question(k, asked(text), Sampling(4))) for k in range(3) for text in PROMPTS]
    engine.stop()
    assert all(listener.wait().finishes[0] for listener in listeners)
    with pytest.raises(ApiError, match="shutting down"):
        engine.ask(Question(0, "x"), print)


def test_a_step_that_fails_is_told_to_those_in_it_and_the_next_are_answered(start, monkeypatch):
    engine = start()
    assert ask(engine, Question(0, "the cat", Sampling(2))).wait().error is None
    original = engine._model.forward

    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine._model, "forward", broken)
    failed = ask(engine, Question(0, "the cat", Sampling(2))).wait()
    assert failed.error is not None
    assert failed.error.status == 500
    monkeypatch.setattr(engine._model, "forward", original)
    assert ask(engine, Question(0, "the cat", Sampling(2))).wait().error is None


def test_policies_that_cannot_be_loaded_are_an_error_for_everyone(policies, tmp_path: Path):
    chat = policies[0].chat
    engine = AdapterEngine([Adapter(chat, str(tmp_path / "missing"))], EngineSettings())
    waiting = ask(engine, Question(0, "the cat"))
    engine.start()
    assert waiting.wait().error.status == 503
    assert "cannot be loaded" in engine.not_ready()
    with pytest.raises(ApiError, match="cannot be loaded"):
        engine.ask(Question(0, "the cat"), print)
    engine.stop()


def test_other_kinds_of_policy_are_refused_by_name(policies):
    folders = (policies[0].folder, policies[2].folder)
    mixture = DecodingMixture(policies[0].chat, folders, (0.5, 0.5))
    with pytest.raises(InputError, match="p01 is a DecodingMixture"):
        AdapterEngine([policies[0], mixture], EngineSettings())


class Letters:
    """A tokenizer of bytes, so that one character may need several tokens."""

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        return bytes(tokens).decode("utf-8", "replace")


@pytest.mark.parametrize("text", ["naïve café", "日本語 ok", "a\U0001f600b", "plain"])
def test_streamed_text_is_whole_characters_and_adds_up(text: str):
    stream = TextStream(Letters())
    pieces = [stream.push(token) for token in text.encode()] + [stream.finish()]
    assert "".join(pieces) == text
    assert "�" not in "".join(pieces)


def test_text_that_might_become_a_stop_string_is_held_back():
    stream = TextStream(Letters(), ("STOP", "halt"))
    assert "".join(stream.push(token) for token in b"say ST") == "say "
    assert stream.push(ord("A")) == "STA"
    assert "".join(stream.push(token) for token in b" haSTOPx") == " ha"
    assert stream.stopped
    assert stream.finish() == ""


def test_drawing_follows_the_distribution_and_its_cut():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(3000, 1)
    drawers = [Drawer.of(Sampling(seed=i), 0) for i in range(3000)]
    shares = torch.bincount(torch.tensor(draw(logits, drawers)), minlength=4) / 3000
    assert torch.allclose(shares, logits[0].softmax(-1), atol=0.03)
    # 0.64 + 0.24 ≥ 0.7: two tokens remain.
    cut = [Drawer.of(Sampling(top_p=0.7, seed=i), 0) for i in range(3000)]
    assert set(draw(logits, cut)) == {0, 1}
    assert set(draw(logits[:4], [Drawer.of(Sampling(temperature=t), 0) for t in (0.0, 1e-300, 1e-9, 0.0)])) == {0}
