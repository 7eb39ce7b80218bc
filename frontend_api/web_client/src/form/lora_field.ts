/** The field of the LoRAs: a check box and a scale for each one that the model offers. */

import type { Lora } from "@darkroom/web";

import { byId, create } from "../dom";

/** A LoRA of a task, as `POST /v1/tasks` takes it. */
export interface LoraChoice {
  readonly name: string;
  readonly scale: number;
}

/** Read the value of the field. Invalid text, such as that of an old draft, is no choice. */
export function parseLoras(value: string): readonly LoraChoice[] {
  try {
    const parsed: unknown = JSON.parse(value);
    return Array.isArray(parsed) ? parsed.filter(isChoice) : [];
  } catch {
    return [];
  }
}

/** The value of the field; empty without LoRAs. */
export function lorasText(choices: readonly LoraChoice[]): string {
  return choices.length === 0 ? "" : JSON.stringify(choices.map(({ name, scale }) => ({ name, scale })));
}

/** Why the choices are not valid for these LoRAs; empty if they are. */
export function loraError(choices: readonly LoraChoice[], offered: readonly Lora[]): string {
  for (const { name, scale } of choices) {
    const lora = offered.find((candidate) => candidate.name === name);
    if (lora === undefined) return `${name} is not available for this model.`;
    if (!(scale >= lora.min_scale && scale <= lora.max_scale))
      return `The scale of ${lora.title} must be between ${lora.min_scale} and ${lora.max_scale}.`;
  }
  return "";
}

/** Show the offered LoRAs with these choices. `onChange` gets the new value of the field. */
export function showLoras(offered: readonly Lora[], value: string, onChange: (value: string) => void): void {
  const chosen = new Map(parseLoras(value).map(({ name, scale }) => [name, scale]));
  const rows = offered.map((lora) => {
    const row = create("div", "lora");
    const label = create("label", "lora__title");
    const box = Object.assign(create("input"), { type: "checkbox", checked: chosen.has(lora.name), value: lora.name });
    label.append(box, ` ${lora.title}`);
    const scale = Object.assign(create("input"), {
      type: "number",
      step: "any",
      min: String(lora.min_scale),
      max: String(lora.max_scale),
      value: String(chosen.get(lora.name) ?? lora.scale),
      disabled: !box.checked,
      ariaLabel: `Scale of ${lora.title}`,
    });
    row.append(label, scale);
    if (lora.trigger !== "") row.append(create("p", "field__hint", `The prompt should contain: ${lora.trigger}`));
    box.addEventListener("change", () => { scale.disabled = !box.checked; });
    return { row, name: lora.name, box, scale };
  });
  const list = byId("loras", HTMLElement);
  list.replaceChildren(...rows.map(({ row }) => row));
  list.onchange = list.oninput = () => {
    onChange(lorasText(rows.filter(({ box }) => box.checked).map(({ name, scale }) => ({ name, scale: Number(scale.value) }))));
  };
}

function isChoice(value: unknown): value is LoraChoice {
  if (typeof value !== "object" || value === null) return false;
  const { name, scale } = value as Record<string, unknown>;
  return typeof name === "string" && typeof scale === "number";
}
