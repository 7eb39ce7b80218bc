"""The slots of a network's layers: which set of LoRAs is in which, and which ones a batch uses."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import prod

import torch

from common.domain.provenance import AppliedLora
from gpu_subscriber.engine.device_memory import DeviceMemory
from gpu_subscriber.engine.devices import is_out_of_memory
from gpu_subscriber.engine.errors import OutOfMemoryError
from gpu_subscriber.engine.loras.lora_weights import Pairs
from gpu_subscriber.engine.loras.slot_layers import Selection, SlotConv2d, SlotLinear, slotted

LoraSet = tuple[AppliedLora, ...]
"""The LoRAs of one Run; empty for a Run without any."""
_SMALLEST_RANK = 16
_MEMORY_SHARE = 0.5
"""Of the device's free memory, which new slots may take."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The LoRAs of one set, with their scales, as a slot takes them."""

    loras: Sequence[tuple[Pairs, float]]

    @property
    def modules(self) -> frozenset[str]:
        """The names of the modules that they change."""
        return frozenset(name for pairs, _ in self.loras for name in pairs)

    @property
    def rank(self) -> int:
        """The largest sum of ranks over the modules."""
        ranks: dict[str, int] = {}
        for pairs, _ in self.loras:
            for name, pair in pairs.items():
                ranks[name] = ranks.get(name, 0) + pair.rank
        return max(ranks.values())


class SlotBank:
    """Slots over the layers of a network, for at most `most_sets` different sets in one pass.

    Memory is taken at the first use. The slots are made again when a set changes further layers, or
    when its rank is higher, then of the next power of two. The least recently used set gives way to
    a new one. `join` loads the LoRAs of a set.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        *,
        device: torch.device,
        dtype: torch.dtype,
        join: Callable[[LoraSet], Joined],
        most_sets: int = 1,
        memory: DeviceMemory | None = None,
    ) -> None:
        self._network = network
        self._device = device
        self._dtype = dtype
        self._join = join
        self._wanted_sets = self.most_sets = max(1, most_sets)
        """How many different sets fit; `most_sets` is lower where memory is short."""
        self._memory = memory
        self._selection = Selection()
        self._selected: tuple[LoraSet, ...] = ()
        self._layers: dict[str, SlotLinear | SlotConv2d] = {}
        self._rank = 0
        self._slots: OrderedDict[LoraSet, int] = OrderedDict()
        self._ranks: dict[LoraSet, int] = {}

    @property
    def nbytes(self) -> int:
        """The memory that the slots take on the device."""
        tensors = [tensor for layer in self._layers.values() for tensor in (layer.down, layer.up)]
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def select(self, rows: Sequence[LoraSet]) -> None:
        """Choose the set of each row of the next passes.

        Raises ValueError if the rows have more different sets than there are slots, OutOfMemoryError
        if the memory is too short for slots, and any error of `join`.
        """
        if (selected := tuple(rows)) == self._selected:
            return
        self.clear()
        if needed := tuple(dict.fromkeys(loras for loras in selected if loras)):
            self._hold(needed)
            slots = [self._slots[loras] if loras else 0 for loras in selected]
            self._selection.rows = torch.tensor(slots, device=self._device)
            self._selection.rank = max(self._ranks[loras] for loras in needed)
            self._selection.is_uniform = len(set(slots)) == 1
        self._selected = selected

    def clear(self) -> None:
        """Apply no LoRA in the next passes."""
        self._selected = ()
        self._selection.rows = None

    def release(self) -> None:
        """Free the memory of the slots."""
        self.clear()
        self._slots.clear()
        self._ranks.clear()
        self._rank, self.most_sets = 0, self._wanted_sets
        for layer in self._layers.values():
            layer.down = layer.up = None
        if self._memory is not None:
            self._memory.renew()

    def _hold(self, needed: Sequence[LoraSet]) -> None:
        """Put sets into slots, unless they are in some."""
        new = {loras: self._join(loras) for loras in needed if loras not in self._slots}
        if not all(self._takes(joined) for joined in new.values()):
            new = {loras: self._join(loras) for loras in needed}
            self._make_slots(new.values())
        if len(needed) > self.most_sets:
            raise ValueError(f"{len(needed)} sets of LoRAs exceed {self.most_sets} slots")
        for loras in needed:
            if loras in self._slots:
                self._slots.move_to_end(loras)
        try:
            for loras, joined in new.items():
                slot = self._free_slot(needed)
                self._write(slot, joined)
                self._slots[loras], self._ranks[loras] = slot, _bucket(joined.rank)
        except Exception:  # such as no memory: the freed slot's number could be given twice
            self.release()
            raise

    def _takes(self, joined: Joined) -> bool:
        return joined.rank <= self._rank and joined.modules <= self._layers.keys()

    def _make_slots(self, sets: Collection[Joined]) -> None:
        """Make empty slots that take these sets. Afterwards all layers have slots, or none has."""
        rank = max(self._rank, *(_bucket(joined.rank) for joined in sets))
        self.release()
        for name in sorted(set().union(*(joined.modules for joined in sets)) - self._layers.keys()):
            self._layers[name] = slotted(self._network.get_submodule(name), self._selection)
        if self._memory is not None:
            free, slot_bytes = _MEMORY_SHARE * self._memory.free_bytes(), self._slot_bytes(rank)
            while self.most_sets > 1 and (self.most_sets + 1) * slot_bytes > free:
                self.most_sets //= 2
        try:
            for layer in self._layers.values():
                slots = self.most_sets + 1
                layer.down = self._zeros(slots, rank, *_in_shape(layer))
                layer.up = self._zeros(slots, layer.weight.shape[0], rank)
        except Exception as error:  # such as no memory: some layers would have slots
            self.release()
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(f"its LoRAs need {2 * self._slot_bytes(rank) / 1e9:.1f} GB") from None
        self._rank = rank
        if self._memory is not None:
            self._memory.renew()

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, device=self._device, dtype=self._dtype)

    def _slot_bytes(self, rank: int) -> int:
        elements = sum(prod(_in_shape(layer)) + layer.weight.shape[0] for layer in self._layers.values())
        return rank * elements * self._dtype.itemsize

    def _free_slot(self, needed: Sequence[LoraSet]) -> int:
        """Return an unused slot, or that of the least recently used set that is not needed now."""
        if len(self._slots) < self.most_sets:
            return len(self._slots) + 1
        oldest = next(loras for loras in self._slots if loras not in needed)
        del self._ranks[oldest]
        return self._slots.pop(oldest)

    def _write(self, slot: int, joined: Joined) -> None:
        for name, layer in self._layers.items():
            if layer.down is None or layer.up is None:
                continue
            down, up, start = layer.down[slot], layer.up[slot], 0
            for pairs, scale in joined.loras:
                if (pair := pairs.get(name)) is not None:
                    end = start + pair.rank
                    down[start:end].copy_(pair.down)
                    up[:, start:end].copy_(pair.up.flatten(1).float() * (scale * pair.scale))
                    start = end
            down[start:].zero_()
            up[:, start:].zero_()


def _bucket(rank: int) -> int:
    """Return the next power of two, so that few different shapes occur."""
    return max(_SMALLEST_RANK, 1 << (rank - 1).bit_length())


def _in_shape(layer: SlotLinear | SlotConv2d) -> tuple[int, ...]:
    if isinstance(layer, SlotLinear):
        return (layer.in_features,)
    return (layer.in_channels, *layer.kernel_size)
