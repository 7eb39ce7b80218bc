/** A dialog that asks before many tasks are changed. */

import { create } from "../dom";

export interface Question {
  readonly title: string;
  /** What happens, in full sentences. */
  readonly texts: readonly string[];
  /** The label of the button that confirms. */
  readonly action: string;
  /** The label of the other button. */
  readonly otherwise?: string;
}

/** Ask, and return whether the user confirms. Escape means no. The focus returns to where it was. */
export function confirmed({ title, texts, action, otherwise = "Keep" }: Question): Promise<boolean> {
  const dialog = create("dialog", "dialog");
  dialog.dataset.testid = "confirmation";
  const heading = Object.assign(create("h2", "", title), { id: "confirmation-title" });
  const body = create("div", "dialog__texts");
  body.id = "confirmation-texts";
  body.append(...texts.map((text) => create("p", "", text)));
  const actions = create("div", "dialog__actions");
  const yes = Object.assign(create("button", "button button--primary", action), { type: "button", value: "yes" });
  const no = Object.assign(create("button", "button", otherwise), { type: "button", value: "", autofocus: true });
  actions.append(yes, no);
  dialog.append(heading, body, actions);
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.setAttribute("aria-describedby", body.id);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("click", (event) => {
      const button = (event.target as Element).closest("button");
      if (button !== null || event.target === dialog) dialog.close(button?.value ?? "");
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.showModal();
  });
}
