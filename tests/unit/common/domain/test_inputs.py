"""The object names of inputs."""

from common.domain.inputs import INPUTS_PREFIX, input_folder, input_object_name

PICTURE = "ab" * 32


def test_input_object_name_is_below_the_folder_of_its_owner() -> None:
    name = input_object_name("ada", PICTURE)
    assert name == f"{input_folder('ada')}{PICTURE}"
    assert name.startswith(INPUTS_PREFIX)
    assert name.count("/") == 2


def test_input_folders_of_owners_differ_and_hide_their_ids() -> None:
    folders = {input_folder(user) for user in ("ada", "bob", "ada/ü", "")}
    assert len(folders) == 4
    assert not any("ada" in folder for folder in folders)
