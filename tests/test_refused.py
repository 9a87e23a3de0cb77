"""What is damaged, forged or absurd is refused in a sentence that says what is wrong, where it is read."""

import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from graves_nb.alphabet import ASCII, Alphabet
from graves_nb.batches import make_examples, vary
from graves_nb.corpus import HutterPrize, Streams, Symbols, Vocabulary
from graves_nb.evaluation import evaluate
from graves_nb.files import NO_CACHE, pack, read_cache, unpack, write_cache
from graves_nb.hands import Hand, rescale
from graves_nb.iamondb import checked_limits
from graves_nb.ink import Ink, OffsetScaler, bucket_batches, pad_batch, resample, smooth
from graves_nb.model import InkModel, Model, ModelFileError, record_of
from graves_nb.page import break_lines, stack_lines, write_page
from graves_nb.pictures import Picture
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.sampling import adapt_ink, write
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage
from graves_nb.training import Trainer, read_checkpoint, saved_model
from graves_nb.unipen import parse_components

NAN = float("nan")
INK = Ink.from_strokes([[[0, 0], [1, 2], [3, 1], [4, 4]], [[5, 0], [6, 1]]], "ab")


@pytest.fixture
def scribbler():
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(hidden_size=4, n_mixtures=2, n_layers=1))
    return InkModel(network, None, OffsetScaler((0.1, 0.2), (0.3, 0.4)), {"points_per_char": 18.0})


@pytest.fixture
def writer():
    torch.manual_seed(0)
    network = SynthesisNetwork(SynthesisConfig(3, hidden_size=4, n_mixtures=2, n_window=2))
    return InkModel(network, Alphabet(" ab"), OffsetScaler((0.1, 0.2), (0.3, 0.4)))
