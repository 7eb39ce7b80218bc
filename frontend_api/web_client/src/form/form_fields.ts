/** The fields of the form in the document: their values, and the messages at them. */

import { find } from "../dom";
import { type MessageKind, controlOf, showAtField } from "./field_messages";
import { FIELD_NAMES, type FieldErrors, type FieldName } from "./fields";
import type { FormValues } from "./form_values";

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export class FormFields {
  /** `settings` contains most of the fields. */
  constructor(private readonly form: HTMLFormElement, private readonly settings: HTMLDetailsElement) {}

  field(name: FieldName): HTMLElement {
    return find(this.form, `[data-field="${name}"]`, HTMLElement);
  }

  control(name: FieldName): Control {
    return this.form.elements.namedItem(name) as Control;
  }

  values(): FormValues {
    return Object.fromEntries(FIELD_NAMES.map((name) => [name, this.control(name).value])) as unknown as FormValues;
  }

  /** The values that the user typed before the models were loaded. */
  typedValues(): Partial<FormValues> {
    const typed = FIELD_NAMES.map((name) => [name, this.control(name)] as const).filter(
      ([, control]) => !(control instanceof HTMLSelectElement) && control.value !== control.defaultValue,
    );
    return Object.fromEntries(typed.map(([name, control]) => [name, control.value]));
  }

  focus(name: FieldName): void {
    const control = this.control(name);
    control.focus();
    control.scrollIntoView({ block: "nearest" });
  }

  /** Show a field with an error: the focus makes assistive technology read the error, which describes the control. */
  leadTo(name: FieldName): void {
    const field = this.field(name);
    const control = controlOf(field);
    if (control.closest("details")) this.settings.open = true;
    control.focus();
    field.scrollIntoView({ block: "nearest" });
  }

  /** Fields below the fold may have errors, too: they are counted beside the button. */
  get errorCount(): number {
    return this.form.querySelectorAll('[aria-invalid="true"]').length;
  }

  /** Show the messages at their fields, and remove the others of this kind. */
  showMessages(kind: MessageKind, messages: FieldErrors): void {
    for (const name of FIELD_NAMES) this.showMessage(kind, name, messages[name] ?? "");
  }

  showMessage(kind: MessageKind, name: FieldName, message: string): void {
    showAtField(this.field(name), kind, message);
  }
}
