/** A picture that is dropped on the page, or chosen: use its parameters, or start from it. */

import { announce } from "./announcer";
import { FIELD_NAMES } from "./form/fields";
import { byId, find, isWorkOpen } from "./dom";
import { shortened } from "./formatting";
import { lorasText, parseLoras } from "./form/lora_field";
import type { FormValues } from "./form/form_values";
import type { ParameterForm } from "./form/parameter_form";
import { type RecordedParameters, recordedParameters } from "./picture_record";

/** Pure. The form's values for recorded parameters. Unknown fields are ignored. */
export function valuesOfRecord(parameters: RecordedParameters): Partial<FormValues> {
  const texts = FIELD_NAMES.flatMap((name) => {
    const value = parameters[name];
    if (name === "loras") return [[name, Array.isArray(value) ? lorasText(parseLoras(JSON.stringify(value))) : ""]];
    return typeof value === "string" || typeof value === "number" ? [[name, String(value)]] : [];
  });
  return Object.fromEntries(texts) as Partial<FormValues>;
}

export function connectPictureDrop(form: ParameterForm): void {
  const dialog = byId("dropped", HTMLDialogElement);
  const chooser = byId("picture-parameters", HTMLInputElement);
  let received = 0;
  let dropped: { readonly file: Blob; readonly parameters: RecordedParameters } | null = null;

  const startFrom = async (file: Blob): Promise<void> => {
    if (!form.takesPicture) form.message.show("The chosen model cannot start from a picture.", true);
    else if (await form.usePicture(file)) form.message.show("The form now starts from the picture.");
  };

  const receive = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    if (!file.type.startsWith("image/")) {
      form.message.show(`${shortened(file.name, 60)} is not a picture.`, true);
      return;
    }
    const number = ++received;
    const parameters = recordedParameters(new Uint8Array(await file.arrayBuffer()));
    if (number !== received) return; // a later one replaces it
    if (parameters !== null) {
      dropped = { file, parameters };
      dialog.showModal();
    } else if (!form.takesPicture) form.message.show("This picture contains no parameters, and the model cannot start from a picture.", true);
    else if (await form.usePicture(file)) form.message.show("This picture contains no parameters. The form now starts from the picture.");
  };

  addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (!isWorkOpen()) void receive(event.dataTransfer.files[0]);
  });
  chooser.addEventListener("change", () => {
    void receive(chooser.files?.[0]);
    chooser.value = "";
  });
  dialog.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-use]");
    if (button === null || dropped === null) return;
    dialog.close();
    if (button.dataset.use === "parameters") {
      form.fill(valuesOfRecord(dropped.parameters));
      form.focusField("prompt");
      announce("The form now has the parameters of this picture.");
    } else if (button.dataset.use === "picture") void startFrom(dropped.file);
  });
  dialog.addEventListener("close", () => { dropped = null; });
  find(dialog, "[data-use=parameters]", HTMLButtonElement).autofocus = true;
}
