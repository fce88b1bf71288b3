"""The command `search mix`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson
from .output import print_json, stderr, stdout, write


def mix(
    task: Annotated[
        str, typer.Option(help="As of launch: an embedded task or your own FILE.py:Class.")
    ] = "mnist1d",
    pool: Annotated[
        str,
        typer.Option(help="smartmixed, s-kan, or functions with commas between: relu,tanh,x*x."),
    ] = "smartmixed",
    soft: Annotated[
        bool | None,
        typer.Option(
            "--soft/--hard",
            help="Add all functions up with weights, or draw one for each neuron and pass. "
            "[default: the pool's; hard for your own]",
        ),
    ] = None,
    switch: Annotated[
        float, typer.Option(help="Share of the steps after which a neuron keeps its choice.")
    ] = 0.125,
    temperature: Annotated[float, typer.Option(min=1e-3, help="Of the softmax.")] = 1.0,
    seeds: Annotated[
        int,
        typer.Option(help="Fresh paired seeds for each network; fewer than eight prove nothing."),
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of the whole comparison.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Where the task's data are.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="SVG file for the picture of what was chosen where.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let each neuron choose its function from a pool, beside networks of one function."""
    from ..evaluators.selection import SelectionSettings
    from ..evaluators.tasks import load_task
    from ..primitives.lowering.mixture import Mixing
    from .mix import MixSettings, pool_named, run_mix, trainings_of
    from .mix_report import mix_table, progress_of

    mixing, functions = pool_named(pool)
    if soft is not None:
        mixing = Mixing.SOFT if soft else Mixing.HARD
    settings = MixSettings(
        functions, SelectionSettings(mixing, switch, temperature), seeds=seeds, seed=seed
    )
    loaded = load_task(task, data)
    with progress_of(stderr, trainings_of(settings)) as told:
        found = run_mix(loaded, settings, told=told)
    if picture is not None:
        from ..runs.choice_picture import choice_picture

        write(picture, "choices.svg", choice_picture(found["layers"]))
    if as_json:
        print_json(found)
    else:
        stdout.print(mix_table(found))
