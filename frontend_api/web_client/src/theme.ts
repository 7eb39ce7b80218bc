/** The dark or the light scheme: that of the system, unless the user chooses one. Importing the module applies the choice. */

import { storeChoice, storedChoice } from "./stored_choice";

function apply(theme: string): void {
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export function connectTheme(menu: HTMLSelectElement): void {
  menu.value = storedChoice("theme") ?? "system";
  menu.addEventListener("change", () => {
    storeChoice("theme", menu.value);
    apply(menu.value);
  });
}

apply(storedChoice("theme") ?? "system");
