"""Load the networks of a pipeline one by one, each straight to its device, from safetensors alone.

Their weights come from a folder in the layout of diffusers, from a single checkpoint file in an
original layout, or from files of single components. Everything else, such as tokenizers, diffusers
reads from the folder.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_model import FromOriginalModelMixin
from diffusers.loaders.single_file_utils import (
    create_diffusers_clip_model_from_ldm,
    create_diffusers_t5_model_from_checkpoint,
)
from huggingface_hub import snapshot_download
from safetensors.torch import load_file

from common.domain.models.known_pipelines import served_class
from common.domain.models.model_files import SINGLE_FILE, ControlNetwork, ModelFiles
from common.domain.models.model_files import IpAdapter as IpAdapterFiles
from common.model_files.ip_adapter_file import check_ip_adapter_file
from common.model_files.local_model import LocalModel
from common.model_files.single_file import V_PREDICTION, ZERO_TERMINAL_SNR, has_component, is_part_of
from common.model_files.weights import (
    INDEX,
    ComponentWeights,
    component_weights,
    components_of,
    folder_weights,
    read_json,
)
from gpu_subscriber.engine.conditions.ip_adapters import IpAdapter
from gpu_subscriber.engine.conditions.picture_processor import PictureProcessor
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.models.ip_adapter_weights import built_ip_adapter
from gpu_subscriber.engine.models.model_provenance import LoadedFiles
from gpu_subscriber.engine.models.offloading import keep_on_host
from gpu_subscriber.engine.models.weight_digests import WeightDigests

Tensors = dict[str, torch.Tensor]
PICTURE_PROCESSOR = ("transformers", "Qwen2VLProcessor")
_CLIP_MODELS = ("clip_vision_model", "clip")
_NETWORK_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json"]


@dataclass(slots=True, kw_only=True)
class PipelineParts:
    """The parts of one pipeline, and the files that they were loaded from."""

    local: LocalModel
    files: ModelFiles
    device: Device
    digests: WeightDigests = field(default_factory=WeightDigests)
    """Those of the loaded files."""
    image_encoders: dict[Path, Any] = field(default_factory=dict)
    """Those of IP-Adapters, by their folders."""

    def pipeline(self) -> Any:
        """Load and return the pipeline.

        Raises ModelRefusedError, UnservableModelError, and any error of the libraries.
        """
        folder = self.local.folder
        index = read_json(folder / INDEX)
        components = components_of(index)
        pipeline_class = getattr(diffusers, served_class(index["_class_name"]), None)
        if not isinstance(pipeline_class, type) or not issubclass(
            pipeline_class, diffusers.DiffusionPipeline
        ):
            raise ModelRefusedError(f"diffusers has no pipeline class {index['_class_name']!r}")
        if unknown := sorted(self.files.components.keys() - components.keys()):
            raise ModelRefusedError(
                f"`components`: the pipeline has no {', '.join(unknown)}; it has {', '.join(components)}"
            )
        checkpoint = {} if self.local.checkpoint is None else self._opened(self.local.checkpoint)
        contained = {name for name in components if checkpoint and has_component(checkpoint, name)}
        in_folder = folder_weights(
            folder, index, variant=self.files.variant, without=contained | self.files.components.keys()
        )
        # Stable Diffusion 3 works without T5, but diffusers then asks for an explicit None.
        required = index.keys() - set(pipeline_class._optional_components)
        parts: dict[str, Any] = {name: None for name in required if index[name] == [None, None]}
        for name, class_path in components.items():
            if name in self.files.components:
                parts[name] = self._replacement(name, _class_of(*class_path))
            elif name in contained:
                own = {key: tensor for key, tensor in checkpoint.items() if is_part_of(key, name)}
                parts[name] = self._from_checkpoint(name, _class_of(*class_path), own)
            elif name in in_folder:
                parts[name] = self._from_folder(name, _class_of(*class_path), folder / name, in_folder[name])
            elif self.local.checkpoint is not None and not (folder / name).is_dir():
                _check_optional(name, pipeline_class)
                parts[name] = None
        if components.get("processor") == PICTURE_PROCESSOR:
            parts["processor"] = PictureProcessor.from_pretrained(folder / "processor", local_files_only=True)
        if V_PREDICTION in checkpoint:
            kind = _class_of(*components["scheduler"])
            parts["scheduler"] = kind.from_config(
                kind.load_config(folder / "scheduler"),
                prediction_type="v_prediction",
                rescale_betas_zero_snr=ZERO_TERMINAL_SNR in checkpoint,
            )
        for name, part in parts.items():
            if self._is_offloaded(name) and isinstance(part, torch.nn.Module):
                keep_on_host(part, self.device)
        return pipeline_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, **parts
        )

    def control_network(self, files: ControlNetwork, kind: Any) -> Any:
        """Load and return a control network of this class. Raises as `pipeline` does."""
        label, folder = f"controlnets/{files.name}", _network_folder(files.source, files.revision)
        found = read_json(folder / "config.json").get("_class_name")
        if found != kind.__name__:
            raise ModelRefusedError(f"{label}: `source` must contain a {kind.__name__}, got {found}")
        weights = component_weights(folder, variant=files.variant)
        if weights is None:
            raise ModelRefusedError(f"{label}: `source` has no .safetensors file")
        return self._from_folder(label, kind, folder, weights)

    def ip_adapter(self, files: IpAdapterFiles, denoiser: Any) -> IpAdapter:
        """Load and return an IP-Adapter for this denoiser. Raises as `pipeline` does."""
        label, file = f"ip_adapters/{files.name}", Path(files.source)
        check_ip_adapter_file(file)
        encoder = self._image_encoder(label, files)
        tensors = self._opened(file, of=label)
        return built_ip_adapter(label, tensors, denoiser=denoiser, encoder=encoder)

    def loaded_files(self, revision: str | None) -> LoadedFiles:
        """Return the loaded files with their digests. Waits until all are computed.

        A load may take long, but an engine that waits later would stop all Runs and count as hung.
        """
        return LoadedFiles(folder=self.local.folder, weights=self.digests.wait(), revision=revision)

    def _image_encoder(self, label: str, files: IpAdapterFiles) -> Any:
        """Load an image encoder, once for all adapters that state the same one."""
        folder = _network_folder(files.image_encoder, files.revision)
        if folder not in self.image_encoders:
            if read_json(folder / "config.json").get("model_type") not in _CLIP_MODELS:
                raise ModelRefusedError(f"{label}: `image_encoder` must contain a CLIP vision model")
            weights = component_weights(folder, variant=files.variant)
            if weights is None:
                raise ModelRefusedError(f"{label}: `image_encoder` has no .safetensors file")
            kind = transformers.CLIPVisionModelWithProjection
            self.image_encoders[folder] = self._from_folder(f"{label}/image_encoder", kind, folder, weights)
        return self.image_encoders[folder]

    def _replacement(self, name: str, kind: Any) -> Any:
        path = Path(self.files.components[name])
        if path.suffix == SINGLE_FILE:
            return self._from_file(name, kind, self._opened(path, of=name))
        weights = component_weights(path, variant=self.files.variant)
        return (
            kind.from_pretrained(path, local_files_only=True)
            if weights is None
            else self._from_folder(name, kind, path, weights)
        )

    def _from_folder(self, name: str, kind: Any, folder: Path, weights: ComponentWeights) -> Any:
        self.digests.start({f"{name}/{file.name}": file for file in weights.files})
        network, report = kind.from_pretrained(
            folder,
            dtype=self._dtype,
            variant=weights.variant,
            use_safetensors=True,
            local_files_only=True,
            device_map=self._device_map(name),
            output_loading_info=True,
        )
        # The libraries fill missing tensors with random numbers.
        _refuse_missing(name, report["missing_keys"])
        return network

    def _from_checkpoint(self, name: str, kind: Any, tensors: Tensors) -> Any:
        """Load a network from its tensors in a checkpoint of the whole pipeline."""
        if issubclass(kind, FromOriginalModelMixin):
            return self._from_file(name, kind, tensors)
        tensors = {_with_wrapper(key): tensor for key, tensor in tensors.items()}
        is_t5 = any(key.startswith("text_encoders.t5xxl.") for key in tensors)
        load = create_diffusers_t5_model_from_checkpoint if is_t5 else create_diffusers_clip_model_from_ldm
        network = load(
            kind,
            tensors,
            subfolder=name,
            config=str(self.local.folder),
            torch_dtype=self._dtype,
            local_files_only=True,
        )
        _refuse_missing(name, [key for key, tensor in network.state_dict().items() if tensor.is_meta])
        return network.to(self._home(name))

    def _from_file(self, name: str, kind: Any, tensors: Tensors) -> Any:
        """Load a network of its own file, in an original layout or that of its class."""
        folder = self.local.folder
        if not issubclass(kind, FromOriginalModelMixin):
            network, report = kind.from_pretrained(
                None,
                config=kind.config_class.from_pretrained(folder / name, local_files_only=True),
                state_dict=tensors,
                dtype=self._dtype,
                device_map=self._device_map(name),
                output_loading_info=True,
            )
            _refuse_missing(name, report["missing_keys"])
            return network
        _check_guidance(name, tensors, read_json(folder / name / "config.json"))
        network = kind.from_single_file(
            tensors,
            config=str(folder),
            subfolder=name,
            dtype=self._dtype,
            device=self._home(name),
            local_files_only=True,
        )
        if self.device.torch_device.type != "meta":
            _refuse_missing(name, [key for key, tensor in network.state_dict().items() if tensor.is_meta])
        return network

    def _opened(self, file: Path, *, of: str | None = None) -> Tensors:
        """Map a file's tensors into memory."""
        self.digests.start({file.name if of is None else f"{of}/{file.name}": file})
        return load_file(file)

    @property
    def _dtype(self) -> torch.dtype:
        return self.device.dtype_of(self.files.dtype)

    def _is_offloaded(self, name: str) -> bool:
        is_encoder = name.startswith("text_encoder")
        return is_encoder and self.files.offload == "text_encoders" and self.device.has_own_memory

    def _home(self, name: str) -> torch.device:
        """Return where a network's weights are created."""
        return torch.device("cpu") if self._is_offloaded(name) else self.device.torch_device

    def _device_map(self, name: str) -> Mapping[str, torch.device] | None:
        """Return the same for the libraries; None leaves tensors mapped from their files, for a CPU."""
        home = self._home(name)
        return None if home.type == "cpu" else {"": home}


