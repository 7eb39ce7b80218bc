"""Past: how a Run came to the step that it is at. Its checkpoints carry it along, its image tells it in the end."""

from dataclasses import dataclass, field
from typing import Any

from common.domain.provenance import MAX_RESUMES, Environment, Resume


@dataclass(slots=True, kw_only=True)
class Past:
    """`batches`: how many Runs shared each step so far. `resumes`: the latest checkpoints it went on from.

    `started_over_because`: why one was refused.
    """

    batches: list[int] = field(default_factory=list)
    resumes: tuple[Resume, ...] = ()
    started_over_because: str | None = None

    def packed(self, here: Environment) -> dict[str, Any]:
        """As JSON, for whoever goes on elsewhere; `here` is where the latest steps were computed."""
        return {
            "batches": list(self.batches),
            "resumes": [resume.model_dump(mode="json") for resume in self.resumes],
            "started_over_because": self.started_over_because,
            "environment": here.model_dump(mode="json"),
        }

    @classmethod
    def resumed(cls, packed: dict[str, Any], *, step: int, here: Environment) -> "Past":
        """What `packed` told, and that the Run now goes on `here` after `step` steps."""
        there = Environment.model_validate(packed["environment"])
        # A resume that named no place meant the one where the checkpoint was made.
        earlier = [
            (resume.step, resume.before or there) for resume in map(Resume.model_validate, packed["resumes"])
        ]
        resumes = [
            Resume(step=at, before=None if before == here else before)
            for at, before in [*earlier, (step, there)]
        ]
        return cls(
            batches=list(packed["batches"]),
            resumes=tuple(resumes[-MAX_RESUMES:]),
            started_over_because=packed["started_over_because"],
        )
