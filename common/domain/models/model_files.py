"""Where a model's files are and how they are loaded: the fields of a catalog entry that only processes read."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

EMBEDDED_PREFIX = "embedded:"
SINGLE_FILE = ".safetensors"
"""The only format of weights that is ever opened: it contains no code."""


Quantization = Literal["none", "int8", "fp8"]


class ControlNetwork(BaseModel):
    """A network that steers a model by a control image, such as edges or a depth map."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    title: str = ""
    source: str
    """A folder with `config.json` and safetensors, or a hub id."""
    revision: str | None = None
    """The commit of a hub id."""
    variant: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+$")


class IpAdapter(BaseModel):
    """Weights with which a model follows a reference picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    title: str = ""
    source: str
    """A `.safetensors` file."""
    image_encoder: str
    """The CLIP vision model that it was trained with: a folder with `config.json` and safetensors, or a hub id."""
    revision: str | None = None
    """The commit of a hub id."""
    variant: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+$")
    """The weights of the image encoder, as for a model."""

    @field_validator("source")
    @classmethod
    def _is_safetensors(cls, source: str) -> str:
        return checked_safetensors(source)


class ModelExample(BaseModel):
    """A picture that a model generated. The page shows it where the user chooses a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """A PNG, JPEG or WebP; `embedded:demo` for the picture that ships with the project."""
    prompt: str = ""
    """The prompt that the picture was generated from."""


def checked_safetensors(source: str) -> str:
    """Return the name of a single file; raises ValueError if it has another format."""
    if not source.endswith(SINGLE_FILE):
        raise ValueError(f"must be a {SINGLE_FILE} file: other formats can run code when they are read")
    return source


class ModelFiles(BaseModel):
    """A model's files: a folder in the layout of diffusers, a hub id, or a single checkpoint file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """A folder, a hub id, a `.safetensors` file, or `embedded:demo` for the model that ships with the project."""
    revision: str | None = None
    """The commit of a hub id."""
    variant: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+$")
    """The weights `*.<variant>.safetensors`. By default the plain ones, or the only variant there is."""
    config: str | None = None
    """For a single file: the folder or hub id whose JSON files and tokenizers describe the pipeline."""
    components: Mapping[str, str] = Field(default_factory=dict)
    """Components that replace those of `source`, by name: a `.safetensors` file, or a component's folder."""
    controlnets: tuple[ControlNetwork, ...] = ()
    """The networks that a task with a control image can choose from."""
    ip_adapters: tuple[IpAdapter, ...] = ()
    """The IP-Adapters that a task with a reference picture can choose from."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """The number format of the weights; `auto` is the worker's."""
    quantization: Quantization = "none"
    """The numbers in which the denoiser's linear layers compute, through torchao."""
    offload: Literal["none", "text_encoders"] = "none"
    """What stays in the host's memory on a GPU, and is on the device only while it computes."""

    @property
    def is_single_file(self) -> bool:
        """Whether the source is one checkpoint file."""
        return self.source.endswith(SINGLE_FILE)

    @property
    def is_embedded(self) -> bool:
        """Whether the model ships with the project."""
        return self.source.startswith(EMBEDDED_PREFIX)
