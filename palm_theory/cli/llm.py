"""``palm build llm``, ``palm chat`` and ``palm export``: language models, through whatever backend is installed as llm.

The backend is reached by its entry point, so that no command loads its libraries before they are needed.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from palm_theory.cli.options import Folder, Seed
from palm_theory.cli.signatures import with_options
from palm_theory.cli.sources import installed
from palm_theory.errors import InputError

if TYPE_CHECKING:
    from palm_theory.application import Application
    from palm_theory.contract.backend import PolicyBackend
    from palm_theory.strategies.base import Strategy


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions:
    """A problem of language models, as parameters of its backend under their names, and the processes that train."""

    model: Annotated[
        str | None, typer.Option(help="Hugging Face id or folder. Default: the embedded SmolLM2-135M-Instruct.")
    ] = None
    rewards: Annotated[
        list[str] | None,
        typer.Option(
            "--reward",
            help="Repeat: a built-in one's name (any other word lists them), name=MODEL for a reward model, "
            "module:function for your own. Default: brevity, relevance, positivity.",
        ),
    ] = None
    prompts: Annotated[Path | None, typer.Option(help="Training prompts, one a line or .jsonl.")] = None
    held_out: Annotated[Path | None, typer.Option(help="Evaluation prompts, one a line or .jsonl.")] = None
    beta: Annotated[float, typer.Option(help="β > 0, the price of one nat of KL from the base model.")] = 0.05
    preset_name: Annotated[
        str, typer.Option("--preset", help="tiny: minutes on two cores; default: a quarter of an hour.")
    ] = "default"
    dtype: Annotated[
        str | None,
        typer.Option(
            help="bfloat16, float16 or float32; part of the problem. Default: bfloat16 where this processor or GPU "
            "multiplies it, else float32; name it to go on with a build on another kind of machine."
        ),
    ] = None
    folder: Annotated[Path, typer.Option("--runs", help="Where samples, checkpoints and evaluations are kept.")] = Path(
        "runs/llm"
    )
    seed: Seed = 0
    workers: Annotated[int, typer.Option(help="Training processes at once; 0 for one a GPU, or one a core.")] = 0
    gpu: Annotated[list[str] | None, typer.Option("--gpu", help="GPU id of each worker; repeat.")] = None

    def backend(self, workers: Any = None) -> PolicyBackend:
        """The ``llm`` backend, whose jobs run where ``workers`` says, by default in processes of this machine."""
        given = {name: value for name, value in asdict(self).items() if name not in ("workers", "gpu")}
        known = {name: value for name, value in given.items() if value is not None and value != []}
        return installed("llm")(**known, workers=self.processes() if workers is None else workers)

    def processes(self) -> Any:
        """Worker processes of this machine: as many as asked for, or one a GPU, or one a core."""
        gpus = self.gpu or ()
        return _application().workers(self.workers or len(gpus) or os.cpu_count() or 1, gpus)


@with_options
def build_llm(
    options: LanguageModelOptions,
    strategy: Annotated[
        Literal["planned", "uniform", "random"], typer.Option(help="How weights are chosen.")
    ] = "planned",
    epsilon: Annotated[float, typer.Option(help="planned: stop where the forecast gap is at most this.")] = 0.05,
    max_policies: Annotated[
        int | None,
        typer.Option(
            "--max-policies",
            "-k",
            help="planned: fine-tunes at most. Default: one an objective and, but for tiny, one more.",
        ),
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", help="uniform: n of the lattice; random: how many.")] = 2,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Train on a Ray cluster: ADDRESS[,gpus=1][,cpus=4][,memory=64][,RESOURCE=AMOUNT], what each job holds "
            "(gpus may be a fraction, memory in GB). ADDRESS: auto on a machine of the cluster, ray://HEAD:10001 from "
            "outside, local to try it out. RUNS must be on a file system that all machines share."
        ),
    ] = None,
    slurm: Annotated[
        str | None,
        typer.Option(
            help="Train as SLURM jobs: partition=P,gpus=1,cpus=4,memory=64,time=8:00:00[,max_jobs=8][,account=A …any "
            "sbatch option]. RUNS must be on a file system that all nodes share."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the portfolio. Default: RUNS/portfolio.")] = None,
) -> None:
    """LoRA adapters of a language model: forecast, train, measure, certify.

    Killed, it goes on where it stopped: run the same command again.

    \b
      palm build llm --preset tiny
      palm build llm --model Qwen/Qwen2.5-3B-Instruct --reward brevity --reward helpful=REWARD_MODEL --gpu 0 --gpu 1
      palm build llm --runs /shared/runs --cluster auto,gpus=1,cpus=4
      palm build llm --runs /shared/runs --slurm partition=gpu,gpus=1,cpus=4,time=8:00:00
    """
    from rich.console import Console

    backend = options.backend(_workers(options, cluster, slurm))
    target = out or options.folder / "portfolio"
    most = _application().affordable_policies(backend) if max_policies is None else max_policies
    chosen = _strategy(strategy, epsilon, most, number, options.seed)
    _application().build(backend, chosen, target, Console())
    typer.echo(f"saved in {target}")


def _application() -> Application:
    """What the backend installed as llm offers to people."""
    from palm_theory.application import application_of

    kind = installed("llm").kind
    found = application_of(kind)
    if found is None:
        raise InputError(f"no application of {kind} is installed; install its package again")
    return found


def _application_of(folder: Path) -> Application:
    """The application that opens a saved portfolio. Raises InputError where its policies answer no prompts."""
    from palm_theory.application import application_of
    from palm_theory.portfolio import Portfolio

    found = application_of(Portfolio.load(folder).kind)
    if found is None:
        raise InputError(f"{folder} is not a portfolio of language models")
    return found


def _workers(options: LanguageModelOptions, cluster: str | None, slurm: str | None) -> Any:
    from palm_theory.executors.options import ray_executor, slurm_executor

    if cluster is None and slurm is None:
        return options.processes()
    if options.gpu or options.workers or (cluster is not None and slurm is not None):
        raise InputError("--cluster, --slurm and --workers with --gpu are three places to train; choose one")
    if cluster is not None:
        return _application().remote_workers(ray_executor(cluster))
    return _application().remote_workers(slurm_executor(slurm or "", options.folder / "slurm"))


def _strategy(name: str, epsilon: float, max_policies: int, number: int, seed: int) -> Strategy:
    from palm_theory.strategies.baselines import RandomWeights, UniformGrid
    from palm_theory.strategies.planned import Planned

    if name == "planned":
        return Planned(epsilon, max_policies)
    return UniformGrid(number) if name == "uniform" else RandomWeights(number, seed)


def chat_command(
    portfolio: Folder,
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="name=weight,…: the policy for these. Default: all policies.")
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option("--prompt", "-p", help="Ask this and stop; repeat.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
) -> None:
    """Talk to the policy that serves your weights, or to all policies side by side.

    \b
      palm chat portfolio --weights brevity=.7,positivity=.3
      palm chat portfolio --prompt "Why is the sky blue?"
    """
    from rich.console import Console

    from palm_theory.geometry.simplex import parse_weights

    application = _application_of(portfolio)
    loaded = application.open(portfolio)
    members = list(loaded) if weights is None else [loaded.select(parse_weights(weights))]
    questions = iter(prompt) if prompt else iter(lambda: typer.prompt("you", prompt_suffix="> "), "")
    try:
        for number, question in enumerate(questions):
            application.print_answers(members, question, seed + number, Console())
    except typer.Abort:
        typer.echo("")


def export_command(
    portfolio: Folder,
    out: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    base_model: Annotated[
        str | None, typer.Option(help="The id or path by which your server knows the base model.")
    ] = None,
    serve: Annotated[
        Literal["vllm"] | None, typer.Option(help="Also write OUT/serve.sh, the command that serves them all.")
    ] = None,
) -> None:
    """One PEFT folder a policy, as peft, transformers and vLLM load them.

    \b
      palm export runs/llm/portfolio adapters --base-model HuggingFaceTB/SmolLM2-135M-Instruct --serve vllm
      adapters/serve.sh                                                    # where vLLM and a GPU are
      palm serve runs/llm/portfolio --upstream http://127.0.0.1:8001
    """
    application = _application_of(portfolio)
    folders = application.export(portfolio, out, base_model)
    for folder in folders:
        typer.echo(str(folder))
    if serve == "vllm":
        typer.echo(str(application.vllm_script(portfolio, out, folders)))
