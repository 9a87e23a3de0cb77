"""Kernels are compiled for cards that are not here, and fit them: what an interpreter cannot tell."""

import sys

import pytest
import torch

from graves_nb.backend_triton import Card, Work, is_interpreted, plans
from graves_nb.sequence import LSTMGradients, LSTMTape, WindowGradients, WindowTape

FLOAT, WHOLE, NONE = "*fp32", "*i32", "constexpr"
H100, A100 = (Card(132, 227 * 1024), 90), (Card(108, 163 * 1024, (8, 0)), 80)
LSTM, WINDOW = ["lstm_forward", "lstm_backward"], ["window_forward", "window_backward"]
ASKED = [
    *((name, H100, 32, torch.bfloat16) for name in LSTM + WINDOW),
    *((name, A100, 32, torch.float32) for name in LSTM + WINDOW[:1]),
    ("window_backward", A100, 128, torch.bfloat16),
    ("lstm_forward", A100, 32, torch.float16),
]


def arguments_of(name, factors):
    "What each argument of a kernel points to."
    from graves_nb import kernels_triton as kernels

    weights = kernels.Weights(factors, FLOAT, NONE if name in LSTM else FLOAT)
    text, there = kernels.Text(WHOLE, FLOAT), dict(weights=weights)
    room = dict(
        lstm_forward=(WHOLE, factors, NONE, NONE, NONE),
        lstm_backward=(WHOLE, factors, FLOAT, NONE, NONE),
        window_forward=(WHOLE, factors, NONE, FLOAT, factors),
        window_backward=(WHOLE, factors, FLOAT, FLOAT, NONE),
    )[name]
    rest = dict(room=kernels.Room(*room), numbers=WHOLE, p=NONE)
    if name == "lstm_forward":
        return dict(tape=LSTMTape(*[FLOAT] * 3)) | there | rest
    if name == "lstm_backward":
        return dict(tape=LSTMTape(*[FLOAT] * 3), given=LSTMGradients(FLOAT, FLOAT), dgates=FLOAT) | there | rest
    given = dict(given=WindowGradients(*[FLOAT] * 4), found=kernels.WindowDerivatives(*[FLOAT] * 3))
    return (
        dict(tape=WindowTape(*[FLOAT] * 5))
        | (given if name == "window_backward" else {})
        | there
        | dict(text=text)
        | rest
    )


def compiled(name, plan, factors, capability):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from graves_nb import kernels_triton as kernels

    arguments, constants, aligned = arguments_of(name, factors), {}, {}
    for i, kind in enumerate(arguments.values()):
        for place, part in (
            [((i, j), part) for j, part in enumerate(kind)] if isinstance(kind, tuple) else [((i,), kind)]
        ):
            if part == NONE:
                constants[place] = None
            elif part.startswith("*"):
                aligned[place] = [["tt.divisibility", 16]]
    constants[(len(arguments) - 1,)] = plan.blocks
    source = ASTSource(getattr(kernels, name), signature=arguments, constexprs=constants, attrs=aligned)
    options = dict(num_warps=plan.warps, num_stages=1, enable_fp_fusion=True)
    return compile(source, target=GPUTarget("cuda", capability, 32), options=options)


if sys.platform == "linux" and not is_interpreted():

    @pytest.mark.parametrize("asked", ASKED, ids=lambda a: f"{a[0]}-{a[1][1]}-{a[3]}".replace("torch.", ""))
    def test_a_kernel_compiles_and_fits(asked, tmp_path, monkeypatch):
        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        name, (card, capability), batch, dtype = asked
        window = (57, 10) if name in WINDOW else ()
        dropped = dict(scale=4 / 3) if dtype == torch.bfloat16 else {}  # as where candidates are
        plan = plans(card, Work(batch, 400, dtype, 10.0 if "backward" in name else None, *window, **dropped))[0]
        factors = {torch.float32: FLOAT, torch.bfloat16: "*bf16", torch.float16: "*fp16"}[dtype]
        made = compiled(name, plan, factors, capability)
        assert made.metadata.shared <= card.shared and "cubin" in made.asm
        assert plan.blocks.parts * plan.together <= card.processors
