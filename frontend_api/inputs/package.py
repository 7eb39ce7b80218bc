"""The package as one record."""

from dataclasses import dataclass

from frontend_api.inputs.delete import DeleteInput, RemoveExpiredInputs
from frontend_api.inputs.ports import InputStore
from frontend_api.inputs.read import ReadInput
from frontend_api.inputs.resumable import ResumableUploads
from frontend_api.inputs.stored_input import InputLimits
from frontend_api.inputs.upload import UploadInput
from frontend_api.inputs.use import UseInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    store: InputStore
    limits: InputLimits
    upload: UploadInput
    resumable: ResumableUploads
    read: ReadInput
    delete: DeleteInput
    remove_expired: RemoveExpiredInputs
    use: UseInputs
