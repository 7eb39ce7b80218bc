"""The LoRAs of one model: loaded at their first use, applied row by row in each pass."""

import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from cachetools import LRUCache, TTLCache

from common.domain.models.lora import LoraChoice, LoraSpec
from common.domain.provenance import AppliedLora
from common.model_files.weights import UnservableModelError
from gpu_subscriber.engine.device_memory import DeviceMemory
from gpu_subscriber.engine.errors import LoraUnavailableError
from gpu_subscriber.engine.loras.lora_weights import LoraWeights, read_lora
from gpu_subscriber.engine.loras.slot_bank import Joined, LoraSet, SlotBank

_log = structlog.get_logger()
CACHED_LORA_BYTES = 2_000_000_000
"""How much of the host's memory the loaded LoRAs of one model take."""
_REFUSED_SECONDS = 60.0
"""How long a file is not read again after it was refused: an error of its volume may pass."""
_FileStamp = tuple[int, int]
"""The size of a file, and when it was changed."""


class ModelLoras:
    """Loads and applies LoRAs: in the denoiser in each step, in text encoders while a prompt is encoded.

    Runs with different sets share a pass of the denoiser. Prompts that share a pass have the same
    set, so text encoders have one slot.
    """

    def __init__(
        self,
        pipeline: Any,
        network: str,
        specs: Sequence[LoraSpec] = (),
        *,
        most_sets: int = 1,
        memory: DeviceMemory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._specs = {spec.name: spec for spec in specs}
        self._weights: LRUCache[str, LoraWeights] = LRUCache(
            CACHED_LORA_BYTES, getsizeof=lambda weights: weights.nbytes
        )
        """The loaded LoRAs by the digests of their files."""
        self._digests: dict[str, tuple[_FileStamp, str]] = {}
        self._refusals: TTLCache[str, tuple[_FileStamp | None, str]] = TTLCache(
            max(1, len(specs)), _REFUSED_SECONDS, timer=clock
        )
        self._networks_of: dict[str, frozenset[str]] = {}
        """The networks that a LoRA changes, by its file's digest."""
        names = (
            [name for name in pipeline._lora_loadable_modules if getattr(pipeline, name, None)]
            if specs
            else []
        )
        device = getattr(pipeline, network).device
        self._network = network
        self._banks = {
            name: SlotBank(
                getattr(pipeline, name),
                device=device,
                dtype=getattr(pipeline, name).dtype,
                join=partial(self._joined, name),
                most_sets=most_sets if name == network else 1,
                memory=memory,
            )
            for name in names
        }
        self._encoders = {name: bank for name, bank in self._banks.items() if name != network}

    @property
    def most_sets(self) -> int | None:
        """How many different sets one pass takes; None: any number, because the model has no LoRAs."""
        return self._banks[self._network].most_sets if self._banks else None

    @property
    def device_bytes(self) -> int:
        """The memory that slots take on the device."""
        return sum(bank.nbytes for bank in self._banks.values())

    @property
    def host_bytes(self) -> int:
        """The host's memory that loaded files take."""
        return int(self._weights.currsize)

    def chosen(self, choices: Sequence[LoraChoice]) -> LoraSet:
        """Return what applies to a Run, and load it. Raises LoraUnavailableError.

        A scale of 0 changes nothing. The order of a request has no effect.
        """
        used = sorted((choice for choice in choices if choice.scale != 0), key=lambda choice: choice.name)
        return tuple(
            AppliedLora(name=choice.name, scale=choice.scale, sha256=self._loaded(choice.name).sha256)
            for choice in used
        )

    def of_encoders(self, loras: LoraSet) -> LoraSet:
        """Return those of a set that change text encoders."""
        return tuple(lora for lora in loras if self._networks_changed_by(lora) - {self._network})

    @contextmanager
    def encoding(self, loras: LoraSet) -> Iterator[None]:
        """Apply a set in the text encoders meanwhile, to all rows."""
        try:
            for name, bank in self._encoders.items():
                bank.select([self._of_network(name, loras)])
            yield
        finally:
            for bank in self._encoders.values():
                bank.clear()

    def select(self, sets: Sequence[LoraSet], *, repeats: int) -> None:
        """Choose the LoRAs of each Run in the next passes of the denoiser, which has `repeats` rows for each."""
        if self._banks:
            own = [self._of_network(self._network, loras) for loras in sets]
            self._banks[self._network].select(own * repeats)

    def release(self) -> None:
        """Free the memory of the slots."""
        for bank in self._banks.values():
            bank.release()

    def _of_network(self, network: str, loras: LoraSet) -> LoraSet:
        return tuple(lora for lora in loras if network in self._networks_changed_by(lora))

    def _networks_changed_by(self, lora: AppliedLora) -> Set[str]:
        """Read the file again if this model was loaded again since the Run began."""
        known = self._networks_of.get(lora.sha256)
        return self._same(lora).networks.keys() if known is None else known

    def _joined(self, network: str, loras: LoraSet) -> Joined:
        return Joined([(self._same(lora).networks[network], lora.scale) for lora in loras])

    def _same(self, lora: AppliedLora) -> LoraWeights:
        """Return the weights of a Run's LoRA, which may have been dropped from memory."""
        weights = self._weights.get(lora.sha256) or self._loaded(lora.name)
        if weights.sha256 != lora.sha256:
            raise LoraUnavailableError(f"the file of LoRA {lora.name!r} was replaced")
        return weights

    def _loaded(self, name: str) -> LoraWeights:
        spec = self._specs.get(name)
        if spec is None:
            raise LoraUnavailableError(f"this worker's catalog has no LoRA {name!r}")
        file = Path(spec.source)
        stamp = _stamp_of(file)
        known = self._digests.get(name)
        if known and known[0] == stamp and (weights := self._weights.get(known[1])):
            return weights
        refusal = self._refusals.get(name)
        if refusal is None or refusal[0] != stamp:
            try:
                return self._keep(name, stamp, read_lora(file, self._pipeline))
            except UnservableModelError as error:
                refusal = self._refusals[name] = (stamp, str(error))
        _log.error("lora_refused", lora=name, reason=refusal[1])
        raise LoraUnavailableError(f"the LoRA {name!r} cannot be applied")

    def _keep(self, name: str, stamp: _FileStamp | None, weights: LoraWeights) -> LoraWeights:
        if stamp is not None:
            self._digests[name] = (stamp, weights.sha256)
        self._networks_of[weights.sha256] = frozenset(weights.networks)
        if weights.nbytes <= CACHED_LORA_BYTES:
            self._weights[weights.sha256] = weights
        _log.info("lora_loaded", lora=name, sha256=weights.sha256, bytes=weights.nbytes)
        return weights


def _stamp_of(file: Path) -> _FileStamp | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
