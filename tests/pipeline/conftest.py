"""`TEST_WORKERS=4 pytest tests/pipeline`: every run of the graph that does not say its workers, on so many."""

import os
import pydoc_data.topics
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline import engines


@pytest.fixture(scope="session", autouse=True)
def workers() -> Iterator[None]:
    """As on a machine with twice as many cores."""
    asked = os.environ.get("TEST_WORKERS")
    with pytest.MonkeyPatch.context() as patch:
        if asked:
            patch.setattr(engines, "default_workers", lambda: int(asked))
        yield


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Trained here, and with all that would lose text: it cuts, fills up, and knows a special token."""
    model = Tokenizer(models.BPE())
    model.pre_tokenizer, model.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    model.train_from_iterator(list(pydoc_data.topics.topics.values())[:40], trainer)
    model.enable_truncation(16)
    model.enable_padding(length=20)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    model.save(str(path))
    return str(path)
