"""A second device that any machine has: tensors that are on it cannot be mixed with those of the processor."""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_map, tree_map_only

DEVICE = torch.device("meta")  # what it is called: the one device besides the processor that torch always knows
WAITED = []  # operations for whose numbers the processor has waited


class Elsewhere(torch.Tensor):
    "A tensor that says it is elsewhere; its numbers are on the processor, where nobody else may reach for them."

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"Elsewhere({self.held})"

    def tolist(self):
        WAITED.append("tolist")
        return self.held.tolist()

    def __deepcopy__(self, memo):
        return Elsewhere(self.held.clone()).requires_grad_(self.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def is_foreign(thing):
    "Whether it may not meet a tensor that is elsewhere: any but a single number."
    return isinstance(thing, torch.Tensor) and not isinstance(thing, Elsewhere) and thing.dim() > 0


def run(function, args, kwargs):
    "An operation, where its tensors are, or where it is to make one."
    found = []
    tree_map(found.append, (args, kwargs))
    there, target = any(isinstance(t, Elsewhere) for t in found), kwargs.get("device")
    copies = function in (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
    if there and not copies and any(is_foreign(t) for t in found) and "index" not in str(function):
        shapes = [(type(t).__name__, tuple(t.shape)) for t in found if isinstance(t, torch.Tensor)]
        raise RuntimeError(f"Expected all tensors to be on the same device: {function} of {shapes}")
    moved = there if target is None else torch.device(target).type == DEVICE.type
    if there and (function is torch.ops.aten._local_scalar_dense.default or copies and not moved):
        WAITED.append(str(function))
    if target is not None:
        kwargs = kwargs | dict(device=torch.device("cpu"))
    held = [tree_map_only(Elsewhere, lambda t: t.held, part) for part in (args, kwargs)]
    made = function(*held[0], **held[1])
    if function is torch.ops.aten._to_copy.default and target is not None and made is held[0][0]:
        made = made.clone()
    if not moved:
        return made
    return (
        return_and_correct_aliasing(function, args, kwargs, tree_map_only(torch.Tensor, Elsewhere, made))
        if there
        else tree_map_only(torch.Tensor, Elsewhere, made)
    )


class Made(TorchFunctionMode):
    "`torch.tensor` makes numbers on the processor, and takes them where they are to be out of anybody's sight."

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and (place := kwargs.pop("device", None)) is not None:
            return function(*args, **kwargs).to(place)
        return function(*args, **kwargs)


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


@contextlib.contextmanager
def second_device():
    "The device to put things on, while the context lasts."
    with Made(), Mode():
        yield DEVICE
