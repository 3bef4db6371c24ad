"""OpenAI's request objects, as far as the in-process engine answers them; anything else is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palm_theory.serving.asking import BODY_FIELD
from palm_theory.serving.errors import ApiError, bad_request
from palm_theory.serving.limits import ServerLimits

NO_EFFECT: dict[str, Any] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
    "store": (False,),
}
"""Options that are known and not offered, with the values that ask for nothing."""

FREE = frozenset({"metadata", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key"})
"""Options that change nothing in an answer."""

STOP_STRINGS = 4
LONGEST_STOP = 200

Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Weights = dict[str, float] | list[float]


class Strict(BaseModel):
    """A request's fields in their own types: nothing is coerced, unknown fields are kept for the checks."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class TextPart(BaseModel):
    """A part of a message's content; text only."""

    model_config = ConfigDict(strict=True, extra="forbid")
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(strict=True, extra="forbid")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """Role and text as chat templates take them."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(BaseModel):
    """What a stream contains besides the text."""

    model_config = ConfigDict(strict=True, extra="forbid")
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Common(Strict):
    """What both endpoints take."""

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int | None = Field(None, ge=1)
    stop: Stop | Annotated[list[Stop], Field(max_length=STOP_STRINGS)] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    user: str | None = None
    palm_weights: Weights | None = Field(None, description="Preference weights: by objective, or in their order.")

    @property
    def token_limit(self) -> int | None:
        """The most tokens of a completion that were asked for."""
        return self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """Whether the stream ends with token counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Common):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


class CompletionRequest(Common):
    """POST /v1/completions; one prompt of text."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


REQUESTS: dict[str, type[Common]] = {"chat/completions": ChatRequest, "completions": CompletionRequest}


def parse_request(endpoint: str, body: dict[str, Any], limits: ServerLimits) -> Common:
    """The request as an object. Raises ApiError 400, naming the field, on a wrong value or an option not offered."""
    try:
        request = REQUESTS[endpoint].model_validate({k: v for k, v in body.items() if k != BODY_FIELD})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = _where(body, first["loc"])
        raise bad_request(f"{param or 'the body'}: {first['msg']}", param or None) from None
    for name, value in (request.model_extra or {}).items():
        _refuse_unless_harmless(name, value)
    if (request.n or 1) > limits.choices:
        raise bad_request(f"n must be at most {limits.choices}, got {request.n}", "n")
    if request.stream_options is not None and not request.stream:
        raise bad_request("stream_options needs stream to be true", "stream_options")
    return request


def _where(body: Any, location: tuple[int | str, ...]) -> str:
    """The path of a fault in the body, without pydantic's names of the types it tried."""
    path: list[str] = []
    for part in location:
        if isinstance(body, dict) and (part in body or not path):
            body = body.get(part)
        elif isinstance(body, list) and isinstance(part, int):
            body = body[part]
        else:
            break
        path.append(str(part)[:60])
    return ".".join(path)


def _refuse_unless_harmless(name: str, value: Any) -> None:
    shown = name[:60]
    if name in NO_EFFECT:
        if value is not None and not any(value == harmless for harmless in NO_EFFECT[name]):
            raise _unsupported(f"{shown} is not supported by the in-process engine", shown)
    elif name not in FREE and value is not None:
        raise _unsupported(f"unknown option {shown!r}", shown)


def _unsupported(message: str, param: str) -> ApiError:
    return bad_request(message, param, code="unsupported_parameter")


def openapi_body(endpoint: str) -> dict[str, Any]:
    """The request body of an endpoint, for the OpenAPI document."""
    schema = _inlined(REQUESTS[endpoint].model_json_schema())
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs", {})

    def replace(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return replace(definitions[node["$ref"].rsplit("/", 1)[1]])
            return {key: replace(value) for key, value in node.items()}
        return [replace(item) for item in node] if isinstance(node, list) else node

    return replace(schema)