def _network_folder(source: str, revision: str | None) -> Path:
    """Return the folder of a single network; that of a hub id is downloaded first."""
    if Path(source).is_dir():
        return Path(source)
    return Path(snapshot_download(source, revision=revision, allow_patterns=_NETWORK_FILES))


def _class_of(library: str, class_name: str) -> Any:
    """Return a component's class. Classes of other libraries are refused: importing one runs its code."""
    home = {"diffusers": diffusers, "transformers": transformers}.get(library)
    kind = getattr(home or getattr(diffusers.pipelines, library, None), class_name, None)
    if not isinstance(kind, type):
        raise ModelRefusedError(f"neither diffusers nor transformers has the class {library}.{class_name}")
    return kind


def _with_wrapper(key: str) -> str:
    """Return the name of a tensor of CLIP with its `text_model.`, which newer converters leave out."""
    return re.sub(
        r"\.transformer\.(embeddings|encoder|final_layer_norm)\.", r".transformer.text_model.\1.", key
    )


def _check_optional(name: str, pipeline_class: Any) -> None:
    """Refuse to leave out a component that the pipeline needs."""
    if name not in pipeline_class._optional_components:
        raise ModelRefusedError(
            f"`source`: neither the file nor its `config` has the component {name!r}; add it to the entry: "
            f'"components": {{"{name}": "FOLDER or FILE.safetensors"}}'
        )


def _check_guidance(name: str, tensors: Tensors, config: Mapping[str, Any]) -> None:
    """Refuse a network whose configuration would silently drop its embedding of the guidance scale."""
    embeds = config.get("guidance_embeds")
    if embeds is not None and embeds != any("guidance" in key for key in tensors):
        raise ModelRefusedError(
            f"{name}: the file and its configuration differ in `guidance_embeds` ({embeds} in the configuration): "
            "use the folder of the model that the file was made from"
        )


def _refuse_missing(name: str, missing: Iterable[str]) -> None:
    if first := next(iter(sorted(missing)), None):
        raise ModelRefusedError(f"{name}: its weights have no tensor {first!r}")
