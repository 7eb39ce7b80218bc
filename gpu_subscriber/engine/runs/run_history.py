"""RunHistory: the history of a Run up to its current step.

Checkpoints carry it; the image's record contains it.
"""

from dataclasses import dataclass, field
from typing import Any

from common.domain.provenance import MAX_RESUMES, Environment, Resume


@dataclass(slots=True, kw_only=True)
class RunHistory:
    """The batches, resumes and restarts of a Run.

    `batches`: how many Runs shared each step so far. `resumes`: the latest checkpoints from which
    the Run resumed. `started_over_because`: why a checkpoint was refused.
    """

    batches: list[int] = field(default_factory=list)
    resumes: tuple[Resume, ...] = ()
    started_over_because: str | None = None

    def packed(self, here: Environment) -> dict[str, Any]:
        """Return the history as JSON for a checkpoint.

        `here` is the environment of the latest steps.
        """
        return {
            "batches": list(self.batches),
            "resumes": [resume.model_dump(mode="json") for resume in self.resumes],
            "started_over_because": self.started_over_because,
            "environment": here.model_dump(mode="json"),
        }

    @classmethod
    def resumed(cls, packed: dict[str, Any], *, step: int, here: Environment) -> "RunHistory":
        """Return the history in `packed`, extended by a resume in `here` after `step` steps."""
        there = Environment.model_validate(packed["environment"])
        # A resume without an environment happened in the one where the checkpoint was made.
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
